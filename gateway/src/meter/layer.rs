//! The layer that `inference` pushes.

use std::sync::Arc;

use tower::Layer;

use super::{Meter, Tails, Till};
use crate::{cache::Cache, limits::Limits, telemetry::Metrics};

/// Meters every call.
#[derive(Debug, Clone)]
pub struct MeterLayer {
    pub(super) till: Arc<dyn Till>,
    pub(super) limits: Limits,
    pub(super) tails: Tails,
    pub(super) metrics: Metrics,
    pub(super) cache: Cache,
}

impl MeterLayer {
    /// Money from `till`, leave to go on from `limits`; calls without a client end on `tails`. What `cache` keeps is asked of
    /// nobody.
    pub const fn new(
        till: Arc<dyn Till>,
        limits: Limits,
        tails: Tails,
        metrics: Metrics,
        cache: Cache,
    ) -> Self {
        Self { till, limits, tails, metrics, cache }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner, layer: self.clone() }
    }
}
