//! Channel: is this notice genuine? What do we send? Bytes in, bytes out.
//!
//! What a payment channel is for the rest of the crate: orders and refunds to ask for, states to hear about, and
//! errors that say what may be done next. Speaks to a [`Transport`](crate::transport::Transport) it is given; knows
//! neither HTTP servers nor the ledger. Nothing here decides a credit: the caller compares every value it is handed
//! with the order it has stored.

mod error; // what went wrong, and what may be done about it
mod refund; // money on its way back
mod trade; // money on its way in
pub mod wechat; // the one channel there is

pub use error::{ChannelError, VerifyError};
pub use refund::{NewRefund, RefundReport, RefundState};
pub use trade::{Accepted, NewOrder, Prepaid, Trade, TradeState, Way};

/// What is to be done about somebody, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct RiskWarning {
    /// Whom it is about: `account`, `agent` or `merchant`.
    pub scope: String,
    /// Which.
    pub id: String,
    /// What is to be done: `slow`, `stop`, or `clear`.
    pub level: String,
    /// Why.
    pub reason: String,
}

/// What a channel tells us unasked. Genuine (signed and decrypted), but not yet compared with anything of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// About a payment. The event's name promises a success; only [`Trade::state`] says whether there was one.
    Paid {
        /// The channel's id of this event; a repeat may carry the same or another one.
        event_id: String,
        /// The payment as the channel sees it.
        trade: Trade,
    },
    /// About a refund, perhaps one that was started in the channel's own console.
    Refund {
        /// The channel's id of this event.
        event_id: String,
        /// Whose refund: to be compared by the caller.
        mchid: String,
        /// The refund as the channel sees it.
        report: RefundReport,
    },
    /// The channel's risk control warns of somebody. What is in it is the product's own agreement with its simulator: the real
    /// one is nowhere published.
    Risk {
        /// The channel's id of this event.
        event_id: String,
        /// Whose warning: to be compared by the caller.
        mchid: String,
        /// What it says.
        warning: RiskWarning,
    },
    /// About something this product does not use: acknowledge it and write it down.
    Other {
        /// The channel's id of this event.
        event_id: String,
        /// The channel's name of the event.
        event_type: String,
    },
}

impl Notice {
    /// The channel's id of the event.
    pub fn event_id(&self) -> &str {
        match self {
            Self::Paid { event_id, .. }
            | Self::Refund { event_id, .. }
            | Self::Risk { event_id, .. }
            | Self::Other { event_id, .. } => event_id,
        }
    }
}
