//! Several nodes on one real Redis: what they let through together, and what happens when it is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use gateway::{
    chat::{Caller, KeyLimits, Kind, Scope, TooFast},
    limits::{LimitMetrics, Limits, Shared, Worker},
};
use prometheus::Registry;
use redis::{Client, Commands, Connection};
use router_config::{Bounds, Limits as Figures, RouteTable};
use testbed::Redis;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{AccountId, KeyId, Livemode, Timestamp, Tokens};

use crate::{
    upstream::{answer, whole},
    world::{HandClock, Setup, World, body},
};

/// No test is about a Redis that is slow.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is counted within it falls into one minute.
const ONE_MINUTE: Duration = Duration::from_secs(55);

/// One node: limits, and what it takes to count them together with others.
struct Node {
    limits: Limits,
    shared: Shared,
    metrics: Registry,
    stop: CancellationToken,
}

impl Node {
    async fn start(redis: &Redis, clock: &Arc<HandClock>, figures: Figures, tasks: &TaskTracker) -> Self {
        let metrics = Registry::new();
        let (shared, worker) = counting(redis, &metrics).await;
        let table = Arc::new(RouteTable { limits: figures, ..RouteTable::default() });
        let limits = Limits::new(move || Arc::clone(&table), clock.clone(), Some(shared.clone()));
        let stop = CancellationToken::new();
        tasks.spawn(worker.run(stop.clone()));
        Self { limits, shared, metrics, stop }
    }

    fn counted(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metric = &family.get_metric()[0];
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }
}

async fn counting(redis: &Redis, metrics: &Registry) -> (Shared, Worker) {
    let seen = LimitMetrics::new(metrics).unwrap();
    let (shared, mut worker) = Shared::open(&redis.url(), PATIENCE, seen).unwrap();
    worker.begin().await;
    assert!(shared.is_up());
    (shared, worker)
}

/// Three nodes on one Redis, and a key they all know.
struct Three {
    redis: Redis,
    nodes: Vec<Node>,
    caller: Caller,
    clock: Arc<HandClock>,
    /// For what a test itself asks Redis.
    see: Option<Connection>,
}

impl Three {
    async fn with(figures: Figures) -> Self {
        let (redis, tasks, clock) = (Redis::start(), TaskTracker::new(), Arc::new(HandClock::default()));
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::start(&redis, &clock, figures.clone(), &tasks).await);
        }
        let at = Timestamp::from_secs(1_800_000_000);
        let caller = Caller {
            account: AccountId::new(at),
            key: KeyId::new(at),
            livemode: Livemode::Demo,
            limits: KeyLimits::default(),
            money_only: false,
        };
        let see = Client::open(redis.url()).unwrap().get_connection().unwrap();
        Self { redis, nodes, caller, clock, see: Some(see) }
    }

    async fn ask(&self, node: usize, tokens: u64) -> Result<gateway::limits::Admitted, TooFast> {
        self.nodes[node].limits.admit(&self.caller, "m", Tokens(tokens), false).await
    }

    fn see(&mut self) -> &mut Connection {
        self.see.as_mut().unwrap()
    }

    /// Waits until every node says so of Redis.
    async fn until_all_are(&self, up: bool) {
        for node in &self.nodes {
            let begun = Instant::now();
            while node.shared.is_up() != up {
                assert!(begun.elapsed() < Duration::from_secs(60), "Redis does not become up={up}");
                tokio::task::yield_now().await;
            }
        }
    }

    /// Asks each node in turn until none lets anything through; calls that were let through stay open.
    async fn exhaust(&self, held: &mut Vec<gateway::limits::Admitted>) -> [usize; 3] {
        let mut through = [0; 3];
        loop {
            let before = through;
            for (node, through) in through.iter_mut().enumerate() {
                if let Ok(admitted) = self.ask(node, 1).await {
                    *through += 1;
                    held.push(admitted);
                }
            }
            if through == before {
                return through;
            }
        }
    }
}

fn figures(requests: u32, tokens: u64, concurrency: Option<u32>) -> Figures {
    Figures {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        concurrency_max: concurrency,
        ..Figures::default()
    }
}

/// Does it until it was done within one minute: what is let through in two is twice as much.
async fn within_a_minute<T, F: Future<Output = T>>(what: impl Fn() -> F) -> T {
    for _ in 0..5 {
        let begun = Instant::now();
        let done = what().await;
        if begun.elapsed() < ONE_MINUTE {
            return done;
        }
    }
    panic!("this machine is too slow to do it within a minute");
}

