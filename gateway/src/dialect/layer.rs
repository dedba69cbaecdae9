//! Request bytes in, answer bytes out: the one layer that sees the clients' wires.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::{Layer, Service};
use units::RequestId;

use super::{
    Voices,
    decode::DecodeError,
    forwarded,
    head::{limit_headers, put},
    read,
    stream::Encoder,
    wishes::wishes,
};
use crate::{
    body::{Body, BodyError},
    chat::{Call, Caller, Endpoint, HEAD_MAX_BYTES, HOPS_MAX, Kind, Seen, head_bytes, hops},
    edge::Incoming,
    keys::Authed,
    meter::{Reply, ReplyBody},
};

/// A body has this long to arrive.
const BODY_READ_MAX: Duration = Duration::from_secs(120);
/// Of a body that is too large, this much more is taken, ...
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// ... for at most so long.
const DRAIN_MAX: Duration = Duration::from_secs(10);

type BytesMax = Arc<dyn Fn() -> usize + Send + Sync>;

/// Turns authenticated requests into calls, and replies into answers.
#[derive(Clone)]
pub struct DecodeLayer {
    body_max_bytes: BytesMax,
    keep_alive: Duration,
}

impl DecodeLayer {
    /// `body_max_bytes` is asked at every call, so that it may change while the process runs. A stream that is silent
    /// for `keep_alive` is kept alive with a comment.
    pub fn new(body_max_bytes: impl Fn() -> usize + Send + Sync + 'static, keep_alive: Duration) -> Self {
        Self { body_max_bytes: Arc::new(body_max_bytes), keep_alive }
    }
}

impl std::fmt::Debug for DecodeLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecodeLayer")
    }
}

impl<S> Layer<S> for DecodeLayer {
    type Service = Decode<S>;

    fn layer(&self, inner: S) -> Decode<S> {
        Decode { inner, layer: self.clone() }
    }
}

/// See [`DecodeLayer`].
#[derive(Clone)]
pub struct Decode<S> {
    inner: S,
    layer: DecodeLayer,
}

impl<S> std::fmt::Debug for Decode<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decode")
    }
}

impl<S, B> Service<Authed<B>> for Decode<S>
where
    S: Service<Call, Response = Reply> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: From<DecodeError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, authed: Authed<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let (max, keep_alive) = ((self.layer.body_max_bytes)(), self.layer.keep_alive);
        Box::pin(async move {
            let call = decode(authed, max).await?;
            let voices = Voices::of(&call);
            let reply = ready.call(call).await?;
            Ok(encode(reply, voices, keep_alive))
        })
    }
}

async fn decode<B>(authed: Authed<B>, max: usize) -> Result<Call, DecodeError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    let Authed { incoming, caller } = authed;
    let Incoming { id, received, head, body, endpoint, seen } = incoming;
    if head_bytes(&head.headers) > HEAD_MAX_BYTES as usize {
        return Err(DecodeError::HeadTooLarge { max: HEAD_MAX_BYTES });
    }
    let body = whole_body(&head.headers, body, max).await?;
    let call = call_of(endpoint, id, &head.headers, &body, caller)?;
    if call.stream {
        seen.streams();
    }
    Ok(Call { received, seen, ..call })
}

/// What a caller asks for by a head and a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn call_of(
    endpoint: Endpoint,
    id: RequestId,
    headers: &HeaderMap,
    body: &Bytes,
    caller: Caller,
) -> Result<Call, DecodeError> {
    let hops = hops(headers);
    if hops >= HOPS_MAX {
        return Err(DecodeError::Circles { hops });
    }
    let wanted = read(endpoint, body)?;
    let wishes = wishes(headers)?;
    let forward = forwarded(endpoint, headers);
    Ok(Call {
        endpoint,
        id,
        received: Instant::now(),
        hops,
        caller,
        model: wanted.model,
        instead: wanted.instead,
        stream: wanted.stream,
        wants_usage: wanted.wants_usage,
        output_max: wanted.output_max,
        n: wanted.n,
        input_bound: wanted.input.bound,
        input_estimate: wanted.input.estimate,
        has_pictures: wanted.input.has_pictures,
        wishes,
        forward,
        native: wanted.native,
        chat: wanted.chat,
        seen: Seen::default(),
    })
}

