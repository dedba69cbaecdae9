//! Inference: the way of a chat call, outermost layer first; and the front that leads to it.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use units::{Clock, RequestId};

use crate::{
    body::{Body, BodyError},
    cache::Cache,
    chat::Endpoint,
    count::Count,
    dialect::{
        DecodeLayer, ErrorBody,
        responses::{NotKept, not_kept},
    },
    dispatch::{Dispatch, TargetHealth},
    edge::AdmitLayer,
    keys::{AuthLayer, Keys},
    meter::{MeterLayer, Tails, Till},
    models,
    plan::{Health, PlanLayer, Snapshots},
    provider::Upstreams,
    rescue::{Failure, RescueLayer, client_request_id, error_response, sign},
    telemetry::Metrics,
};

/// What the path is made of; everything is handed in.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whose keys count, and how far they may go.
    pub keys: Keys,
    /// Routes and prices.
    pub snapshots: Snapshots,
    /// The providers of the table in `snapshots`; replaced with it.
    pub upstreams: Arc<ArcSwap<Upstreams>>,
    /// Who rests.
    pub health: Arc<TargetHealth>,
    /// Where money is set aside.
    pub till: Arc<dyn Till>,
    /// Where calls end whose clients have gone.
    pub tails: Tails,
    /// What is counted.
    pub metrics: Metrics,
    /// What was answered before.
    pub cache: Cache,
    /// Shown to whoever runs out of money.
    pub topup_url: Arc<str>,
    /// A stream that is silent for so long is kept alive with a comment.
    pub keep_alive: Duration,
    /// Where callers are who do not say it.
    pub region: Option<Arc<str>>,
}

/// All inference endpoints, and what counts their prompts: which one is in the request's extensions, as an [`Endpoint`].
pub struct Inference<B> {
    calls: Room<B>,
    counts: Room<B>,
}

type Room<B> = BoxCloneSyncService<Request<B>, Response<Body>, Infallible>;

impl<B> Clone for Inference<B> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), counts: self.counts.clone() }
    }
}

impl<B> fmt::Debug for Inference<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inference")
    }
}

impl<B> Inference<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    /// Puts the rooms in their order.
    pub fn new(parts: &Parts) -> Self {
        let Parts {
            clock,
            keys,
            snapshots,
            upstreams,
            health,
            till,
            tails,
            metrics,
            cache,
            topup_url,
            keep_alive,
            region,
        } = parts.clone();
        let table = |snapshots: &Snapshots| {
            let snapshots = Arc::clone(snapshots);
            move || snapshots.load().table.limits.clone()
        };
        let (admits, reads, counted) = (table(&snapshots), table(&snapshots), table(&snapshots));
        let limits = keys.limits().clone();
        let counts_by = limits.clone();
        let rests: Arc<dyn Health> = Arc::clone(&health) as _;
        // Whatever breaks below, the client gets a well-formed answer with its id on it.
        let rescue = RescueLayer::new(Arc::clone(&clock), topup_url, keep_alive, metrics.clone());
        // A full house turns people away before it costs us any parsing.
        let admit = AdmitLayer::new(move || admits().calls_in_flight_max);
        let auth = AuthLayer::new(keys);
        let counts =
            ServiceBuilder::new().layer(rescue.clone()).layer(admit.clone()).layer(auth.clone()).service(
                Count::new(counts_by, Arc::clone(&snapshots), Arc::clone(&clock), move || {
                    counted().body_max_bytes
                }),
            );
        let calls = ServiceBuilder::new()
            .layer(rescue)
            .layer(admit)
            .layer(auth) //                                                         Incoming -> Authed
            .layer(DecodeLayer::new(move || reads().body_max_bytes, keep_alive)) //                Authed -> Call
            .layer(PlanLayer::new(snapshots, rests, Arc::clone(&clock), region)) //                           Call -> Planned
            // Above here every error is a failure with a face; below, the rooms' own.
            .map_err(Failure::from)
            .layer(MeterLayer::new(till, limits.clone(), tails, metrics.clone(), cache)) // one hold, however many are tried below
            .service(Dispatch::new(upstreams, health, limits, clock, metrics)); //                   Covered -> Answer
        Self { calls: BoxCloneSyncService::new(calls), counts: BoxCloneSyncService::new(counts) }
    }
}

