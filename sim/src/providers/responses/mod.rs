//! How does the Responses API work? Requests are read by `items`, answers written by `write`, both in OpenAI's words;
//! nothing is kept, so that no earlier response is ever found.
mod events;
mod items;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Call, Choice, Count};
use super::ask::{Ask, Format};
use super::dialect::Dialect;
use super::written::{Event, Written};
use crate::random;
pub(super) use items::read;

/// Usage as responses show it.
pub(super) fn usage(count: Count) -> Value {
    let cached = super::openai::cached(count.prompt);
    json!({
        "input_tokens": count.prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": count.completion,
        "output_tokens_details": {"reasoning_tokens": count.reasoning},
        "total_tokens": count.prompt + count.completion,
    })
}

/// Ids of one response and its items.
struct Ids {
    response: String,
    /// What all items' ids end with.
    stem: String,
}

/// A response, written.
struct Writer<'a> {
    ask: &'a Ask,
    choice: &'a Choice,
    usage: Option<Value>,
    created: i64,
    ids: Ids,
}

/// Writes an answer; `usage` is what was used, as it is to be shown, if at all.
pub(super) fn write(
    ask: &Ask,
    answer: &Answer,
    usage: Option<Value>,
    created: i64,
    request_id: &str,
    dialect: &dyn Dialect,
) -> Written {
    let error = dialect.error_in_200(request_id);
    let Some(choice) = answer.choices.first() else {
        // One choice is always composed.
        let nothing = Event::nameless(&Value::Null, 0);
        return Written {
            whole: Value::Null,
            events: Vec::new(),
            done: false,
            error,
            error_event: nothing,
            done_after_error: false,
        };
    };
    let ids = Ids {
        response: format!("resp_{}", random::hex_upper(48).to_ascii_lowercase()),
        stem: random::hex_upper(48).to_ascii_lowercase(),
    };
    let writer = Writer { ask, choice, usage, created, ids };
    let inner = &error["error"];
    let flat = json!({"type": "error", "code": inner["code"], "message": inner["message"],
        "param": inner["param"], "sequence_number": 1});
    Written {
        whole: writer.response(writer.ended(), writer.output()),
        events: writer.events(),
        done: false,
        error_event: Event::named("error", &flat, 0),
        done_after_error: false,
        error,
    }
}

impl Writer<'_> {
    /// The status with which the response ends.
    fn ended(&self) -> &'static str {
        match &*self.choice.finish {
            "stop" | "tool_calls" => "completed",
            "length" | "content_filter" => "incomplete",
            _ => "failed",
        }
    }

    /// The response object, as it stands in an answer and in events.
    fn response(&self, status: &str, output: Vec<Value>) -> Value {
        let asked = |name: &str| self.ask.body.get(name).cloned().unwrap_or_default();
        let or = |value: Value, otherwise: Value| if value.is_null() { otherwise } else { value };
        let incomplete = match (status, &*self.choice.finish) {
            ("incomplete", "length") => json!({"reason": "max_output_tokens"}),
            ("incomplete", reason) => json!({"reason": reason}),
            _ => Value::Null,
        };
        let error = match status {
            "failed" => {
                json!({"code": "server_error", "message": "The model failed to generate a response."})
            }
            _ => Value::Null,
        };
        let reasoning = asked("reasoning");
        let ended = status != "in_progress";
        json!({
            "id": self.ids.response, "object": "response", "created_at": self.created, "status": status,
            "background": false, "error": error, "incomplete_details": incomplete,
            "completed_at": if status == "completed" { json!(self.created) } else { Value::Null },
            "instructions": asked("instructions"), "max_output_tokens": asked("max_output_tokens"),
            "max_tool_calls": asked("max_tool_calls"), "model": self.ask.model, "output": output,
            "parallel_tool_calls": self.ask.parallel, "previous_response_id": null,
            "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
            "service_tier": "default", "store": or(asked("store"), true.into()),
            "temperature": or(asked("temperature"), json!(1.0)),
            "text": {"format": or(asked("text")["format"].clone(), json!({"type": "text"}))},
            "tool_choice": or(asked("tool_choice"), "auto".into()), "tools": or(asked("tools"), json!([])),
            "top_logprobs": 0, "top_p": or(asked("top_p"), json!(1.0)),
            "truncation": or(asked("truncation"), "disabled".into()),
            "usage": self.usage.clone().filter(|_| ended), "user": null, "metadata": or(asked("metadata"), json!({})),
        })
    }

    /// The items of the answer, in order.
    fn output(&self) -> Vec<Value> {
        let mut output = Vec::new();
        if !self.choice.reasoning.is_empty() {
            output.push(self.thought());
        }
        if self.choice.calls.is_empty() {
            output.push(self.message());
        }
        output.extend((0..).zip(&self.choice.calls).map(|(at, call)| self.call(at, call)));
        output
    }

    /// How an item ended: the last one is as incomplete as the response.
    fn item_status(&self) -> &'static str {
        if self.ended() == "incomplete" { "incomplete" } else { "completed" }
    }

    fn thought(&self) -> Value {
        let mut thought =
            json!({"id": format!("rs_{}", self.ids.stem), "type": "reasoning", "summary": self.summary()});
        let wanted = self.ask.body.get("include").and_then(Value::as_array);
        if wanted.is_some_and(|it| it.iter().any(|it| it == "reasoning.encrypted_content")) {
            thought["encrypted_content"] = format!("gAAAAAB{}", self.ids.stem).into();
        }
        thought
    }

    /// Thoughts are shown in summary only, and only to those who ask.
    fn summary(&self) -> Vec<Value> {
        let asked = self.ask.body.get("reasoning").is_some_and(|it| !it["summary"].is_null());
        if asked {
            vec![json!({"type": "summary_text", "text": self.choice.reasoning.concat()})]
        } else {
            Vec::new()
        }
    }

    fn message(&self) -> Value {
        let part =
            json!({"type": "output_text", "text": self.choice.text(), "annotations": [], "logprobs": []});
        json!({"id": format!("msg_{}", self.ids.stem), "type": "message", "status": self.item_status(),
            "role": "assistant", "content": [part]})
    }

    fn call(&self, at: usize, call: &Call) -> Value {
        json!({"id": format!("fc_{at}{}", self.ids.stem), "type": "function_call", "status": self.item_status(),
            "call_id": call.id, "name": call.name, "arguments": call.pieces.concat()})
    }
}

/// The wanted form of an answer's text.
///
/// # Errors
/// In words, if there is no such form.
fn format(text: Option<&Value>) -> Result<Format, &'static str> {
    let format = text.map(|text| &text["format"]).filter(|format| !format.is_null());
    match format.map(|format| (format["type"].as_str(), format)) {
        None | Some((Some("text"), _)) => Ok(Format::Text),
        Some((Some("json_object"), _)) => Ok(Format::Json),
        Some((Some("json_schema"), format)) => match (&format["name"], &format["schema"]) {
            (Value::String(_), schema @ Value::Object(_)) => Ok(Format::Schema(schema.clone())),
            (Value::String(_), _) => Err("Missing required parameter: 'text.format.schema'."),
            _ => Err("Missing required parameter: 'text.format.name'."),
        },
        Some(_) => Err("text.format.type: text, json_object or json_schema"),
    }
}

/// A member of a request, if it is set.
fn set<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}
