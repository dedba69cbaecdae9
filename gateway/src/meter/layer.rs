//! The layer that `inference` pushes.

use std::sync::Arc;

use tower::Layer;

use super::{Meter, Tails, Till};
use crate::{limits::Limits, telemetry::Metrics};

/// Meters every call.
#[derive(Debug, Clone)]
pub struct MeterLayer {
    pub(super) till: Arc<dyn Till>,
    pub(super) limits: Limits,
    pub(super) tails: Tails,
    pub(super) metrics: Metrics,
}

impl MeterLayer {
    /// Money from `till`, leave to go on from `limits`; calls without a client end on `tails`.
    pub const fn new(till: Arc<dyn Till>, limits: Limits, tails: Tails, metrics: Metrics) -> Self {
        Self { till, limits, tails, metrics }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner, layer: self.clone() }
    }
}
