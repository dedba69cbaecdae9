//! Is what one node was answered given again by another, and does it matter when the Redis between them is gone?
use std::fs;

use serde_json::{Value, json};
use testbed::{Database, Redis};
use tests::process::Process;
use tests::till::text;
use tests::world::{said, sent};
use tests::{Answer, Streamed, World, nano, until};

use crate::desk::{ask_as, neighbour};

/// Two nodes on one set of books and one Redis. The world is the first, or the second, as a journey wants.
struct Two {
    world: World,
    /// The other node's addresses for clients and for operators.
    other: (String, String),
    _second: Process,
}

impl Two {
    async fn on(database: &Database, redis: &Redis) -> Self {
        let begins = format!(
            "[cache]\nredis = \"{}\"\nredis_ms_max = 10_000\n\n[server]\nkey_secret = \"file:key_secret.txt\"",
            redis.url()
        );
        let store = format!("[store]\nurl = \"{}\"", database.url());
        let rule = "[[routes]]\ncache = { ttl_secs = 300, price_percent = 10 }";
        let site = tests::serve::Site::new(|config| {
            let config = config.replace("[server]", &begins).replace("[store]", &store);
            config.replacen("[[routes]]", rule, 1)
        })
        .await;
        fs::write(site.dir().join("key_secret.txt"), "c1".repeat(32)).expect("a file");
        let mut world = site.open().await;
        world.customer("alice");
        let first = fs::read_to_string(&world.config).expect("the configuration");
        let second =
            first.replace("\"store\"", "\"second_store\"").replace("\"ready.json\"", "\"second.json\"");
        assert_ne!(first, second);
        fs::write(world.dir().join("second.toml"), second).expect("a file");
        let mut process = Process::start("second", &["serve", "-c", "second.toml"], world.dir());
        let says = process.ready(&world.dir().join("second.json")).await;
        let other = (text(&says, "public_url").to_owned(), text(&says, "admin_url").to_owned());
        Self { world, other, _second: process }
    }

    /// Goes over to the other node.
    fn change(&mut self) {
        std::mem::swap(&mut self.world.public_url, &mut self.other.0);
        std::mem::swap(&mut self.world.admin_url, &mut self.other.1);
    }

    /// Waits until this node knows so of Redis.
    async fn until_redis_is(&self, up: f64) {
        until("Redis comes or goes", || async {
            (self.world.metric("tollgate_cache_redis_up", &[]).await == up).then_some(())
        })
        .await;
    }

    /// Waits until this node has written so many answers to Redis.
    async fn until_written(&self, answers: f64) {
        until("answers are in Redis", || async {
            let written = self.world.metric("tollgate_cache_redis_writes_total", &["result=\"done\""]).await;
            (written == answers).then_some(())
        })
        .await;
    }
}

fn exactly(sentence: &str) -> Value {
    let mut body = said("sim-fast", sentence);
    body["temperature"] = json!(0);
    body
}

fn cache(answer: &Answer) -> &str {
    answer.header("x-tollgate-cache")
}

