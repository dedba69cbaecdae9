//! The layer that decides.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower::{Layer, Service};
use units::Clock;

use super::{Health, Moment, PlanError, Planned, Snapshots, plan};
use crate::chat::Call;

/// Plans each call from the snapshot of its moment.
#[derive(Debug, Clone)]
pub struct PlanLayer {
    snapshots: Snapshots,
    health: Arc<dyn Health>,
    clock: Arc<dyn Clock>,
    region: Option<Arc<str>>,
}

impl PlanLayer {
    /// From `snapshots`, at the prices of the moment that `clock` shows, those first who are well according to `health`;
    /// callers who do not say where they are, are in `region`.
    pub fn new(
        snapshots: Snapshots,
        health: Arc<dyn Health>,
        clock: Arc<dyn Clock>,
        region: Option<Arc<str>>,
    ) -> Self {
        Self { snapshots, health, clock, region }
    }
}

impl<S> Layer<S> for PlanLayer {
    type Service = Plan<S>;

    fn layer(&self, inner: S) -> Plan<S> {
        Plan { inner, layer: self.clone() }
    }
}

/// See [`PlanLayer`].
#[derive(Debug, Clone)]
pub struct Plan<S> {
    inner: S,
    layer: PlanLayer,
}

impl<S> Service<Call> for Plan<S>
where
    S: Service<Planned> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: From<PlanError> + Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let PlanLayer { snapshots, health, clock, region } = &self.layer;
        let moment = Moment {
            now: clock.now(),
            health: health.as_ref(),
            region: region.as_deref(),
            seed: fastrand::u64(..),
            explains: false,
        };
        let planned = plan(call, &snapshots.load(), &moment);
        Box::pin(async move { ready.call(planned?).await })
    }
}
