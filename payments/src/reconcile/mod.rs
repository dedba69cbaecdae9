//! Reconcile: do ledger, orders and the channel agree, and what did earlier runs leave open?
//!
//! Speaks to the store and the journal; asks the channel through `topup` and `refund`. Laying the channel's daily bill
//! against the books belongs here too.

mod recovery;

pub use recovery::{end_overdue, recover};
