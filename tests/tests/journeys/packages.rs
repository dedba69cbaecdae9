//! Can tokens be bought by the package, seen before they are paid for, and counted in?
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::till::text;
use tests::world::sent;
use tests::{World, nano, until};

use crate::desk::{answered, look, operate};

const HOUR: Duration = Duration::from_secs(3_600);

/// Fifty yuan for a million tokens; output counts three, cached input a tenth.
const STARTER: &str = r#"
id = "starter"
title = "Starter"
price = "50.00"
tokens = 1_000_000
models = ["sim-fast", "sim-smart"]

[weights]
input = 1_000
cached_input = 100
cache_write = 1_000
output = 3_000
"#;

fn offer(world: &World, file: &str) -> tests::process::Ran {
    std::fs::write(world.dir().join("package.toml"), file).expect("a file in a folder of ours");
    operate(world, &["packages", "set", "package.toml"])
}

/// What is left of a token balance, in whole tokens.
async fn left(world: &World, balance: &str) -> i64 {
    let credits = world.credits().await;
    let found = credits["tokens"].as_array().and_then(|all| all.iter().find(|it| it["balance"] == balance));
    found.map_or(0, |found| text(found, "tokens").parse().expect("a whole number"))
}

/// Thousandths that a call's receipt says it burnt of a balance, after checking them against its usage.
async fn burnt(world: &World, model: &str, balance: &str) -> i64 {
    let answer = world.say(model, "a package pays for this").await.expect(200);
    let receipt = world.receipt(answer.header("x-request-id")).await;
    let of = |member: &str| receipt["usage"][member].as_i64().expect("a count");
    let (prompt, cached, output) = (of("prompt_tokens"), of("cached_tokens"), of("completion_tokens"));
    let expected = (prompt - cached) * 1_000 + cached * 100 + output * 3_000;
    assert_eq!(
        receipt["cost_tokens"],
        json!([{"balance": balance, "tokens_milli": expected}]),
        "{receipt:#}"
    );
    assert_eq!(receipt["cost_cny"], "0.00", "{receipt:#}");
    assert_eq!(receipt["hold"]["used"][0]["balance"], balance, "{receipt:#}");
    expected
}

