//! A full house turns people away before it costs any parsing.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::Response;
use tower::{Layer, Service};

use super::Incoming;
use crate::body::Body;

/// As many calls are in flight as this process carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{in_flight} calls are in flight")]
pub struct Shed {
    /// How many there are.
    pub in_flight: usize,
}

type Max = Arc<dyn Fn() -> usize + Send + Sync>;

/// Admits calls while there is room; the place is given back with the last byte of the answer.
#[derive(Clone)]
pub struct AdmitLayer {
    max: Max,
    in_flight: Arc<AtomicUsize>,
}

impl AdmitLayer {
    /// `max` is asked at every call, so that it may change while the process runs.
    pub fn new(max: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { max: Arc::new(max), in_flight: Arc::default() }
    }
}

impl fmt::Debug for AdmitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmitLayer").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner, room: self.clone() }
    }
}

/// See [`AdmitLayer`].
#[derive(Debug, Clone)]
pub struct Admit<S> {
    inner: S,
    room: AdmitLayer,
}

/// One taken place.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<S, B> Service<Incoming<B>> for Admit<S>
where
    S: Service<Incoming<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: From<Shed>,
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
        let before = self.room.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&self.room.in_flight));
        let full = before >= (self.room.max)();
        Box::pin(async move {
            if full {
                return Err(Shed { in_flight: before }.into());
            }
            let answer = ready.call(incoming).await?;
            Ok(answer.map(|body| body.carrying(place)))
        })
    }
}
