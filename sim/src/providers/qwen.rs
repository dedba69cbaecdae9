//! How does Qwen (DashScope, compatible mode) say it? Its errors come in two layers, the lower one inside a 200.
use serde_json::{Map, Value, json};

use super::answer::{Call, Count};
use super::ask::Ask;
use super::dialect::{Dialect, Refusal, Trouble, UsageAt, json_unnamed};
use super::endpoint::Endpoint;
use super::model::Manner;
use crate::random;

/// `https://dashscope.aliyuncs.com/compatible-mode/v1`
#[derive(Debug)]
pub(super) struct Qwen;

impl Dialect for Qwen {
    fn name(&self) -> &'static str {
        "qwen"
    }

    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        let manner = Manner::of(body.get("model").and_then(Value::as_str).unwrap_or_default());
        let streamed = body.get("stream") == Some(&Value::Bool(true));
        let request_id = random::uuid();
        if endpoint == Endpoint::Chat && manner.stream_only && !streamed {
            let message = "This model only support stream mode, please enable the stream parameter to access the model. ";
            return Some(refusal(
                400,
                "invalid_parameter_error",
                "invalid_request_error",
                message,
                &request_id,
            ));
        }
        if endpoint == Endpoint::Chat && json_unnamed(body) {
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
            return Some(refusal(
                400,
                "invalid_parameter_error",
                "invalid_request_error",
                message,
                &request_id,
            ));
        }
        let thinking = body.get("enable_thinking") == Some(&Value::Bool(true));
        if thinking && !streamed {
            let message = "parameter.enable_thinking must be set to false for non-streaming calls";
            return Some(refusal(
                400,
                "invalid_parameter_error",
                "invalid_request_error",
                message,
                &request_id,
            ));
        }
        if thinking && body.get("tool_choice").is_some_and(|choice| choice != "auto" && choice != "none") {
            let message = "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being \
                           set to required or object in thinking mode";
            return Some(refusal(
                400,
                "invalid_parameter_error",
                "invalid_request_error",
                message,
                &request_id,
            ));
        }
        None
    }

    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal {
        let (status, code, kind, message) = match trouble {
            Trouble::BadKey(_) => {
                (401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided.".into())
            }
            Trouble::OutOfFunds => {
                let message = "Access denied, please make sure your account is in good standing.";
                (400, "Arrearage", "Arrearage", message.into())
            }
            Trouble::NoModel(model) => {
                let message = format!("The model `{model}` does not exist or you do not have access to it.");
                (404, "model_not_found", "invalid_request_error", message)
            }
            Trouble::RateLimited => {
                let message = "You exceeded your current requests list.";
                (429, "limit_requests", "limit_requests", message.into())
            }
            Trouble::Overloaded => (
                503,
                "ServiceUnavailable",
                "ServiceUnavailable",
                "The service is busy, try again later.".into(),
            ),
            Trouble::Broken => (
                500,
                "internal_error",
                "internal_error",
                "An internal error has occured, try again later.".into(),
            ),
            Trouble::Filtered => (
                400,
                "data_inspection_failed",
                "data_inspection_failed",
                "Input text data may contain inappropriate content.".into(),
            ),
            Trouble::TooLong => {
                let message =
                    "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]";
                (400, "invalid_parameter_error", "invalid_request_error", message.into())
            }
            Trouble::Invalid(param, what) => {
                let message = format!("<400> InternalError.Algo.InvalidParameter: {param} {what}");
                (400, "invalid_parameter_error", "invalid_request_error", message)
            }
        };
        refusal(status, code, kind, &message, request_id)
    }
    fn error_in_200(&self, request_id: &str) -> Value {
        json!({"code": "InternalError.Algo", "message": "Inference internal error.", "request_id": request_id})
    }

    fn thinks(&self, ask: &Ask) -> bool {
        ask.manner.reasons || ask.thinking == Some(true)
    }
    fn answer_id(&self) -> String {
        format!("chatcmpl-{}", random::uuid())
    }

    fn usage(&self, count: Count) -> Value {
        let mut usage = json!({
            "prompt_tokens": count.prompt,
            "completion_tokens": count.completion,
            "total_tokens": count.prompt + count.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        });
        if count.reasoning > 0 {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": count.reasoning});
        }
        usage
    }
    fn usage_at(&self, include_usage: bool) -> UsageAt {
        if include_usage { UsageAt::Trailer } else { UsageAt::Never }
    }
    fn dress(&self, body: &mut Map<String, Value>) {
        body.insert("system_fingerprint".into(), Value::Null);
    }

    fn tool_deltas(&self, index: usize, call: &Call) -> Vec<(Value, u64)> {
        let first = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""}}]});
        let later = call.pieces.iter().map(|piece| {
            let function = json!({"name": "", "arguments": piece});
            (json!({"tool_calls": [{"index": index, "id": "", "type": "function", "function": function}]}), 1)
        });
        std::iter::once((first, 0)).chain(later).collect()
    }
    fn embeddings_max(&self) -> usize {
        10
    }
}

fn refusal(status: u16, code: &str, kind: &str, message: &str, request_id: &str) -> Refusal {
    let error = json!({"message": message, "type": kind, "param": null, "code": code});
    Refusal::new(status, json!({"error": error, "request_id": request_id}))
}
