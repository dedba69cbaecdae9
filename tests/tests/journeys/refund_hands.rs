//! Can people look before money goes back, take it back in time, and do operators need each other for much of it?
use std::time::Duration;

use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

async fn world() -> World {
    World::serve(|config| config + "\n[payments.refunds]\napprove_above = \"20.00\"\n").await
}

/// Looks at a refund until it has this state, while time passes on both sides.
async fn refund_is(world: &World, refund: &Value, status: &str) -> Value {
    let path = format!("/v1/refunds/{}", text(refund, "id"));
    until(&format!("the refund is {status}"), || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&path).await.expect(200).json();
        (text(&refund, "status") == status).then_some(refund)
    })
    .await
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_preview_is_what_then_goes_back_and_moves_nothing_itself() {
    let world = world().await;
    let order = world.top_up("10.00").await;
    world.top_up("5.00").await;
    let cost = nano(world.say("sim-fast", "你好").await.expect(200).header("x-tollgate-cost-cny"));
    let before = world.balance().await;
    let wish = json!({"amount": "6.00"});
    let preview = world.post("/v1/refunds/preview", &wish).await.expect(200).json();
    assert_eq!(
        (&preview["amount"], &preview["needs_approval"]),
        (&json!("6.00"), &json!(false)),
        "{preview:#}"
    );
    let stays: i64 =
        preview["stays"].as_array().expect("parts").iter().map(|part| nano(text(part, "amount"))).sum();
    assert_eq!(nano(text(&preview, "refundable")) + stays, nano("15.00") - cost, "all of it is explained");
    assert_eq!(world.balance().await, before);
    let refund = world.post("/v1/refunds", &wish).await.expect(201).json();
    let parts = |of: &Value| -> Vec<(String, String)> {
        let items = of["items"].as_array().expect("items").iter();
        let mut parts: Vec<_> =
            items.map(|item| (text(item, "order").to_owned(), text(item, "amount").to_owned())).collect();
        parts.sort();
        parts
    };
    assert_eq!(parts(&preview), parts(&refund));
    let taken: i64 =
        preview["items"].as_array().expect("items").iter().map(|item| nano(text(item, "takes"))).sum();
    assert_eq!(world.balance().await, before - taken);

    let too_much = world.post("/v1/refunds/preview", &json!({"amount": "16.00"})).await;
    too_much.error(409, "invalid_request_error", "refund_exceeds_unused");
    let odd = world.post("/v1/refunds/preview", &json!({"amount": "six"})).await;
    assert_eq!(odd.error(400, "invalid_request_error", "invalid_value")["param"], "amount");
    let odd = world.post("/v1/refunds/preview", &json!({"order": "ord_x"})).await;
    assert_eq!(odd.error(404, "invalid_request_error", "not_found")["param"], "order");
    let named = world.post("/v1/refunds/preview", &json!({"order": order["id"]})).await.expect(200).json();
    assert!(parts(&named).iter().all(|(of, _)| of == text(&order, "id")), "{named:#}");
    world.books_balance().await;
}

#[tokio::test]
async fn what_a_customer_asks_for_above_the_bound_waits_until_an_operator_agrees_or_it_is_taken_back() {
    let world = world().await;
    world.top_up("50.00").await;
    let refund = world.post("/v1/refunds", &json!({"amount": "30.00"})).await.expect(201).json();
    assert_eq!(refund["status"], "waiting", "{refund:#}");
    assert_eq!(world.balance().await, nano("20.00"), "it is set aside");
    let path = format!("/v1/refunds/{}/cancel", text(&refund, "id"));
    let cancelled = world.post(&path, &json!({})).await.expect(200).json();
    assert_eq!((&cancelled["status"], world.balance().await), (&json!("cancelled"), nano("50.00")));

    let refund = world.post("/v1/refunds", &json!({"amount": "30.00"})).await.expect(201).json();
    let id = text(&refund, "id").to_owned();
    let listed = json_of(&world.run(&["refund", "list", "-c", "tollgate.toml", "-o", "json"]).ok());
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["status"]), (&refund["id"], &json!("waiting")));
    let approve = ["refund", "approve", &id, "-c", "tollgate.toml", "--operator", "ann", "-o", "json"];
    assert_eq!(world.run(&approve).code(), 2, "it takes a reason");
    let approved = json_of(&world.run(&[&approve[..], &["--reason", "they asked twice"]].concat()).ok());
    assert_eq!((&approved["approver"], &approved["why"]), (&json!("ann"), &json!("they asked twice")));
    refund_is(&world, &refund, "success").await;
    let late = world.post(&format!("/v1/refunds/{id}/cancel"), &json!({})).await;
    late.error(409, "invalid_request_error", "refund_under_way");
    let elsewhere = world.post("/v1/refunds/rfb_x/cancel", &json!({})).await;
    elsewhere.error(404, "invalid_request_error", "not_found");
    assert_eq!(world.balance().await, nano("20.00"));
    world.books_balance().await;
}

