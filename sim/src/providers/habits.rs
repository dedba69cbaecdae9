//! How do the providers differ that speak OpenAI's language by and large? In habits, which are data; see `family` for
//! whose they are.
use serde_json::{Map, Value, json};

use super::answer::{Call, Choice, Count};
use super::ask::Ask;
use super::dialect::{Auth, Dialect, Refusal, Trouble, UsageAt, messages};
use super::endpoint::Endpoint;
use super::words::{self, Row, Shape};
use crate::random::{self, Dice};

/// How thoughts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// The provider has none.
    None,
    /// In a member of this name.
    In(&'static str),
    /// Inside the content, between `<think>` and `</think>`.
    Inline,
}

/// How a tool call is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolStream {
    Pieces,
    /// In one delta.
    Whole,
    /// In one delta that does not say which call it is.
    WholeWithoutIndex,
    /// In pieces that repeat an empty id and name.
    EmptyNames,
}

/// Everything that distinguishes one provider of the family.
#[derive(Debug)]
pub(super) struct Habits {
    pub(super) name: &'static str,
    pub(super) auth: Auth,
    pub(super) shape: Shape,
    pub(super) rows: &'static [Row],
    pub(super) thoughts: Thoughts,
    pub(super) tool_stream: ToolStream,
    /// Where a stream says what was used, if that was asked for, and if not.
    pub(super) usage_at: (UsageAt, UsageAt),
    /// What was used stands in the last choice as well.
    pub(super) usage_in_choice: bool,
    /// What was used stands in `x_groq` as well.
    pub(super) usage_in_x_groq: bool,
    /// Completion tokens do not include thinking, though the total does.
    pub(super) thinking_apart: bool,
    /// Remembered tokens stand at the top of the usage, too.
    pub(super) cached_at_top: bool,
    /// Says what it costs, in US dollars.
    pub(super) tells_cost: bool,
    /// Every delta repeats the role.
    pub(super) role_always: bool,
    /// The last chunk repeats the whole message.
    pub(super) repeats_message: bool,
    /// Answers carry `base_resp`.
    pub(super) base_resp: bool,
    /// The finish reasons that mean `stop`; and `tool_calls`, in a stream.
    pub(super) stop_word: &'static str,
    pub(super) call_word: &'static str,
    /// While it has nothing to say.
    pub(super) comment: Option<&'static str>,
    /// `[DONE]` comes even after an error.
    pub(super) done_after_error: bool,
    /// Members of requests that it refuses.
    pub(super) refuses: &'static [&'static str],
    pub(super) refuses_names: bool,
    /// The only temperature it takes.
    pub(super) temperature: Option<f64>,
    /// Tools cannot be forced.
    pub(super) only_auto: bool,
    pub(super) choices: bool,
    /// The most sequences that stop an answer.
    pub(super) stops_max: usize,
    pub(super) json_schema: bool,
    /// Knows `developer`.
    pub(super) developers: bool,
    /// Thoughts of a turn with tool calls have to come back.
    pub(super) thoughts_back: bool,
    /// Signs tool calls, and wants the signatures back.
    pub(super) signs_calls: bool,
    /// Members beside `choices`, as JSON.
    pub(super) beside: &'static str,
    pub(super) embeddings_max: usize,
}

/// A provider without habits of its own.
pub(super) const USUAL: Habits = Habits {
    name: "",
    auth: Auth::Bearer,
    shape: Shape::OpenAi,
    rows: &[],
    thoughts: Thoughts::In("reasoning_content"),
    tool_stream: ToolStream::Pieces,
    usage_at: (UsageAt::Trailer, UsageAt::Never),
    usage_in_choice: false,
    usage_in_x_groq: false,
    thinking_apart: false,
    cached_at_top: false,
    tells_cost: false,
    role_always: false,
    repeats_message: false,
    base_resp: false,
    stop_word: "stop",
    call_word: "tool_calls",
    comment: None,
    done_after_error: false,
    refuses: &[],
    refuses_names: false,
    temperature: None,
    only_auto: false,
    choices: false,
    stops_max: usize::MAX,
    json_schema: true,
    developers: false,
    thoughts_back: false,
    signs_calls: false,
    beside: "{}",
    embeddings_max: 64,
};

/// The signature that Gemini documents for histories which have none.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

impl Habits {
    fn invalid(&self, param: &str, what: &str) -> Refusal {
        self.error(&Trouble::Invalid(param, what), &random::uuid())
    }

