//! Rescue: what does each failure look like to a client?
//!
//! The one place where statuses are chosen. Whatever breaks below, the client gets a well-formed answer with an id on
//! it, and is told whether trying again makes sense.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;
use tower::{Layer, Service};
use units::{Clock, NanoCny, RequestId};

use crate::{
    body::Body,
    chat::{AttemptResult, Endpoint, Scope, Seen, TooFast},
    dialect::{DecodeError, ErrorBody, limit_headers, responses::NotKept},
    dispatch::DispatchError,
    edge::{Incoming, Shed},
    keys::AuthError,
    meter::{BudgetSpent, HoldLost, MeterError, Refusal, Short},
    plan::{PlanError, Unspoken},
    telemetry::Metrics,
};

mod late;

/// A call on its way to its answer.
type Served = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

/// No client is told to wait longer: some SDKs obey any figure, and some then do not retry at all.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Everything that can go wrong with a call before its answer begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The house is full.
    #[error(transparent)]
    Shed(#[from] Shed),
    /// Who calls is not known.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A limit of ours is reached.
    #[error(transparent)]
    TooFast(#[from] TooFast),
    /// The body is not a call.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Nobody can serve it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No money was set aside.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The balance covers none of the models allowed.
    #[error(transparent)]
    Short(Box<Short>),
    /// Money was set aside and could not be written down.
    #[error(transparent)]
    HoldLost(#[from] HoldLost),
    /// No upstream has an answer.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// Something that would have been kept, where nothing is.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// The client went away; nobody reads this.
    #[error("the client went away")]
    Gone,
    /// A bug of ours.
    #[error("Something went wrong on our side. Nothing was charged.")]
    Panicked,
}

impl From<MeterError> for Failure {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::TooFast(e) => Self::TooFast(e),
            MeterError::Refused(e) => Self::Refused(e),
            MeterError::Short(e) => Self::Short(e),
            MeterError::HoldLost(e) => Self::HoldLost(e),
            MeterError::Dispatch(e) => Self::Dispatch(e),
            MeterError::Gone => Self::Gone,
        }
    }
}

/// A failure as it leaves the house.
#[derive(Debug, Clone, PartialEq)]
pub struct Rescued {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub error: ErrorBody,
    /// Further headers.
    pub headers: HeaderMap,
    /// The `outcome` label of the metrics.
    pub outcome: &'static str,
}

impl Rescued {
    fn new(status: StatusCode, outcome: &'static str, error: ErrorBody) -> Self {
        Self { status, error, headers: HeaderMap::new(), outcome }
    }

    fn invalid(status: StatusCode, code: impl Into<Option<&'static str>>, message: impl ToString) -> Self {
        Self::new(status, "client_error", ErrorBody::new("invalid_request_error", code, message.to_string()))
    }

    fn ours(status: StatusCode, code: impl Into<Option<&'static str>>, message: impl ToString) -> Self {
        Self::new(status, "gateway_error", ErrorBody::new("server_error", code, message.to_string()))
    }

    fn about(mut self, param: &str) -> Self {
        self.error = self.error.about(param);
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        let wait = wait.min(RETRY_AFTER_MAX);
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.headers.insert(header::RETRY_AFTER, secs.max(1).into());
        self
    }

    fn should_retry(mut self, should: bool) -> Self {
        let value = HeaderValue::from_static(if should { "true" } else { "false" });
        self.headers.insert(HeaderName::from_static("x-should-retry"), value);
        self
    }

    /// The answer as clients of `endpoint` know it, with the request's id on it.
    pub fn into_response(self, endpoint: Endpoint, request_id: &RequestId) -> Response<Body> {
        error_response(endpoint, self.status, &self.error, self.headers, request_id)
    }
}

