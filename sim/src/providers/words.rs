//! In which shape, and with which codes, does a provider of the family say no? Data: a shape, and a row for each trouble.
use serde_json::{Value, json};

use super::dialect::{Refusal, Trouble};

/// Where the words stand in the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"error": {message, type, param, code}}`
    OpenAi,
    /// `{"error": {message, type}}`
    TypeOnly,
    /// `{"error": {code, message}}`
    CodeOnly,
    /// `{"error": {code, message, param, type}}`, and the message ends with the request's id.
    Ark,
    /// `{"base_resp": {status_code, status_msg}}`
    BaseResp,
    /// `{"code": 20012, "message": …, "data": null}`; rows without a code are plain text.
    Flat,
    /// `{"code": "…", "error": "text"}`
    XAi,
    /// `{"error": {code: int, message, metadata}}`
    OpenRouter,
    /// `{"object": "error", message, type, param, code: int}`
    VLlm,
    /// `[{"error": {code: int, message, status}}]`
    Google,
}

/// A kind of trouble, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BadKey,
    OutOfFunds,
    NoModel,
    RateLimited,
    Overloaded,
    Broken,
    Filtered,
    TooLong,
    Invalid,
}

/// What is said in one kind of trouble.
#[derive(Debug)]
pub(super) struct Row {
    kind: Kind,
    status: u16,
    /// `type`, or what stands for it.
    name: &'static str,
    code: &'static str,
    /// `{}` is the model, or what is wrong.
    message: &'static str,
}

/// One row of a provider's table.
pub(super) const fn row(
    kind: Kind,
    status: u16,
    name: &'static str,
    code: &'static str,
    message: &'static str,
) -> Row {
    Row { kind, status, name, code, message }
}

/// What is said where a provider's own table is silent.
static USUAL: [Row; 9] = [
    row(Kind::BadKey, 401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    row(Kind::OutOfFunds, 402, "insufficient_quota", "insufficient_quota", "Insufficient balance."),
    row(Kind::NoModel, 404, "invalid_request_error", "model_not_found", "The model `{}` does not exist."),
    row(Kind::RateLimited, 429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached."),
    row(Kind::Overloaded, 503, "server_error", "service_unavailable", "The service is overloaded."),
    row(Kind::Broken, 500, "server_error", "internal_error", "Internal server error."),
    row(Kind::Filtered, 400, "invalid_request_error", "content_filter", "The content was filtered."),
    row(
        Kind::TooLong,
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens.",
    ),
    row(Kind::Invalid, 400, "invalid_request_error", "invalid_value", "Invalid request: {}"),
];

/// The error of a provider with this shape and these rows of its own.
pub(super) fn refusal(shape: Shape, own: &[Row], trouble: &Trouble<'_>, request_id: &str) -> Refusal {
    let (kind, param, detail) = match trouble {
        Trouble::BadKey(key) => (Kind::BadKey, "", (*key).to_owned()),
        Trouble::OutOfFunds => (Kind::OutOfFunds, "", String::new()),
        Trouble::NoModel(model) => (Kind::NoModel, "model", (*model).to_owned()),
        Trouble::RateLimited => (Kind::RateLimited, "", String::new()),
        Trouble::Overloaded => (Kind::Overloaded, "", String::new()),
        Trouble::Broken => (Kind::Broken, "", String::new()),
        Trouble::Filtered => (Kind::Filtered, "", String::new()),
        Trouble::TooLong => (Kind::TooLong, "", String::new()),
        Trouble::Invalid("", what) => (Kind::Invalid, "", (*what).to_owned()),
        Trouble::Invalid(param, what) => (Kind::Invalid, *param, format!("{param}: {what}")),
    };
    let found = own.iter().chain(&USUAL).find(|row| row.kind == kind);
    let Some(row) = found else { return Refusal::new(500, Value::Null) };
    let message = row.message.replace("{}", &detail);
    Refusal::new(row.status, shape.body(row, param, &message, request_id))
}

impl Shape {
    fn body(self, row: &Row, param: &str, message: &str, request_id: &str) -> Value {
        let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let number = || row.code.parse::<i64>().map_or_else(|_| i64::from(row.status).into(), Value::from);
        match self {
            Self::OpenAi => {
                json!({"error": {"message": message, "type": row.name, "param": text(param), "code": text(row.code)}})
            }
            Self::TypeOnly => json!({"error": {"message": message, "type": row.name}}),
            Self::CodeOnly => json!({"error": {"code": row.code, "message": message}}),
            Self::Ark => {
                let message = format!("{message} Request id: {}", request_id.replace('-', ""));
                json!({"error": {"code": row.code, "message": message, "param": param, "type": row.name}})
            }
            Self::BaseResp => {
                json!({"id": request_id, "choices": null, "created": 0, "model": "", "object": "", "usage": null,
                    "base_resp": {"status_code": number(), "status_msg": message}})
            }
            Self::Flat if row.code.is_empty() => message.into(),
            Self::Flat => json!({"code": number(), "message": message, "data": null}),
            Self::XAi => json!({"code": row.name, "error": message}),
            Self::OpenRouter => {
                let metadata = json!({"provider_name": "Sim", "raw": message});
                json!({"error": {"code": row.status, "message": message, "metadata": metadata}})
            }
            Self::VLlm => {
                json!({"object": "error", "message": message, "type": row.name, "param": text(param),
                    "code": row.status})
            }
            Self::Google => {
                json!([{"error": {"code": row.status, "message": message, "status": row.name}}])
            }
        }
    }
}
