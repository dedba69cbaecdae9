//! How many tokens may this prompt have?
//!
//! A byte-level tokenizer never yields more tokens than bytes; three quarters of the bytes cover prose, code, JSON,
//! base64 and rare Han characters as measured with o200k, cl100k and DeepSeek's vocabulary. Pictures inside the body are
//! taken out of the count and reckoned as pictures, or a photo would look like a million tokens.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use units::Tokens;

/// What chat templates add around a short chat, at most.
pub(super) const TEMPLATE_TOKENS: u64 = 100;
/// What they add when there are tools.
pub(super) const TOOLS_TOKENS: u64 = 300;
/// One picture, at most, at the providers we know.
pub(super) const IMAGE_TOKENS_BOUND: u64 = 2_000;
/// One picture, probably.
pub(super) const IMAGE_TOKENS: u64 = 1_000;

/// The size of a prompt, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSize {
    /// Not less than what an upstream will count.
    pub bound: Tokens,
    /// About what it will count.
    pub estimate: Tokens,
    /// Whether there are pictures in it.
    pub has_pictures: bool,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
}

/// The pictures of a body.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    count: u64,
    bytes: u64,
}

impl Pictures {
    /// One more, which takes `bytes` of the body.
    pub(super) const fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Reckons a body of `body_bytes` with these pictures in it.
    pub(super) fn input_size(&self, body_bytes: usize, has_tools: bool) -> InputSize {
        let bytes = (body_bytes as u64).saturating_sub(self.bytes);
        let template = TEMPLATE_TOKENS + if has_tools { TOOLS_TOKENS } else { 0 };
        InputSize {
            bound: Tokens((bytes * 3).div_ceil(4) + template + self.count * IMAGE_TOKENS_BOUND),
            estimate: Tokens(bytes.div_ceil(4) + self.count * IMAGE_TOKENS),
            has_pictures: self.count > 0,
        }
    }
}

/// Reckons a body of `body_bytes` with these `messages`.
pub fn input_size(body_bytes: usize, messages: &RawValue, has_tools: bool) -> InputSize {
    let (count, bytes) = pictures(messages);
    Pictures { count, bytes }.input_size(body_bytes, has_tools)
}

/// Reckons `bytes` of JSON that hold text and nothing else.
pub(super) const fn text_size(bytes: usize) -> InputSize {
    let bytes = bytes as u64;
    InputSize {
        bound: Tokens((bytes * 3).div_ceil(4) + TEMPLATE_TOKENS),
        estimate: Tokens(bytes.div_ceil(4)),
        has_pictures: false,
    }
}

/// How many entries a list has; `None` if it is none.
pub(super) fn entries(list: &RawValue) -> Option<usize> {
    serde_json::from_str::<Vec<IgnoredAny>>(list.get()).ok().map(|list| list.len())
}

/// How many pictures there are, and how many bytes those inside the body take. What cannot be read counts as text.
fn pictures(messages: &RawValue) -> (u64, u64) {
    let Ok(messages) = serde_json::from_str::<Vec<RawMessage<'_>>>(messages.get()) else { return (0, 0) };
    let parts = messages
        .iter()
        .filter_map(|message| message.content)
        .filter(|content| content.get().starts_with('['))
        .filter_map(|content| serde_json::from_str::<Vec<RawPart<'_>>>(content.get()).ok())
        .flatten();
    parts
        .filter(|part| part.kind.as_deref() == Some("image_url") || part.image_url.is_some())
        .fold((0, 0), |(count, bytes), part| (count + 1, bytes + inline_bytes(part.image_url)))
}

fn inline_bytes(image: Option<&RawValue>) -> u64 {
    #[derive(Deserialize)]
    struct Image<'a> {
        #[serde(borrow)]
        url: Cow<'a, str>,
    }
    let Some(image) = image else { return 0 };
    match serde_json::from_str::<Image<'_>>(image.get()) {
        Ok(Image { url }) if url.starts_with("data:image/") => url.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(messages: &str) -> InputSize {
        let raw = serde_json::from_str::<&RawValue>(messages).unwrap();
        input_size(messages.len(), raw, false)
    }

    #[test]
    fn a_picture_counts_as_a_picture_however_many_bytes_it_has() {
        let photo = "A".repeat(1_000_000);
        let inline = size(&format!(
            r#"[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{photo}"}}}}]}}]"#
        ));
        let spelled = r#"[{"content":[{"type":"image\u005furl","image_url":{"url":"https://x/y.png"}}]}]"#;
        assert!(inline.bound.0 < 2_300 && inline.bound.0 > 2_000, "{inline:?}");
        assert!(size(spelled).bound.0 > 2_000, "an escaped spelling is a picture too");
        let text = size(&format!(r#"[{{"content":"data:image/png;base64,{photo}"}}]"#));
        assert!(text.bound.0 > 750_000, "in a text it is text");
        assert!(size(r#"[{"content":"你好"}]"#).estimate.0 < 10);
    }
}