/// An error in the shape that clients of `endpoint` know; [`Endpoint::Chat`] is good for any route of this server.
pub fn error_response(
    endpoint: Endpoint,
    status: StatusCode,
    error: &ErrorBody,
    headers: HeaderMap,
    request_id: &RequestId,
) -> Response<Body> {
    let id = request_id.to_string();
    let mut response = Response::new(Body::whole(error.said_to(endpoint, status, &id)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    stamp(response.headers_mut(), &id);
    response
}

/// Where an answer has an id already, it was served under that.
fn stamp(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.entry(HeaderName::from_static("x-request-id")).or_insert(id);
    }
}

impl Failure {
    /// Chooses status, code and headers. `topup_url` is where money comes from.
    pub fn rescued(&self, topup_url: &str) -> Rescued {
        match self {
            Self::Shed(_) => Rescued::ours(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many calls are in flight on this server. Try again in a moment.",
            )
            .retry_after(Duration::from_secs(1)),
            Self::Auth(e) => auth(e),
            Self::TooFast(e) => too_fast(e),
            Self::Decode(e) => decode(e),
            Self::Plan(e) => plan(e),
            Self::Refused(e) => refused(e, topup_url),
            Self::Short(e) => short(e, topup_url),
            Self::HoldLost(_) => ledger_unavailable(),
            Self::Dispatch(e) => dispatch(e),
            Self::NotKept(e) => {
                let code = match e {
                    NotKept::Response(_) => "response_not_stored",
                    NotKept::Compaction | NotKept::Count => "not_offered",
                };
                Rescued::invalid(StatusCode::NOT_FOUND, code, e)
            }
            Self::Gone => {
                let gone = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
                let mut rescued = Rescued::invalid(gone, None, self);
                rescued.outcome = "cancelled";
                rescued
            }
            Self::Panicked => {
                Rescued::ours(StatusCode::INTERNAL_SERVER_ERROR, None, self).should_retry(false)
            }
        }
    }
}

fn auth(error: &AuthError) -> Rescued {
    match error {
        AuthError::Unavailable(_) => Rescued::ours(
            StatusCode::SERVICE_UNAVAILABLE,
            "key_store_unavailable",
            "Keys cannot be checked at the moment. Try again soon.",
        )
        .retry_after(Duration::from_secs(2)),
        error => Rescued::invalid(StatusCode::UNAUTHORIZED, "invalid_api_key", error),
    }
}

fn too_fast(error: &TooFast) -> Rescued {
    // What we send a provider is not for the client to bound.
    let (status, kind, code) = match error.scope {
        Scope::Provider => (StatusCode::SERVICE_UNAVAILABLE, "server_error", "provider_at_limit"),
        Scope::Key | Scope::Account | Scope::Model => {
            (StatusCode::TOO_MANY_REQUESTS, error.kind.error_type(), error.kind.error_code())
        }
    };
    let mut body = ErrorBody::new(kind, code, error.to_string());
    for (name, value) in limit_members(error) {
        body = body.with(name, value);
    }
    let mut rescued = Rescued::new(status, "rate_limited", body);
    limit_headers(&mut rescued.headers, error.kind, &error.standing);
    rescued.retry_after(error.retry_after)
}

/// Whose limit it is, which, and when all of it is there again: members of the error.
pub(crate) fn limit_members(error: &TooFast) -> Vec<(&'static str, Value)> {
    let mut members = vec![
        ("limit_source", "gateway".into()),
        ("scope", error.scope.as_str().into()),
        ("limit_kind", error.kind.limit_kind().into()),
        ("limit", error.standing.limit.into()),
        ("remaining", error.standing.remaining.into()),
    ];
    members.extend(error.resets_at.map(|at| ("resets_at", crate::cashier::time(at).into())));
    members
}

fn decode(error: &DecodeError) -> Rescued {
    let bad = StatusCode::BAD_REQUEST;
    match error {
        DecodeError::TooLarge { .. } => {
            Rescued::invalid(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", error)
        }
        DecodeError::HeadTooLarge { .. } => {
            let large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            Rescued::invalid(large, "request_headers_too_large", error)
        }
        DecodeError::Circles { .. } => {
            Rescued::invalid(StatusCode::LOOP_DETECTED, "loop_detected", error).should_retry(false)
        }
        DecodeError::TooSlow(_) => Rescued::invalid(StatusCode::REQUEST_TIMEOUT, None, error),
        DecodeError::Broken(_) | DecodeError::Syntax(_) => Rescued::invalid(bad, "invalid_json", error),
        DecodeError::TooDeep { .. } | DecodeError::LoneSurrogate { .. } => {
            Rescued::invalid(bad, "invalid_json", error)
        }
        DecodeError::Duplicate(param) => Rescued::invalid(bad, "duplicate_parameter", error).about(param),
        DecodeError::Missing(param) => {
            Rescued::invalid(bad, "missing_required_parameter", error).about(param)
        }
        DecodeError::WrongType { param, .. } => Rescued::invalid(bad, "invalid_type", error).about(param),
        DecodeError::BadValue { param, .. } => Rescued::invalid(bad, "invalid_value", error).about(param),
        DecodeError::Unsupported { param, .. } => {
            Rescued::invalid(bad, "unsupported_parameter", error).about(param)
        }
    }
}

fn plan(error: &PlanError) -> Rescued {
    match error {
        PlanError::UnknownModel { .. } => {
            Rescued::invalid(StatusCode::NOT_FOUND, "model_not_found", error).about("model")
        }
        PlanError::PriceUnavailable { .. } => {
            Rescued::ours(StatusCode::SERVICE_UNAVAILABLE, "price_unavailable", error)
                .retry_after(Duration::from_secs(30))
        }
        PlanError::Unspoken(Unspoken::Inexpressible(what)) => {
            Rescued::invalid(StatusCode::BAD_REQUEST, "unsupported_parameter", error).about(&what.param)
        }
        PlanError::Unspoken(Unspoken::WrongEndpoint { .. } | Unspoken::NotOffered { .. }) => {
            Rescued::invalid(StatusCode::BAD_REQUEST, "wrong_endpoint", error).about("model")
        }
        PlanError::TooDear { ceiling, max, output_fits, .. } => {
            let mut body = ErrorBody::new("insufficient_quota", "max_cost_exceeded", error.to_string())
                .with("required", ceiling.to_string())
                .with("max_cost", max.to_string())
                .with("currency", "CNY")
                .with("limit_source", "x-tollgate-max-cost-cny");
            if let Some(output) = output_fits {
                body = body.with("max_tokens_that_fit", output.0);
            }
            Rescued::new(StatusCode::PAYMENT_REQUIRED, "insufficient_funds", body).should_retry(false)
        }
        PlanError::NoneFits { .. } => {
            Rescued::invalid(StatusCode::BAD_REQUEST, "no_route_fits", error).about("model")
        }
        PlanError::AllTooDear(_) => {
            Rescued::ours(StatusCode::SERVICE_UNAVAILABLE, "no_target_within_cost", error)
                .retry_after(Duration::from_secs(30))
        }
        PlanError::NoRoute(_) => Rescued::ours(StatusCode::SERVICE_UNAVAILABLE, "no_route", error),
    }
}

fn refused(error: &Refusal, topup_url: &str) -> Rescued {
    match error {
        Refusal::InsufficientFunds { available, required } => out_of_money(*available, *required, topup_url),
        Refusal::TooMuchInFlight { held } => {
            let message = format!(
                "The balance would do, but {held} yuan of it are set aside for calls in flight. Try again when one of \
                 them has ended."
            );
            let body = ErrorBody::new("requests", "too_much_in_flight", message)
                .with("held", held.to_string())
                .with("limit_source", "holds_in_flight");
            Rescued::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", body)
                .retry_after(Duration::from_secs(1))
        }
        Refusal::OverBudget(budget) => over_budget(budget),
        Refusal::LivemodeMismatch { .. } => {
            let body =
                ErrorBody::new("permission_error", "livemode_mismatch", format!("Not possible: {error}."));
            Rescued::new(StatusCode::FORBIDDEN, "client_error", body.about("model"))
        }
        Refusal::AccountInactive => {
            let message = "This account is not active. Ask whoever administers it.";
            let body = ErrorBody::new("permission_error", "account_inactive", message);
            Rescued::new(StatusCode::FORBIDDEN, "client_error", body)
        }
        Refusal::Busy => {
            let message = "The ledger is busy; nothing was set aside. Try again in a moment.";
            Rescued::ours(StatusCode::SERVICE_UNAVAILABLE, "ledger_busy", message)
                .retry_after(Duration::from_secs(1))
        }
        Refusal::Unavailable(_) => ledger_unavailable(),
        Refusal::OutOfRange => {
            let message = "What this request could cost is beyond any balance. Lower `max_tokens` or `n`.";
            Rescued::invalid(StatusCode::BAD_REQUEST, "invalid_value", message).about("max_tokens")
        }
    }
}

fn ledger_unavailable() -> Rescued {
    let message =
        "The ledger cannot be reached, and nothing is served on credit. Nothing was charged; try again soon.";
    Rescued::ours(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", message)
        .retry_after(Duration::from_secs(5))
}

/// 429 where calls in flight only have to end, else 402: until the budget is whole again or raised, nothing helps.
fn over_budget(budget: &BudgetSpent) -> Rescued {
    let will_do = budget.will_do();
    let kind = if will_do { "requests" } else { "insufficient_quota" };
    let code = if will_do { "budget_in_flight" } else { "budget_exceeded" };
    let mut message =
        format!("Not enough budget: {budget}, and this request may cost up to {} yuan.", budget.required);
    if let Some(at) = budget.resets_at {
        message.push_str(&format!(" It is whole again at {}.", crate::cashier::time(at)));
    }
    let mut body = ErrorBody::new(kind, code, message)
        .with("budget", budget.whose)
        .with("window", budget.period)
        .with("limit", budget.limit.to_string())
        .with("spent", budget.spent.to_string())
        .with("reserved", budget.reserved.to_string())
        .with("required", budget.required.to_string())
        .with("currency", "CNY");
    if let Some(at) = budget.resets_at {
        body = body.with("resets_at", crate::cashier::time(at));
    }
    if will_do {
        Rescued::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", body).retry_after(Duration::from_secs(1))
    } else {
        Rescued::new(StatusCode::PAYMENT_REQUIRED, "insufficient_funds", body).should_retry(false)
    }
}

/// 402 rather than OpenAI's 429, which its SDKs would retry in vain.
fn out_of_money(available: NanoCny, required: NanoCny, topup_url: &str) -> Rescued {
    let shortfall = required.minus(available).unwrap_or(required);
    let message = format!(
        "Not enough balance: this request may cost up to {required} yuan and {available} yuan are available. Top up \
         at least {shortfall} yuan at {topup_url}, or lower `max_tokens`."
    );
    let body = ErrorBody::new("insufficient_quota", "insufficient_quota", message)
        .with("available", available.to_string())
        .with("required", required.to_string())
        .with("shortfall", shortfall.to_string())
        .with("currency", "CNY")
        .with("topup_url", topup_url)
        .with("limit_source", "account_balance");
    Rescued::new(StatusCode::PAYMENT_REQUIRED, "insufficient_funds", body).should_retry(false)
}

/// The same with the cheapest way on: which of the models allowed, and how long an answer.
fn short(short: &Short, topup_url: &str) -> Rescued {
    let mut rescued = out_of_money(short.available, short.required, topup_url);
    let mut way = serde_json::json!({ "model": short.model, "required": short.required.to_string() });
    if let Some(output) = short.output_fits {
        way["max_tokens_that_fit"] = output.0.into();
    }
    rescued.error = rescued.error.with("cheapest", way);
    rescued
}

fn dispatch(error: &DispatchError) -> Rescued {
    match error {
        DispatchError::Refused { refused, .. } => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut rescued = Rescued::invalid(status, None, &refused.message);
            rescued.error.code.clone_from(&refused.code);
            rescued.error.param.clone_from(&refused.param);
            rescued
        }
        DispatchError::Exhausted { results, retry_after } => {
            use AttemptResult as R;
            let all = |ours: &[R]| results.iter().all(|result| ours.contains(result));
            let (status, retry) = if results.is_empty() {
                (StatusCode::SERVICE_UNAVAILABLE, true)
            } else if all(&[R::TimedOut]) {
                // It may have run, and cost: a client's retry would only do it again.
                (StatusCode::GATEWAY_TIMEOUT, false)
            } else if all(&[R::AuthFailed, R::OutOfFunds, R::Refused]) {
                (StatusCode::SERVICE_UNAVAILABLE, false)
            } else if all(&[R::RateLimited, R::AuthFailed, R::OutOfFunds, R::Refused]) {
                (StatusCode::SERVICE_UNAVAILABLE, true)
            } else {
                (StatusCode::BAD_GATEWAY, true)
            };
            let limited = results.contains(&R::RateLimited);
            let mut body = ErrorBody::new("server_error", "upstream_unavailable", error.to_string());
            if limited {
                body = body.with("limit_source", "upstream");
            }
            let mut rescued = Rescued::new(status, "upstream_error", body).should_retry(retry);
            if retry && (limited || retry_after.is_some() || results.is_empty()) {
                rescued = rescued.retry_after(retry_after.unwrap_or(Duration::from_secs(5)));
            }
            rescued
        }
    }
}

/// The outermost layer: gives requests their ids and failures their form.
#[derive(Debug, Clone)]
pub struct RescueLayer {
    clock: Arc<dyn Clock>,
    topup_url: Arc<str>,
    keep_alive: Duration,
    metrics: Metrics,
}

impl RescueLayer {
    /// `topup_url` is shown to whoever runs out of money; a stream that has not begun after `keep_alive` is begun with
    /// comments.
    pub const fn new(
        clock: Arc<dyn Clock>,
        topup_url: Arc<str>,
        keep_alive: Duration,
        metrics: Metrics,
    ) -> Self {
        Self { clock, topup_url, keep_alive, metrics }
    }
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner, layer: self.clone() }
    }
}

