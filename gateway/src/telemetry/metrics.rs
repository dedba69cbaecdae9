//! Every family this path feeds, created once.

use std::sync::Arc;

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

const TOTAL: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const FIRST_TOKEN: &[f64] =
    &[0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0];
const OVERHEAD: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];
/// The route whose series are shown from the start.
const CHAT: &str = "chat";
const BETWEEN_TOKENS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// The metrics of the inference path, with the registry others may add theirs to.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Families>);

/// See the field names; each is the metric's name without `tollgate_`.
#[derive(Debug)]
#[allow(missing_docs, reason = "the help texts below say it, and they reach the reader of /metrics too")]
pub struct Families {
    registry: Registry,
    pub requests_total: IntCounterVec,
    pub request_duration_seconds: HistogramVec,
    pub inflight_requests: IntGaugeVec,
    pub overhead_seconds: HistogramVec,
    pub time_to_first_token_seconds: HistogramVec,
    pub inter_token_seconds: HistogramVec,
    pub stream_aborts_total: IntCounterVec,
    pub stream_stalls_total: IntCounterVec,
    pub stream_continuations_total: IntCounterVec,
    pub upstream_attempts_total: IntCounterVec,
    pub upstream_duration_seconds: HistogramVec,
    pub upstream_alarms_total: IntCounterVec,
    pub upstream_state: IntGaugeVec,
    pub upstream_key_up: IntGaugeVec,
    pub upstream_out_of_funds: IntGaugeVec,
    pub upstream_balance: GaugeVec,
    pub failovers_total: IntCounterVec,
    pub retries_total: IntCounterVec,
    pub hedges_total: IntCounterVec,
    pub rate_limited_total: IntCounterVec,
    pub shed_total: IntCounterVec,
    pub tokens_total: IntCounterVec,
    pub revenue_cny_total: CounterVec,
    pub insufficient_funds_total: IntCounterVec,
    pub usage_missing_total: IntCounterVec,
    pub usage_refused_total: IntCounterVec,
    pub holds_open: IntGauge,
    pub panics_total: IntCounterVec,
}

impl std::ops::Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

/// Makes and registers families; a name used twice is a mistake in this file, found by its test.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

