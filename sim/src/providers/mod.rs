//! How do the model providers behave? Four dialects over one model that only pretends to think.
//!
//! A request is noted, its key is checked, then a waiting fault may strike, then the dialect may object, and only then
//! is there an answer. Faults strike chat requests only; a look at `/models` never uses one up.
mod answer;
mod ask;
mod book;
mod deepseek;
mod dialect;
mod mistral;
mod openai;
mod play;
mod qwen;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

use crate::faults::{Fault, Scope, Site};
use crate::state::{World, silence};
use answer::{Answer, Manner};
use ask::Ask;
pub(crate) use book::Book;
use dialect::{Dialect, Head, Refusal, Trouble};
use play::Step;

/// The models that have a manner of their own.
const MODELS: [&str; 5] = ["sim-fast", "sim-smart", "sim-slow", "sim-flaky", "sim-luxury"];
/// `sim-slow` is at least this slow, even where other models do not wait at all, milliseconds.
const SLOW_GAP_MS_MIN: u64 = 20;

/// A provider: its dialect, where its API begins, and which of the [`World`]'s books is its own.
#[derive(Debug)]
pub(crate) struct Provider {
    dialect: &'static dyn Dialect,
    base: &'static str,
    book: usize,
}

pub(crate) static PROVIDERS: [Provider; 4] = [
    Provider { dialect: &openai::OpenAi, base: "/openai/v1", book: 0 },
    Provider { dialect: &deepseek::DeepSeek, base: "/deepseek/v1", book: 1 },
    Provider { dialect: &qwen::Qwen, base: "/qwen/compatible-mode/v1", book: 2 },
    Provider { dialect: &mistral::Mistral, base: "/mistral/v1", book: 3 },
];

impl Provider {
    pub(crate) fn name(&self) -> &'static str {
        self.dialect.name()
    }
    pub(crate) fn book<'a>(&self, world: &'a World) -> &'a Book {
        &world.providers[self.book]
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    let mut router = Router::new();
    for provider in &PROVIDERS {
        router = router
            .route(
                &format!("{}/chat/completions", provider.base),
                post(move |State(world), uri, headers, body| chat(provider, world, uri, headers, body)),
            )
            .route(
                &format!("{}/models", provider.base),
                get(move |State(world), uri, headers| models(provider, world, uri, headers)),
            );
    }
    router.route(
        "/deepseek/user/balance",
        get(|State(world), uri, headers| balance(&PROVIDERS[1], world, uri, headers)),
    )
}

/// One call under way: who answers, and under which id.
struct Call<'a> {
    provider: &'static Provider,
    world: &'a Arc<World>,
    request_id: String,
}

impl Call<'_> {
    fn answer(&self, status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in self.provider.dialect.headers(&self.request_id) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    fn json(&self, status: StatusCode, body: &Value) -> Response {
        self.answer(status, "application/json", body.to_string())
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.json(refusal.status, &refusal.body)
    }

    fn trouble(&self, trouble: &Trouble<'_>) -> Response {
        self.refuse(&self.provider.dialect.error(trouble, &self.request_id))
    }

    /// Checks the key.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Box<Response>> {
        let sent =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match sent.split_once(' ') {
            Some((scheme, key))
                if scheme.eq_ignore_ascii_case("bearer") && key == self.world.provider_key =>
            {
                Ok(())
            }
            _ => Err(Box::new(self.trouble(&Trouble::BadKey(&book::last_four(sent))))),
        }
    }
}

async fn chat(
    provider: &'static Provider,
    world: Arc<World>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    let (dialect, book) = (provider.dialect, provider.book(&world));
    book.asked();
    book.note(world.now(), &Method::POST, uri.path(), &headers, &body);
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    let Ok(asked) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return call.trouble(&Trouble::Invalid("", "the body is not a JSON object"));
    };
    let model = asked.get("model").and_then(Value::as_str).unwrap_or_default();
    let fault = world.faults.take(Site::Provider(dialect.scope(), model));
    match &fault {
        Some(Fault::Status { status, body, retry_after, .. }) => {
            return status_fault(&call, *status, body.as_ref(), *retry_after, model);
        }
        Some(Fault::OutOfFunds {}) => return call.trouble(&Trouble::OutOfFunds),
        Some(Fault::Timeout { .. }) => silence(&world).await,
        Some(Fault::SlowFirstByte { ms, after_headers: false }) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
        }
        Some(Fault::Html {}) => {
            let page = "<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>";
            return call.answer(StatusCode::OK, "text/html; charset=utf-8", page);
        }
        Some(Fault::Empty {}) => return call.answer(StatusCode::OK, "application/json", Body::empty()),
        _ => {}
    }
    if let Some(objection) = dialect.objection(&asked) {
        return call.refuse(&objection);
    }
    let mut ask = match Ask::read(&asked) {
        Ok(ask) => ask,
        Err(unreadable) => return call.trouble(&Trouble::Invalid(unreadable.param, &unreadable.message)),
    };
    if !dialect.gives_choices() {
        ask.choices = 1;
    }
    let manner = Manner::of(&ask.model);
    if manner.flaky {
        match book.flaky_call() % 4 {
            2 => return call.trouble(&Trouble::Overloaded),
            0 => return call.trouble(&Trouble::RateLimited),
            _ => {}
        }
    }
    answer(&call, &ask, manner, fault.as_ref()).await
}

