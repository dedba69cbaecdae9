//! What a stream that breaks off can be continued with: what it has said, and who may be asked.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use router_config::Target;
use tower::Service;
use units::Tokens;

use crate::{
    chat::{Break, Chunk, SoFar, Trail},
    dispatch::{Answer, DispatchError},
    plan::{Broken, Covered, Planned, may_be_continued, rest},
    telemetry::Metrics,
};

/// Another answer on its way.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Answer, DispatchError>> + Send>>;

/// See the module. It is there only for calls whose route continues streams.
pub(super) struct Continuation {
    ask: Box<dyn FnMut(Covered) -> Asking + Send>,
    planned: Arc<Planned>,
    trail: Trail,
    by: Target,
    so_far: SoFar,
    /// Whether all of it was plain text.
    is_plain: bool,
    metrics: Metrics,
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuation").field("by", &self.by).field("is_plain", &self.is_plain).finish()
    }
}

impl Continuation {
    /// For an answer of `by`; nothing where it may not be continued.
    pub(super) fn of<S>(
        mut dispatch: S,
        planned: &Arc<Planned>,
        trail: &Trail,
        by: &Target,
        metrics: &Metrics,
    ) -> Option<Box<Self>>
    where
        S: Service<Covered, Response = Answer, Error = DispatchError> + Send + 'static,
        S::Future: Send + 'static,
    {
        may_be_continued(planned).then(|| {
            Box::new(Self {
                ask: Box::new(move |covered| Box::pin(dispatch.call(covered))),
                planned: Arc::clone(planned),
                trail: trail.clone(),
                by: by.clone(),
                so_far: SoFar::default(),
                is_plain: true,
                metrics: metrics.clone(),
            })
        })
    }

    /// Notes what was said.
    pub(super) fn note(&mut self, chunk: &Chunk) {
        self.is_plain = self.is_plain && self.so_far.add(chunk);
    }

    /// Asks somebody to go on, after `output` tokens or so; nobody, where there is nobody.
    pub(super) fn resume(&mut self, broke: &Break, output: Tokens) -> Option<Asking> {
        if !self.is_plain {
            return None;
        }
        let broken = Broken {
            by: &self.by,
            reason: &broke.reason,
            so_far: self.so_far.clone(),
            output,
            took: self.planned.call.received.elapsed(),
            attempts: self.trail.len(),
        };
        let planned = Arc::new(rest(&self.planned, broken)?);
        Some((self.ask)(Covered { planned, trail: self.trail.clone() }))
    }

    /// Notes who was asked, and whether somebody goes on.
    pub(super) fn resumed(&mut self, by: Option<&Target>) {
        let to = by.map_or("none", |target| target.provider.id.as_str());
        let labels = [self.planned.route.model.id.as_str(), self.by.provider.id.as_str(), to];
        self.metrics.stream_continuations_total.with_label_values(&labels).inc();
        if let Some(target) = by {
            self.by = target.clone();
        }
    }
}
