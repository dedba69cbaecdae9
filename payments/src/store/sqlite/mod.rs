//! The embedded engine: SQLite in WAL with `synchronous=FULL`, one writer thread, readers on connections of their own.
//!
//! The writer takes the first command that waits, and with it whatever queued up while the last flush ran (no timer:
//! the flush is the timer), decides them in order, writes each changed row once, commits, then answers everybody.

mod load;
mod read;
mod read_prices;
mod schema;
mod sql;
mod write;
mod writer;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use units::{AccountId, Timestamp};

use self::writer::{Job, Writer};
pub use self::{
    read::{Balance, Findings, TrialBalanceLine},
    read_prices::PriceVersionHead,
    schema::MigrateError,
    writer::Receipt,
};
use super::Outcome;
use crate::{
    admission::Admission,
    journal::Journal,
    ledger::{Asset, Command, Refusal, Reply},
};

/// Commands that may wait for the writer. Beyond it, callers are told "busy" before anything is held.
const QUEUE: usize = 8_192;
/// Places that [`Store::reserve`] leaves free: however many calls are open, payments still find room.
const HEADROOM: usize = 256;
/// Reading connections at once.
const READERS: usize = 4;

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

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The ledger says no. Trying again will not help until something else changes.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue is full; nothing happened.
    #[error("the ledger is busy")]
    Busy,
    /// The store has stopped; whether the command was written, a restart will tell.
    #[error("the ledger has stopped: {0}")]
    Stopped(String),
}

/// A committed outcome on its way.
#[derive(Debug)]
pub struct Waiting(oneshot::Receiver<Outcome>);

impl Waiting {
    /// Resolves when the command is on disk.
    ///
    /// # Errors
    /// [`SubmitError`] if it was refused or the store stopped.
    pub async fn committed(mut self) -> Result<Reply, SubmitError> {
        self.outcome().await
    }

    /// The same, to be given up and taken up again; asked again once it has resolved, it panics.
    pub(crate) async fn outcome(&mut self) -> Result<Reply, SubmitError> {
        match (&mut self.0).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(SubmitError::Stopped("the writer ended".to_owned())),
        }
    }
}

/// A command with what memory already took for it.
#[derive(Debug)]
pub struct Submission {
    /// What is asked.
    pub command: Command,
    /// What admission took on its behalf: given back as far as the command does not use it.
    pub taken: Vec<(AccountId, Asset, i64)>,
    /// Kept beside the ledger.
    pub receipt: Option<Receipt>,
}

impl From<Command> for Submission {
    fn from(command: Command) -> Self {
        Self { command, taken: Vec::new(), receipt: None }
    }
}

/// A place in the writer's queue that is kept free for one command: a settlement that must not be turned away.
#[derive(Debug)]
pub struct Slot(mpsc::OwnedPermit<Job>);

impl Slot {
    /// Queues the command; never waits, never fails.
    pub fn send(self, submission: Submission) -> Waiting {
        let (done, waiting) = oneshot::channel();
        self.0.send(Job::Command { submission: Box::new(submission), done });
        Waiting(waiting)
    }
}

