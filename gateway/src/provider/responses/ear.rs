//! What an upstream says in Responses: events by their type, or all of it in one piece.

use std::{borrow::Cow, collections::VecDeque};

use bytes::Bytes;
use router_config::UsageConvention;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage;
use crate::{
    chat::{Chunk, TextSize, UsageSeen},
    json::{self, ObjectWriter},
    provider::{
        Event,
        chunk::{as_it_came, one_line, text_size},
        ear::{Ear, Heard},
        fault::Said,
    },
};

/// Listens to Responses of an upstream that counts so.
#[derive(Debug)]
pub(in crate::provider) struct ResponsesEar(pub(in crate::provider) UsageConvention);

/// What matters of an event. Types that are not known are passed on: there are more of them every month.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawResponse<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// An item of the output: all of its texts, wherever they stand.
#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<Vec<RawPart<'a>>>,
    #[serde(borrow, default)]
    summary: Option<Vec<RawPart<'a>>>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
}

impl RawItem<'_> {
    /// How much text an item holds; one of an unexpected shape is counted as it stands.
    fn size_of(raw: &RawValue) -> TextSize {
        serde_json::from_str::<RawItem<'_>>(raw.get())
            .map_or_else(|_| TextSize::of(raw.get().as_bytes()), |item| item.text_size())
    }

    fn text_size(&self) -> TextSize {
        let parts = self.content.iter().chain(&self.summary).flatten();
        let parts = parts.flat_map(|part| [part.text, part.refusal]);
        let own = [self.name, self.arguments, self.input];
        parts.chain(own).flatten().map(text_size).sum()
    }
}

