//! The store as its users see it: submit commands, read, wait, close. Cheap to clone.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use units::AccountId;

use super::{
    Outcome,
    lane::{Job, Receipt},
    postgres,
    query::{Query, ReadError},
    sqlite,
};
use crate::ledger::{Asset, Command, Refusal, Reply};

/// Commands that may wait for the writer. Beyond it, callers are told "busy" before anything is held.
pub(super) const QUEUE: usize = 8_192;
/// Places that [`Store::reserve`] leaves free: however many calls are open, payments still find room.
const HEADROOM: usize = 256;

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

/// The books. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) queue: mpsc::Sender<Job>,
    pub(super) readers: Readers,
    pub(super) keys_changed: watch::Receiver<u64>,
    pub(super) epoch: i64,
    pub(super) thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

/// Who reads.
#[derive(Debug, Clone)]
pub(super) enum Readers {
    /// From the embedded file.
    Sqlite(Arc<sqlite::Readers>),
    /// From the server.
    Postgres(Arc<postgres::Readers>),
}

impl Store {
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

    /// Brings a balance into admission, in order with the commits; one that is there is brought up to date, behind
    /// everything that was queued before.
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

    /// Which holds' runs are over, if `?1` is ours: where one process writes every earlier one, elsewhere whichever has
    /// no lease any more.
    pub(super) const fn run_is_over(&self) -> &'static str {
        match self.readers {
            Readers::Sqlite(_) => "epoch < ?1",
            Readers::Postgres(_) => {
                "epoch <> ?1 AND NOT EXISTS (SELECT 1 FROM node_lease WHERE node_lease.epoch = hold.epoch AND node_lease.until > now())"
            }
        }
    }

    /// True where other processes may write the same books.
    pub const fn is_shared(&self) -> bool {
        matches!(self.readers, Readers::Postgres(_))
    }

    /// Runs a reading on one snapshot, beside the writer.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, SubmitError> {
        self.readers.read(reading).await
    }
}

impl Readers {
    /// Runs a reading on one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, SubmitError> {
        let result = match self {
            Self::Sqlite(readers) => sqlite::Readers::read(readers.clone(), reading).await,
            Self::Postgres(readers) => postgres::Readers::read(readers.clone(), reading).await,
        };
        result.map_err(|error| SubmitError::Stopped(format!("the ledger cannot be read: {error}")))
    }
}

pub(super) fn stopped() -> SubmitError {
    SubmitError::Stopped("the writer ended".to_owned())
}
