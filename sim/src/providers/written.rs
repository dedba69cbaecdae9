//! What is an answer once it has been put into the words of a wire, and before it is sent?
use serde_json::Value;

/// One event of a stream, and the tokens it carries.
#[derive(Debug)]
pub(super) struct Event {
    /// Of the `event:` line, on wires that have one.
    pub(super) name: Option<&'static str>,
    pub(super) data: String,
    pub(super) tokens: u64,
}

impl Event {
    /// An event that is told apart by its data alone.
    pub(super) fn nameless(data: &Value, tokens: u64) -> Self {
        Self { name: None, data: data.to_string(), tokens }
    }

    /// An event whose name is also the `type` of its data.
    pub(super) fn named(name: &'static str, data: &Value, tokens: u64) -> Self {
        Self { name: Some(name), data: data.to_string(), tokens }
    }
}

/// An answer, in one piece and as a stream.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) whole: Value,
    pub(super) events: Vec<Event>,
    /// Whether a stream ends with `[DONE]`.
    pub(super) done: bool,
    /// The error that takes the place of an answer, or of its rest.
    pub(super) error: Value,
    pub(super) error_event: Event,
    /// Whether it is followed by `[DONE]` all the same.
    pub(super) done_after_error: bool,
}
