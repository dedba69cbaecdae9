//! Listens to Messages for everybody else, and tells them as chat completions.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    count::Count,
    ear::{Begun, unreadable},
    said::{Block, Message, Spoken},
};
use crate::{
    chat::{Chunk, TextSize, UsageSeen},
    json::{ListWriter, ObjectWriter, inside, quoted},
    provider::{
        Event,
        chunk::one_line,
        ear::{Ear, Heard},
        fault::Said,
    },
};

/// See the module.
#[derive(Debug)]
pub(in crate::provider) struct ChunksEar {
    /// When the call was made, in seconds since 1970: a chat's `created`.
    created: u64,
    id: String,
    model: String,
    count: Count,
    begun: Begun,
    tools: Vec<Tool>,
}

/// A call to a tool that was begun.
#[derive(Debug)]
struct Tool {
    /// Of its block.
    index: u64,
    /// What its block began with.
    input: Option<Box<RawValue>>,
    /// Whether any of its arguments were told.
    told: bool,
}

impl ChunksEar {
    pub(in crate::provider) fn new(created: u64) -> Self {
        Self {
            created,
            id: String::new(),
            model: String::new(),
            count: Count::default(),
            begun: Begun::default(),
            tools: Vec::new(),
        }
    }

    fn frame(&self, object: &str, choice: &[u8]) -> ObjectWriter {
        let mut out = ObjectWriter::new(choice.len() + 192);
        out.text("id", &self.id)
            .text("object", object)
            .count("created", self.created)
            .text("model", &self.model)
            .raw("choices", &[b"[", choice, b"]"].concat());
        out
    }

    /// A chunk with this `delta`.
    fn chunk(&self, delta: &[u8], reason: Option<&str>, text_size: TextSize, usage: UsageSeen) -> Heard {
        let mut choice = ObjectWriter::new(delta.len() + 64);
        choice.raw("index", b"0").raw("delta", delta);
        match reason {
            Some(reason) => choice.text("finish_reason", reason),
            None => choice.raw("finish_reason", b"null"),
        };
        let json = self.frame("chat.completion.chunk", &choice.finish()).finish().into();
        let finish = reason.is_some();
        let chunk =
            Chunk { json, event: None, text_size, finish, has_choices: true, has_usage_member: false, usage };
        Heard::Chunk { chunk, named: 1, ended: u128::from(finish) }
    }

    /// A chunk that says one thing.
    fn says(&self, member: &str, value: &[u8], text_size: TextSize) -> Heard {
        let mut delta = ObjectWriter::new(value.len() + 32);
        delta.raw(member, value);
        self.chunk(&delta.finish(), None, text_size, UsageSeen::Absent)
    }

    fn arguments(&self, place: usize, arguments: &[u8], text_size: TextSize) -> Heard {
        let mut function = ObjectWriter::new(arguments.len() + 24);
        function.raw("arguments", arguments);
        let mut tool = ObjectWriter::new(arguments.len() + 64);
        tool.count("index", place as u64).raw("function", &function.finish());
        self.says("tool_calls", &[b"[", tool.finish().as_slice(), b"]"].concat(), text_size)
    }

