//! Count: how many tokens would this prompt come to? Free of charge, for whoever has a key; nobody upstream is asked.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::json;
use tower::Service;
use units::Clock;

use crate::{
    body::{Body, BodyError},
    chat::Kind,
    dialect::{limit_headers, messages, whole_body},
    keys::Authed,
    limits::Limits,
    models,
    plan::Snapshots,
    rescue::Failure,
};

type BytesMax = Arc<dyn Fn() -> usize + Send + Sync>;

/// Answers `POST /v1/messages/count_tokens`.
#[derive(Clone)]
pub struct Count {
    limits: Limits,
    snapshots: Snapshots,
    clock: Arc<dyn Clock>,
    body_max_bytes: BytesMax,
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Count")
    }
}

impl Count {
    /// For the models in `snapshots`; `body_max_bytes` is asked at every call.
    pub fn new(
        limits: Limits,
        snapshots: Snapshots,
        clock: Arc<dyn Clock>,
        body_max_bytes: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        Self { limits, snapshots, clock, body_max_bytes: Arc::new(body_max_bytes) }
    }

    async fn count<B>(self, authed: Authed<B>) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BodyError>,
    {
        let Authed { incoming, caller } = authed;
        incoming.seen.counted();
        let requests = self.limits.request(&caller).await?;
        let body = whole_body(&incoming.head.headers, incoming.body, (self.body_max_bytes)()).await?;
        let counted = messages::count(&body)?;
        // Only of models that the caller may ask for is anything told.
        models::get(&counted.model, &caller, &self.snapshots.load(), self.clock.now())?;
        let mut answer = Response::new(Body::whole(json!({ "input_tokens": counted.input.0 }).to_string()));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(requests) = requests {
            limit_headers(headers, Kind::Requests, &requests);
        }
        Ok(answer)
    }
}

impl<B> Service<Authed<B>> for Count
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, authed: Authed<B>) -> Self::Future {
        Box::pin(self.clone().count(authed))
    }
}