/// Reads the body, up to `max` bytes.
///
/// # Errors
/// [`DecodeError`], if it is larger, or does not come.
pub async fn whole_body<B>(headers: &HeaderMap, body: B, max: usize) -> Result<Bytes, DecodeError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = announced.is_some_and(|bytes| bytes > max as u64);
    if too_large && headers.contains_key(header::EXPECT) {
        // Whoever asks first has sent nothing yet, and now never will.
        return Err(DecodeError::TooLarge { max });
    }
    let mut body = Box::pin(body);
    if !too_large {
        let reading = Limited::new(body.as_mut(), max).collect();
        match tokio::time::timeout(BODY_READ_MAX, reading).await {
            Ok(Ok(read)) => return Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {}
            Ok(Err(error)) => return Err(DecodeError::Broken(error.to_string())),
            Err(_) => return Err(DecodeError::TooSlow(BODY_READ_MAX.as_secs())),
        }
    }
    // A client that is still sending when the connection closes sees a broken pipe instead of the answer: what it
    // sends is taken, within bounds, and dropped.
    let mut left = DRAIN_BYTES_MAX;
    let draining = async {
        while let Some(Ok(frame)) = body.as_mut().frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_MAX, draining).await;
    Err(DecodeError::TooLarge { max })
}

fn encode(reply: Reply, voices: Voices, keep_alive: Duration) -> Response<Body> {
    let Reply { head, body } = reply;
    let mut voice = voices.voice(head.spoken, &head.model);
    let (mut answer, bill) = match body {
        ReplyBody::Whole { json, bill } => (Response::new(Body::whole(voice.whole(json, &bill))), Some(bill)),
        ReplyBody::Stream(metered) => {
            (Response::new(Body::wrap(Encoder::new(metered, voice, keep_alive))), None)
        }
    };
    let headers = answer.headers_mut();
    match bill {
        Some(bill) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let settled = bill.settled;
            put(headers, HeaderName::from_static("x-tollgate-cost-cny"), &settled.cost.to_string());
            put(headers, HeaderName::from_static("x-tollgate-balance-cny"), &settled.balance.to_string());
        }
        None => {
            let stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, stream);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let unbuffered = HeaderName::from_static("x-accel-buffering");
            headers.insert(unbuffered, HeaderValue::from_static("no"));
        }
    }
    put(headers, HeaderName::from_static("x-request-id"), &head.request.to_string());
    put(headers, HeaderName::from_static("x-tollgate-provider"), &head.provider);
    put(headers, HeaderName::from_static("x-tollgate-model"), &head.model);
    put(headers, HeaderName::from_static("x-tollgate-decision"), &head.decision.to_string());
    put(headers, HeaderName::from_static("x-tollgate-price-version"), &head.price_version);
    headers.insert(HeaderName::from_static("x-tollgate-attempts"), (head.attempts as u64).into());
    if let Some(said) = head.cache {
        put(headers, HeaderName::from_static("x-tollgate-cache"), said.as_str());
    }
    if let Some(cap) = head.output_cap {
        headers.insert(HeaderName::from_static("x-tollgate-max-tokens"), cap.0.into());
    }
    if !head.adjusted.is_empty() {
        put(headers, HeaderName::from_static("x-tollgate-adjusted"), &head.adjusted.join(", "));
    }
    let ms = u64::try_from(head.overhead.as_millis()).unwrap_or(u64::MAX);
    headers.insert(HeaderName::from_static("x-tollgate-overhead-ms"), ms.into());
    for (kind, standing) in [(Kind::Requests, head.requests), (Kind::Tokens, head.tokens)] {
        if let Some(standing) = standing {
            limit_headers(headers, kind, &standing);
        }
    }
    answer
}
