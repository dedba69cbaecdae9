//! What can an operator mend by hand, who has to agree, and do the books say so?
use std::time::Duration;

use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

use crate::desk::{answered, ask_as, look, neighbour, operate};

/// Signed by anna, agreed to by ben.
const SIGNED: [&str; 4] = ["--reason", "a journey", "--approver", "ben"];

fn signed<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &SIGNED].concat()
}

/// The lines of a kind in the account's statement.
async fn lines(world: &World, kind: &str) -> Vec<Value> {
    let statement = world.get("/v1/statement?limit=1000").await.expect(200).json();
    let lines = statement["data"].as_array().expect("lines").iter();
    lines.filter(|line| line["kind"] == kind).cloned().collect()
}

#[tokio::test]
async fn a_balance_is_corrected_by_two_people_once() {
    let world = World::demo().await;
    let account = world.account.clone();
    let adjust = |amount: &str, more: &[&str]| {
        let args = ["accounts", "adjust", "--account", &account, "--amount", amount];
        operate(&world, &[&args, more].concat())
    };
    let alone = adjust("2.00", &["--reason", "goodwill"]);
    assert_eq!(alone.code(), 6, "{alone:?}");
    assert!(alone.stderr().contains("approver"), "{alone:?}");
    let twice_anna = adjust("2.00", &["--reason", "goodwill", "--approver", "anna"]);
    assert_eq!(twice_anna.code(), 6, "{twice_anna:?}");
    let unsaid = adjust("2.00", &["--approver", "ben"]);
    assert_eq!(unsaid.code(), 2, "without a reason nothing is asked: {unsaid:?}");
    assert_eq!(world.balance().await, nano("0.50"));

    let more = ["--key", "T-1", "--reason", "goodwill", "--approver", "ben"];
    assert_eq!(text(&answered(adjust("2.00", &more)), "balance"), "2.50");
    answered(adjust("2.00", &more));
    assert_eq!(world.balance().await, nano("2.50"), "the same key is one correction");
    assert_eq!(adjust("3.00", &more).code(), 5, "with another amount it is a conflict");
    let made_up = adjust("-1.00", &SIGNED);
    assert!(made_up.stderr().contains("key: "), "{made_up:?}");
    assert_eq!(text(&answered(made_up), "balance"), "1.50");
    let too_much = adjust("-1.51", &SIGNED);
    assert_eq!(too_much.code(), 5, "{too_much:?}");
    for (amount, code) in [("0", 6), ("lots", 6), ("1.0000000001", 6)] {
        assert_eq!(adjust(amount, &SIGNED).code(), code, "{amount}");
    }
    let nobody = ["accounts", "adjust", "--account", "acct_00000000000000000000000000", "--amount", "1"];
    assert_eq!(operate(&world, &signed(&nobody)).code(), 3);
    let moved: Vec<String> =
        lines(&world, "adjust").await.iter().map(|line| text(line, "change").to_owned()).collect();
    assert_eq!(moved, ["2.00", "-1.00"]);
    world.books_balance().await;
}

#[tokio::test]
async fn a_stopped_account_spends_nothing_until_it_may_and_a_closed_one_never_again() {
    let world = World::demo().await;
    world.say("sim-fast", "before").await.expect(200);
    let account = world.account.clone();
    let stand = |verb: &str, account: &str| {
        operate(&world, &["accounts", verb, "--account", account, "--reason", "a complaint"])
    };
    let stopped = answered(stand("stop", &account));
    assert_eq!((&stopped["stopped"], text(&stopped, "stop_reason")), (&json!(true), "a complaint"));
    let spent = world.balance().await;
    world.say("sim-fast", "stopped").await.error(403, "permission_error", "account_inactive");
    world.post("/v1/topups", &json!({"amount": "1.00"})).await.error(
        403,
        "permission_error",
        "account_stopped",
    );
    assert_eq!(world.balance().await, spent);
    assert_eq!(answered(stand("resume", &account))["stopped"], false);
    world.say("sim-fast", "on again").await.expect(200);

    world.top_up("5.00").await;
    let full = stand("close", &account);
    assert_eq!(full.code(), 5, "there is money to refund: {full:?}");
    let (other, key) = neighbour(&world).await;
    assert!(answered(stand("close", &other))["closed_at"].is_number());
    let ask = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}]});
    let closed = ask_as(&world, &key, "/v1/chat/completions", &ask).await;
    assert!(matches!(closed.status, 402 | 403), "{closed:?}");
    assert_eq!(stand("resume", &other).code(), 4, "a closed account stays closed");
    world.books_balance().await;
}