#[tokio::test]
async fn what_one_node_was_answered_another_gives_again_and_without_redis_each_goes_on_alone() {
    let (database, mut redis) = (Database::fresh().await, Redis::start());
    let mut two = Two::on(&database, &redis).await;
    two.world.top_up("10.00").await;
    let asked = exactly("How many fen are a yuan?");
    let first = two.world.chat(&asked).await.expect(200);
    let one = two.world.stream(&asked).await;
    assert_eq!((cache(&first), one.header("x-tollgate-cache")), ("miss", "miss"));
    two.until_written(2.0).await;
    let upstream = two.world.upstream_requests().await;

    two.change();
    let again = two.world.chat(&asked).await.expect(200);
    assert_eq!((cache(&again), &again.json()["choices"]), ("hit", &first.json()["choices"]));
    let full = two.world.receipt(first.header("x-request-id")).await;
    let receipt = two.world.receipt(again.header("x-request-id")).await;
    assert_eq!((&receipt["cached"], &receipt["price_percent"]), (&json!(true), &json!(10)), "{receipt:#}");
    assert_eq!((&receipt["usage"], &receipt["attempts"]), (&full["usage"], &json!([])), "{receipt:#}");
    let lines = full["lines"].as_array().expect("lines").iter();
    // A yuan a million is a thousand nano-yuan a token; each rate is rounded down.
    let tenth = lines.map(|line| {
        let rate = nano(text(line, "price_cny_per_million")) / 1_000_000 / 10;
        rate * line["tokens"].as_i64().expect("a count")
    });
    assert_eq!(nano(text(&receipt, "cost_cny")), tenth.sum::<i64>(), "{receipt:#}");

    let other = two.world.stream(&asked).await;
    assert_eq!(other.header("x-tollgate-cache"), "hit");
    let events = |streamed: &Streamed| -> Vec<String> {
        streamed.text().lines().filter(|line| line.starts_with("data: ")).map(str::to_owned).collect()
    };
    assert_eq!(events(&one), events(&other));
    assert_eq!(two.world.upstream_requests().await, upstream, "nobody upstream was asked");
    assert!(two.world.metric("tollgate_cache_lookups_total", &["where=\"redis\""]).await == 2.0);
    // Another account has paid for nothing, and has nothing to pay a call with.
    let (_, key) = neighbour(&two.world).await;
    let theirs = ask_as(&two.world, &key, "/v1/chat/completions", &asked).await;
    theirs.error(402, "insufficient_quota", "insufficient_quota");

    redis.kill9();
    for _ in 0..2 {
        let alone = exactly("Is anybody there?");
        assert_eq!(cache(&two.world.chat(&alone).await.expect(200)), "miss", "not what the other was told");
        two.change();
    }
    for _ in 0..2 {
        two.until_redis_is(0.0).await;
        two.change();
    }
    redis.start_again();
    for _ in 0..2 {
        two.until_redis_is(1.0).await;
        two.change();
    }
    let asked = exactly("Here again?");
    assert_eq!(cache(&two.world.chat(&asked).await.expect(200)), "miss");
    two.until_written(1.0).await;
    two.change();
    assert_eq!(cache(&two.world.chat(&asked).await.expect(200)), "hit");
    assert!(sent(two.world.http.get(format!("{}/healthz", two.world.public_url))).await.status == 200);
    two.world.books_balance().await;
}

#[tokio::test]
async fn answers_in_redis_outlive_the_process_and_check_config_says_who_shares_them() {
    let redis = Redis::start();
    let begins = format!("[cache]\nredis = \"{}\"\nredis_ms_max = 10_000\n\n[server]", redis.url());
    let mut world = World::serve(|config| {
        let config = config.replace("[server]", &begins);
        config.replacen("[[routes]]", "[[routes]]\ncache = { price_percent = 20 }", 1)
    })
    .await;
    world.top_up("5.00").await;
    let asked = exactly("before the restart");
    assert_eq!(cache(&world.chat(&asked).await.expect(200)), "miss");
    // What waits to be written is written before it ends.
    world.restart().await;
    assert_eq!(cache(&world.chat(&asked).await.expect(200)), "hit");
    world.books_balance().await;

    let says = |world: &World| world.run(&["check-config", "tollgate.toml"]).ok();
    assert!(says(&world).contains("shared with nobody"), "{}", says(&world));
    let config = fs::read_to_string(&world.config).expect("the configuration");
    fs::write(&world.config, config.replace("cache = { price_percent = 20 }\n", "")).expect("a file");
    assert!(says(&world).contains("no route has a `cache`"), "{}", says(&world));
}

#[tokio::test]
async fn without_a_redis_that_the_file_names_answers_are_kept_all_the_same() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let begins = format!("[cache]\nredis = \"redis://{nobody}/\"\n\n[server]");
    let world = World::serve(|config| {
        let config = config.replace("[server]", &begins);
        config.replacen("[[routes]]", "[[routes]]\ncache = {}", 1)
    })
    .await;
    world.top_up("5.00").await;
    let asked = exactly("alone");
    let answers = [world.chat(&asked).await.expect(200), world.chat(&asked).await.expect(200)];
    assert_eq!(answers.each_ref().map(cache), ["miss", "hit"]);
    assert!(world.process.logged().contains("cache: Redis is not there"), "{}", world.process.logged());
    world.books_balance().await;
}
