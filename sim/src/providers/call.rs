//! Who is calling whom: one call under way, its key, and answers with the provider's own headers.
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::book;
use super::dialect::{Auth, Refusal, Trouble};
use super::table::Provider;
use crate::state::World;

/// One call under way: who answers, and under which id.
pub(super) struct Call<'a> {
    pub(super) provider: &'static Provider,
    pub(super) world: &'a Arc<World>,
    pub(super) request_id: String,
}

impl Call<'_> {
    pub(super) fn answer(&self, status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in self.provider.dialect.headers(&self.request_id) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    pub(super) fn json(&self, status: StatusCode, body: &Value) -> Response {
        self.answer(status, "application/json", body.to_string())
    }

    /// A string is sent as it is, everything else as JSON.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Response {
        match &refusal.body {
            Value::String(text) => self.answer(refusal.status, "text/plain; charset=utf-8", text.clone()),
            json => self.json(refusal.status, json),
        }
    }

    pub(super) fn trouble(&self, trouble: &Trouble<'_>) -> Response {
        self.refuse(&self.provider.dialect.error(trouble, &self.request_id))
    }

    /// Checks the key.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Box<Response>> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = || {
            let (scheme, key) = header("authorization")?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        };
        let sent = match self.provider.dialect.auth() {
            Auth::Anyone => return Ok(()),
            Auth::Bearer => bearer(),
            Auth::Either(name) => header(name).or_else(bearer),
        };
        if sent == Some(self.world.provider_key.as_str()) {
            return Ok(());
        }
        Err(Box::new(self.trouble(&Trouble::BadKey(&sent.map(book::last_four).unwrap_or_default()))))
    }
}
