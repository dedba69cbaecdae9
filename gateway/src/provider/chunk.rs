//! One JSON text of an upstream, be it a chunk or a whole answer: what is in it that matters?

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{fault::Said, usage};
use crate::chat::{Chunk, UsageSeen};

/// Finish reasons that are failures of the upstream, not ends of an answer.
const FAILURES: [&str; 5] = [
    "error",
    "network_error",
    "insufficient_system_resource",
    "engine_overloaded",
    "MALFORMED_FUNCTION_CALL",
];

#[derive(Deserialize)]
struct RawChunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<RawChoice<'a>>>,
    #[serde(borrow, default)]
    usage: Member<'a>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    code: Option<IgnoredAny>,
    #[serde(default)]
    message: Option<IgnoredAny>,
    #[serde(borrow, default)]
    x_groq: Option<RawGroq<'a>>,
}

/// A member that may be absent, null or something: three different things.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct Member<'a>(#[serde(borrow, deserialize_with = "present")] Option<&'a RawValue>);

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct RawGroq<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawChoice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    message: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

impl RawMessage<'_> {
    fn text_bytes(&self) -> u64 {
        let reasoning = self.reasoning_content.filter(|raw| raw.get() != "null").or(self.reasoning);
        let parts = [self.content, reasoning, self.refusal, self.function_call].into_iter().flatten();
        parts.map(text_bytes).sum::<u64>() + self.tool_calls.map_or(0, tool_bytes)
    }
}

/// How much text a value holds. What is no string is counted as it stands.
fn text_bytes(raw: &RawValue) -> u64 {
    let text = raw.get();
    if text == "null" {
        return 0;
    }
    if text.starts_with('"') {
        if memchr::memchr(b'\\', text.as_bytes()).is_none() {
            return text.len() as u64 - 2;
        }
        return serde_json::from_str::<String>(text).map_or(text.len() as u64, |text| text.len() as u64);
    }
    text.len() as u64
}

fn tool_bytes(raw: &RawValue) -> u64 {
    #[derive(Deserialize)]
    struct RawTool<'a> {
        #[serde(borrow, default)]
        function: Option<RawFunction<'a>>,
    }
    #[derive(Deserialize)]
    struct RawFunction<'a> {
        #[serde(borrow, default)]
        name: Option<&'a RawValue>,
        #[serde(borrow, default)]
        arguments: Option<&'a RawValue>,
    }
    if raw.get() == "null" {
        return 0;
    }
    let Ok(tools) = serde_json::from_str::<Vec<RawTool<'_>>>(raw.get()) else {
        return raw.get().len() as u64;
    };
    let functions = tools.into_iter().filter_map(|tool| tool.function);
    functions.flat_map(|f| [f.name, f.arguments]).flatten().map(text_bytes).sum()
}

/// What an upstream's JSON text turned out to be.
#[derive(Debug)]
pub(super) enum Heard {
    /// Part or whole of an answer, and which choices (by bit) it names and which it ends.
    Chunk { chunk: Chunk, named: u128, ended: u128 },
    /// `[DONE]`.
    Done,
    /// An error.
    Error(Said),
    /// Not JSON.
    Unreadable,
}