#[tokio::test]
async fn fifty_yuan_are_a_million_tokens_of_a_group_and_what_is_left_goes_back() {
    let world = World::demo().await;
    assert_eq!(world.get("/v1/packages").await.expect(200).json()["data"], json!([]));
    assert_eq!(answered(offer(&world, STARTER))["version"], 1);
    assert_eq!(answered(offer(&world, STARTER))["version"], 1, "the same offer is no new version");
    let offered = world.get("/v1/packages").await.expect(200).json();
    let starter = &offered["data"][0];
    assert_eq!(
        (text(starter, "id"), text(starter, "price"), text(starter, "tokens")),
        ("starter", "50.00", "1000000")
    );
    assert_eq!(starter["models"], json!(["sim-fast", "sim-smart"]));
    assert_eq!(starter["weights_milli"]["output"], 3_000, "{starter:#}");

    let quoted = world.get("/v1/topups/quote?kind=package&package=starter").await.expect(200).json();
    assert_eq!((text(&quoted, "amount"), text(&quoted["buys"], "tokens")), ("50.00", "1000000"));
    let order = world.topup(&json!({"kind": "package", "package": "starter"})).await;
    assert_eq!((text(&order, "amount"), &order["buys"]), ("50.00", &quoted["buys"]), "{order:#}");
    world.pay(&order).await.expect(200);
    let paid = world.order_until(&order, "paid").await;
    assert_eq!(paid["credited"], order["buys"], "{paid:#}");
    assert_eq!(left(&world, "starter@1").await, 1_000_000);
    assert_eq!(world.credits().await["balance"], "0.50", "tokens are not yuan");

    let mut milli = burnt(&world, "sim-fast", "starter@1").await;
    milli += burnt(&world, "sim-smart", "starter@1").await;
    // Another version at other terms changes nothing about what was sold.
    let dearer = STARTER.replace("output = 3_000", "output = 9_000").replace("50.00", "60.00");
    assert_eq!(answered(offer(&world, &dearer))["version"], 2);
    milli += burnt(&world, "sim-fast", "starter@1").await;
    assert_eq!(left(&world, "starter@1").await, (1_000_000_000 - milli) / 1_000);
    world.say("sim-slow", "not of the group").await.expect(200);
    assert!(world.balance().await < nano("0.50"), "a package pays for its models only");
    world.books_balance().await;

    let balance = world.balance().await;
    let refund = world.post("/v1/refunds", &json!({"order": order["id"]})).await.expect(201).json();
    let fen = 5_000 * (1_000_000_000 - milli) / 1_000_000_000;
    assert_eq!(nano(text(&refund, "amount")), fen * 10_000_000, "pro rata of its price, rounded down");
    until("the refund arrives", || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
    assert_eq!((left(&world, "starter@1").await, world.balance().await), (0, balance));
    world.books_balance().await;
}

#[tokio::test]
async fn a_package_that_is_not_sold_so_is_not_bought() {
    let world = World::demo().await;
    for (from, to, said) in [
        ("sim-smart", "sim-smrt", "sim-smart"),
        ("\"50.00\"", "\"0.00\"", "price"),
        ("\"50.00\"", "\"50.001\"", "price"),
        ("1_000_000", "0", "tokens"),
        ("1_000_000", "-5", "tokens"),
        ("1_000_000", "9_300_000_000_000_000", "tokens"),
        ("output = 3_000", "output = 0", "weights.output"),
        ("output = 3_000", "output = -1", "weights.output"),
        ("output = 3_000", "output = 1_000_001", "weights.output"),
        ("cached_input = 100", "cached_input = 0.5", "cached_input = 0.5"),
        ("output = 3_000", "out = 3_000", "out"),
    ] {
        let refused = offer(&world, &STARTER.replace(from, to));
        assert_eq!(refused.code(), 6, "{to}: {refused:?}");
        assert!(refused.stderr().contains(said), "{to}: {refused:?}");
    }
    answered(offer(&world, STARTER));
    let buy = async |body: Value| world.post("/v1/topups", &body).await;
    for (body, status, param) in [
        (json!({"kind": "package"}), 400, "package"),
        (json!({"kind": "package", "package": "strater"}), 404, "package"),
        (json!({"kind": "package", "package": "starter", "version": 2}), 404, "package"),
        (json!({"kind": "package", "package": "starter", "version": "one"}), 400, "version"),
        (json!({"kind": "package", "package": "starter", "amount": "49.99"}), 409, "amount"),
        (json!({"kind": "package", "package": "starter", "model": "sim-fast"}), 400, "model"),
        (json!({"kind": "package", "package": "starter", "temporary_access": true}), 400, "temporary_access"),
        (json!({"amount": "50.00", "package": "starter"}), 400, "package"),
        (json!({"kind": "packages", "amount": "50.00"}), 400, "kind"),
    ] {
        let answer = buy(body.clone()).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (status, &json!(param)), "{body}");
    }

    // The same key gets the same order, also when another version is on sale by then, and when none is.
    let again = async || {
        let request = world.request(Method::POST, "/v1/topups").header("idempotency-key", "one");
        sent(request.json(&json!({"kind": "package", "package": "starter"}))).await.expect(201).json()
    };
    let first = again().await;
    answered(offer(&world, &STARTER.replace("50.00", "40.00")));
    assert_eq!(again().await["id"], first["id"]);
    assert_eq!(answered(operate(&world, &["packages", "retire", "starter"]))["version"], 2);
    assert_eq!(again().await["id"], first["id"]);
    assert_eq!(buy(json!({"kind": "package", "package": "starter"})).await.status, 404);
    assert_eq!(operate(&world, &["packages", "retire", "nothing"]).code(), 3);
    let versions = answered(look(&world, &["packages", "list", "--id", "starter"]));
    assert!(versions["data"].as_array().is_some_and(|all| all.iter().all(|it| it["retired_at"].is_string())));
    // What was ordered before is sold as it was.
    world.pay(&first).await.expect(200);
    let paid = world.order_until(&first, "paid").await;
    assert_eq!((text(&paid, "amount"), left(&world, "starter@1").await), ("50.00", 1_000_000));
    world.books_balance().await;
}

