//! Does unused money go back, and stay ours when it cannot?
use std::time::Duration;

use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

/// Looks at a refund until it has one of these states, while time passes on both sides.
async fn refund_until(world: &World, refund: &Value, status: &[&str]) -> Value {
    let path = format!("/v1/refunds/{}", text(refund, "id"));
    until(&format!("the refund is {status:?}"), || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&path).await.expect(200).json();
        status.contains(&text(&refund, "status")).then_some(refund)
    })
    .await
}

#[tokio::test]
async fn a_part_goes_back_and_the_rest_stays() {
    let world = World::demo().await;
    let order = world.top_up("10.00").await;
    let cost = nano(world.say("sim-fast", "你好").await.expect(200).header("x-tollgate-cost-cny"));
    let refund =
        world.post("/v1/refunds", &json!({"amount": "5.00", "reason": "too much"})).await.expect(201).json();
    assert!(text(&refund, "id").starts_with("rfb_"), "{refund:#}");
    let items = refund["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{refund:#}");
    assert_eq!((&items[0]["order"], &items[0]["amount"]), (&order["id"], &json!("5.00")), "{refund:#}");
    assert_eq!(world.balance().await, nano("5.50") - cost, "set aside at once: it cannot be spent meanwhile");

    let done = refund_until(&world, &refund, &["success"]).await;
    assert_eq!(
        (&done["amount"], &done["items"][0]["status"]),
        (&json!("5.00"), &json!("success")),
        "{done:#}"
    );
    let far = world.far_order(&order).await;
    assert_eq!(
        (&far["refunds"][0]["refund"], &far["refunds"][0]["status"]),
        (&json!(500), &json!("SUCCESS")),
        "{far:#}"
    );
    assert_eq!(far["refunds"][0]["out_refund_no"], items[0]["out_refund_no"]);
    assert_eq!(world.order(&order).await["status"], "partially_refunded");
    assert_eq!(world.balance().await, nano("5.50") - cost);
    world.books_balance().await;

    let list = world.get("/v1/refunds").await.expect(200).json();
    assert_eq!(list["data"][0]["id"], refund["id"], "{list:#}");
    assert_eq!(list["next_cursor"], Value::Null, "{list:#}");
    let behind = world.get(&format!("/v1/refunds?cursor={}", text(&refund, "id"))).await.expect(200).json();
    assert_eq!(behind["data"], json!([]));
}