    fn begins(&mut self, message: Option<&Message<'_>>) -> Heard {
        if let Some(message) = message {
            self.id = message.id.as_deref().unwrap_or_default().to_owned();
            self.model = message.model.as_deref().unwrap_or_default().to_owned();
            if let Some(usage) = message.usage {
                self.count.add(usage);
            }
        }
        self.chunk(br#"{"role":"assistant","content":""}"#, None, TextSize::default(), self.count.prompt())
    }

    fn block(&mut self, index: u64, block: &Block<'_>) -> Option<Heard> {
        let told = |raw: &&RawValue| inside(raw).is_some_and(|text| !text.is_empty());
        match block.kind.as_ref() {
            "text" => {
                let text = block.text.filter(told)?;
                Some(self.says("content", text.get().as_bytes(), block.text_size()))
            }
            "thinking" => {
                let text = block.thinking.filter(told)?;
                Some(self.says("reasoning_content", text.get().as_bytes(), block.text_size()))
            }
            "tool_use" => {
                let input = block.input.filter(|input| input.get() != "{}").map(ToOwned::to_owned);
                let place = self.tools.len();
                self.tools.push(Tool { index, input, told: false });
                let call = tool_call(block, b"\"\"", Some(place as u64));
                let text_size = block.text_size();
                Some(self.says("tool_calls", &[b"[", call.as_slice(), b"]"].concat(), text_size))
            }
            _ => None,
        }
    }

    fn delta(&mut self, index: u64, spoken: &Spoken<'_>) -> Option<Heard> {
        let text_size = spoken.text_size();
        let delta = spoken.delta.as_ref()?;
        let told = |raw: &&RawValue| inside(raw).is_some_and(|text| !text.is_empty());
        match delta.kind.as_ref() {
            "text_delta" => Some(self.says("content", delta.text.filter(told)?.get().as_bytes(), text_size)),
            "thinking_delta" => {
                let thought = delta.thinking.filter(told)?;
                Some(self.says("reasoning_content", thought.get().as_bytes(), text_size))
            }
            "input_json_delta" => {
                let part = delta.partial_json.filter(told)?;
                let place = self.tools.iter().position(|tool| tool.index == index)?;
                if let Some(tool) = self.tools.get_mut(place) {
                    tool.told = true;
                }
                Some(self.arguments(place, part.get().as_bytes(), text_size))
            }
            // Signatures and citations have no place in a chat.
            _ => None,
        }
    }

    /// A tool that takes nothing, or whose input was there at once, was told no arguments yet.
    fn ends(&mut self, index: u64) -> Option<Heard> {
        let place = self.tools.iter().position(|tool| tool.index == index)?;
        let tool = self.tools.get_mut(place).filter(|tool| !tool.told)?;
        tool.told = true;
        let arguments = tool.input.as_deref().map_or_else(|| b"\"{}\"".to_vec(), |input| quoted(input.get()));
        Some(self.arguments(place, &arguments, TextSize::default()))
    }
}

/// A call with all that is known of it; where it has a place among others, that is told.
fn tool_call(block: &Block<'_>, arguments: &[u8], place: Option<u64>) -> Vec<u8> {
    let raw =
        |raw: Option<&RawValue>| raw.map_or_else(|| b"\"\"".to_vec(), |raw| raw.get().as_bytes().to_vec());
    let mut function = ObjectWriter::new(arguments.len() + 64);
    function.raw("name", &raw(block.name)).raw("arguments", arguments);
    let mut call = ObjectWriter::new(arguments.len() + 128);
    if let Some(place) = place {
        call.count("index", place);
    }
    call.raw("id", &raw(block.id)).raw("type", b"\"function\"").raw("function", &function.finish());
    call.finish()
}

/// A chat's word for why an answer ended.
fn reason(stop: &str) -> &'static str {
    match stop {
        "max_tokens" | "model_context_window_exceeded" | "compaction" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

impl ChunksEar {
    fn read(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let json = one_line(event.data);
        if event.is_error {
            out.push_back(Heard::Error(Said::read(&json)));
            return;
        }
        let Some(spoken) = Spoken::read(&json).filter(|spoken| !spoken.kind.is_empty()) else {
            out.push_back(unreadable(&json));
            return;
        };
        if let Some(said) = spoken.fault(&json) {
            out.push_back(Heard::Error(said));
            return;
        }
        let index = spoken.index.unwrap_or(0);
        match spoken.kind.as_ref() {
            "message_start" => {
                let beginning = self.begins(spoken.message.as_ref());
                self.begun.hold(beginning);
            }
            "content_block_start" => {
                out.extend(spoken.content_block.as_ref().and_then(|block| self.block(index, block)));
            }
            "content_block_delta" => out.extend(self.delta(index, &spoken)),
            "content_block_stop" => out.extend(self.ends(index)),
            "message_delta" => {
                let usage = spoken.usage.map_or(UsageSeen::Absent, |raw| {
                    self.count.add(raw);
                    self.count.seen_as_chat()
                });
                let stop = spoken.delta.as_ref().and_then(|delta| delta.stop_reason.as_deref());
                if let Some(stop) = stop.filter(|stop| !stop.is_empty()) {
                    out.push_back(self.chunk(b"{}", Some(reason(stop)), TextSize::default(), usage));
                }
            }
            "message_stop" => out.push_back(Heard::Done),
            _ => {}
        }
    }
}

impl Ear for ChunksEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let from = out.len();
        self.read(event, out);
        self.begun.before(out, from);
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let Some(spoken) = Spoken::read(&body) else { return unreadable(&body) };
        if let Some(said) = spoken.fault(&body) {
            return Heard::Error(said);
        }
        if spoken.kind != "message" {
            return unreadable(&body);
        }
        let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else { return Heard::Unreadable };
        let Some(content) = &message.content else { return Heard::Unreadable };
        if let Some(usage) = message.usage {
            self.count.add(usage);
        }
        self.id = message.id.as_deref().unwrap_or_default().to_owned();
        self.model = message.model.as_deref().unwrap_or_default().to_owned();
        let (said, thought, calls) = told(content);
        let mut answer = ObjectWriter::new(body.len());
        answer.raw("role", b"\"assistant\"");
        // A call to a tool may stand alone; an answer of nothing is an empty text.
        let nothing = if calls.is_empty() { b"\"\"".as_slice() } else { b"null".as_slice() };
        answer.raw("content", said.as_ref().map_or(nothing, |said| said.as_bytes()));
        answer.raw("refusal", b"null");
        if let Some(thought) = thought {
            answer.raw("reasoning_content", thought.as_bytes());
        }
        if !calls.is_empty() {
            answer.raw("tool_calls", &calls.finish());
        }
        let mut choice = ObjectWriter::new(body.len() + 64);
        choice.raw("index", b"0").raw("message", &answer.finish()).raw("logprobs", b"null");
        choice.text("finish_reason", reason(message.stop_reason.as_deref().unwrap_or_default()));
        let mut json = self.frame("chat.completion", &choice.finish());
        let usage = self.count.seen_as_chat();
        if let UsageSeen::Counted { raw, .. } = &usage {
            json.raw("usage", raw);
        }
        let chunk = Chunk {
            json: json.finish().into(),
            event: None,
            text_size: content.iter().map(Block::text_size).sum(),
            finish: true,
            has_choices: true,
            has_usage_member: true,
            usage,
        };
        Heard::Chunk { chunk, named: 1, ended: 1 }
    }
}

