//! Can a customer read what happened, and an operator copy the books, look at them and bring them back?
use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano};

#[tokio::test]
async fn a_statement_leads_from_nothing_to_the_balance_by_every_line() {
    let world = World::demo().await;
    world.top_up("10.00").await;
    for _ in 0..3 {
        world.say("sim-fast", "你好").await.expect(200);
    }
    let whole = world.get("/v1/statement?sums=full").await.expect(200).json();
    let lines = whole["data"].as_array().expect("lines");
    assert_eq!(whole["entries"], lines.len(), "{whole:#}");
    assert_eq!(nano(text(&whole, "closing_balance")), world.balance().await);
    let moved: i64 = lines.iter().map(|line| nano(text(line, "change"))).sum();
    assert_eq!(nano(text(&whole, "opening_balance")) + moved, nano(text(&whole, "closing_balance")));
    let kinds = whole["sums"]["kinds"].as_array().expect("sums");
    let sum = |member: &str| kinds.iter().map(|kind| nano(text(kind, member))).sum::<i64>();
    assert_eq!(sum("in") - sum("out"), moved, "{whole:#}");

    // A page at a time, newest first.
    let (mut paged, mut path) = (Vec::new(), "/v1/statement?limit=2&order=newest".to_owned());
    loop {
        let page = world.get(&path).await.expect(200).json();
        paged.extend(page["data"].as_array().expect("lines").iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/statement?limit=2&order=newest&cursor={cursor}");
    }
    paged.reverse();
    assert_eq!(&paged, lines);

    // From the second line's instant on; and all of it as a file.
    let at = text(&lines[1], "at").to_owned();
    let later = world.get(&format!("/v1/statement?from={at}")).await.expect(200).json();
    assert_eq!(later["opening_balance"], lines[0]["balance"], "{later:#}");
    let file = world.get("/v1/statement?format=jsonl").await.expect(200).text();
    let file: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&file, lines);
    let csv = world.get("/v1/statement?format=csv").await.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"), "{csv:?}");
    assert_eq!(csv.text().matches("\r\n").count(), lines.len() + 1);

    for (query, field) in [
        ("from=yesterday", "from"),
        ("limit=0", "limit"),
        ("cursor=1", "cursor"),
        ("asset=EUR", "asset"),
        ("until=2026-01-01T00:00:00Z", "until"),
        ("format=csv&limit=5", "limit"),
    ] {
        let answer = world.get(&format!("/v1/statement?{query}")).await.expect(400).json();
        assert_eq!(answer["error"]["param"], field, "{answer:#}");
    }
    let everything =
        world.admin_get("/admin/v1/ledger/export?all=true&format=jsonl").await.expect(200).text();
    assert!(everything.lines().count() >= lines.len());
    let nobody = "/admin/v1/ledger/export?account=acct_00000000000000000000000000&format=csv";
    assert_eq!(world.admin_get(nobody).await.status, 404);
    assert_eq!(
        world.admin_get("/admin/v1/ledger/export?format=csv").await.expect(400).json()["error"]["param"],
        "account"
    );
    world.books_balance().await;
}

#[tokio::test]
async fn a_backup_taken_beside_the_server_serves_again_with_the_same_keys_and_balances() {
    let mut world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let answer = world.say("sim-fast", "before").await.expect(200);
    let balance = world.balance().await;
    let taken = world.run(&["backup", "-c", "tollgate.toml", "--out", "copy", "-o", "json"]).ok();
    let taken: Value = serde_json::from_str(&taken).expect("JSON");
    assert_eq!((&taken["sound"], &taken["open_holds"]), (&json!(true), &json!(0)), "{taken:#}");
    assert_eq!(
        world.run(&["backup", "-c", "tollgate.toml", "--out", "copy"]).code(),
        5,
        "nothing is overwritten"
    );
    world.say("sim-fast", "too late for the copy").await.expect(200);

    let looked = ["ledger", "verify", "--store", "store", "-o", "json"];
    let beside: Value = serde_json::from_str(&world.run(&looked).ok()).expect("JSON");
    assert_ne!(beside["state_hash"], taken["state_hash"]);
    let copy = ["ledger", "verify", "--from-backup", "copy", "-o", "json"];
    let copy: Value = serde_json::from_str(&world.run(&copy).ok()).expect("JSON");
    assert_eq!(copy["state_hash"], taken["state_hash"]);

    assert!(world.process.stop().success());
    assert_eq!(
        world.run(&["restore", "--from", "copy", "--store", "store"]).code(),
        5,
        "not over other books"
    );
    assert_eq!(world.run(&["restore", "--from", "nowhere", "--store", "back"]).code(), 3);
    world.run(&["restore", "--from", "copy", "--store", "back"]).ok();
    let config = std::fs::read_to_string(&world.config).expect("the configuration");
    std::fs::write(&world.config, config.replace("path = \"store\"", "path = \"back\"")).expect("a file");
    world.start_again().await;
    assert_eq!(world.balance().await, balance, "as it was when the copy was taken");
    let receipt = world.receipt(answer.header("x-request-id")).await;
    assert_eq!(text(&receipt, "cost_cny"), answer.header("x-tollgate-cost-cny"));
    world.say("sim-fast", "after").await.expect(200);
    world.books_balance().await;

    let out = world.dir().join("lines.csv");
    let account = world.account.clone();
    let export = ["ledger", "export", "-c", "tollgate.toml", "--account", &account, "--format", "csv"];
    world.run(&[&export[..], &["--out", "lines.csv"]].concat()).ok();
    assert!(std::fs::read_to_string(&out).expect("the export").contains("pay_credit"));
    assert_eq!(world.run(&[&export[..], &["--out", "lines.csv"]].concat()).code(), 5);
    assert_eq!(world.run(&["ledger", "verify", "--store", "copy/journal"]).code(), 3);
    assert_eq!(world.run(&["ledger", "export", "-c", "tollgate.toml", "--format", "csv"]).code(), 2);
    assert!(world.process.stop().success());
    assert_eq!(damaged(&world), 8, "and a changed line is found");
}

/// Has a payment in the copy come from another book, behind every program's back, and says how `verify` ends.
fn damaged(world: &World) -> i32 {
    let path = world.dir().join("copy/ledger.db");
    let mut bytes = std::fs::read(&path).expect("the copy");
    let (from, to) = (b"pay_creditwx:clearing", b"pay_creditw:refunding");
    let place = bytes.windows(from.len()).position(|part| part == from);
    let place = place.expect("a line of the journal, as it stands in the file");
    bytes[place..place + to.len()].copy_from_slice(to);
    std::fs::write(&path, bytes).expect("the copy");
    world.run(&["ledger", "verify", "--store", "copy"]).code()
}
