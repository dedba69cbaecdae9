//! How does Anthropic say it? In messages of blocks, with an `event:` line for each event, and strictly.
mod cache;
mod check;
mod read;
mod turns;
mod write;

use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use super::answer::Count;
use super::ask::Ask;
use super::dialect::{Auth, Dialect, Refusal, Trouble, UsageAt};
use super::endpoint::Endpoint;
use crate::clock::rfc3339;
use crate::random::{self, Dice};
pub(super) use cache::usage;
pub(super) use read::read;
pub(super) use write::write;

/// The longest answer of any model here, tokens.
const OUTPUT_MAX: u64 = 128_000;

/// Of the API; the last is what their Python SDK 2.14 sends.
const VERSIONS: [&str; 3] = ["2023-01-01", "2023-06-01", "2026-10-21"];

/// `https://api.anthropic.com/v1`
#[derive(Debug)]
pub(super) struct Anthropic;

/// What came and went with generations of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation {
    /// Takes `temperature`, prefills and thinking budgets; no adaptive thinking, and no system messages in between.
    old: bool,
    /// Thinks always, and cannot be forced to call a tool.
    always_thinks: bool,
}

impl Generation {
    fn of(model: &str) -> Self {
        Self { old: model.starts_with("sim-claude-old"), always_thinks: model == "sim-claude-thinking" }
    }
}

/// An error in Anthropic's shape.
fn refusal(status: u16, kind: &str, message: &str, request_id: &str) -> Refusal {
    let error = json!({"type": kind, "message": message});
    Refusal::new(status, json!({"type": "error", "error": error, "request_id": request_id}))
}

/// What a thought is signed with; the same thought has the same signature.
fn signature(thought: &str) -> String {
    format!("EqQB{}==", Dice::of(0x5161, thought).alnum(60))
}

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }
    fn auth(&self) -> Auth {
        // Their SDKs send a bearer since 2.x, and `x-api-key` before.
        Auth::Either("x-api-key")
    }
    fn at_the_door(&self, _uri: &Uri, headers: &HeaderMap, request_id: &str) -> Option<Refusal> {
        let message = match headers.get("anthropic-version").map(|value| value.to_str().unwrap_or_default()) {
            Some(version) if VERSIONS.contains(&version) => return None,
            Some(other) => format!("anthropic-version: \"{other}\" is not a valid version"),
            None => "anthropic-version: header is required".into(),
        };
        Some(refusal(400, "invalid_request_error", &message, request_id))
    }
    fn objection(&self, endpoint: Endpoint, body: &Map<String, Value>) -> Option<Refusal> {
        let wrong = check::check(endpoint, body).err()?;
        Some(self.error(&Trouble::Invalid(&wrong.param, &wrong.message), &self.request_id()))
    }

    fn error(&self, trouble: &Trouble<'_>, request_id: &str) -> Refusal {
        let (status, kind, message) = match trouble {
            Trouble::BadKey("") => (401, "authentication_error", "x-api-key header is required".into()),
            Trouble::BadKey(_) => (401, "authentication_error", "invalid x-api-key".into()),
            Trouble::OutOfFunds => {
                let message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & \
                               Billing to upgrade or purchase credits.";
                (400, "invalid_request_error", message.into())
            }
            Trouble::NoModel(model) => (404, "not_found_error", format!("model: {model}")),
            Trouble::RateLimited => {
                let message =
                    "This request would exceed your organization's rate limit. Please try again later.";
                (429, "rate_limit_error", message.into())
            }
            Trouble::Overloaded => (529, "overloaded_error", "Overloaded".into()),
            Trouble::Broken => (500, "api_error", "Internal server error".into()),
            Trouble::Filtered => {
                (400, "invalid_request_error", "Output blocked by content filtering policy".into())
            }
            Trouble::TooLong => {
                (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum".into())
            }
            Trouble::Invalid("", what) => (400, "invalid_request_error", (*what).into()),
            Trouble::Invalid(param, what) => (400, "invalid_request_error", format!("{param}: {what}")),
        };
        refusal(status, kind, &message, request_id)
    }
    fn error_in_200(&self, request_id: &str) -> Value {
        self.error(&Trouble::Overloaded, request_id).body
    }

    fn thinks(&self, ask: &Ask) -> bool {
        ask.thinking.unwrap_or(Generation::of(&ask.model).always_thinks)
    }
    fn answer_id(&self) -> String {
        format!("msg_01{}", random::alnum(22))
    }
    fn tool_id(&self) -> fn(&mut Dice) -> String {
        |dice| format!("toolu_01{}", dice.alnum(22))
    }
    fn headers(&self, request_id: &str) -> Vec<(&'static str, String)> {
        let reset = "2026-11-21T08:00:00Z";
        vec![
            ("request-id", format!("req_01{}", &request_id.replace('-', "")[..22])),
            ("anthropic-organization-id", "8b1f4c0e-5a3d-4b7e-9c21-0f6d2a9e7b10".into()),
            ("anthropic-ratelimit-requests-limit", "4000".into()),
            ("anthropic-ratelimit-requests-remaining", "3999".into()),
            ("anthropic-ratelimit-requests-reset", reset.into()),
            ("anthropic-ratelimit-input-tokens-limit", "2000000".into()),
            ("anthropic-ratelimit-input-tokens-remaining", "1999000".into()),
            ("anthropic-ratelimit-input-tokens-reset", reset.into()),
        ]
    }

    fn usage(&self, count: Count) -> Value {
        json!({"input_tokens": count.prompt, "output_tokens": count.completion})
    }
    fn usage_at(&self, _include_usage: bool) -> UsageAt {
        UsageAt::Finish
    }
    fn model_entry(&self, id: &str, created: i64) -> Value {
        json!({"type": "model", "id": id, "display_name": id, "created_at": rfc3339(created * 1_000_000)})
    }
}

impl Anthropic {
    fn request_id(&self) -> String {
        format!("req_01{}", random::alnum(22))
    }
}
