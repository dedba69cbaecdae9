//! How does OpenAI say it?
use serde_json::{Map, Value, json};

use super::answer::{Choice, Count};
use super::ask::Ask;
use super::dialect::{Dialect, Refusal, Trouble, UsageAt, fingerprint, json_unnamed, messages};
use super::endpoint::Endpoint;
use super::model::{Kind, Manner};
use crate::random;

/// `https://api.openai.com/v1`
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        let manner = Manner::of(model);
        if let Some(message) = wrong_endpoint(endpoint, manner.kind) {
            let error =
                json!({"message": message, "type": "invalid_request_error", "param": "model", "code": null});
            return Some(Refusal::new(404, json!({"error": error})));
        }
        if endpoint != Endpoint::Chat {
            return None;
        }
        if manner.reasons
            && let Some(refusal) = unsupported(body)
        {
            return Some(refusal);
        }
        if body.get("stop").and_then(Value::as_array).is_some_and(|stops| stops.len() > STOPS_MAX) {
            let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
            return Some(invalid("stop", "array_above_max_length", message));
        }
        if json_unnamed(body) {
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
            return Some(invalid("messages", "", message));
        }
        unpaired(messages(body))
    }

    fn error(&self, trouble: &Trouble<'_>, _request_id: &str) -> Refusal {
        let (status, kind, param, code, message) = match trouble {
            Trouble::BadKey(key) => {
                let message =
                    format!("Incorrect API key provided: {key}. You can find your API key in the console.");
                (401, "invalid_request_error", None, Some("invalid_api_key"), message)
            }
            Trouble::OutOfFunds => {
                let message = "You exceeded your current quota, please check your plan and billing details.";
                (429, "insufficient_quota", None, Some("insufficient_quota"), message.into())
            }
            Trouble::NoModel(model) => {
                let message = format!("The model `{model}` does not exist or you do not have access to it.");
                (404, "invalid_request_error", Some("model"), Some("model_not_found"), message)
            }
            Trouble::RateLimited => {
                let message = "Rate limit reached for requests. Please try again in 1s.";
                (429, "requests", None, Some("rate_limit_exceeded"), message.into())
            }
            Trouble::Overloaded => {
                let message = "The engine is currently overloaded, please try again later.";
                (503, "server_error", None, None, message.into())
            }
            Trouble::Broken => {
                let message = "The server had an error while processing your request. Sorry about that!";
                (500, "server_error", None, None, message.into())
            }
            Trouble::Filtered => {
                let message =
                    "Invalid prompt: your prompt was flagged as potentially violating our usage policy.";
                (400, "invalid_request_error", None, Some("invalid_prompt"), message.into())
            }
            Trouble::TooLong => {
                let message = "This model's maximum context length is 128000 tokens. However, your messages resulted \
                               in 140000 tokens. Please reduce the length of the messages.";
                let code = Some("context_length_exceeded");
                (400, "invalid_request_error", Some("messages"), code, message.into())
            }
            Trouble::Invalid(param, what) => {
                let param = Some(*param).filter(|param| !param.is_empty());
                (
                    400,
                    "invalid_request_error",
                    param,
                    Some("invalid_value"),
                    format!("Invalid request: {what}."),
                )
            }
        };
        let error = json!({"message": message, "type": kind, "param": param, "code": code});
        Refusal::new(status, json!({"error": error}))
    }

    fn thinks(&self, ask: &Ask) -> bool {
        match ask.endpoint {
            Endpoint::Responses => ask.manner.reasons || (ask.manner.smart && ask.thinking == Some(true)),
            _ => ask.manner.reasons,
        }
    }
    fn gives_choices(&self) -> bool {
        true
    }
    fn answer_id(&self) -> String {
        format!("chatcmpl-{}", random::alnum(29))
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-request-id", format!("req_{}", request_id.replace('-', ""))),
            ("openai-version", "2020-10-01".into()),
            ("openai-processing-ms", "12".into()),
            ("x-ratelimit-limit-requests", "10000".into()),
            ("x-ratelimit-remaining-requests", "9999".into()),
            ("x-ratelimit-reset-requests", "6ms".into()),
        ]
    }

    fn usage(&self, count: Count) -> Value {
        json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion,
            "total_tokens": count.prompt + count.completion,
            "prompt_tokens_details": {"cached_tokens": cached(count.prompt), "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": count.reasoning, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        })
    }
    fn usage_at(&self, include_usage: bool) -> UsageAt {
        if include_usage { UsageAt::Trailer } else { UsageAt::Never }
    }
    fn dress(&self, body: &mut Map<String, Value>) {
        body.insert("service_tier".into(), "default".into());
        body.insert("system_fingerprint".into(), fingerprint());
    }

    fn message(&self, choice: &Choice) -> Value {
        let mut message = json!({"role": "assistant", "content": null, "refusal": null, "annotations": []});
        if choice.calls.is_empty() {
            message["content"] = choice.text().into();
        } else {
            message["tool_calls"] = self.tool_calls(choice);
        }
        message
    }
    fn first_delta(&self, choice: &Choice) -> Value {
        let content = if choice.calls.is_empty() { "".into() } else { Value::Null };
        json!({"role": "assistant", "content": content, "refusal": null})
    }
    /// Thoughts are counted and kept secret.
    fn thought_delta(&self, _choice: &Choice, _at: usize) -> Option<Value> {
        None
    }
    fn embeds_like_openai(&self) -> bool {
        true
    }
}

