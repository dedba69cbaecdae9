//! How many tokens has a prompt whose upstream never said? Only for families whose vocabulary is published, in builds with
//! the `tokenizer` feature.

use units::Tokens;

use super::family::Family;
use crate::chat::Call;

/// Tokens of the prompt of `call` in the vocabulary of `family`, as OpenAI's cookbook counts a chat; `None` where nobody
/// can tell, or the body is too large to be read again for it.
#[cfg(not(feature = "tokenizer"))]
pub(super) const fn tokens(_family: Family, _call: &Call) -> Option<Tokens> {
    None
}

#[cfg(feature = "tokenizer")]
pub(super) use exact::tokens;

#[cfg(feature = "tokenizer")]
mod exact {
    use serde_json::Value;

    use super::{Call, Family, Tokens};
    use crate::chat::TextSize;

    /// A larger body is reckoned by its bytes.
    const BODY_BYTES_MAX: usize = 1024 * 1024;
    /// Around each message, its role among them, and before the answer.
    const PER_MESSAGE: u64 = 4;
    const PRIMING: u64 = 3;
    /// One picture, probably.
    const IMAGE: u64 = 1_000;

    pub(in crate::meter) fn tokens(family: Family, call: &Call) -> Option<Tokens> {
        let form = call.as_chat().unwrap_or(&call.native);
        if form.body.len() > BODY_BYTES_MAX {
            return None;
        }
        prompt(family, &serde_json::from_slice(&form.body).ok()?)
    }

    pub(super) fn prompt(family: Family, body: &Value) -> Option<Tokens> {
        let text = |text: &str| family.exact(TextSize::of(text.as_bytes()));
        // Known at all?
        text("")?;
        let mut total = 0;
        for message in ["messages", "input"].iter().filter_map(|name| body[name].as_array()).flatten() {
            total += PER_MESSAGE + said(message, &text);
        }
        for member in ["prompt", "input", "instructions", "system"] {
            total += body[member].as_str().and_then(text).unwrap_or(0);
        }
        for member in ["tools", "response_format"] {
            if !body[member].is_null() {
                total += text(&body[member].to_string()).unwrap_or(0);
            }
        }
        Some(Tokens(total + PRIMING))
    }

    /// All that is said in a message: its texts, wherever they stand, and its pictures.
    fn said(value: &Value, text: &impl Fn(&str) -> Option<u64>) -> u64 {
        match value {
            Value::String(words) => text(words).unwrap_or(0),
            Value::Array(parts) => parts.iter().map(|part| said(part, text)).sum(),
            Value::Object(members) => {
                if members.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains("image")) {
                    return IMAGE;
                }
                let silent = ["role", "type", "id", "call_id", "tool_call_id", "index", "cache_control"];
                let spoken = members.iter().filter(|(name, _)| !silent.contains(&name.as_str()));
                spoken.map(|(_, value)| said(value, text)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    #[cfg(test)]
    mod tests {
        use serde_json::json;

        use super::*;

        /// The example of OpenAI's cookbook, which its API counted as 124 tokens with gpt-4o (names among them).
        #[test]
        fn a_chat_is_counted_as_openais_cookbook_counts_it() {
            let said = |role: &str, content: &str| json!({ "role": role, "content": content });
            let mut messages = vec![said(
                "system",
                "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
            )];
            for (name, content) in [
                ("example_user", "New synergies will help drive top-line growth."),
                ("example_assistant", "Things working well together will increase revenue."),
                (
                    "example_user",
                    "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
                ),
                ("example_assistant", "Let's talk later when we're less busy about how to do better."),
            ] {
                messages.push(json!({ "role": "system", "name": name, "content": content }));
            }
            messages.push(said(
                "user",
                "This late pivot means we don't have time to boil the ocean for the client deliverable.",
            ));
            let counted = prompt(Family::O200k, &json!({ "messages": messages })).unwrap();
            assert!(counted.0.abs_diff(124) <= 4, "{counted:?}: a name takes a token more");
            assert_eq!(prompt(Family::Claude, &json!({})), None);
        }

        #[test]
        fn pictures_and_tools_are_counted_too() {
            let part = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
            let body = json!({
                "messages": [{ "role": "user", "content": [part, { "type": "text", "text": "2 + 2 = 4" }] }],
                "tools": [{ "type": "function", "function": { "name": "f" } }],
            });
            let tokens = prompt(Family::Cl100k, &body).unwrap().0;
            assert!((1_000 + 7 + 4 + 3 + 5..1_000 + 60).contains(&tokens), "{tokens}");
        }
    }
}
