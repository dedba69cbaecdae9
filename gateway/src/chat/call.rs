//! One chat call as the client made it.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use units::{RequestId, Tokens};

use super::Caller;

/// A decoded call. The body stays as it was sent: what only passes through is passed as bytes.
#[derive(Debug, Clone)]
pub struct Call {
    /// Ours, always; names the hold and the receipt.
    pub id: RequestId,
    /// When its head arrived: what our own overhead is measured from.
    pub received: Instant,
    /// Who asks.
    pub caller: Caller,
    /// The model asked for.
    pub model: String,
    /// Whether the answer is to come as server-sent events.
    pub stream: bool,
    /// Whether the client asked for usage in the stream (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// `max_completion_tokens` or `max_tokens`, if the client set one; the larger where it set both.
    pub output_max: Option<Tokens>,
    /// How many answers are asked for.
    pub n: u32,
    /// An upper bound of the prompt's tokens, reckoned from its bytes.
    pub input_bound: Tokens,
    /// What the prompt probably is: charged where an upstream never said.
    pub input_estimate: Tokens,
    /// The JSON body as received.
    pub body: Bytes,
    /// Where the body's top-level members stand, in their order, so that it can be edited without being rebuilt.
    pub members: Arc<[Member]>,
    /// Where `plan` notes the model, for whoever has to speak of a call that failed.
    pub seen: ModelSeen,
}

/// One top-level member of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, unescaped.
    pub name: Box<str>,
    /// Where its value stands in the body.
    pub value: Range<usize>,
}

impl Call {
    /// The raw JSON of a member's value.
    pub fn raw(&self, member: &Member) -> &[u8] {
        self.body.get(member.value.clone()).unwrap_or(b"null")
    }
}

/// The model of a call, once it is known to be one of ours: a label that a metric may carry.
#[derive(Debug, Clone, Default)]
pub struct ModelSeen(Arc<OnceLock<String>>);

impl ModelSeen {
    /// Notes the model; the first note stands.
    pub fn note(&self, model: &str) {
        let _ = self.0.set(model.to_owned());
    }

    /// The label: `other` as long as no known model was noted.
    pub fn label(&self) -> &str {
        self.0.get().map_or("other", String::as_str)
    }
}
