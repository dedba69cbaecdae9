//! In which words does a provider say it? One trait; what most have in common is the default.
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::answer::{Call, Choice, Count};
use super::ask::Ask;
use super::endpoint::Endpoint;
use crate::faults::Scope;
use crate::random::{self, Dice};

/// Why a provider does not answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble<'a> {
    BadKey(&'a str),
    OutOfFunds,
    NoModel(&'a str),
    RateLimited,
    Overloaded,
    Broken,
    /// The content filter stands in the way.
    Filtered,
    /// The prompt does not fit into the model's context.
    TooLong,
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
            503 | 529 => Self::Overloaded,
            400..=499 => Self::Invalid("", "the request was refused"),
            _ => Self::Broken,
        }
    }
}

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A string is sent as plain text.
    pub(super) body: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body }
    }
}

/// How a caller shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    Bearer,
    /// In a header of this name, or as a bearer.
    Either(&'static str),
    /// Nobody asks.
    Anyone,
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
    /// On every chunk, what was used so far.
    Every,
}

/// One provider's way of putting things. What concerns answers is about chat completions; other wires have one form.
pub(super) trait Dialect: std::fmt::Debug + Sync {
    /// As it stands in paths, counters, scopes of faults and `owned_by`.
    fn name(&self) -> &'static str;
    fn scope(&self) -> Scope {
        Scope::Provider(self.name())
    }

    fn auth(&self) -> Auth {
        Auth::Bearer
    }
    /// What is wrong with a request before its body is looked at.
    fn at_the_door(&self, _uri: &Uri, _headers: &HeaderMap, _request_id: &str) -> Option<Refusal> {
        None
    }
    /// What this provider takes exception to, beyond what nobody would take.
    fn objection(&self, _endpoint: Endpoint, _body: &Map<String, Value>) -> Option<Refusal> {
        None
    }
    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal;
    /// The error that arrives inside a 200.
    fn error_in_200(&self, request_id: &str) -> Value {
        self.error(&Trouble::Broken, request_id).body
    }
    /// Whether a stream that ended with an error has its `[DONE]` all the same.
    fn done_after_error(&self) -> bool {
        false
    }

    /// Whether the answer begins with thinking.
    fn thinks(&self, _ask: &Ask) -> bool {
        false
    }
    /// Whether an answer that was begun in the request is said from its beginning.
    fn repeats(&self) -> bool {
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
    /// The model that says it answered.
    fn answering(&self, model: &str) -> String {
        model.into()
    }

    fn message(&self, choice: &Choice) -> Value {
        let mut message = json!({"role": "assistant", "content": null});
        if choice.calls.is_empty() {
            message["content"] = choice.text().into();
        } else {
            message["tool_calls"] = self.tool_calls(choice);
        }
        if !choice.reasoning.is_empty() {
            message["reasoning_content"] = choice.reasoning.concat().into();
        }
        message
    }
    fn tool_calls(&self, choice: &Choice) -> Value {
        (0..).zip(&choice.calls).map(|(index, call)| self.tool_call(index, call)).collect()
    }
    fn tool_call(&self, _index: usize, call: &Call) -> Value {
        let function = json!({"name": call.name, "arguments": call.pieces.concat()});
        json!({"id": call.id, "type": "function", "function": function})
    }
    fn first_delta(&self, choice: &Choice) -> Value {
        let content = if choice.calls.is_empty() { "".into() } else { Value::Null };
        json!({"role": "assistant", "content": content})
    }
    /// The thought at `at`; nothing where thoughts are kept secret.
    fn thought_delta(&self, choice: &Choice, at: usize) -> Option<Value> {
        Some(json!({"reasoning_content": choice.reasoning[at]}))
    }
    fn word_delta(&self, choice: &Choice, at: usize) -> Value {
        json!({"content": choice.words[at]})
    }
    /// A tool call in deltas, each with the tokens it stands for.
    fn tool_deltas(&self, index: usize, call: &Call) -> Vec<(Value, u64)> {
        let first = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""}}]});
        let later = call
            .pieces
            .iter()
            .map(|piece| (json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), 1));
        std::iter::once((first, 0)).chain(later).collect()
    }
    /// Members of a choice beside `index`, `delta` or `message`, and `finish_reason`.
    fn dress_choice(&self, choice: &mut Value) {
        choice["logprobs"] = Value::Null;
    }
    fn finish(&self, choice: &Choice, _streamed: bool) -> String {
        choice.finish.clone().into()
    }
    /// Chunks before the first that says anything.
    fn prelude(&self) -> Vec<Value> {
        Vec::new()
    }
    /// What else stands on the chunk with the last finish reason.
    fn dress_last(&self, _chunk: &mut Value, _choice: &Choice, _usage: Option<&Value>) {}
    /// Sent before the first chunk of a stream, and while the model is busy.
    fn keep_alive(&self) -> Option<&'static str> {
        None
    }
    /// Sent before the JSON of an answer that is no stream, and while the model is busy.
    fn before_json(&self) -> &'static str {
        ""
    }

    fn model_entry(&self, id: &str, created: i64) -> Value {
        json!({"id": id, "object": "model", "created": created, "owned_by": self.name()})
    }

    /// The most texts in one request for vectors.
    fn embeddings_max(&self) -> usize {
        2_048
    }
    /// Whether vectors can be had in base64, and texts be given as tokens.
    fn embeds_like_openai(&self) -> bool {
        false
    }
}

/// Whether a message of this request has this role.
pub(super) fn role_at(body: &Map<String, Value>, role: &str) -> Option<usize> {
    messages(body).iter().position(|message| message["role"] == role)
}

/// The messages of a request, as far as there are any.
pub(super) fn messages(body: &Map<String, Value>) -> &[Value] {
    body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether JSON is asked for without a word of it in the messages.
pub(super) fn json_unnamed(body: &Map<String, Value>) -> bool {
    body.get("response_format").is_some_and(|format| format["type"] == "json_object")
        && !Value::from(messages(body)).to_string().to_ascii_lowercase().contains("json")
}

/// `fp_` and ten digits, as builds of a model are named.
pub(super) fn fingerprint() -> Value {
    "fp_51b0c0ffee".into()
}

/// A request id in the form of a UUID.
pub(super) fn request_id() -> String {
    random::uuid()
}
