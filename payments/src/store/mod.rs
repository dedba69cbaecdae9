//! Store: how is a batch of commands loaded, written and made durable? Decides nothing.
//!
//! One code path for every engine: load the rows the commands name, let [`crate::ledger::decide`] decide each in
//! order, write the changed rows once each, commit, and only then answer. [`Store`] is the SQLite engine, the default;
//! [`memory`] is the reference the others are tested against; PostgreSQL will stand beside them.

pub mod batch;
pub mod memory;
mod sqlite;

pub use batch::{Applied, Outcome, apply};
pub use sqlite::{
    Balance, Findings, MigrateError, OpenError, PriceVersionHead, Receipt, Slot, Store, StoreSettings, Submission, SubmitError,
    TrialBalanceLine, Waiting, is_in_use,
};
