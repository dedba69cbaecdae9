//! The HTTP client of one upstream.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client as Legacy, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::{Dial, fault::Fault};
use crate::chat::{AttemptResult, Trail};

/// Idle connections are closed before most providers close them.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// A request body that says when it leaves: from then on a call may cost something.
pub(super) struct Outgoing {
    bytes: Option<Bytes>,
    trail: Trail,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The client asks for the body only when it has a connection to write to.
        self.trail.sent();
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Connections to one upstream. HTTP/1.1 on purpose: the pool would keep one HTTP/2 connection per host, with the
/// host's limit on streams, and on HTTP/1.1 hanging up on one call is just closing its connection.
#[derive(Clone)]
pub(super) enum Client {
    Net(Legacy<HttpsConnector<HttpConnector>, Outgoing>),
    /// To servers in this process.
    Within(Legacy<Dial, Outgoing>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(super) fn new(tls: ClientConfig, connect_max: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        tcp.set_connect_timeout(Some(connect_max));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self::Net(pooled().build(connector))
    }

    pub(super) fn within(dial: Dial) -> Self {
        Self::Within(pooled().build(dial))
    }

    /// Sends once; an idle connection that turned out to be closed before anything was written is replaced unseen.
    pub(super) async fn send(
        &self,
        head: Request<()>,
        body: Bytes,
        trail: &Trail,
    ) -> Result<Response<Incoming>, Fault> {
        let request = head.map(|()| Outgoing { bytes: Some(body), trail: trail.clone() });
        let sending = match self {
            Self::Net(client) => client.request(request),
            Self::Within(client) => client.request(request),
        };
        sending.await.map_err(|error| {
            let what = if error.is_connect() { "no connection" } else { "the connection was lost" };
            Fault::of(AttemptResult::Unreachable, None, format!("{what}: {}", root_cause(&error)))
        })
    }
}

/// How connections are kept, whatever they lead to.
fn pooled() -> Builder {
    let mut builder = Legacy::builder(TokioExecutor::new());
    builder.pool_idle_timeout(POOL_IDLE).pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    builder
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// TLS with the operating system's roots. A machine without any still reaches upstreams over plain HTTP.
///
/// # Errors
/// If the cryptography library supports no protocol version: a build mistake.
pub(super) fn tls() -> Result<ClientConfig, rustls::Error> {
    use hyper_rustls::ConfigBuilderExt;
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
    };
    let config = match builder()?.with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no root certificates found: https upstreams cannot be reached");
            builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    Ok(config)
}
