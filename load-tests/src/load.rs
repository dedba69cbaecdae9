//! One constant rate of calls to one address, and what became of each.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    answer::{self, Answer},
    schedule::Schedule,
    tally::Tally,
};

/// The client everything is asked with: HTTP/1.1 with connections kept open.
pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

/// Calls in flight at once; beyond it calls are dropped, and counted.
pub(crate) const IN_FLIGHT_MAX: usize = 400;
/// A call without a whole answer by then has failed.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Between deciding to start and the first intended time.
const RUN_UP: Duration = Duration::from_millis(20);
/// Different questions; each call asks the next.
const QUESTIONS: u64 = 16;
/// The model that is asked for, directly and through the gateway.
pub(crate) const MODEL: &str = "bench";

/// A client.
pub(crate) fn http() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    // A call that is sent twice would be counted once.
    Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector)
}

/// How an answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In one piece.
    Whole,
    /// As server-sent events.
    Stream,
}

impl Mode {
    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "non-stream",
            Self::Stream => "stream",
        }
    }

    fn body(self, question: u64) -> Bytes {
        let mut body = json!({
            "model": MODEL,
            "messages": [
                {"role": "system", "content": "You keep the toll gate of a mountain road. Answer travellers briefly and kindly, \
                    tell them what passing costs and why, and never let anybody pass who has not paid. Carts pay by the \
                    wheel, riders by the hoof, and whoever walks pays nothing."},
                {"role": "user", "content": format!("Traveller {question} asks: what do I owe, and when does the gate close?")},
            ],
        });
        if self == Self::Stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string().into()
    }
}

/// One way to ask: an address, a key, a mode.
#[derive(Debug)]
pub(crate) struct Lane {
    http: Http,
    uri: Uri,
    authorization: HeaderValue,
    mode: Mode,
    bodies: Vec<Bytes>,
    room: Arc<Semaphore>,
}

/// What one call came to.
struct Call {
    first_byte: Instant,
    last_byte: Instant,
    answer: Result<Answer, String>,
}

