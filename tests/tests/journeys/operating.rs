//! Can an operator set it up, stop it, start it again and ask it what is wrong?
use std::time::Duration;

use serde_json::{Value, json};
use tests::process::run;
use tests::serve::Site;
use tests::till::text;
use tests::world::said;
use tests::{Streamed, World, nano};

#[tokio::test]
async fn a_demo_started_again_in_its_folder_is_the_same_demo() {
    let mut world = World::demo().await;
    world.top_up("10.00").await;
    let answer = world.say("sim-fast", "before").await.expect(200);
    let (key, account, balance) = (world.key.clone(), world.account.clone(), world.balance().await);
    world.restart().await;
    assert_eq!((&world.key, &world.account), (&key, &account));
    assert_eq!(world.balance().await, balance, "and no second trial");
    let receipt = world.receipt(answer.header("x-request-id")).await;
    assert_eq!(text(&receipt, "cost_cny"), answer.header("x-tollgate-cost-cny"));
    world.say("sim-fast", "after").await.expect(200);
    world.books_balance().await;
}

#[test]
fn the_demo_plays_its_script_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let story = run(&["demo", "--script"], dir.path()).ok();
    assert!(story.contains("as they must be") && !story.contains('✗'), "{story}");
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the folder").flatten().map(|it| it.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_stop_lets_the_answer_under_way_end_and_takes_nothing_new() {
    let mut world =
        World::serve(|config| config.replace("drain_ms_max = 2_000", "drain_ms_max = 20_000")).await;
    world.top_up("5.00").await;
    let mut response = world.stream_begun(&said("sim-slow", "let me finish")).await.expect("an answer");
    let mut streamed = Streamed::begin(&response);
    streamed.take_some(&mut response, 2).await;
    world.process.ask_to_end();
    streamed.take_some(&mut response, usize::MAX).await;
    assert!(streamed.done(), "{}", streamed.text());
    let refused = world.request(reqwest::Method::GET, "/readyz").send().await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 503), "nothing new is taken");
    drop(response);
    let ended = world.process.ended();
    assert!(ended.success(), "{ended}\n{}", world.process.logged());
    world.start_again().await;
    let receipt = world.receipt(streamed.header("x-request-id")).await;
    assert_eq!(Some(text(&receipt, "cost_cny")), streamed.cost().as_deref());
    world.books_balance().await;
}

