//! One call after another target, until one answers.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use router_config::Target;
use tokio::time::{Instant, sleep};
use tower::Service;
use units::{Clock, Tokens};

use super::{
    Busy, DispatchError, Pass, TargetHealth,
    budget::Budgets,
    turns::{Turn, Turns},
};
use crate::{
    chat::{Attempt, AttemptResult, Spoken, Trail},
    limits::{Limits, Permit},
    plan::{Candidate, Covered, Planned},
    provider::{Adjusted, Answered, Fault, Reply, Upstreams},
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
    pub busy: Option<Busy>,
    /// What was taken of the limits of what we send its provider.
    pub permit: Permit,
}

/// Asks upstreams.
#[derive(Debug, Clone)]
pub struct Dispatch {
    upstreams: Arc<ArcSwap<Upstreams>>,
    health: Arc<TargetHealth>,
    limits: Limits,
    budgets: Arc<Budgets>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// One attempt and what came of it.
struct Tried {
    place: usize,
    pass: Pass,
    permit: Permit,
    took: Duration,
    came: Result<Reply, Fault>,
}

impl Dispatch {
    /// Asks those in `upstreams`, which is replaced when the table is, within what `limits` let us send them, and keeps
    /// `health` up to date.
    pub fn new(
        upstreams: Arc<ArcSwap<Upstreams>>,
        health: Arc<TargetHealth>,
        limits: Limits,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        Self { upstreams, health, limits, budgets: Arc::default(), clock, metrics }
    }

    async fn run(self, covered: Covered) -> Result<Answer, DispatchError> {
        let Covered { planned, trail } = covered;
        let upstreams = self.upstreams.load_full();
        let asking = Asking { dispatch: &self, upstreams: &upstreams, planned: &planned, trail: &trail };
        asking.run().await
    }
}

/// One call on its way.
struct Asking<'a> {
    dispatch: &'a Dispatch,
    upstreams: &'a Upstreams,
    planned: &'a Planned,
    trail: &'a Trail,
}

impl<'a> Asking<'a> {
    async fn run(&self) -> Result<Answer, DispatchError> {
        let Dispatch { health, budgets, clock, .. } = self.dispatch;
        let model = self.model();
        let deadline = Instant::now() + self.planned.route.total_max;
        let first = self.planned.targets.first();
        // To go on with an answer is to ask again: an outage is not multiplied by it.
        if self.planned.so_far.is_none() {
            budgets.begins(model, first.map_or(0, Candidate::cost_or_nothing), clock.now());
        } else if !budgets.retries(model, clock.now()) {
            return Err(self.given_up(&[], None));
        }
        let mut turns = Turns::new(self.planned, health, budgets, clock.as_ref(), deadline);
        let mut failed: Vec<(&Target, Fault)> = Vec::new();
        while !self.trail.is_abandoned() {
            let (place, pass) = match turns.next() {
                Turn::Ask(place, pass, pause) => {
                    self.wait(pause).await;
                    (place, pass)
                }
                Turn::Wait(wait) => {
                    self.wait(wait).await;
                    continue;
                }
                Turn::Over => break,
            };
            let Some(target) = self.target(place) else { break };
            let Some(permit) = self.permitted(place, &mut turns).await else { continue };
            if let Some((from, fault)) = failed.last() {
                self.count_failover(from, target, fault);
            }
            for tried in self.ask(place, (pass, permit), deadline, &mut turns).await {
                let Some(candidate) = self.planned.targets.get(tried.place) else { continue };
                let target = &candidate.target;
                self.note(target, &tried);
                match tried.came {
                    Ok(reply) => {
                        let Reply { answered, adjusted, left } = reply;
                        let stream = matches!(answered, Answered::Stream(_));
                        let region = self.planned.region.as_deref();
                        let busy = tried.pass.answered(stream, region, tried.took, left);
                        let (target, spoken) = (target.clone(), candidate.spoken);
                        let permit = tried.permit;
                        return Ok(Answer { target, spoken, adjusted, answered, busy, permit });
                    }
                    Err(fault) => {
                        let key = tried.pass.key();
                        tried.pass.failed(&fault);
                        // It was asked, and wrote nothing.
                        tried.permit.settle(Tokens(0));
                        self.report(target, &fault);
                        turns.failed(tried.place, key, &fault);
                        failed.push((target, fault));
                    }
                }
            }
            if turns.is_over() {
                break;
            }
        }
        Err(self.given_up(&failed, turns.soonest()))
    }

