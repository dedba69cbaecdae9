//! Requests to refund and the items they are made of.

use serde::{Deserialize, Serialize};
use units::{AccountId, Fen, OrderId, RefundBatchId, RefundId, Timestamp};

use super::{Actor, entry::words};

words! {
    /// Where a request to refund stands. It begins reserved: what was only asked for leaves no row.
    RefundBatchState {
        /// Its money is set aside, its numbers are assigned; it is more than a customer gets back unseen, and nothing is sent
        /// before an operator agrees.
        Waiting = "waiting",
        /// Its money is set aside, its numbers are assigned; nothing was sent.
        Reserved = "reserved",
        /// Items are waiting or under way, and at least one was sent.
        Running = "running",
        /// Every item arrived.
        Done = "done",
        /// Some items did not.
        Partial = "partial",
        /// Taken back before anything was sent.
        Cancelled = "cancelled",
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
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// Why, in the words of the operator who asked for it or agreed to it; for us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who agreed, where it took a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Actor>,
    /// Where it stands.
    pub state: RefundBatchState,
    /// Since when.
    pub created_at: Timestamp,
}

words! {
    /// Where one refund item stands.
    RefundItemState {
        /// Its money is reserved; not sent yet.
        Queued = "queued",
        /// Written down as sent; its answer is not here yet.
        Sent = "sent",
        /// Its answer was lost or unclear: WeChat Pay is asked before anything is sent again.
        Unknown = "unknown",
        /// The merchant's balance did not cover it: the same number again, later.
        Wait = "wait",
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

impl RefundItemState {
    /// The word that customers are shown.
    pub const fn public(self) -> &'static str {
        match self {
            Self::Unknown | Self::Wait => Self::Sent.as_str(),
            other => other.as_str(),
        }
    }

    /// True where nothing follows.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Success | Self::Closed | Self::Refused | Self::Cancelled)
    }

    /// True where it was sent and whether WeChat Pay has it is not known: no other refund of the wallet may be sent.
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Sent | Self::Unknown | Self::Wait)
    }
}

/// How much of one line of an order for goods goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRefund {
    /// Its place in the order, from 0.
    pub line: usize,
    /// How much.
    pub amount: Fen,
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
    /// Out of which lot; goods and payments that were put aside lie in none.
    pub lot: Option<String>,
    /// Cash.
    pub amount: Fen,
    /// What it takes out of the lot, in the lot's asset.
    pub units: i64,
    /// Of goods, what of which line goes back.
    #[serde(default)]
    pub lines: Vec<LineRefund>,
    /// WeChat Pay's number of the payment, where it is one that was put aside and not the order's own.
    #[serde(default)]
    pub payment: Option<String>,
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
