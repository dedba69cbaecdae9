//! The shared engine: PostgreSQL, written by any number of nodes. The server is the only arbiter, and its clock decides
//! who is alive.
//!
//! A batch is: lock the accounts it names in the order of their ids and load their rows, decide in memory, write the
//! changed rows (one statement a table, whatever the number of rows), commit. No row is shared by accounts that have
//! nothing to do with each other, so nodes wait for each other only where they write the same account.

mod engine;
mod readers;
mod schema;
mod transfer;
mod wire;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use tokio_postgres::Config;

pub(super) use self::{readers::Readers, transfer::Target};
use super::{
    Store,
    handle::{self, QUEUE},
    lane::{Job, Lane},
};
use crate::{admission::Admission, journal::Journal};

/// How often a node shows that it is alive, and looks for keys that others changed.
const BEAT: Duration = Duration::from_millis(500);

/// Where the books are and whom they report to.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgresql://user:password@host/database`; with `sslmode=require` nothing is sent in the clear.
    pub url: String,
    /// What this node calls itself in its lease.
    pub node: String,
    /// Told of every committed change of a balance. [`Admission::shared`].
    pub admission: Arc<Admission>,
    /// Told of every hold whose end is committed.
    pub journal: Arc<Journal>,
}

/// Why the store does not open. Nothing is served then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none.
    #[error("the URL of the PostgreSQL store cannot be read: {0}")]
    Url(String),
    /// The server cannot be reached, or refuses.
    #[error("the PostgreSQL store cannot be opened: {0}")]
    Server(String),
    /// The server does not keep what it acknowledges.
    #[error("PostgreSQL runs with {setting} = {found}: what is acknowledged must survive a power cut")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it says.
        found: String,
    },
    /// There are no books in it.
    #[error("the database holds no books")]
    NoBooks,
    /// Written by an earlier program, and only looked at now.
    #[error("the database has schema {found}, this program reads {known}: serving from it once brings it up")]
    TooOld {
        /// The database's.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Written by a later program.
    #[error("the database has schema {found}, this program knows up to {known}: use the later program")]
    TooNew {
        /// The database's.
        found: i64,
        /// Ours.
        known: i64,
    },
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(wire::in_full(&error))
    }
}

/// Reads a URL as the address of a database.
///
/// # Errors
/// [`OpenError::Url`], without the password.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    config(url).map(drop)
}

/// True where a password stands in the URL itself.
pub fn names_password(url: &str) -> bool {
    config(url).is_ok_and(|config| config.get_password().is_some())
}

fn config(url: &str) -> Result<Config, OpenError> {
    let mut config: Config =
        url.parse().map_err(|error: tokio_postgres::Error| OpenError::Url(wire::in_full(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(OpenError::Url("it names no host".to_owned()));
    }
    config
        .application_name("tollgate")
        .connect_timeout(Duration::from_secs(5))
        .tcp_user_timeout(Duration::from_secs(20));
    Ok(config)
}

/// Somebody who reads a database as it is, and neither migrates it nor begins an epoch.
pub(super) async fn readers_of(url: &str) -> Result<Arc<Readers>, OpenError> {
    let config = config(url)?;
    let client = wire::connect(&config).await?;
    schema::must_be_current(&client).await?;
    Ok(Arc::new(Readers::new(config)))
}

impl Store {
    /// Opens the books on a PostgreSQL server and begins a new epoch of this node.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed unless a migration ran.
    pub async fn open_postgres(settings: PostgresSettings) -> Result<Self, OpenError> {
        Self::open_postgres_waiting(settings, engine::AWAY_MAX).await
    }

    /// The same with a patience of the caller's: how long a server that went away is waited for before the store stops.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed unless a migration ran.
    pub async fn open_postgres_waiting(
        settings: PostgresSettings,
        away_max: Duration,
    ) -> Result<Self, OpenError> {
        settings.journal.hand_on();
        let config = config(&settings.url)?;
        let mut client = wire::connect(&config).await?;
        trustworthy(&client).await?;
        schema::migrate(&mut client).await?;
        let epoch = engine::next_epoch(&mut client, &settings.node).await?;
        drop(client);
        let (queue, jobs) = mpsc::channel(QUEUE);
        let keys = watch::Sender::new(0);
        let keys_changed = keys.subscribe();
        let writing = config.clone();
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || match engine::Postgres::new(writing, epoch, away_max) {
                Ok(engine) => {
                    Lane { engine, admission: settings.admission, journal: settings.journal, keys }.run(jobs);
                }
                Err(error) => tracing::error!(%error, "the ledger's thread cannot begin"),
            })
            .map_err(|error| OpenError::Server(error.to_string()))?;
        beat(queue.downgrade()).map_err(|error| OpenError::Server(error.to_string()))?;
        let readers = handle::Readers::Postgres(Arc::new(Readers::new(config)));
        Ok(Self { queue, readers, keys_changed, epoch, thread: Arc::new(Mutex::new(Some(thread))) })
    }
}

/// Has the writer renew its lease and look for others' changes, until nobody has the store any more.
fn beat(queue: mpsc::WeakSender<Job>) -> std::io::Result<()> {
    let beating = move || {
        loop {
            std::thread::sleep(BEAT);
            // A full queue is a busy writer, who renews the lease with each batch.
            match queue.upgrade().map(|queue| queue.try_send(Job::Beat)) {
                None | Some(Err(mpsc::error::TrySendError::Closed(_))) => return,
                Some(Ok(()) | Err(mpsc::error::TrySendError::Full(_))) => {}
            }
        }
    };
    std::thread::Builder::new().name("ledger-beat".to_owned()).spawn(beating).map(drop)
}

/// Settings that money depends on are read back.
async fn trustworthy(client: &tokio_postgres::Client) -> Result<(), OpenError> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let found: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
        if found == "off" || found == "local" {
            return Err(OpenError::Setting { setting, found });
        }
    }
    Ok(())
}
