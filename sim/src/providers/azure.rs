//! How does Azure say it? As OpenAI does, behind a door of its own and with its filters in between.
use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use super::answer::{Choice, Count};
use super::ask::Ask;
use super::dialect::{Auth, Dialect, Refusal, Trouble, UsageAt};
use super::endpoint::Endpoint;
use super::openai::OpenAi;

/// `https://{resource}.openai.azure.com/openai`
#[derive(Debug)]
pub(super) struct Azure;

fn filters() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

fn of_prompt() -> Value {
    json!([{"prompt_index": 0, "content_filter_results": filters()}])
}

impl Dialect for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }
    fn auth(&self) -> Auth {
        Auth::Either("api-key")
    }
    fn at_the_door(&self, uri: &Uri, _headers: &HeaderMap, _request_id: &str) -> Option<Refusal> {
        let versioned = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .any(|pair| pair.strip_prefix("api-version=").is_some_and(|version| !version.is_empty()));
        // With a path for each deployment, the version decides what the API looks like.
        if uri.path().contains("/deployments/") && !versioned {
            let error = json!({"code": "404", "message": "Resource not found"});
            return Some(Refusal::new(404, json!({"error": error})));
        }
        None
    }
    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        OpenAi.objection(endpoint, body)
    }

    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal {
        match trouble {
            Trouble::BadKey(_) => {
                let message = "Access denied due to invalid subscription key or wrong API endpoint.";
                Refusal::new(401, json!({"error": {"code": "401", "message": message}}))
            }
            Trouble::NoModel(_) => {
                let message = "The API deployment for this resource does not exist.";
                Refusal::new(404, json!({"error": {"code": "DeploymentNotFound", "message": message}}))
            }
            Trouble::RateLimited => {
                let message = "Requests have exceeded the call rate limit. Please retry after 7 seconds.";
                Refusal::new(429, json!({"error": {"code": "429", "message": message}}))
            }
            Trouble::Filtered => {
                let mut results = filters();
                results["violence"] = json!({"filtered": true, "severity": "high"});
                let inner = json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": results});
                let message = "The response was filtered due to the prompt triggering Azure OpenAI's content \
                               management policy.";
                let error = json!({"message": message, "type": null, "param": "prompt", "code": "content_filter",
                    "status": 400, "innererror": inner});
                Refusal::new(400, json!({"error": error}))
            }
            other => OpenAi.error(other, request_id),
        }
    }

    fn thinks(&self, ask: &Ask) -> bool {
        OpenAi.thinks(ask)
    }
    fn gives_choices(&self) -> bool {
        true
    }
    fn answer_id(&self) -> String {
        OpenAi.answer_id()
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-request-id", request_id.into()),
            ("apim-request-id", request_id.into()),
            ("x-ms-region", "Sweden Central".into()),
            ("x-ratelimit-remaining-requests", "-1".into()),
            ("x-ratelimit-reset-requests", "0".into()),
        ]
    }

    fn usage(&self, count: Count) -> Value {
        OpenAi.usage(count)
    }
    fn usage_at(&self, include_usage: bool) -> UsageAt {
        OpenAi.usage_at(include_usage)
    }
    fn dress(&self, body: &mut Map<String, Value>) {
        OpenAi.dress(body);
        if body.get("object").is_some_and(|object| object == "chat.completion") {
            body.insert("prompt_filter_results".into(), of_prompt());
        }
    }
    /// The deployment's base model, which is called otherwise.
    fn answering(&self, model: &str) -> String {
        format!("{model}-2026-08-06")
    }

    fn message(&self, choice: &Choice) -> Value {
        OpenAi.message(choice)
    }
    fn first_delta(&self, choice: &Choice) -> Value {
        OpenAi.first_delta(choice)
    }
    fn thought_delta(&self, choice: &Choice, at: usize) -> Option<Value> {
        OpenAi.thought_delta(choice, at)
    }
    fn dress_choice(&self, choice: &mut Value) {
        choice["logprobs"] = Value::Null;
        choice["content_filter_results"] = filters();
    }
    fn prelude(&self) -> Vec<Value> {
        vec![json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
            "prompt_filter_results": of_prompt()})]
    }
    fn embeds_like_openai(&self) -> bool {
        true
    }
}
