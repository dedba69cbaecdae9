//! How does OpenAI say it?
use serde_json::{Map, Value, json};

use super::answer::{Choice, Count};
use super::dialect::{Dialect, Refusal, Trouble, UsageAt, fingerprint};
use crate::faults::Scope;
use crate::random;

/// `https://api.openai.com/v1`
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn scope(&self) -> Scope {
        Scope::OpenAi
    }
    fn name(&self) -> &'static str {
        "openai"
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
        // Long prompts are partly remembered, in steps of 128 tokens.
        let cached = if count.prompt >= 1024 { count.prompt / 2 / 128 * 128 } else { 0 };
        json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion,
            "total_tokens": count.prompt + count.completion,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
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
        if let Some(call) = &choice.call {
            message["tool_calls"] = json!([self.tool_call(call)]);
        } else {
            message["content"] = choice.words.concat().into();
        }
        message
    }
    fn first_delta(&self, choice: &Choice) -> Value {
        let content = if choice.call.is_some() { Value::Null } else { "".into() };
        json!({"role": "assistant", "content": content, "refusal": null})
    }
}
