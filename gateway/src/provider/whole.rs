//! An answer in one piece.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use router_config::Quirks;
use units::Clock;

use super::{
    Fault,
    ear::{Ear, Heard},
};
use crate::chat::{AttemptResult, Chunk};

/// A larger answer is not one.
pub(super) const WHOLE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A whole answer, found to be one: JSON with choices in it.
#[derive(Debug)]
pub struct Whole {
    /// The body as it came, without a byte order mark or blank lines around it, and what is in it.
    pub chunk: Chunk,
}

impl Whole {
    pub(super) async fn read(
        body: Incoming,
        headers: &HeaderMap,
        ear: &mut dyn Ear,
        quirks: &Quirks,
        clock: &dyn Clock,
    ) -> Result<Self, Fault> {
        let malformed = |message: &str| Fault::of(AttemptResult::Malformed, Some(200), message);
        let body = match Box::pin(Limited::new(body, WHOLE_MAX_BYTES).collect()).await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(malformed("the answer is too large")),
            Err(_) => {
                let message = "the connection ended before the answer did";
                return Err(Fault::of(AttemptResult::Unreachable, Some(200), message));
            }
        };
        let bare: Bytes = if body.starts_with(b"\xef\xbb\xbf") { body.slice(3..) } else { body };
        match ear.whole(bare.clone()) {
            Heard::Chunk { chunk, .. } if chunk.has_choices => Ok(Self { chunk }),
            Heard::Error(said) => Err(Fault::inside(headers, said, quirks, clock)),
            Heard::Chunk { .. } => Err(malformed("the answer has no choices")),
            Heard::Done | Heard::Unreadable => Err(malformed("the answer is not JSON")),
        }
    }
}
