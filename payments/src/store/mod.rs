//! Store: how is a batch of commands loaded, written and made durable? Decides nothing.
//!
//! One code path for every engine: load the rows the commands name ([`fetch`]), let [`crate::ledger::decide`] decide each
//! in order ([`batch`]), write the changed rows once each ([`tables`] says how they stand), commit, and only then answer
//! ([`lane`]). Readings ([`read`]) are written once too. An engine knows how rows travel: [`sqlite`], the default,
//! and [`postgres`], which several nodes may write. [`memory`] is the reference the others are tested against.

mod backup;
pub mod batch;
mod canonical;
mod duty;
mod examine;
mod fetch;
mod handle;
mod held;
mod lane;
pub mod memory;
mod postgres;
mod query;
mod read;
#[cfg(test)]
mod scripted;
mod sqlite;
mod tables;
mod transfer;
mod value;

pub use backup::{BackupError, Manifest, back_up, examine_backup, restore};
pub use batch::{Applied, Outcome, apply};
pub use canonical::StateHash;
pub use duty::Duty;
pub use examine::{ExamineError, Examined, examine_folder, examine_postgres};
pub use handle::{Slot, Store, Submission, SubmitError, Waiting};
pub use lane::Receipt;
pub use postgres::{OpenError as PostgresError, PostgresSettings, check_url, names_password};
pub use read::{
    Balance, BookSum, BooksReader, Direction, EndsBeforeItBegins, ExportPage, ExportPlace, Findings, KindSum,
    LaneSeen, LinePlace, NoLinePlace, Period, PriceVersionHead, STATEMENT_LINES_MAX, Statement,
    StatementSums, StatementWish, TokenBalance, TrialBalanceLine,
};
pub(crate) use read::{BillNames, OurSide};
pub use sqlite::{FolderLock, MigrateError, OpenError, StoreSettings, is_in_use};
pub use transfer::{Copied, MoveError, move_to_postgres};
