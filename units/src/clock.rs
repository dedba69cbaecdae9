//! What time is it? Everything asks the clock it was given, so that the demo and the tests can move it.

use std::{future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC. Stored as an integer in every store, so that hashes are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This instant moved later by `by`; saturates at the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How much later this is than `earlier`; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// What [`Clock::sleep_until`] gives back.
pub type Wake = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time that may be moved by whoever owns it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Resolves once [`Clock::now`] has reached `at`, also when the clock is moved there.
    fn sleep_until(&self, at: Timestamp) -> Wake;
}
