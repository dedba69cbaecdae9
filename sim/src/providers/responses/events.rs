//! In which events does a response come? From `response.created` to `response.completed`, numbered.
use serde_json::{Value, json};

use super::Writer;
use crate::providers::answer::Call;
use crate::providers::written::Event;

/// Events, numbered as they are added.
#[derive(Default)]
struct Sequence {
    events: Vec<Event>,
}

impl Sequence {
    fn add(&mut self, name: &'static str, mut data: Value, tokens: u64) {
        data["type"] = name.into();
        data["sequence_number"] = self.events.len().into();
        self.events.push(Event::named(name, &data, tokens));
    }
}

impl Writer<'_> {
    pub(super) fn events(&self) -> Vec<Event> {
        let mut sequence = Sequence::default();
        let begun = self.response("in_progress", Vec::new());
        sequence.add("response.created", json!({"response": begun}), 0);
        sequence.add("response.in_progress", json!({"response": begun}), 0);
        let mut at = 0;
        if !self.choice.reasoning.is_empty() {
            self.thought_events(&mut sequence, at);
            at += 1;
        }
        if self.choice.calls.is_empty() {
            self.message_events(&mut sequence, at);
        }
        for (index, call) in self.choice.calls.iter().enumerate() {
            self.call_events(&mut sequence, at + index, index, call);
        }
        let last = match self.ended() {
            "completed" => "response.completed",
            "incomplete" => "response.incomplete",
            _ => "response.failed",
        };
        sequence.add(last, json!({"response": self.response(self.ended(), self.output())}), 0);
        sequence.events
    }

    fn thought_events(&self, sequence: &mut Sequence, at: usize) {
        let mut item = self.thought();
        let id = item["id"].clone();
        let whole = item.clone();
        item["summary"] = json!([]);
        sequence.add("response.output_item.added", json!({"output_index": at, "item": item}), 0);
        for part in self.summary() {
            let place = json!({"item_id": id, "output_index": at, "summary_index": 0});
            let with = |name: &str, value: Value| {
                let mut data = place.clone();
                data[name] = value;
                data
            };
            let empty = json!({"type": "summary_text", "text": ""});
            sequence.add("response.reasoning_summary_part.added", with("part", empty), 0);
            for word in &self.choice.reasoning {
                sequence.add("response.reasoning_summary_text.delta", with("delta", json!(word)), 1);
            }
            sequence.add("response.reasoning_summary_text.done", with("text", part["text"].clone()), 0);
            sequence.add("response.reasoning_summary_part.done", with("part", part), 0);
        }
        sequence.add("response.output_item.done", json!({"output_index": at, "item": whole}), 0);
    }

    fn message_events(&self, sequence: &mut Sequence, at: usize) {
        let whole = self.message();
        let id = whole["id"].clone();
        let mut item = whole.clone();
        (item["status"], item["content"]) = ("in_progress".into(), json!([]));
        sequence.add("response.output_item.added", json!({"output_index": at, "item": item}), 0);
        let place = json!({"item_id": id, "output_index": at, "content_index": 0});
        let with = |members: Value| {
            let mut data = place.clone();
            for (name, value) in members.as_object().into_iter().flatten() {
                data[name] = value.clone();
            }
            data
        };
        let part = &whole["content"][0];
        let mut empty = part.clone();
        empty["text"] = "".into();
        sequence.add("response.content_part.added", with(json!({"part": empty})), 0);
        // Padding against those who guess words by the length of packets.
        let padded = self.ask.body.get("stream_options").map(|it| &it["include_obfuscation"])
            != Some(&Value::Bool(false));
        for word in &self.choice.words {
            let mut data = with(json!({"delta": word, "logprobs": []}));
            if padded {
                data["obfuscation"] = "x9J2kQ".into();
            }
            sequence.add("response.output_text.delta", data, 1);
        }
        let text = json!({"text": part["text"], "logprobs": []});
        sequence.add("response.output_text.done", with(text), 0);
        sequence.add("response.content_part.done", with(json!({"part": part})), 0);
        sequence.add("response.output_item.done", json!({"output_index": at, "item": whole}), 0);
    }

    fn call_events(&self, sequence: &mut Sequence, at: usize, index: usize, call: &Call) {
        let whole = self.call(index, call);
        let id = &whole["id"];
        let mut item = whole.clone();
        (item["status"], item["arguments"]) = ("in_progress".into(), "".into());
        sequence.add("response.output_item.added", json!({"output_index": at, "item": item}), 0);
        for piece in &call.pieces {
            let data = json!({"item_id": id, "output_index": at, "delta": piece});
            sequence.add("response.function_call_arguments.delta", data, 1);
        }
        let data =
            json!({"item_id": id, "output_index": at, "name": call.name, "arguments": whole["arguments"]});
        sequence.add("response.function_call_arguments.done", data, 0);
        sequence.add("response.output_item.done", json!({"output_index": at, "item": whole}), 0);
    }
}
