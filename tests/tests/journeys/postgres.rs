//! Do the books keep the same promises on a PostgreSQL server?
use std::time::Duration;

use serde_json::{Value, json};
use testbed::Database;
use tests::till::text;
use tests::{World, nano, until};

/// A gateway whose books are in this database.
async fn world_on(database: &Database) -> World {
    let url = format!("[store]\nurl = \"{}\"", database.url());
    World::serve(|config| config.replace("[store]", &url)).await
}

#[tokio::test]
async fn on_postgresql_a_customer_pays_calls_and_gets_the_rest_back_and_a_crash_changes_nothing() {
    let database = Database::fresh().await;
    let mut world = world_on(&database).await;
    world.say("sim-fast", "hi").await.error(402, "insufficient_quota", "insufficient_quota");
    world.top_up("10.00").await;
    let answer = world.say("sim-fast", "你好").await.expect(200);
    let cost = nano(answer.header("x-tollgate-cost-cny"));
    assert_eq!(world.balance().await, nano("10.00") - cost);

    world.process.kill9();
    world.start_again().await;
    assert_eq!(world.balance().await, nano("10.00") - cost);
    let receipt = world.receipt(answer.header("x-request-id")).await;
    assert_eq!(text(&receipt, "cost_cny"), answer.header("x-tollgate-cost-cny"));

    let refund = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
    until("the refund has arrived", || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
    assert_eq!(world.balance().await, nano("6.00") - cost);
    world.books_balance().await;

    // The same commands beside the server, through it, and without it.
    let balance = world.run(&["ledger", "trial-balance", "-c", "tollgate.toml", "-o", "json"]).ok();
    let balance: Value = serde_json::from_str(&balance).expect("JSON");
    assert_eq!((&balance["balanced"], &balance["open_holds"]), (&json!(true), &json!(0)), "{balance:#}");
    let seen = world.run(&["ledger", "verify", "--postgres", database.url(), "-o", "json"]).ok();
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["sound"], true, "{seen:#}");
    assert!(seen["lanes"].as_array().expect("lanes").len() >= 2, "a lane for each run that wrote: {seen:#}");
    let account = world.account.clone();
    let export = ["ledger", "export", "--postgres", database.url(), "--account", &account, "--format", "csv"];
    let lines = world.run(&export).ok();
    assert!(lines.contains("pay_credit") && lines.contains("refund_done"), "{lines}");
    let backup = world.run(&["backup", "-c", "tollgate.toml", "--out", "copy"]);
    assert_eq!(backup.code(), 6, "{backup:?}");
    assert!(backup.stderr().contains("pg_dump"), "{backup:?}");

    assert!(world.process.stop().success());
    world.run(&["ledger", "trial-balance", "-c", "tollgate.toml"]).ok();
    world.start_again().await;
    assert_eq!(world.balance().await, nano("6.00") - cost);
    world.books_balance().await;
}

#[tokio::test]
async fn books_that_move_to_postgresql_take_balances_keys_and_receipts_along() {
    let mut world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let answer = world.say("sim-fast", "before").await.expect(200);
    let balance = world.balance().await;
    let database = Database::fresh().await;
    let args = ["store", "move", "--from", "store", "--to", database.url(), "-o", "json"];
    let refused = world.run(&args);
    assert_eq!(refused.code(), 5, "somebody serves from it: {refused:?}");

    assert!(world.process.stop().success());
    let moved: Value = serde_json::from_str(&world.run(&args).ok()).expect("JSON");
    let seen = world.run(&["ledger", "verify", "--store", "store", "-o", "json"]).ok();
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(moved["state_hash"], seen["state_hash"]);
    assert_eq!(world.run(&args).code(), 5, "not into a used one");
    let stays = world.run(&["serve", "-c", "tollgate.toml"]);
    assert_ne!(stays.code(), 0);
    assert!(stays.stderr().contains("moved to PostgreSQL"), "{stays:?}");

    let config = std::fs::read_to_string(&world.config).expect("the configuration");
    let config = config.replace("[store]", &format!("[store]\nurl = \"{}\"", database.url()));
    std::fs::write(&world.config, config).expect("the configuration");
    world.start_again().await;
    assert_eq!(world.balance().await, balance);
    assert_eq!(
        text(&world.receipt(answer.header("x-request-id")).await, "cost_cny"),
        answer.header("x-tollgate-cost-cny")
    );
    world.say("sim-fast", "after").await.expect(200);
    world.books_balance().await;
}