impl Metrics {
    /// All families, in `registry`.
    ///
    /// # Errors
    /// If `registry` already has one of them.
    pub fn new(registry: Registry) -> prometheus::Result<Self> {
        let make = Maker(&registry);
        let holds_open = IntGauge::new("tollgate_holds_open", "Holds this process has open.")?;
        registry.register(Box::new(holds_open.clone()))?;
        let families = Families {
            requests_total: make.counter(
                "tollgate_requests_total",
                "Calls by how they ended.",
                &["route", "model", "outcome"],
            )?,
            request_duration_seconds: make.histogram(
                "tollgate_request_duration_seconds",
                "From the head of a request to the end of its answer.",
                &["route", "model", "stream"],
                TOTAL,
            )?,
            inflight_requests: make.gauge(
                "tollgate_inflight_requests",
                "Calls with an open hold.",
                &["model"],
            )?,
            overhead_seconds: make.histogram(
                "tollgate_overhead_seconds",
                "Our own share of the time to an answer, by stage.",
                &["stage"],
                OVERHEAD,
            )?,
            time_to_first_token_seconds: make.histogram(
                "tollgate_time_to_first_token_seconds",
                "From the head of a request to the first chunk with text.",
                &["model", "provider"],
                FIRST_TOKEN,
            )?,
            inter_token_seconds: make.histogram(
                "tollgate_inter_token_seconds",
                "Between two chunks with text.",
                &["model", "provider"],
                BETWEEN_TOKENS,
            )?,
            stream_aborts_total: make.counter(
                "tollgate_stream_aborts_total",
                "Streams that ended before their end, by whose side ended them.",
                &["side", "model"],
            )?,
            stream_stalls_total: make.counter(
                "tollgate_stream_stalls_total",
                "Streams given up because nothing came any more.",
                &["provider"],
            )?,
            stream_continuations_total: make.counter(
                "tollgate_stream_continuations_total",
                "Streams that broke off and were to be continued, by who broke off and who went on (none if nobody did).",
                &["model", "from", "to"],
            )?,
            upstream_attempts_total: make.counter(
                "tollgate_upstream_attempts_total",
                "Attempts at upstreams by how they went.",
                &["provider", "target", "model", "result"],
            )?,
            upstream_duration_seconds: make.histogram(
                "tollgate_upstream_duration_seconds",
                "From sending to the first byte of an answer, or to a failure.",
                &["provider", "model"],
                TOTAL,
            )?,
            upstream_alarms_total: make.counter(
                "tollgate_upstream_alarms_total",
                "Upstream answers an operator must act on: our key refused, our account empty, a model gone.",
                &["provider", "reason"],
            )?,
            upstream_state: make.gauge(
                "tollgate_upstream_state",
                "How a target is: 0 well, 1 to be tried with one call, 2 left alone for a while.",
                &["provider", "target"],
            )?,
            upstream_key_up: make.gauge(
                "tollgate_upstream_key_up",
                "0 while a key of ours is parked: refused there, or its account empty.",
                &["provider", "key"],
            )?,
            upstream_out_of_funds: make.gauge(
                "tollgate_upstream_out_of_funds",
                "1 while no key of ours is served by a provider, and an empty account is why.",
                &["provider"],
            )?,
            upstream_balance: {
                let opts =
                    Opts::new("tollgate_upstream_balance", "What providers say is left of our money there.");
                let family = GaugeVec::new(opts, &["provider", "key", "currency"])?;
                registry.register(Box::new(family.clone()))?;
                family
            },
            failovers_total: make.counter(
                "tollgate_failovers_total",
                "Calls handed from one provider to the next.",
                &["model", "from", "to", "reason"],
            )?,
            retries_total: make.counter(
                "tollgate_retries_total",
                "Calls put to a provider once more, after it or another of its keys failed.",
                &["model", "provider", "reason"],
            )?,
            hedges_total: make.counter(
                "tollgate_hedges_total",
                "Calls for which a second target was asked beside a slow first, by which of them answered.",
                &["model", "won"],
            )?,
            rate_limited_total: make.counter(
                "tollgate_rate_limited_total",
                "Calls turned away, or attempts not made, because a limit of ours was reached.",
                &["scope", "kind"],
            )?,
            shed_total: make.counter(
                "tollgate_shed_total",
                "Requests refused for lack of room.",
                &["reason"],
            )?,
            tokens_total: make.counter(
                "tollgate_tokens_total",
                "Tokens settled, by class.",
                &["model", "provider", "class"],
            )?,
            revenue_cny_total: {
                // A float, as Prometheus has them; the books are kept elsewhere.
                let opts = Opts::new("tollgate_revenue_cny_total", "Charged to customers, in yuan.");
                let family = CounterVec::new(opts, &["model", "provider"])?;
                registry.register(Box::new(family.clone()))?;
                family
            },
            insufficient_funds_total: make.counter(
                "tollgate_insufficient_funds_total",
                "Calls refused for lack of money.",
                &["limit_source"],
            )?,
            usage_missing_total: make.counter(
                "tollgate_usage_missing_total",
                "Answers whose usage had to be estimated.",
                &["provider"],
            )?,
            usage_refused_total: make.counter(
                "tollgate_usage_refused_total",
                "Usage reports that could not be believed.",
                &["provider"],
            )?,
            panics_total: make.counter("tollgate_panics_total", "Our own bugs, caught.", &["route"])?,
            holds_open,
            registry,
        };
        families.shed_total.with_label_values(&["calls_in_flight"]);
        for scope in ["key", "account", "model", "provider"] {
            for kind in ["requests", "tokens", "concurrency"] {
                families.rate_limited_total.with_label_values(&[scope, kind]);
            }
        }
        for limit_source in ["account_balance", "holds_in_flight"] {
            families.insufficient_funds_total.with_label_values(&[limit_source]);
        }
        families.panics_total.with_label_values(&[CHAT]);
        Ok(Self(Arc::new(families)))
    }

    /// Where others register theirs.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Shows every series of these models at zero, so that a rate sees the first event.
    pub fn expect<'a>(&self, models: impl IntoIterator<Item = &'a str>) {
        for model in models.into_iter().chain(["other"]) {
            for outcome in super::OUTCOMES {
                self.requests_total.with_label_values(&[CHAT, model, outcome]);
            }
            self.inflight_requests.with_label_values(&[model]);
        }
    }

    /// The exposition, as Prometheus reads it.
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.0.registry.gather(), &mut out) {
            tracing::error!(%error, "metrics could not be written");
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_registers_once_and_shows() {
        let registry = Registry::new();
        let metrics = Metrics::new(registry.clone()).unwrap();
        metrics.expect(["deepseek-flash"]);
        assert!(Metrics::new(registry).is_err(), "the same registry twice");
        let text = metrics.render();
        let zero = r#"tollgate_requests_total{model="deepseek-flash",outcome="ok",route="chat"} 0"#;
        assert!(text.contains(zero), "{text}");
    }
}
