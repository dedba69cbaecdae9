//! Store: how is a batch of commands loaded, written and made durable? Decides nothing.
//!
//! One code path for every engine: load the rows the commands name ([`fetch`]), let [`crate::ledger::decide`] decide each
//! in order ([`batch`]), write the changed rows once each ([`tables`] says how they stand), commit, and only then answer
//! ([`lane`]). Readings ([`read`]) are written once too. An engine knows how rows travel: [`sqlite`], the default,
//! and [`postgres`], which several nodes may write. [`memory`] is the reference the others are tested against.

pub mod batch;
mod canonical;
mod fetch;
mod handle;
mod lane;
pub mod memory;
mod postgres;
mod query;
mod read;
mod sqlite;
mod tables;
mod value;

pub use batch::{Applied, Outcome, apply};
pub use canonical::StateHash;
pub use handle::{Slot, Store, Submission, SubmitError, Waiting};
pub use lane::Receipt;
pub use postgres::{OpenError as PostgresError, PostgresSettings};
pub use read::{Balance, Findings, PriceVersionHead, TokenBalance, TrialBalanceLine};
pub use sqlite::{MigrateError, OpenError, StoreSettings, is_in_use};
