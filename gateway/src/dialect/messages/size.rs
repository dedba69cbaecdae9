//! How many tokens may this prompt have? Pictures are taken out of the bytes, wherever a block may hold one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::bound::{InputSize, Pictures};

/// Blocks in blocks in blocks: tool results hold pictures, and nothing holds tool results.
const DEPTH_MAX: usize = 3;

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawSource<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reckons a body of `body_bytes` with these `messages`.
pub(super) fn input_size(body_bytes: usize, messages: &RawValue, has_tools: bool) -> InputSize {
    let messages: Vec<RawMessage<'_>> = serde_json::from_str(messages.get()).unwrap_or_default();
    let mut pictures = Pictures::default();
    for content in messages.into_iter().filter_map(|message| message.content) {
        look(content, 0, &mut pictures);
    }
    pictures.input_size(body_bytes, has_tools)
}

/// What cannot be read counts as text.
fn look(content: &RawValue, depth: usize, pictures: &mut Pictures) {
    if depth >= DEPTH_MAX || !content.get().starts_with('[') {
        return;
    }
    let Ok(blocks) = serde_json::from_str::<Vec<RawBlock<'_>>>(content.get()) else { return };
    for block in blocks {
        if block.kind.as_deref() == Some("image") {
            let source =
                block.source.and_then(|source| serde_json::from_str::<RawSource<'_>>(source.get()).ok());
            let inline = source.filter(|source| source.kind.as_deref() == Some("base64"));
            pictures.add(inline.and_then(|source| source.data).map_or(0, |data| data.get().len() as u64));
        } else if let Some(content) = block.content {
            look(content, depth + 1, pictures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_counts_as_a_picture_in_a_tool_result_too() {
        let photo = "A".repeat(1_000_000);
        let image = format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{photo}"}}}}"#
        );
        let size = |messages: String| {
            let raw = serde_json::from_str::<&RawValue>(&messages).unwrap();
            input_size(messages.len(), raw, false).bound.0
        };
        let one = size(format!(r#"[{{"content":[{image}]}}]"#));
        assert!((2_000..2_300).contains(&one), "{one}");
        let nested =
            size(format!(r#"[{{"content":[{{"type":"tool_result","content":[{image},{image}]}}]}}]"#));
        assert!((4_000..4_400).contains(&nested), "{nested}");
        assert!(size(format!(r#"[{{"content":"{photo}"}}]"#)) > 750_000, "in a text it is text");
    }
}
