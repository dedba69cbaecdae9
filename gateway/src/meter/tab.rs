//! An open hold and what was used on it: closed exactly once, because closing consumes the hold and dropping closes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use router_config::Target;
use units::{NanoCny, Tokens};

use super::{Bill, Hold, HoldLost, Settled, family::Family, prompt, tally::Tally};
use crate::{
    chat::{Chunk, Ending, Outcome, Trail},
    dispatch::Busy,
    limits::Permit,
    plan::Planned,
    telemetry::Metrics,
};

/// What was used is journaled about this often while a stream runs.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Stands in metrics where a provider would.
const CACHE: &str = "cache";

/// See the module.
#[derive(Debug)]
pub(super) struct Tab {
    hold: Option<Box<dyn Hold>>,
    planned: Arc<Planned>,
    trail: Trail,
    tally: Tally,
    /// The output the hold covers; grows when the hold is extended.
    output_covered: Tokens,
    progressed: Option<Instant>,
    /// Until the tab is closed.
    permit: Option<Permit>,
    /// What was taken of the limits of what we send the provider.
    upstream: Option<Permit>,
    provider: String,
    /// The target answers until the tab is closed.
    busy: Option<Busy>,
    /// Nobody upstream was asked.
    from_cache: bool,
    /// Who went on with the answer, where it broke off.
    continued_by: Option<String>,
    metrics: Metrics,
}

impl Tab {
    pub(super) fn open(
        hold: Box<dyn Hold>,
        planned: Arc<Planned>,
        trail: Trail,
        permit: Permit,
        metrics: Metrics,
    ) -> Self {
        metrics.holds_open.inc();
        metrics.inflight_requests.with_label_values(&[&planned.route.model.id]).inc();
        Self {
            hold: Some(hold),
            output_covered: planned.output_bound,
            planned,
            trail,
            tally: Tally::default(),
            progressed: None,
            permit: Some(permit),
            upstream: None,
            provider: "none".to_owned(),
            busy: None,
            from_cache: false,
            continued_by: None,
            metrics,
        }
    }

    /// Waits until the hold is on disk.
    pub(super) async fn durable(&mut self) -> Result<(), HoldLost> {
        match &mut self.hold {
            Some(hold) => hold.durable().await,
            None => Err(HoldLost("it has ended".into())),
        }
    }

    pub(super) fn served_by(&mut self, target: &Target, busy: Option<Busy>, permit: Permit) {
        (self.busy, self.upstream) = (busy, Some(permit));
        target.provider.id.clone_into(&mut self.provider);
        self.tally.speaks(Family::of(&target.upstream_model));
    }

    /// The upstream broke off. It is of no more use, whether another goes on with the answer or nobody does.
    pub(super) fn broke_off(&mut self) {
        self.trail.broke_off();
        if let Some(busy) = self.busy.take() {
            busy.broke_off();
        }
        if let Some(permit) = self.upstream.take() {
            let used = self.tally.estimate(self.planned.call.input_estimate, self.output_covered);
            permit.settle(used.total());
        }
    }

    /// Another goes on with the answer.
    pub(super) fn continued_by(&mut self, target: &Target, busy: Option<Busy>, permit: Permit) {
        self.tally.continues();
        self.served_by(target, busy, permit);
        self.continued_by = Some(target.provider.id.clone());
    }

    /// What came so far, about.
    pub(super) fn output_so_far(&self) -> Tokens {
        self.tally.output_estimate()
    }

    /// The answer was kept from an earlier call.
    pub(super) fn served_from_cache(&mut self) {
        self.from_cache = true;
        CACHE.clone_into(&mut self.provider);
    }

