//! Creating an order: frozen in the ledger first, then made known to WeChat Pay.

use std::time::Duration;

use serde::Serialize;
use units::{AccountId, Fen, Livemode, NanoCny, OrderId, Rates, Timestamp};

use super::{
    GuardRefusal, Merchant, TopUps,
    guard::{Asking, Went},
};
use crate::{
    agent,
    channel::ChannelError,
    ledger::{
        Actor, Body, Command, GoodsLine, NewOrder, Order, OrderKind, OrderState, PackageOffer, PayBy, PayWay,
        Prepay, Refusal, Reply, Role, TokenTerms,
    },
    store::SubmitError,
};

/// What a payer is shown can be used for so long at least.
const MARGIN: Duration = Duration::from_secs(120);

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
    /// How it is to be paid.
    pub pay: PayWish,
    /// The same key and wish give the same order.
    pub idempotency_key: Option<String>,
}

/// How somebody wants to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayWish {
    /// How the payer comes to pay.
    pub way: PayWay,
    /// Who pays, where the way asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openid: Option<String>,
    /// Which device asked, if the caller says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where a browser goes on after it has paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// Where the payer's device is. A repeat may come from another place, and is the same wish.
    #[serde(skip)]
    pub client_ip: Option<String>,
}

impl Default for PayWish {
    /// By scanning a code.
    fn default() -> Self {
        Self { way: PayWay::Native, openid: None, device_id: None, return_url: None, client_ip: None }
    }
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
    /// The merchant does not take payments of this way.
    #[error("payments by `{0}` are not taken here")]
    NoWay(PayWay),
    /// Orders of this account, agent or merchant are not made now.
    #[error(transparent)]
    Guarded(GuardRefusal),
    /// No merchant is configured for this kind of money.
    #[error("no payment channel takes {0} money")]
    NoChannel(Livemode),
    /// The merchant's keys are missing or do not fit, so nobody can be asked for anything.
    #[error("top-ups by `{0}` are off until its keys are in order")]
    Off(String),
    /// The ledger says no, or cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
    /// WeChat Pay refused the order: it is closed.
    #[error("WeChat Pay refused the order: {0}")]
    Refused(ChannelError),
    /// WeChat Pay does not take what was said of the payer: the order is closed.
    #[error("WeChat Pay does not take this `{param}`: {error}")]
    OfPayer {
        /// What was said.
        param: &'static str,
        /// In WeChat Pay's words.
        error: ChannelError,
    },
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
        if merchant.off.is_some() {
            return Err(CreateError::Off(merchant.name.clone()));
        }
        let asking = Asking { account: request.account, agent: &request.actor, merchant: &merchant.name };
        if !self.is_repeat(&request).await? {
            self.guard.admits(asking).await?.map_err(CreateError::Guarded)?;
        }
        let order = self.write_down(&request, &merchant).await?;
        if order.state != OrderState::Created {
            return self.pay_again(order).await;
        }
        // A repeat goes to the merchant the order was made for, whatever is configured first by now.
        let merchant = self.merchants.get(&order.merchant).ok_or(CreateError::NoChannel(request.livemode))?;
        let made = self.make_known(order, &merchant).await;
        let went = match &made {
            Ok(_) => Some(Went::Well),
            Err(CreateError::Refused(_) | CreateError::Unclear { .. }) => Some(Went::Badly),
            Err(CreateError::OfPayer { .. }) => Some(Went::WrongFromTheStart),
            Err(_) => None,
        };
        if let Some(went) = went
            && let Err(error) = self.guard.made(asking, went).await
        {
            // The order stands all the same.
            tracing::warn!(%error, "what came of an order could not be judged");
        }
        made
    }

    /// True where this key made an order before: what stands is not kept from its payer.
    async fn is_repeat(&self, request: &TopUpRequest) -> Result<bool, CreateError> {
        let Some(key) = &request.idempotency_key else { return Ok(false) };
        Ok(self.store.knows_key(format!("topup:{}:{key}", request.account)).await?)
    }

    /// The order with something that it can be paid by: what its payer got before, unless that has grown old, and otherwise a
    /// new one under the same number. An order that is not awaited any more stays as it is.
    ///
    /// # Errors
    /// [`CreateError`], as of a new order.
    pub async fn pay_again(&self, order: Order) -> Result<Order, CreateError> {
        let Some(merchant) = self.merchants.get(&order.merchant).filter(|_| self.is_stale(&order)) else {
            return Ok(order);
        };
        let _alone = self.making.lock(order.id).await;
        let order = self.store.order(order.id).await?.unwrap_or(order);
        if !self.is_stale(&order) {
            return Ok(order);
        }
        match merchant.create(&order, &self.settings.description).await {
            Ok(prepaid) => self.step(order.id, prepaid).await,
            // Somebody was quicker, or its time is over there: what became of it, its query tells.
            Err(ChannelError::AlreadyPaid { .. } | ChannelError::Refused { .. }) => {
                let _ = self.check(&order).await;
                Ok(self.store.order(order.id).await?.unwrap_or(order))
            }
            Err(error) => Err(CreateError::Unclear { order: order.id, error }),
        }
    }

    /// It is awaited, and what its payer got is about to end, or has.
    fn is_stale(&self, order: &Order) -> bool {
        let now = self.clock.now();
        let old = |prepay: &Prepay| {
            let since = order.prepaid_at().unwrap_or(order.created_at);
            now.since(since) >= prepay.lasts().saturating_sub(MARGIN)
        };
        order.state == OrderState::Pending && order.is_awaited(now) && order.prepay.as_ref().is_some_and(old)
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
        let PayWish { way, openid, device_id, return_url, client_ip } = request.pay.clone();
        let appid = merchant.appid(way).ok_or(CreateError::NoWay(way))?;
        let (callbacks, sign_type) =
            merchant.of_new_orders().ok_or(CreateError::NoChannel(request.livemode))?;
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
            mchid: merchant.mchid.clone(),
            appid: appid.to_owned(),
            livemode: merchant.livemode,
            pay_by: Box::new(PayBy {
                api: merchant.api,
                way,
                sign_type,
                description: self.settings.description.clone(),
                notify_url: callbacks.notify_url.clone(),
                openid,
                client_ip,
                device_id,
                return_url,
            }),
            expires_at: now.after(self.settings.expires),
            open_max: (!matches!(request.buy, Buy::Goods { .. })).then_some(self.settings.open_max),
            request: wish(request),
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

    /// Tells WeChat Pay of an order that it may or may not know already: the same number and words are harmless. Once at a time
    /// for each order: every code is the end of the one before.
    pub(super) async fn make_known(&self, order: Order, merchant: &Merchant) -> Result<Order, CreateError> {
        let _alone = self.making.lock(order.id).await;
        let order = self.store.order(order.id).await?.unwrap_or(order);
        if order.state != OrderState::Created {
            return Ok(order);
        }
        let answer = merchant.create(&order, &self.settings.description).await;
        // Watched whatever came: an order that WeChat Pay may know may be paid.
        self.agenda.learn(&order, self.clock.now());
        self.fresh.notify_one();
        match answer {
            Ok(prepaid) => self.step(order.id, prepaid).await,
            Err(ChannelError::AlreadyPaid { .. }) => {
                let _ = self.check(&order).await;
                Ok(self.store.order(order.id).await?.unwrap_or(order))
            }
            Err(error @ (ChannelError::Refused { .. } | ChannelError::Misconfigured { .. })) => {
                let of_payer = of_payer(&order, &error);
                if matches!(error, ChannelError::Misconfigured { .. }) && of_payer.is_none() {
                    self.observer.misconfigured(&order, &error);
                }
                // An earlier attempt may have arrived: what WeChat Pay knows can be paid, and has not failed. Only its word
                // that there is none is proof.
                match merchant.query(&order).await {
                    Err(ChannelError::NotFound { .. }) => {}
                    _ => return Err(CreateError::Unclear { order: order.id, error }),
                }
                self.step(order.id, Body::OrderFailed { order: order.id, detail: error.to_string() }).await?;
                Err(match of_payer {
                    Some(param) => CreateError::OfPayer { param, error },
                    None => CreateError::Refused(error),
                })
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

/// What was said of the payer, if that is what WeChat Pay does not take: neither its merchant nor anybody else can help it.
///
/// Source: WeChat Pay API v3, `detail.field` of errors; API v2 has the member's name in its words.
fn of_payer(order: &Order, error: &ChannelError) -> Option<&'static str> {
    let (words, is_refused) = match error {
        ChannelError::Refused { field, message, .. } => {
            (format!("{} {message}", field.as_deref().unwrap_or_default()), true)
        }
        ChannelError::Misconfigured { code, .. } => (code.clone(), false),
        _ => return None,
    };
    let words = words.to_ascii_lowercase();
    let names = |member: &str| words.contains(member);
    let PayBy { openid, client_ip, .. } = &order.pay_by;
    if openid.is_some() && names("openid") {
        return Some("openid");
    }
    let place = is_refused && (names("client_ip") || names("create_ip"));
    (place && client_ip.is_some()).then_some("payer_client_ip")
}

/// What was asked for, without what was looked up for it: the test for "the same order again".
fn wish(TopUpRequest { buy, amount, pay, .. }: &TopUpRequest) -> String {
    // Of a code to be scanned nothing is said: so it was before there was anything else.
    let pay = Some(pay).filter(|pay| PayWish { client_ip: None, ..(*pay).clone() } != PayWish::default());
    let wish = match (buy, pay) {
        (Buy::Package { .. }, None) => serde_json::to_string(buy),
        (Buy::Package { .. }, Some(pay)) => serde_json::to_string(&(buy, pay)),
        (_, None) => serde_json::to_string(&(buy, amount)),
        (_, Some(pay)) => serde_json::to_string(&(buy, amount, pay)),
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
