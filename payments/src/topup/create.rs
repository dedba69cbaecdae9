//! Creating an order: frozen in the ledger first, then made known to WeChat Pay.

use serde::Serialize;
use units::{AccountId, Fen, Livemode, NanoCny, OrderId, Rates, Timestamp};

use super::{Merchant, TopUps};
use crate::{
    agent,
    channel::{self, ChannelError},
    ledger::{
        Actor, Body, Command, GoodsLine, NewOrder, Order, OrderKind, OrderState, PackageOffer, Refusal,
        Reply, Role, TokenTerms,
    },
    store::SubmitError,
};

/// What is wanted for the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Buy {
    /// Yuan.
    Wallet,
    /// Tokens of a model, at this price.
    Tokens {
        /// Which model.
        model: String,
        /// What a token of each class costs; bought tokens are tokens of fresh input.
        #[serde(skip)]
        rates: Rates,
        /// The price list it was read from.
        #[serde(skip)]
        price_version: String,
        /// The FX row behind it.
        #[serde(skip)]
        fx_id: Option<String>,
        /// How many the caller was shown, if it says: refused if ours differ by more than half a per cent.
        expected: Option<i64>,
    },
    /// A package of tokens.
    Package {
        /// Which.
        package: String,
        /// Which version, if the caller says; the one on sale otherwise.
        version: Option<i64>,
        /// What the caller takes it to cost, if it says.
        price: Option<Fen>,
        /// What is on sale under that name; absent where nothing is.
        #[serde(skip)]
        offer: Option<PackageOffer>,
    },
    /// Goods; the account is the merchant's.
    Goods {
        /// What is bought.
        lines: Vec<GoodsLine>,
        /// Who buys, if they have an account.
        buyer: Option<AccountId>,
        /// The name that orders of one split bill share.
        group: Option<String>,
    },
}

/// A wish to top up.
#[derive(Debug, Clone)]
pub struct TopUpRequest {
    /// For whom.
    pub account: AccountId,
    /// Whether its money is real.
    pub livemode: Livemode,
    /// Who asks.
    pub actor: String,
    /// What is to be paid; a package says it itself.
    pub amount: Fen,
    /// What for.
    pub buy: Buy,
    /// Where the payer is, if the caller says.
    pub device_id: Option<String>,
    /// The same key and wish give the same order.
    pub idempotency_key: Option<String>,
}

/// What an order would freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// What it buys.
    pub kind: OrderKind,
    /// What comes with its payment.
    pub bonus: NanoCny,
}

/// Why there is no order, or none that can be paid.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Outside what the operator allows.
    #[error("the amount must be between {min} and {max} yuan")]
    Amount {
        /// The least.
        min: Fen,
        /// The most.
        max: Fen,
    },
    /// The amount buys no whole token, or the model is free.
    #[error("{0} yuan buy no whole token of this model")]
    NoTokens(Fen),
    /// No such package is on sale.
    #[error("no package `{0}` is on sale")]
    NoPackage(String),
    /// The caller was shown another price.
    #[error("package `{package}` costs {price} yuan")]
    PackagePrice {
        /// Which.
        package: String,
        /// What it costs.
        price: Fen,
    },
    /// The caller was shown another number of tokens.
    #[error("at the present price the amount buys {ours} tokens, not {expected}")]
    PriceMoved {
        /// What the caller was shown.
        expected: i64,
        /// What it is now.
        ours: i64,
    },
    /// No merchant is configured for this kind of money.
    #[error("no payment channel takes {0} money")]
    NoChannel(Livemode),
    /// The ledger says no, or cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
    /// WeChat Pay refused the order: it is closed.
    #[error("WeChat Pay refused the order: {0}")]
    Refused(ChannelError),
    /// WeChat Pay gave no clear answer; the order stands, and the same key tries again.
    #[error("WeChat Pay gave no clear answer for order {order}: {error}")]
    Unclear {
        /// The order that stands.
        order: OrderId,
        /// What happened.
        error: ChannelError,
    },
}