    pub(super) const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Counts a chunk; a stream that nears its ceiling asks for more, and is not cut if there is none.
    pub(super) fn count(&mut self, chunk: &Chunk, streaming: bool) {
        if !self.tally.add(chunk) {
            self.metrics.usage_refused_total.with_label_values(&[&self.provider]).inc();
        }
        let Some(hold) = self.hold.as_mut().filter(|_| streaming) else { return };
        let output = self.tally.output_estimate();
        if output.0.saturating_mul(4) >= self.output_covered.0.saturating_mul(3) && output.0 > 0 {
            self.output_covered = Tokens(self.output_covered.0.saturating_mul(2).max(output.0));
            let mut bound = self.tally.estimate(self.planned.call.input_bound, Tokens(u64::MAX));
            bound.output = self.output_covered;
            hold.extend(bound);
        }
        let due = self.progressed.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY);
        if output.0 > 0 && (due || chunk.finish) {
            self.progressed = Some(Instant::now());
            hold.progress(self.tally.estimate(self.planned.call.input_estimate, self.output_covered));
        }
    }

    /// Whether more came than the hold covers: draining for nobody stops there.
    pub(super) fn is_overrun(&self) -> bool {
        self.tally.output_estimate() > self.output_covered
    }

    /// Ends the hold.
    pub(super) fn close(mut self, ending: Ending) -> Bill {
        self.settle(ending)
    }

    fn settle(&mut self, ending: Ending) -> Bill {
        self.busy = None;
        let planned = Arc::clone(&self.planned);
        let call = &planned.call;
        let sent = self.trail.was_sent();
        let input = || prompt::tokens(self.tally.family(), call).unwrap_or(call.input_estimate);
        let verdict = self.tally.verdict(ending, sent, input, self.output_covered);
        let attempts = self.trail.attempts();
        let (usage, estimated) = (verdict.usage, verdict.estimated);
        let decision = planned.decision();
        let outcome = Outcome { usage, estimated, ending, attempts, decision };
        let settled = match self.hold.take() {
            Some(hold) => hold.settle(outcome),
            None => Settled { cost: NanoCny::ZERO, balance: NanoCny::ZERO },
        };
        // What the cache gives, no provider was sent.
        let upstream = verdict.usage.filter(|_| !self.from_cache);
        let used = upstream.map_or(Tokens(0), |usage| usage.total());
        if let Some(permit) = self.permit.take() {
            permit.settle(used);
        }
        if let Some(permit) = self.upstream.take() {
            permit.settle(used);
        }
        let bill = Bill {
            request: call.id,
            usage: verdict.usage,
            estimated: verdict.estimated,
            raw: verdict.raw,
            settled,
            continued_by: self.continued_by.clone(),
        };
        self.report(ending, &bill);
        bill
    }

    fn report(&self, ending: Ending, bill: &Bill) {
        let (metrics, provider) = (&self.metrics, self.provider.as_str());
        let model = self.planned.route.model.id.as_str();
        let call = &self.planned.call;
        let route = call.endpoint.as_str();
        metrics.holds_open.dec();
        metrics.inflight_requests.with_label_values(&[model]).dec();
        let outcome = match ending {
            Ending::Finished => Some("ok"),
            Ending::BrokeOff => Some("upstream_error"),
            Ending::HungUp => Some("cancelled"),
            Ending::Failed => None, // counted by `rescue`, which knows why
        };
        if let Some(outcome) = outcome {
            metrics.requests_total.with_label_values(&[route, model, outcome]).inc();
            let stream = if call.stream { "true" } else { "false" };
            let duration = metrics.request_duration_seconds.with_label_values(&[route, model, stream]);
            duration.observe(call.received.elapsed().as_secs_f64());
        }
        let side = match ending {
            Ending::HungUp => Some("client"),
            Ending::BrokeOff => Some("upstream"),
            Ending::Finished | Ending::Failed => None,
        };
        if let Some(side) = side.filter(|_| call.stream) {
            metrics.stream_aborts_total.with_label_values(&[side, model]).inc();
        }
        if bill.estimated {
            metrics.usage_missing_total.with_label_values(&[provider]).inc();
        }
        if let Some(usage) = bill.usage {
            let classes = [
                ("input", usage.input),
                ("cached_input", usage.cached_input),
                ("cache_write", usage.cache_write),
                ("output", usage.output),
                // Parts of the above, which a sum over classes leaves out.
                ("reasoning", usage.reasoning),
                ("audio_input", usage.audio_input),
                ("image_input", usage.image_input),
                ("audio_output", usage.audio_output),
            ];
            for (class, tokens) in classes.into_iter().filter(|(_, tokens)| !tokens.is_none()) {
                metrics.tokens_total.with_label_values(&[model, provider, class]).inc_by(tokens.0);
            }
            let yuan = bill.settled.cost.get().max(0) as f64 / 1e9;
            metrics.revenue_cny_total.with_label_values(&[model, provider]).inc_by(yuan);
        }
        tracing::info!(
            request = %call.id, account = %call.caller.account, key = %call.caller.key, model, provider,
            ?ending, attempts = self.trail.len(), cost_cny = %bill.settled.cost, estimated = bill.estimated,
            "call settled"
        );
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.hold.is_some() {
            self.settle(Ending::HungUp);
        }
    }
}
