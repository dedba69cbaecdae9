//! Body: what does an answer's body consist of, whoever made it?
//!
//! One type for whole bodies, metered streams and the pages of other rooms, so that nothing is boxed twice. What must be
//! given back when the last byte is gone (permits, gauges) rides in it.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

/// Why a body broke off; the connection is closed, nothing more can be said.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type Boxed = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// The body of every answer.
pub struct Body {
    kind: Kind,
    carried: Option<Box<dyn Any + Send>>,
}

enum Kind {
    Whole(Option<Bytes>),
    Boxed(Boxed),
}

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self { kind: Kind::Whole(None), carried: None }
    }

    /// These bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { kind: Kind::Whole((!bytes.is_empty()).then_some(bytes)), carried: None }
    }

    /// Another body.
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self { kind: Kind::Boxed(Box::pin(body.map_err(Into::into))), carried: None }
    }

    /// The same body, which drops `thing` when it is dropped itself.
    #[must_use]
    pub fn carrying(self, thing: impl Any + Send) -> Self {
        let carried: Box<dyn Any + Send> = match self.carried {
            None => Box::new(thing),
            Some(before) => Box::new((before, thing)),
        };
        Self { kind: self.kind, carried: Some(carried) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.as_ref().map(Bytes::len)).finish(),
            Kind::Boxed(_) => f.write_str("Boxed"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}
