//! Hours of trouble upstream in a second: time is tokio's, and stands still while anybody works; upstreams are servers in
//! this process; chance has a seed, which is printed.

mod purse;
mod scenes;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::stream;
use gateway::{
    chat::KeyLimits,
    dispatch::TargetHealth,
    inference::{Front, Parts},
    keys::{KeyRecord, KeyTable, Keys, digest},
    limits::Limits,
    meter::Tails,
    plan::Snapshot,
    provider::{Dial, Line, Upstreams},
    telemetry::Metrics,
    upkeep::Upkeep,
};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, service::service_fn};
use hyper_util::rt::TokioIo;
use payments::prices::{Book, Published, Sheet};
use prometheus::Registry;
use router_config::RawTables;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use units::{AccountId, Clock, KeyId, Livemode, Timestamp, Wake};

use self::purse::Purse;

const SECRET: &[u8] = b"server secret";
const KEY: &str = "sk-sim";

/// Tokio's time as the house's.
#[derive(Debug)]
pub(crate) struct SimClock(Instant);

impl SimClock {
    const BEGINS: Timestamp = Timestamp(1_800_000_000_000_000);
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Self::BEGINS.after(self.0.elapsed())
    }

    fn sleep_until(&self, at: Timestamp) -> Wake {
        let wait = at.since(self.now());
        Box::pin(sleep(wait))
    }
}

/// What an upstream does with a call.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers after a while.
    Answers(Duration),
    /// Says so after a while, with a header or two.
    Says(u16, Vec<(&'static str, String)>, &'static str, Duration),
    /// Begins a stream, and brings a piece of it every so often.
    Drips(Duration),
    /// Nothing, for ever.
    Nothing,
    /// Closes the connection.
    Closes,
}

impl Does {
    pub(crate) fn fails(status: u16) -> Self {
        Self::Says(status, Vec::new(), r#"{"error":{"message":"trouble"}}"#, Duration::from_millis(20))
    }
}

/// One call as an upstream saw it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Since the simulation began.
    pub(crate) at: Duration,
    /// The key that was shown.
    pub(crate) key: String,
    /// What for: a call, or to see how we stand.
    pub(crate) path: String,
}

type Behaviour = Box<dyn FnMut(&Asked) -> Does + Send>;

/// An upstream in this process.
pub(crate) struct Far {
    begun: Instant,
    behaves: Mutex<Behaviour>,
    pub(crate) asked: Mutex<Vec<Asked>>,
}

impl Far {
    fn new(begun: Instant) -> Arc<Self> {
        let answers: Behaviour = Box::new(|_| Does::Answers(Duration::from_millis(200)));
        Arc::new(Self { begun, behaves: Mutex::new(answers), asked: Mutex::default() })
    }

    pub(crate) fn will(&self, behaves: impl FnMut(&Asked) -> Does + Send + 'static) {
        *self.behaves.lock().unwrap() = Box::new(behaves);
    }

    pub(crate) fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Calls that came between two moments.
    pub(crate) fn between(&self, from: u64, to: u64) -> usize {
        let within = |asked: &&Asked| (from..to).contains(&asked.at.as_secs());
        self.asked.lock().unwrap().iter().filter(within).count()
    }

    fn does(&self, path: &str, headers: &HeaderMap) -> Does {
        let key = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let key = key.trim_start_matches("Bearer ").to_owned();
        let asked = Asked { at: self.begun.elapsed(), key, path: path.to_owned() };
        self.asked.lock().unwrap().push(asked.clone());
        (self.behaves.lock().unwrap())(&asked)
    }
}

type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

const WORD: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}"#;
const END: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}"#;
const WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"word word word"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}"#;