impl TopUps {
    /// Creates the order, or finds the one this key made before, and has WeChat Pay accept it.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn create(&self, request: TopUpRequest) -> Result<Order, CreateError> {
        self.within_bounds(&request.buy, request.amount)?;
        let merchant = self.merchants.for_livemode(request.livemode);
        let merchant = merchant.ok_or(CreateError::NoChannel(request.livemode))?;
        let order = self.write_down(&request, merchant).await?;
        if order.state != OrderState::Created {
            return Ok(order);
        }
        // A repeat goes to the merchant the order was made for, whatever is configured first by now.
        let merchant = self.merchants.get(&order.merchant).ok_or(CreateError::NoChannel(request.livemode))?;
        self.make_known(order, merchant, request.device_id).await
    }

    /// What an order would freeze if it were made now. Nothing is written.
    ///
    /// # Errors
    /// [`CreateError::Amount`], [`CreateError::NoTokens`], [`CreateError::NoPackage`], [`CreateError::PriceMoved`].
    pub fn quote(&self, buy: &Buy, amount: Fen) -> Result<Quoted, CreateError> {
        self.within_bounds(buy, amount)?;
        let kind = frozen(buy, amount, self.clock.now())?;
        Ok(Quoted { bonus: self.bonus_of(&kind, amount), kind })
    }

    /// What is given with a payment of so much: only one for yuan comes with a bonus.
    fn bonus_of(&self, kind: &OrderKind, amount: Fen) -> NanoCny {
        if *kind == OrderKind::Wallet { self.settings.bonus.given_with(amount) } else { NanoCny::ZERO }
    }

    /// What a package costs, its operator has said.
    fn within_bounds(&self, buy: &Buy, amount: Fen) -> Result<(), CreateError> {
        let (min, max) = (self.settings.min, self.settings.max);
        if matches!(buy, Buy::Package { .. }) || (min..=max).contains(&amount) {
            return Ok(());
        }
        Err(CreateError::Amount { min, max })
    }

    async fn write_down(&self, request: &TopUpRequest, merchant: &Merchant) -> Result<Order, CreateError> {
        let now = self.clock.now();
        let id = OrderId::new(now);
        let key = match &request.idempotency_key {
            Some(key) => format!("topup:{}:{key}", request.account),
            None => format!("order:{id}"),
        };
        let kind = frozen(&request.buy, request.amount, now);
        let amount = match &kind {
            Ok(OrderKind::Package { offer }) => offer.price,
            _ => request.amount,
        };
        let new = NewOrder {
            id,
            account: request.account,
            kind: kind.as_ref().map_or(OrderKind::Wallet, Clone::clone),
            amount,
            bonus: kind.as_ref().map_or(NanoCny::ZERO, |kind| self.bonus_of(kind, amount)),
            merchant: merchant.name.clone(),
            mchid: merchant.channel.mchid().to_owned(),
            appid: merchant.channel.appid().to_owned(),
            livemode: merchant.livemode,
            expires_at: now.after(self.settings.expires),
            request: wish(&request.buy, request.amount),
        };
        let command = Command {
            key,
            actor: Actor { id: request.actor.clone(), role: Role::Customer },
            reason: None,
            approver: None,
            at: now,
            body: Body::CreateOrder(new),
        };
        let reply = match kind {
            Ok(_) => self.store.submit(command).await?,
            // Prices moved; an order that this key made before stands at its own.
            Err(error) => match self.store.answered(&command).await? {
                Some(outcome) => outcome.map_err(SubmitError::Refused)?,
                None => return Err(error),
            },
        };
        let Reply::Order { order, .. } = reply else {
            return Err(CreateError::Store(SubmitError::Refused(Refusal::UnknownOrder(id))));
        };
        // A repeat is answered with the order as it was first written; what became of it since, its row says.
        Ok(self.store.order(order.id).await?.unwrap_or(*order))
    }

    /// Tells WeChat Pay of an order that it may or may not know already: the same number and parameters are harmless.
    pub(super) async fn make_known(
        &self,
        order: Order,
        merchant: &Merchant,
        device_id: Option<String>,
    ) -> Result<Order, CreateError> {
        let asked = channel::NewOrder {
            out_trade_no: order.out_trade_no(),
            description: self.settings.description.clone(),
            total: order.amount,
            notify_url: merchant.notify_url.clone(),
            expires_at: order.expires_at,
            device_id,
        };
        let answer = merchant.channel.create_native(&asked).await;
        // Watched whatever came: an order that WeChat Pay may know may be paid.
        self.fresh.notify_one();
        match answer {
            Ok(code_url) => self.step(order.id, Body::OrderPrepaid { order: order.id, code_url }).await,
            Err(ChannelError::AlreadyPaid { .. }) => {
                let _ = self.check(&order).await;
                Ok(self.store.order(order.id).await?.unwrap_or(order))
            }
            Err(error @ (ChannelError::Refused { .. } | ChannelError::Misconfigured { .. })) => {
                // An earlier attempt may have arrived: what WeChat Pay knows can be paid, and has not failed.
                if merchant.channel.query(&order.out_trade_no()).await.is_ok() {
                    return Err(CreateError::Unclear { order: order.id, error });
                }
                self.step(order.id, Body::OrderFailed { order: order.id, detail: error.to_string() }).await?;
                Err(CreateError::Refused(error))
            }
            Err(error) => Err(CreateError::Unclear { order: order.id, error }),
        }
    }

    /// Moves an order by what this program knows.
    pub(super) async fn step(&self, id: OrderId, body: Body) -> Result<Order, CreateError> {
        let command = Command {
            key: format!("step:{id}"),
            actor: Actor::system("topup"),
            reason: None,
            approver: None,
            at: self.clock.now(),
            body,
        };
        match self.store.submit(command).await? {
            Reply::Order { order, .. } => Ok(*order),
            _ => Err(CreateError::Store(SubmitError::Refused(Refusal::UnknownOrder(id)))),
        }
    }
}