/// See [`RescueLayer`].
#[derive(Debug, Clone)]
pub struct Rescue<S> {
    inner: S,
    layer: RescueLayer,
}

/// Whose failure it is.
#[derive(Debug, Clone)]
struct Subject {
    endpoint: Endpoint,
    id: RequestId,
    seen: Seen,
    received: Instant,
}

impl RescueLayer {
    fn fail(&self, failure: &Failure, subject: &Subject) -> Rescued {
        let mut rescued = failure.rescued(&self.topup_url);
        let metrics = &self.metrics;
        let Subject { endpoint, id, seen, received } = subject;
        // An upstream was asked for a chat: the client knows its prompt by the name it gave it.
        if let (Failure::Dispatch(_), Some("messages")) = (failure, rescued.error.param.as_deref()) {
            rescued.error = rescued.error.about(endpoint.prompt());
        }
        let (route, model) = (endpoint.as_str(), seen.label());
        metrics.requests_total.with_label_values(&[route, model, rescued.outcome]).inc();
        let duration = metrics.request_duration_seconds.with_label_values(&[route, model, "false"]);
        duration.observe(received.elapsed().as_secs_f64());
        match failure {
            Failure::Shed(_) => metrics.shed_total.with_label_values(&["calls_in_flight"]).inc(),
            Failure::TooFast(e) => {
                metrics.rate_limited_total.with_label_values(&[e.scope.as_str(), e.kind.as_str()]).inc()
            }
            Failure::Short(_) | Failure::Refused(Refusal::InsufficientFunds { .. }) => {
                metrics.insufficient_funds_total.with_label_values(&["account_balance"]).inc();
            }
            Failure::Refused(Refusal::TooMuchInFlight { .. }) => {
                metrics.insufficient_funds_total.with_label_values(&["holds_in_flight"]).inc();
            }
            Failure::Refused(Refusal::OverBudget(budget)) => {
                let scope = if budget.whose == "key" { "key_budget" } else { "account_budget" };
                metrics.insufficient_funds_total.with_label_values(&[scope]).inc();
            }
            Failure::Panicked => metrics.panics_total.with_label_values(&[route]).inc(),
            _ => {}
        }
        if rescued.status.is_server_error() {
            tracing::warn!(request = %id, model, status = rescued.status.as_u16(), %failure, "call failed");
        } else {
            tracing::info!(request = %id, model, status = rescued.status.as_u16(), %failure, "call refused");
        }
        rescued
    }
}

