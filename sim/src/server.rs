//! How do bytes get in and out? The accept loop, and which path belongs to whom.
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use axum::{Extension, Router};
use http::StatusCode;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::state::World;
use crate::{control, phone, providers, tls, wechat};

/// Largest request body taken, bytes; providers refuse more as well.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// All that answers, by path.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(providers::routes())
        .merge(wechat_pay())
        .merge(phone::routes())
        .merge(control::routes())
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(world)
}

/// What merchants ask over TLS: both APIs, and nothing else.
pub(crate) fn merchants(world: Arc<World>) -> Router {
    wechat_pay().fallback(nothing).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(world)
}

/// WeChat Pay's paths under a prefix, and as its own host has them: some clients know nothing else, and sign what they know.
fn wechat_pay() -> Router<Arc<World>> {
    let paths = ["/wechat/{*path}", "/v3/{*path}", "/pay/{*path}", "/secapi/{*path}", "/xdc/{*path}"];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, any(wechat::answer)))
}

async fn nothing() -> control::Refused {
    control::Refused(StatusCode::NOT_FOUND, "nothing stands at this address".into())
}

/// Accepts until told to stop. Every connection ends with the stop, whatever it is in the middle of.
pub(crate) async fn serve(
    listener: TcpListener,
    secure: Option<TlsAcceptor>,
    app: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, _)) => {
                let (secure, app, stop) = (secure.clone(), app.clone(), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = connection(socket, secure, app) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                // Usually too many open files: give others time to close some.
                tracing::warn!(%error, "sim: accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, secure: Option<TlsAcceptor>, app: Router) {
    // Without this the kernel would glue small chunks together, and the cuts inside characters would be lost.
    let _ = socket.set_nodelay(true);
    let Some(secure) = secure else { return spoken(socket, app).await };
    match tls::shaken(&secure, socket).await {
        Ok((stream, secured)) => spoken(stream, app.layer(Extension(secured))).await,
        Err(error) => tracing::debug!(%error, "sim: no TLS came about"),
    }
}

/// HTTP until the client has enough.
async fn spoken(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    if let Err(error) = served.await {
        tracing::debug!(%error, "sim: connection ended early");
    }
}
