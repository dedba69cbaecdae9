//! A stream that has not begun yet and is begun all the same, with comments.
//!
//! Proxies and clients give up on a connection that is silent for too long. A comment commits the status: what goes wrong
//! from then on is an error event, and what the headers would have said is said in a comment.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{RescueLayer, Served, Subject};
use crate::body::{Body, BodyError};

const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// An answer whose head leaves now and whose body waits for what is `served`.
pub(super) fn answer(served: Served, layer: RescueLayer, subject: Subject) -> Response<Body> {
    let mut ticks = interval_at(Instant::now() + layer.keep_alive, layer.keep_alive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = State::New(served);
    let mut answer = Response::new(Body::wrap(Late { state, ticks, layer, subject }));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

struct Late {
    state: State,
    ticks: Interval,
    layer: RescueLayer,
    subject: Subject,
}

enum State {
    /// Nothing was said yet: a comment goes with the head, or some would hold that back too.
    New(Served),
    Waiting(Served),
    Begun(Body),
    Over,
}

impl HttpBody for Late {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut this.state {
            State::New(_) => {
                if let State::New(served) = std::mem::replace(&mut this.state, State::Over) {
                    this.state = State::Waiting(served);
                }
                frame(Bytes::from_static(KEEP_ALIVE))
            }
            State::Over => Poll::Ready(None),
            State::Begun(body) => Pin::new(body).poll_frame(cx),
            State::Waiting(served) => match served.as_mut().poll(cx) {
                Poll::Ready(Ok(answer)) => {
                    let (head, body) = answer.into_parts();
                    this.state = State::Begun(body);
                    frame(told(&head.headers))
                }
                Poll::Ready(Err(failure)) => {
                    this.state = State::Over;
                    let rescued = this.layer.fail(&failure, &this.subject);
                    let Subject { endpoint, id, .. } = &this.subject;
                    let mut out = BytesMut::new();
                    rescued.error.event(*endpoint, rescued.status, &id.to_string(), 0, &mut out);
                    frame(out.freeze())
                }
                Poll::Pending => {
                    std::task::ready!(this.ticks.poll_tick(cx));
                    frame(Bytes::from_static(KEEP_ALIVE))
                }
            },
        }
    }
}

/// Our own headers, as a comment.
fn told(headers: &HeaderMap) -> Bytes {
    let mut line = String::from(":");
    for (name, value) in headers {
        if let (true, Ok(value)) = (name.as_str().starts_with("x-tollgate-"), value.to_str()) {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    line.push_str("\n\n");
    line.into()
}