/// The client's own name for a request, if it gave one that may be said back.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get("x-client-request-id").or_else(|| headers.get("x-request-id"))?;
    (given.len() <= 512 && given.to_str().is_ok()).then(|| given.clone())
}

/// Puts both ids on an answer.
pub(crate) fn sign(headers: &mut HeaderMap, endpoint: Endpoint, id: &RequestId, client: Option<HeaderValue>) {
    stamp(headers, &id.to_string());
    if let (Endpoint::Messages, Some(id)) = (endpoint, headers.get("x-request-id").cloned()) {
        headers.insert(HeaderName::from_static("request-id"), id);
    }
    if let Some(client) = client {
        headers.insert(HeaderName::from_static("x-client-request-id"), client);
    }
}

impl<S, B> Service<Request<B>> for Rescue<S>
where
    S: Service<Incoming<B>, Response = Response<Body>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        let subject = Subject {
            // Without one it is a bug of the front's; chat's errors are understood by most.
            endpoint: request.extensions().get().copied().unwrap_or(Endpoint::Chat),
            id: RequestId::new(layer.clock.now()),
            seen: Seen::default(),
            received: Instant::now(),
        };
        let client = client_request_id(request.headers());
        let (head, body) = request.into_parts();
        let Subject { endpoint, id, seen, received } = subject.clone();
        let incoming = Incoming { id, received, head, body, endpoint, seen };
        Box::pin(async move {
            let served = async move {
                // Readiness is awaited here because a failure of it, too, has to be answered.
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
                inner.call(incoming).await
            };
            let served = AssertUnwindSafe(served).catch_unwind();
            let mut served: Served = Box::pin(served.map(|done| done.unwrap_or(Err(Failure::Panicked))));
            let done = match tokio::time::timeout(layer.keep_alive, &mut served).await {
                Ok(done) => done,
                Err(_) if subject.seen.is_stream() => {
                    let mut answer = late::answer(served, layer, subject.clone());
                    sign(answer.headers_mut(), endpoint, &id, client);
                    return Ok(answer);
                }
                Err(_) => served.await,
            };
            let mut answer = match done {
                Ok(answer) => answer,
                Err(failure) => layer.fail(&failure, &subject).into_response(endpoint, &id),
            };
            sign(answer.headers_mut(), endpoint, &id, client);
            Ok(answer)
        })
    }
}
