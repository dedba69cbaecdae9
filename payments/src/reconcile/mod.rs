//! Reconcile: do ledger, orders and the channel agree, and what did earlier runs leave open?
//!
//! Speaks to the store and the journal; asks the channel through `topup` and `refund`. The channel's daily bills are
//! read here, and laid against orders and ledger.

pub mod bill; // what the channel says happened
pub mod matching; // what does not agree with it
mod recovery; // what earlier runs left open

pub use recovery::{end_overdue, recover};
