//! Orders: what is to be paid, for what, and what became of it?

use serde::{Deserialize, Serialize};
use units::{AccountId, Fen, Livemode, NanoCny, OrderId, Timestamp};

use super::{Asset, PackageOffer, PayBy, Prepay, TokenTerms, entry::words};

/// What an order buys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OrderKind {
    /// Yuan in the wallet.
    Wallet,
    /// Tokens of a named model, at a price frozen here.
    Tokens {
        /// Which model.
        model: String,
        /// How many, whole: the amount divided by the rate, rounded down.
        tokens: i64,
        /// Nano-yuan per token.
        rate: i64,
        /// The price list it was read from.
        price_version: String,
        /// The FX row behind it, for prices in another currency.
        fx_id: Option<String>,
        /// What the tokens pay for, as on the day of the sale.
        terms: TokenTerms,
    },
    /// A package of tokens, as it was offered.
    Package {
        /// The offer.
        offer: PackageOffer,
    },
    /// Goods of a merchant; the order's account is the merchant's.
    Goods {
        /// What is bought.
        lines: Vec<GoodsLine>,
        /// Who buys, if they have an account.
        buyer: Option<AccountId>,
        /// The name that orders of one split bill share.
        group: Option<String>,
        /// How many refunds were asked for; WeChat Pay allows 50.
        refunds: i64,
    },
}

impl OrderKind {
    /// The balance the order fills; goods fill none, and their money is yuan.
    pub fn asset(&self) -> Asset {
        match self {
            Self::Wallet | Self::Goods { .. } => Asset::Cny,
            Self::Tokens { terms, .. } => terms.asset(),
            Self::Package { offer } => offer.asset(),
        }
    }

    /// The word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Tokens { .. } => "tokens",
            Self::Package { .. } => "package",
            Self::Goods { .. } => "goods",
        }
    }
}

/// One line of an order for goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsLine {
    /// The merchant's name for the article, if there is one.
    pub sku: Option<String>,
    /// What people read.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// What one costs.
    pub unit: Fen,
    /// What they cost together.
    pub amount: Fen,
    /// How much of that went back or is on its way back.
    pub refunded: Fen,
}

words! {
    /// Where an order stands.
    OrderState {
        /// Written down; nothing at WeChat Pay yet.
        Created = "created",
        /// WeChat Pay knows it and waits for the payer.
        Pending = "pending",
        /// Paid and credited.
        Paid = "paid",
        /// Can no longer be paid.
        Closed = "closed",
        /// WeChat Pay refused to create it.
        Failed = "failed",
        /// Paid, but something does not agree: a person decides.
        Review = "review",
        /// A person decided that the payment goes back whole.
        Voided = "voided",
        /// Part of it went back.
        PartiallyRefunded = "partially_refunded",
        /// All of it went back.
        Refunded = "refunded",
    }
}

impl OrderState {
    /// True where the payment was credited and not all of it went back.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded)
    }
}

/// The event of an order whose customer no longer wants it.
pub const CLOSE_REQUESTED: &str = "close_requested";

/// The event of an order whose payer gets a new code, or the like, in place of one that grew old.
pub const PREPAID_ANEW: &str = "prepaid_anew";

/// One step in the life of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// When.
    pub at: Timestamp,
    /// What: `created`, `pending`, `paid`, `late`, `closed`, `failed`, `review`, `refund`...
    pub event: String,
    /// Who says so: `api`, `notify`, `query`, `operator`...
    pub source: String,
    /// Evidence: a transaction id, a reason.
    pub detail: Option<String>,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id; the bare form is the `out_trade_no`.
    pub id: OrderId,
    /// Whose books it moves: who tops up, or the merchant whose goods are sold.
    pub account: AccountId,
    /// Whether the money is real.
    pub livemode: Livemode,
    /// What it buys.
    pub kind: OrderKind,
    /// What is to be paid; after a review, what was paid.
    pub amount: Fen,
    /// What is given with the payment.
    #[serde(default)]
    pub bonus: NanoCny,
    /// Where it stands.
    pub state: OrderState,
    /// Which configured merchant.
    pub merchant: String,
    /// That merchant's number, as sent.
    pub mchid: String,
    /// That merchant's app, as sent.
    pub appid: String,
    /// How it is put to WeChat Pay.
    #[serde(default, skip_serializing_if = "PayBy::is_unsaid")]
    pub pay_by: PayBy,
    /// What its payer gets: a code's content in the rows of all times.
    #[serde(rename = "code_url")]
    pub prepay: Option<Prepay>,
    /// WeChat Pay's number of the payment.
    pub transaction_id: Option<String>,
    /// Who pays, as WeChat Pay names them.
    pub payer: Option<String>,
    /// The credited lot.
    pub lot: Option<String>,
    /// How much went back.
    pub refunded: Fen,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// When it was paid, as WeChat Pay says.
    pub paid_at: Option<Timestamp>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEvent>,
}

impl Order {
    /// The number WeChat Pay knows it by.
    pub fn out_trade_no(&self) -> String {
        self.id.bare()
    }

    /// The word that customers are shown.
    pub fn public_state(&self) -> &'static str {
        match self.state {
            OrderState::Voided if self.went_back() > Fen::ZERO => OrderState::Refunded.as_str(),
            state => state.as_str(),
        }
    }

    /// What went back of what was paid. Of a void one it was never credited, and is not among what was refunded of it.
    pub fn went_back(&self) -> Fen {
        if self.state != OrderState::Voided {
            return self.refunded;
        }
        let steps = self.timeline.iter().filter(|step| step.event == "refunded");
        let amounts = steps.filter_map(|step| step.detail.as_deref()?.parse::<Fen>().ok());
        amounts.fold(Fen::ZERO, |sum, amount| sum.plus(amount).unwrap_or(sum))
    }

    /// It can still be paid at `at`.
    pub fn is_payable(&self, at: Timestamp) -> bool {
        matches!(self.state, OrderState::Created | OrderState::Pending) && at < self.expires_at
    }

    /// It can still be paid at `at`, and its customer still wants it.
    pub fn is_awaited(&self, at: Timestamp) -> bool {
        self.is_payable(at) && !self.is_unwanted()
    }

    /// When its payer got what it is paid by.
    pub fn prepaid_at(&self) -> Option<Timestamp> {
        let told =
            self.timeline.iter().rev().find(|step| matches!(step.event.as_str(), "pending" | PREPAID_ANEW));
        told.map(|step| step.at)
    }

    /// Its customer no longer wants it: it is closed as soon as WeChat Pay lets it be.
    pub fn is_unwanted(&self) -> bool {
        self.timeline.iter().any(|step| step.event == CLOSE_REQUESTED)
    }
}

/// The lot that an order's payment fills.
pub(crate) fn paid_lot(order: OrderId) -> String {
    format!("pay:{}", order.bare())
}

/// The lot of the bonus that comes with an order's payment.
pub(crate) fn bonus_lot(order: OrderId) -> String {
    format!("bonus:{}", order.bare())
}
