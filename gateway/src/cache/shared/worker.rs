//! What goes on beside the calls: answers are written, and a Redis that was away is looked for.

use std::time::Duration;

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{PREFIX, Put, SharedShelf, Write, name};
use crate::redis_link::{PATIENCE, answered};

/// Between two looks at a Redis that is there, so that one which nobody asks is known to be gone.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long what waits may still be written when the process ends.
const END_MAX: Duration = Duration::from_secs(2);

/// Has to run for as long as answers are shared; writes what waits before it stops.
#[derive(Debug)]
pub struct Worker {
    shelf: SharedShelf,
    waiting: mpsc::Receiver<Put>,
}

impl Worker {
    pub(super) const fn new(shelf: SharedShelf, waiting: mpsc::Receiver<Put>) -> Self {
        Self { shelf, waiting }
    }

    /// Looks for Redis once: so that the first call finds it, where it is there.
    pub async fn begin(&self) {
        self.look().await;
        if !self.shelf.is_up() {
            self.shelf.0.metrics.is_up(false);
            tracing::warn!("cache: Redis is not there; each node has its own answers only");
        }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next = Instant::now();
        loop {
            let link = &self.shelf.0.link;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next) => {
                    self.look().await;
                    next = link.next_look(LOOK_EVERY);
                }
                () = link.until_lost() => next = link.next_look(LOOK_EVERY),
                Some(put) = self.waiting.recv() => self.write(put).await,
            }
        }
        let rest = async {
            while let Ok(put) = self.waiting.try_recv() {
                self.write(put).await;
            }
        };
        let _ = tokio::time::timeout(END_MAX, rest).await;
    }

    /// Asks what a call asks, of a key that is none: a Redis that lets nobody read is as good as away.
    async fn look(&self) {
        let mut redis = self.shelf.0.link.connection();
        let asked = redis::cmd("GETRANGE").arg(format!("{PREFIX}look")).arg(0).arg(0).to_owned();
        match answered(PATIENCE, asked.query_async::<Vec<u8>>(&mut redis)).await {
            Ok(_) => self.shelf.found(),
            Err(why) => self.shelf.lost(&why),
        }
    }

    async fn write(&self, put: Put) {
        let result = self.written(&put).await;
        self.shelf.0.metrics.wrote(result);
    }

    async fn written(&self, put: &Put) -> Write {
        if !self.shelf.is_up() {
            return Write::Away;
        }
        let Some(sealed) = self.shelf.written(put.key, &put.entry) else { return Write::Large };
        let ttl_ms = u64::try_from(put.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut redis = self.shelf.0.link.connection();
        let asked = redis::cmd("SET").arg(name(put.key)).arg(sealed).arg("PX").arg(ttl_ms).to_owned();
        match answered(PATIENCE, asked.query_async::<()>(&mut redis)).await {
            Ok(()) => Write::Done,
            Err(why) if why.refusal().is_some() => {
                tracing::debug!(%why, "cache: Redis does not take an answer");
                Write::Refused
            }
            Err(why) => {
                self.shelf.lost(&why);
                Write::Away
            }
        }
    }
}
