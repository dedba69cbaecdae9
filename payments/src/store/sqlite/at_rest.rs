//! The files as somebody else finds them: read beside their writer, or kept from everybody while they are copied.

use std::{fs::File, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, lock, open_file, readers::Snapshot, schema};
use crate::store::query::{Query, ReadError};

/// Opens the books of a folder for reading only. The writer, if there is one, goes on.
pub(in crate::store) fn read_only(folder: &Path) -> Result<Connection, OpenError> {
    let ledger = folder.join("ledger.db");
    if !ledger.is_file() {
        return Err(OpenError::NoBooks(folder.to_owned()));
    }
    let connection = Connection::open_with_flags(
        &ledger,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    schema::must_be_current(&connection)?;
    let receipts = folder.join("receipts.db");
    connection.execute("ATTACH DATABASE ?1 AS receipts", [receipts.to_string_lossy()])?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Runs a reading on one snapshot.
pub(in crate::store) fn on_snapshot<T>(
    connection: &Connection,
    reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let snapshot = connection.unchecked_transaction()?;
    reading(&mut Snapshot(&snapshot))
}

/// Books that nobody serves from, and nobody can while this lives.
pub(in crate::store) struct AtRest {
    pub(in crate::store) connection: Connection,
    _lock: FolderLock,
}

/// Takes the books of a folder for oneself, brought to this program's schema.
pub(in crate::store) fn at_rest(folder: &Path) -> Result<AtRest, OpenError> {
    if !folder.join("ledger.db").is_file() {
        return Err(OpenError::NoBooks(folder.to_owned()));
    }
    let lock = FolderLock::take(folder)?;
    schema::migrate_ledger(&mut open_file(&folder.join("ledger.db"), "FULL")?)?;
    schema::migrate_receipts(&mut open_file(&folder.join("receipts.db"), "NORMAL")?)?;
    Ok(AtRest { connection: read_only(folder)?, _lock: lock })
}

/// A store's folder, for one process alone.
#[derive(Debug)]
pub struct FolderLock(#[allow(dead_code, reason = "held, never read")] File);

impl FolderLock {
    /// Takes it; given back when dropped.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has it; [`OpenError::Folder`] if there is no such folder.
    pub fn take(folder: &Path) -> Result<Self, OpenError> {
        lock(folder).map(Self)
    }
}
