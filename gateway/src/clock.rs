//! What time is it for this process? The machine's time, or in the demo a time that can be moved.

use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use units::{Clock, Timestamp, Wake};

/// The machine's time plus an offset, which only the demo moves: product and simulator then share one clock.
#[derive(Debug)]
pub struct ProcessClock {
    /// Microseconds ahead of the machine; whoever sleeps is woken when it changes.
    offset: watch::Sender<i64>,
}

impl Default for ProcessClock {
    fn default() -> Self {
        Self { offset: watch::Sender::new(0) }
    }
}

impl ProcessClock {
    /// Moves this clock forward and wakes whoever sleeps by it.
    pub fn advance(&self, by_micros: i64) {
        self.offset.send_modify(|offset| *offset = offset.saturating_add(by_micros.max(0)));
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock everybody else is given")]
fn machine_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp(machine_micros().saturating_add(*self.offset.borrow()))
    }

    fn sleep_until(&self, at: Timestamp) -> Wake {
        let mut offset = self.offset.subscribe();
        Box::pin(async move {
            loop {
                let now = Timestamp(machine_micros().saturating_add(*offset.borrow_and_update()));
                let left = at.since(now);
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    changed = offset.changed() => {
                        if changed.is_err() {
                            // Nobody can move it any more.
                            tokio::time::sleep(left).await;
                        }
                    }
                }
            }
        })
    }
}

/// A clock that stands still until a test moves it; whoever sleeps by it sleeps on.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct StillClock(std::sync::atomic::AtomicI64);

#[cfg(test)]
impl StillClock {
    pub(crate) fn at_secs(secs: i64) -> Self {
        Self(Timestamp::from_secs(secs).0.into())
    }

    pub(crate) fn set_secs(&self, secs: i64) {
        self.0.store(Timestamp::from_secs(secs).0, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn forward(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.0.fetch_add(micros, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn sleep_until(&self, _: Timestamp) -> Wake {
        Box::pin(std::future::pending())
    }
}

impl sim::SimClock for ProcessClock {
    fn now_micros(&self) -> i64 {
        self.now().0
    }

    fn advance(&self, by_micros: i64) {
        Self::advance(self, by_micros);
    }

    fn sleep_until_micros(&self, at: i64) -> Wake {
        self.sleep_until(Timestamp(at))
    }
}