async fn answer(call: &Call<'_>, ask: &Ask, manner: Manner, fault: Option<&Fault>) -> Response {
    let (dialect, world) = (call.provider.dialect, call.world);
    let answer = Answer::compose(world.seed, ask, dialect.thinks(ask, manner.smart), dialect.tool_id());
    let usage = match fault {
        Some(Fault::NoUsage {}) => None,
        Some(Fault::Usage { usage }) => Some(usage.clone()),
        _ => Some(dialect.usage(answer.count())),
    };
    let head = Head {
        id: dialect.answer_id(),
        created: world.now().div_euclid(1_000_000),
        model: &ask.model,
        include_usage: ask.include_usage,
    };
    let mut first_token = Duration::from_millis(world.pace.first_token_ms());
    if let Some(Fault::SlowFirstByte { ms, after_headers: true }) = fault {
        first_token += Duration::from_millis(*ms);
    }
    let mut gap_ms = world.pace.gap_ms().saturating_mul(manner.slowness);
    if manner.slowness > 1 {
        gap_ms = gap_ms.max(SLOW_GAP_MS_MIN);
    }
    let gap = Duration::from_millis(gap_ms);
    if ask.stream {
        let script =
            play::streamed(dialect, &head, &answer, usage, fault, (first_token, gap), &call.request_id);
        let body = play::body(Arc::clone(world), call.provider.book, script);
        let mut response = call.answer(StatusCode::OK, "text/event-stream; charset=utf-8", body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return response;
    }

    let tokens = answer.count().completion;
    let wait = first_token + gap.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
    // The timer rounds up to its next tick, so a wait of nothing would still be one.
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let text = format!("{}{}", dialect.before_json(), dialect.whole(&head, &answer, usage));
    let text = match fault {
        Some(Fault::ErrorIn200 {}) => dialect.error_in_200(&call.request_id).to_string(),
        Some(Fault::BadJson {}) => play::half(&text).to_owned(),
        Some(Fault::Bom {}) => format!("\u{feff}{text}"),
        Some(Fault::Crlf {}) => format!("{}\r\n", text.replace('\n', "\r\n")),
        Some(Fault::CutAfter { .. } | Fault::StallAfter { .. }) => {
            let last = if matches!(fault, Some(Fault::CutAfter { .. })) { Step::Cut } else { Step::Hang };
            let script =
                VecDeque::from([Step::Write(play::half(&text).to_owned().into(), tokens), Step::Flush, last]);
            let body = play::body(Arc::clone(world), call.provider.book, script);
            let mut response = call.answer(StatusCode::OK, "application/json", body);
            response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
            return response;
        }
        _ => text,
    };
    call.provider.book(world).generated(tokens);
    call.answer(StatusCode::OK, "application/json", text)
}

fn status_fault(
    call: &Call<'_>,
    status: u16,
    body: Option<&Value>,
    retry_after: Option<u64>,
    model: &str,
) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body {
        Some(Value::String(text)) => call.answer(code, "text/plain; charset=utf-8", text.clone()),
        Some(json) => call.json(code, json),
        None => {
            let said = call.provider.dialect.error(&Trouble::of(status, model), &call.request_id);
            call.json(code, &said.body)
        }
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn models(provider: &'static Provider, world: Arc<World>, uri: Uri, headers: HeaderMap) -> Response {
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    provider.book(&world).note(world.now(), &Method::GET, uri.path(), &headers, &Bytes::new());
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    let created = world.now().div_euclid(1_000_000);
    let data: Vec<Value> = MODELS.iter().map(|id| provider.dialect.model_entry(id, created)).collect();
    call.json(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// DeepSeek says what is left; nothing, while it is out of funds.
async fn balance(provider: &'static Provider, world: Arc<World>, uri: Uri, headers: HeaderMap) -> Response {
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    provider.book(&world).note(world.now(), &Method::GET, uri.path(), &headers, &Bytes::new());
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    let broke = world.faults.waiting(Scope::DeepSeek, &Fault::OutOfFunds {});
    let (total, granted, topped_up) =
        if broke { ("0.00", "0.00", "0.00") } else { ("110.00", "10.00", "100.00") };
    let info = json!({"currency": "CNY", "total_balance": total, "granted_balance": granted,
        "topped_up_balance": topped_up});
    call.json(StatusCode::OK, &json!({"is_available": !broke, "balance_infos": [info]}))
}
