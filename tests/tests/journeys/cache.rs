//! Is the same question answered again for less, to whoever paid for it and nobody else, and do the books know why?
use std::fs;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::till::text;
use tests::world::{said, sent};
use tests::{Answer, Streamed, World, nano};

use crate::desk::{answered, operate};

/// A sentence that leaves nothing to chance.
fn exactly(model: &str, sentence: &str) -> Value {
    let mut body = said(model, sentence);
    body["temperature"] = json!(0);
    body
}

fn cache(answer: &Answer) -> &str {
    answer.header("x-tollgate-cache")
}

/// What the lines of a receipt come to at `percent` of the prices of another one.
fn at_percent(full: &Value, percent: i64) -> i64 {
    let lines = full["lines"].as_array().expect("lines").iter();
    // A yuan a million is a thousand nano-yuan a token.
    let rate = |line: &Value| nano(text(line, "price_cny_per_million")) / 1_000_000 * percent / 100;
    lines.map(|line| rate(line) * line["tokens"].as_i64().expect("a count")).sum()
}

#[tokio::test]
async fn the_same_question_costs_a_tenth_again_and_the_receipt_says_why() {
    let world = World::demo().await;
    world.top_up("10.00").await;
    let asked = exactly("sim-fast", "How many fen are a yuan?");
    let first = world.chat(&asked).await.expect(200);
    let before = world.balance().await;
    let upstream = world.upstream_requests().await;
    let again = world.chat(&asked).await.expect(200);
    assert_eq!((cache(&first), cache(&again)), ("miss", "hit"));
    assert_eq!(first.json()["choices"], again.json()["choices"]);
    assert_eq!(world.upstream_requests().await, upstream, "nobody upstream was asked");

    let full = world.receipt(first.header("x-request-id")).await;
    let receipt = world.receipt(again.header("x-request-id")).await;
    assert_eq!((&full["cached"], &full["price_percent"]), (&json!(false), &Value::Null), "{full:#}");
    assert_eq!((&receipt["cached"], &receipt["price_percent"]), (&json!(true), &json!(10)), "{receipt:#}");
    assert_eq!(receipt["usage"], full["usage"], "what it took is what it took");
    assert_eq!((&receipt["attempts"], &receipt["price_version"]), (&json!([]), &full["price_version"]));
    let cost = nano(text(&receipt, "cost_cny"));
    assert_eq!(cost, at_percent(&full, 10), "to the nano-yuan: {receipt:#}");
    assert_eq!(text(&receipt, "cost_cny"), again.header("x-tollgate-cost-cny"));
    assert_eq!(world.balance().await, before - cost);

    // As a stream it is another call, and given again as one.
    let (one, other) = (world.stream(&asked).await, world.stream(&asked).await);
    assert_eq!((one.header("x-tollgate-cache"), other.header("x-tollgate-cache")), ("miss", "hit"));
    // All but what it cost, which stands in a comment.
    let events = |streamed: &Streamed| -> Vec<String> {
        let text = streamed.text();
        text.lines().filter(|line| line.starts_with("data: ")).map(str::to_owned).collect()
    };
    assert_eq!(events(&one), events(&other));
    assert!(other.done());
    let receipt = world.receipt(other.header("x-request-id")).await;
    assert_eq!(other.cost().as_deref(), Some(text(&receipt, "cost_cny")), "{receipt:#}");

    // Another account has paid for nothing yet.
    let account = world.admin_post("/admin/v1/accounts", &json!({"name": "other", "livemode": "demo"})).await;
    let account = account.expect(201).json();
    let key = world.admin_post("/admin/v1/keys", &json!({"account": account["id"], "name": "other"})).await;
    let key = key.expect(201).json();
    let theirs = world.http.post(format!("{}/v1/chat/completions", world.public_url)).json(&asked);
    let theirs = sent(theirs.bearer_auth(text(&key, "key"))).await;
    theirs.error(402, "insufficient_quota", "insufficient_quota");

    world.advance(Duration::from_secs(301)).await;
    assert_eq!(cache(&world.chat(&asked).await.expect(200)), "miss", "five minutes later");
    assert!(world.metric("tollgate_cache_requests_total", &["result=\"hit\""]).await >= 2.0);
    world.books_balance().await;
}

