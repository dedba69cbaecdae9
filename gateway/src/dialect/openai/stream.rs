//! A metered answer as server-sent events, strictly: `data: <one line>` and a blank line, no BOM, no ids, `[DONE]` only
//! after a whole answer.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use serde_json::value::RawValue;
use tokio::time::{Instant, Sleep, sleep};
use units::Usage;

use super::error::ErrorBody;
use crate::{
    body::BodyError,
    chat::{Break, BreakReason, Chunk, UsageSeen},
    json::{self, ObjectWriter},
    meter::{Bill, Metered, Piece},
};

/// Proxies cut silent connections, commonly after a minute; a comment keeps them open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pin_project! {
    /// The body of a streamed answer.
    pub(super) struct Encoder {
        metered: Metered,
        wants_usage: bool,
        first: Option<Bytes>,
        usage_chunk: Option<Bytes>,
        last_sent: Instant,
        #[pin]
        keep_alive: Sleep,
    }
}

impl Encoder {
    pub(super) fn new(metered: Metered, wants_usage: bool) -> Self {
        let keep_alive = sleep(KEEP_ALIVE);
        Self { metered, wants_usage, first: None, usage_chunk: None, last_sent: Instant::now(), keep_alive }
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
            let frame = match this.metered.poll_piece(cx) {
                Poll::Ready(Some(Piece::Chunk(chunk))) => {
                    this.first.get_or_insert_with(|| chunk.json.clone());
                    match outward(chunk, *this.wants_usage, this.usage_chunk) {
                        Some(json) => event(&json),
                        None => continue,
                    }
                }
                Poll::Ready(Some(Piece::End(bill))) => {
                    let base = this.usage_chunk.as_ref().or(this.first.as_ref());
                    end(base.filter(|_| *this.wants_usage), &bill)
                }
                Poll::Ready(Some(Piece::Broke(broke, bill))) => broken(&broke, &bill),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    // The timer is set once per silence, not once per chunk.
                    std::task::ready!(this.keep_alive.as_mut().poll(cx));
                    let due = *this.last_sent + KEEP_ALIVE;
                    let now = Instant::now();
                    if due > now {
                        this.keep_alive.as_mut().reset(due);
                        continue;
                    }
                    this.keep_alive.as_mut().reset(now + KEEP_ALIVE);
                    Bytes::from_static(b": keep-alive\n\n")
                }
            };
            *this.last_sent = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
    }
}

/// What the client is shown of a chunk: everything but usage, which comes once, at the end, and only if asked for.
fn outward(chunk: Chunk, wants_usage: bool, usage_chunk: &mut Option<Bytes>) -> Option<Bytes> {
    let has_usage = chunk.usage != UsageSeen::Absent;
    if has_usage && !chunk.has_choices {
        *usage_chunk = Some(chunk.json);
        return None;
    }
    if !chunk.has_usage_member || (wants_usage && !has_usage) {
        return Some(chunk.json);
    }
    Some(without_usage(chunk.json))
}

fn without_usage(json: Bytes) -> Bytes {
    if let Some(rest) = json.strip_suffix(b",\"usage\":null}") {
        let mut out = BytesMut::with_capacity(rest.len() + 1);
        out.put_slice(rest);
        out.put_u8(b'}');
        return out.freeze();
    }
    let Ok(members) = json::members(&json) else { return json };
    let mut out = ObjectWriter::new(json.len());
    for (name, value) in members.iter().filter(|(name, _)| name != "usage") {
        out.raw(name, value.get().as_bytes());
    }
    out.finish().into()
}

fn event(json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + 8);
    out.put_slice(b"data: ");
    out.put_slice(json);
    out.put_slice(b"\n\n");
    out.freeze()
}

fn comment(bill: &Bill) -> String {
    format!(": tollgate cost-cny={} balance-cny={}\n\n", bill.settled.cost, bill.settled.balance)
}

/// The usage chunk if there is to be one, what it cost, and `[DONE]`.
fn end(base: Option<&Bytes>, bill: &Bill) -> Bytes {
    let mut out = Vec::new();
    if let (Some(base), Some(usage)) = (base, bill.usage) {
        out.extend_from_slice(&event(&usage_chunk(base, &usage, bill)));
    }
    out.extend_from_slice(comment(bill).as_bytes());
    out.extend_from_slice(b"data: [DONE]\n\n");
    out.into()
}

/// The upstream's own usage chunk where it sent one, or one in its likeness.
fn usage_chunk(base: &[u8], usage: &Usage, bill: &Bill) -> Vec<u8> {
    let members = json::members(base).unwrap_or_default();
    let mut out = ObjectWriter::new(base.len() + 256);
    for (name, value) in &members {
        match name.as_ref() {
            "choices" => out.raw("choices", b"[]"),
            "usage" => continue,
            name => out.raw(name, value.get().as_bytes()),
        };
    }
    if !members.iter().any(|(name, _)| name == "choices") {
        out.raw("choices", b"[]");
    }
    out.raw("usage", &usage_object(usage, bill));
    out.finish()
}

fn usage_object(usage: &Usage, bill: &Bill) -> Vec<u8> {
    let mut out = ObjectWriter::new(256);
    match bill.raw.as_deref().map(json::members) {
        Some(Ok(members)) => {
            let kept: Vec<(_, &RawValue)> =
                members.into_iter().filter(|(name, _)| name != "cost" && name != "cost_currency").collect();
            for (name, value) in kept {
                out.raw(&name, value.get().as_bytes());
            }
        }
        _ => {
            out.count("prompt_tokens", usage.prompt().0)
                .count("completion_tokens", usage.output.0)
                .count("total_tokens", usage.total().0)
                .raw(
                    "prompt_tokens_details",
                    format!(r#"{{"cached_tokens":{}}}"#, usage.cached_input).as_bytes(),
                )
                .raw(
                    "completion_tokens_details",
                    format!(r#"{{"reasoning_tokens":{}}}"#, usage.reasoning).as_bytes(),
                );
        }
    }
    if bill.estimated {
        out.raw("estimated", b"true");
    }
    out.text("cost", &bill.settled.cost.to_string()).text("cost_currency", "CNY");
    out.finish()
}

/// An honest error, what was charged, and no `[DONE]`: a cut answer must not look like a whole one.
fn broken(broke: &Break, bill: &Bill) -> Bytes {
    let (kind, code) = match &broke.reason {
        BreakReason::Silent(_) | BreakReason::TooLong(_) => ("server_error", "upstream_timeout"),
        BreakReason::Lost | BreakReason::Reported(_) | BreakReason::Unreadable => {
            ("server_error", "upstream_interrupted")
        }
    };
    let message = format!("The answer was cut short. {broke}. What arrived so far is charged; nothing else.");
    let error = ErrorBody::new(kind, code, message).to_json(&bill.request.to_string());
    let mut out = comment(bill).into_bytes();
    out.extend_from_slice(&event(error.as_bytes()));
    out.into()
}
