//! Answers that nodes share in one real Redis: who is given them, who can make them, and what happens when it is away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::cache::{CacheSecret, SharedCacheMetrics, SharedShelf, Worker};
use http::Request;
use http_body_util::Full;
use prometheus::Registry;
use redis::{Client, Commands, Connection};
use router_config::{Route, RouteCache};
use testbed::Redis;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{AccountId, KeyId, Percent, Timestamp, Usage};

use crate::{
    upstream::{FINISH, Piece, answer, chunk, events, stream, usage_chunk, whole},
    world::{KEY, Read, SECRET, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":1000,"completion_tokens":7,"total_tokens":1007,"prompt_tokens_details":{"cached_tokens":300}}"#;
/// Nothing is left to chance.
const EXACT: &str = r#","temperature":0"#;
/// A call that waited for so long would never end.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);
/// Bytes that the cache of a node keeps; an answer may have half of them.
const BYTES: u64 = 1_000_000;

/// One node: a gateway, and what it shares.
struct Node {
    world: World,
    shelf: SharedShelf,
    metrics: Registry,
    /// Has what is to be written, and does not write it.
    _idle: Option<Worker>,
}

/// How a node differs from the others.
struct Differs {
    secret: &'static [u8],
    patience: Duration,
    bytes: u64,
    kind: &'static str,
    /// False leaves what is to be written in its queue.
    writes: bool,
}

impl Default for Differs {
    fn default() -> Self {
        Self { secret: SECRET, patience: FOR_EVER, bytes: BYTES, kind: "openai", writes: true }
    }
}

/// A Redis, and somebody whom all its nodes know.
struct Site {
    redis: Redis,
    caller: (AccountId, KeyId),
    tasks: TaskTracker,
}

impl Site {
    fn new() -> Self {
        let at = Timestamp::from_secs(1_800_000_000);
        let caller = (AccountId::new(at), KeyId::new(at));
        Self { redis: Redis::start(), caller, tasks: TaskTracker::new() }
    }

    /// For what a test itself does in Redis.
    fn see(&self) -> Connection {
        Client::open(self.redis.url()).unwrap().get_connection().unwrap()
    }

    async fn node(&self) -> Node {
        self.other(Differs::default()).await
    }

    async fn other(&self, differs: Differs) -> Node {
        let (metrics, secret) = (Registry::new(), CacheSecret::of(differs.secret));
        let seen = SharedCacheMetrics::new(&metrics).unwrap();
        let opened = SharedShelf::open(&self.redis.url(), differs.patience, &secret, differs.bytes / 2, seen);
        let (shelf, worker) = opened.unwrap();
        worker.begin().await;
        assert!(shelf.is_up());
        let mut idle = Some(worker);
        if let Some(worker) = idle.take_if(|_| differs.writes) {
            self.tasks.spawn(worker.run(CancellationToken::new()));
        }
        let world = World::with(Setup {
            kinds: vec![differs.kind],
            routes: cached,
            caller: Some(self.caller),
            cache_bytes: differs.bytes,
            shared_answers: Some(Arc::new(shelf.clone())),
            ..Setup::default()
        });
        Node { world: world.await, shelf, metrics, _idle: idle }
    }

    /// The only key that is there.
    fn key(&self) -> String {
        let keys: Vec<String> = self.see().scan().unwrap().map(Result::unwrap).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    }
}

fn cached(route: Route) -> Vec<Route> {
    let (ttl, price) = (Duration::from_secs(300), Percent::new(15).unwrap());
    vec![Route { cache: Some(RouteCache { ttl, price, any: false }), ..route }]
}

impl Node {
    /// Asks; its upstream would say `text`.
    async fn ask(&self, text: &str, rest: &str) -> Read {
        self.world.upstream().will(answer(200, whole(text, USAGE)));
        self.world.chat(body(&format!("{EXACT}{rest}"))).await
    }

    fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let labelled = family
            .get_metric()
            .iter()
            .find(|metric| metric.get_label().iter().all(|pair| pair.value() == label));
        let metric = labelled.unwrap();
        (metric.get_gauge().get_value() + metric.get_counter().get_value()) as u64
    }

    fn wrote(&self, result: &str) -> u64 {
        self.counted("tollgate_cache_redis_writes_total", result)
    }

    fn unreadable(&self) -> u64 {
        self.counted("tollgate_cache_redis_unreadable_total", "")
    }

    async fn until_written(&self, answers: u64) {
        until("answers are written", || self.wrote("done") == answers).await;
    }

    async fn until_it_is(&self, up: bool) {
        until("Redis comes or goes", || self.shelf.is_up() == up).await;
        assert_eq!(self.counted("tollgate_cache_redis_up", ""), u64::from(up));
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        tokio::task::yield_now().await;
    }
}

fn said(read: &Read) -> (u16, &str) {
    (read.status, read.header("x-tollgate-cache"))
}

const MISS: (u16, &str) = (200, "miss");
const HIT: (u16, &str) = (200, "hit");

#[tokio::test]
async fn what_one_node_was_answered_another_gives_again_for_its_share_and_asks_nobody() {
    let mut site = Site::new();
    let (one, other) = (site.node().await, site.node().await);
    let first = one.ask("hi", "").await;
    assert_eq!(said(&first), MISS);
    one.until_written(1).await;
    let again = other.ask("never asked", "").await;
    assert_eq!((said(&again), &again.text), (HIT, &first.text));
    assert_eq!(other.world.upstream().calls(), 0);
    assert_eq!(
        (first.header("x-tollgate-cost-cny"), again.header("x-tollgate-cost-cny")),
        ("0.000744", "0.0001116")
    );
    other.world.till.all_settled().await;
    let used = |node: &Node| -> Vec<Usage> {
        let books = node.world.till.books.lock().unwrap();
        books.settled.iter().map(|(_, outcome, _)| outcome.usage.unwrap()).collect()
    };
    assert_eq!(used(&other), used(&one), "what it took is said as it was");
    assert!(other.world.counted(r#"tollgate_cache_lookups_total{where="redis"} 1"#));

    // Whoever pays for it is part of what is asked, on every node.
    let theirs =
        other.world.request("POST", "/v1/chat/completions").header("authorization", "Bearer sk-other");
    let theirs: Request<Full<_>> = theirs.body(Full::new(body(EXACT).into())).unwrap();
    other.world.upstream().will(answer(200, whole("theirs", USAGE)));
    assert_eq!(said(&other.world.read(theirs).await), MISS);
    assert!(other.world.counted(r#"tollgate_cache_lookups_total{where="none"} 1"#));

    // What was found in Redis is near from then on.
    site.redis.kill9();
    let near = other.ask("never asked", "").await;
    assert_eq!((said(&near), &near.text), (HIT, &first.text));
    assert!(other.world.counted(r#"tollgate_cache_lookups_total{where="local"} 1"#));
    other.world.till.assert_each_hold_ended_once("shared answers");
}

#[tokio::test]
async fn a_stream_is_given_again_by_another_node_event_by_event() {
    let site = Site::new();
    let (one, other) = (site.node().await, site.node().await);
    let streamed = format!(r#"{EXACT},"stream":true,"stream_options":{{"include_usage":true}}"#);
    one.world.upstream().will(events(&[
        &chunk("你好"),
        &chunk("，世界"),
        FINISH,
        &usage_chunk(10, 5),
        "[DONE]",
    ]));
    let first = one.world.chat(body(&streamed)).await;
    one.until_written(1).await;
    let again = other.world.chat(body(&streamed)).await;
    assert_eq!((said(&first), said(&again)), (MISS, HIT));
    assert_eq!(again.spoken(), "你好，世界");
    // All but what it cost is the same.
    let dear = r#""cost":"0.00002""#;
    assert!(first.text.contains(dear), "{}", first.text);
    assert_eq!(again.events().join("\n"), first.events().join("\n").replace(dear, r#""cost":"0.000003""#));
    assert_eq!(other.world.till.all_settled().await.usage, one.world.till.all_settled().await.usage);
}

#[tokio::test]
async fn an_answer_on_the_providers_own_wire_keeps_the_names_of_its_events() {
    let site = Site::new();
    let anthropic = || Differs { kind: "anthropic", ..Differs::default() };
    let (one, other) = (site.other(anthropic()).await, site.other(anthropic()).await);
    let sent = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"你好"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let named = |json: &&str| Piece::Bytes(format!("data: {json}\n\n").into());
    one.world.upstream().will(stream(sent.iter().map(named).collect()));
    let asked = r#"{"model":"chatty","max_tokens":50,"messages":[{"role":"user","content":"hi"}],"temperature":0,"stream":true}"#;
    let first = one.world.post("/v1/messages", asked).await;
    assert_eq!(said(&first), MISS, "{}", first.text);
    one.until_written(1).await;
    let again = other.world.post("/v1/messages", asked).await;
    assert_eq!(said(&again), HIT);
    let events = |read: &Read| -> Vec<String> {
        read.text.lines().filter(|line| line.starts_with("event: ")).map(str::to_owned).collect()
    };
    assert_eq!(events(&again), events(&first));
    assert!(again.text.contains("你好") && events(&again).len() == sent.len(), "{}", again.text);
}

#[tokio::test]
async fn what_stands_in_redis_tells_nobody_anything_and_ends_by_itself() {
    let site = Site::new();
    let node = site.node().await;
    assert_eq!(said(&node.ask("the sunflower is yellow", "").await), MISS);
    node.until_written(1).await;
    let key = site.key();
    let digits = key.strip_prefix("tollgate:cache:").unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    let ends: i64 = site.see().pttl(&key).unwrap();
    assert!((1..=300_000).contains(&ends), "{ends}");
    let value: Vec<u8> = site.see().get(&key).unwrap();
    let account = site.caller.0.to_string();
    for word in ["sunflower", "yellow", "hello there", "chatty", "tokens", "p0", &account] {
        let is_there = |text: &[u8]| text.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!is_there(&value) && !is_there(key.as_bytes()), "{word}");
    }
}

#[tokio::test]
async fn whatever_else_stands_under_a_key_is_a_miss_and_is_written_over() {
    let site = Site::new();
    let one = site.node().await;
    one.ask("first", "").await;
    one.until_written(1).await;
    let (mut see, key) = (site.see(), site.key());
    let whole: Vec<u8> = see.get(&key).unwrap();
    // What was sealed in the same way, and lay elsewhere.
    let _: () = see.del(&key).unwrap();
    one.ask("cheap", r#","seed":1"#).await;
    one.until_written(2).await;
    let another: Vec<u8> = see.get(site.key()).unwrap();
    let _: () = see.del(site.key()).unwrap();

    let bent = |at: usize| {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        bent
    };
    let values = [
        b"{}".to_vec(),
        bent(0),
        bent(5),
        bent(whole.len() / 2),
        bent(whole.len() - 1),
        whole[..1].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], b"x"].concat(),
        another,
        vec![whole[0]; 600_000],
    ];
    for (number, value) in values.into_iter().enumerate() {
        let _: () = see.set(&key, value).unwrap();
        is_a_miss_and_is_written_over(&site, &key, &format!("value {number}")).await;
    }
    let _: () = see.del(&key).unwrap();
    let _: () = see.rpush(&key, "a list").unwrap();
    is_a_miss_and_is_written_over(&site, &key, "a list").await;
    // Laid back where it was it is good, for as long as it would have been.
    let _: () = see.set(&key, &whole).unwrap();
    assert_eq!(said(&site.node().await.ask("never asked", "").await), HIT);
}

async fn is_a_miss_and_is_written_over(site: &Site, key: &str, what: &str) {
    let (finds, next) = (site.node().await, site.node().await);
    let asked = finds.ask("first", "").await;
    assert_eq!((said(&asked), finds.unreadable()), (MISS, 1), "{what}");
    assert!(finds.shelf.is_up(), "{what} says nothing of other keys");
    finds.until_written(1).await;
    assert_eq!((said(&next.ask("never asked", "").await), next.unreadable()), (HIT, 0), "{what}");
    assert_eq!(site.key(), key);
}

#[tokio::test]
async fn what_was_sealed_with_another_secret_was_never_there() {
    let site = Site::new();
    let one = site.node().await;
    let stranger = site.other(Differs { secret: b"another secret", ..Differs::default() }).await;
    assert_eq!(said(&one.ask("ours", "").await), MISS);
    one.until_written(1).await;
    assert_eq!(said(&stranger.ask("theirs", "").await), MISS);
    assert_eq!((stranger.unreadable(), stranger.shelf.is_up()), (1, true));
}

#[tokio::test]
async fn an_answer_is_as_old_as_it_is_on_every_node() {
    let site = Site::new();
    let one = site.node().await;
    one.world.clock.forward(Duration::from_secs(60));
    one.ask("hi", "").await;
    one.until_written(1).await;
    for (seconds, wanted) in [(0, HIT), (359, HIT), (360, MISS)] {
        // Each begins a minute before that answer.
        let node = site.other(Differs { writes: false, ..Differs::default() }).await;
        node.world.clock.forward(Duration::from_secs(seconds));
        assert_eq!(said(&node.ask("hi", "").await), wanted, "after {seconds} s");
    }
    // From further ahead than clocks may differ.
    one.world.clock.forward(Duration::from_secs(1));
    one.ask("hi", r#","seed":1"#).await;
    one.until_written(2).await;
    assert_eq!(said(&site.node().await.ask("hi", r#","seed":1"#).await), MISS);
}

#[tokio::test]
async fn calls_wait_for_no_redis_that_is_away_and_share_again_when_it_is_back() {
    let mut site = Site::new();
    let (one, other) = (site.node().await, site.node().await);
    site.redis.kill9();
    // Whoever asks first finds out; had anybody waited for it, this would not end.
    for seed in 0..3 {
        for node in [&one, &other] {
            assert_eq!(said(&node.ask("alone", &format!(r#","seed":{seed}"#)).await), MISS);
        }
    }
    one.until_it_is(false).await;
    other.until_it_is(false).await;
    assert_eq!(said(&one.ask("alone", r#","seed":0"#).await), HIT, "each has its own");
    assert!(one.wrote("away") >= 2 && one.wrote("done") == 0);

    site.redis.start_again();
    one.until_it_is(true).await;
    other.until_it_is(true).await;
    assert_eq!(said(&one.ask("together", r#","seed":9"#).await), MISS);
    one.until_written(1).await;
    assert_eq!(said(&other.ask("never asked", r#","seed":9"#).await), HIT);
    one.world.till.assert_each_hold_ended_once("away and back");
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_call_no_more_than_its_patience() {
    let mut site = Site::new();
    let node = site.other(Differs { patience: Duration::from_millis(20), ..Differs::default() }).await;
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(3_600_000).query(&mut site.see()).unwrap();
    assert_eq!(said(&node.ask("hi", "").await), MISS);
    node.until_it_is(false).await;
    assert_eq!(said(&node.ask("hi", r#","seed":1"#).await), MISS);
    site.redis.kill9();
    site.redis.start_again();
    node.until_it_is(true).await;
}

#[tokio::test]
async fn what_cannot_be_written_at_once_is_dropped_and_counted() {
    let site = Site::new();
    let node = site.other(Differs { writes: false, ..Differs::default() }).await;
    let large = "x".repeat(200_000);
    for seed in 0..45 {
        assert_eq!(said(&node.ask(&large, &format!(r#","seed":{seed}"#)).await), MISS);
    }
    let full = node.wrote("full");
    assert!((1..45).contains(&full), "{full} of 45 answers");
    assert_eq!(said(&node.ask("small", r#","seed":99"#).await), MISS);
    assert_eq!(node.wrote("done"), 0);
}

#[tokio::test]
async fn a_redis_that_takes_nothing_more_still_gives_what_it_has() {
    let site = Site::new();
    let (one, other) = (site.node().await, site.node().await);
    one.ask("hi", "").await;
    one.until_written(1).await;
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query(&mut site.see()).unwrap();
    one.ask("hi", r#","seed":1"#).await;
    until("it is refused", || one.wrote("refused") == 1).await;
    assert!(one.shelf.is_up());
    assert_eq!(said(&other.ask("never asked", "").await), HIT);
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_a_node_is_not_there() {
    let site = Site::new();
    let (one, small) = (site.node().await, site.other(Differs { bytes: 4_000, ..Differs::default() }).await);
    one.ask(&"x".repeat(5_000), "").await;
    one.until_written(1).await;
    assert_eq!(said(&small.ask("hi", "").await), MISS);
    assert_eq!(small.unreadable(), 1);
    let request =
        small.world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
    let fresh = request.header("x-tollgate-cache", "skip").body(Full::new(body(EXACT).into())).unwrap();
    small.world.upstream().will(answer(200, whole("hi", USAGE)));
    assert_eq!(said(&small.world.read(fresh).await), (200, "bypass"), "nor is anybody asked");
    assert_eq!(small.unreadable(), 1);
}
