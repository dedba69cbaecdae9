//! One answer out of the chunks of a stream: for upstreams whose model only streams, where a client wants it whole.

use std::future::poll_fn;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{Events, Whole, fault::Fault, whole::WHOLE_MAX_BYTES};
use crate::{
    chat::{AttemptResult, Chunk, TextSize, UsageSeen},
    json,
};

/// Most calls of tools in one answer.
const TOOLS_MAX: usize = 128;

/// What was said so far.
#[derive(Debug, Default)]
struct Collected {
    head: Map<String, Value>,
    choices: Vec<Choice>,
    usage: Option<UsageSeen>,
    text_size: TextSize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Choice {
    message: Map<String, Value>,
    tools: Vec<Map<String, Value>>,
    logprobs: Option<Value>,
    finish_reason: Value,
}

#[derive(Deserialize)]
struct RawDelta {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    delta: Map<String, Value>,
    #[serde(default)]
    logprobs: Option<Value>,
    #[serde(default)]
    finish_reason: Option<Value>,
}

/// Reads `events` to their end. To be bounded in time by whoever calls.
///
/// # Errors
/// [`Fault`], if the stream breaks off: nobody has seen any of it, so another provider may be asked.
pub(super) async fn whole(mut events: Events) -> Result<Whole, Fault> {
    let mut collected = Collected::default();
    loop {
        match poll_fn(|cx| events.poll_chunk(cx)).await {
            Some(Ok(chunk)) => collected.add(chunk)?,
            Some(Err(broke)) => {
                let result = broke.reason.result();
                return Err(Fault::of(result, Some(200), broke.reason.to_string()));
            }
            None => return Ok(collected.into_whole()),
        }
    }
}

impl Collected {
    fn add(&mut self, chunk: Chunk) -> Result<(), Fault> {
        let malformed = |message: &str| Fault::of(AttemptResult::Malformed, Some(200), message);
        self.bytes += chunk.json.len();
        if self.bytes > WHOLE_MAX_BYTES {
            return Err(malformed("the answer is too large"));
        }
        self.text_size += chunk.text_size;
        if chunk.usage != UsageSeen::Absent {
            self.usage = Some(chunk.usage);
        }
        let members = json::members(&chunk.json).map_err(|_| malformed("a chunk is no object"))?;
        for (name, raw) in members {
            match name.as_ref() {
                "choices" => {
                    let choices: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
                    for choice in choices {
                        let delta = serde_json::from_str::<RawDelta>(choice.get());
                        self.choice(delta.map_err(|_| malformed("a choice of a chunk is unreadable"))?)?;
                    }
                }
                "usage" | "object" => {}
                name if self.head.contains_key(name) => {}
                name => {
                    let value = serde_json::from_str(raw.get()).unwrap_or_default();
                    self.head.insert(name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    fn choice(&mut self, delta: RawDelta) -> Result<(), Fault> {
        if delta.index > 127 {
            return Err(Fault::of(AttemptResult::Malformed, Some(200), "more choices than can be asked for"));
        }
        while self.choices.len() <= delta.index {
            self.choices.push(Choice::default());
        }
        let choice = &mut self.choices[delta.index];
        for (name, value) in delta.delta {
            if name == "tool_calls" {
                for call in value.as_array().into_iter().flatten() {
                    add_tool(&mut choice.tools, call);
                }
            } else {
                append(choice.message.entry(name).or_insert(Value::Null), value);
            }
        }
        if let Some(logprobs) = delta.logprobs.filter(|logprobs| !logprobs.is_null()) {
            match &mut choice.logprobs {
                None => choice.logprobs = Some(logprobs),
                Some(before) => append(before, logprobs),
            }
        }
        if let Some(reason) = delta.finish_reason.filter(|reason| !reason.is_null()) {
            choice.finish_reason = reason;
        }
        Ok(())
    }

    fn into_whole(self) -> Whole {
        let choices: Vec<Value> =
            self.choices.into_iter().enumerate().map(|(index, choice)| choice.said(index)).collect();
        let mut said = self.head;
        said.insert("object".to_owned(), "chat.completion".into());
        said.insert("choices".to_owned(), choices.into());
        let usage = self.usage.unwrap_or(UsageSeen::Absent);
        if let UsageSeen::Counted { raw, .. } = &usage {
            said.insert("usage".to_owned(), serde_json::from_slice(raw).unwrap_or_default());
        }
        let chunk = Chunk {
            json: Bytes::from(Value::Object(said).to_string()),
            event: None,
            text_size: self.text_size,
            finish: true,
            has_choices: true,
            has_usage_member: usage != UsageSeen::Absent,
            usage,
        };
        Whole { chunk }
    }
}

impl Choice {
    fn said(mut self, index: usize) -> Value {
        self.message.entry("role").or_insert_with(|| "assistant".into());
        self.message.entry("content").or_insert(Value::Null);
        if !self.tools.is_empty() {
            for tool in &mut self.tools {
                tool.remove("index");
            }
            let tools: Vec<Value> = self.tools.into_iter().map(Value::Object).collect();
            self.message.insert("tool_calls".to_owned(), tools.into());
        }
        serde_json::json!({ "index": index, "message": self.message, "logprobs": self.logprobs, "finish_reason": self.finish_reason })
    }
}

/// A piece of a tool call; `Repair` has seen to its index.
fn add_tool(tools: &mut Vec<Map<String, Value>>, call: &Value) {
    let Some(call) = call.as_object() else { return };
    let index =
        call.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
    if index >= TOOLS_MAX {
        return;
    }
    while tools.len() <= index {
        tools.push(Map::new());
    }
    for (name, value) in call {
        append(tools[index].entry(name.as_str()).or_insert(Value::Null), value.clone());
    }
}

/// Texts and lists grow, objects grow inside, and of anything else the first that is something stands.
fn append(before: &mut Value, more: Value) {
    match (before, more) {
        (Value::String(before), Value::String(more)) => before.push_str(&more),
        (Value::Array(before), Value::Array(more)) => before.extend(more),
        (Value::Object(before), Value::Object(more)) => {
            for (name, value) in more {
                append(before.entry(name).or_insert(Value::Null), value);
            }
        }
        (before @ Value::Null, more) => *before = more,
        _ => {}
    }
}
