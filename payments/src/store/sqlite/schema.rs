//! Which tables are there? Forward-only migrations; the number of those applied is SQLite's `user_version`.

use rusqlite::{Connection, TransactionBehavior};

/// Each entry takes the schema one version up. Never edit one that was released: add the next.
const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
    include_str!("v8.sql"),
];

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
    /// Written by an earlier program, and only looked at now.
    #[error(
        "the file has schema version {found}, this program reads {known}: serving from it once brings it up"
    )]
    TooOld {
        /// The file's.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Says whether the ledger's file can be read as it is.
pub(super) fn must_be_current(db: &Connection) -> Result<(), MigrateError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let (found, known) = (usize::try_from(found).unwrap_or(0), MIGRATIONS.len());
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(MigrateError::TooOld { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(MigrateError::TooNew { found, known }),
    }
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

/// Empty books that no file keeps.
#[cfg(test)]
pub(in crate::store) fn migrated_in_memory() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    migrate_ledger(&mut db).unwrap();
    db
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_of_schema_5_keep_their_balances_and_what_is_held_stays_with_the_holds() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &MIGRATIONS[..5]).unwrap();
        db.execute_batch(
            "INSERT INTO wallet (account, asset, posted, held, version, lines, moved_at)
             VALUES ('a', 'CNY', 90, 30, 7, 3, 11), ('a', 'TOK:t', 8, 0, 1, 2, 12), ('b', 'CNY', 0, 0, 0, 0, 0)",
        )
        .unwrap();
        migrate_ledger(&mut db).unwrap();
        let mut statement = db.prepare("SELECT * FROM wallet ORDER BY account, asset").unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, [row.get(2)?, row.get(3)?, row.get(4)?]))
        };
        let rows: Vec<(String, String, [i64; 3])> =
            statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
        let expected = [("a", "CNY", [90, 3, 11]), ("a", "TOK:t", [8, 2, 12]), ("b", "CNY", [0, 0, 0])];
        assert_eq!(rows, expected.map(|(account, asset, is)| (account.to_owned(), asset.to_owned(), is)));
        let wrong = db.execute("UPDATE wallet SET posted = -1 WHERE account = 'b'", []);
        assert!(wrong.is_err(), "a balance is never below zero");
    }
}