async fn serve(
    far: Arc<Far>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Sent>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let streams = std::str::from_utf8(&body).unwrap().contains(r#""stream":true"#);
    let plain = |status: u16, kind: &str, body: String| {
        let body = Full::from(body).map_err(|e: Infallible| match e {}).boxed_unsync();
        Response::builder().status(status).header("content-type", kind).body(body).unwrap()
    };
    match far.does(head.uri.path(), &head.headers) {
        Does::Answers(after) => {
            sleep(after).await;
            Ok(if streams {
                let events = format!(
                    "data: {WORD}\n\ndata: {WORD}\n\ndata: {WORD}\n\ndata: {END}\n\ndata: [DONE]\n\n"
                );
                plain(200, "text/event-stream", events)
            } else {
                plain(200, "application/json", WHOLE.to_owned())
            })
        }
        Does::Says(status, headers, body, after) => {
            sleep(after).await;
            let mut said = plain(status, "application/json", body.to_owned());
            for (name, value) in headers {
                said.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(said)
        }
        Does::Drips(every) => {
            let pieces = stream::unfold(0, move |n| async move {
                sleep(every).await;
                let piece = Bytes::from(format!("data: {WORD}\n\n"));
                (n < 1_000).then_some((Ok(Frame::data(piece)), n + 1))
            });
            let body = StreamBody::new(pieces).boxed_unsync();
            Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
        }
        Does::Nothing => std::future::pending().await,
        Does::Closes => Err(std::io::Error::other("closed")),
    }
}

/// How a client fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fared {
    /// Since the simulation began, when it asked.
    pub(crate) at: Duration,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Fared {
    /// A whole answer, as an SDK would find it.
    pub(crate) fn well(&self) -> bool {
        self.status == 200 && !self.text.contains(r#""error""#)
    }
}

type Face = Front<Full<Bytes>, BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>>;

pub(crate) struct Sim {
    pub(crate) fars: BTreeMap<String, Arc<Far>>,
    pub(crate) purse: Arc<Purse>,
    pub(crate) health: Arc<TargetHealth>,
    pub(crate) metrics: Metrics,
    upkeep: Upkeep,
    begun: Instant,
    front: Face,
    fared: Arc<Mutex<Vec<Fared>>>,
    calls: TaskTracker,
    servers: TaskTracker,
}

impl Sim {
    /// Providers `a`, `b` and so on, of the file's `[[providers]]`, `[[models]]` and `[[routes]]`; the model is `m`. Keys
    /// that are named `env:X` are `X`.
    pub(crate) fn open(config: &str) -> Self {
        let (begun, servers) = (Instant::now(), TaskTracker::new());
        let clock: Arc<dyn Clock> = Arc::new(SimClock(begun));
        let raw: RawTables = toml::from_str(config).unwrap_or_else(|wrong| panic!("{wrong}"));
        let mut table = raw.validate().unwrap_or_else(|wrong| panic!("{wrong}"));
        table.limits.requests_per_minute = 1_000_000;
        table.limits.tokens_per_minute = 1_000_000_000;
        let fars: BTreeMap<String, Arc<Far>> =
            table.providers.keys().map(|id| (id.clone(), Far::new(begun))).collect();
        let keys: BTreeMap<String, Vec<String>> = (table.providers.iter())
            .map(|(id, provider)| {
                let keys =
                    provider.api_keys.iter().map(|key| key.to_string().trim_start_matches("env:").to_owned());
                (id.clone(), keys.collect())
            })
            .collect();
        let dial = dial(fars.clone(), servers.clone());
        let upstreams = Upstreams::within(&table, &keys, &clock, &dial).unwrap();
        let sheet = r#"{"models": {"m": {"input": "1.00", "output": "2.00"}}}"#;
        let version = Published {
            list: "standard".to_owned(),
            number: 1,
            valid_from: clock.now(),
            sheet: Arc::new(Sheet::read(sheet).unwrap()),
        };
        let prices = Arc::new(Book::new([version], HashMap::new(), &HashMap::new()));
        let snapshots = Arc::new(ArcSwap::from_pointee(Snapshot { table: Arc::new(table), prices }));
        let record = KeyRecord {
            key: KeyId::new(clock.now()),
            account: AccountId::new(clock.now()),
            livemode: Livemode::Demo,
            name: "sim".to_owned(),
            limits: KeyLimits::default(),
            revoked: false,
            expires_at: None,
            temporary: false,
        };
        let known = Arc::new(KeyTable::from_pointee(HashMap::from([(digest(SECRET, KEY), record)])));
        let bounds = Arc::clone(&snapshots);
        let room = Limits::new(move || Arc::clone(&bounds.load().table), Arc::clone(&clock), None);
        let nobody = Arc::new(crate::world::Store(HashMap::new()));
        let keys = Keys::new(known, SECRET, nobody, room, Arc::clone(&clock));
        let metrics = Metrics::new(Registry::new()).unwrap();
        let purse = Purse::of(1_000_000_000_000);
        let health = Arc::new(TargetHealth::new(Arc::clone(&clock)));
        let tails = Tails::new(TaskTracker::new(), CancellationToken::new(), Duration::from_secs(20));
        let parts = Parts {
            cache: crate::world::cache(0, None, &clock, &metrics),
            clock,
            keys,
            snapshots,
            upstreams: Arc::new(ArcSwap::from_pointee(upstreams)),
            health: Arc::clone(&health),
            till: Arc::new(purse::Till(Arc::clone(&purse))),
            tails,
            metrics: metrics.clone(),
            topup_url: "https://tollgate.example/topup".into(),
            keep_alive: Duration::from_secs(10),
            region: None,
        };
        let upkeep = Upkeep {
            snapshots: Arc::clone(&parts.snapshots),
            upstreams: Arc::clone(&parts.upstreams),
            health: Arc::clone(&health),
            metrics: metrics.clone(),
            clock: Arc::clone(&parts.clock),
        };
        let elsewhere = tower::service_fn(|_| async { Ok(Response::new(Full::<Bytes>::from("elsewhere"))) });
        let front = Front::new(&parts, Arc::new(|| Ok(())), BoxCloneSyncService::new(elsewhere));
        Self {
            fars,
            purse,
            health,
            metrics,
            upkeep,
            begun,
            front,
            fared: Arc::default(),
            calls: TaskTracker::new(),
            servers,
        }
    }

    pub(crate) fn far(&self, id: &str) -> &Arc<Far> {
        &self.fars[id]
    }

    /// What looks after providers in the background begins.
    pub(crate) fn upkeep(&self) -> JoinHandle<()> {
        self.servers.spawn(self.upkeep.clone().run(CancellationToken::new()))
    }

    /// One call, to its end.
    pub(crate) async fn call(&self, stream: bool) -> Fared {
        call(self.front.clone(), self.begun, stream).await
    }

    /// Calls begin, so many a second for so long; half of them are streams. Nobody waits for another.
    pub(crate) async fn calls(&self, per_second: u32, seconds: u64) {
        let each = Duration::from_secs(1) / per_second;
        for n in 0..u64::from(per_second) * seconds {
            let (front, begun, fared) = (self.front.clone(), self.begun, Arc::clone(&self.fared));
            self.calls.spawn(async move {
                let came = call(front, begun, n % 2 == 0).await;
                fared.lock().unwrap_or_else(PoisonError::into_inner).push(came);
            });
            sleep(each).await;
        }
    }

    /// How everybody fared, once all have.
    pub(crate) async fn fared(&self) -> Vec<Fared> {
        self.calls.close();
        self.calls.wait().await;
        self.calls.reopen();
        self.purse.is_whole();
        let mut fared = std::mem::take(&mut *self.fared.lock().unwrap());
        fared.sort_by_key(|it| it.at);
        fared
    }
}

async fn call(mut front: Face, begun: Instant, stream: bool) -> Fared {
    let body = format!(
        r#"{{"model":"m","stream":{stream},"max_tokens":100,"messages":[{{"role":"user","content":"hello there"}}]}}"#
    );
    let request = Request::post("/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
    let request = request.body(Full::from(body)).unwrap();
    let asked = Instant::now();
    let answer = front.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Fared {
        at: asked.duration_since(begun),
        status: head.status.as_u16(),
        took: asked.elapsed(),
        headers: head.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Leads to the server of each provider: their addresses are `http://a.sim`, `http://b.sim` …
fn dial(fars: BTreeMap<String, Arc<Far>>, servers: TaskTracker) -> Dial {
    BoxCloneSyncService::new(tower::service_fn(move |to: Uri| {
        let far = to.host().and_then(|host| fars.get(host.trim_end_matches(".sim"))).cloned();
        let servers = servers.clone();
        async move {
            let far = far.ok_or_else(|| std::io::Error::other("no such host"))?;
            let (near_end, far_end) = tokio::io::duplex(65_536);
            servers.spawn(async move {
                let service = service_fn(move |request| serve(Arc::clone(&far), request));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(far_end), service)
                    .await;
            });
            Ok(TokioIo::new(Line(near_end)))
        }
    }))
}

/// The share of calls that went well, in millionths.
pub(crate) fn went_well(fared: &[Fared]) -> usize {
    fared.iter().filter(|it| it.well()).count() * 1_000_000 / fared.len().max(1)
}

/// What becomes of calls one after another, by a list; the last goes on.
pub(crate) fn in_turn(does: Vec<Does>) -> impl FnMut(&Asked) -> Does + Send + 'static {
    let mut does = VecDeque::from(does);
    move |_| if does.len() > 1 { does.pop_front().unwrap() } else { does[0].clone() }
}