impl Ear for ResponsesEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let json = one_line(event.data);
        if json.as_ref() == b"[DONE]" {
            out.push_back(Heard::Done);
            return;
        }
        // An array would be taken for an object with its members in order.
        let raw =
            json.starts_with(b"{").then(|| serde_json::from_slice::<RawEvent<'_>>(&json).ok()).flatten();
        let Some(raw) = raw else {
            out.push_back(Heard::Unreadable);
            return;
        };
        let kind = raw.kind.as_deref().unwrap_or_default();
        let has_error = raw.error.is_some_and(|error| error.get() != "null");
        if event.is_error || kind == "error" || (kind.is_empty() && has_error) {
            out.push_back(Heard::Error(flat_error(&json)));
            return;
        }
        let response = raw.response.and_then(|raw| serde_json::from_str::<RawResponse<'_>>(raw.get()).ok());
        let usage = response.as_ref().and_then(|response| response.usage);
        let usage = usage.map(|raw| usage::read(raw, self.0));
        let usage = usage.unwrap_or(UsageSeen::Absent);
        if kind == "response.failed" {
            let error = response.and_then(|response| response.error);
            out.push_back(Heard::Error(failure(error)));
            return;
        }
        let finish = matches!(kind, "response.completed" | "response.incomplete");
        let errs = is_empty(raw.error) || response.as_ref().is_some_and(|response| is_empty(response.error));
        // Names of calls come with the item, all else in deltas.
        let item = raw.item.filter(|_| kind == "response.output_item.added");
        let item = item.and_then(|raw| serde_json::from_str::<RawItem<'_>>(raw.get()).ok());
        let text = raw.delta.filter(|delta| delta.get().starts_with('"')).map(text_size).unwrap_or_default()
            + item.and_then(|item| item.name).map(text_size).unwrap_or_default();
        let chunk = Chunk {
            event: (!kind.is_empty()).then(|| kind.into()),
            text_size: text,
            finish,
            has_choices: true,
            has_usage_member: usage != UsageSeen::Absent,
            usage,
            json: if errs { without_empty_error(&json) } else { json.clone() },
        };
        out.push_back(Heard::Chunk { chunk, named: 1, ended: u128::from(finish) });
        if finish {
            out.push_back(Heard::Done);
        }
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let json = as_it_came(body);
        let raw =
            json.starts_with(b"{").then(|| serde_json::from_slice::<RawResponse<'_>>(&json).ok()).flatten();
        let Some(raw) = raw else { return Heard::Unreadable };
        let Some(output) = &raw.output else { return Heard::Error(Said::read(&json)) };
        match raw.status.as_deref() {
            Some("failed" | "cancelled") => return Heard::Error(failure(raw.error)),
            Some("queued" | "in_progress") => return Heard::Unreadable,
            _ => {}
        }
        let text_size = output.iter().map(|item| RawItem::size_of(item)).sum();
        let usage = raw.usage.map_or(UsageSeen::Absent, |raw| usage::read(raw, self.0));
        let has_usage_member = raw.usage.is_some();
        let chunk = Chunk {
            json: if is_empty(raw.error) { without_empty_error(&json) } else { json.clone() },
            event: None,
            text_size,
            finish: true,
            has_choices: true,
            has_usage_member,
            usage,
        };
        Heard::Chunk { chunk, named: 1, ended: 1 }
    }
}

/// Whether an error says nothing: SDKs and frameworks raise it all the same, since it is there.
fn is_empty(error: Option<&RawValue>) -> bool {
    error.is_some_and(|error| json::members(error.get().as_bytes()).is_ok_and(|members| members.is_empty()))
}

/// A response, or an event with one in it, whose error is null where it said nothing.
fn without_empty_error(json: &[u8]) -> Bytes {
    let mut out = ObjectWriter::new(json.len() + 8);
    for (name, value) in json::members(json).unwrap_or_default() {
        let raw = value.get().as_bytes();
        match name.as_ref() {
            "error" if is_empty(Some(value)) => out.raw("error", b"null"),
            "response" if raw.starts_with(b"{") => out.raw("response", &without_empty_error(raw)),
            name => out.raw(name, raw),
        };
    }
    out.finish().into()
}

/// The words of a failed response.
fn failure(error: Option<&RawValue>) -> Said {
    match error {
        Some(error) if error.get() != "null" => {
            let mut wrapped = ObjectWriter::new(error.get().len() + 16);
            wrapped.raw("error", error.get().as_bytes());
            Said::read(&wrapped.finish())
        }
        _ => Said::words("the upstream says that the response failed".to_owned()),
    }
}

/// The words of an `error` event, whose own type says nothing.
fn flat_error(json: &[u8]) -> Said {
    let members = json::members(json).unwrap_or_default();
    let is_nested = |(name, value): &(Cow<'_, str>, &RawValue)| name == "error" && value.get() != "null";
    if members.iter().any(is_nested) {
        return Said::read(json);
    }
    let mut error = ObjectWriter::new(json.len());
    for (name, value) in members.iter().filter(|(name, _)| name != "type") {
        error.raw(name, value.get().as_bytes());
    }
    Said::read(&error.finish())
}

#[cfg(test)]
mod tests {
    use units::Tokens;

    use super::*;

    fn heard(data: &str) -> Vec<Heard> {
        let mut out = VecDeque::new();
        let event = Event { data: Bytes::copy_from_slice(data.as_bytes()), is_error: false };
        ResponsesEar(UsageConvention::default()).hear(event, &mut out);
        out.into()
    }

    fn chunk(data: &str) -> Chunk {
        match heard(data).swap_remove(0) {
            Heard::Chunk { chunk, .. } => chunk,
            other => panic!("{data}: {other:?}"),
        }
    }

    #[test]
    fn text_is_counted_once_in_whichever_event_it_comes() {
        for (data, bytes) in [
            (r#"{"type":"response.created","response":{"output":[],"usage":null}}"#, 0),
            (r#"{"type":"response.output_text.delta","delta":"你好","logprobs":[]}"#, 6),
            (r#"{"type":"response.refusal.delta","delta":"no"}"#, 2),
            (r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#, 2),
            (r#"{"type":"response.function_call_arguments.delta","delta":"{\"a\":1}"}"#, 7),
            (r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}"#, 1),
            (
                r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"f","arguments":"{}"}}"#,
                0,
            ),
            (r#"{"type":"response.output_text.done","text":"你好"}"#, 0),
            (r#"{"type":"response.something.new","what":{"ever":1}}"#, 0),
        ] {
            let chunk = chunk(data);
            assert_eq!((chunk.text_size.bytes(), chunk.finish), (bytes, false), "{data}");
            assert!(chunk.event.is_some_and(|event| event.starts_with("response.")));
        }
    }

    #[test]
    fn the_last_event_has_the_usage_and_ends_the_answer() {
        for kind in ["response.completed", "response.incomplete"] {
            let data = format!(
                r#"{{"type":"{kind}","sequence_number":9,"response":{{"status":"x","output":[],"usage":{{"input_tokens":3,"output_tokens":4}}}}}}"#
            );
            let heard = heard(&data);
            assert!(
                matches!(
                    heard.as_slice(),
                    [Heard::Chunk { chunk: Chunk { finish: true, usage: UsageSeen::Counted { usage, .. }, .. }, ended: 1, .. }, Heard::Done]
                        if usage.output == Tokens(4)
                ),
                "{heard:?}"
            );
        }
    }

    #[test]
    fn failures_are_heard_in_every_shape() {
        for (data, message) in [
            (
                r#"{"type":"error","code":"server_error","message":"boom","param":null,"sequence_number":3}"#,
                "boom",
            ),
            (r#"{"type":"error","error":{"type":"server_error","message":"boom"}}"#, "boom"),
            (r#"{"error":{"message":"boom"}}"#, "boom"),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
                "boom",
            ),
            (
                r#"{"type":"response.failed","response":{"error":null}}"#,
                "the upstream says that the response failed",
            ),
        ] {
            assert!(
                matches!(heard(data).as_slice(), [Heard::Error(said)] if said.message == message),
                "{data}"
            );
        }
        for bad in ["<html>", "[]", "7"] {
            assert!(matches!(heard(bad).as_slice(), [Heard::Unreadable]), "{bad}");
        }
        assert!(matches!(heard("[DONE]").as_slice(), [Heard::Done]));
    }

    #[test]
    fn an_error_that_says_nothing_is_none() {
        let done = r#"{"type":"response.completed","error":{},"response":{"status":"completed","x":1.0,"output":[],"error":{ }}}"#;
        assert_eq!(
            chunk(done).json,
            r#"{"type":"response.completed","error":null,"response":{"status":"completed","x":1.0,"output":[],"error":null}}"#
        );
        let plain = r#"{"type":"response.created", "response":{"output":[],"error":null}}"#;
        assert_eq!(chunk(plain).json, plain, "byte by byte");
        let whole = ResponsesEar(UsageConvention::default())
            .whole(Bytes::from_static(br#"{"output":[],"error":{},"status":"completed"}"#));
        assert!(
            matches!(&whole, Heard::Chunk { chunk, .. } if chunk.json == r#"{"output":[],"error":null,"status":"completed"}"#),
            "{whole:?}"
        );
    }

    #[test]
    fn a_whole_response_is_one_or_it_is_not() {
        let whole = |body: &'static str| {
            ResponsesEar(UsageConvention::default()).whole(Bytes::from_static(body.as_bytes()))
        };
        let good = r#"{"object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":[{"text":"ab"}]},{"type":"message","content":[{"type":"output_text","text":"cd"},{"type":"refusal","refusal":"e"}]},{"type":"function_call","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2}}"#;
        assert!(
            matches!(whole(good), Heard::Chunk { chunk, .. } if chunk.text_size.bytes() == 8 && chunk.json == good)
        );
        for bad in [
            r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"boom"}}"#,
            r#"{"error":{"message":"boom"}}"#,
            r#"{"message":"boom"}"#,
            r#"{"status":"cancelled","output":[]}"#,
        ] {
            assert!(matches!(whole(bad), Heard::Error(_)), "{bad}");
        }
        for bad in ["<html>", "", "[]", r#"{"status":"queued","output":[]}"#] {
            assert!(matches!(whole(bad), Heard::Unreadable), "{bad}");
        }
    }
}
