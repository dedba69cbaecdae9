//! One call after another target, until one answers.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use router_config::Target;
use tower::Service;

use super::{Busy, DispatchError, TargetHealth};
use crate::{
    chat::{Attempt, AttemptResult, Spoken},
    plan::Covered,
    provider::{Adjusted, Answered, Fault, Upstreams},
    telemetry::Metrics,
};

/// What a target answered.
#[derive(Debug)]
pub struct Answer {
    /// Who answered.
    pub target: Target,
    /// In whose words.
    pub spoken: Spoken,
    /// Which of the client's wishes were said otherwise, so that it could be asked.
    pub adjusted: Adjusted,
    /// The answer, or its beginning.
    pub answered: Answered,
    /// Says that the target is at it, until it is dropped.
    pub busy: Busy,
}

/// Asks upstreams.
#[derive(Debug, Clone)]
pub struct Dispatch {
    upstreams: Arc<ArcSwap<Upstreams>>,
    health: Arc<TargetHealth>,
    metrics: Metrics,
}

impl Dispatch {
    /// Asks those in `upstreams`, which is replaced when the table is, and keeps `health` up to date.
    pub const fn new(
        upstreams: Arc<ArcSwap<Upstreams>>,
        health: Arc<TargetHealth>,
        metrics: Metrics,
    ) -> Self {
        Self { upstreams, health, metrics }
    }

    async fn run(self, covered: Covered) -> Result<Answer, DispatchError> {
        let Covered { planned, trail } = covered;
        let attempts_max = usize::try_from(planned.route.attempts_max.max(1)).unwrap_or(usize::MAX);
        let upstreams = self.upstreams.load_full();
        let mut failed: Vec<(&Target, Fault)> = Vec::new();
        for candidate in planned.targets.iter().take(attempts_max) {
            let target = &candidate.target;
            if trail.is_abandoned() {
                break;
            }
            if let Some((from, fault)) = failed.last() {
                let from = &from.provider.id;
                let labels = [&planned.route.model.id, from, &target.provider.id, label(fault.result)];
                self.metrics.failovers_total.with_label_values(&labels).inc();
            }
            let (begun, busy) = (Instant::now(), self.health.begins(target));
            let asked = match upstreams.get(&target.provider.id) {
                Some(upstream) => {
                    trail.begins(upstream.quirks().closing_stops_cost);
                    upstream.ask(&planned, candidate, &trail).await
                }
                None => Err(Fault::unknown_provider()),
            };
            let took = begun.elapsed();
            let first_byte_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let (result, status) = match &asked {
                Ok(_) => (AttemptResult::Ok, Some(200)),
                Err(fault) => (fault.result, fault.status),
            };
            let provider = target.provider.id.clone();
            let upstream_model = target.upstream_model.clone();
            trail.ends(Attempt { provider, upstream_model, result, status, first_byte_ms }, took);
            self.count(&planned.route.model.id, target, result, took);
            match asked {
                Ok((answered, adjusted)) => {
                    self.health.answered(target);
                    if matches!(answered, Answered::Stream(_)) {
                        self.health.paced(target, planned.region.as_deref(), took);
                    }
                    let (target, spoken) = (target.clone(), candidate.spoken);
                    return Ok(Answer { target, spoken, adjusted, answered, busy });
                }
                Err(fault) => {
                    self.health.failed(target, &fault);
                    self.report(target, &fault, &planned.call.id);
                    if let Some(refused) = fault.refused.clone().filter(|_| !fault.may_do_elsewhere) {
                        let provider = target.provider.id.clone();
                        return Err(DispatchError::Refused { provider, refused });
                    }
                    failed.push((target, fault));
                }
            }
        }
        // Whoever was asked failed; whoever could not be asked at all has said what it was.
        let only_refused = failed.iter().all(|(_, fault)| fault.refused.is_some());
        if let (true, Some((target, refused))) =
            (only_refused, failed.iter().find_map(|(target, fault)| Some((target, fault.refused.clone()?))))
        {
            return Err(DispatchError::Refused { provider: target.provider.id.clone(), refused });
        }
        Err(DispatchError::Exhausted {
            results: failed.iter().map(|(_, fault)| fault.result).collect(),
            retry_after: failed.iter().filter_map(|(_, fault)| fault.retry_after).min(),
        })
    }

    fn count(&self, model: &str, target: &Target, result: AttemptResult, took: Duration) {
        let provider = target.provider.id.as_str();
        let labels = [provider, &target.upstream_model, model, label(result)];
        self.metrics.upstream_attempts_total.with_label_values(&labels).inc();
        let duration = self.metrics.upstream_duration_seconds.with_label_values(&[provider, model]);
        duration.observe(took.as_secs_f64());
    }

    fn report(&self, target: &Target, fault: &Fault, request: &units::RequestId) {
        let provider = &target.provider.id;
        let model = &target.upstream_model;
        match fault.alarm {
            Some(reason) => {
                self.metrics.upstream_alarms_total.with_label_values(&[provider.as_str(), reason]).inc();
                tracing::error!(%provider, %model, %request, reason, message = %fault.message, "an operator must act");
            }
            None => {
                tracing::info!(%provider, %model, %request, result = label(fault.result), status = fault.status,
                    message = %fault.message, "attempt failed");
            }
        }
    }
}

/// The `result` label.
const fn label(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Ok => "ok",
        AttemptResult::RateLimited => "rate_limited",
        AttemptResult::AuthFailed => "auth_failed",
        AttemptResult::OutOfFunds => "out_of_funds",
        AttemptResult::ServerError => "server_error",
        AttemptResult::Unreachable => "unreachable",
        AttemptResult::TimedOut => "timed_out",
        AttemptResult::Malformed => "malformed",
        AttemptResult::Refused => "refused",
    }
}

impl Service<Covered> for Dispatch {
    type Response = Answer;
    type Error = DispatchError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, DispatchError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DispatchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, covered: Covered) -> Self::Future {
        Box::pin(self.clone().run(covered))
    }
}
