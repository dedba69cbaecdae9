//! What an error looks like on OpenAI's wire.

use serde_json::{Map, Value, json};

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