#[tokio::test]
async fn what_is_quoted_is_what_the_order_freezes() {
    let world = World::demo().await;
    let quoted = world.get("/v1/topups/quote?kind=tokens&model=sim-luxury&amount_fen=1000").await.expect(200);
    let quoted = quoted.json();
    assert_eq!((text(&quoted, "kind"), text(&quoted, "amount")), ("tokens", "10.00"), "{quoted:#}");
    let buys = &quoted["buys"];
    assert_eq!(text(buys, "fx_id"), "USD/CNY:1", "{quoted:#}");
    let price = nano(text(buys, "price_cny_per_million")) / 1_000_000;
    assert_eq!(text(buys, "tokens"), (nano("10.00") / price).to_string(), "rounded down");
    let wanted =
        json!({"kind": "tokens", "model": "sim-luxury", "amount": "10.00", "expect_tokens": buys["tokens"]});
    let order = world.topup(&wanted).await;
    assert_eq!(order["buys"], *buys, "{order:#}");
    assert_eq!(world.get("/v1/topups").await.expect(200).json()["data"].as_array().map(Vec::len), Some(1));

    let yuan = world.get("/v1/topups/quote?amount=10.00").await.expect(200).json();
    assert_eq!(yuan["buys"], json!({"cny": "10.00"}));
    for (query, status, param) in [
        ("kind=tokens&amount_fen=1000", 400, "model"),
        ("kind=tokens&model=nobody&amount_fen=1000", 404, "model"),
        ("kind=tokens&model=sim-fast", 400, "amount"),
        ("kind=tokens&model=sim-fast&amount_fen=0", 400, "amount"),
        ("kind=tokens&model=sim-fast&amount_fen=-5", 400, "amount_fen"),
        ("kind=tokens&model=sim-fast&amount_fen=99999999999999999999", 400, "amount_fen"),
        ("kind=tokens&model=sim-fast&amount=1&amount_fen=100", 400, "amount_fen"),
        ("kind=tokens&model=sim-fast&amount=5000.01", 400, "amount"),
        ("kind=tokens&model=sim-fast&amount=1&currency=USD", 400, "currency"),
    ] {
        let answer = world.get(&format!("/v1/topups/quote?{query}")).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (status, &json!(param)), "{query}");
    }
}

#[tokio::test]
async fn a_balance_is_shown_in_tokens_and_a_price_that_nobody_knows_is_no_figure() {
    let world = World::demo().await;
    let shown = async |query: &str| world.get(&format!("/v1/credits?{query}")).await;
    // Half a yuan; sim-fast costs 2.00 a million of fresh input, 0.20 cached, 8.00 of output.
    let plain = shown("model=sim-fast&mix=input:1").await.expect(200).json();
    assert_eq!(plain["in_tokens"]["tokens"], "250000", "{plain:#}");
    let mixed = shown("model=sim-fast&mix=input:70,cached:10,output:20").await.expect(200).json();
    // A hundred of them cost 140,000 + 2,000 + 160,000 nano-yuan.
    assert_eq!(mixed["in_tokens"]["tokens"], (500_000_000_i64 * 100 / 302_000).to_string(), "{mixed:#}");
    assert_eq!(text(&mixed["in_tokens"], "price_version"), "standard:1");
    let usual = shown("model=sim-fast").await.expect(200).json();
    assert_eq!(usual["in_tokens"]["mix"], json!({"input": 75, "cached": 0, "cache_write": 0, "output": 25}));
    assert!(world.credits().await.get("in_tokens").is_none(), "only where a model is named");

    answered(offer(&world, STARTER));
    let order = world.topup(&json!({"kind": "package", "package": "starter"})).await;
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    let with = shown("model=sim-fast&mix=input:1").await.expect(200).json();
    assert_eq!(with["in_tokens"]["tokens"], "1250000", "{with:#}");
    let without = shown("model=sim-slow&mix=input:1").await.expect(200).json();
    assert_eq!(without["in_tokens"]["tokens"], "250000", "{without:#}");

    world.fault(json!({"scope": "fx", "fault": "status", "status": 500, "times": 0})).await;
    world.advance(13 * HOUR).await;
    let unknown = shown("model=sim-luxury").await.expect(200).json();
    assert_eq!(unknown["in_tokens"]["tokens"], Value::Null, "{unknown:#}");
    assert!(text(&unknown["in_tokens"], "reason").contains("too old"), "{unknown:#}");
    assert_eq!(unknown["balance"], "0.50", "the balance itself is known");

    for (query, status, param) in [
        ("mix=input:1", 400, "model"),
        ("model=nobody", 404, "model"),
        ("model=sim-fast&mix=input:0", 400, "mix"),
        ("model=sim-fast&mix=tokens:1", 400, "mix"),
        ("model=sim-fast&mix=input:-1", 400, "mix"),
        ("model=sim-fast&tokens=1", 400, "tokens"),
    ] {
        let answer = shown(query).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (status, &json!(param)), "{query}");
    }
}
