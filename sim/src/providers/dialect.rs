//! In which words does a provider say it? One trait, four providers; what they have in common is the default.
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Call, Choice, Count};
use super::ask::Ask;
use crate::faults::Scope;
use crate::random::{self, Dice};

/// Why a provider does not answer.
#[derive(Debug)]
pub(super) enum Trouble<'a> {
    BadKey(&'a str),
    OutOfFunds,
    NoModel(&'a str),
    RateLimited,
    Overloaded,
    Broken,
    /// A parameter (perhaps unnamed) and what is wrong with it.
    Invalid(&'a str, &'a str),
}

impl<'a> Trouble<'a> {
    /// The trouble behind a status somebody asked for.
    pub(super) fn of(status: u16, model: &'a str) -> Self {
        match status {
            401 | 403 => Self::BadKey(""),
            402 => Self::OutOfFunds,
            404 => Self::NoModel(model),
            429 => Self::RateLimited,
            503 => Self::Overloaded,
            400..=499 => Self::Invalid("", "the request was refused"),
            _ => Self::Broken,
        }
    }
}

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body }
    }
}

/// What stays the same over all chunks of an answer.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) id: String,
    /// Seconds since the epoch.
    pub(super) created: i64,
    pub(super) model: &'a str,
    pub(super) include_usage: bool,
}

/// Where a stream says what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageAt {
    Never,
    /// On the chunk that carries the last finish reason.
    Finish,
    /// On a chunk of its own, without choices.
    Trailer,
}

/// One provider's way of putting things.
pub(super) trait Dialect: std::fmt::Debug + Sync {
    fn scope(&self) -> Scope;
    /// As it stands in paths, counters and `owned_by`.
    fn name(&self) -> &'static str;

    /// What this provider takes exception to, beyond what nobody would take.
    fn objection(&self, _body: &Map<String, Value>) -> Option<Refusal> {
        None
    }
    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal;
    /// The error that arrives inside a 200.
    fn error_in_200(&self, request_id: &str) -> Value {
        self.error(&Trouble::Broken, request_id).body
    }

    /// Whether the answer begins with visible thinking.
    fn thinks(&self, _ask: &Ask, _smart: bool) -> bool {
        false
    }
    /// Whether more than one choice can be had.
    fn gives_choices(&self) -> bool {
        false
    }

    fn answer_id(&self) -> String;
    fn tool_id(&self) -> fn(&mut Dice) -> String {
        |dice| format!("call_{}", dice.alnum(24))
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        vec![("x-request-id", request_id.into())]
    }

    fn usage(&self, count: Count) -> Value;
    fn usage_at(&self, include_usage: bool) -> UsageAt;
    /// Members that stand beside `id`, `object`, `created`, `model` and `choices`.
    fn dress(&self, _body: &mut Map<String, Value>) {}

    fn message(&self, choice: &Choice) -> Value {
        let mut message = json!({"role": "assistant", "content": null});
        if let Some(call) = &choice.call {
            message["tool_calls"] = json!([self.tool_call(call)]);
        } else {
            message["content"] = choice.words.concat().into();
        }
        if !choice.reasoning.is_empty() {
            message["reasoning_content"] = choice.reasoning.concat().into();
        }
        message
    }
    fn tool_call(&self, call: &Call) -> Value {
        let function = json!({"name": call.name, "arguments": call.pieces.concat()});
        json!({"id": call.id, "type": "function", "function": function})
    }
    fn first_delta(&self, choice: &Choice) -> Value {
        let content = if choice.call.is_some() { Value::Null } else { "".into() };
        json!({"role": "assistant", "content": content})
    }
    /// A tool call in deltas, each with the tokens it stands for.
    fn tool_deltas(&self, call: &Call) -> Vec<(Value, u64)> {
        let first = json!({"tool_calls": [{"index": 0, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""}}]});
        let later = call
            .pieces
            .iter()
            .map(|piece| (json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), 1));
        std::iter::once((first, 0)).chain(later).collect()
    }
    /// Members of a streamed choice beside `index`, `delta` and `finish_reason`.
    fn dress_choice(&self, choice: &mut Value) {
        choice["logprobs"] = Value::Null;
    }
    /// Sent before the first chunk of a stream, while the model is waking up.
    fn keep_alive(&self) -> Option<&'static str> {
        None
    }
    /// Sent before the JSON of an answer that is no stream.
    fn before_json(&self) -> &'static str {
        ""
    }
    fn model_entry(&self, id: &str, created: i64) -> Value {
        json!({"id": id, "object": "model", "created": created, "owned_by": self.name()})
    }

    /// The whole answer in one piece; `usage` as it is to be shown, if at all.
    fn whole(&self, head: &Head<'_>, answer: &Answer, usage: Option<Value>) -> Value {
        let choices: Vec<Value> = (0..)
            .zip(&answer.choices)
            .map(|(index, choice): (usize, _)| {
                let message = self.message(choice);
                let mut shown = json!({"index": index, "message": message, "finish_reason": choice.finish});
                self.dress_choice(&mut shown);
                shown
            })
            .collect();
        let mut body = self.body(head, "chat.completion", choices);
        if let Some(usage) = usage {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }
    fn body(&self, head: &Head<'_>, object: &str, choices: Vec<Value>) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("id".into(), head.id.clone().into());
        body.insert("object".into(), object.into());
        body.insert("created".into(), head.created.into());
        body.insert("model".into(), head.model.into());
        body.insert("choices".into(), choices.into());
        self.dress(&mut body);
        body
    }
}

/// Whether a message of this request has this role.
pub(super) fn role_at(body: &Map<String, Value>, role: &str) -> Option<usize> {
    let messages = body.get("messages").and_then(Value::as_array)?;
    messages.iter().position(|message| message["role"] == role)
}

/// `fp_` and ten digits, as builds of a model are named.
pub(super) fn fingerprint() -> Value {
    "fp_51b0c0ffee".into()
}

/// A request id in the form of a UUID.
pub(super) fn request_id() -> String {
    random::uuid()
}
