//! One JSON text of an upstream, be it a chunk or a whole answer: what is in it that matters?

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use bytes::Bytes;
use router_config::{Quirks, UsageConvention};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    Event,
    ear::{Ear, Heard},
    fault::Said,
    repair::Repair,
    usage,
};
use crate::chat::{Chunk, TextSize, UsageSeen};

/// Finish reasons that are failures of the upstream, not ends of an answer.
const FAILURES: [&str; 5] = [
    "error",
    "network_error",
    "insufficient_system_resource",
    "engine_overloaded",
    "MALFORMED_FUNCTION_CALL",
];

/// One JSON text of an upstream.
#[derive(Deserialize)]
pub(super) struct RawChunk<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<RawChoice<'a>>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
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
    #[serde(borrow, default)]
    base_resp: Option<RawBaseResp<'a>>,
}

#[derive(Deserialize)]
struct RawBaseResp<'a> {
    #[serde(default)]
    status_code: i64,
    #[serde(borrow, default)]
    status_msg: Option<Cow<'a, str>>,
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

/// One of its choices.
#[derive(Deserialize)]
pub(super) struct RawChoice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) delta: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<RawMessage<'a>>,
    /// The text of a completion, which knows no messages.
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

/// A choice's message, or what is added to it.
#[derive(Deserialize)]
pub(super) struct RawMessage<'a> {
    #[serde(borrow, default)]
    pub(super) role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

impl RawMessage<'_> {
    fn text_size(&self) -> TextSize {
        let reasoning = self.reasoning_content.filter(|raw| raw.get() != "null").or(self.reasoning);
        let parts = [self.content, reasoning, self.refusal, self.function_call].into_iter().flatten();
        parts.map(text_size).sum::<TextSize>() + self.tool_calls.map(tool_size).unwrap_or_default()
    }
}

/// How much text a value holds. What is no string is counted as it stands.
pub(super) fn text_size(raw: &RawValue) -> TextSize {
    let text = raw.get();
    if text == "null" {
        return TextSize::default();
    }
    let Some(inside) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return TextSize::of(text.as_bytes());
    };
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return TextSize::of(inside.as_bytes());
    }
    let unescaped = serde_json::from_str::<String>(text);
    TextSize::of(unescaped.as_deref().unwrap_or(text).as_bytes())
}

fn tool_size(raw: &RawValue) -> TextSize {
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
        return TextSize::default();
    }
    let Ok(tools) = serde_json::from_str::<Vec<RawTool<'_>>>(raw.get()) else {
        return TextSize::of(raw.get().as_bytes());
    };
    let functions = tools.into_iter().filter_map(|tool| tool.function);
    functions.flat_map(|f| [f.name, f.arguments]).flatten().map(text_size).sum()
}

