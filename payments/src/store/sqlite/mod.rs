//! The embedded engine: SQLite in WAL with `synchronous=FULL`, one writer thread, readers on connections of their own.

mod at_rest;
mod engine;
mod readers;
mod schema;
#[cfg(test)]
mod written;

use std::{
    fs::{File, Permissions, TryLockError},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

pub use self::at_rest::FolderLock;
pub use self::schema::MigrateError;
pub(super) use self::{
    at_rest::{at_rest, on_snapshot, read_only},
    readers::Readers,
};
#[cfg(test)]
pub(super) use self::{
    engine::{bind, books_in_memory, value},
    schema::migrated_in_memory,
};
use super::{
    Store,
    handle::{self, QUEUE},
    lane::Lane,
};
use crate::{admission::Admission, journal::Journal};

/// A file that says that the books of this folder go on elsewhere: two that differ would both be wrong.
pub(in crate::store) const MOVED: &str = "moved";

/// Where the store lives and what it reports to.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// A folder of its own, on a local disk.
    pub folder: PathBuf,
    /// Told of every committed change of a balance.
    pub admission: Arc<Admission>,
    /// Told of every hold whose end is committed.
    pub journal: Arc<Journal>,
}

/// Why a store does not open. Nothing is served then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another tollgate process", .0.display())]
    InUse(PathBuf),
    /// There is nothing of ours in it.
    #[error("{} holds no books", .0.display())]
    NoBooks(PathBuf),
    /// Its books were moved elsewhere and go on there.
    #[error(
        "the books in {} were moved to PostgreSQL: set `store.url`; to serve from the folder again, remove its file `{MOVED}`",
        .0.display()
    )]
    Moved(PathBuf),
    /// The folder cannot be used.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not of a schema this program can use.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// SQLite failed.
    #[error("the ledger's file cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite did not take a setting that money depends on.
    #[error("SQLite runs with {pragma} = {found}, {wanted} is needed")]
    Pragma {
        /// Which.
        pragma: &'static str,
        /// What it says.
        found: String,
        /// What it must say.
        wanted: &'static str,
    },
}

impl Store {
    /// Opens or creates the store, takes its lock and begins a new epoch.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed unless a migration ran.
    pub fn open(settings: StoreSettings) -> Result<Self, OpenError> {
        let folder = &settings.folder;
        let in_folder = |source| OpenError::Folder { path: folder.clone(), source };
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        if folder.join(MOVED).exists() {
            return Err(OpenError::Moved(folder.clone()));
        }
        let lock = lock(folder)?;
        let mut ledger = open_file(&folder.join("ledger.db"), "FULL")?;
        schema::migrate_ledger(&mut ledger)?;
        let mut receipts = open_file(&folder.join("receipts.db"), "NORMAL")?;
        schema::migrate_receipts(&mut receipts)?;
        let epoch = engine::next_epoch(&mut ledger)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let keys = watch::Sender::new(0);
        let keys_changed = keys.subscribe();
        let engine = engine::Sqlite::new(ledger, receipts)?;
        let lane = Lane { engine, admission: settings.admission, journal: settings.journal, keys };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || {
                // The lock lives as long as the writer: no second process may write while this one can.
                let _lock = lock;
                lane.run(jobs);
            })
            .map_err(in_folder)?;
        let readers = handle::Readers::Sqlite(Arc::new(Readers::new(folder.clone())));
        Ok(Self { queue, readers, keys_changed, epoch, thread: Arc::new(Mutex::new(Some(thread))) })
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let in_folder = |source| OpenError::Folder { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(in_folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(in_folder(source)),
    }
}

fn open_file(path: &Path, synchronous: &'static str) -> Result<Connection, OpenError> {
    let is_new = !path.exists();
    let connection = Connection::open(path)?;
    if is_new {
        // Whose money it is, is nobody else's business. It is empty yet, and SQLite gives its -wal and -shm what the file has.
        let ours = |source| OpenError::Folder { path: path.to_owned(), source };
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(ours)?;
    }
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    // A setting that money depends on is read back: SQLite ignores what it cannot do.
    let says = |pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
    };
    let wanted = [
        ("journal_mode", "wal", "wal"),
        ("synchronous", if synchronous == "FULL" { "2" } else { "1" }, synchronous),
        ("foreign_keys", "1", "ON"),
    ];
    for (pragma, value, wanted) in wanted {
        let found = match says(pragma)? {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if found != value {
            return Err(OpenError::Pragma { pragma, found, wanted });
        }
    }
    Ok(connection)
}

/// True if somebody holds the store's lock: another process serves from it.
///
/// # Errors
/// [`OpenError`] if the folder cannot be looked into.
pub fn is_in_use(folder: &Path) -> Result<bool, OpenError> {
    if !folder.join("lock").exists() {
        return Ok(false);
    }
    match lock(folder) {
        Ok(_) => Ok(false),
        Err(OpenError::InUse(_)) => Ok(true),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_on_the_machine_reads_the_books() {
        let folder = tempfile::tempdir().unwrap();
        let books = open_file(&folder.path().join("ledger.db"), "FULL").unwrap();
        books.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
