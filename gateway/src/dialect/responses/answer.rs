//! What of a chat completion, whole or a chunk, is said on.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::text;
use crate::json::{self, ObjectWriter};

/// A chat completion or one of its chunks.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
}

/// One answer of it; only the first was asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<Logprobs<'a>>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

/// Probabilities of tokens.
#[derive(Debug, Deserialize)]
pub(super) struct Logprobs<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<&'a RawValue>>,
}

/// What was said.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<&'a RawValue>>,
}

/// A call of a tool, or a piece of one.
#[derive(Debug)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    function: Option<Function<'a>>,
    /// What else stands there and has to come back with the call: Gemini's `extra_content` with its signature.
    pub(super) others: json::Members<'a>,
}

#[derive(Deserialize)]
struct RawToolCall<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// What was said, be it in a chunk or all of it.
    pub(super) const fn said(&self) -> Option<&Message<'a>> {
        match &self.delta {
            Some(delta) => Some(delta),
            None => self.message.as_ref(),
        }
    }
}

impl<'a> Message<'a> {
    pub(super) fn text(&self) -> Cow<'a, str> {
        said(self.content)
    }

    pub(super) fn refusal(&self) -> Cow<'a, str> {
        said(self.refusal)
    }

    pub(super) fn tool_calls(&self) -> impl Iterator<Item = ToolCall<'a>> + '_ {
        self.tool_calls.iter().flatten().filter_map(|raw| ToolCall::read(raw))
    }

    pub(super) fn reasoning(&self) -> Cow<'a, str> {
        said(self.reasoning_content.filter(|raw| raw.get() != "null").or(self.reasoning))
    }
}

/// Members of a chat's call, and those that its item has itself.
const KNOWN: [&str; 8] = ["index", "id", "type", "function", "status", "call_id", "name", "arguments"];

impl<'a> ToolCall<'a> {
    fn read(raw: &'a RawValue) -> Option<Self> {
        let RawToolCall { index, id, function } = serde_json::from_str(raw.get()).ok()?;
        let mut others = json::members(raw.get().as_bytes()).ok()?;
        others.retain(|(name, value)| !KNOWN.contains(&name.as_ref()) && value.get() != "null");
        Some(Self { index, id, function, others })
    }

    pub(super) fn name(&self) -> &str {
        self.function.as_ref().and_then(|function| function.name.as_deref()).unwrap_or_default()
    }

    /// The arguments, or a piece of them; those that are no text, as they stand.
    pub(super) fn arguments(&self) -> Cow<'a, str> {
        match self.function.as_ref().and_then(|function| function.arguments) {
            Some(raw) if raw.get().starts_with('{') => Cow::Borrowed(raw.get()),
            arguments => said(arguments),
        }
    }
}

/// A text, or the texts of a list of parts.
fn said(raw: Option<&RawValue>) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        text: Option<String>,
    }
    let Some(raw) = raw else { return Cow::Borrowed("") };
    match raw.get().as_bytes().first() {
        Some(b'"') => text(raw).unwrap_or_default(),
        Some(b'[') => {
            let parts = serde_json::from_str::<Vec<Part>>(raw.get()).unwrap_or_default();
            parts.into_iter().filter_map(|part| part.text).collect::<String>().into()
        }
        _ => Cow::Borrowed(""),
    }
}

/// An annotation with what it says beside its type, not below it.
pub(super) fn flat_annotation(raw: &RawValue) -> Vec<u8> {
    let members = json::members(raw.get().as_bytes()).unwrap_or_default();
    let kind = members.iter().find(|(name, _)| name == "type").and_then(|(_, value)| text(value));
    let inner = members.iter().find(|(name, _)| Some(name.as_ref()) == kind.as_deref());
    let inner = inner.and_then(|(_, value)| json::members(value.get().as_bytes()).ok());
    let (Some(kind), Some(inner)) = (kind, inner) else { return raw.get().as_bytes().to_vec() };
    let mut out = ObjectWriter::new(raw.get().len());
    out.text("type", &kind);
    for (name, value) in inner.iter().filter(|(name, _)| name != "type") {
        out.raw(name, value.get().as_bytes());
    }
    out.finish()
}
