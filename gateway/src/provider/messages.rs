//! The messages of a chat, edited for one upstream: roles, names, ids and parts that it does not take.

use std::borrow::Cow;

use router_config::{Quirks, ToolIds};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::json::{self, ObjectWriter};

/// Letters and digits that an id may consist of where ids are bound to be short.
const ALNUM: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Mistral's ids have so many of them.
const SHORT_ID: usize = 9;

/// What is to be done to the messages of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edits<'a> {
    pub(super) quirks: &'a Quirks,
    /// Parts of text are joined into one.
    pub(super) text_only: bool,
    /// The client has turned thinking off: nothing of it has to come back.
    pub(super) thinking_off: bool,
}

/// The messages as this upstream takes them; as they were, where it takes them so.
pub(super) fn edited<'m>(messages: &'m [u8], edits: Edits<'_>) -> Cow<'m, [u8]> {
    if !edits.may_concern(messages) {
        return Cow::Borrowed(messages);
    }
    // A list that cannot be read is the upstream's to refuse.
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(messages) else { return Cow::Borrowed(messages) };
    let mut out = Vec::with_capacity(messages.len());
    out.push(b'[');
    for message in list {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&edits.message(message.get().as_bytes()));
    }
    out.push(b']');
    Cow::Owned(out)
}

/// An id of a tool call as the upstream takes ids. The same id is always mapped to the same one, so that a call and its
/// result still belong together; what an upstream makes itself goes out as it is.
pub(super) fn short_id(id: &str) -> Cow<'_, str> {
    if id.len() == SHORT_ID && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id.as_bytes());
    let mut number = digest.iter().take(16).fold(0_u128, |sum, &byte| (sum << 8) | u128::from(byte));
    let mut short = String::with_capacity(SHORT_ID);
    for _ in 0..SHORT_ID {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        short.push(char::from(ALNUM[digit]));
        number /= 62;
    }
    Cow::Owned(short)
}

impl Edits<'_> {
    /// Whether any of it can matter: most conversations hold none of these words, and are passed unread.
    fn may_concern(&self, messages: &[u8]) -> bool {
        let holds = |word: &str| memchr::memmem::find(messages, word.as_bytes()).is_some();
        let quirks = self.quirks;
        (!quirks.developer_role && holds("developer"))
            || (!quirks.message_names && holds("\"name\""))
            || (quirks.tool_ids != ToolIds::Any && holds("tool_call"))
            || holds("reasoning")
            || (quirks.replays_reasoning && holds("tool_calls"))
            || (quirks.tool_signature.is_some() && holds("tool_calls"))
            || (!quirks.keeps_nulls && holds("tool_calls"))
            || (self.text_only && holds("\"text\""))
            // An escape may spell any of the words.
            || holds("\\u")
    }

    fn message<'m>(&self, text: &'m [u8]) -> Cow<'m, [u8]> {
        let Ok(members) = json::members(text) else { return Cow::Borrowed(text) };
        let value =
            |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
        let said = |value: Option<&str>| value.is_some_and(|value| value != "null");
        let role: Option<String> = value("role").and_then(|role| serde_json::from_str(role).ok());
        let (is_tool, is_assistant) = (role.as_deref() == Some("tool"), role.as_deref() == Some("assistant"));
        let calls_tools = value("tool_calls").is_some_and(|calls| calls != "null" && calls != "[]");
        let quirks = self.quirks;
        let mut out = ObjectWriter::new(text.len() + 16);
        let mut thought = false;
        for (name, raw) in &members {
            let raw_bytes = raw.get().as_bytes();
            match name.as_ref() {
                "role" if !quirks.developer_role && role.as_deref() == Some("developer") => {
                    out.text("role", "system");
                }
                "name" if !quirks.message_names && !is_tool => {}
                "reasoning_content" | "reasoning" if is_assistant => {
                    if quirks.replays_reasoning && said(Some(raw.get())) && !thought {
                        out.raw("reasoning_content", raw_bytes);
                        thought = true;
                    }
                }
                "tool_call_id" if quirks.tool_ids == ToolIds::NineAlnum => {
                    match serde_json::from_str::<String>(raw.get()) {
                        Ok(id) => out.text("tool_call_id", &short_id(&id)),
                        Err(_) => out.raw("tool_call_id", raw_bytes),
                    };
                }
                "tool_calls" if quirks.tool_signature.is_some() && is_assistant && calls_tools => {
                    let signature = quirks.tool_signature.as_deref().unwrap_or_default();
                    out.raw("tool_calls", &signed(raw, signature));
                }
                "tool_calls" if quirks.tool_ids == ToolIds::NineAlnum && calls_tools => {
                    out.raw("tool_calls", &with_short_ids(raw));
                }
                // Beside tool calls an empty text is refused by some, none at all by nobody.
                "content" if calls_tools && !quirks.keeps_nulls && raw.get() == "\"\"" => {
                    out.raw("content", b"null");
                }
                "content" if self.text_only && raw.get().starts_with('[') => {
                    match joined(raw) {
                        Some(joined) => out.text("content", &joined),
                        None => out.raw("content", raw_bytes),
                    };
                }
                name => {
                    out.raw(name, raw_bytes);
                }
            }
        }
        // In a thinking conversation such an upstream insists on what was thought before a tool was called, and clients of
        // OpenAI's do not keep it: a space is taken for it.
        if quirks.replays_reasoning && is_assistant && calls_tools && !thought && !self.thinking_off {
            out.text("reasoning_content", " ");
        }
        Cow::Owned(out.finish())
    }
}

