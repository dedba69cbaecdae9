//! One listener: accepts within bounds, serves HTTP/1 and HTTP/2, and drains when told to stop.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

use super::Peer;
use crate::{body::BodyError, chat::HEAD_MAX_BYTES};

/// What HTTP/2 clients begin with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bounds of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnLimits {
    /// Connections at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// From the connection, or the last answer, to a complete head.
    pub head_read_max: Duration,
    /// All headers of a request: with more it is turned away unread, with 431 and without a word.
    pub head_max_bytes: u32,
    /// Streams of one HTTP/2 connection at once.
    pub streams_max: u32,
    /// How long answers may go on once the process is told to stop.
    pub drain_max: Duration,
}

impl Default for ConnLimits {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            head_read_max: Duration::from_secs(30),
            head_max_bytes: 2 * HEAD_MAX_BYTES,
            streams_max: 256,
            drain_max: Duration::from_secs(30),
        }
    }
}

/// Serves `listener` until `shutdown` is cancelled and the open answers have ended or `drain_max` is over.
///
/// Every request has its [`Peer`] among its extensions. Connections run on `tasks`.
///
/// # Errors
/// None at present: a failing `accept` is retried after a pause, because it is most often a lack of file descriptors.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
    limits: ConnLimits,
) -> io::Result<()>
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let builder = builder(limits);
    let stop = CancellationToken::new(); // ends what is still open when draining has taken too long
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = shutdown.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed; trying again in 50 ms");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone().map_request(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request
        });
        let (builder, watcher, stop) = (builder.clone(), graceful.watcher(), stop.clone());
        let (head_read_max, shutdown) = (limits.head_read_max, shutdown.clone());
        tasks.spawn(async move {
            let _place = place;
            // The builder has no timer while it looks for the preface, so that phase is bounded here.
            let greeted = tokio::select! {
                greeted = timeout(head_read_max, greeting(&stream)) => greeted.is_ok_and(|alive| alive),
                () = shutdown.cancelled() => false,
            };
            if !greeted {
                return;
            }
            let service = TowerToHyperService::new(service);
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            tokio::select! {
                served = watcher.watch(connection) => {
                    if let Err(error) = served {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
    }
    drop(listener);
    if timeout(limits.drain_max, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            drain_ms = limits.drain_max.as_millis(),
            "connections still open after draining are cut"
        );
    }
    stop.cancel();
    Ok(())
}

fn builder(limits: ConnLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_read_max)
        .max_buf_size((limits.head_max_bytes as usize).max(8_192))
        // A client that half-closes has hung up: its call must not run on unseen.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.head_max_bytes)
        .max_concurrent_streams(limits.streams_max)
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Waits until the first bytes say which HTTP is spoken; false when the client went away first.
async fn greeting(stream: &TcpStream) -> bool {
    let mut seen = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut seen).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if n < PREFACE.len() && PREFACE.starts_with(seen.get(..n).unwrap_or_default()) => {
                // A piece of the preface: rare, and `peek` would return at once, so look again a little later.
                sleep(Duration::from_millis(5)).await;
            }
            Ok(_) => return true,
        }
    }
}