#[tokio::test]
async fn an_operator_gives_money_back_after_a_look_and_above_the_bound_not_alone() {
    let mut world = world().await;
    let order = world.top_up("50.00").await;
    let later = text(&world.top_up("5.00").await, "id").to_owned();
    let id = text(&order, "id").to_owned();
    let account = world.account.clone();
    let config = ["-c", "tollgate.toml", "-o", "json"];
    let run = |args: &[&str]| world.run(&[args, &config[..]].concat());
    let preview = json_of(&run(&["refund", "preview", &account, "--amount", "30.00"]).ok());
    assert_eq!((&preview["amount"], &preview["needs_approval"]), (&json!("30.00"), &json!(true)));
    let as_table = |args: &[&str]| world.run(&[args, &["-c", "tollgate.toml", "-o", "table"]].concat()).ok();
    let table = as_table(&["refund", "preview", &account, "--amount", "30.00"]);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in ["needs_approval true", "items:", "order amount takes bonus", "stays:", "why amount order"] {
        assert!(table.lines().any(|found| words(found) == line), "{line}: {table}");
    }
    let create =
        ["refund", "create", &id, "--amount", "30.00", "--reason", "a complaint", "--operator", "ann"];
    let unasked = run(&create);
    assert_eq!(unasked.code(), 2, "nobody is there to be asked: {unasked:?}");
    let yes = [&create[..], &["--yes", "--key", "ticket-7"]].concat();
    let alone = run(&yes);
    assert_eq!(alone.code(), 6, "{alone:?}");
    assert!(alone.stderr().contains("another operator must agree"), "{alone:?}");
    let myself = run(&[&yes[..], &["--approver", "ann"]].concat());
    assert_eq!(myself.code(), 6, "{myself:?}");
    assert!(myself.stderr().contains("`ann` is the operator"), "{myself:?}");
    assert_eq!(world.balance().await, nano("55.00"), "nothing moved");
    let agreed = [&yes[..], &["--approver", "bob", "--note", "sorry"]].concat();
    let refund = json_of(&run(&agreed).ok());
    assert_eq!(refund["items"][0]["order"], order["id"]);
    let told = ["asked_by", "approver", "why", "reason"].map(|member| text(&refund, member).to_owned());
    assert_eq!(told, ["ann", "bob", "a complaint", "sorry"]);
    assert_eq!(json_of(&run(&agreed).ok())["id"], refund["id"], "the same key, once");
    refund_is(&world, &refund, "success").await;
    assert_eq!(world.balance().await, nano("25.00"));
    let customers = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
    assert_eq!(
        (&customers["why"], &customers["reason"]),
        (&Value::Null, &json!("sorry")),
        "what is ours stays ours"
    );

    let nobody = run(&["refund", "show", "rfb_00000000000000000000000000"]);
    assert_eq!(nobody.code(), 3, "{nobody:?}");
    assert_eq!(run(&["refund", "preview", "someone"]).code(), 2);
    let much = run(&["refund", "preview", &account, "--amount", "25.01"]);
    assert_eq!(much.code(), 5, "{much:?}");
    let table = as_table(&["refund", "list", &id]);
    let [heads, row] = &table.lines().map(words).collect::<Vec<_>>()[..] else { panic!("{table}") };
    assert_eq!(heads, "id status amount account items created_at asked_by approver reason");
    let row: Vec<&str> = row.split(' ').collect();
    assert_eq!(row[..5], [text(&refund, "id"), "success", "30.00", &account, "1"], "{table}");
    assert_eq!(row[6..], ["ann", "bob", "sorry"], "{table}");
    let listed = json_of(&run(&["refund", "list", &id]).ok());
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed:#}");

    // Where nothing runs it is set aside all the same, and sent by whoever serves next.
    assert!(world.process.stop().success());
    let small =
        ["refund", "create", &later, "--amount", "5.00", "--reason", "a gift", "--operator", "ann", "--yes"];
    let queued = json_of(&world.run(&[&small[..], &config[..]].concat()).ok());
    assert_eq!(queued["status"], "queued", "{queued:#}");
    world.start_again().await;
    refund_is(&world, &queued, "success").await;
    assert_eq!(world.balance().await, nano("20.00"));
    world.books_balance().await;
}

#[tokio::test]
async fn what_cannot_reach_the_payer_and_what_the_merchant_cannot_cover_are_alarms() {
    let world = World::demo().await;
    world.top_up("10.00").await;
    world.fault(json!({"scope": "wechat", "fault": "not_enough"})).await;
    let refund = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
    until("somebody is told that money is short", || async {
        world.advance(Duration::from_millis(500)).await;
        (world.metric("tollgate_payment_alarms_total", &["reason=\"refund_not_enough\""]).await >= 1.0)
            .then_some(())
    })
    .await;
    world.no_faults().await;
    world.fault(json!({"scope": "wechat", "fault": "refund_result", "status": "ABNORMAL"})).await;
    let abnormal = until("it cannot be delivered", || async {
        world.advance(Duration::from_secs(10)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "abnormal").then_some(refund)
    })
    .await;
    assert_eq!(abnormal["items"][0]["out_refund_no"], refund["items"][0]["out_refund_no"], "the same number");
    // The answer to the call, older than the notice that overtook it, may make it stand as accepted for a moment.
    let alarms = world.metric("tollgate_payment_alarms_total", &["reason=\"refund_abnormal\""]).await;
    assert!((1.0..=2.0).contains(&alarms), "told, and not each time it is found so: {alarms}");
    until("it is seen to stand there", || async {
        world.advance(Duration::from_secs(10)).await;
        (world.metric("tollgate_refunds_pending", &["status=\"abnormal\""]).await == 1.0).then_some(())
    })
    .await;
    assert_eq!(world.credits().await["refunding"], "4.00", "it stays set aside");
    world.books_balance().await;
}
