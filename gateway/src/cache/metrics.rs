//! What is counted of answers that are kept.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::CacheSaid;

/// The families of the exact cache.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    requests: IntCounterVec,
    lookups: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
}

impl CacheMetrics {
    /// Creates and registers the families.
    ///
    /// # Errors
    /// If `registry` has one of them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Calls on routes with an exact cache, by whether they were answered from it.";
        let opts = Opts::new("tollgate_cache_requests_total", help);
        let requests = IntCounterVec::new(opts, &["model", "result"])?;
        registry.register(Box::new(requests.clone()))?;
        let help = "Calls that were looked up, by where their answer was: `local`, `redis`, or `none`.";
        let lookups = IntCounterVec::new(Opts::new("tollgate_cache_lookups_total", help), &["where"])?;
        registry.register(Box::new(lookups.clone()))?;
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let entries = gauge("tollgate_cache_entries", "Answers that this process keeps.")?;
        let bytes = gauge("tollgate_cache_bytes", "Bytes of the answers that this process keeps.")?;
        Ok(Self { requests, lookups, entries, bytes })
    }

    pub(super) fn count(&self, model: &str, said: CacheSaid) {
        self.requests.with_label_values(&[model, said.as_str()]).inc();
    }

    /// Where an answer was; nothing where it was nowhere.
    pub(super) fn found(&self, place: Option<&str>) {
        self.lookups.with_label_values(&[place.unwrap_or("none")]).inc();
    }

    pub(super) fn holds(&self, entries: u64, bytes: u64) {
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