#[tokio::test]
async fn bought_tokens_burn_the_same_share() {
    let world = World::demo().await;
    let package = "id = \"starter\"\ntitle = \"Starter\"\nprice = \"50.00\"\ntokens = 1_000_000\nmodels = [\"sim-fast\"]\n\
                   [weights]\ninput = 1_000\ncached_input = 105\ncache_write = 1_000\noutput = 3_000\n";
    fs::write(world.dir().join("package.toml"), package).expect("a file");
    answered(operate(&world, &["packages", "set", "package.toml"]));
    let order = world.topup(&json!({"kind": "package", "package": "starter"})).await;
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    let asked = exactly("sim-fast", "paid by the package");
    world.chat(&asked).await.expect(200);
    let again = world.chat(&asked).await.expect(200);
    assert_eq!(cache(&again), "hit");
    let receipt = world.receipt(again.header("x-request-id")).await;
    let of = |member: &str| receipt["usage"][member].as_i64().expect("a count");
    let (prompt, cached, output) = (of("prompt_tokens"), of("cached_tokens"), of("completion_tokens"));
    let burnt = (prompt - cached) * 100 + cached * 10 + output * 300;
    assert_eq!(
        receipt["cost_tokens"],
        json!([{"balance": "starter@1", "tokens_milli": burnt}]),
        "{receipt:#}"
    );
    assert_eq!(receipt["cost_cny"], "0.00", "{receipt:#}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_route_that_is_told_of_another_share_or_of_none_charges_by_it_at_once() {
    let with = |rule: &str| {
        let rule = rule.to_owned();
        move |config: String| {
            let server = config.replacen("[server]", "[server]\nwatch = false", 1);
            server.replacen(
                "[[routes]]\nmodel = \"sim-fast\"",
                &format!("[[routes]]\nmodel = \"sim-fast\"\n{rule}"),
                1,
            )
        }
    };
    let world = World::serve(with("cache = { ttl_secs = 300, price_percent = 50 }")).await;
    world.top_up("5.00").await;
    let asked = exactly("sim-fast", "the same");
    let full = world.chat(&asked).await.expect(200);
    let full = world.receipt(full.header("x-request-id")).await;
    let cost = async || {
        let answer = world.chat(&asked).await.expect(200);
        (cache(&answer).to_owned(), nano(answer.header("x-tollgate-cost-cny")))
    };
    let config = fs::read_to_string(&world.config).expect("the configuration");
    let told = async |rule: &str| {
        let text = config.replace("cache = { ttl_secs = 300, price_percent = 50 }", rule);
        fs::write(&world.config, text).expect("a file");
        world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200);
    };
    assert_eq!(cost().await, ("hit".to_owned(), at_percent(&full, 50)));
    told("cache = { price_percent = 0 }").await;
    assert_eq!(cost().await, ("hit".to_owned(), 0), "given away, and on the books");
    told("cache = { price_percent = 100 }").await;
    assert_eq!(cost().await, ("hit".to_owned(), nano(text(&full, "cost_cny"))));
    told("").await;
    assert_eq!(cost().await.0, "", "no cache, no word of it");
    for (wrong, path) in [
        ("price_percent = 101", "routes[0].cache.price_percent"),
        ("ttl_secs = 0", "routes[0].cache.ttl_secs"),
    ] {
        fs::write(&world.config, config.replace("ttl_secs = 300, price_percent = 50", wrong))
            .expect("a file");
        let refused = world.run(&["check-config", "tollgate.toml"]);
        assert!(refused.code() == 6 && refused.stderr().contains(path), "{refused:?}");
    }
    let receipts = sent(world.request(Method::GET, "/v1/credits")).await.expect(200);
    assert!(receipts.json()["balance"].is_string());
    world.books_balance().await;
}

#[tokio::test]
async fn what_was_answered_from_the_cache_stands_in_books_that_verify_after_a_crash() {
    let mut world = World::serve(|config| {
        config.replacen("[[routes]]", "[[routes]]\ncache = { ttl_secs = 300, price_percent = 7 }", 1)
    })
    .await;
    world.top_up("5.00").await;
    let asked = exactly("sim-fast", "before the crash");
    world.chat(&asked).await.expect(200);
    let again = world.chat(&asked).await.expect(200);
    assert_eq!(cache(&again), "hit");
    let mut streamed = world.stream_begun(&asked).await.expect("an answer");
    let _ = Streamed::begin(&streamed).take_some(&mut streamed, 1).await;
    world.process.kill9();
    drop(streamed);
    world.start_again().await;
    let receipt = world.receipt(again.header("x-request-id")).await;
    assert_eq!((&receipt["cached"], &receipt["price_percent"]), (&json!(true), &json!(7)), "{receipt:#}");
    assert_eq!(cache(&world.chat(&asked).await.expect(200)), "miss", "memory ends with the process");
    world.books_balance().await;
    let verified = world.run(&["ledger", "verify", "-c", "tollgate.toml"]);
    assert_eq!(verified.code(), 0, "{verified:?}");
}