    /// Leave to send the call to a candidate's provider; where it is at one of the limits of what we send it, the next is
    /// asked.
    async fn permitted(&self, place: usize, turns: &mut Turns<'_>) -> Option<Permit> {
        let provider = &self.target(place)?.provider.id;
        let estimate = self.planned.call.input_estimate.saturating_plus(self.planned.output_bound);
        match self.dispatch.limits.upstream(provider, estimate).await {
            Ok(permit) => Some(permit),
            Err(too_fast) => {
                let (scope, kind) = (too_fast.scope.as_str(), too_fast.kind.as_str());
                self.dispatch.metrics.rate_limited_total.with_label_values(&[scope, kind]).inc();
                turns.full(place, too_fast.retry_after);
                None
            }
        }
    }

    async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            sleep(wait).await;
            self.trail.waits(wait);
        }
    }

    fn model(&self) -> &'a str {
        &self.planned.route.model.id
    }

    fn target(&self, place: usize) -> Option<&'a Target> {
        self.planned.targets.get(place).map(|candidate| &candidate.target)
    }

    /// Asks a candidate and, where its route has that and it is slow, another beside it. What has failed comes first;
    /// what answered, if anything did, is the last.
    async fn ask(
        &self,
        place: usize,
        leave: (Pass, Permit),
        deadline: Instant,
        turns: &mut Turns<'_>,
    ) -> Vec<Tried> {
        let begun = Instant::now();
        self.trail.begins(self.closing_stops_cost(place));
        let patience = self.patience(place);
        let mut first = pin!(self.ask_one(place, leave, deadline));
        let Some(patience) = patience else {
            let tried = first.await;
            self.trail.waits(begun.elapsed());
            return vec![tried];
        };
        let beside = tokio::select! {
            tried = &mut first => {
                self.trail.waits(begun.elapsed());
                return vec![tried];
            }
            () = sleep(patience) => self.beside(turns).await,
        };
        let Some((other, leave)) = beside else {
            let tried = first.await;
            self.trail.waits(begun.elapsed());
            return vec![tried];
        };
        self.trail.begins_beside(self.closing_stops_cost(other));
        let mut second = pin!(self.ask_one(other, leave, deadline));
        let (won, lost) = tokio::select! {
            tried = &mut first => if tried.came.is_ok() { (vec![tried], Some(other)) } else { (vec![tried, second.await], None) },
            tried = &mut second => if tried.came.is_ok() { (vec![tried], Some(place)) } else { (vec![tried, first.await], None) },
        };
        self.trail.waits(begun.elapsed());
        let hedges = &self.dispatch.metrics.hedges_total;
        let second_won = won.last().is_some_and(|tried| tried.place == other && tried.came.is_ok());
        hedges.with_label_values(&[self.model(), if second_won { "second" } else { "first" }]).inc();
        if let Some(target) = lost.and_then(|place| self.target(place)) {
            // It is hung up on; what it cost is ours.
            self.write_down(target, AttemptResult::Outpaced, None, begun.elapsed());
        }
        won
    }

    /// How long the candidate may be silent before another is asked beside it.
    fn patience(&self, place: usize) -> Option<Duration> {
        let hedge = self.planned.route.hedge?;
        let target = self.target(place)?;
        hedge.after.or_else(|| self.dispatch.health.slowest_of_twenty(target, self.planned.call.stream))
    }

    /// Another to be asked now, if what second attempts may cost allows it.
    async fn beside(&self, turns: &mut Turns<'_>) -> Option<(usize, (Pass, Permit))> {
        let percent = self.planned.route.hedge?.cost_percent_max;
        let (place, pass) = turns.beside()?;
        let cost = self.planned.targets.get(place)?.cost.and_then(|cost| u64::try_from(cost).ok())?;
        let permit = self.permitted(place, turns).await?;
        let Dispatch { budgets, clock, .. } = self.dispatch;
        if budgets.hedges(self.model(), cost, percent, clock.now()) {
            return Some((place, (pass, permit)));
        }
        permit.cancel();
        None
    }

    fn closing_stops_cost(&self, place: usize) -> bool {
        self.target(place).is_some_and(|target| target.provider.quirks.closing_stops_cost)
    }

    async fn ask_one(&self, place: usize, (pass, permit): (Pass, Permit), deadline: Instant) -> Tried {
        let begun = Instant::now();
        let candidate = self.planned.targets.get(place);
        let upstream =
            candidate.and_then(|candidate| self.upstreams.get(&candidate.target.provider.id)).zip(candidate);
        let came = match upstream {
            Some((upstream, candidate)) => {
                upstream.ask(self.planned, candidate, pass.key(), self.trail, deadline).await
            }
            None => Err(Fault::unknown_provider()),
        };
        Tried { place, pass, permit, took: begun.elapsed(), came }
    }

    /// Writes an attempt down and counts it.
    fn note(&self, target: &Target, tried: &Tried) {
        let (result, status) = match &tried.came {
            Ok(_) => (AttemptResult::Ok, Some(200)),
            Err(fault) => (fault.result, fault.status),
        };
        self.write_down(target, result, status, tried.took);
    }

    fn write_down(&self, target: &Target, result: AttemptResult, status: Option<u16>, took: Duration) {
        let first_byte_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (provider, upstream_model) = (target.provider.id.clone(), target.upstream_model.clone());
        let (metrics, model) = (&self.dispatch.metrics, self.model());
        let labels = [provider.as_str(), &upstream_model, model, label(result)];
        metrics.upstream_attempts_total.with_label_values(&labels).inc();
        let duration = metrics.upstream_duration_seconds.with_label_values(&[provider.as_str(), model]);
        duration.observe(took.as_secs_f64());
        let continues = self.planned.so_far.is_some();
        self.trail.ends(Attempt { provider, upstream_model, result, status, first_byte_ms, continues });
    }

    fn count_failover(&self, from: &Target, to: &Target, fault: &Fault) {
        let metrics = &self.dispatch.metrics;
        let (from, to, reason) = (&from.provider.id, &to.provider.id, label(fault.result));
        if from == to {
            metrics.retries_total.with_label_values(&[self.model(), to, reason]).inc();
        } else {
            metrics.failovers_total.with_label_values(&[self.model(), from, to, reason]).inc();
        }
    }

    fn report(&self, target: &Target, fault: &Fault) {
        let (provider, model, request) = (&target.provider.id, &target.upstream_model, &self.planned.call.id);
        match fault.alarm {
            Some(reason) => {
                let alarms = &self.dispatch.metrics.upstream_alarms_total;
                alarms.with_label_values(&[provider.as_str(), reason]).inc();
                tracing::error!(%provider, %model, %request, reason, message = %fault.message, "an operator must act");
            }
            None => {
                tracing::info!(%provider, %model, %request, result = label(fault.result), status = fault.status,
                    message = %fault.message, "attempt failed");
            }
        }
    }

    fn given_up(&self, failed: &[(&Target, Fault)], soonest: Option<Duration>) -> DispatchError {
        // What the last one says is the request's own fault is told, and so is what everybody says. Whoever failed
        // otherwise may do better another time.
        let refused = |(target, fault): &(&Target, Fault)| {
            let provider = target.provider.id.clone();
            Some(DispatchError::Refused { provider, refused: fault.refused.clone()? })
        };
        let moved_on = |fault: &Fault| {
            let class = fault.class();
            fault.may_do_elsewhere || class.is_some_and(|it| self.planned.route.fail_over_on.contains(&it))
        };
        let ended_it = failed.last().filter(|(_, fault)| !moved_on(fault)).and_then(refused);
        let all = || {
            let all = failed.iter().all(|(_, fault)| fault.refused.is_some());
            failed.first().filter(|_| all).and_then(refused)
        };
        ended_it.or_else(all).unwrap_or_else(|| DispatchError::Exhausted {
            results: failed.iter().map(|(_, fault)| fault.result).collect(),
            retry_after: failed.iter().filter_map(|(_, fault)| fault.retry_after).chain(soonest).min(),
        })
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
        AttemptResult::Outpaced => "outpaced",
        AttemptResult::BrokeOff => "broke_off",
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
