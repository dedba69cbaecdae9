//! The Response object: what was asked, what became of it, what was answered.

use std::time::Instant;

use serde_json::value::RawValue;
use units::RequestId;

use super::{
    object::Object,
    output::{Item, array},
};
use crate::{
    chat::Form,
    json::{self, ObjectWriter},
};

/// What stands in every Response object of one call.
#[derive(Debug)]
pub(in crate::dialect) struct Asked {
    request: RequestId,
    received: Instant,
    model: String,
    form: Form,
    /// The tier that the upstream says it served, as JSON.
    pub(super) service_tier: Option<Vec<u8>>,
}

/// How far a response has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    InProgress,
    Completed,
    /// Cut off; by what, as `incomplete_details.reason`.
    Incomplete(&'static str),
    /// Failed, with these words.
    Failed(String),
}

/// A member that repeats what was asked, and what stands there where nothing was.
const ECHOED: [(&str, &str); 14] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

impl Asked {
    /// What `form` asked for, served by `model`.
    pub(in crate::dialect) const fn new(
        request: RequestId,
        received: Instant,
        model: String,
        form: Form,
    ) -> Self {
        Self { request, received, model, form, service_tier: None }
    }

    /// An id of ours: of the call's, with another prefix and, for items, a number.
    pub(super) fn id(&self, prefix: &str, number: Option<usize>) -> String {
        let bare = self.request.bare();
        number.map_or_else(|| format!("{prefix}_{bare}"), |n| format!("{prefix}_{bare}{n:03}"))
    }

    /// Whether the client wants to see reasoning as a summary.
    pub(super) fn wants_summary(&self) -> bool {
        let Some(reasoning) = self.given("reasoning") else { return false };
        let reasoning = serde_json::from_slice::<&RawValue>(reasoning).ok();
        let reasoning = reasoning.and_then(|raw| Object::read(raw, "reasoning").ok());
        let has = |name: &str| reasoning.as_ref().is_some_and(|r| matches!(r.find(name), Ok(Some(_))));
        has("summary") || has("generate_summary")
    }

    fn given(&self, name: &str) -> Option<&[u8]> {
        self.form.member(name).map(|member| self.form.raw(member)).filter(|raw| *raw != b"null")
    }

    /// Seconds since 1970 at which the call came in: its id is a UUIDv7, which begins with them in milliseconds.
    fn created(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.request.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f]) / 1_000
    }

    /// The object. `usage` is JSON; none where nothing was counted yet.
    pub(super) fn response(&self, stage: &Stage, items: &[Item], usage: Option<&[u8]>) -> Vec<u8> {
        let mut out = ObjectWriter::new(1_024);
        out.text("id", &self.id("resp", None)).text("object", "response").count("created_at", self.created());
        let status = match stage {
            Stage::InProgress => "in_progress",
            Stage::Completed => "completed",
            Stage::Incomplete(_) => "incomplete",
            Stage::Failed(_) => "failed",
        };
        out.text("status", status).raw("background", b"false");
        if *stage == Stage::Completed {
            out.count("completed_at", self.created() + self.received.elapsed().as_secs());
        } else {
            out.raw("completed_at", b"null");
        }
        match stage {
            Stage::Failed(message) => {
                let mut error = ObjectWriter::new(message.len() + 48);
                error.text("code", "server_error").text("message", message);
                out.raw("error", &error.finish());
            }
            _ => {
                out.raw("error", b"null");
            }
        }
        match stage {
            Stage::Incomplete(reason) => {
                let mut details = ObjectWriter::new(48);
                details.text("reason", reason);
                out.raw("incomplete_details", &details.finish());
            }
            _ => {
                out.raw("incomplete_details", b"null");
            }
        }
        let said: Vec<_> = items.iter().map(Item::json).collect();
        out.text("model", &self.model).raw("output", &array(&said)).raw("previous_response_id", b"null");
        for (name, default) in ECHOED {
            out.raw(name, self.given(name).unwrap_or(default.as_bytes()));
        }
        out.raw("reasoning", self.given("reasoning").unwrap_or(br#"{"effort":null,"summary":null}"#));
        out.raw("service_tier", self.service_tier.as_deref().unwrap_or(b"null"));
        out.raw("store", b"false").raw("text", &self.text()).raw("usage", usage.unwrap_or(b"null"));
        out.finish()
    }

    /// `text` as it was asked for, with the format that counts.
    fn text(&self) -> Vec<u8> {
        let given = self.given("text").and_then(|raw| json::members(raw).ok()).unwrap_or_default();
        let mut out = ObjectWriter::new(96);
        if !given.iter().any(|(name, value)| name == "format" && value.get() != "null") {
            out.raw("format", br#"{"type":"text"}"#);
        }
        for (name, value) in given.iter().filter(|(_, value)| value.get() != "null") {
            out.raw(name, value.get().as_bytes());
        }
        out.finish()
    }
}

/// An object that somebody else made, with these members replaced where they stand, or added.
pub(super) fn with_members(object: &[u8], replaced: &[(&str, &[u8])]) -> Vec<u8> {
    let members = json::members(object).unwrap_or_default();
    let new = |name: &str| replaced.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let mut out = ObjectWriter::new(object.len() + 256);
    for (name, value) in &members {
        out.raw(name, new(name).unwrap_or(value.get().as_bytes()));
    }
    for (name, value) in replaced.iter().filter(|(name, _)| !members.iter().any(|(known, _)| known == name)) {
        out.raw(name, value);
    }
    out.finish()
}

/// The number of an event, by its JSON.
pub(super) fn sequence_number(event: &[u8]) -> Option<u64> {
    let members = json::members(event).ok()?;
    let (_, value) = members.iter().find(|(name, _)| name == "sequence_number")?;
    serde_json::from_str(value.get()).ok()
}
