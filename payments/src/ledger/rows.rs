//! The rows of the books, as they stand in every store.

use serde::{Deserialize, Serialize};
use units::{
    AccountId, Fen, KeyId, Livemode, NanoCny, OrderId, RefundBatchId, RefundId, RequestId, Timestamp, Usage,
};

use super::{Asset, HoldQuote, entry::words};

words! {
    /// What an account is for.
    AccountRole {
        /// Prepays and uses.
        Customer = "customer",
        /// Ours: calls we make ourselves run on it and are never refused for money.
        House = "house",
    }
}

/// Who has balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whether its money is real.
    pub livemode: Livemode,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: AccountRole,
    /// A stopped account neither spends nor tops up.
    pub stopped: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// An API key of an account: its digest, never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose.
    pub account: AccountId,
    /// HMAC-SHA256(server secret, SHA-256(key)), in lower-case hex.
    pub digest: String,
    /// The first characters, enough to recognise it by.
    pub prefix: String,
    /// What people call it.
    pub name: String,
    /// Whether its account's money is real.
    pub livemode: Livemode,
    /// Requests per minute, if it has a limit of its own.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute, if it has a limit of its own.
    pub tokens_per_minute: Option<u64>,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// One balance: an account's share of one asset. `held <= posted`, both never negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: Asset,
    /// The sum of its lots' `rem`.
    pub posted: i64,
    /// The sum of its open holds.
    pub held: i64,
    /// Grows by one with each change.
    pub version: i64,
    /// How many lines of the journal there are of this account and asset.
    pub lines: i64,
    /// When the last of them was written.
    pub moved_at: Timestamp,
}

impl Wallet {
    /// A balance nobody touched yet.
    pub const fn empty(account: AccountId, asset: Asset) -> Self {
        Self { account, asset, posted: 0, held: 0, version: 0, lines: 0, moved_at: Timestamp(0) }
    }

    /// What may still be set aside.
    pub const fn available(&self) -> i64 {
        self.posted - self.held
    }
}

words! {
    /// What kind of value a lot is.
    LotClass {
        /// Given, tied to nothing: used first, never refunded.
        Promo = "promo",
        /// Tokens bought.
        Tokens = "tokens",
        /// Money paid.
        Paid = "paid",
        /// Given with a payment: used right after it.
        Bonus = "bonus",
        /// Lent while a payment is under way: used last.
        Temp = "temp",
    }
}

/// Value that came in at once. `orig = rem + consumed + refunding + refunded + expired + voided`, none negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Unique; made from what brought it in.
    pub id: String,
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: Asset,
    /// What kind.
    pub class: LotClass,
    /// The order that paid for it.
    pub order: Option<OrderId>,
    /// What came in.
    pub orig: i64,
    /// What is left.
    pub rem: i64,
    /// What was used.
    pub consumed: i64,
    /// What is being refunded.
    pub refunding: i64,
    /// What was refunded.
    pub refunded: i64,
    /// What expired.
    pub expired: i64,
    /// What was taken back.
    pub voided: i64,
    /// What was paid for it.
    pub paid_fen: Fen,
    /// How much of that was refunded or is being refunded.
    pub refunded_fen: Fen,
    /// How many refunds touched it; WeChat Pay allows 50.
    pub refunds: i64,
    /// When it came in; for a payment, when it was paid.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl Lot {
    /// True if the parts make up the whole and none is negative.
    pub fn adds_up(&self) -> bool {
        let parts = [self.rem, self.consumed, self.refunding, self.refunded, self.expired, self.voided];
        parts.iter().all(|&part| part >= 0)
            && parts.iter().map(|&part| i128::from(part)).sum::<i128>() == i128::from(self.orig)
    }
}

words! {
    /// Where a hold stands.
    HoldState {
        /// Set aside; the call runs.
        Open = "open",
        /// Charged.
        Settled = "settled",
        /// Given back whole.
        Released = "released",
    }
}