#[tokio::test]
async fn lesson_19_three_nodes_let_through_as_many_requests_as_one_may() {
    let through = within_a_minute(async || {
        let three = Three::with(figures(1_000, 1_000_000_000, None)).await;
        let asks = (0..1_500).map(|i| three.ask(i % 3, 1));
        let done: Vec<_> = stream::iter(asks).buffer_unordered(60).collect().await;
        done.iter().filter(|done| done.is_ok()).count()
    })
    .await;
    assert!((990..=1_010).contains(&through), "{through} of 1000");
}

#[tokio::test]
async fn lesson_19_three_nodes_let_through_as_many_tokens_as_one_may_and_what_is_given_back_counts() {
    let used = within_a_minute(async || {
        let three = Three::with(figures(1_000_000, 300_000, None)).await;
        // Each is thought to need 1,000 tokens and needs between 100 and 1,000 of them.
        let (mut used, mut refused_in_a_row, mut i) = (0, 0, 0);
        while refused_in_a_row < 30 {
            let done = three.ask(i % 3, 1_000).await;
            match done {
                Ok(admitted) => {
                    let needed = 100 + u64::try_from(i % 10).unwrap() * 100;
                    admitted.permit.settle(Tokens(needed));
                    (used, refused_in_a_row) = (used + needed, 0);
                }
                Err(refused) => {
                    assert_eq!((refused.scope, refused.kind), (Scope::Key, Kind::Tokens));
                    refused_in_a_row += 1;
                    // What was given back is written beside the calls.
                    tokio::task::yield_now().await;
                }
            }
            i += 1;
        }
        used
    })
    .await;
    assert!((297_000..=303_000).contains(&used), "{used} of 300000");
}

#[tokio::test]
async fn lesson_19_three_nodes_never_have_more_calls_in_flight_than_one_may() {
    let three = Three::with(figures(1_000_000, 1_000_000_000, Some(7))).await;
    let (flying, most, served) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = (0..30).map(|i| {
        let (three, flying, most, served) = (&three, &flying, &most, &served);
        async move {
            let mut left = 10;
            while left > 0 {
                let Ok(admitted) = three.ask(i % 3, 1).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                most.fetch_max(flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..left {
                    tokio::task::yield_now().await;
                }
                flying.fetch_sub(1, Ordering::SeqCst);
                admitted.permit.settle(Tokens(1));
                served.fetch_add(1, Ordering::SeqCst);
                left -= 1;
            }
        }
    });
    join_all(callers).await;
    assert_eq!(served.into_inner(), 300);
    assert_eq!(most.into_inner(), 7, "as many as may be, and no more");
}

#[tokio::test]
async fn the_calls_of_a_node_that_died_end_by_themselves() {
    let mut three = Three::with(figures(1_000_000, 1_000_000_000, Some(2))).await;
    let _held = [three.ask(0, 1).await.unwrap(), three.ask(0, 1).await.unwrap()];
    let refused = three.ask(1, 1).await.unwrap_err();
    assert_eq!((refused.scope, refused.kind), (Scope::Key, Kind::Concurrency));
    // It dies: nobody renews its leases, and half a minute goes by.
    three.nodes[0].stop.cancel();
    let leases: Vec<String> = three.see().scan_match("*:concurrency").unwrap().map(Result::unwrap).collect();
    assert_eq!(leases.len(), 1);
    let (now, _): (i64, i64) = redis::cmd("TIME").query(three.see()).unwrap();
    let ends: Vec<(String, f64)> = three.see().zrange_withscores(&leases[0], 0, -1).unwrap();
    for (name, ends) in ends {
        assert!(ends <= (now + 31) as f64 * 1_000.0, "a lease lasts half a minute");
        let _: i64 = three.see().zadd(&leases[0], name, (now - 1) * 1_000).unwrap();
    }
    assert!(three.ask(1, 1).await.is_ok());
}

#[tokio::test]
async fn everything_in_redis_ends_by_itself_and_names_ids_only() {
    let mut three = Three::with(figures(1_000_000, 1_000_000_000, Some(7))).await;
    let admitted = three.ask(0, 100).await.unwrap();
    let keys: Vec<String> = three.see().scan().unwrap().map(Result::unwrap).collect();
    let key = three.caller.key.to_string();
    let mut wanted = vec!["tollgate:{limits}:nodes".to_owned()];
    wanted.extend(Kind::ALL.map(|kind| format!("tollgate:{{limits}}:key:{key}:{}", kind.as_str())));
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(keys.clone()), sorted(wanted));
    for key in keys {
        let ms: i64 = three.see().pttl(&key).unwrap();
        assert!((1..=61_000).contains(&ms), "{key}: {ms}");
    }
    // A server that forgot the scripts is told them again.
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(three.see()).unwrap();
    drop(admitted);
    assert!(three.ask(1, 1).await.is_ok());
    assert!(three.nodes.iter().all(|node| node.shared.is_up()));
}