impl<B> Service<Request<B>> for Inference<B> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.calls.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.calls.call(request)
    }
}

/// An answer to come.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Says whether this process can serve, or why it cannot.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Leads each request to its room: a hand-written match on the hot path, whatever is not inference to `fallback`.
pub struct Front<B, F> {
    inference: Inference<B>,
    clock: Arc<dyn Clock>,
    keys: Keys,
    snapshots: Snapshots,
    ready: Ready,
    fallback: F,
}

impl<B, F: Clone> Clone for Front<B, F> {
    fn clone(&self) -> Self {
        Self {
            inference: self.inference.clone(),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
            snapshots: Arc::clone(&self.snapshots),
            ready: Arc::clone(&self.ready),
            fallback: self.fallback.clone(),
        }
    }
}

impl<B, F> fmt::Debug for Front<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Front")
    }
}

impl<B, F> Front<B, F>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    /// `ready` is asked by `/readyz`; `fallback` gets every path that is none of ours.
    pub fn new(parts: &Parts, ready: Ready, fallback: F) -> Self {
        Self {
            inference: Inference::new(parts),
            clock: Arc::clone(&parts.clock),
            keys: parts.keys.clone(),
            snapshots: Arc::clone(&parts.snapshots),
            ready,
            fallback,
        }
    }
}

/// A path of ours.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Inference(Endpoint),
    /// Where the prompts of an endpoint are counted.
    Count(Endpoint),
    /// Below an endpoint whose clients know errors of their own, and not there.
    Nowhere(Endpoint),
    Models,
    Model(String),
    NotKept(NotKept),
    Healthz,
    Readyz,
    Elsewhere,
}

fn place(path: &str) -> Place {
    match path {
        "/v1/chat/completions" | "/chat/completions" => Place::Inference(Endpoint::Chat),
        "/v1/responses" | "/responses" => Place::Inference(Endpoint::Responses),
        "/v1/completions" | "/completions" => Place::Inference(Endpoint::Completions),
        "/v1/embeddings" | "/embeddings" => Place::Inference(Endpoint::Embeddings),
        "/v1/messages" | "/messages" => Place::Inference(Endpoint::Messages),
        "/v1/messages/count_tokens" | "/messages/count_tokens" => Place::Count(Endpoint::Messages),
        "/v1/models" | "/models" => Place::Models,
        "/healthz" => Place::Healthz,
        "/readyz" => Place::Readyz,
        path if path.starts_with("/v1/messages/") => Place::Nowhere(Endpoint::Messages),
        path => {
            let response = path.strip_prefix("/v1/responses/").or_else(|| path.strip_prefix("/responses/"));
            if let Some(rest) = response.filter(|rest| !rest.is_empty()) {
                return Place::NotKept(not_kept(&percent_decoded(rest)));
            }
            let id = path.strip_prefix("/v1/models/").or_else(|| path.strip_prefix("/models/"));
            id.filter(|id| !id.is_empty()).map_or(Place::Elsewhere, |id| Place::Model(percent_decoded(id)))
        }
    }
}

