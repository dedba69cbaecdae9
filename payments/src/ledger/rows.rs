//! The rows of the books, as they stand in every store.

use serde::{Deserialize, Serialize};
use units::{AccountId, Fen, KeyId, Livemode, NanoCny, OrderId, Timestamp};

use super::{Asset, entry::words};

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
    /// A stopped account neither spends nor tops up nor redeems; what is paid for it is still credited.
    pub stopped: bool,
    /// Why it was stopped.
    pub stop_reason: Option<String>,
    /// Why it is watched: it gets nothing in advance.
    pub flag: Option<String>,
    /// What it owes: refunds found in the bill of money it had spent. Until that is settled it spends nothing.
    pub debt: NanoCny,
    /// Since when it is closed for good.
    pub closed_at: Option<Timestamp>,
    /// Since when.
    pub created_at: Timestamp,
}

impl Account {
    /// True where it may spend.
    pub fn is_active(&self) -> bool {
        !self.stopped && self.closed_at.is_none() && self.debt == NanoCny::ZERO
    }
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
    /// Calls in flight at once, if it has a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_max: Option<u32>,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
    /// From when on it is refused, if it ends by itself.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The order it came with, for the key of a temporary grant: such a key spends what its budget says, in money only.
    #[serde(default)]
    pub grant: Option<OrderId>,
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
    /// The sum of its open holds: reckoned from them when the row is loaded, never stored.
    pub held: i64,
    /// How many lines of the journal there are of this account and asset.
    pub lines: i64,
    /// When the last of them was written.
    pub moved_at: Timestamp,
}

impl Wallet {
    /// A balance nobody touched yet.
    pub const fn empty(account: AccountId, asset: Asset) -> Self {
        Self { account, asset, posted: 0, held: 0, lines: 0, moved_at: Timestamp(0) }
    }

    /// True where the other row stands in a table as this one does: no more than what is held of it differs.
    pub fn stands_as(&self, other: &Self) -> bool {
        let Self { account, asset, posted, held: _, lines, moved_at } = other;
        (self.account, self.posted, self.lines, self.moved_at) == (*account, *posted, *lines, *moved_at)
            && self.asset == *asset
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
    /// What became of a notification.
    NoticeResult {
        /// It moved an order or a refund.
        Applied = "applied",
        /// It said what was known.
        Duplicate = "duplicate",
        /// It does not agree with what we stored.
        Rejected = "rejected",
        /// It is about nothing of ours, or of a kind that is not used.
        Unused = "unused",
    }
}

/// A verified notification that is about nothing of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangeNotice {
    /// WeChat Pay's event id.
    pub id: String,
    /// To which merchant.
    pub merchant: String,
    /// About what: the number it names, or its kind.
    pub subject: String,
    /// Why it is nothing of ours.
    pub detail: String,
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