/// What is set aside for one call; at its end, what the call cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The call.
    pub id: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// Where it stands.
    pub state: HoldState,
    /// The model asked for.
    pub model: String,
    /// Money set aside.
    pub money: NanoCny,
    /// Tokens of the model's own balance set aside, in thousandths.
    pub tokens_milli: i64,
    /// The price it was reckoned with and will be settled by.
    pub quote: HoldQuote,
    /// Which run of the process opened it.
    pub epoch: i64,
    /// Since when.
    pub opened_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Money charged.
    pub cost: NanoCny,
    /// Tokens charged, in thousandths.
    pub cost_tokens_milli: i64,
    /// What the call cost beyond what could be charged.
    pub overrun: NanoCny,
    /// What was used.
    pub usage: Option<Usage>,
    /// True when the usage is our reckoning.
    pub estimated: bool,
}

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
        /// How many, whole.
        tokens: i64,
        /// Nano-yuan per token.
        rate: i64,
        /// The price list it was read from.
        price_version: String,
        /// The FX row behind it, for prices in another currency.
        fx_id: Option<String>,
    },
}

words! {
    /// Where an order stands. As JSON, the words of the public surface.
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
        /// Part of it went back.
        PartiallyRefunded = "partially_refunded",
        /// All of it went back.
        Refunded = "refunded",
    }
}

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

/// One top-up order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id; the bare form is the `out_trade_no`.
    pub id: OrderId,
    /// For whom.
    pub account: AccountId,
    /// Whether the money is real.
    pub livemode: Livemode,
    /// What it buys.
    pub kind: OrderKind,
    /// What is to be paid.
    pub amount: Fen,
    /// Where it stands.
    pub state: OrderState,
    /// Which configured merchant.
    pub merchant: String,
    /// That merchant's number, as sent.
    pub mchid: String,
    /// That merchant's app, as sent.
    pub appid: String,
    /// The QR's content.
    pub code_url: Option<String>,
    /// WeChat Pay's number of the payment.
    pub transaction_id: Option<String>,
    /// Who pays, as WeChat Pay names them.
    pub payer: Option<String>,
    /// The credited lot.
    pub lot: Option<String>,
    /// How much went back or is on its way back.
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
}

words! {
    /// What became of a notification.
    NoticeResult {
        /// It moved an order or a refund.
        Applied = "applied",
        /// It said what was known.
        Duplicate = "duplicate",
        /// It does not agree with what we stored.
        Rejected = "rejected",
    }
}

/// A verified notification, once per event id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// WeChat Pay's event id.
    pub id: String,
    /// To which merchant.
    pub merchant: String,
    /// About what.
    pub subject: String,
    /// What became of it.
    pub result: NoticeResult,
    /// Why, if rejected.
    pub detail: Option<String>,
    /// When it came.
    pub at: Timestamp,
}

words! {
    /// Where a request to refund stands.
    RefundBatchState {
        /// Reserved; items are waiting or under way.
        Running = "running",
        /// Every item arrived.
        Done = "done",
        /// Some items did not.
        Partial = "partial",
    }
}

/// One request to refund, made of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundBatch {
    /// Its id.
    pub id: RefundBatchId,
    /// For whom.
    pub account: AccountId,
    /// How much in all.
    pub amount: Fen,
    /// Why, shown to the payer.
    pub reason: Option<String>,
    /// Where it stands.
    pub state: RefundBatchState,
    /// Since when.
    pub created_at: Timestamp,
}

words! {
    /// Where one refund item stands. As JSON, the words of the public surface.
    RefundItemState {
        /// Its money is reserved; not sent yet.
        Queued = "queued",
        /// Sent, or about to be: the answer is not known.
        Sent = "sent",
        /// WeChat Pay accepted it.
        Processing = "processing",
        /// The payer has it.
        Success = "success",
        /// WeChat Pay closed it: the money is back in the balance.
        Closed = "closed",
        /// It left us but could not reach the payer: a person acts.
        Abnormal = "abnormal",
        /// WeChat Pay refused it: the money is back in the balance.
        Refused = "refused",
        /// Taken back before it was sent.
        Cancelled = "cancelled",
    }
}

/// One refund of one payment, with its own `out_refund_no` for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundItem {
    /// Its id; the bare form is the `out_refund_no`.
    pub id: RefundId,
    /// Part of which request.
    pub batch: RefundBatchId,
    /// For whom.
    pub account: AccountId,
    /// Of which payment.
    pub order: OrderId,
    /// Out of which lot.
    pub lot: String,
    /// Cash.
    pub amount: Fen,
    /// What it takes out of the lot, in the lot's asset.
    pub units: i64,
    /// Where it stands.
    pub state: RefundItemState,
    /// WeChat Pay's number of it.
    pub refund_id: Option<String>,
    /// Why it ended as it did.
    pub detail: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
