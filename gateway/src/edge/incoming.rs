//! A request with its id and its age.

use std::time::Instant;

use http::request::Parts;
use units::RequestId;

use crate::chat::{Endpoint, Seen};

/// A request as the outermost layer hands it on.
#[derive(Debug)]
pub struct Incoming<B> {
    /// Ours, on every answer.
    pub id: RequestId,
    /// When its head was read.
    pub received: Instant,
    /// The head.
    pub head: Parts,
    /// The body, not yet read.
    pub body: B,
    /// Which endpoint it came to.
    pub endpoint: Endpoint,
    /// Where it is noted what becomes known of it.
    pub seen: Seen,
}