impl Lane {
    /// Asks `{base}/chat/completions`.
    ///
    /// # Errors
    /// If the address or the key cannot be sent.
    pub(crate) fn new(base: &str, key: &str, mode: Mode) -> anyhow::Result<Self> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}")).context("the key")?;
        authorization.set_sensitive(true);
        Ok(Self {
            http: http(),
            uri: format!("{base}/chat/completions").parse().with_context(|| base.to_owned())?,
            authorization,
            mode,
            bodies: (0..QUESTIONS).map(|question| mode.body(question)).collect(),
            room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        })
    }

    /// Sends the calls of `schedule`, the first of which is the `from`th, and waits for all of them to end.
    ///
    /// # Errors
    /// If the thread that keeps the time ended before its time.
    pub(crate) async fn drive(self: &Arc<Self>, schedule: Schedule, from: u64) -> anyhow::Result<Tally> {
        let tally = Arc::new(Mutex::new(Tally::new()));
        let tasks = TaskTracker::new();
        let start = Instant::now() + RUN_UP;
        let halt = HaltOnDrop(Arc::new(AtomicBool::new(false)));
        let pacing = tokio::task::spawn_blocking({
            let (lane, tally, tasks, halt) = (self.clone(), tally.clone(), tasks.clone(), halt.0.clone());
            let runtime = Handle::current();
            move || {
                schedule.pace(start, &halt, |index, due| match lane.room.clone().try_acquire_owned() {
                    Ok(room) => {
                        let (lane, tally) = (lane.clone(), tally.clone());
                        let one = async move {
                            lane.one(from + index, start, due, &tally).await;
                            drop(room);
                        };
                        tasks.spawn_on(one, &runtime);
                    }
                    Err(_) => lock(&tally).dropped += 1,
                });
            }
        });
        pacing.await.context("the thread that keeps the time")?;
        tasks.close();
        tasks.wait().await;
        let mut tally = lock(&tally).clone();
        tally.planned = schedule.calls();
        // `one` noted when the last call left; a rate counts the interval after it too.
        tally.sending = (tally.sending + schedule.intended(1)).max(schedule.length());
        Ok(tally)
    }

    async fn one(&self, index: u64, start: Instant, due: Instant, tally: &Mutex<Tally>) {
        let sent = Instant::now();
        let asked = timeout(CALL_MAX, self.ask(index)).await;
        let mut tally = lock(tally);
        tally.sent += 1;
        tally.lag.record(sent.saturating_duration_since(due));
        tally.sending = tally.sending.max(sent.saturating_duration_since(start));
        match asked {
            Err(_) => tally.failed("timeout".to_owned()),
            Ok(Err(error)) => tally.failed(transport(&error).to_owned()),
            Ok(Ok(Call { answer: Err(why), .. })) => tally.failed(why),
            Ok(Ok(Call { first_byte, last_byte, answer: Ok(answer) })) => {
                tally.answered(answer);
                tally.latency.total.record(last_byte.saturating_duration_since(due));
                tally.latency.first_byte.record(first_byte.saturating_duration_since(due));
                tally.latency.from_send.record(last_byte.saturating_duration_since(sent));
            }
        }
    }

    async fn ask(&self, index: u64) -> anyhow::Result<Call> {
        let body = usize::try_from(index % QUESTIONS).ok().and_then(|question| self.bodies.get(question));
        let request = Request::post(self.uri.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.cloned().unwrap_or_default()))?;
        let (head, mut frames) = self.http.request(request).await?.into_parts();
        let mut said = Vec::new();
        let mut first_byte = None;
        while let Some(frame) = frames.frame().await {
            if let Some(data) = frame?.data_ref() {
                first_byte.get_or_insert_with(Instant::now);
                said.extend_from_slice(data);
            }
        }
        let last_byte = Instant::now();
        let answer = if head.status.is_success() {
            let cost = head.headers.get("x-tollgate-cost-cny").and_then(|cost| cost.to_str().ok());
            let answer = match self.mode {
                Mode::Whole => answer::whole(&said, cost),
                Mode::Stream => answer::stream(&said),
            };
            answer.map_err(|why| why.name().to_owned())
        } else {
            Err(format!("HTTP {}", head.status.as_u16()))
        };
        Ok(Call { first_byte: first_byte.unwrap_or(last_byte), last_byte, answer })
    }
}

fn transport(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<hyper_util::client::legacy::Error>() {
        Some(error) if error.is_connect() => "no connection",
        _ => "broken connection",
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever stops waiting for a drive stops the drive.
struct HaltOnDrop(Arc<AtomicBool>);

impl Drop for HaltOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_modes_ask_the_same_questions() {
        for question in 0..QUESTIONS {
            let read =
                |mode: Mode| serde_json::from_slice::<serde_json::Value>(&mode.body(question)).unwrap();
            let (whole, stream) = (read(Mode::Whole), read(Mode::Stream));
            assert_eq!(whole["messages"], stream["messages"]);
            assert_eq!((&whole["stream"], &stream["stream"]), (&json!(null), &json!(true)));
            assert_eq!(stream["stream_options"]["include_usage"], true);
        }
        assert_ne!(Mode::Whole.body(0), Mode::Whole.body(1));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_is_counted_not_a_panic() {
        // A listener that is gone again: its port refuses.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lane = Arc::new(Lane::new(&format!("http://127.0.0.1:{port}/v1"), "k", Mode::Whole).unwrap());
        let tally = lane.drive(Schedule::new(1_000, 5), 0).await.unwrap();
        assert_eq!((tally.planned, tally.sent, tally.answered, tally.dropped), (5, 5, 0, 0));
        assert_eq!(tally.errors["no connection"], 5);
    }
}
