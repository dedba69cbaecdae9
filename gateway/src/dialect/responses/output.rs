//! The items of an answer, as far as they have been said.

use crate::json::{ListWriter, ObjectWriter};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// Cut off, by a limit or by a failure.
    Incomplete,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) kind: ItemKind,
}

/// What it is.
#[derive(Debug)]
pub(super) enum ItemKind {
    /// What was thought; as a summary where one was asked for, since that is where such clients look.
    Reasoning {
        text: String,
        as_summary: bool,
    },
    Message {
        parts: Vec<Part>,
    },
    /// `others` are members that nobody here knows, as they stand in the chat's call.
    FunctionCall {
        call_id: String,
        name: String,
        arguments: String,
        others: Others,
    },
}

/// Members by name, raw.
pub(super) type Others = Vec<(String, Vec<u8>)>;

/// One part of a message.
#[derive(Debug)]
pub(super) enum Part {
    Text { text: String, logprobs: Vec<Vec<u8>>, annotations: Vec<Vec<u8>> },
    Refusal(String),
}

impl Part {
    pub(super) const fn text() -> Self {
        Self::Text { text: String::new(), logprobs: Vec::new(), annotations: Vec::new() }
    }

    /// As it stands in a message.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut out = ObjectWriter::new(128);
        match self {
            Self::Text { text, logprobs, annotations } => {
                out.text("type", "output_text")
                    .raw("annotations", &array(annotations))
                    .raw("logprobs", &array(logprobs))
                    .text("text", text);
            }
            Self::Refusal(refusal) => {
                out.text("type", "refusal").text("refusal", refusal);
            }
        }
        out.finish()
    }
}

/// `{"type":"summary_text"|"reasoning_text","text":…}`.
pub(super) fn reasoning_part(text: &str, as_summary: bool) -> Vec<u8> {
    let mut out = ObjectWriter::new(text.len() + 48);
    out.text("type", if as_summary { "summary_text" } else { "reasoning_text" }).text("text", text);
    out.finish()
}

/// An array of raw values.
pub(super) fn array(values: &[Vec<u8>]) -> Vec<u8> {
    let mut out = ListWriter::new(64);
    for value in values {
        out.raw(value);
    }
    out.finish()
}

impl Item {
    /// As it stands in `output`.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut out = ObjectWriter::new(256);
        out.text("id", &self.id);
        match &self.kind {
            ItemKind::Reasoning { text, as_summary } => {
                let parts =
                    if text.is_empty() { Vec::new() } else { vec![reasoning_part(text, *as_summary)] };
                out.text("type", "reasoning").text("status", self.status.as_str());
                if *as_summary {
                    out.raw("summary", &array(&parts));
                } else {
                    out.raw("summary", b"[]").raw("content", &array(&parts));
                }
            }
            ItemKind::Message { parts } => {
                let parts: Vec<_> = parts.iter().map(Part::json).collect();
                out.text("type", "message")
                    .text("status", self.status.as_str())
                    .raw("content", &array(&parts))
                    .text("role", "assistant");
            }
            ItemKind::FunctionCall { call_id, name, arguments, others } => {
                out.text("type", "function_call")
                    .text("status", self.status.as_str())
                    .text("arguments", arguments)
                    .text("call_id", call_id)
                    .text("name", name);
                for (name, value) in others {
                    out.raw(name, value);
                }
            }
        }
        out.finish()
    }
}
