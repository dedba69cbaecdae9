//! Answers in this process's memory, bounded by their bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::Expiry;

use super::{CacheKey, CacheMetrics, Entry, Later, Shelf};

/// See the module.
#[derive(Debug, Clone)]
pub struct LocalShelf {
    entries: moka::sync::Cache<CacheKey, Kept>,
    metrics: CacheMetrics,
}

#[derive(Debug, Clone)]
struct Kept {
    entry: Arc<Entry>,
    ttl: Duration,
}

/// Each for as long as it was kept for. The clock that readers ask may go faster; they look themselves.
struct ByItsTtl;

impl Expiry<CacheKey, Kept> for ByItsTtl {
    fn expire_after_create(&self, _: &CacheKey, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &CacheKey,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl LocalShelf {
    /// Of at most `bytes_max` bytes; those that are used least go first.
    pub fn new(bytes_max: u64, metrics: CacheMetrics) -> Self {
        let weigher = |_: &CacheKey, kept: &Kept| u32::try_from(kept.entry.bytes()).unwrap_or(u32::MAX);
        let entries = moka::sync::Cache::builder()
            .max_capacity(bytes_max)
            .weigher(weigher)
            .expire_after(ByItsTtl)
            .build();
        Self { entries, metrics }
    }
}

impl Shelf for LocalShelf {
    fn place(&self) -> &'static str {
        "local"
    }

    fn get(&self, key: CacheKey) -> Later<'_, Option<Arc<Entry>>> {
        let found = self.entries.get(&key).map(|kept| kept.entry);
        Box::pin(std::future::ready(found))
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        self.entries.insert(key, Kept { entry, ttl });
        self.entries.run_pending_tasks();
        self.metrics.holds(self.entries.entry_count(), self.entries.weighted_size());
    }
}
