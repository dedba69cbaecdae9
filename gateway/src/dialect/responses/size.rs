//! How many tokens may this input have? As for a chat, with pictures and files in the places where they stand here.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use crate::dialect::{
    InputSize,
    bound::{IMAGE_TOKENS, IMAGE_TOKENS_BOUND, TEMPLATE_TOKENS, TOOLS_TOKENS},
};

/// One file, at most: about what the windows of models hold, since a file behind a URL may be of any size.
const FILE_TOKENS_BOUND: u64 = 128_000;
/// One file, probably: some pages.
const FILE_TOKENS: u64 = 4_000;

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    image_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_data: Option<Cow<'a, str>>,
}

#[derive(Default)]
struct Attached {
    pictures: u64,
    files: u64,
    /// What they take of the body.
    bytes: u64,
}

impl Attached {
    fn add(&mut self, part: &RawPart<'_>) {
        match part.kind.as_deref() {
            Some("input_image" | "computer_screenshot") => {
                self.pictures += 1;
                let inline = part.image_url.as_deref().filter(|url| url.starts_with("data:image/"));
                self.bytes += inline.map_or(0, |url| url.len() as u64);
            }
            Some("input_file") => {
                self.files += 1;
                self.bytes += part.file_data.as_deref().map_or(0, |data| data.len() as u64);
            }
            _ => {}
        }
    }

    /// What stands in `content` or `output`: one part, or a list of them. What cannot be read counts as text.
    fn add_all(&mut self, raw: &RawValue) {
        if raw.get().starts_with('[') {
            let parts = serde_json::from_str::<Vec<RawPart<'_>>>(raw.get()).unwrap_or_default();
            parts.iter().for_each(|part| self.add(part));
        } else if let Ok(part) = serde_json::from_str::<RawPart<'_>>(raw.get()) {
            self.add(&part);
        }
    }
}

/// Reckons a body of `body_bytes` with this `input`.
pub(super) fn input_size(body_bytes: usize, input: &RawValue, has_tools: bool) -> InputSize {
    let mut attached = Attached::default();
    for item in serde_json::from_str::<Vec<RawItem<'_>>>(input.get()).unwrap_or_default() {
        [item.content, item.output].into_iter().flatten().for_each(|raw| attached.add_all(raw));
    }
    let Attached { pictures, files, bytes } = attached;
    let bytes = (body_bytes as u64).saturating_sub(bytes);
    let template = TEMPLATE_TOKENS + if has_tools { TOOLS_TOKENS } else { 0 };
    let bound = pictures * IMAGE_TOKENS_BOUND + files * FILE_TOKENS_BOUND;
    let estimate = pictures * IMAGE_TOKENS + files * FILE_TOKENS;
    InputSize {
        bound: Tokens((bytes * 3).div_ceil(4) + template + bound),
        estimate: Tokens(bytes.div_ceil(4) + estimate),
        has_pictures: pictures > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(input: &str) -> InputSize {
        input_size(input.len(), serde_json::from_str(input).unwrap(), false)
    }

    #[test]
    fn what_is_attached_counts_as_what_it_is() {
        let data = "A".repeat(1_000_000);
        let image = |place: &str| {
            size(&format!(
                r#"[{{"{place}":[{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}]}}]"#
            ))
        };
        for place in ["content", "output"] {
            let size = image(place);
            assert!((2_000..2_300).contains(&size.bound.0), "{size:?}");
        }
        let file = size(&format!(r#"[{{"content":[{{"type":"input_file","file_data":"{data}"}}]}}]"#));
        assert!((128_000..129_000).contains(&file.bound.0), "{file:?}");
        let shot = r#"[{"output":{"type":"computer_screenshot","image_url":"https://x/y.png"}}]"#;
        assert!(size(shot).bound.0 > 2_000);
        assert!(size(&format!(r#"[{{"content":"{data}"}}]"#)).bound.0 > 750_000, "in a text it is text");
        assert!(size(r#""你好""#).estimate.0 < 10);
    }
}
