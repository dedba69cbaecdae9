//! Why was a call served by this provider, and how are the providers?
use std::time::Duration;

use serde_json::{Value, json};
use tests::World;
use tests::world::{said, sent};

use crate::failover::scope;

async fn dry_run(world: &World, body: Value) -> Value {
    let asked = json!({"account": world.account, "body": body});
    world.admin_post("/admin/v1/route:dry-run", &asked).await.expect(200).json()
}

fn targets(plan: &Value) -> Vec<&str> {
    let candidates = plan["candidates"].as_array().expect("candidates");
    candidates.iter().map(|it| it["target"].as_str().expect("a target")).collect()
}

#[tokio::test]
async fn a_dry_run_says_who_would_be_asked_at_which_price_and_asks_nobody() {
    let world = World::demo().await;
    let before = world.upstream_requests().await;
    let run = dry_run(&world, said("sim-fast", "你好")).await;
    let plan = &run["plans"][0];
    assert_eq!((&plan["model"], &plan["strategy"]), (&json!("sim-fast"), &json!("priority")), "{run:#}");
    assert_eq!(plan["quote"]["covered_by_money"], true, "{run:#}");
    assert!(plan["quote"]["hold_cny"].is_string() && run["available_cny"].is_string(), "{run:#}");
    assert_eq!(world.upstream_requests().await, before, "nobody was asked");
    let answer = world.say("sim-fast", "你好").await.expect(200);
    let first = targets(plan)[0].split_once('/').expect("provider/model").0.to_owned();
    assert_eq!(answer.header("x-tollgate-provider"), first, "{run:#}");

    let refused = dry_run(&world, said("sim-fats", "hi")).await;
    assert_eq!(refused["refused"]["code"], "model_not_found", "{refused:#}");
    let dear = json!({"account": world.account, "headers": {"x-tollgate-max-cost-cny": "0.000001"}, "body": said("sim-fast", "hi")});
    let dear = world.admin_post("/admin/v1/route:dry-run", &dear).await.expect(200).json();
    assert_eq!(
        (&dear["refused"]["status"], &dear["refused"]["code"]),
        (&json!(402), &json!("max_cost_exceeded")),
        "{dear:#}"
    );
    for (asked, status) in [
        (json!({"account": "acct_01ARZ3NDEKTSV4RRFFQ69G5FAV", "body": {}}), 404),
        (json!({"account": world.account, "path": "/v1/poems", "body": {}}), 400),
        (json!({"account": world.account, "headers": {"a b": "c"}, "body": {}}), 400),
        (json!({"account": world.account}), 400),
        (json!({"account": world.account, "body": {}, "bodi": 1}), 400),
    ] {
        let answer = world.admin_post("/admin/v1/route:dry-run", &asked).await;
        assert_eq!(answer.status, status, "{asked}: {answer:?}");
    }
}

#[tokio::test]
async fn a_call_is_explained_by_its_id_beside_the_running_server() {
    let world = World::demo().await;
    let run = dry_run(&world, said("sim-fast", "hi")).await;
    let first = targets(&run["plans"][0])[0].split_once('/').expect("a target").0.to_owned();
    world.fault(json!({"scope": scope(&first), "fault": "status", "status": 500})).await;
    let answer = world.say("sim-fast", "hi").await.expect(200);
    assert_eq!(answer.header("x-tollgate-decision"), "strategy=priority");
    let id = answer.header("x-request-id");
    let explained: Value =
        serde_json::from_str(&world.run(&["explain", id, "-c", &world.config, "-o", "json"]).ok())
            .expect("JSON");
    assert_eq!(explained["decision"]["strategy"], "priority", "{explained:#}");
    let attempts = explained["attempts"].as_array().expect("attempts");
    assert_eq!((attempts.len(), &attempts[0]["result"]), (2, &json!("server_error")), "{explained:#}");
    assert_eq!(explained["hold"]["state"], "settled", "{explained:#}");
    assert_eq!(explained["cost_cny"], answer.header("x-tollgate-cost-cny"));
    let unknown = world.run(&["explain", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV", "-c", &world.config]);
    assert!(unknown.code() != 0 && unknown.stderr().contains("no call"), "{}", unknown.stderr());
}

#[tokio::test]
async fn an_empty_account_of_ours_is_left_shown_and_found_full_again() {
    let world = World::demo().await;
    let run = dry_run(&world, said("sim-fast", "hi")).await;
    let first = targets(&run["plans"][0])[0].split_once('/').expect("a target").0.to_owned();
    // Every call from now on.
    world.fault(json!({"scope": scope(&first), "fault": "out_of_funds", "times": 0})).await;
    for attempts in ["2", "1", "1"] {
        let answer = world.say("sim-fast", "hi").await.expect(200);
        assert_ne!(answer.header("x-tollgate-provider"), first);
        assert_eq!(answer.header("x-tollgate-attempts"), attempts);
    }
    let upstreams = world.admin_get("/admin/v1/upstreams").await.expect(200).json();
    let of = |upstreams: &Value| {
        let all = upstreams["data"].as_array().expect("a list").clone();
        all.into_iter().find(|provider| provider["id"] == json!(first)).expect("the first")
    };
    assert_eq!(of(&upstreams)["keys"][0]["parked"]["reason"], "out_of_funds", "{upstreams:#}");
    let label = format!("provider=\"{first}\"");
    assert!(world.metric("tollgate_upstream_out_of_funds", &[&label]).await > 0.5);
    let skipped = dry_run(&world, said("sim-fast", "hi")).await;
    assert_eq!(skipped["plans"][0]["skipped"][0]["why"], "out_of_funds", "{skipped:#}");

    world.no_faults().await;
    world.advance(Duration::from_secs(1_000)).await;
    assert_eq!(world.say("sim-fast", "hi").await.expect(200).header("x-tollgate-provider"), first);
    let upstreams = world.admin_get("/admin/v1/upstreams").await.expect(200).json();
    assert_eq!(of(&upstreams)["keys"][0]["parked"], Value::Null, "{upstreams:#}");
    assert!(world.metric("tollgate_upstream_out_of_funds", &[&label]).await < 0.5);
    world.books_balance().await;
}

#[tokio::test]
async fn what_a_call_is_for_chooses_the_model() {
    let world = World::demo().await;
    for (model, task, meant) in [
        ("auto", "", "sim-fast"),
        ("auto", "payment-intent", "sim-fast"),
        ("auto", "refund-reasoning", "sim-smart"),
        ("auto", "dispute", "sim-smart"),
        ("payment-intent", "", "sim-fast"),
        ("dispute", "", "sim-smart"),
    ] {
        let request = world.request(reqwest::Method::POST, "/v1/chat/completions").json(&said(model, "hi"));
        let answer = sent(request.header("x-tollgate-task", task)).await.expect(200);
        assert_eq!(answer.header("x-tollgate-model"), meant, "{model} for {task}");
    }
    world.books_balance().await;
}