#[tokio::test]
async fn a_fresh_server_says_what_to_do_first_and_then_it_works() {
    let mut world = Site::new(|config| config).await.open().await;
    let advice = world.process.logged();
    for step in ["tollgate accounts create", "tollgate keys create", "admin_token"] {
        assert!(advice.contains(step), "{step} is missing in:\n{advice}");
    }
    world.customer("first");
    world.say("sim-fast", "hi").await.error(402, "insufficient_quota", "insufficient_quota");
    world.top_up("5.00").await;
    let answer = world.say("sim-fast", "hi").await.expect(200);
    assert_eq!(world.balance().await, nano("5.00") - nano(answer.header("x-tollgate-cost-cny")));
    world.books_balance().await;

    let balance = world.run(&["ledger", "trial-balance", "-c", "tollgate.toml", "-o", "json"]).ok();
    let balance: Value = serde_json::from_str(&balance).expect("JSON");
    assert_eq!((&balance["balanced"], &balance["open_holds"]), (&json!(true), &json!(0)), "{balance:#}");
    let nobody = ["keys", "create", "-c", "tollgate.toml", "--account", "acct_00000000000000000000000000"];
    assert_eq!(world.run(&nobody).code(), 3);

    // The same commands without a server that has the store open; an own secret comes from a file.
    assert!(world.process.stop().success());
    std::fs::write(world.dir().join("own.txt"), "sk-brought-along-0123456789\n").expect("a file");
    let account = world.account.clone();
    let own = ["keys", "create", "-c", "tollgate.toml", "--account", &account, "--secret-file", "own.txt"];
    world.run(&own).ok();
    let books = world.run(&["ledger", "trial-balance", "-c", "tollgate.toml"]).ok();
    assert!(books.contains("balanced"), "{books}");
    world.start_again().await;
    world.key = "sk-brought-along-0123456789".into();
    world.say("sim-fast", "with my own key").await.expect(200);
    world.books_balance().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_line_column_and_the_nearest_name() {
    let site = Site::new(|config| {
        config.replacen("drain_ms_max", "drain_ms_mx", 1).replacen(
            "\"qwen/sim-fast\"",
            "\"qwne/sim-fast\"",
            1,
        )
    })
    .await;
    let checked = run(&["check-config", "tollgate.toml"], site.dir());
    assert_eq!(checked.code(), 6, "{checked:?}");
    let said = checked.stderr();
    let line = said.lines().find(|line| line.contains("drain_ms_mx")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("tollgate.toml:4:1:") && line.contains("drain_ms_max"), "{line}");
    let line = said.lines().find(|line| line.contains("qwne")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("qwen") && line.contains("tollgate.toml:"), "{line}");
    let served = run(&["serve", "-c", "tollgate.toml"], site.dir());
    assert_eq!(served.code(), 6, "nothing starts with half a configuration: {served:?}");
}

#[tokio::test]
async fn the_command_line_tells_the_ways_to_fail_apart() {
    let site = Site::new(|config| config).await;
    let checked = run(&["check-config", "tollgate.toml"], site.dir()).ok();
    assert!(checked.contains("4 providers") && checked.contains("3 models"), "{checked}");
    let schema: Value =
        serde_json::from_str(&run(&["config", "schema"], site.dir()).ok()).expect("a JSON schema");
    assert!(schema["properties"]["providers"].is_object(), "{schema:#}");
    for (args, code) in [
        (&["--version"][..], 0),
        (&["demo", "--colour"], 2),
        (&["dance"], 2),
        (&["check-config", "nowhere.toml"], 6),
    ] {
        let ran = run(args, site.dir());
        assert_eq!(ran.code(), code, "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn too_fast_a_key_is_429_and_told_when_to_come_back() {
    let world = World::demo().await;
    let wanted = json!({"account": world.account, "name": "slow", "requests_per_minute": 2});
    let key = world.admin_post("/admin/v1/keys", &wanted).await.expect(201).json();
    let ask = async || {
        let request = world.http.post(format!("{}/v1/chat/completions", world.public_url));
        tests::world::sent(request.bearer_auth(text(&key, "key")).json(&said("sim-fast", "quick"))).await
    };
    let mut refused = None;
    for _ in 0..4 {
        let answer = ask().await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("a refusal");
    refused.error(429, "requests", "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{refused:?}");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0", "{refused:?}");
    world.advance(Duration::from_secs(60)).await;
    world.books_balance().await;
}

#[test]
fn the_ledgers_bench_charges_what_it_told_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--commands", "1000", "--accounts", "7", "--concurrency", "32", "--verify"];
    let args = ["bench", "ledger", "--dir", ".", "--json", "ledger.json"];
    run(&[&args[..], &few].concat(), dir.path()).ok();
    let report = std::fs::read_to_string(dir.path().join("ledger.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{report:#}");
    for run in runs {
        assert_eq!(run["requests"], 500);
        assert_eq!(run["money"]["told_nano_cny"], run["money"]["charged_nano_cny"]);
        for (kind, rows) in [("holds_inserted", 1.0), ("holds_updated", 1.0), ("receipts", 1.0)] {
            assert_eq!(run["plain"]["rows_per_request"][kind], rows, "{kind}");
        }
    }
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["ledger.json"], "and nothing else stays");
}

#[test]
fn the_bench_of_long_histories_fills_books_that_hold_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--entries", "10000", "--accounts", "7", "--samples", "10"];
    let args = ["bench", "ledger-history", "--dir", ".", "--json", "history.json"];
    run(&[&args[..], &few].concat(), dir.path()).ok();
    let report = std::fs::read_to_string(dir.path().join("history.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let page = &report["readings"]["statement page, last month"];
    assert_eq!(page["microseconds"]["count"], 10, "{report:#}");
    assert!(page["rows_read_max"].as_u64().unwrap() <= 103, "{report:#}");
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["history.json"], "and nothing else stays");
}

#[tokio::test]
async fn a_second_demo_in_a_folder_that_is_in_use_changes_nothing_there() {
    let world = World::demo().await;
    let written = || std::fs::read_to_string(&world.config).expect("the configuration");
    let before = written();
    let folder = std::path::Path::new(&world.config).parent().expect("a folder").display().to_string();
    let free = "127.0.0.1:0";
    let mut second = vec!["demo", "--no-open", "--dir", &folder];
    second.extend(["--listen", free, "--admin-listen", free, "--sim-listen", free]);
    let second = world.run(&second);
    assert_eq!(second.code(), 5, "{second:?}");
    assert!(second.stderr().contains("in use"), "{second:?}");
    assert_eq!(written(), before);
    world.say("sim-fast", "still here").await.expect(200);
}
