//! What is lent while a payment is under way, and to whom.

use serde::{Deserialize, Serialize};
use units::{AccountId, NanoCny, OrderId, Timestamp};

use super::{BudgetPeriod, entry::words};

words! {
    /// Where a temporary grant stands.
    GrantState {
        /// Lent; it can be spent.
        Active = "active",
        /// The payment came: it was paid back from it.
        Converted = "converted",
        /// The order failed or was closed.
        Revoked = "revoked",
        /// Its time was over before the payment came; it may still come.
        Expired = "expired",
        /// It was used and never paid: our loss.
        WrittenOff = "written_off",
    }
}

words! {
    /// On whose word a grant was opened.
    GrantClaim {
        /// The payer says to have paid.
        Payer = "payer",
        /// The operator lends without being told so.
        Policy = "policy",
    }
}

/// A temporary grant: one per order. What is left of it and what was used lies in its lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The order whose payment is awaited.
    pub order: OrderId,
    /// To whom.
    pub account: AccountId,
    /// How much.
    pub amount: NanoCny,
    /// Where it stands.
    pub state: GrantState,
    /// On whose word.
    pub claim: GrantClaim,
    /// Since when.
    pub opened_at: Timestamp,
    /// Until when it can be spent.
    pub expires_at: Timestamp,
    /// What was paid back by the payment, or written off.
    pub used: NanoCny,
    /// When nothing was left to be done about it.
    pub resolved_at: Option<Timestamp>,
}

impl Grant {
    /// The lot it lies in.
    pub fn lot(order: OrderId) -> String {
        format!("temp:{}", order.bare())
    }

    /// The order whose grant lies in this lot, if it is one of a grant.
    pub fn order_of(lot: &str) -> Option<OrderId> {
        OrderId::from_bare(lot.strip_prefix("temp:")?).ok()
    }
}

/// What an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantCaps {
    /// For an account that has never paid.
    pub newcomer: NanoCny,
    /// For one that has.
    pub returning: NanoCny,
    /// Grants of one account in a day.
    pub per_day: i64,
    /// How long one lasts, in seconds.
    pub lasts_secs: i64,
    /// True if nobody has to claim to have paid.
    pub unclaimed: bool,
}

impl Default for GrantCaps {
    /// One yuan, five after a first paid order; five minutes, three times a day, on the payer's word.
    fn default() -> Self {
        Self {
            newcomer: NanoCny::from_yuan(1),
            returning: NanoCny::from_yuan(5),
            per_day: 3,
            lasts_secs: 300,
            unclaimed: false,
        }
    }
}

impl GrantCaps {
    /// The most that may be granted while an order of `order` is being paid.
    pub fn amount(&self, order: NanoCny, has_paid_before: bool) -> NanoCny {
        order.min(if has_paid_before { self.returning } else { self.newcomer })
    }
}

/// What an account's grants and payments so far say about the next grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantStanding {
    /// Whose.
    pub account: AccountId,
    /// The grant about which something is left to be done: there is no second one beside it.
    pub live: Option<OrderId>,
    /// The day of the latest grant, as budgets count days.
    pub day: i64,
    /// How many that day had.
    pub opened: i64,
    /// True once an order was paid.
    pub has_paid: bool,
    /// True from a grant that was written off to the next paid order.
    pub barred: bool,
}

impl GrantStanding {
    /// Of an account that never had a grant and never paid.
    pub const fn new(account: AccountId) -> Self {
        Self { account, live: None, day: 0, opened: 0, has_paid: false, barred: false }
    }

    /// How many grants were opened on the day of `at`.
    pub const fn opened_on(&self, at: Timestamp) -> i64 {
        if BudgetPeriod::Day.window(at) > self.day { 0 } else { self.opened }
    }

    /// With a grant of `order` opened at `at`.
    #[must_use]
    pub const fn with(self, order: OrderId, at: Timestamp) -> Self {
        let opened = self.opened_on(at) + 1;
        let day =
            if BudgetPeriod::Day.window(at) > self.day { BudgetPeriod::Day.window(at) } else { self.day };
        Self { live: Some(order), day, opened, ..self }
    }

    /// Without the grant of `order`, about which nothing is left to be done.
    #[must_use]
    pub fn without(self, order: OrderId) -> Self {
        Self { live: self.live.filter(|live| *live != order), ..self }
    }
}

/// Why a grant is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum GrantBlock {
    /// The order is not known to WeChat Pay, or it is paid, closed or over.
    #[error("the order does not wait for its payment")]
    NotPending,
    /// What it buys is not yuan.
    #[error("only an order for yuan can be lent on")]
    NotMoney,
    /// The payer did not say to have paid.
    #[error("the payer has not claimed to have paid")]
    Unclaimed,
    /// There is one already.
    #[error("an earlier grant is not resolved yet")]
    Live,
    /// There were enough today.
    #[error("no more grants today")]
    TooMany,
    /// An earlier one was used and never paid.
    #[error("an earlier grant was used and never paid: none until an order is paid")]
    Barred,
    /// The account is watched.
    #[error("the account is watched: nothing in advance")]
    Watched,
    /// The policy lends nothing.
    #[error("nothing is lent")]
    Nothing,
}
