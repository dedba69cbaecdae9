//! What does an answer look like as a message, and as its events?
use serde_json::{Value, json};

use super::{Anthropic, signature};
use crate::providers::answer::{Answer, Call, Choice};
use crate::providers::ask::Ask;
use crate::providers::dialect::Dialect;
use crate::providers::written::{Event, Written};

/// Writes an answer; `usage` is what was used, as it is to be shown, if at all.
pub(in crate::providers) fn write(
    ask: &Ask,
    answer: &Answer,
    usage: Option<Value>,
    id: String,
    request_id: &str,
) -> Written {
    let error = Anthropic.error_in_200(request_id);
    let error_event = Event::named("error", &error, 0);
    let Some(choice) = answer.choices.first() else {
        // One choice is always composed.
        let events = Vec::new();
        return Written {
            whole: Value::Null,
            events,
            done: false,
            error,
            error_event,
            done_after_error: false,
        };
    };
    let mut whole = json!({
        "id": id, "type": "message", "role": "assistant", "model": ask.model, "content": blocks(choice),
    });
    for (name, value) in ending(choice) {
        whole[name] = value;
    }
    if let Some(usage) = &usage {
        whole["usage"] = usage.clone();
    }
    let mut begun = whole.clone();
    begun["content"] = json!([]);
    for name in ["stop_reason", "stop_sequence", "stop_details"] {
        begun[name] = Value::Null;
    }
    if let Some(Value::Object(usage)) = begun.get_mut("usage") {
        usage.insert("output_tokens".into(), 1.into());
    }
    let events = events(choice, &begun, usage);
    Written { whole, events, done: false, error, error_event, done_after_error: false }
}

/// Why and with what the message ended.
fn ending(choice: &Choice) -> [(&'static str, Value); 3] {
    let reason = match (&*choice.finish, &choice.stopped_by) {
        ("stop", Some(_)) => "stop_sequence",
        ("stop", None) => "end_turn",
        ("length", _) => "max_tokens",
        ("tool_calls", _) => "tool_use",
        ("content_filter", _) => "refusal",
        (other, _) => other,
    };
    let details = if reason == "refusal" {
        json!({"type": "refusal", "category": null, "explanation": null})
    } else {
        Value::Null
    };
    [("stop_reason", reason.into()), ("stop_sequence", json!(choice.stopped_by)), ("stop_details", details)]
}

fn blocks(choice: &Choice) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !choice.reasoning.is_empty() {
        let thought = choice.reasoning.concat();
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": signature(&thought)}));
    }
    if !choice.words.is_empty() {
        blocks.push(json!({"type": "text", "text": choice.text()}));
    }
    for call in &choice.calls {
        let arguments = call.pieces.concat();
        // Cut off by the limit, there is no input that could be read.
        let input = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
        blocks.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}));
    }
    blocks
}

/// Collects the events of the blocks.
struct Blocks {
    events: Vec<Event>,
    index: usize,
}

impl Blocks {
    fn add(&mut self, name: &'static str, mut data: Value, tokens: u64) {
        data["type"] = name.into();
        self.events.push(Event::named(name, &data, tokens));
    }

    fn start(&mut self, block: &Value) {
        self.add("content_block_start", json!({"index": self.index, "content_block": block}), 0);
        if self.index == 0 {
            self.add("ping", json!({}), 0);
        }
    }

    fn delta(&mut self, delta: &Value, tokens: u64) {
        self.add("content_block_delta", json!({"index": self.index, "delta": delta}), tokens);
    }

    fn stop(&mut self) {
        self.add("content_block_stop", json!({"index": self.index}), 0);
        self.index += 1;
    }

    fn call(&mut self, call: &Call) {
        self.start(&json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}));
        // Without arguments there is no delta at all.
        if call.pieces.concat() != "{}" {
            self.delta(&json!({"type": "input_json_delta", "partial_json": ""}), 0);
            for piece in &call.pieces {
                self.delta(&json!({"type": "input_json_delta", "partial_json": piece}), 1);
            }
        }
        self.stop();
    }
}

fn events(choice: &Choice, begun: &Value, usage: Option<Value>) -> Vec<Event> {
    let mut blocks = Blocks { events: Vec::new(), index: 0 };
    blocks.add("message_start", json!({"message": begun}), 0);
    if !choice.reasoning.is_empty() {
        blocks.start(&json!({"type": "thinking", "thinking": "", "signature": ""}));
        for word in &choice.reasoning {
            blocks.delta(&json!({"type": "thinking_delta", "thinking": word}), 1);
        }
        let signature = signature(&choice.reasoning.concat());
        blocks.delta(&json!({"type": "signature_delta", "signature": signature}), 0);
        blocks.stop();
    }
    if !choice.words.is_empty() {
        blocks.start(&json!({"type": "text", "text": ""}));
        for word in &choice.words {
            blocks.delta(&json!({"type": "text_delta", "text": word}), 1);
        }
        blocks.stop();
    }
    for call in &choice.calls {
        blocks.call(call);
    }
    let delta: serde_json::Map<String, Value> =
        ending(choice).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut last = json!({"delta": delta});
    if let Some(mut usage) = usage {
        if let Value::Object(usage) = &mut usage {
            usage.remove("cache_creation");
            usage.remove("service_tier");
        }
        last["usage"] = usage;
    }
    blocks.add("message_delta", last, 0);
    blocks.add("message_stop", json!({}), 0);
    blocks.events
}