#[tokio::test]
async fn lesson_17_without_redis_each_node_keeps_its_share_and_money_knows_nothing_of_it() {
    let (together, alone, after) = within_a_minute(async || {
        let mut three = Three::with(Figures { nodes: Some(3), ..figures(300, 1_000_000_000, None) }).await;
        let mut held = Vec::new();
        for i in 0..90 {
            held.push(three.ask(i % 3, 1).await.unwrap());
        }
        drop(three.see.take());
        three.redis.kill9();
        // A hundred is the share of each, and thirty of them were used together.
        let alone = three.exhaust(&mut held).await;
        three.until_all_are(false).await;
        assert!(three.nodes.iter().all(|node| node.counted("tollgate_limits_alone_total") > 0.0));
        assert!(three.nodes.iter().all(|node| node.counted("tollgate_limits_redis_up") == 0.0));

        three.redis.start_again();
        three.until_all_are(true).await;
        assert!(three.nodes.iter().all(|node| node.counted("tollgate_limits_redis_up") == 1.0));
        // It came back empty; what was let through without it still counts.
        let after = three.exhaust(&mut held).await;

        three.clock.forward(Duration::from_secs(61));
        let together: usize = three.exhaust(&mut held).await.iter().sum();
        (together, alone, after)
    })
    .await;
    assert_eq!(alone, [70; 3]);
    assert_eq!(after, [0; 3]);
    assert!((297..=303).contains(&together), "{together} of 300 in the next minute, together again");
}

#[tokio::test]
async fn calls_in_flight_are_known_again_after_redis_was_away() {
    let mut three =
        Three::with(Figures { nodes: Some(3), ..figures(1_000_000, 1_000_000_000, Some(3)) }).await;
    let held = [three.ask(0, 1).await.unwrap(), three.ask(1, 1).await.unwrap()];
    drop(three.see.take());
    three.redis.kill9();
    // Whoever has one in flight has its share of three; the third node has none yet.
    for node in [0, 1] {
        assert!(three.ask(node, 1).await.is_err());
    }
    let third = three.ask(2, 1).await.unwrap();
    three.until_all_are(false).await;
    three.redis.start_again();
    three.until_all_are(true).await;
    // Past the minute in which nodes are careful, Redis alone decides: it was told what is in flight.
    for node in 0..3 {
        assert!(three.ask(node, 1).await.is_err());
    }
    three.clock.forward(Duration::from_secs(61));
    for node in 0..3 {
        assert_eq!(three.ask(node, 1).await.unwrap_err().kind, Kind::Concurrency, "node {node}");
    }
    drop((held, third));
    let begun = Instant::now();
    while three.ask(1, 1).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "places are not given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lesson_19_three_gateways_on_one_redis_answer_as_many_calls_as_the_limit_says() {
    let (served, refused) = within_a_minute(async || {
        let (redis, tasks) = (Redis::start(), TaskTracker::new());
        let at = Timestamp::from_secs(1_800_000_000);
        let caller = (AccountId::new(at), KeyId::new(at));
        let account = Bounds { requests_per_minute: Some(100), ..Bounds::default() };
        let mut worlds = Vec::new();
        for _ in 0..3 {
            let (shared, worker) = counting(&redis, &Registry::new()).await;
            tasks.spawn(worker.run(CancellationToken::new()));
            let limits = Figures { account, ..Figures::default() };
            let world =
                World::with(Setup { limits, caller: Some(caller), shared: Some(shared), ..Setup::default() })
                    .await;
            for _ in 0..150 {
                world.upstream().will(answer(200, whole("hi", "")));
            }
            worlds.push(world);
        }
        let calls = (0..150).map(|i| worlds[i % 3].chat(body("")));
        let done: Vec<_> = stream::iter(calls).buffer_unordered(12).collect().await;
        let refused: Vec<_> = done.into_iter().filter(|read| read.status != 200).collect();
        (150 - refused.len(), refused)
    })
    .await;
    assert!((99..=101).contains(&served), "{served} of 100");
    for read in refused {
        assert_eq!((read.status, read.error("scope")), (429, serde_json::json!("account")));
        assert!((1..=60).contains(&read.header("retry-after").parse::<u64>().unwrap()));
    }
}
