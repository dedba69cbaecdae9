//! A far side that does exactly as told, over real sockets.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
};
use tokio_util::task::TaskTracker;

/// What the upstream does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    Stream {
        content_type: &'static str,
        pieces: Vec<Piece>,
    },
    /// Never answers.
    Silent,
    /// Reads the request and closes the connection.
    Close,
}

#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// Waits for one permit of [`Upstream::gate`].
    Gate,
    Stall,
    /// Resets the connection.
    Cut,
}

pub(crate) fn answer(status: u16, body: impl Into<String>) -> Script {
    let headers = vec![("content-type", "application/json".to_owned())];
    Script::Answer { status, headers, body: body.into() }
}

pub(crate) fn events(texts: &[&str]) -> Script {
    let pieces = texts.iter().map(|text| Piece::Bytes(format!("data: {text}\n\n").into())).collect();
    stream(pieces)
}

pub(crate) fn stream(pieces: Vec<Piece>) -> Script {
    Script::Stream { content_type: "text/event-stream", pieces }
}

pub(crate) fn chunk(text: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{{"index":0,"delta":{{"content":{}}},"finish_reason":null}}]}}"#,
        serde_json::to_string(text).unwrap()
    )
}

pub(crate) const FINISH: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

pub(crate) fn usage_chunk(input: u64, output: u64) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{},"x":1.0}}}}"#,
        input + output
    )
}

pub(crate) fn whole(text: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion","created":1,"model":"up","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]{usage}}}"#
    )
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) raw: String,
}

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) port: u16,
    pub(crate) scripts: Mutex<VecDeque<Script>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Streams whose connection the gateway closed before they were over.
    pub(crate) cancelled: AtomicUsize,
    pub(crate) arrived: Notify,
    pub(crate) gate: Semaphore,
    changed: Notify,
}

type Answering = UnsyncBoxBody<Bytes, std::io::Error>;

impl Upstream {
    pub(crate) async fn start(tasks: &TaskTracker) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            scripts: Mutex::default(),
            seen: Mutex::default(),
            cancelled: AtomicUsize::new(0),
            arrived: Notify::new(),
            gate: Semaphore::new(0),
            changed: Notify::new(),
        });
        let (shared, inner) = (Arc::clone(&upstream), tasks.clone());
        tasks.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let upstream = Arc::clone(&shared);
                inner.spawn(async move {
                    let service = service_fn(move |request| {
                        let upstream = Arc::clone(&upstream);
                        async move { upstream.serve(request).await }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        upstream
    }

    pub(crate) fn will(&self, script: Script) -> &Self {
        self.scripts.lock().unwrap().push_back(script);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) async fn until_cancelled(&self) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.cancelled.load(Ordering::Acquire) > 0 {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the upstream is still asked");
    }

    async fn serve(
        self: Arc<Self>,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<Response<Answering>, std::io::Error> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return Err(std::io::Error::other("gone")) };
        let raw = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let path = head.uri.to_string();
        let seen = Seen { path, headers: head.headers, body: serde_json::from_str(&raw).unwrap(), raw };
        self.seen.lock().unwrap().push(seen);
        self.arrived.notify_one();
        let script = self.scripts.lock().unwrap().pop_front().expect("an unexpected request");
        let watch = Watch { upstream: Arc::clone(&self), over: false };
        match script {
            Script::Answer { status, headers, body } => {
                watch.over();
                let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                let body = Full::from(body).map_err(|e: Infallible| match e {});
                Ok(response.body(body.boxed_unsync()).unwrap())
            }
            Script::Stream { content_type, pieces } => {
                let state = (self, watch, VecDeque::from(pieces));
                let body = stream::unfold(state, |(upstream, watch, mut pieces)| async move {
                    loop {
                        match pieces.pop_front() {
                            None => {
                                watch.over();
                                return None;
                            }
                            Some(Piece::Bytes(bytes)) => {
                                return Some((Ok(Frame::data(bytes)), (upstream, watch, pieces)));
                            }
                            Some(Piece::Gate) => upstream.gate.acquire().await.unwrap().forget(),
                            Some(Piece::Stall) => std::future::pending::<()>().await,
                            Some(Piece::Cut) => {
                                tokio::task::yield_now().await; // so that what came before is written first
                                let cut = Err(std::io::Error::other("cut"));
                                return Some((cut, (upstream, watch, pieces)));
                            }
                        }
                    }
                });
                let body = StreamBody::new(body).boxed_unsync();
                Ok(Response::builder().header("content-type", content_type).body(body).unwrap())
            }
            Script::Silent => {
                std::future::pending::<()>().await;
                drop(watch);
                Err(std::io::Error::other("never"))
            }
            Script::Close => {
                watch.over();
                Err(std::io::Error::other("closed"))
            }
        }
    }
}

/// Notices that the gateway hung up.
struct Watch {
    upstream: Arc<Upstream>,
    over: bool,
}

impl Watch {
    fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.over {
            self.upstream.cancelled.fetch_add(1, Ordering::Release);
            self.upstream.changed.notify_waiters();
        }
    }
}
