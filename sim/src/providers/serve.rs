//! What happens to a request of a model, from the key to the last byte?
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::ask::{Ask, Unreadable, bad};
use super::call::Call;
use super::dialect::{self, Head, Trouble, UsageAt};
use super::endpoint::Endpoint;
use super::model::Manner;
use super::play::{self, Step};
use super::script::{self, Pace};
use super::table::Provider;
use super::written::Written;
use super::{chat, completions, embeddings, messages, responses};
use crate::faults::{Fault, Site};
use crate::state::{World, silence};

/// `sim-slow` is at least this slow, even where other models do not wait at all, milliseconds.
const SLOW_GAP_MS_MIN: u64 = 20;
const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>";

/// Serves one request. `deployment` is the model where it stands in the path.
pub(super) async fn serve(
    provider: &'static Provider,
    endpoint: Endpoint,
    deployment: Option<String>,
    world: Arc<World>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    let (dialect, book) = (provider.dialect, provider.book(&world));
    book.asked();
    book.note(world.now(), &Method::POST, &uri, &headers, &body);
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    if let Some(refusal) = dialect.at_the_door(&uri, &headers, &call.request_id) {
        return call.refuse(&refusal);
    }
    let Ok(mut asked) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return call.trouble(&Trouble::Invalid("", "the body is not a JSON object"));
    };
    if let Some(deployment) = deployment {
        asked.insert("model".into(), deployment.into());
    }
    let model = asked.get("model").and_then(Value::as_str).unwrap_or_default();
    let fault = world.faults.take(Site::Provider(dialect.scope(), model));
    match &fault {
        Some(Fault::Status { status, body, retry_after, .. }) => {
            return status_fault(&call, *status, body.as_ref(), *retry_after, model);
        }
        Some(Fault::OutOfFunds {}) => return call.trouble(&Trouble::OutOfFunds),
        Some(Fault::ContentFilter {}) => return call.trouble(&Trouble::Filtered),
        Some(Fault::TooLong {}) => return call.trouble(&Trouble::TooLong),
        Some(Fault::Timeout { .. }) => silence(&world).await,
        Some(Fault::SlowFirstByte { ms, after_headers: false }) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
        }
        Some(Fault::Html { status }) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            return call.answer(status, "text/html; charset=utf-8", PAGE);
        }
        Some(Fault::Empty {}) => return call.answer(StatusCode::OK, "application/json", Body::empty()),
        _ => {}
    }
    if let Some(objection) = dialect.objection(endpoint, &asked) {
        return call.refuse(&objection);
    }
    if !endpoint.serves(Manner::of(model).kind) {
        return call.trouble(&Trouble::NoModel(model));
    }
    if endpoint == Endpoint::Embeddings {
        return match embeddings::answer(&call, &asked, fault.as_ref()) {
            Ok(whole) => send_whole(&call, whole.to_string(), 0, fault.as_ref()),
            Err(wrong) => call.trouble(&Trouble::Invalid(&wrong.param, &wrong.message)),
        };
    }
    let ask = match read(endpoint, &asked) {
        Ok(ask) => ask,
        Err(wrong) => return call.trouble(&Trouble::Invalid(&wrong.param, &wrong.message)),
    };
    if ask.endpoint == Endpoint::CountTokens {
        return call.json(StatusCode::OK, &json!({"input_tokens": ask.prompt_tokens}));
    }
    if ask.manner.flaky {
        match book.flaky_call() % 4 {
            2 => return call.trouble(&Trouble::Overloaded),
            0 => return call.trouble(&Trouble::RateLimited),
            _ => {}
        }
    }
    reply(&call, ask, fault.as_ref()).await
}

fn read(endpoint: Endpoint, asked: &Map<String, Value>) -> Result<Ask, Unreadable> {
    match endpoint {
        Endpoint::Chat => Ask::chat(asked),
        Endpoint::Responses => responses::read(asked),
        Endpoint::Completions => completions::read(asked),
        Endpoint::Messages | Endpoint::CountTokens => messages::read(endpoint, asked),
        Endpoint::Embeddings => Err(bad("", "vectors are made elsewhere")),
    }
}