fn with_short_ids(calls: &RawValue) -> Vec<u8> {
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(calls.get()) else {
        return calls.get().as_bytes().to_vec();
    };
    let mut out = vec![b'['];
    for call in list {
        if out.len() > 1 {
            out.push(b',');
        }
        let Ok(members) = json::members(call.get().as_bytes()) else {
            out.extend_from_slice(call.get().as_bytes());
            continue;
        };
        let mut one = ObjectWriter::new(call.get().len());
        for (name, raw) in &members {
            match serde_json::from_str::<String>(raw.get()) {
                Ok(id) if name == "id" => one.text("id", &short_id(&id)),
                _ => one.raw(name, raw.get().as_bytes()),
            };
        }
        out.extend_from_slice(&one.finish());
    }
    out.push(b']');
    out
}

/// The calls, the first of which has a signature: its own, or this one. The upstream signs the first of a turn only.
fn signed(calls: &RawValue, signature: &str) -> Vec<u8> {
    let whole = || calls.get().as_bytes().to_vec();
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(calls.get()) else { return whole() };
    let Some((first, rest)) = list.split_first() else { return whole() };
    let Ok(members) = json::members(first.get().as_bytes()) else { return whole() };
    if members.iter().any(|(name, value)| name == "extra_content" && value.get() != "null") {
        return whole();
    }
    let mut google = ObjectWriter::new(64);
    google.text("thought_signature", signature);
    let mut extra = ObjectWriter::new(96);
    extra.raw("google", &google.finish());
    let mut one = ObjectWriter::new(first.get().len() + 128);
    for (name, value) in members.iter().filter(|(name, _)| name != "extra_content") {
        one.raw(name, value.get().as_bytes());
    }
    one.raw("extra_content", &extra.finish());
    let mut out = vec![b'['];
    out.extend_from_slice(&one.finish());
    for call in rest {
        out.push(b',');
        out.extend_from_slice(call.get().as_bytes());
    }
    out.push(b']');
    out
}

/// The parts as one text; `None` if one of them is none.
fn joined(parts: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        text: Cow<'a, str>,
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(parts.get()).ok()?;
    let texts: Option<Vec<_>> =
        parts.into_iter().map(|part| (part.kind == "text").then_some(part.text)).collect();
    Some(texts?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(messages: &str, kind: &str) -> String {
        let quirks = &router_config::catalog().provider(kind).unwrap().quirks;
        let edits = Edits { quirks, text_only: false, thinking_off: false };
        String::from_utf8(edited(messages.as_bytes(), edits).into_owned()).unwrap()
    }

    #[test]
    fn a_call_and_its_result_keep_one_id_and_a_short_one_stays() {
        let history = r#"[{"role":"assistant","content":"","tool_calls":[{"id":"call_abc","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"Ab3dE6gH9","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_abc","content":"1"}]"#;
        let sent: serde_json::Value = serde_json::from_str(&sent(history, "mistral")).unwrap();
        let id = sent[0]["tool_calls"][0]["id"].as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        assert_eq!(sent[1]["tool_call_id"], id);
        assert_eq!(sent[0]["tool_calls"][1]["id"], "Ab3dE6gH9");
        assert_eq!(sent[0]["content"], serde_json::Value::Null);
    }

    #[test]
    fn thoughts_go_back_to_whom_wants_them_and_to_nobody_else() {
        let history = r#"[{"role":"user","content":"reasoning?"},{"role":"assistant","reasoning_content":"hm","content":null,"tool_calls":[{"id":"c"}]}]"#;
        assert!(sent(history, "deepseek").contains(r#""reasoning_content":"hm""#));
        assert!(!sent(history, "openai").contains("reasoning_content"));
        let forgotten = r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]}]"#;
        assert!(sent(forgotten, "deepseek").contains(r#""reasoning_content":" ""#));
        assert_eq!(sent(forgotten, "openai"), forgotten);
    }

    #[test]
    fn a_call_that_lost_its_signature_gets_a_word_in_its_place() {
        let lost = r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"a","x":1e-7},{"id":"b"}]}]"#;
        assert!(sent(lost, "gemini").contains(
            r#"[{"id":"a","x":1e-7,"extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}},{"id":"b"}]"#
        ));
        let kept = r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"a","extra_content":{"google":{"thought_signature":"s"}}}]}]"#;
        assert!(!sent(kept, "gemini").contains("skip"));
        assert_eq!(sent(lost, "openai"), lost);
    }

    #[test]
    fn what_concerns_nobody_is_passed_as_it_is() {
        let plain = r#"[ {"role":"user" , "content":"hi","name":"bob"}]"#;
        assert_eq!(sent(plain, "openai"), plain);
        assert!(!sent(plain, "groq").contains("bob"));
        let escaped = r#"[{"role":"devel\u006fper","content":"x"}]"#;
        assert_eq!(sent(escaped, "deepseek"), r#"[{"role":"system","content":"x"}]"#);
        let broken = r#"["developer""#;
        assert_eq!(sent(broken, "deepseek"), broken);
    }

    #[test]
    fn parts_of_text_are_joined_where_only_text_is_taken() {
        let quirks = Quirks::default();
        let edits = Edits { quirks: &quirks, text_only: true, thinking_off: false };
        let join = |text: &str| String::from_utf8(edited(text.as_bytes(), edits).into_owned()).unwrap();
        let parts = r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#;
        assert_eq!(join(parts), r#"[{"role":"user","content":"a\nb"}]"#);
        let picture = r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]"#;
        assert_eq!(join(picture), picture, "a picture is not text: the upstream says so");
    }
}
