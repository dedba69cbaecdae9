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
    chat::{Caller, TooFast},
    edge::Incoming,
};

/// A request whose sender is known and was not too fast.
#[derive(Debug)]
pub struct Authed<B> {
    /// The request.
    pub incoming: Incoming<B>,
    /// Who sends it.
    pub caller: Caller,
}

/// Lets only known keys through, and none that is past its limits.
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
    S::Error: From<AuthError> + From<TooFast> + Send,
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
            let (limits, seen) = (keys.limits(), incoming.seen.clone());
            // Where the call ends at its limits it is not read; where it gets further it is counted there, once the
            // model is known, so that all limits are asked at once.
            limits.may_ask(&caller)?;
            let done = ready.call(Authed { incoming, caller: caller.clone() }).await;
            if done.is_err() && !seen.is_counted() {
                // What is refused before that has been read all the same.
                let _ = limits.request(&caller).await;
            }
            done
        })
    }
}
