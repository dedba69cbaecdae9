//! What is seen of the answers that nodes share.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Whether Redis is there, what went into it, and what did not come out.
#[derive(Debug, Clone)]
pub struct SharedCacheMetrics {
    up: IntGauge,
    writes: IntCounterVec,
    unreadable: IntCounter,
}

/// What came of an answer that was to be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// It is in Redis.
    Done,
    /// Too many others were to be written before it.
    Full,
    /// Redis was away.
    Away,
    /// Redis does not take it: its memory is full, or nothing may be written there.
    Refused,
    /// It is larger, as it is written, than an answer may be.
    Large,
}

impl Write {
    const ALL: [Self; 5] = [Self::Done, Self::Full, Self::Away, Self::Refused, Self::Large];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Full => "full",
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Large => "large",
        }
    }
}

impl SharedCacheMetrics {
    /// In `registry`.
    ///
    /// # Errors
    /// If it has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let up = IntGauge::new(
            "tollgate_cache_redis_up",
            "1 while answers are looked up in Redis, 0 while each node has its own only.",
        )?;
        let opts = Opts::new(
            "tollgate_cache_redis_writes_total",
            "Answers that were to be written to Redis, by what came of it: all but `done` were dropped.",
        );
        let writes = IntCounterVec::new(opts, &["result"])?;
        let unreadable = IntCounter::new(
            "tollgate_cache_redis_unreadable_total",
            "Values found in Redis that no node with this secret and version has written there.",
        )?;
        registry.register(Box::new(up.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(unreadable.clone()))?;
        // A counter that is there from the beginning is one whose first step is seen.
        for result in Write::ALL {
            writes.with_label_values(&[result.as_str()]);
        }
        Ok(Self { up, writes, unreadable })
    }

    pub(super) fn is_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    pub(super) fn wrote(&self, result: Write) {
        self.writes.with_label_values(&[result.as_str()]).inc();
    }

    pub(super) fn unreadable(&self) {
        self.unreadable.inc();
    }
}
