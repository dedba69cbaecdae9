//! Redis link: is the Redis there that nodes share, and does anybody wait for it?
//!
//! No call does, beyond its own patience: the first that waited in vain sends all others past it, until whoever works beside
//! the calls has found it again. Knows nothing of what is asked there; `limits` and `cache` have a link each.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{
    Client, ErrorKind, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{sync::Notify, time::Instant};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// After so long an answer counts as lost, whoever still waits for it.
const RESPONSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks at whether it is there again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long somebody may wait who works beside the calls.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// A way to one Redis, and whether it is worth asking.
pub struct RedisLink {
    redis: ConnectionManager,
    is_up: AtomicBool,
    lost: Notify,
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It may come yet, and nobody waits for it.
    #[error("no answer in time")]
    Late,
    /// It is an error, or the connection is lost.
    #[error("{0}")]
    Failed(#[from] RedisError),
}

impl Unanswered {
    /// The word that Redis begins its refusal with, such as `WRONGTYPE` or `OOM`: it is there, and answered in time. None
    /// where it did not answer.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Failed(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                error.code()
            }
            Self::Failed(_) | Self::Late => None,
        }
    }
}

impl RedisLink {
    /// To the Redis at `url`, which is not asked yet and counts as away until it was [`found`](Self::found).
    ///
    /// # Errors
    /// If `url` is none.
    pub fn open(url: &str) -> RedisResult<Self> {
        // Whoever works beside the calls tries again; a call has no time for it.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(RESPONSE_MAX));
        let redis = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Self { redis, is_up: AtomicBool::new(false), lost: Notify::new() })
    }

    /// What commands are sent on.
    pub fn connection(&self) -> ConnectionManager {
        self.redis.clone()
    }

    /// Whether it is worth asking.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Notes that it does not answer, and wakes who looks for it. True for the first who finds out.
    pub fn lost(&self) -> bool {
        let was_up = self.is_up.swap(false, Ordering::AcqRel);
        if was_up {
            self.lost.notify_one();
        }
        was_up
    }

    /// Notes that it answers. True where it was away.
    pub fn found(&self) -> bool {
        !self.is_up.swap(true, Ordering::AcqRel)
    }

    /// Returns once it is [`lost`](Self::lost).
    pub async fn until_lost(&self) {
        self.lost.notified().await;
    }

    /// When to look at it again: after `every` while it is there, soon while it is not.
    pub fn next_look(&self, every: Duration) -> Instant {
        Instant::now() + if self.is_up() { every } else { LOOK_EVERY }
    }
}

/// Waits for what was asked, and no longer than `patience`.
///
/// # Errors
/// [`Unanswered`].
pub async fn answered<T>(
    patience: Duration,
    asking: impl Future<Output = RedisResult<T>>,
) -> Result<T, Unanswered> {
    match tokio::time::timeout(patience, asking).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Unanswered::Late),
    }
}