    fn message_objection(&self, at: usize, message: &Value) -> Option<Refusal> {
        let role = message["role"].as_str().unwrap_or_default();
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        if role == "developer" && !self.developers {
            let what = "role must be one of system, user, assistant, tool";
            return Some(self.invalid(&format!("messages[{at}].role"), what));
        }
        if self.refuses_names && message.get("name").is_some() {
            let what = format!("'messages.{at}' : property 'name' is unsupported");
            return Some(self.invalid("messages", &what));
        }
        let thought = message["reasoning_content"].as_str().unwrap_or_default();
        if self.thoughts_back && !calls.is_empty() && thought.is_empty() {
            let what = format!(
                "thinking is enabled but reasoning_content is missing in assistant tool call message at index {at}"
            );
            return Some(self.invalid("messages", &what));
        }
        // Of several calls at once the first is signed.
        if let Some(call) = calls.first().filter(|_| self.signs_calls) {
            let sent = &call["extra_content"]["google"]["thought_signature"];
            let name = call["function"]["name"].as_str().unwrap_or_default();
            if *sent != NO_SIGNATURE && *sent != signed(name).as_str() {
                let what = format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools \
                     to work correctly. Additional data, function call `{name}`, position {at}."
                );
                return Some(self.invalid("", &what));
            }
        }
        None
    }
}

/// What a tool's call is signed with.
fn signed(name: &str) -> String {
    format!("CiQB{}==", Dice::of(0x6011, name).alnum(60))
}

