//! Can a person have the far side do all that may happen there, from the command line?
use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

/// A verb of `tollgate sim`, asked of this world's simulator: the exit code, what it said, what it complained of.
fn sim(world: &World, args: &[&str]) -> (i32, Value, String) {
    let all: Vec<&str> = ["sim"]
        .into_iter()
        .chain(args.iter().copied())
        .chain(["--sim-url", &world.sim_url, "-o", "json"])
        .collect();
    let ran = world.run(&all);
    (ran.code(), serde_json::from_str(&ran.stdout()).unwrap_or(Value::Null), ran.stderr())
}

#[track_caller]
fn done(world: &World, args: &[&str]) -> Value {
    let (code, says, why) = sim(world, args);
    assert_eq!(code, 0, "sim {args:?}: {why}");
    says
}

#[track_caller]
fn refused(world: &World, args: &[&str], code: i32, word: &str) {
    let (got, _, why) = sim(world, args);
    assert_eq!(got, code, "sim {args:?}: {why}");
    assert!(why.contains(word), "sim {args:?} should mention {word}: {why}");
}

#[tokio::test]
async fn an_order_is_paid_late_told_of_again_and_refunded_from_the_command_line() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00"})).await;
    let number = text(&order, "out_trade_no");
    let listed = done(&world, &["orders"]);
    assert_eq!(
        (&listed["orders"][0]["out_trade_no"], &listed["orders"][0]["trade_state"]),
        (&json!(number), &json!("NOTPAY"))
    );
    let as_table = world.run(&["sim", "orders", "--sim-url", &world.sim_url, "-o", "table"]).ok();
    assert!(as_table.contains(number) && !as_table.contains("deliveries"), "{as_table}");

    // All notices of it are lost: found by asking, when the one clock of both sides has moved.
    done(&world, &["fault", "set", "drop_notification", "all=true"]);
    done(&world, &["pay", text(&order, "id")]);
    until("the payment is found", || async {
        done(&world, &["clock", "+20s"]);
        (world.order(&order).await["status"] == "paid").then_some(())
    })
    .await;
    refused(&world, &["pay", number], 5, "paid");
    refused(&world, &["pay", "nobody"], 3, "order");
    let told = done(&world, &["redeliver", number, "--copies", "3", "--concurrent"]);
    assert_eq!(told["statuses"], json!([200, 200, 200]));
    assert_eq!(world.balance().await, nano("10.50"), "credited once");

    // Closed, and paid all the same.
    let late = world.topup(&json!({"amount": "5.00"})).await;
    world.post(&format!("/v1/topups/{}/close", text(&late, "id")), &json!({})).await.expect(200);
    refused(&world, &["pay", text(&late, "id")], 5, "closed");
    done(&world, &["pay", text(&late, "id"), "--late", "--payer", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"]);
    world.order_until(&late, "paid").await;
    let shown = done(&world, &["orders", text(&late, "id")]);
    assert_eq!(shown["payer"], "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o");

    // A refund that does not arrive by itself.
    done(&world, &["fault", "set", "refund_result", "status=PROCESSING"]);
    let refund = world.post("/v1/refunds", &json!({"order": order["id"]})).await.expect(201).json();
    let path = format!("/v1/refunds/{}", text(&refund, "id"));
    let item = async |status: &str| {
        until(&format!("the item is {status}"), || async {
            let refund = world.get(&path).await.expect(200).json();
            (refund["items"][0]["status"] == status)
                .then(|| text(&refund["items"][0], "out_refund_no").to_owned())
        })
        .await
    };
    let number = item("processing").await;
    done(&world, &["refund", &number, "--as", "abnormal"]);
    item("abnormal").await;
    done(&world, &["refund", &number]);
    item("success").await;
    refused(&world, &["refund", &number], 5, "ended");
    refused(&world, &["refund", "nothing"], 3, "refund");
    world.books_balance().await;
}

#[tokio::test]
async fn everything_that_may_go_wrong_is_set_listed_and_cleared_from_the_command_line() {
    let world = World::demo().await;
    let faults: [&[&str]; 23] = [
        &["drop_notification"],
        &["delay_notification", "ms=60000"],
        &["duplicate_notification", "copies=5"],
        &["reorder_notification"],
        &["bad_signature"],
        &["bad_signature", "op=query"],
        &["signature_probe"],
        &["wrong_amount", "total=1"],
        &["wrong_mchid"],
        &["unknown_order"],
        &["wrong_sign_type"],
        &["doctype"],
        &["pay_after_close", "after_ms=1000"],
        &["refund_result", "status=ABNORMAL"],
        &["not_enough"],
        &["certificate_refused"],
        &["bill_row_missing", "bill=fund_flow"],
        &["bill_row_extra", "total=100"],
        &["bill_row_different", "total=1", "out_trade_no=12345"],
        &["status", "status=429", "api=v2", "mchid=1900000001"],
        &["status", "status=500", "op=sandbox_key", "executed=true"],
        &["slow", "ms=5000"],
        &["timeout"],
    ];
    for fault in faults {
        let args: Vec<&str> =
            ["fault", "set"].into_iter().chain(fault.iter().copied()).chain(["--times", "0"]).collect();
        let queued = done(&world, &args);
        assert_eq!((&queued["fault"], &queued["times"]), (&json!(fault[0]), &json!(0)), "{queued:#}");
    }
    let listed = done(&world, &["fault", "list"]);
    assert_eq!(listed["faults"].as_array().map(Vec::len), Some(faults.len()), "{listed:#}");
    done(&world, &["fault", "clear", "1"]);
    refused(&world, &["fault", "clear", "1"], 3, "fault");
    assert_eq!(done(&world, &["fault", "clear"])["cleared"], json!(faults.len() - 1));
    done(&world, &["fault", "set", "out_of_funds", "--scope", "deepseek", "model=sim-fast"]);
    for (args, code, word) in [
        (&["fault", "set", "melt"][..], 6, "drop_notification"),
        (&["fault", "set", "slow"], 6, "ms"),
        (&["fault", "set", "slow", "5000"], 2, "NAME=VALUE"),
        (&["fault", "set", "html", "--scope", "mars"], 6, "mars"),
        (&["clock", "-1d"], 2, "-1"),
        (&["clock", "soon"], 2, "soon"),
        (&["clock", "+4000d"], 6, "advance_ms"),
        (&["switch", "head_handshake"], 2, "VALUE"),
        (&["switch", "colour", "on"], 6, "colour"),
        (&["bills", "2026-01-01", "--mchid", "1"], 3, "merchant"),
    ] {
        refused(&world, args, code, word);
    }

    // The clock of the product is the same one.
    let made = async || text(&world.topup(&json!({"amount": "1.00"})).await, "created_at")[..10].to_owned();
    let today = made().await;
    let now = done(&world, &["clock"]);
    assert_eq!(text(&now, "now")[..10], today);
    done(&world, &["clock", "+1d"]);
    assert_ne!(made().await, today);

    // What is set up, and who answers a HEAD.
    let before = done(&world, &["switch"]);
    assert_eq!(before["head_handshake"], false, "{before:#}");
    assert_eq!(done(&world, &["switch", "head_handshake", "on"])["head_handshake"], true);
    assert_eq!(done(&world, &["switch", "fee_basis_points", "38"])["fee_basis_points"], 38);
    world.top_up("2.00").await;
    let shaken = done(&world, &["handshakes"]);
    assert_eq!(
        (&shaken["handshakes"][0]["failures"], &shaken["handshakes"][0]["blacklisted"]),
        (&json!(0), &json!(false)),
        "{shaken:#}"
    );
    done(&world, &["handshakes", "--forget"]);
    assert_eq!(done(&world, &["handshakes"])["handshakes"], json!([]));
    let keys = done(&world, &["keys", "--certificates", "issue", "--public-key-percent", "50"]);
    assert_eq!(keys["public_key_percent"], 50, "{keys:#}");
    assert_eq!(done(&world, &["bills", "2026-01-01"])["spoilt"], Value::Null);
    let url = format!("{}/pay/risk/demo", world.public_url);
    let sent = done(
        &world,
        &[
            "risk",
            &url,
            "--scope",
            "account",
            "--id",
            "acct_1",
            "--level",
            "slow",
            "--reason",
            "many refunds",
        ],
    );
    assert!(sent["event_id"].is_string(), "{sent:#}");
}

#[tokio::test]
async fn where_no_simulator_listens_the_command_line_says_so() {
    let world = World::demo().await;
    for (url, code, word) in [
        ("http://127.0.0.1:1", 7, "tollgate demo"),
        (&*world.public_url, 7, "no simulator"),
        ("ftp://127.0.0.1", 2, "--sim-url"),
        ("somewhere", 2, "--sim-url"),
    ] {
        let ran = world.run(&["sim", "pay", "x", "--sim-url", url]);
        assert_eq!(ran.code(), code, "{url}: {ran:?}");
        assert!(ran.stderr().contains(word) && ran.stdout().is_empty(), "{url}: {ran:?}");
    }
    let mixed = world.run(&["sim", "--listen", "127.0.0.1:0", "orders"]);
    assert_eq!(mixed.code(), 2, "what it serves with is nothing to ask with: {mixed:?}");
}