/// The most sequences that stop an answer.
const STOPS_MAX: usize = 4;

/// Long prompts are partly remembered, in steps of 128 tokens.
pub(super) fn cached(prompt: u64) -> u64 {
    if prompt >= 1_024 { prompt / 2 / 128 * 128 } else { 0 }
}

fn invalid(param: &str, code: &str, message: &str) -> Refusal {
    let code = Some(code).filter(|code| !code.is_empty());
    let error = json!({"message": message, "type": "invalid_request_error", "param": param, "code": code});
    Refusal::new(400, json!({"error": error}))
}

fn wrong_endpoint(endpoint: Endpoint, kind: Kind) -> Option<&'static str> {
    match (endpoint, kind) {
        (Endpoint::Chat, Kind::Completion) => Some(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to \
             use v1/completions?",
        ),
        (Endpoint::Completions, Kind::Chat) => Some(
            "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use \
             v1/chat/completions?",
        ),
        _ => None,
    }
}

/// What models that reason do not take.
fn unsupported(body: &Map<String, Value>) -> Option<Refusal> {
    if body.contains_key("max_tokens") {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                       'max_completion_tokens' instead.";
        return Some(invalid("max_tokens", "unsupported_parameter", message));
    }
    let sampling = ["temperature", "top_p", "presence_penalty", "frequency_penalty"];
    let usual = |name: &str| if name.ends_with("penalty") { 0.0 } else { 1.0 };
    for name in sampling {
        let sent = body.get(name).and_then(Value::as_f64);
        if sent.is_some_and(|sent| (sent - usual(name)).abs() > f64::EPSILON) {
            let message = format!(
                "Unsupported value: '{name}' does not support this value with this model. Only the default is \
                 supported."
            );
            return Some(invalid(name, "unsupported_value", &message));
        }
    }
    None
}

/// What tools say follows the calls of them, and answers them all.
fn unpaired(messages: &[Value]) -> Option<Refusal> {
    let mut open: Vec<&Value> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = &message["tool_call_id"];
            let Some(found) = open.iter().position(|asked| *asked == id) else {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message \
                               with 'tool_calls'.";
                return Some(invalid(&format!("messages.[{at}].role"), "", message));
            };
            open.remove(found);
            continue;
        }
        if !open.is_empty() {
            break;
        }
        open.extend(message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]));
    }
    let unanswered: Vec<&str> = open.iter().filter_map(|id| id.as_str()).collect();
    if open.is_empty() {
        return None;
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        unanswered.join(", ")
    );
    Some(invalid("messages", "", &message))
}