/// `%2F` and the like; what is no escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl<B, F, FB> Service<Request<B>> for Front<B, F>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
    F: Service<Request<B>, Response = Response<FB>, Error = Infallible> + Clone + Send + 'static,
    F::Future: Send,
    FB: http_body::Body<Data = Bytes> + Send + 'static,
    FB::Error: Into<BodyError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // each room is asked when a request is for it
    }

    fn call(&mut self, mut request: Request<B>) -> Answering {
        let place = place(request.uri().path());
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match place {
            Place::Inference(endpoint) if request.method() == Method::POST => {
                request.extensions_mut().insert(endpoint);
                self.inference.call(request)
            }
            Place::Count(endpoint) if request.method() == Method::POST => {
                request.extensions_mut().insert(endpoint);
                self.inference.counts.call(request)
            }
            Place::Inference(endpoint) | Place::Count(endpoint) => {
                self.not_allowed(&request, endpoint, "POST")
            }
            Place::Nowhere(endpoint) => {
                let message = format!("There is no {} here.", request.uri().path());
                let error = ErrorBody::new("invalid_request_error", "unknown_url", message);
                self.refuse(&request, endpoint, StatusCode::NOT_FOUND, &error, HeaderMap::new())
            }
            Place::NotKept(what) => self.not_kept(&request, what),
            Place::Elsewhere => {
                let fallback = self.fallback.clone();
                Box::pin(async move { Ok(fallback.oneshot(request).await?.map(Body::wrap)) })
            }
            _ if !reads => self.not_allowed(&request, Endpoint::Chat, "GET, HEAD"),
            Place::Healthz => text(StatusCode::OK, "ok"),
            Place::Readyz => match (self.ready)() {
                Ok(()) => text(StatusCode::OK, "ready"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            Place::Models => self.models(request.headers(), None),
            Place::Model(id) => self.models(request.headers(), Some(id)),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answering {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Box::pin(std::future::ready(Ok(response)))
}

impl<B, F> Front<B, F> {
    fn not_allowed(&self, request: &Request<B>, endpoint: Endpoint, allowed: &'static str) -> Answering {
        let message = format!("{} is not allowed here; use {allowed}.", request.method());
        let error = ErrorBody::new("invalid_request_error", "method_not_allowed", message);
        let mut headers = HeaderMap::new();
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        self.refuse(request, endpoint, StatusCode::METHOD_NOT_ALLOWED, &error, headers)
    }

    fn refuse(
        &self,
        request: &Request<B>,
        endpoint: Endpoint,
        status: StatusCode,
        error: &ErrorBody,
        headers: HeaderMap,
    ) -> Answering {
        let id = RequestId::new(self.clock.now());
        let mut answer = error_response(endpoint, status, error, headers, &id);
        sign(answer.headers_mut(), endpoint, &id, client_request_id(request.headers()));
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn not_kept(&self, request: &Request<B>, what: NotKept) -> Answering {
        let id = RequestId::new(self.clock.now());
        let mut answer = Failure::from(what).rescued("").into_response(Endpoint::Responses, &id);
        sign(answer.headers_mut(), Endpoint::Responses, &id, client_request_id(request.headers()));
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn models(&self, headers: &HeaderMap, id: Option<String>) -> Answering {
        let (keys, snapshots, headers) = (self.keys.clone(), Arc::clone(&self.snapshots), headers.clone());
        let now = self.clock.now();
        let request_id = RequestId::new(now);
        Box::pin(async move {
            let answered = async {
                let caller = keys.authenticate(&headers).await?;
                let snapshot = snapshots.load();
                Ok::<_, Failure>(match id {
                    None => models::list(&caller, &snapshot, now),
                    Some(id) => models::get(&id, &caller, &snapshot, now)?,
                })
            };
            let mut answer = match answered.await {
                Ok(value) => {
                    let mut answer = Response::new(Body::whole(value.to_string()));
                    let json = HeaderValue::from_static("application/json");
                    answer.headers_mut().insert(header::CONTENT_TYPE, json);
                    answer
                }
                Err(failure) => failure.rescued("").into_response(Endpoint::Chat, &request_id),
            };
            sign(answer.headers_mut(), Endpoint::Chat, &request_id, client_request_id(&headers));
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_may_hold_slashes_and_escapes() {
        assert_eq!(place("/v1/models/Qwen%2FQwen3%3a8"), Place::Model("Qwen/Qwen3:8".into()));
        assert_eq!(place("/v1/models/a/b"), Place::Model("a/b".into()));
        assert_eq!(place("/v1/models/100%"), Place::Model("100%".into()));
        assert_eq!(place("/v1/models/"), Place::Elsewhere);
        assert_eq!(place("/v1/topups"), Place::Elsewhere);
        assert_eq!(place("/v1/messages/batches"), Place::Nowhere(Endpoint::Messages));
        assert_eq!(place("/v1/responses"), Place::Inference(Endpoint::Responses));
        assert_eq!(place("/v1/responses/compact"), Place::NotKept(NotKept::Compaction));
        assert_eq!(place("/responses/resp_1/cancel"), Place::NotKept(NotKept::Response("resp_1".into())));
    }
}