/// The embedded store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    queue: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    keys_changed: watch::Receiver<u64>,
    epoch: i64,
    thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
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
        let lock = lock(folder)?;
        let mut ledger = open_file(&folder.join("ledger.db"), "FULL")?;
        schema::migrate_ledger(&mut ledger)?;
        let mut receipts = open_file(&folder.join("receipts.db"), "NORMAL")?;
        schema::migrate_receipts(&mut receipts)?;
        let epoch = writer::next_epoch(&mut ledger)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let keys = watch::Sender::new(0);
        let keys_changed = keys.subscribe();
        let writer = Writer::new(ledger, receipts, settings.admission, settings.journal, keys)?;
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || {
                // The lock lives as long as the writer: no second process may write while this one can.
                let _lock = lock;
                writer.run(jobs);
            })
            .map_err(in_folder)?;
        let readers = Arc::new(Readers::new(folder.clone()));
        Ok(Self { queue, readers, keys_changed, epoch, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Which run of the process this is; holds carry it, so that a later run knows which are orphans.
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Carries out a command and waits until it is on disk, waiting for room in the queue if need be.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        self.submit_with(command.into()).await
    }

    /// The same for a command on whose behalf memory took something.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit_with(&self, submission: Submission) -> Result<Reply, SubmitError> {
        self.slot().await?.send(submission).committed().await
    }

    /// Waits for a place in the queue.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn slot(&self) -> Result<Slot, SubmitError> {
        self.queue.clone().reserve_owned().await.map(Slot).map_err(|_| stopped())
    }

    /// Keeps a place in the queue, if there is one.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when the queue is full.
    pub fn reserve(&self) -> Result<Slot, SubmitError> {
        if self.queue.capacity() <= HEADROOM && self.is_running() {
            return Err(SubmitError::Busy);
        }
        self.queue.clone().try_reserve_owned().map(Slot).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }

    /// Brings a balance into admission, in order with the commits.
    ///
    /// # Errors
    /// [`SubmitError`] if the store has stopped or is busy.
    pub async fn load_balance(&self, account: AccountId, asset: Asset) -> Result<(), SubmitError> {
        let (done, loaded) = oneshot::channel();
        self.queue.send(Job::LoadBalance { account, asset, done }).await.map_err(|_| stopped())?;
        loaded.await.map_err(|_| stopped())
    }

    /// Resolves when everything queued before is on disk: for a reader who must see its own writes.
    ///
    /// # Errors
    /// [`SubmitError`] if the store has stopped.
    pub async fn flushed(&self) -> Result<(), SubmitError> {
        let (done, passed) = oneshot::channel();
        self.queue.send(Job::Barrier(done)).await.map_err(|_| stopped())?;
        passed.await.map_err(|_| stopped())
    }

    /// Changes whenever an API key was added or revoked; the number says nothing.
    pub fn keys_changed(&self) -> watch::Receiver<u64> {
        self.keys_changed.clone()
    }

    /// False once the writer has stopped, which only a failing disk makes it do.
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Resolves when the writer has stopped.
    pub async fn stopped(&self) {
        self.queue.closed().await;
    }

    /// Writes what is queued, closes the files and gives the lock back. Clones can submit nothing after it.
    pub async fn close(self) {
        // A full queue or a stopped writer both mean that the writer ends by itself once the senders are gone.
        let _ = self.queue.send(Job::Stop).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Runs a read-only query on a connection of its own.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SubmitError> {
        let readers = self.readers.clone();
        let Ok(_turn) = readers.turns.acquire().await else { return Err(stopped()) };
        let pool = self.readers.clone();
        let result = tokio::task::spawn_blocking(move || pool.with(query)).await;
        match result {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(SubmitError::Stopped(format!("the ledger cannot be read: {error}"))),
            Err(error) => Err(SubmitError::Stopped(error.to_string())),
        }
    }
}

fn stopped() -> SubmitError {
    SubmitError::Stopped("the writer ended".to_owned())
}

/// Connections for reading, made when needed and kept.
#[derive(Debug)]
struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

impl Readers {
    fn new(folder: PathBuf) -> Self {
        Self { folder, idle: Mutex::new(Vec::new()), turns: Semaphore::new(READERS) }
    }

    fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(self.folder.join("ledger.db"), flags)?;
                connection.busy_timeout(Duration::from_secs(5))?;
                let receipts = self.folder.join("receipts.db");
                connection.execute("ATTACH DATABASE ?1 AS receipts", [receipts.to_string_lossy()])?;
                connection
            }
        };
        let found = query(&connection)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(found)
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
    let connection = Connection::open(path)?;
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

/// Microseconds of a stored time.
pub(super) const fn micros(at: Timestamp) -> i64 {
    at.0
}
