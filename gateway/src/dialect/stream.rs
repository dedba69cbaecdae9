//! A metered answer as a body of server-sent events.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::voice::Voice;
use crate::{
    body::BodyError,
    meter::{Metered, Piece},
};

pin_project! {
    /// The body of a streamed answer.
    pub(super) struct Encoder {
        metered: Box<Metered>,
        voice: Box<dyn Voice>,
        last_sent: Instant,
        // Proxies cut silent connections, commonly after a minute; a comment keeps them open.
        keep_alive: Duration,
        #[pin]
        silence: Sleep,
    }
}

impl Encoder {
    pub(super) fn new(metered: Box<Metered>, voice: Box<dyn Voice>, keep_alive: Duration) -> Self {
        let (last_sent, silence) = (Instant::now(), sleep(keep_alive));
        Self { metered, voice, last_sent, keep_alive, silence }
    }
}

impl HttpBody for Encoder {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        loop {
            let mut out = BytesMut::new();
            match this.metered.poll_piece(cx) {
                Poll::Ready(Some(Piece::Chunk(chunk))) => this.voice.chunk(chunk, &mut out),
                Poll::Ready(Some(Piece::End(bill))) => this.voice.end(&bill, &mut out),
                Poll::Ready(Some(Piece::Broke(broke, bill))) => this.voice.broken(&broke, &bill, &mut out),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    // The timer is set once per silence, not once per chunk.
                    std::task::ready!(this.silence.as_mut().poll(cx));
                    let due = *this.last_sent + *this.keep_alive;
                    let now = Instant::now();
                    if due > now {
                        this.silence.as_mut().reset(due);
                        continue;
                    }
                    this.silence.as_mut().reset(now + *this.keep_alive);
                    out.extend_from_slice(b": keep-alive\n\n");
                }
            }
            // A piece that is held back makes no frame.
            if !out.is_empty() {
                *this.last_sent = Instant::now();
                return Poll::Ready(Some(Ok(Frame::data(out.freeze()))));
            }
        }
    }
}