impl RawChunk<'_> {
    /// Members of an answer in one piece that clients insist on and that are not there, with what is said instead.
    pub(super) fn missing(&self) -> Vec<(&'static str, Vec<u8>)> {
        let given =
            |raw: Option<&RawValue>, begins: &[char]| raw.is_some_and(|raw| raw.get().starts_with(begins));
        let text = |is_there: bool, name, value: &str| (!is_there).then(|| (name, value.as_bytes().to_vec()));
        let digits: Vec<char> = ('0'..='9').collect();
        [
            text(given(self.id, &['"']), "id", r#""chatcmpl-upstream""#),
            text(given(self.object, &['"']), "object", r#""chat.completion""#),
            text(given(self.created, &digits), "created", "0"),
            text(given(self.model, &['"']), "model", r#""""#),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Listens to chat completions.
#[derive(Debug)]
pub(super) struct ChatEar {
    quirks: Arc<Quirks>,
    repair: Repair,
    /// The latest chunk: a frame for one that the upstream leaves out.
    latest: Bytes,
}

impl ChatEar {
    /// To an upstream with these quirks.
    pub(super) fn new(quirks: &Arc<Quirks>) -> Self {
        Self { quirks: Arc::clone(quirks), repair: Repair::new(Arc::clone(quirks)), latest: Bytes::new() }
    }
}

impl Ear for ChatEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let heard =
            hear(event.data, event.is_error, self.quirks.usage, |json, raw| self.repair.chunk(json, raw));
        match &heard {
            Heard::Chunk { chunk, .. } if chunk.has_choices => self.latest = chunk.json.clone(),
            // Some end a choice with an empty reason and say nothing more of it.
            Heard::Done => out.extend(
                self.repair
                    .blank_ends(&self.latest)
                    .into_iter()
                    .map(|end| hear(end.into(), false, self.quirks.usage, |_, _| None)),
            ),
            _ => {}
        }
        // What holds neither a part of the answer nor its usage is about the answer: filter results, say.
        let empty = matches!(&heard, Heard::Chunk { chunk, named: 0, .. }
            if !chunk.has_choices && chunk.usage == UsageSeen::Absent);
        if !empty {
            out.push_back(heard);
        }
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let mut mended = false;
        let mut heard = hear(body.clone(), false, self.quirks.usage, |json, raw| {
            let whole = self.repair.whole(json, raw);
            mended = whole.is_some();
            whole
        });
        if let Heard::Chunk { chunk, .. } = &mut heard
            && !mended
        {
            chunk.json = as_it_came(body);
        }
        heard
    }
}

/// Listens to completions, whose texts need no repair.
#[derive(Debug)]
pub(super) struct CompletionsEar(pub(super) UsageConvention);

impl Ear for CompletionsEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        out.push_back(hear(event.data, event.is_error, self.0, |_, _| None));
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let mut heard = hear(body.clone(), false, self.0, |_, _| None);
        if let Heard::Chunk { chunk, .. } = &mut heard {
            chunk.json = as_it_came(body);
        }
        heard
    }
}

/// Reads one JSON text.
fn hear(
    data: Bytes,
    is_error: bool,
    counts: UsageConvention,
    repair: impl FnOnce(&[u8], &RawChunk<'_>) -> Option<Vec<u8>>,
) -> Heard {
    let json = one_line(data);
    if json.as_ref() == b"[DONE]" {
        return Heard::Done;
    }
    if is_error {
        return Heard::Error(Said::read(&json));
    }
    // An array would be taken for an object with its members in order.
    if !json.starts_with(b"{") {
        return Heard::Unreadable;
    }
    let raw = match serde_json::from_slice::<RawChunk<'_>>(&json) {
        Ok(raw) => raw,
        // An object of an unexpected shape is passed on, and counted as if all of it were text.
        Err(_) if serde_json::from_slice::<IgnoredAny>(&json).is_ok() => {
            let text_size = TextSize::of(&json);
            let usage = UsageSeen::Absent;
            let (finish, has_choices, has_usage_member) = (false, true, false);
            let chunk = Chunk { json, event: None, text_size, finish, has_choices, has_usage_member, usage };
            return Heard::Chunk { chunk, named: 0, ended: 0 };
        }
        Err(_) => return Heard::Unreadable,
    };
    let has_error = raw.error.is_some_and(|error| error.get() != "null");
    let is_fault = raw.choices.is_none() && (raw.code.is_some() || raw.message.is_some());
    if has_error || is_fault {
        return Heard::Error(Said::read(&json));
    }
    // MiniMax's: beside choices that may be there all the same.
    if let Some(code) = raw.base_resp.as_ref().map(|resp| resp.status_code).filter(|code| *code != 0) {
        let message = raw.base_resp.and_then(|resp| resp.status_msg).unwrap_or_default().into_owned();
        return Heard::Error(Said::coded(code.to_string(), message));
    }
    let repaired = repair(&json, &raw);
    let choices = raw.choices.unwrap_or_default();
    let (mut named, mut ended, mut text) = (0_u128, 0_u128, TextSize::default());
    for choice in &choices {
        let bit = 1_u128 << choice.index.unwrap_or(0).min(127);
        named |= bit;
        if let Some(reason) = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()) {
            if FAILURES.contains(&reason) {
                return Heard::Error(Said::words(format!("the answer ended with finish_reason `{reason}`")));
            }
            ended |= bit;
        }
        text += choice.delta.as_ref().map(RawMessage::text_size).unwrap_or_default();
        text += choice.message.as_ref().map(RawMessage::text_size).unwrap_or_default();
        text += choice.text.map(text_size).unwrap_or_default();
    }
    let nested = || choices.iter().find_map(|choice| choice.usage).or(raw.x_groq.and_then(|groq| groq.usage));
    let usage = raw.usage.0.filter(|usage| usage.get() != "null").or_else(nested);
    let usage = usage.map_or(UsageSeen::Absent, |usage| usage::read(usage, counts));
    let has_usage_member = raw.usage.0.is_some();
    let has_choices = !choices.is_empty();
    drop(choices);
    let json = repaired.map_or(json, Bytes::from);
    let (text_size, finish) = (text, ended != 0);
    let chunk = Chunk { json, event: None, text_size, finish, has_choices, has_usage_member, usage };
    Heard::Chunk { chunk, named, ended }
}

