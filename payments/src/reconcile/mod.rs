//! Reconcile: do ledger, orders and the channel agree, and what did earlier runs leave open?
//!
//! Speaks to the store and the journal; asks the channel through `topup` and `refund`. The channel's daily bills are
//! read here, laid against orders and ledger, and what was found is written down.

pub mod bill; // what the channel says happened
mod brought; // the bills of a day, and no others
mod confirm; // what the channel says about what does not agree
mod daily; // when it is done by itself
mod date; // when that is
mod fees; // what it keeps
mod flows; // whether its two bills agree
mod found; // what was found, as it is written down
pub mod matching; // what does not agree with us
mod ours; // what we say happened
mod recovery; // what earlier runs left open
mod run; // a day from its bill to the books

pub use date::BillDate;
pub use fees::FeeTiers;
pub use recovery::{end_overdue, recover};
pub use run::{DayReport, Phase, Progress, Reconciler, RunError, RunWish, Watcher};