#[tokio::test]
async fn everything_unused_goes_back_and_nothing_more() {
    let world = World::demo().await;
    let orders = [world.top_up("10.00").await, world.top_up("7.00").await];
    let cost = nano(world.say("sim-smart", "spend a little").await.expect(200).header("x-tollgate-cost-cny"));
    assert!(cost < nano("0.50"), "it comes out of the trial");
    let too_much = world.post("/v1/refunds", &json!({"amount": "17.01"})).await;
    assert!((400..500).contains(&too_much.status), "the trial was a present: {too_much:?}");
    assert_eq!(world.balance().await, nano("17.50") - cost, "a refused refund moves nothing");

    let refund = world.post("/v1/refunds", &json!({})).await.expect(201).json();
    assert_eq!(refund["amount"], "17.00", "{refund:#}");
    let done = refund_until(&world, &refund, &["success"]).await;
    assert_eq!(done["items"].as_array().map(Vec::len), Some(2), "{done:#}");
    for order in &orders {
        assert_eq!(world.order(order).await["status"], "refunded");
    }
    assert_eq!(world.balance().await, nano("0.50") - cost);
    let more = world.post("/v1/refunds", &json!({"amount": "0.01"})).await;
    assert!((400..500).contains(&more.status), "{more:?}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_refund_that_wechat_closes_puts_the_money_back() {
    let world = World::demo().await;
    let order = world.top_up("10.00").await;
    world.fault(json!({"scope": "wechat", "fault": "refund_result", "status": "CLOSED"})).await;
    let refund = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
    let closed = until("the item is closed", || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["items"][0]["status"] == "closed").then_some(refund)
    })
    .await;
    assert_eq!(closed["status"], "failed", "{closed:#}");
    assert!(text(&closed["items"][0], "detail").contains("nothing went back"), "{closed:#}");
    assert_eq!(world.credits().await["balance"], "10.50");
    assert_eq!(world.order(&order).await["status"], "paid");
    world.books_balance().await;

    world.advance(Duration::from_secs(120)).await;
    let again = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
    refund_until(&world, &again, &["success"]).await;
    assert_eq!(world.credits().await["balance"], "6.50");
    world.books_balance().await;
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_made_once() {
    let world = World::demo().await;
    let order = world.top_up("10.00").await;
    for fault in [
        json!({"scope": "wechat", "fault": "status", "op": "refund", "status": 500, "executed": true}),
        json!({"scope": "wechat", "fault": "frequency_limited"}),
    ] {
        world.fault(fault).await;
    }
    let refund = world.post("/v1/refunds", &json!({"amount": "3.00"})).await.expect(201).json();
    until("the refund is made", || async {
        world.advance(Duration::from_secs(10)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
    let far = world.far_order(&order).await;
    assert_eq!(far["refunds"].as_array().map(Vec::len), Some(1), "one number, one refund: {far:#}");
    assert_eq!(world.credits().await["balance"], "7.50");
    world.books_balance().await;
}

#[tokio::test]
async fn unused_tokens_go_back_as_the_money_they_cost() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00", "kind": "tokens", "model": "sim-fast"})).await;
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    world.say("sim-fast", "a little of it").await.expect(200);
    let refund = world.post("/v1/refunds", &json!({"order": order["id"]})).await.expect(201).json();
    let amount = nano(text(&refund, "amount"));
    assert!(nano("9.00") < amount && amount < nano("10.00"), "the used part stays: {refund:#}");
    refund_until(&world, &refund, &["success"]).await;
    assert_eq!(world.credits().await["balance"], "0.50", "what came as tokens does not come back as balance");
    world.books_balance().await;
}

#[tokio::test]
async fn a_bonus_comes_with_its_payment_is_used_after_it_and_goes_with_it() {
    let world = World::serve(|config| {
        let dear = "input = \"10000.00\", cached_input = \"10000.00\", output = \"10000.00\"";
        config.replacen("input = \"2.00\", cached_input = \"0.50\", output = \"4.00\"", dear, 1)
            + "[[payments.bonus]]\nfrom = \"100.00\"\namount = \"10.00\"\n[[payments.bonus]]\nfrom = \"500\"\npercent = \"12.5\"\n"
    })
    .await;
    for (amount, bonus) in [("99.99", "0.00"), ("100.00", "10.00"), ("500.00", "62.50")] {
        let quote = world.get(&format!("/v1/topups/quote?amount={amount}")).await.expect(200).json();
        assert_eq!(quote["bonus"], bonus, "{quote:#}");
    }
    let tokens =
        world.get("/v1/topups/quote?kind=tokens&model=sim-smart&amount=100.00").await.expect(200).json();
    assert_eq!(tokens["bonus"], "0.00", "{tokens:#}");

    let order = world.top_up("100.00").await;
    assert_eq!(order["bonus"], "10.00", "{order:#}");
    let credits = world.credits().await;
    assert_eq!((&credits["paid"], &credits["bonus"]), (&json!("100.00"), &json!("10.00")), "{credits:#}");

    // 2,530 tokens at a fen each.
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2_520, "total_tokens": 2_530});
    world.fault(json!({"scope": "openai", "fault": "usage", "usage": usage})).await;
    let answer =
        world.say("sim-fast", "a large piece of work, told in one sentence of many words").await.expect(200);
    assert_eq!(nano(answer.header("x-tollgate-cost-cny")), nano("25.30"));
    assert_eq!(world.balance().await, nano("84.70"));

    let preview = world.get("/v1/refunds").await.expect(200).json();
    let of_order = &preview["refundable"][0];
    let shown = ["refundable", "withheld", "bonus"].map(|member| text(of_order, member).to_owned());
    assert_eq!(
        shown,
        ["74.70", "0.00", "7.47"],
        "what the used quarter earned of the bonus stays: {preview:#}"
    );

    let part = world.post("/v1/refunds", &json!({"amount": "70.00"})).await.expect(201).json();
    refund_until(&world, &part, &["success"]).await;
    let credits = world.credits().await;
    assert_eq!((&credits["paid"], &credits["bonus"]), (&json!("4.70"), &json!("3.00")), "{credits:#}");
    world.books_balance().await;

    // The second one of a payment is sent a minute after the first, but what it takes is set aside at once.
    let rest = world.post("/v1/refunds", &json!({})).await.expect(201).json();
    assert_eq!(rest["amount"], "4.70", "74.70 in all: {rest:#}");
    let credits = world.credits().await;
    assert_eq!((&credits["paid"], &credits["bonus"]), (&json!("0.00"), &json!("2.53")), "{credits:#}");
    world.books_balance().await;
}