/// The text without surrounding white space, in valid UTF-8. Line breaks inside stay as they came.
pub(super) fn as_it_came(body: Bytes) -> Bytes {
    let text = body.trim_ascii();
    let start = text.as_ptr() as usize - body.as_ptr() as usize;
    match std::str::from_utf8(text) {
        Ok(text) => body.slice(start..start + text.len()),
        Err(_) => one_line(body),
    }
}

/// The text without surrounding white space, on one line, in valid UTF-8.
pub(super) fn one_line(data: Bytes) -> Bytes {
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

    fn plain(text: &str) -> Heard {
        hear(Bytes::copy_from_slice(text.as_bytes()), false, UsageConvention::default(), |_, _| None)
    }

    fn chunk(text: &str) -> Chunk {
        match plain(text) {
            Heard::Chunk { chunk, .. } => chunk,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn text_is_counted_as_it_will_be_read() {
        let bytes = |text: &str| {
            let size = chunk(text).text_size;
            (size.ascii, size.wide)
        };
        assert_eq!(bytes(r#"{"choices":[{"delta":{"content":"你好"}}]}"#), (0, 6));
        assert_eq!(bytes(r#"{"choices":[{"delta":{"content":"\u4f60\n"}}]}"#), (1, 3));
        assert_eq!(
            chunk(r#"{"choices":[{"delta":{"reasoning_content":"abc","content":null}}]}"#).text_size.bytes(),
            3
        );
        let tools = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#;
        assert_eq!(chunk(tools).text_size.bytes(), 8);
        assert_eq!(chunk(r#"{"choices":[]}"#).text_size.bytes(), 0);
    }

    #[test]
    fn an_error_is_heard_in_every_shape() {
        for text in [
            r#"{"error":{"message":"no"}}"#,
            r#"{"error":"no"}"#,
            r#"{"code":"Throttling","message":"slow down","request_id":"x"}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
        ] {
            assert!(matches!(plain(text), Heard::Error(_)), "{text}");
        }
        assert!(matches!(plain("<html>"), Heard::Unreadable));
        assert!(matches!(plain("[DONE] "), Heard::Done));
        assert!(!chunk(r#"{"error":null,"choices":[{"finish_reason":""}]}"#).finish);
    }

    fn mended(texts: &[&str], kind: &str) -> Vec<serde_json::Value> {
        let quirks = &router_config::catalog().provider(kind).unwrap().quirks;
        let mut ear = ChatEar::new(quirks);
        let mut out = VecDeque::new();
        for text in texts {
            let data = Bytes::copy_from_slice(text.as_bytes());
            ear.hear(Event { data, is_error: false }, &mut out);
        }
        let json = |heard: Heard| match heard {
            Heard::Chunk { chunk, .. } => serde_json::from_slice(&chunk.json).unwrap(),
            other => panic!("{other:?}"),
        };
        out.into_iter().map(json).collect()
    }

    fn delta(delta: &str, finish: &str) -> String {
        format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#)
    }

    /// Each row made some SDK or framework fail when it was passed on: WIRE's table of deviations.
    #[test]
    fn what_clients_break_on_is_mended_and_the_rest_passes_untouched() {
        let said_again = [
            delta(r#"{"role":"assistant","content":"a"}"#, "null"),
            delta(r#"{"role":"assistant","content":"b"}"#, "null"),
        ];
        let chunks = mended(&said_again.each_ref().map(String::as_str), "ollama");
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks[1]["choices"][0]["delta"], serde_json::json!({"content": "b"}));

        let empty = mended(
            &[r#"{"id":"c","choices":null,"usage":{"prompt_tokens":1,"completion_tokens":1}}"#],
            "openai",
        );
        assert_eq!(empty[0]["choices"], serde_json::json!([]));
        let null = mended(&[&delta("null", "\"stop\"")], "openai");
        assert_eq!(null[0]["choices"][0]["delta"], serde_json::json!({}));
        let list = mended(
            &[&delta(
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]}"#,
                "null",
            )],
            "mistral",
        );
        assert_eq!(
            list[0]["choices"][0]["delta"],
            serde_json::json!({"content": "hi", "reasoning_content": "hm"})
        );
        let renamed = mended(&[&delta(r#"{"reasoning":"hm"}"#, "null")], "vllm");
        assert_eq!(renamed[0]["choices"][0]["delta"], serde_json::json!({"reasoning_content": "hm"}));
        let filters = [
            r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#,
            &delta(r#"{"content":"a"}"#, "null"),
        ];
        assert_eq!(mended(&filters, "azure").len(), 1, "what says nothing of the answer is not shown");
        for (said, meant) in [
            ("eos", "stop"),
            ("model_length", "length"),
            ("sensitive", "content_filter"),
            ("whatever", "stop"),
        ] {
            let chunk = mended(&[&delta("{}", &format!("\"{said}\""))], "openai");
            assert_eq!(chunk[0]["choices"][0]["finish_reason"], meant, "{said}");
        }
        assert_eq!(
            mended(&[&delta("{}", "\"\"")], "openai")[0]["choices"][0]["finish_reason"],
            serde_json::Value::Null
        );
        let untouched = delta(r#"{"content":"a","x":1e-7}"#, "null");
        let quirks = &router_config::catalog().provider("openai").unwrap().quirks;
        let mut out = VecDeque::new();
        ChatEar::new(quirks).hear(Event { data: untouched.clone().into(), is_error: false }, &mut out);
        assert!(matches!(&out[0], Heard::Chunk { chunk, .. } if chunk.json == untouched.as_bytes()));
    }

    #[test]
    fn a_call_of_free_text_stays_one_when_it_is_mended() {
        let tool = |tool: &str| delta(&format!(r#"{{"tool_calls":[{tool}]}}"#), "null");
        let chunks = mended(
            &[
                &tool(r#"{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}"#),
                &tool(r#"{"type":"custom","custom":{"input":"y"}}"#),
            ],
            "gemini",
        );
        let calls: Vec<_> =
            chunks.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone()).collect();
        assert_eq!(
            calls[0],
            serde_json::json!({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}})
        );
        assert_eq!(calls[1], serde_json::json!({"index": 0, "custom": {"input": "y"}}));
    }

    #[test]
    fn a_tool_call_is_named_once_and_counted_densely() {
        let tool = |tool: &str, finish: &str| delta(&format!(r#"{{"tool_calls":[{tool}]}}"#), finish);
        let chunks = mended(
            &[
                &tool(
                    r#"{"id":"a","type":"function","function":{"name":"f","arguments":"{"},"extra_content":{"google":{}}}"#,
                    "null",
                ),
                &tool(r#"{"id":"","type":null,"function":{"name":"","arguments":"}"}}"#, "null"),
                &tool(r#"{"index":3,"id":"b","function":{"name":"g","arguments":{"x":1.0}}}"#, "null"),
                &tool(
                    r#"{"index":3,"id":"b","type":"function","function":{"name":"g","arguments":""}}"#,
                    "\"stop\"",
                ),
            ],
            "gemini",
        );
        let calls: Vec<_> =
            chunks.iter().map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone()).collect();
        assert_eq!(
            calls[0],
            serde_json::json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"},
                "extra_content": {"google": {}}})
        );
        assert_eq!(calls[1], serde_json::json!({"index": 0, "function": {"arguments": "}"}}));
        assert_eq!(
            calls[2],
            serde_json::json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{\"x\":1.0}"}})
        );
        assert_eq!(calls[3], serde_json::json!({"index": 1, "function": {"arguments": ""}}));
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls", "Gemini says stop");
    }

    #[test]
    fn a_whole_answer_has_what_strict_clients_insist_on() {
        let quirks = &router_config::catalog().provider("openai-compatible").unwrap().quirks;
        let sloppy = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]},"finish_reason":"stop"}]}"#;
        let Heard::Chunk { chunk, .. } = ChatEar::new(quirks).whole(sloppy.into()) else { panic!() };
        let said: serde_json::Value = serde_json::from_slice(&chunk.json).unwrap();
        assert_eq!((&said["object"], said["created"].is_u64()), (&"chat.completion".into(), true));
        let choice = &said["choices"][0];
        assert_eq!(
            (&choice["message"]["role"], &choice["finish_reason"]),
            (&"assistant".into(), &"tool_calls".into())
        );
        assert_eq!(
            choice["message"]["tool_calls"][0],
            serde_json::json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}})
        );
        let refused =
            r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"},"choices":[]}"#;
        assert!(matches!(ChatEar::new(quirks).whole(refused.into()), Heard::Error(_)));
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
