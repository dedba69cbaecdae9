//! How do payments and FX reach the outside? Through reqwest, within bounds, following nothing and decoding nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use payments::transport::{AnswerBounds, Sending, Transport, TransportError};
use zeroize::Zeroizing;

/// The largest answer that is read, where a request does not say otherwise.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Carries whole requests and answers.
#[derive(Debug, Clone)]
pub struct Outbound(reqwest::Client);

impl Outbound {
    /// With time limits fit for a payment call.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::built(|builder| builder)
    }

    /// The same, showing a certificate where it is asked for: `certificate` and `key` are PEM.
    ///
    /// # Errors
    /// If TLS cannot be set up with them.
    pub fn with_certificate(certificate: &str, key: &str) -> Result<Self, reqwest::Error> {
        let identity = Zeroizing::new(format!("{certificate}\n{key}\n"));
        let identity = reqwest::Identity::from_pem(identity.as_bytes())?;
        Self::built(|builder| builder.identity(identity))
    }

    fn built(
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        more(reqwest::Client::builder())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map(Self)
    }
}

impl Transport for Outbound {
    fn send(&self, request: http::Request<Bytes>) -> Sending {
        let client = self.0.clone();
        Box::pin(async move {
            let failed = |error: reqwest::Error| TransportError { reason: chain(&error) };
            let bounds = request.extensions().get::<AnswerBounds>().copied();
            let bytes_max = bounds.map_or(BODY_BYTES_MAX, |bounds| bounds.bytes_max);
            let mut request = reqwest::Request::try_from(request).map_err(failed)?;
            if let Some(bounds) = bounds {
                *request.timeout_mut() = Some(bounds.time_max);
            }
            let mut answer = client.execute(request).await.map_err(failed)?;
            let mut head = http::Response::builder().status(answer.status());
            if let Some(headers) = head.headers_mut() {
                headers.clone_from(answer.headers());
            }
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > bytes_max {
                    return Err(TransportError {
                        reason: format!("the answer is larger than {bytes_max} bytes"),
                    });
                }
                body.extend_from_slice(&chunk);
            }
            head.body(body.freeze()).map_err(|error| TransportError { reason: error.to_string() })
        })
    }
}

/// An error with its causes: reqwest's own words leave out why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}
