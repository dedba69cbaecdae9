//! What an error looks like on each wire.

use bytes::BytesMut;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::voice::event;
use crate::chat::Endpoint;

/// The `error` object. Messages stand alone: some SDKs show nothing else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorBody {
    /// What happened and what may be done about it.
    pub message: String,
    /// OpenAI's `type`.
    pub kind: String,
    /// The field at fault.
    pub param: Option<String>,
    /// The stable word programs match on.
    pub code: Option<String>,
    /// Further members of the object.
    pub extra: Map<String, Value>,
}

impl ErrorBody {
    /// An error without further members.
    pub fn new(kind: &str, code: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        let code = code.into().map(str::to_owned);
        Self { message: message.into(), kind: kind.to_owned(), code, ..Self::default() }
    }

    /// The same error, about `param`.
    #[must_use]
    pub fn about(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// The same error with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The error as clients of `endpoint` know errors, on one line. `status` names the kind where the wire has one name
    /// for each status.
    pub fn said_to(&self, endpoint: Endpoint, status: StatusCode, request_id: &str) -> String {
        match endpoint {
            Endpoint::Messages => self.to_messages_json(status, request_id),
            Endpoint::Chat | Endpoint::Responses | Endpoint::Completions | Endpoint::Embeddings => {
                self.to_json(request_id)
            }
        }
    }

    /// The error as the event that ends a stream of `endpoint`, the `sequence_number`th where the wire counts.
    pub(crate) fn event(
        &self,
        endpoint: Endpoint,
        status: StatusCode,
        request_id: &str,
        sequence_number: u64,
        out: &mut BytesMut,
    ) {
        let json = self.said_to(endpoint, status, request_id);
        match endpoint {
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => {
                event(None, json.as_bytes(), out)
            }
            Endpoint::Messages => event(Some("error"), json.as_bytes(), out),
            // Some SDKs only raise what stands under `error`, others only what stands beside `type`.
            Endpoint::Responses => {
                let error: Value = serde_json::from_str(&json).unwrap_or_default();
                let both = json!({
                    "type": "error", "error": error.get("error"), "code": self.code, "message": self.message,
                    "param": self.param, "sequence_number": sequence_number,
                });
                event(Some("error"), both.to_string().as_bytes(), out);
            }
        }
    }

    /// `{"type":"error","error":{"type","message",…},"request_id":…}`: Anthropic's words, with ours beside them.
    fn to_messages_json(&self, status: StatusCode, request_id: &str) -> String {
        // https://docs.anthropic.com/en/api/errors
        let kind = match status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            504 => "timeout_error",
            500..=599 => "api_error",
            _ => "invalid_request_error",
        };
        let mut error = Map::new();
        error.insert("type".into(), kind.into());
        error.insert("message".into(), self.message.as_str().into());
        error.insert("code".into(), self.code.as_deref().into());
        error.insert("param".into(), self.param.as_deref().into());
        error.extend(self.extra.clone());
        json!({ "type": "error", "error": error, "request_id": request_id }).to_string()
    }

    /// `{"error":{…},"request_id":…}`, on one line.
    pub fn to_json(&self, request_id: &str) -> String {
        let mut error = Map::new();
        error.insert("message".into(), self.message.as_str().into());
        error.insert("type".into(), self.kind.as_str().into());
        error.insert("param".into(), self.param.as_deref().into());
        error.insert("code".into(), self.code.as_deref().into());
        error.extend(self.extra.clone());
        json!({ "error": error, "request_id": request_id }).to_string()
    }
}
