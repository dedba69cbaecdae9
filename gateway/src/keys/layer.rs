//! The layer that knows who calls.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use tower::{Layer, Service};

use super::{AuthError, Keys};
use crate::{
    body::Body,
    chat::{Caller, Standing, TooFast},
    edge::Incoming,
};

/// A request whose sender is known and was not too fast.
#[derive(Debug)]
pub struct Authed<B> {
    /// The request.
    pub incoming: Incoming<B>,
    /// Who sends it.
    pub caller: Caller,
    /// Where the key stands with its requests per minute, this one counted.
    pub requests: Standing,
}

/// Lets only known keys through, each at its own pace.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    keys: Keys,
}

impl AuthLayer {
    /// With these keys.
    pub const fn new(keys: Keys) -> Self {
        Self { keys }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, keys: self.keys.clone() }
    }
}

/// See [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct Auth<S> {
    inner: S,
    keys: Keys,
}

impl<S, B> Service<Incoming<B>> for Auth<S>
where
    S: Service<Authed<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: From<AuthError> + From<TooFast>,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let keys = self.keys.clone();
        Box::pin(async move {
            let caller = keys.authenticate(&incoming.head.headers).await?;
            let requests = keys.paces().request(&caller)?;
            ready.call(Authed { incoming, caller, requests }).await
        })
    }
}
