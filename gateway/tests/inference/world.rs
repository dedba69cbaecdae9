//! Everything around the path: keys, prices, upstreams, a till, and a client with a socket.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use gateway::{
    cache::{Cache, CacheMetrics, CacheSecret, LocalShelf, Shelf},
    chat::KeyLimits,
    dispatch::TargetHealth,
    edge::{ConnLimits, serve},
    inference::{Front, Parts},
    keys::{KeyDigest, KeyRecord, KeySource, KeyTable, Keys, SourceDown, digest},
    limits::{Limits as Room, Shared},
    meter::Tails,
    plan::{Snapshot, Snapshots},
    provider::Upstreams,
    telemetry::Metrics,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use payments::prices::{Book, Published, Sheet};
use prometheus::Registry;
use router_config::{
    Alias, Bounds, CacheBounds, ChargedAs, Condition, Currency, FailureClass, Limits, ListPrice,
    MicroPerMillion, Model, ModelKind, Provider, Route, RouteTable, Routes, Strategy, Target, WhenShort,
    catalog,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{AccountId, Clock, KeyId, Livemode, Timestamp, Tokens, Wake};

use crate::{
    till::{FakeTill, SharedTill},
    upstream::Upstream,
};

pub(crate) const KEY: &str = "sk-test";
pub(crate) const SECRET: &[u8] = b"server secret";

#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_800_000_000_000_000))
    }
}

impl HandClock {
    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Timestamp) -> Wake {
        Box::pin(std::future::pending())
    }
}

/// Keys that only the store knows.
#[derive(Debug)]
pub(crate) struct Store(pub(crate) HashMap<KeyDigest, KeyRecord>);

impl KeySource for Store {
    fn lookup(&self, digest: &KeyDigest) -> gateway::keys::Later<'_, Result<Option<KeyRecord>, SourceDown>> {
        let found = self.0.get(digest).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }
}

pub(crate) struct Setup {
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) first_byte_max: Duration,
    pub(crate) idle_max: Duration,
    pub(crate) limits: Limits,
    pub(crate) key_limits: KeyLimits,
    /// Of `chatty`.
    pub(crate) model_bounds: Bounds,
    /// Of every provider.
    pub(crate) provider_bounds: Bounds,
    /// Whose key it is, where several nodes are to know the same.
    pub(crate) caller: Option<(AccountId, KeyId)>,
    /// Where limits are counted together with other nodes.
    pub(crate) shared: Option<Shared>,
    /// Attempts of a call; as many as there are upstreams where nought.
    pub(crate) attempts_max: u32,
    /// Keys of the first upstream.
    pub(crate) keys: usize,
    pub(crate) drain_max: Duration,
    pub(crate) keep_alive: Duration,
    /// The routes of a model, made of the one that has every upstream as a target.
    pub(crate) routes: fn(Route) -> Vec<Route>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) region: Option<&'static str>,
    /// What the upstreams call the models; `up-0` and so on where empty.
    pub(crate) upstream_model: &'static str,
    /// What the exact cache may keep, in bytes.
    pub(crate) cache_bytes: u64,
    /// Where answers are shared with other nodes.
    pub(crate) shared_answers: Option<Arc<dyn Shelf>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            kinds: vec!["openai"],
            first_byte_max: Duration::from_secs(20),
            idle_max: Duration::from_secs(20),
            limits: Limits { body_max_bytes: 100_000, ..Limits::default() },
            key_limits: KeyLimits::default(),
            model_bounds: Bounds::default(),
            provider_bounds: Bounds::default(),
            caller: None,
            shared: None,
            attempts_max: 0,
            keys: 1,
            drain_max: Duration::from_secs(20),
            keep_alive: Duration::from_secs(10),
            routes: |route| vec![route],
            aliases: Vec::new(),
            region: None,
            upstream_model: "",
            cache_bytes: 1_000_000,
            shared_answers: None,
        }
    }
}

