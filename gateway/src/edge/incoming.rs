//! A request with its id and its age.

use std::time::Instant;

use http::request::Parts;
use units::RequestId;

use crate::chat::ModelSeen;

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
    /// Where the model is noted once it is known.
    pub seen: ModelSeen,
}
