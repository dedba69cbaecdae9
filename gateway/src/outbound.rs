//! How do payments and FX reach the outside? Through reqwest, within bounds, following nothing and decoding nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use payments::transport::{AnswerBounds, Sending, Transport, TransportError};
use zeroize::Zeroizing;

/// The largest answer that is read, where a request does not say otherwise.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is particular about TLS to one far side; everything in PEM.
#[derive(Clone, Copy, Default)]
pub struct Tls<'a> {
    /// The authorities that are trusted, and nobody else; those of the system where absent.
    pub ca: Option<&'a str>,
    /// The certificate that is shown where it is asked for, and its private key.
    pub identity: Option<(&'a str, &'a str)>,
}

/// Shows no key.
impl std::fmt::Debug for Tls<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Carries whole requests and answers.
#[derive(Debug, Clone)]
pub struct Outbound(reqwest::Client);

impl Outbound {
    /// With time limits fit for a payment call, and what is particular about its TLS.
    ///
    /// # Errors
    /// If TLS cannot be set up with that.
    pub fn new(tls: &Tls<'_>) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder();
        if let Some(ca) = tls.ca {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(ca.as_bytes())?);
        }
        if let Some((certificate, key)) = tls.identity {
            let identity = Zeroizing::new(format!("{certificate}\n{key}\n"));
            builder = builder.identity(reqwest::Identity::from_pem(identity.as_bytes())?);
        }
        builder
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
            let failed = |error: reqwest::Error| match error.is_connect() {
                true => TransportError::NeverLeft { reason: chain(&error) },
                false => TransportError::NoAnswer { reason: chain(&error) },
            };
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
                    return Err(TransportError::NoAnswer {
                        reason: format!("the answer is larger than {bytes_max} bytes"),
                    });
                }
                body.extend_from_slice(&chunk);
            }
            head.body(body.freeze()).map_err(|error| TransportError::NoAnswer { reason: error.to_string() })
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
