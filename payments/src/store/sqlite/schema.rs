//! Which tables are there? Forward-only migrations; the number of those applied is SQLite's `user_version`.

use rusqlite::{Connection, TransactionBehavior};

/// Each entry takes the schema one version up. Never edit one that was released: add the next.
const MIGRATIONS: &[&str] =
    &[include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql"), include_str!("v4.sql")];

/// The receipts' file, likewise.
const RECEIPT_MIGRATIONS: &[&str] = &[include_str!("receipts_v1.sql")];

/// Takes the ledger's file up.
pub(super) fn migrate_ledger(db: &mut Connection) -> Result<(), MigrateError> {
    migrate(db, MIGRATIONS)
}

/// Takes the receipts' file up.
pub(super) fn migrate_receipts(db: &mut Connection) -> Result<(), MigrateError> {
    migrate(db, RECEIPT_MIGRATIONS)
}

/// Why a file cannot be brought to this program's schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Written by a later program.
    #[error("the file has schema version {found}, this program knows up to {known}: use the later program")]
    TooNew {
        /// The file's.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

fn migrate(db: &mut Connection, steps: &[&str]) -> Result<(), MigrateError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(0);
    if found > steps.len() {
        return Err(MigrateError::TooNew { found, known: steps.len() });
    }
    for (index, step) in steps.iter().enumerate().skip(found) {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}
