//! What was said of an answer that broke off, for whoever goes on with it.

use bytes::Bytes;
use serde::Deserialize;

use super::{Chunk, TextSize};

/// A longer text is not kept: who goes on with it would read it all again.
const TEXT_MAX_BYTES: usize = 256 * 1024;

/// The words of one choice so far, and nothing but words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SoFar {
    /// Its first chunk, a chat completion chunk: what comes later goes by the same `id`, `created` and `model`.
    pub head: Bytes,
    /// The text.
    pub text: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Delta,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

impl SoFar {
    /// Adds what a chat completion chunk says. False where that is not a plain text, or too much of it: thoughts, tools,
    /// parts, a second choice.
    #[must_use]
    pub fn add(&mut self, chunk: &Chunk) -> bool {
        if self.head.is_empty() {
            self.head = chunk.json.clone();
        }
        if chunk.text_size.is_empty() {
            return true;
        }
        let Ok(Said { choices }) = serde_json::from_slice(&chunk.json) else { return false };
        let [Choice { index: 0, delta: Delta { content: Some(text) } }] = choices.as_slice() else {
            return false;
        };
        self.text.push_str(text);
        TextSize::of(text.as_bytes()).bytes() == chunk.text_size.bytes() && self.text.len() <= TEXT_MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::UsageSeen;

    fn chunk(delta: &str, bytes: u64) -> Chunk {
        Chunk {
            json: format!(r#"{{"id":"a","choices":[{{"index":0,"delta":{delta}}}]}}"#).into(),
            event: None,
            text_size: TextSize::bytes_of(bytes, 0),
            finish: false,
            has_choices: true,
            has_usage_member: false,
            usage: UsageSeen::Absent,
        }
    }

    #[test]
    fn words_are_put_together_and_anything_else_is_noticed() {
        let mut so_far = SoFar::default();
        assert!(so_far.add(&chunk(r#"{"role":"assistant","content":""}"#, 0)));
        assert!(so_far.add(&chunk(r#"{"content":"a \"q"}"#, 4)));
        assert!(so_far.add(&chunk(r#"{"content":"\u0062"}"#, 1)));
        assert_eq!(so_far.text, "a \"qb");
        assert!(so_far.head.starts_with(br#"{"id":"a","choices":[{"index":0,"delta":{"role""#));
        for (delta, bytes) in [
            (r#"{"reasoning_content":"hm"}"#, 2),
            (r#"{"content":"a","reasoning_content":"hm"}"#, 3),
            (r#"{"tool_calls":[{"function":{"name":"f"}}]}"#, 1),
            (r#"{"content":[{"type":"text","text":"a"}]}"#, 27),
            (r#"{"refusal":"no"}"#, 2),
        ] {
            assert!(!so_far.clone().add(&chunk(delta, bytes)), "{delta}");
        }
        assert!(
            !SoFar::default().add(&chunk(&format!(r#"{{"content":"{}"}}"#, "x".repeat(262_145)), 262_145))
        );
    }
}