async fn reply(call: &Call<'_>, mut ask: Ask, fault: Option<&Fault>) -> Response {
    let (dialect, world) = (call.provider.dialect, call.world);
    if ask.endpoint == Endpoint::Chat && !dialect.gives_choices() {
        ask.choices = 1;
    }
    let mut answer =
        Answer::compose(world.seed, &ask, dialect.thinks(&ask), dialect.repeats(), dialect.tool_id());
    if ask.endpoint == Endpoint::Messages {
        answer.announce_calls();
    }
    answer.spoil(fault);
    let written = write(call, &ask, &answer, fault);

    let mut first_token = Duration::from_millis(world.pace.first_token_ms());
    if let Some(Fault::SlowFirstByte { ms, after_headers: true }) = fault {
        first_token += Duration::from_millis(*ms);
    }
    let mut gap_ms = world.pace.gap_ms().saturating_mul(ask.manner.slowness);
    if ask.manner.slowness > 1 {
        gap_ms = gap_ms.max(SLOW_GAP_MS_MIN);
    }
    let gap = Duration::from_millis(gap_ms);
    let stream = match fault {
        Some(Fault::JsonForStream {}) => false,
        Some(Fault::StreamForJson {}) => true,
        _ => ask.stream,
    };
    if stream {
        let gzipped = matches!(fault, Some(Fault::Gzip {}));
        let keep_alive = if ask.endpoint == Endpoint::Chat { dialect.keep_alive() } else { None };
        let steps = script::streamed(written, keep_alive, fault, Pace { first_token, gap });
        let body = play::body(Arc::clone(world), call.provider.book, steps);
        let mut response = call.answer(StatusCode::OK, "text/event-stream; charset=utf-8", body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if gzipped {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        return response;
    }

    let tokens = answer.count().completion;
    let wait = first_token + gap.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
    let text = match fault {
        Some(Fault::ErrorIn200 { .. }) => written.error.to_string(),
        _ => format!("{}{}", dialect.before_json(), written.whole),
    };
    if let Some(Fault::Busy { signs, gap_ms }) = fault {
        let gap = Duration::from_millis(*gap_ms);
        let sign = || [Step::Write(Bytes::from_static(b"\n"), 0), Step::Flush, Step::Wait(gap)];
        let mut steps: VecDeque<Step> = (0..*signs).flat_map(|_| sign()).collect();
        steps.push_back(Step::Write(text.into(), tokens));
        let body = play::body(Arc::clone(world), call.provider.book, steps);
        return call.answer(StatusCode::OK, "application/json", body);
    }
    // The timer rounds up to its next tick, so a wait of nothing would still be one.
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    send_whole(call, text, tokens, fault)
}

/// The answer in the words of the wire on which it was asked for.
fn write(call: &Call<'_>, ask: &Ask, answer: &Answer, fault: Option<&Fault>) -> Written {
    let (dialect, world) = (call.provider.dialect, call.world);
    let count = answer.count();
    let usage = || match fault {
        Some(Fault::NoUsage {}) => None,
        Some(Fault::Usage { usage }) => Some(usage.clone()),
        _ => Some(match ask.endpoint {
            Endpoint::Responses => responses::usage(count),
            Endpoint::Messages | Endpoint::CountTokens => {
                messages::usage(ask, count, call.provider.book(world))
            }
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => dialect.usage(count),
        }),
    };
    let created = world.now().div_euclid(1_000_000);
    let id = dialect.answer_id();
    match ask.endpoint {
        Endpoint::Responses => responses::write(ask, answer, usage(), created, &call.request_id, dialect),
        Endpoint::Messages | Endpoint::CountTokens => {
            messages::write(ask, answer, usage(), id, &call.request_id)
        }
        endpoint => {
            let at = match fault {
                Some(Fault::UsageInEveryChunk {}) => UsageAt::Every,
                _ => dialect.usage_at(ask.include_usage),
            };
            let head = Head { id, created, model: &ask.model, include_usage: ask.include_usage };
            if endpoint == Endpoint::Completions {
                completions::write(dialect, &head, ask, answer, usage(), at, &call.request_id)
            } else {
                chat::write(dialect, &head, answer, usage(), at, &call.request_id)
            }
        }
    }
}

/// Sends an answer that is no stream, with what a fault does to its bytes.
fn send_whole(call: &Call<'_>, mut text: String, tokens: u64, fault: Option<&Fault>) -> Response {
    let bytes = match fault {
        Some(Fault::BadJson {}) => script::half(&text).to_owned().into_bytes(),
        Some(Fault::BadUtf8 {}) => script::with_bad_byte(text.as_bytes()),
        Some(Fault::Bom {}) => format!("\u{feff}{text}").into_bytes(),
        Some(Fault::Crlf {}) => format!("{}\r\n", text.replace('\n', "\r\n")).into_bytes(),
        Some(Fault::Set { pointer, value }) => {
            script::edit(&mut text, pointer, Some(value));
            text.into_bytes()
        }
        Some(Fault::Remove { pointer }) => {
            script::edit(&mut text, pointer, None);
            text.into_bytes()
        }
        Some(Fault::Gzip {}) => {
            let body = script::gzip(text.as_bytes());
            let mut response = call.answer(StatusCode::OK, "application/json", body);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return response;
        }
        Some(Fault::CutAfter { .. } | Fault::StallAfter { .. } | Fault::Drip { .. }) => {
            let steps = match fault {
                Some(Fault::Drip { bytes }) => {
                    let pieces = text.as_bytes().chunks(*bytes);
                    pieces.flat_map(|piece| [Step::Flush, Step::Write(piece.to_vec().into(), 0)]).collect()
                }
                Some(Fault::CutAfter { .. }) => in_half(&text, tokens, Step::Cut),
                _ => in_half(&text, tokens, Step::Hang),
            };
            let body = play::body(Arc::clone(call.world), call.provider.book, steps);
            let mut response = call.answer(StatusCode::OK, "application/json", body);
            response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
            return response;
        }
        _ => text.into_bytes(),
    };
    call.provider.book(call.world).generated(tokens);
    call.answer(StatusCode::OK, "application/json", bytes)
}

/// The first half of an answer, and then its end.
fn in_half(text: &str, tokens: u64, end: Step) -> VecDeque<Step> {
    VecDeque::from([Step::Write(script::half(text).to_owned().into(), tokens), Step::Flush, end])
}

fn status_fault(
    call: &Call<'_>,
    status: u16,
    body: Option<&Value>,
    retry_after: Option<u64>,
    model: &str,
) -> Response {
    let mut said = call.provider.dialect.error(&Trouble::of(status, model), &call.request_id);
    said.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(body) = body {
        said.body = body.clone();
    }
    let mut response = call.refuse(&said);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