/// What was asked for, without what was looked up for it: the test for "the same order again".
fn wish(buy: &Buy, amount: Fen) -> String {
    let wish = match buy {
        Buy::Package { .. } => serde_json::to_string(buy),
        _ => serde_json::to_string(&(buy, amount)),
    };
    wish.unwrap_or_default()
}

/// What the amount buys, at the price of this moment.
fn frozen(buy: &Buy, amount: Fen, at: Timestamp) -> Result<OrderKind, CreateError> {
    match buy {
        Buy::Wallet => Ok(OrderKind::Wallet),
        Buy::Package { package, price, offer, .. } => {
            let offer = offer.clone().ok_or_else(|| CreateError::NoPackage(package.clone()))?;
            match price.filter(|price| *price != offer.price) {
                Some(_) => Err(CreateError::PackagePrice { package: package.clone(), price: offer.price }),
                None => Ok(OrderKind::Package { offer }),
            }
        }
        Buy::Goods { lines, buyer, group } => {
            Ok(OrderKind::Goods { lines: lines.clone(), buyer: *buyer, group: group.clone(), refunds: 0 })
        }
        Buy::Tokens { model, rates, price_version, fx_id, expected } => {
            let tokens = rates.input.tokens_for(NanoCny::from(amount)).filter(|tokens| tokens.0 > 0);
            let tokens = tokens.and_then(|tokens| i64::try_from(tokens.0).ok());
            let tokens = tokens.ok_or(CreateError::NoTokens(amount))?;
            if let Some(expected) = expected.filter(|&expected| !agent::agrees(expected, tokens)) {
                return Err(CreateError::PriceMoved { expected, ours: tokens });
            }
            Ok(OrderKind::Tokens {
                model: model.clone(),
                tokens,
                rate: rates.input.get(),
                price_version: price_version.clone(),
                fx_id: fx_id.clone(),
                terms: TokenTerms::of_model(model, rates, at),
            })
        }
    }
}
