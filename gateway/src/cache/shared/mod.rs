//! Shared: which answers do nodes have together, in Redis?
//!
//! Every value is sealed (`seal`) and has an end of its own there. A call that looks something up waits no longer than its
//! patience, and not at all while Redis is known to be away; whatever is not found, not readable or not ours was never there.
//! What is to be written waits in a queue, bounded in number and in bytes, for the [`Worker`]; what the queue does not take
//! is not written.

mod metrics; // what is seen of it
mod worker; // what goes on beside the calls

use std::{fmt, sync::Arc, time::Duration};

use redis::RedisResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::metrics::Write;
pub use self::{metrics::SharedCacheMetrics, worker::Worker};
use super::{CacheKey, CacheSecret, Entry, Later, Shelf, seal::Seal, written};
use crate::redis_link::{RedisLink, answered};

/// Answers that wait to be written.
const QUEUE_MAX: usize = 1_024;
/// Bytes of those answers, or one that is as large as any may be.
const QUEUE_BYTES_MAX: usize = 16_777_216;
/// Redis takes no larger value (`proto-max-bulk-len`).
const VALUE_BYTES_MAX: usize = 536_870_912;
/// Before every key.
const PREFIX: &str = "tollgate:cache:";

/// The answers that nodes share.
#[derive(Clone)]
pub struct SharedShelf(Arc<Room>);

struct Room {
    link: RedisLink,
    seal: Seal,
    /// How long a call waits for an answer.
    patience: Duration,
    /// Of a value.
    bytes_max: usize,
    queue: mpsc::Sender<Put>,
    /// Bytes that the queue still takes.
    queue_bytes: Arc<Semaphore>,
    metrics: SharedCacheMetrics,
}

/// What is to be written.
#[derive(Debug)]
struct Put {
    key: CacheKey,
    entry: Arc<Entry>,
    ttl: Duration,
    /// Its bytes, until it is gone.
    _bytes: OwnedSemaphorePermit,
}

impl fmt::Debug for SharedShelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedShelf").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl SharedShelf {
    /// Keeps answers of at most `bytes_max` bytes in the Redis at `url`, which is not asked yet, to be read by who has
    /// `secret`. A call waits for it no longer than `patience`. The worker has to run beside it.
    ///
    /// # Errors
    /// If `url` is none.
    pub fn open(
        url: &str,
        patience: Duration,
        secret: &CacheSecret,
        bytes_max: u64,
        metrics: SharedCacheMetrics,
    ) -> RedisResult<(Self, Worker)> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(VALUE_BYTES_MAX);
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let queue_bytes = QUEUE_BYTES_MAX.max(bytes_max);
        let room = Room {
            link: RedisLink::open(url)?,
            seal: secret.seal(),
            patience,
            bytes_max,
            queue,
            queue_bytes: Arc::new(Semaphore::new(queue_bytes)),
            metrics,
        };
        let shelf = Self(Arc::new(room));
        Ok((shelf.clone(), Worker::new(shelf, waiting)))
    }

    /// Whether it is asked.
    pub fn is_up(&self) -> bool {
        self.0.link.is_up()
    }

    /// Asks for at most a byte more than a value may have: whoever put a giant there does not make us read it.
    async fn value(&self, key: CacheKey) -> Option<Vec<u8>> {
        let room = &*self.0;
        let mut redis = room.link.connection();
        let asked = redis::cmd("GETRANGE").arg(name(key)).arg(0).arg(room.bytes_max).to_owned();
        match answered(room.patience, asked.query_async::<Vec<u8>>(&mut redis)).await {
            Ok(value) => Some(value).filter(|value| !value.is_empty()),
            Err(why) if why.refusal() == Some("WRONGTYPE") => {
                // Somebody put a list or the like there. That says nothing of all the other keys.
                room.metrics.unreadable();
                None
            }
            Err(why) => {
                self.lost(&why);
                None
            }
        }
    }

    fn read(&self, key: CacheKey, value: Vec<u8>) -> Option<Entry> {
        let room = &*self.0;
        let opened = Some(value).filter(|value| value.len() <= room.bytes_max);
        let plain = opened.and_then(|value| room.seal.open(key, value));
        let entry = plain.and_then(|plain| written::read(&plain));
        let entry = entry.filter(|entry| entry.bytes() <= room.bytes_max);
        if entry.is_none() {
            room.metrics.unreadable();
        }
        entry
    }

    /// The answer as it is written; none if it is too large.
    fn written(&self, key: CacheKey, entry: &Entry) -> Option<Vec<u8>> {
        let sealed = self.0.seal.close(key, written::write(entry)?)?;
        Some(sealed).filter(|sealed| sealed.len() <= self.0.bytes_max)
    }

    fn lost(&self, why: &dyn fmt::Display) {
        if self.0.link.lost() {
            self.0.metrics.is_up(false);
            tracing::warn!(%why, "cache: Redis is away; each node has its own answers only");
        }
    }

    fn found(&self) {
        if self.0.link.found() {
            self.0.metrics.is_up(true);
            tracing::info!("cache: answers are shared in Redis");
        }
    }
}

impl Shelf for SharedShelf {
    fn place(&self) -> &'static str {
        "redis"
    }

    fn get(&self, key: CacheKey) -> Later<'_, Option<Arc<Entry>>> {
        Box::pin(async move {
            if !self.is_up() {
                return None;
            }
            let value = self.value(key).await?;
            self.read(key, value).map(Arc::new)
        })
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        let room = &*self.0;
        if !self.is_up() {
            return room.metrics.wrote(Write::Away);
        }
        let bytes = u32::try_from(entry.bytes()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&room.queue_bytes).try_acquire_many_owned(bytes) else {
            return room.metrics.wrote(Write::Full);
        };
        if room.queue.try_send(Put { key, entry, ttl, _bytes: permit }).is_err() {
            room.metrics.wrote(Write::Full);
        }
    }
}

/// Where an answer lies.
fn name(key: CacheKey) -> String {
    format!("{PREFIX}{}", base16ct::lower::encode_string(&key.0))
}
