//! May an answer be given again, for how long, and at which price?

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use units::Percent;

use crate::{KeyPath, Problems};

/// Nobody wants an answer of last week.
const TTL_SECS_MAX: u64 = 604_800;
/// Less than this holds nothing.
const BYTES_MIN: u64 = 65_536;

/// The exact cache of a route: what was answered is answered again to the same account, if the call is the same.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRouteCache {
    /// Seconds that an answer is given again: up to a week.
    pub ttl_secs: u64,
    /// What such an answer costs, in per cent of the price of the same usage: 0 to 100. Each rate is rounded down to the
    /// nano-yuan per token.
    pub price_percent: u64,
    /// True keeps answers to every call. Otherwise those to calls with tools or pictures, with several answers, or with a
    /// temperature that is not written as 0 are kept only where the caller asks for it (`x-tollgate-cache: use`).
    pub any: bool,
}

impl Default for RawRouteCache {
    fn default() -> Self {
        Self { ttl_secs: 300, price_percent: 10, any: false }
    }
}

/// A checked [`RawRouteCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteCache {
    /// How long an answer is given again.
    pub ttl: Duration,
    /// What it costs then, of the price of the same usage.
    pub price: Percent,
    /// Whether calls are kept that need not be answered the same way twice.
    pub any: bool,
}

impl RawRouteCache {
    pub(crate) fn check(&self, path: &KeyPath, problems: &mut Problems) -> Option<RouteCache> {
        if !(1..=TTL_SECS_MAX).contains(&self.ttl_secs) {
            problems.add(path.key("ttl_secs"), format!("must be from 1 to {TTL_SECS_MAX}"));
        }
        let price = problems.catch(path.key("price_percent"), Percent::new(self.price_percent))?;
        Some(RouteCache { ttl: Duration::from_secs(self.ttl_secs), price, any: self.any })
    }
}

/// Where the exact caches of all routes keep answers, and how much.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCache {
    /// Bytes that all answers kept by this process take; those used least are thrown away.
    pub bytes_max: u64,
    /// Bytes of the largest answer that is kept.
    pub entry_bytes_max: u64,
    /// A Redis in which several nodes share answers: `redis://cache.example.com/0`, `rediss://` for TLS, or where its URL is
    /// kept: `env:NAME` or `file:PATH`. Each node keeps its own only where absent.
    pub redis: Option<String>,
    /// Milliseconds that a call waits for that Redis before it is answered as if nothing were kept there.
    pub redis_ms_max: u64,
}

impl Default for RawCache {
    fn default() -> Self {
        let CacheBounds { bytes_max, entry_bytes_max } = CacheBounds::default();
        Self { bytes_max, entry_bytes_max, redis: None, redis_ms_max: 50 }
    }
}

/// A checked [`RawCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBounds {
    /// Bytes that all answers kept by this process take.
    pub bytes_max: u64,
    /// Bytes of the largest answer that is kept.
    pub entry_bytes_max: u64,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self { bytes_max: 67_108_864, entry_bytes_max: 1_048_576 }
    }
}

impl RawCache {
    pub(crate) fn check(&self, problems: &mut Problems) -> CacheBounds {
        let path = KeyPath::new("cache");
        if self.bytes_max < BYTES_MIN {
            problems.add(path.key("bytes_max"), format!("must be at least {BYTES_MIN}"));
        }
        if self.entry_bytes_max == 0 || self.entry_bytes_max > self.bytes_max {
            problems.add(path.key("entry_bytes_max"), "must be from 1 to `bytes_max`");
        }
        CacheBounds { bytes_max: self.bytes_max, entry_bytes_max: self.entry_bytes_max }
    }
}
