//! What is seen of the limits that nodes count together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prometheus::{IntCounter, IntGauge, Registry};

/// Whether Redis is there, and what went on without it.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    up: IntGauge,
    alone: IntCounter,
    lost: IntCounter,
    known: Arc<AtomicBool>,
}

impl LimitMetrics {
    /// In `registry`.
    ///
    /// # Errors
    /// If it has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let up = IntGauge::new(
            "tollgate_limits_redis_up",
            "1 while limits are counted together in Redis, 0 while each node keeps its share.",
        )?;
        let alone = IntCounter::new(
            "tollgate_limits_alone_total",
            "Decisions about limits that were made without Redis because it was away.",
        )?;
        let lost = IntCounter::new(
            "tollgate_limits_ends_lost_total",
            "Ended calls whose tokens were not put right in Redis.",
        )?;
        registry.register(Box::new(up.clone()))?;
        registry.register(Box::new(alone.clone()))?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Self { up, alone, lost, known: Arc::default() })
    }

    /// Whether it was ever known to be there, or to be away.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn is_up(&self, is_up: bool) {
        self.known.store(true, Ordering::Release);
        self.up.set(i64::from(is_up));
    }

    pub(super) fn counted_alone(&self) {
        self.alone.inc();
    }

    pub(super) fn end_lost(&self) {
        self.lost.inc();
    }
}
