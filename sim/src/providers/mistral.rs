//! How does Mistral say it? Strictly: what it does not know it refuses, and a tool call's id has nine characters.
use serde_json::{Map, Value, json};

use super::answer::{Call, Choice, Count};
use super::ask::Ask;
use super::dialect::{Dialect, Refusal, Trouble, UsageAt};
use super::endpoint::Endpoint;
use crate::random;

/// Parameters it documents.
const KNOWN: [&str; 23] = [
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "min_tokens",
    "stream",
    "stop",
    "random_seed",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "prediction",
    "prompt_mode",
    "reasoning_effort",
    "safe_prompt",
    "metadata",
    "prompt_cache_key",
    "guardrails",
];

/// The same, of requests for vectors.
const KNOWN_EMBEDDING: [&str; 6] =
    ["model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format"];

/// `https://api.mistral.ai/v1`
#[derive(Debug)]
pub(super) struct Mistral;

impl Dialect for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        let known = if endpoint == Endpoint::Embeddings { &KNOWN_EMBEDDING[..] } else { &KNOWN[..] };
        let extra = body.keys().filter(|key| !known.contains(&key.as_str()));
        let mut detail: Vec<Value> = extra.map(|key| forbidden(&["body", key])).collect();
        let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (at, message) in messages.iter().enumerate() {
            detail.extend(strange(at, message));
        }
        if !detail.is_empty() {
            return Some(unprocessable(detail));
        }
        let ids = messages.iter().flat_map(|message| {
            let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
            calls.iter().map(|call| &call["id"]).chain(message.get("tool_call_id"))
        });
        for id in ids {
            let id = id.as_str().unwrap_or_default();
            if id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let message = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
                return Some(flat(400, &message, "invalid_request_error", "3280"));
            }
        }
        match messages.last() {
            Some(last) if last["role"] == "user" || last["role"] == "tool" || last["prefix"] == true => None,
            Some(last) => {
                let role = last["role"].as_str().unwrap_or_default();
                let message =
                    format!("Expected last role User or Tool (or Assistant with prefix True) but got {role}");
                Some(flat(400, &message, "invalid_request_message_order", "3230"))
            }
            None => None,
        }
    }

    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal {
        match trouble {
            Trouble::BadKey(_) => {
                Refusal::new(401, json!({"message": "Unauthorized", "request_id": request_id}))
            }
            Trouble::OutOfFunds => flat(
                402,
                "You have no active subscription or your credits are used up",
                "billing_error",
                "1500",
            ),
            Trouble::NoModel(model) => flat(404, &format!("Invalid model: {model}"), "invalid_model", "1500"),
            Trouble::RateLimited => flat(429, "Rate limit exceeded", "rate_limited", "1300"),
            Trouble::Overloaded => {
                flat(503, "Service unavailable, please try again", "internal_server_error", "3700")
            }
            Trouble::Broken => flat(500, "Internal server error", "internal_server_error", "3000"),
            Trouble::Filtered => flat(
                403,
                "The content was refused by the moderation guardrail",
                "guardrail_violation",
                "1920",
            ),
            Trouble::TooLong => {
                let message = "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 \
                               maximum context length";
                flat(400, message, "invalid_request_prompt", "3051")
            }
            Trouble::Invalid(param, what) => unprocessable(vec![json!({
                "type": "value_error", "loc": ["body", param], "msg": what,
            })]),
        }
    }

    fn thinks(&self, ask: &Ask) -> bool {
        ask.manner.reasons
    }
    fn gives_choices(&self) -> bool {
        true
    }
    fn answer_id(&self) -> String {
        random::hex_upper(32).to_ascii_lowercase()
    }
    fn repeats(&self) -> bool {
        true
    }
    fn tool_id(&self) -> fn(&mut random::Dice) -> String {
        |dice| dice.alnum(9)
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-request-id", request_id.into()),
            ("mistral-correlation-id", request_id.into()),
            ("x-ratelimit-limit-tokens-minute", "2000000".into()),
            ("x-ratelimit-remaining-tokens-minute", "1999000".into()),
            ("x-ratelimit-limit-req-minute", "360".into()),
            ("x-ratelimit-remaining-req-minute", "359".into()),
            ("x-ratelimit-tokens-query-cost", "32".into()),
        ]
    }

    fn usage(&self, count: Count) -> Value {
        json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion,
            "total_tokens": count.prompt + count.completion,
        })
    }
    fn usage_at(&self, _include_usage: bool) -> UsageAt {
        UsageAt::Finish
    }
    fn message(&self, choice: &Choice) -> Value {
        let content = match (choice.reasoning.is_empty(), choice.calls.is_empty()) {
            (true, _) => choice.text().into(),
            (false, _) if choice.words.is_empty() => json!([thought(&choice.reasoning.concat())]),
            (false, _) => {
                json!([thought(&choice.reasoning.concat()), {"type": "text", "text": choice.text()}])
            }
        };
        let calls = if choice.calls.is_empty() { Value::Null } else { self.tool_calls(choice) };
        json!({"role": "assistant", "content": content, "tool_calls": calls})
    }
    fn tool_call(&self, index: usize, call: &Call) -> Value {
        json!({"id": call.id, "function": {"name": call.name, "arguments": call.pieces.concat()}, "index": index})
    }
    fn thought_delta(&self, choice: &Choice, at: usize) -> Option<Value> {
        Some(json!({"content": [thought(&choice.reasoning[at])]}))
    }
    fn word_delta(&self, choice: &Choice, at: usize) -> Value {
        let word = &choice.words[at];
        // The first word after thoughts still comes in a list.
        if at == 0 && !choice.reasoning.is_empty() {
            json!({"content": [{"type": "text", "text": word}]})
        } else {
            json!({"content": word})
        }
    }
    fn tool_deltas(&self, index: usize, call: &Call) -> Vec<(Value, u64)> {
        vec![(json!({"tool_calls": [self.tool_call(index, call)]}), call.pieces.len() as u64)]
    }
    fn dress_choice(&self, _choice: &mut Value) {}
    fn model_entry(&self, id: &str, created: i64) -> Value {
        let capabilities = json!({"completion_chat": true, "function_calling": true, "vision": false});
        json!({"id": id, "object": "model", "created": created, "owned_by": "mistralai",
            "max_context_length": 131_072, "capabilities": capabilities})
    }
}

