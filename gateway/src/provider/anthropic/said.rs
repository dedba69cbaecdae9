//! One JSON text of an upstream that speaks Messages.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::TextSize;
use crate::{
    json::{inside, word},
    provider::fault::Said,
};

/// An event of a stream, a whole message, or an error: all of them have a `type`.
#[derive(Deserialize)]
pub(super) struct Spoken<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) index: Option<u64>,
    /// `message_start`'s.
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) partial_json: Option<&'a RawValue>,
    /// `message_delta`'s.
    #[serde(borrow, default)]
    pub(super) stop_reason: Option<Cow<'a, str>>,
}

impl<'a> Spoken<'a> {
    /// Reads one JSON text, if it is an object: an array would be taken for one with its members in order.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    /// The error that it is, if it is one; `json` is what it was read from.
    pub(super) fn fault(&self, json: &[u8]) -> Option<Said> {
        let is_error = self.kind == "error" || self.error.is_some();
        is_error.then(|| Said::read(json))
    }

    /// Bytes of text, thoughts and tool input in it.
    pub(super) fn text_size(&self) -> TextSize {
        let delta = self.delta.as_ref().map(|delta| {
            [delta.text, delta.thinking, delta.partial_json].into_iter().map(text_size).sum::<TextSize>()
        });
        delta.unwrap_or_default() + self.content_block.as_ref().map(Block::text_size).unwrap_or_default()
    }
}

impl Block<'_> {
    /// Bytes of text, thoughts and tool input in it.
    pub(super) fn text_size(&self) -> TextSize {
        let input = match self.input.map(RawValue::get) {
            Some(input) if self.kind == "tool_use" && input != "{}" => TextSize::of(input.as_bytes()),
            _ => TextSize::default(),
        };
        [self.text, self.thinking, self.name].into_iter().map(text_size).sum::<TextSize>() + input
    }
}

fn text_size(raw: Option<&RawValue>) -> TextSize {
    match raw.and_then(word) {
        Some(text) => TextSize::of(text.as_bytes()),
        // Half of a pair of surrogates, which makes no text by itself.
        None => raw.and_then(inside).map(|inside| TextSize::of(inside.as_ref())).unwrap_or_default(),
    }
}