/// Reads one JSON text.
pub(super) fn hear(data: Bytes, is_error: bool) -> Heard {
    let json = one_line(data);
    if json.as_ref() == b"[DONE]" {
        return Heard::Done;
    }
    if is_error {
        return Heard::Error(Said::read(&json));
    }
    let raw = match serde_json::from_slice::<RawChunk<'_>>(&json) {
        Ok(raw) => raw,
        // An object of an unexpected shape is passed on, and counted as if all of it were text.
        Err(_) if json.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(&json).is_ok() => {
            let text_bytes = json.len() as u64;
            let usage = UsageSeen::Absent;
            let chunk =
                Chunk { json, text_bytes, finish: false, has_choices: true, has_usage_member: false, usage };
            return Heard::Chunk { chunk, named: 0, ended: 0 };
        }
        Err(_) => return Heard::Unreadable,
    };
    let has_error = raw.error.is_some_and(|error| error.get() != "null");
    let is_fault = raw.choices.is_none() && (raw.code.is_some() || raw.message.is_some());
    if has_error || is_fault {
        return Heard::Error(Said::read(&json));
    }
    let choices = raw.choices.unwrap_or_default();
    let (mut named, mut ended, mut text) = (0_u128, 0_u128, 0);
    for choice in &choices {
        let bit = 1_u128 << choice.index.unwrap_or(0).min(127);
        named |= bit;
        if let Some(reason) = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()) {
            if FAILURES.contains(&reason) {
                return Heard::Error(Said::words(format!("the answer ended with finish_reason `{reason}`")));
            }
            ended |= bit;
        }
        text += choice.delta.as_ref().map_or(0, RawMessage::text_bytes);
        text += choice.message.as_ref().map_or(0, RawMessage::text_bytes);
    }
    let nested = || choices.iter().find_map(|choice| choice.usage).or(raw.x_groq.and_then(|groq| groq.usage));
    let usage = raw.usage.0.filter(|usage| usage.get() != "null").or_else(nested);
    let usage = usage.map_or(UsageSeen::Absent, usage::read);
    let has_usage_member = raw.usage.0.is_some();
    let has_choices = !choices.is_empty();
    drop(choices);
    let chunk = Chunk { text_bytes: text, finish: ended != 0, has_choices, has_usage_member, usage, json };
    Heard::Chunk { chunk, named, ended }
}

/// The text without surrounding white space, on one line, in valid UTF-8.
fn one_line(data: Bytes) -> Bytes {
    let trimmed = data.trim_ascii();
    let start = trimmed.as_ptr() as usize - data.as_ptr() as usize;
    let mut text = data.slice(start..start + trimmed.len());
    if std::str::from_utf8(&text).is_err() {
        text = String::from_utf8_lossy(&text).into_owned().into();
    }
    if memchr::memchr2(b'\n', b'\r', &text).is_some() {
        // In JSON a raw line break only stands between values.
        text = text.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> Chunk {
        match hear(Bytes::copy_from_slice(text.as_bytes()), false) {
            Heard::Chunk { chunk, .. } => chunk,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn text_is_counted_as_it_will_be_read() {
        assert_eq!(chunk(r#"{"choices":[{"delta":{"content":"你好"}}]}"#).text_bytes, 6);
        assert_eq!(chunk(r#"{"choices":[{"delta":{"content":"\u4f60\n"}}]}"#).text_bytes, 4);
        assert_eq!(
            chunk(r#"{"choices":[{"delta":{"reasoning_content":"abc","content":null}}]}"#).text_bytes,
            3
        );
        let tools = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#;
        assert_eq!(chunk(tools).text_bytes, 8);
        assert_eq!(chunk(r#"{"choices":[]}"#).text_bytes, 0);
    }

    #[test]
    fn an_error_is_heard_in_every_shape() {
        for text in [
            r#"{"error":{"message":"no"}}"#,
            r#"{"error":"no"}"#,
            r#"{"code":"Throttling","message":"slow down","request_id":"x"}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
        ] {
            assert!(matches!(hear(Bytes::from_static(text.as_bytes()), false), Heard::Error(_)), "{text}");
        }
        assert!(matches!(hear(Bytes::from_static(b"<html>"), false), Heard::Unreadable));
        assert!(matches!(hear(Bytes::from_static(b"[DONE] "), false), Heard::Done));
        assert!(!chunk(r#"{"error":null,"choices":[{"finish_reason":""}]}"#).finish);
    }

    #[test]
    fn usage_is_found_where_providers_put_it() {
        let usage = r#"{"prompt_tokens":1,"completion_tokens":2}"#;
        for text in [
            format!(r#"{{"choices":[],"usage":{usage}}}"#),
            format!(r#"{{"choices":[{{"delta":{{}},"usage":{usage}}}]}}"#),
            format!(r#"{{"choices":[],"x_groq":{{"usage":{usage}}},"usage":null}}"#),
        ] {
            assert!(matches!(chunk(&text).usage, UsageSeen::Counted { .. }), "{text}");
        }
        let null = chunk(r#"{"choices":[],"usage":null}"#);
        assert!(null.has_usage_member && null.usage == UsageSeen::Absent);
    }
}