/// A part of the content that was only thought.
fn thought(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
}

/// What is strange about one message.
fn strange(at: usize, message: &Value) -> Vec<Value> {
    let role = message["role"].as_str().unwrap_or_default();
    let own: &[&str] = match role {
        "system" | "user" => &[],
        "assistant" => &["tool_calls", "prefix"],
        "tool" => &["name", "tool_call_id"],
        _ => {
            let loc = json!(["body", "messages", at]);
            let msg =
                format!("Input tag '{role}' found using 'role' does not match any of the expected tags");
            return vec![json!({"type": "union_tag_invalid", "loc": loc, "msg": msg})];
        }
    };
    let members = message.as_object().into_iter().flatten();
    let extra = members
        .filter(|(key, _)| !["role", "content"].contains(&key.as_str()) && !own.contains(&key.as_str()));
    extra
        .map(|(key, _)| {
            let mut detail = forbidden(&[]);
            detail["loc"] = json!(["body", "messages", at, role, key]);
            detail
        })
        .collect()
}

fn forbidden(loc: &[&str]) -> Value {
    json!({"type": "extra_forbidden", "loc": loc, "msg": "Extra inputs are not permitted"})
}

fn unprocessable(detail: Vec<Value>) -> Refusal {
    let body = json!({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error",
        "param": null, "code": null, "raw_status_code": 422});
    Refusal::new(422, body)
}

fn flat(status: u16, message: &str, kind: &str, code: &str) -> Refusal {
    let body = json!({"object": "error", "message": message, "type": kind, "param": null, "code": code,
        "raw_status_code": status});
    Refusal::new(status, body)
}