impl Dialect for Habits {
    fn name(&self) -> &'static str {
        self.name
    }
    fn auth(&self) -> Auth {
        self.auth
    }

    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        if endpoint != Endpoint::Chat {
            return None;
        }
        if let Some(member) = self.refuses.iter().find(|member| body.contains_key(**member)) {
            return Some(self.invalid(member, &format!("`{member}` is not supported with this model")));
        }
        if let (Some(only), Some(sent)) = (self.temperature, body.get("temperature").and_then(Value::as_f64))
            && (only - sent).abs() > f64::EPSILON
        {
            let what = format!("invalid temperature: only {only} is allowed for this model");
            return Some(self.invalid("", &what));
        }
        if self.only_auto
            && body.get("tool_choice").is_some_and(|choice| choice != "auto" && !choice.is_null())
        {
            return Some(self.invalid("tool_choice", "only auto is supported"));
        }
        if !self.choices && body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
            return Some(self.invalid("n", "must be at most 1"));
        }
        if body.get("stop").and_then(Value::as_array).is_some_and(|stops| stops.len() > self.stops_max) {
            return Some(self.invalid("stop", &format!("at most {} values", self.stops_max)));
        }
        if !self.json_schema && body.get("response_format").is_some_and(|it| it["type"] == "json_schema") {
            return Some(self.invalid("response_format", "type must be text or json_object"));
        }
        messages(body).iter().enumerate().find_map(|(at, message)| self.message_objection(at, message))
    }

    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal {
        words::refusal(self.shape, self.rows, trouble, request_id)
    }
    fn error_in_200(&self, request_id: &str) -> Value {
        match (self.shape, self.error(&Trouble::Broken, request_id).body) {
            // In the middle of things, what was flat is wrapped; and there the choice says that it failed.
            (Shape::VLlm, error) => json!({"error": error}),
            (Shape::OpenRouter, mut error) => {
                error["choices"] = json!([{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]);
                error
            }
            (_, error) => error,
        }
    }
    fn done_after_error(&self) -> bool {
        self.done_after_error
    }

    fn thinks(&self, ask: &Ask) -> bool {
        self.thoughts != Thoughts::None
            && (ask.manner.reasons || ask.manner.smart && ask.thinking.unwrap_or(true))
    }
    fn gives_choices(&self) -> bool {
        self.choices
    }
    fn answer_id(&self) -> String {
        format!("chatcmpl-{}", random::hex_upper(32).to_ascii_lowercase())
    }

    fn usage(&self, count: Count) -> Value {
        let cached = if count.prompt >= 1_024 { count.prompt / 2 / 128 * 128 } else { 0 };
        let apart = if self.thinking_apart { count.reasoning } else { 0 };
        let mut usage = json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion - apart.min(count.completion),
            "total_tokens": count.prompt + count.completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": count.reasoning},
        });
        if self.cached_at_top {
            usage["cached_tokens"] = cached.into();
        }
        if self.tells_cost {
            usage["cost"] = json!(count.completion as f64 * 1e-6);
            usage["cost_details"] = json!({"upstream_inference_cost": null});
        }
        usage
    }
    fn usage_at(&self, include_usage: bool) -> UsageAt {
        if include_usage { self.usage_at.0 } else { self.usage_at.1 }
    }
    fn dress(&self, body: &mut Map<String, Value>) {
        if let Ok(Value::Object(beside)) = serde_json::from_str(self.beside) {
            body.extend(beside);
        }
        if self.base_resp {
            body.insert("base_resp".into(), json!({"status_code": 0, "status_msg": ""}));
        }
    }

    fn message(&self, choice: &Choice) -> Value {
        let mut message = json!({"role": "assistant", "content": choice.text()});
        if !choice.calls.is_empty() {
            message["tool_calls"] = self.tool_calls(choice);
        }
        let thought = choice.reasoning.concat();
        match self.thoughts {
            _ if thought.is_empty() => {}
            Thoughts::None => {}
            Thoughts::In(name) => message[name] = thought.into(),
            Thoughts::Inline => {
                message["content"] = format!("<think>\n{thought}\n</think>\n\n{}", choice.text()).into();
            }
        }
        message
    }
    fn tool_call(&self, index: usize, call: &Call) -> Value {
        let function = json!({"name": call.name, "arguments": call.pieces.concat()});
        let mut shown = json!({"index": index, "id": call.id, "type": "function", "function": function});
        if self.tool_stream == ToolStream::WholeWithoutIndex
            && let Value::Object(members) = &mut shown
        {
            members.remove("index");
        }
        if self.signs_calls && index == 0 {
            shown["extra_content"] = json!({"google": {"thought_signature": signed(&call.name)}});
        }
        shown
    }
    fn thought_delta(&self, choice: &Choice, at: usize) -> Option<Value> {
        let word = &choice.reasoning[at];
        match self.thoughts {
            Thoughts::None => None,
            Thoughts::In(name) => Some(json!({"content": "", name: word})),
            Thoughts::Inline => {
                let open = if at == 0 { "<think>\n" } else { "" };
                let close = if at + 1 == choice.reasoning.len() { "\n</think>\n\n" } else { "" };
                Some(json!({"content": format!("{open}{word}{close}")}))
            }
        }
    }
    fn tool_deltas(&self, index: usize, call: &Call) -> Vec<(Value, u64)> {
        let tokens = call.pieces.len() as u64;
        match self.tool_stream {
            ToolStream::Whole | ToolStream::WholeWithoutIndex => {
                vec![(json!({"tool_calls": [self.tool_call(index, call)]}), tokens)]
            }
            ToolStream::Pieces | ToolStream::EmptyNames => {
                let mut first = self.tool_call(index, call);
                first["function"]["arguments"] = "".into();
                let later = call.pieces.iter().map(|piece| {
                    let mut delta = json!({"index": index, "function": {"arguments": piece}});
                    if self.tool_stream == ToolStream::EmptyNames {
                        (delta["id"], delta["function"]["name"]) = ("".into(), "".into());
                    }
                    (json!({"tool_calls": [delta]}), 1)
                });
                std::iter::once((json!({"tool_calls": [first]}), 0)).chain(later).collect()
            }
        }
    }
    fn dress_choice(&self, choice: &mut Value) {
        if self.role_always && choice["delta"].is_object() {
            choice["delta"]["role"] = "assistant".into();
        }
    }
    fn finish(&self, choice: &Choice, streamed: bool) -> String {
        match &*choice.finish {
            "stop" => self.stop_word.into(),
            "tool_calls" if streamed => self.call_word.into(),
            other => other.into(),
        }
    }
    fn dress_last(&self, chunk: &mut Value, choice: &Choice, usage: Option<&Value>) {
        if let Some(usage) = usage {
            if self.usage_in_choice {
                chunk["choices"][0]["usage"] = usage.clone();
            }
            if self.usage_in_x_groq {
                chunk["x_groq"] = json!({"id": "req_sim", "usage": usage});
            }
        }
        if self.repeats_message {
            chunk["choices"][0]["message"] = self.message(choice);
        }
    }
    fn keep_alive(&self) -> Option<&'static str> {
        self.comment
    }
    fn embeddings_max(&self) -> usize {
        self.embeddings_max
    }
}
