//! The layer that `inference` pushes.

use std::sync::Arc;

use tower::Layer;

use super::{Meter, Tails, Till};
use crate::{cache::Cache, chat::TokenPace, telemetry::Metrics};

/// Meters every call.
#[derive(Debug, Clone)]
pub struct MeterLayer {
    pub(super) till: Arc<dyn Till>,
    pub(super) pace: Arc<dyn TokenPace>,
    pub(super) tails: Tails,
    pub(super) metrics: Metrics,
    pub(super) cache: Cache,
}

impl MeterLayer {
    /// Money from `till`, tokens per minute from `pace`; calls without a client end on `tails`. What `cache` keeps
    /// is asked of nobody.
    pub fn new(
        till: Arc<dyn Till>,
        pace: Arc<dyn TokenPace>,
        tails: Tails,
        metrics: Metrics,
        cache: Cache,
    ) -> Self {
        Self { till, pace, tails, metrics, cache }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner, layer: self.clone() }
    }
}
