//! The last word on what leaves the cashier and the administrators' endpoints: an id on every answer, and one error
//! shape, also where a framework refused the request.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use units::{Clock, RequestId};

use super::PayError;
use crate::{
    chat::Endpoint,
    dialect::ErrorBody,
    rescue::{client_request_id, error_response, sign},
};

/// Gives every answer its id and every error its shape.
pub async fn shape(State(clock): State<Arc<dyn Clock>>, request: Request, next: Next) -> Response {
    let id = RequestId::new(clock.now());
    let asked = format!("{} {}", request.method(), request.uri().path());
    let echoed = request.headers().clone();
    let mut response = next.run(request).await;
    if let Some(error) =
        response.extensions_mut().remove::<PayError>().or_else(|| unshaped(&response, &asked))
    {
        let mut headers = HeaderMap::new();
        headers.extend(response.headers().get(header::ALLOW).map(|allow| (header::ALLOW, allow.clone())));
        headers.extend(error.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        response = error_response(Endpoint::Chat, error.status, &error.error, headers, &id)
            .map(axum::body::Body::new);
    }
    sign(response.headers_mut(), Endpoint::Chat, &id, client_request_id(&echoed));
    response
}

/// A refusal by the framework, in our words.
fn unshaped(response: &Response, asked: &str) -> Option<PayError> {
    let status = response.status();
    let json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !status.is_client_error() || response.headers().get(header::CONTENT_TYPE).is_some_and(json) {
        return None;
    }
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("unknown_url", format!("Invalid URL ({asked})")),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", format!("{asked}: the method is not allowed here"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("request_too_large", "The body is too large.".to_owned()),
        _ => ("invalid_request", format!("{asked}: the request cannot be read")),
    };
    let error = Box::new(ErrorBody::new("invalid_request_error", code, message));
    Some(PayError { status, error, retry_after: None })
}
