//! How does DeepSeek say it? Thinks aloud, keeps lines warm while it is busy, and knows no developers.
use serde_json::{Map, Value, json};

use super::answer::{Choice, Count};
use super::ask::Ask;
use super::dialect::{Dialect, Refusal, Trouble, UsageAt, fingerprint, json_unnamed, messages, role_at};
use super::endpoint::Endpoint;
use super::model::Manner;
use crate::random;

/// `https://api.deepseek.com/v1`
#[derive(Debug)]
pub(super) struct DeepSeek;

impl Dialect for DeepSeek {
    fn name(&self) -> &'static str {
        "deepseek"
    }

    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        if endpoint != Endpoint::Chat {
            return None;
        }
        let known = ["system", "user", "assistant", "tool", "latest_reminder"];
        let roles = messages(body).iter().filter_map(|message| message["role"].as_str());
        if let Some(role) = roles.into_iter().find(|role| !known.contains(role)) {
            let at = role_at(body, role)?;
            let expected = known.map(|role| format!("`{role}`")).join(", ");
            return Some(invalid(&format!(
                "Failed to deserialize the JSON body into the target type: messages[{at}].role: unknown variant \
                 `{role}`, expected one of {expected}"
            )));
        }
        if body.get("response_format").is_some_and(|format| format["type"] == "json_schema") {
            return Some(invalid("This response_format type is unavailable now"));
        }
        if json_unnamed(body) {
            return Some(invalid(
                "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
            ));
        }
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        let thoughtless = |message: &Value| {
            message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty())
                && message["reasoning_content"].as_str().is_none_or(str::is_empty)
        };
        if Manner::of(model).reasons && messages(body).iter().any(thoughtless) {
            let message = "The `reasoning_content` in the thinking mode must be passed back to the API.";
            return Some(invalid(message));
        }
        None
    }

    fn error(&self, trouble: &Trouble<'_>, _request_id: &str) -> Refusal {
        let (status, kind, message) = match trouble {
            Trouble::BadKey(key) => {
                let message = format!("Authentication Fails, Your api key: {key} is invalid");
                (401, "authentication_error", message)
            }
            Trouble::OutOfFunds => (402, "unknown_error", "Insufficient Balance".into()),
            Trouble::NoModel(_) => (400, "invalid_request_error", "Model Not Exist".into()),
            Trouble::RateLimited => (429, "rate_limit_error", "Too many concurrent requests".into()),
            Trouble::Overloaded => (503, "service_unavailable_error", "Service is too busy".into()),
            Trouble::Broken => (500, "internal_error", "Internal Server Error".into()),
            Trouble::Filtered => return invalid("Content Exists Risk"),
            Trouble::TooLong => {
                return invalid(
                    "This model's maximum context length is 1048576 tokens. However, you requested 1100000 tokens \
                     (1092000 in the messages, 8000 in the completion). Please reduce the length of the messages or \
                     completion.",
                );
            }
            Trouble::Invalid("", what) => return invalid(what),
            Trouble::Invalid(param, what) => return invalid(&format!("{param}: {what}")),
        };
        let error = json!({"message": message, "type": kind, "param": null, "code": "invalid_request_error"});
        Refusal::new(status, json!({"error": error}))
    }

    fn thinks(&self, ask: &Ask) -> bool {
        ask.manner.reasons || (ask.manner.smart && ask.thinking.unwrap_or(true))
    }
    fn answer_id(&self) -> String {
        random::uuid()
    }
    fn tool_id(&self) -> fn(&mut random::Dice) -> String {
        |dice| format!("call_00_{}", dice.alnum(24))
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        vec![("x-request-id", request_id.into()), ("x-ds-trace-id", request_id.replace('-', ""))]
    }

    fn usage(&self, count: Count) -> Value {
        // Remembers prompts in steps of 64 tokens.
        let hit = if count.prompt >= 128 { count.prompt / 2 / 64 * 64 } else { 0 };
        let mut usage = json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion,
            "total_tokens": count.prompt + count.completion,
            "prompt_tokens_details": {"cached_tokens": hit},
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": count.prompt - hit,
        });
        if count.reasoning > 0 {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": count.reasoning});
        }
        usage
    }
    fn usage_at(&self, include_usage: bool) -> UsageAt {
        if include_usage { UsageAt::Finish } else { UsageAt::Never }
    }
    fn dress(&self, body: &mut Map<String, Value>) {
        body.insert("system_fingerprint".into(), fingerprint());
    }

    fn first_delta(&self, choice: &Choice) -> Value {
        if choice.reasoning.is_empty() {
            json!({"role": "assistant", "content": ""})
        } else {
            json!({"role": "assistant", "content": null, "reasoning_content": ""})
        }
    }
    fn keep_alive(&self) -> Option<&'static str> {
        Some(": keep-alive\n\n")
    }
    fn before_json(&self) -> &'static str {
        "\n\n\n"
    }
}

fn invalid(message: &str) -> Refusal {
    let kind = "invalid_request_error";
    Refusal::new(400, json!({"error": {"message": message, "type": kind, "param": null, "code": kind}}))
}
