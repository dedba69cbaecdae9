//! Tools, and which of them must be used, in Anthropic's words.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::Unsaid;
use crate::json::{ListWriter, Object, ObjectWriter};

/// What a tool without parameters takes.
const NOTHING: &[u8] = br#"{"type":"object","properties":{}}"#;

/// All tools.
pub(super) fn tools(list: Vec<(String, &RawValue)>) -> Result<Vec<u8>, Unsaid> {
    let mut out = ListWriter::new(1_024);
    for (path, raw) in list {
        let mut tool = Object::read(raw, path)?;
        let kind_at = tool.at("type");
        if tool.word("type")?.is_some_and(|kind| kind != "function") {
            return Err(Unsaid::new(kind_at, "can only be `function` here"));
        }
        let cache = tool.take("cache_control")?;
        let missing = tool.at("function");
        let mut function = tool.object("function")?.ok_or(crate::json::Odd::missing(missing))?;
        let mut said = ObjectWriter::new(raw.get().len());
        said.raw("name", function.need_text("name")?.get().as_bytes());
        if let Some(description) = function.text("description")? {
            said.raw("description", description.get().as_bytes());
        }
        let parameters = function.take("parameters")?;
        said.raw("input_schema", parameters.map_or(NOTHING, |schema| schema.get().as_bytes()));
        if let Some(strict) = function.flag("strict")? {
            said.raw("strict", if strict { b"true" } else { b"false" });
        }
        if let Some(cache) = cache.or(function.take("cache_control")?) {
            said.raw("cache_control", cache.get().as_bytes());
        }
        Unsaid::unless_all_is_said(function)?;
        Unsaid::unless_all_is_said(tool)?;
        out.raw(&said.finish());
    }
    Ok(out.finish())
}

/// What a call says about the use of its tools.
#[derive(Debug)]
pub(super) enum Choice {
    Auto,
    None,
    Any,
    /// The tool of this name, in JSON.
    Tool(Vec<u8>),
}

impl Choice {
    /// Reads `tool_choice`.
    pub(super) fn read(raw: &RawValue) -> Result<Self, Unsaid> {
        if let Some(word) = crate::json::word(raw) {
            return match word.as_ref() {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" | "any" => Ok(Self::Any),
                _ => Err(Unsaid::new(
                    "tool_choice",
                    "can be `auto`, `none`, `required` or a named function here",
                )),
            };
        }
        let mut choice = Object::read(raw, "tool_choice".to_owned())?;
        if choice.word("type")?.as_deref() != Some("function") {
            return Err(Unsaid::new("tool_choice.type", "can only be `function` here"));
        }
        let missing = choice.at("function");
        let mut function = choice.object("function")?.ok_or(crate::json::Odd::missing(missing))?;
        let name = function.need_text("name")?.get().as_bytes().to_vec();
        Unsaid::unless_all_is_said(function)?;
        Unsaid::unless_all_is_said(choice)?;
        Ok(Self::Tool(name))
    }

    /// Whether some tool has to be used.
    pub(super) const fn forces(&self) -> bool {
        matches!(self, Self::Any | Self::Tool(_))
    }

    /// As it is said, with whether only one call may be made.
    pub(super) fn said(&self, one_at_a_time: bool) -> Vec<u8> {
        let mut out = ObjectWriter::new(96);
        match self {
            Self::Auto => out.raw("type", b"\"auto\""),
            Self::None => out.raw("type", b"\"none\""),
            Self::Any => out.raw("type", b"\"any\""),
            Self::Tool(name) => out.raw("type", b"\"tool\"").raw("name", name),
        };
        if one_at_a_time && !matches!(self, Self::None) {
            out.raw("disable_parallel_tool_use", b"true");
        }
        out.finish()
    }
}

/// An id of a call in the letters that Anthropic takes, `[a-zA-Z0-9_-]`: others have become `_` wherever it stands.
pub(super) fn tool_id(raw: &RawValue) -> Vec<u8> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let id = crate::json::word(raw).unwrap_or(Cow::Borrowed("_"));
    let id: String = id.chars().map(|c| if good(c) { c } else { '_' }).collect();
    crate::json::quoted(if id.is_empty() { "_" } else { &id })
}