#[tokio::test]
async fn a_payment_that_differs_counts_or_goes_back_as_two_people_say() {
    let world = World::demo().await;
    let mut orders = Vec::new();
    for fault in [
        json!({"fault": "wrong_amount", "total": 900}),
        json!({"fault": "wrong_mchid"}),
        json!({"fault": "wrong_amount", "total": 1}),
    ] {
        let mut wanted = fault;
        wanted["scope"] = json!("wechat");
        world.fault(wanted).await;
        let order = world.topup(&json!({"amount": "10.00"})).await;
        world.pay(&order).await.expect(200);
        world.order_until(&order, "review").await;
        orders.push(order);
    }
    world.no_faults().await;
    let waiting = answered(look(&world, &["orders", "review", "list"]));
    let rows = waiting["data"].as_array().expect("rows");
    let paid: Vec<&str> = rows.iter().map(|row| text(row, "paid")).collect();
    assert_eq!(rows.len(), 3, "{waiting:#}");
    assert!(["9.00", "10.00", "0.01"].iter().all(|amount| paid.contains(amount)), "{waiting:#}");
    let table = world.run(&["orders", "review", "list", "-c", &world.config, "-o", "table"]).ok();
    let heads: Vec<&str> = table.lines().next().expect("heads").split_whitespace().collect();
    assert_eq!(heads, ["order", "account", "status", "ordered", "paid", "difference", "payment", "paid_at"]);
    assert_eq!(table.lines().count(), 4, "{table}");

    let id = |order: &Value| text(order, "id").to_owned();
    let (short, strange) = (id(&orders[0]), id(&orders[1]));
    let resolve = |order: &str, verdict: &str, more: &[&str]| {
        let args = ["orders", "review", "resolve", order, "--verdict", verdict];
        operate(&world, &[&args, more].concat())
    };
    assert_eq!(resolve(&short, "credit", &["--reason", "alone"]).code(), 6);
    // The notice said nine. WeChat Pay is asked before anything is done, and says ten.
    let more = ["--key", "R-1", "--reason", "they paid", "--approver", "ben"];
    answered(resolve(&short, "credit", &more));
    answered(resolve(&short, "credit", &more));
    assert_eq!(world.balance().await, nano("10.50"), "what was paid, once");
    assert_eq!(text(&world.order(&orders[0]).await, "amount"), "10.00");
    let again = resolve(&short, "void", &SIGNED);
    assert_eq!(again.code(), 5, "it is decided: {again:?}");

    for (name, order) in [(&strange, &orders[1]), (&id(&orders[2]), &orders[2])] {
        let voided = answered(resolve(name, "void", &SIGNED));
        assert!(voided["refund"].is_string(), "{voided:#}");
        assert_eq!(
            (&voided["order"]["status"], &voided["order"]["refunded"]),
            (&json!("voided"), &json!("0.00"))
        );
        let far = until("the payment went back", || async {
            world.advance(Duration::from_millis(500)).await;
            let far = world.far_order(order).await;
            (far["refunds"][0]["status"] == "SUCCESS").then_some(far)
        })
        .await;
        assert_eq!(far["refunds"][0]["refund"], 1_000, "all of it: {far:#}");
        let back = world.order_until(order, "refunded").await;
        assert_eq!(back["refunded"], "10.00", "{back:#}");
    }
    until("nothing waits any more", || async {
        let waiting = answered(look(&world, &["orders", "review", "list"]));
        (waiting["data"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(world.balance().await, nano("10.50"));
    assert_eq!(resolve("ord_00000000000000000000000000", "void", &SIGNED).code(), 3);
    world.books_balance().await;
}

#[tokio::test]
async fn a_budget_stops_what_it_does_not_cover_until_it_is_lifted() {
    let world = World::demo().await;
    let account = world.account.clone();
    let budget = |verb: &str, more: &[&str]| {
        let args = ["budgets", verb, "--account", &account, "--reason", "a limit"];
        operate(&world, &[&args, more].concat())
    };
    let set = answered(budget("set", &["--period", "day", "--limit", "0.0001"]));
    assert_eq!((text(&set, "of"), text(&set, "window"), text(&set, "limit")), ("account", "day", "0.0001"));
    let refused = world.say("sim-fast", "too dear").await.error(402, "insufficient_quota", "budget_exceeded");
    assert_eq!((text(&refused, "budget"), text(&refused, "window")), ("account", "day"));
    let resets_at = text(&refused, "resets_at");
    assert!(resets_at.ends_with("T16:00:00.000Z"), "midnight in Beijing: {resets_at}");
    assert!(text(&refused, "message").contains(resets_at), "{refused:#}");
    let own = world.get("/v1/key").await.expect(200).json();
    assert_eq!(text(&own["budgets"][0], "limit"), "0.0001", "{own:#}");
    assert_eq!(answered(budget("clear", &["--period", "day"]))["limit"], Value::Null);
    world.say("sim-fast", "again").await.expect(200);

    let key = text(&own, "id").to_owned();
    let of_key = ["--period", "total", "--api-key", &key];
    answered(budget("set", &[&of_key[..], &["--limit", "0.00"]].concat()));
    world.say("sim-fast", "not with this key").await.error(402, "insufficient_quota", "budget_exceeded");
    answered(budget("clear", &of_key));
    world.say("sim-fast", "and with it again").await.expect(200);
    assert_eq!(budget("set", &["--period", "day", "--limit", "-1"]).code(), 2, "a minus is no limit");
    assert_eq!(budget("set", &["--period", "week", "--limit", "1"]).code(), 2);
    let strange = ["--period", "day", "--limit", "1", "--api-key", "key_00000000000000000000000000"];
    assert_eq!(budget("set", &strange).code(), 3);
    world.books_balance().await;
}

#[tokio::test]
async fn a_wrong_charge_goes_back_in_parts_and_never_beyond_what_it_took() {
    let world = World::demo().await;
    let answer = world.say("sim-smart", "charged wrongly").await.expect(200);
    let call = answer.header("x-request-id").to_owned();
    let cost = nano(answer.header("x-tollgate-cost-cny"));
    let correct = |more: &[&str]| operate(&world, &[&["calls", "correct", &call], more].concat());
    assert_eq!(correct(&["--whole", "--reason", "alone"]).code(), 6);
    let part = ["--part", "0.000001", "--key", "C-1", "--reason", "a slip", "--approver", "ben"];
    answered(correct(&part));
    let once = answered(correct(&part));
    assert_eq!(text(&once["corrected"][0], "amount"), "0.000001", "{once:#}");
    assert_eq!(world.balance().await, nano("0.50") - cost + nano("0.000001"));
    let beyond = correct(&signed(&["--part", "0.50"]));
    assert_eq!(beyond.code(), 5, "{beyond:?}");
    answered(correct(&signed(&["--whole"])));
    assert_eq!(world.balance().await, nano("0.50"));
    let receipt = world.receipt(&call).await;
    assert_eq!(text(&receipt["hold"]["corrected"][0], "cny"), answer.header("x-tollgate-cost-cny"));
    assert_eq!(correct(&signed(&["--whole"])).code(), 5, "nothing is left to go back");
    assert_eq!(correct(&signed(&["--whole", "--part", "1"])).code(), 2);
    let nobody = ["calls", "correct", "req_00000000000000000000000000", "--whole"];
    assert_eq!(operate(&world, &signed(&nobody)).code(), 3);
    world.books_balance().await;
}

#[tokio::test]
async fn without_a_running_process_the_books_are_worked_on_where_they_are() {
    let mut world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    assert!(world.process.stop().success());
    let account = world.account.clone();
    let adjust = ["accounts", "adjust", "--account", &account, "--amount", "-2.00"];
    // The name of whoever is logged in does as well.
    let less = world.run(&[&adjust[..], &SIGNED, &["-c", &world.config, "-o", "json"]].concat());
    assert_eq!(text(&answered(less), "balance"), "3.00");
    let stop = ["accounts", "stop", "--account", &account, "--reason", "for the night"];
    answered(operate(&world, &stop));
    world.start_again().await;
    world.say("sim-fast", "stopped").await.error(403, "permission_error", "account_inactive");
    answered(operate(&world, &["accounts", "resume", "--account", &account, "--reason", "morning"]));
    world.say("sim-fast", "good morning").await.expect(200);
    world.books_balance().await;
}