/// What the blocks of a message say, think and call: texts as JSON strings.
fn told(content: &[Block<'_>]) -> (Option<String>, Option<String>, ListWriter) {
    let joined = |kind: &str, of: fn(&Block<'_>) -> Option<String>| {
        let parts: Vec<String> = content.iter().filter(|block| block.kind == kind).filter_map(of).collect();
        (!parts.is_empty()).then(|| format!("\"{}\"", parts.concat()))
    };
    let said = joined("text", |block| block.text.and_then(inside).map(str::to_owned));
    let thought = joined("thinking", |block| block.thinking.and_then(inside).map(str::to_owned));
    let mut calls = ListWriter::new(256);
    for block in content.iter().filter(|block| block.kind == "tool_use") {
        let arguments = block.input.map_or_else(|| b"\"{}\"".to_vec(), |input| quoted(input.get()));
        calls.raw(&tool_call(block, &arguments, None));
    }
    (said, thought, calls)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heard(events: &[&str]) -> Vec<Heard> {
        let (mut ear, mut out) = (ChunksEar::new(7), VecDeque::new());
        for event in events {
            ear.hear(Event { data: Bytes::copy_from_slice(event.as_bytes()), is_error: false }, &mut out);
        }
        out.into()
    }

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}"#;

    #[test]
    fn messages_are_told_as_chunks() {
        let heard = heard(&[
            START,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\u4f60"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        let mut deltas = Vec::new();
        for heard in &heard {
            let Heard::Chunk { chunk, .. } = heard else { continue };
            let json: Value = serde_json::from_slice(&chunk.json).unwrap();
            assert_eq!(
                (&json["id"], &json["object"], &json["created"], &json["model"]),
                (&json!("msg_1"), &json!("chat.completion.chunk"), &json!(7), &json!("claude"))
            );
            deltas.push((json["choices"][0]["delta"].clone(), json["choices"][0]["finish_reason"].clone()));
        }
        let tool = |index, rest: Value| {
            let mut call = json!({ "index": index });
            call.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            (json!({ "tool_calls": [call] }), Value::Null)
        };
        let begun = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        let arguments = |text: &str| json!({"function": {"arguments": text}});
        assert_eq!(
            deltas,
            [
                (json!({"role": "assistant", "content": ""}), Value::Null),
                (json!({"reasoning_content": "hm"}), Value::Null),
                (json!({"content": "你"}), Value::Null),
                tool(0, begun("toolu_1", "f")),
                tool(0, arguments("{\"a\":1")),
                tool(0, arguments("}")),
                tool(1, begun("toolu_2", "g")),
                tool(1, arguments("{}")),
                (json!({}), json!("tool_calls")),
            ]
        );
        assert!(matches!(heard.last(), Some(Heard::Done)));
        let Heard::Chunk { chunk: first, named: 1, ended: 0 } = &heard[0] else { panic!() };
        assert!(matches!(first.usage, UsageSeen::Prompt(usage) if usage.prompt().0 == 30));
        let Heard::Chunk { chunk: last, ended: 1, .. } = &heard[heard.len() - 2] else { panic!() };
        assert!(matches!(last.usage, UsageSeen::Counted { usage, .. } if usage.total().0 == 119));
    }

    #[test]
    fn a_message_in_one_piece_is_a_completion() {
        let message = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
            {"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"a\n"},{"type":"text","text":"b"},
            {"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1.0}}],
            "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}"#;
        let Heard::Chunk { chunk, .. } = ChunksEar::new(7).whole(Bytes::from_static(message.as_bytes()))
        else {
            panic!()
        };
        assert_eq!(
            std::str::from_utf8(&chunk.json).unwrap(),
            r#"{"id":"msg_1","object":"chat.completion","created":7,"model":"claude","choices":[{"index":0,"message":{"role":"assistant","content":"a\nb","refusal":null,"reasoning_content":"hm","tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"a\":1.0}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#
        );
        assert_eq!(chunk.text_size.bytes(), 2 + 3 + 1 + 9);
    }

    #[test]
    fn an_error_is_heard_in_every_shape() {
        for text in [
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            r#"{"error":{"message":"no"}}"#,
            r#"{"code":"Throttling","message":"slow down"}"#,
        ] {
            assert!(matches!(heard(&[text]).as_slice(), [Heard::Error(_)]), "{text}");
            assert!(matches!(
                ChunksEar::new(0).whole(Bytes::copy_from_slice(text.as_bytes())),
                Heard::Error(_)
            ));
        }
        for text in ["<html>", "{}", r#"{"choices":[]}"#, "[DONE]"] {
            assert!(matches!(heard(&[text]).as_slice(), [Heard::Unreadable]), "{text}");
            assert!(matches!(
                ChunksEar::new(0).whole(Bytes::copy_from_slice(text.as_bytes())),
                Heard::Unreadable
            ));
        }
    }

    #[test]
    fn every_end_has_a_word_in_a_chat() {
        for (stop, expected) in [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("compaction", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
            ("something new", "stop"),
        ] {
            assert_eq!(reason(stop), expected);
        }
    }
}
