//! Payments that agree with no order lie in suspense until a person has decided.

use serde::{Deserialize, Serialize};
use units::{AccountId, Fen, OrderId, RefundBatchId, RefundId, Timestamp};

use super::{Asset, entry::words};

words! {
    /// Where a payment that was put aside stands.
    SuspenseState {
        /// A person has to decide.
        Open = "open",
        /// It was credited after all.
        Credited = "credited",
        /// It is on its way back.
        Refunding = "refunding",
        /// It went back.
        Refunded = "refunded",
    }
}

/// A payment that was put aside, once per number of WeChat Pay's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensePayment {
    /// WeChat Pay's number of the payment.
    pub transaction_id: String,
    /// The order it named.
    pub order: OrderId,
    /// What was paid, as WeChat Pay says.
    pub amount: Fen,
    /// Who paid.
    pub payer: Option<String>,
    /// When.
    pub paid_at: Timestamp,
    /// What does not agree.
    pub difference: String,
    /// Where it stands.
    pub state: SuspenseState,
    /// Since when it is here.
    pub created_at: Timestamp,
}

words! {
    /// What a person decides about an order under review.
    Verdict {
        /// The payment counts: what was paid is credited.
        Credit = "credit",
        /// The payment goes back whole.
        Void = "void",
    }
}

/// A person's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// About which order.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The balance it would fill.
    pub asset: Asset,
    /// Which payment; absent where none was booked, because its amount is unknown or belongs to another order.
    pub transaction_id: Option<String>,
    /// What is decided.
    pub verdict: Verdict,
    /// An id for the request to refund, if it comes to one.
    pub batch: RefundBatchId,
    /// An id for its item.
    pub item: RefundId,
}
