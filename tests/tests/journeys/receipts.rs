//! Does a receipt say everything there is to know of a call, to the last digit?
use serde_json::{Value, json};
use tests::till::text;
use tests::world::said;
use tests::{World, nano};

/// Figures that must come to the same, whoever says them.
fn agrees(receipt: &Value) {
    let lines = receipt["lines"].as_array().expect("lines");
    let of_lines: i64 = lines.iter().map(|line| nano(text(line, "cost_cny"))).sum();
    let hold = &receipt["hold"];
    let taken = hold["used"].as_array().expect("what was taken").iter();
    let taken: i64 = taken.filter_map(|part| part["cny"].as_str()).map(nano).sum();
    assert_eq!(nano(text(receipt, "cost_cny")), taken, "{receipt:#}");
    assert_eq!(text(hold, "cost_cny"), text(receipt, "cost_cny"), "{receipt:#}");
    let entries = receipt["entries"].as_array().expect("entries");
    let mut out = entries.iter().filter(|entry| entry["currency"] == "CNY");
    let moved: i64 = out.clone().map(|entry| nano(text(entry, "change"))).sum();
    assert_eq!(moved, -taken, "{receipt:#}");
    assert!(entries.iter().all(|entry| entry["call"] == receipt["id"]), "{receipt:#}");
    let after = receipt["balance_after"].as_array().expect("balances");
    let yuan = after.iter().find(|it| it["balance"] == "CNY").expect("the yuan");
    if let Some(last) = out.next_back() {
        assert_eq!(yuan["amount"], last["balance"], "{receipt:#}");
    }
    if receipt["cost_tokens_milli"] == 0 {
        assert_eq!(of_lines, taken, "{receipt:#}");
    }
}

#[tokio::test]
async fn a_receipt_says_what_was_promised_held_used_taken_and_left() {
    let world = World::demo().await;
    world.top_up("10.00").await;
    let answer = world.say("sim-luxury", "你好").await.expect(200);
    let receipt = world.receipt(answer.header("x-request-id")).await;
    agrees(&receipt);
    assert_eq!(receipt["attempts"].as_array().map(Vec::len), Some(1), "{receipt:#}");
    let fx = &receipt["fx"];
    assert_eq!((text(fx, "id"), text(fx, "pair")), (text(&receipt, "fx_id"), "USD/CNY"), "{receipt:#}");
    assert!(nano(text(fx, "rate")) > nano("1") && fx["fetched_at"].is_string(), "{receipt:#}");
    let quote = &receipt["hold"]["quote"];
    assert_eq!(text(quote, "price_version"), answer.header("x-tollgate-price-version"));
    let price = |line: &Value| text(line, "price_cny_per_million").to_owned();
    assert_eq!(price(&receipt["lines"][0]), text(quote, "input"), "{receipt:#}");
    assert_eq!(nano(text(&receipt["balance_after"][0], "amount")), world.balance().await);

    // Paid by tokens as far as they go: each balance by its own weights, each with what is left of it.
    let order = world.topup(&json!({"amount": "0.01", "kind": "tokens", "model": "sim-fast"})).await;
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    let answer = world.say("sim-fast", "a few tokens").await.expect(200);
    let receipt = world.receipt(answer.header("x-request-id")).await;
    agrees(&receipt);
    let tokens = &receipt["hold"]["tokens"][0];
    assert_eq!(tokens["weights_milli"]["input"], 1_000, "{receipt:#}");
    let after = receipt["balance_after"].as_array().expect("balances");
    let left = after.iter().find(|it| it["balance"] == tokens["balance"]).expect("the tokens");
    let whole = text(left, "amount").split('.').next().expect("whole tokens").to_owned();
    assert_eq!(whole, world.tokens("sim-fast").await.to_string(), "{receipt:#}");

    // What failed cost nothing and says so.
    world.fault(json!({"scope": "*", "fault": "status", "status": 500, "times": 0})).await;
    let failed = world.say("sim-fast", "nobody answers").await;
    world.no_faults().await;
    let receipt = world.receipt(failed.header("x-request-id")).await;
    agrees(&receipt);
    assert_eq!(
        (&receipt["entries"], text(&receipt["hold"], "state")),
        (&json!([]), "released"),
        "{receipt:#}"
    );
    world.books_balance().await;
}

#[tokio::test]
async fn a_call_that_its_process_did_not_survive_has_a_receipt_too() {
    let mut world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let mut response = world.stream_begun(&said("sim-slow", "to be cut off")).await.expect("an answer");
    let mut streamed = tests::Streamed::begin(&response);
    streamed.take_some(&mut response, 2).await;
    world.process.kill9();
    world.start_again().await;
    let receipt = world.receipt(streamed.header("x-request-id")).await;
    agrees(&receipt);
    assert_eq!((&receipt["recovered"], &receipt["estimated"]), (&json!(true), &json!(true)), "{receipt:#}");
    assert!(nano(text(&receipt, "held_cny")) >= nano(text(&receipt, "cost_cny")), "{receipt:#}");
    world.books_balance().await;
}
