//! How do bytes get in and out? The accept loop, and which path belongs to whom.
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use http::StatusCode;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::state::World;
use crate::{control, phone, providers, wechat};

/// Largest request body taken, bytes; providers refuse more as well.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// All that answers, by path.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(providers::routes())
        .route("/wechat/{*path}", any(wechat::answer))
        .merge(phone::routes())
        .merge(control::routes())
        .fallback(|| async {
            control::Refused(StatusCode::NOT_FOUND, "nothing stands at this address".into())
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(world)
}

/// Accepts until told to stop. Every connection ends with the stop, whatever it is in the middle of.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, _)) => {
                tasks.spawn(connection(socket, app.clone(), stop.clone()));
            }
            Err(error) => {
                // Usually too many open files: give others time to close some.
                tracing::warn!(%error, "sim: accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, app: Router, stop: CancellationToken) {
    // Without this the kernel would glue small chunks together, and the cuts inside characters would be lost.
    let _ = socket.set_nodelay(true);
    let service = TowerToHyperService::new(app);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "sim: connection ended early");
        },
        () = stop.cancelled() => {}
    }
}