pub(crate) struct World {
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) till: Arc<FakeTill>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) metrics: Metrics,
    pub(crate) tails: Tails,
    pub(crate) shutdown: CancellationToken,
    pub(crate) health: Arc<TargetHealth>,
    pub(crate) targets: Vec<Target>,
    snapshots: Snapshots,
    port: u16,
}

pub(crate) type Rest = Response<hyper::body::Incoming>;

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Read {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn error(&self, member: &str) -> Value {
        self.json()["error"][member].clone()
    }

    /// The data of every event, and that nothing else is in the stream but comments.
    pub(crate) fn events(&self) -> Vec<String> {
        assert!(self.text.ends_with("\n\n"), "{:?}", self.text);
        let blocks = self.text.trim_end().split("\n\n").filter(|block| !block.starts_with(": "));
        blocks.map(|block| block.strip_prefix("data: ").expect("an event").to_owned()).collect()
    }

    pub(crate) fn spoken(&self) -> String {
        let events = self.events().into_iter().filter_map(|event| serde_json::from_str::<Value>(&event).ok());
        events
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    }
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let tasks = TaskTracker::new();
        let clock = Arc::new(HandClock::default());
        let shared_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let mut upstreams = Vec::new();
        let mut providers = BTreeMap::new();
        let mut targets = Vec::new();
        for (i, kind) in setup.kinds.iter().enumerate() {
            let upstream = Upstream::start(&tasks).await;
            let facts = catalog().provider(kind).unwrap();
            let provider = Arc::new(Provider {
                id: format!("p{i}"),
                kind: (*kind).to_owned(),
                region: None,
                wire: facts.wire,
                auth: facts.auth.clone(),
                quirks: Arc::clone(&facts.quirks),
                base_url: format!("http://127.0.0.1:{}/v1", upstream.port),
                api_keys: (0..if i == 0 { setup.keys } else { 0 })
                    .map(|key| format!("env:KEY_{key}").parse().unwrap())
                    .collect(),
                livemode: Livemode::Demo,
                connect_max: Duration::from_secs(5),
                first_byte_max: setup.first_byte_max,
                idle_max: setup.idle_max,
                total_max: setup.first_byte_max.max(setup.idle_max),
                stream_bytes_per_second_min: 0,
                probe_every: None,
                balance_alert_micro: None,
                bounds: setup.provider_bounds,
            });
            let upstream_model = match setup.upstream_model {
                "" => format!("up-{i}"),
                named => named.to_owned(),
            };
            targets.push(Target {
                provider: Arc::clone(&provider),
                upstream_model,
                facts: None,
                weight: 1,
                priority: 0,
                when: Condition::default(),
            });
            providers.insert(provider.id.clone(), provider);
            upstreams.push(upstream);
        }
        let price = |n| MicroPerMillion(n);
        let list = ListPrice {
            currency: Currency::Cny,
            input: price(1_000_000),
            cached_input: None,
            cache_write: None,
            output: price(2_000_000),
        };
        let model = |id: &str, kind, livemode| {
            Arc::new(Model {
                id: id.to_owned(),
                owned_by: "sim".to_owned(),
                kind,
                caps: BTreeSet::new(),
                livemode,
                context: Tokens(100_000),
                output_max: Tokens(8_000),
                price: Some(list.clone()),
                bounds: if id == "chatty" { setup.model_bounds } else { Bounds::default() },
            })
        };
        let models = [
            model("chatty", ModelKind::Chat, Livemode::Demo),
            model("cheap", ModelKind::Chat, Livemode::Demo),
            model("embedder", ModelKind::Embedding, Livemode::Demo),
            model("completer", ModelKind::Completion, Livemode::Demo),
            model("responder", ModelKind::Responses, Livemode::Demo),
            model("unpriced/x", ModelKind::Chat, Livemode::Demo),
            model("real", ModelKind::Chat, Livemode::Live),
        ];
        let route = |model: &Arc<Model>| Route {
            model: Arc::clone(model),
            name: None,
            when: Condition::default(),
            strategy: Strategy::default(),
            when_short: WhenShort::default(),
            targets: targets.clone(),
            hold_output_tokens: Tokens(4_096),
            attempts_max: match setup.attempts_max {
                0 => u32::try_from(setup.kinds.len()).unwrap(),
                attempts => attempts,
            },
            fail_over_on: FailureClass::unless_said(),
            total_max: Duration::from_secs(60),
            hedge: None,
            continue_streams: false,
            downgrade_to: Vec::new(),
            charged_as: ChargedAs::default(),
            cost_percent_max: None,
            cache: None,
        };
        let table = Arc::new(RouteTable {
            providers,
            routes: models
                .iter()
                .map(|m| (m.id.clone(), Routes((setup.routes)(route(m)).into_iter().map(Arc::new).collect())))
                .collect(),
            models: models.iter().map(|m| (m.id.clone(), Arc::clone(m))).collect(),
            limits: setup.limits.clone(),
            aliases: setup.aliases.clone(),
            cache: CacheBounds::default(),
        });
        let row = r#"{"input": "1.00", "cached_input": "0.10", "output": "2.00"}"#;
        let little = r#"{"input": "0.10", "output": "0.20"}"#;
        let dollars = r#"{"currency": "USD", "input": "1.00", "output": "2.00"}"#;
        let sheet = format!(
            r#"{{"models": {{"chatty": {row}, "cheap": {little}, "real": {row}, "embedder": {row}, "completer": {row}, "responder": {row}, "unpriced/x": {dollars}}}}}"#
        );
        let version = Published {
            list: "standard".to_owned(),
            number: 7,
            valid_from: clock.now(),
            sheet: Arc::new(Sheet::read(&sheet).unwrap()),
        };
        let prices = Book::new([version], HashMap::new(), &HashMap::new());
        let names = ["upstream-key", "second-key", "third-key"];
        let secrets: BTreeMap<String, Vec<&str>> =
            BTreeMap::from([("p0".to_owned(), names[..setup.keys].to_vec())]);
        let ready = Upstreams::new(&table, &secrets, &shared_clock).unwrap();
        let snapshots = Arc::new(ArcSwap::from_pointee(Snapshot { table, prices: Arc::new(prices) }));

        let at = clock.now();
        let (account, key) = setup.caller.unwrap_or_else(|| (AccountId::new(at), KeyId::new(at)));
        let record = |name: &str, revoked| KeyRecord {
            key: if name == "test" { key } else { KeyId::new(at) },
            account,
            livemode: Livemode::Demo,
            name: name.to_owned(),
            limits: setup.key_limits,
            revoked,
            expires_at: None,
            temporary: false,
        };
        let known = HashMap::from([
            (digest(SECRET, KEY), record("test", false)),
            (digest(SECRET, "sk-other"), KeyRecord { account: AccountId::new(at), ..record("other", false) }),
            (digest(SECRET, "sk-revoked"), record("old", true)),
        ]);
        let stored = HashMap::from([(digest(SECRET, "sk-new"), record("new", false))]);
        let bounds = Arc::clone(&snapshots);
        let room = Room::new(
            move || Arc::clone(&bounds.load().table),
            Arc::clone(&shared_clock),
            setup.shared.clone(),
        );
        let table = Arc::new(KeyTable::from_pointee(known));
        let keys = Keys::new(table, SECRET, Arc::new(Store(stored)), room, Arc::clone(&shared_clock));

        let till = FakeTill::new();
        let metrics = Metrics::new(Registry::new()).unwrap();
        let cache = cache(setup.cache_bytes, setup.shared_answers, &shared_clock, &metrics);
        let shutdown = CancellationToken::new();
        let stop = CancellationToken::new();
        let tails = Tails::new(tasks.clone(), stop, setup.drain_max);
        let health = Arc::new(TargetHealth::new(Arc::clone(&shared_clock)));
        let parts = Parts {
            clock: shared_clock,
            keys,
            snapshots: Arc::clone(&snapshots),
            upstreams: Arc::new(ArcSwap::from_pointee(ready)),
            health: Arc::clone(&health),
            till: Arc::new(SharedTill(Arc::clone(&till))),
            tails: tails.clone(),
            metrics: metrics.clone(),
            cache,
            topup_url: "https://tollgate.example/topup".into(),
            keep_alive: setup.keep_alive,
            region: setup.region.map(Into::into),
        };
        let fallback = tower::service_fn(|_| async {
            Ok::<_, Infallible>(
                Response::builder().status(418).body(Full::<Bytes>::from("elsewhere")).unwrap(),
            )
        });
        let front = Front::new(&parts, Arc::new(|| Err("still warming up".to_owned())), fallback);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (served, token) = (tasks.clone(), shutdown.clone());
        tasks.spawn(async move {
            serve(listener, front, &served, token, ConnLimits::default()).await.unwrap();
        });
        Self { upstreams, till, clock, metrics, tails, shutdown, health, targets, snapshots, port }
    }

    /// The file is read anew, and says this of limits.
    pub(crate) fn limited_to(&self, limits: Limits) {
        let now = self.snapshots.load_full();
        let table = Arc::new(RouteTable { limits, ..RouteTable::clone(&now.table) });
        self.snapshots.store(Arc::new(Snapshot { table, prices: Arc::clone(&now.prices) }));
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstreams[0]
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://127.0.0.1:{}{path}", self.port))
    }

    /// Sends, on a connection of its own, and gives back the answer as far as its head.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Rest {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(HttpConnector::new());
        tokio::time::timeout(Duration::from_secs(30), client.request(request))
            .await
            .expect("an answer")
            .unwrap()
    }

    pub(crate) async fn read(&self, request: Request<Full<Bytes>>) -> Read {
        read(self.send(request).await).await
    }

    pub(crate) fn chat_request(&self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let request =
            self.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
        request.body(Full::new(body.into())).unwrap()
    }

    pub(crate) async fn chat(&self, body: impl Into<Bytes>) -> Read {
        self.read(self.chat_request(body)).await
    }

    /// Posts to any endpoint and reads the answer to its end.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Read {
        let request = self.request("POST", path).header("authorization", format!("Bearer {KEY}"));
        self.read(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Read {
        let request = self.request("GET", path).header("api-key", KEY);
        self.read(request.body(Full::default()).unwrap()).await
    }

    /// The value of a series without labels.
    pub(crate) fn metric(&self, series: &str) -> i64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    pub(crate) fn counted(&self, series: &str) -> bool {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.starts_with(series));
        line.is_some_and(|line| !line.ends_with(" 0"))
    }
}

/// An exact cache of so many bytes.
pub(crate) fn cache(
    bytes: u64,
    shared: Option<Arc<dyn Shelf>>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> Cache {
    let shown = CacheMetrics::new(metrics.registry()).unwrap();
    let local: Arc<dyn Shelf> = Arc::new(LocalShelf::new(bytes, shown.clone()));
    let shelves = [local].into_iter().chain(shared).collect();
    Cache::new(shelves, CacheSecret::of(SECRET), Arc::clone(clock), bytes / 2, shown)
}

pub(crate) async fn read(answer: Rest) -> Read {
    let (head, body) = answer.into_parts();
    let body = tokio::time::timeout(Duration::from_secs(30), body.collect()).await.expect("an end").unwrap();
    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    Read { status: head.status.as_u16(), headers: head.headers, text }
}

pub(crate) fn body(rest: &str) -> String {
    format!(r#"{{"model":"chatty","messages":[{{"role":"user","content":"hello there"}}]{rest}}}"#)
}
