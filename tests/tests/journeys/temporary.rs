//! May somebody who says to have paid go on at once, and is that safe?
use std::time::Duration;

use serde_json::{Value, json};
use tests::till::text;
use tests::world::said;
use tests::{Answer, World, nano, until};

use crate::desk::ask_as;

async fn with_access(world: &World, yuan: &str) -> Value {
    world.topup(&json!({"amount": yuan, "temporary_access": true})).await
}

async fn claim(world: &World, order: &Value) -> Answer {
    world.post(&format!("/v1/topups/{}/claim", text(order, "id")), &json!({})).await
}

async fn call_with(world: &World, key: &str) -> Answer {
    ask_as(world, key, "/v1/chat/completions", &said("sim-fast", "while the payment is under way")).await
}

async fn refused(world: &World, key: &str) {
    until("the key is refused", || async { (call_with(world, key).await.status == 401).then_some(()) }).await;
}

#[tokio::test]
async fn access_that_was_lent_is_paid_back_by_the_payment() {
    let world = World::demo().await;
    world.fault(json!({"scope": "wechat", "fault": "drop_notification", "all": true})).await;
    let order = with_access(&world, "10.00").await;
    let grant = &order["grant"];
    assert_eq!((text(grant, "state"), text(grant, "amount")), ("offered", "1.00"), "{order:#}");
    let key = text(grant, "key").to_owned();
    let again = world.order(&order).await;
    assert_eq!(again["grant"].get("key"), None, "the key is shown once: {again:#}");
    assert_eq!(
        call_with(&world, &key).await.status,
        402,
        "before the payer says to have paid it opens nothing"
    );

    let claimed = claim(&world, &order).await.expect(200).json();
    assert_eq!(text(&claimed["grant"], "state"), "active", "{claimed:#}");
    assert_eq!(claimed["status"], "pending", "{claimed:#}");
    assert_eq!(world.credits().await["temporary"], "1.00");
    let answer = call_with(&world, &key).await.expect(200);
    let cost = nano(answer.header("x-tollgate-cost-cny"));
    let shown = ask_as(&world, &key, "/v1/chat/completions", &said("sim-luxury", "far too dear")).await;
    assert_eq!(shown.status, 402, "it spends what was lent and no more");

    world.pay(&order).await.expect(200);
    let paid = until("the payment is found", || async {
        world.advance(Duration::from_secs(5)).await;
        let order = world.order(&order).await;
        (order["status"] == "paid").then_some(order)
    })
    .await;
    assert_eq!(text(&paid["grant"], "state"), "converted", "{paid:#}");
    assert_eq!(world.credits().await["temporary"], "0.00");
    assert_eq!(world.balance().await, nano("10.50") - cost, "what was lent was paid back");
    // Nothing is cut off: the key lives out its five minutes, on paid money now.
    let after = call_with(&world, &key).await.expect(200);
    let cost = cost + nano(after.header("x-tollgate-cost-cny"));
    world.advance(Duration::from_secs(300)).await;
    assert_eq!(call_with(&world, &key).await.status, 401);
    assert_eq!(world.balance().await, nano("10.50") - cost);
    world.books_balance().await;
}

/// Closes the order, and waits until nothing of it is lent any more.
async fn given_up(world: &World, order: &Value) {
    world.post(&format!("/v1/topups/{}/close", text(order, "id")), &json!({})).await.expect(200);
    taken_back(world).await;
}

async fn taken_back(world: &World) {
    until("what was not used is taken back", || async {
        (world.credits().await["temporary"] == "0.00").then_some(())
    })
    .await;
}

#[tokio::test]
async fn access_ends_with_its_order_and_after_five_minutes() {
    let world = World::demo().await;
    let order = with_access(&world, "10.00").await;
    let key = text(&order["grant"], "key").to_owned();
    claim(&world, &order).await.expect(200);
    call_with(&world, &key).await.expect(200);
    given_up(&world, &order).await;
    refused(&world, &key).await;
    world.books_balance().await;

    world.top_up("1.00").await;
    let order = with_access(&world, "10.00").await;
    let key = text(&order["grant"], "key").to_owned();
    let claimed = claim(&world, &order).await.expect(200).json();
    assert_eq!(text(&claimed["grant"], "amount"), "5.00", "more for one who has paid before");
    world.advance(Duration::from_secs(299)).await;
    call_with(&world, &key).await.expect(200);
    world.advance(Duration::from_secs(2)).await;
    assert_eq!(call_with(&world, &key).await.status, 401, "five minutes are over");
    taken_back(&world).await;
    // It was paid after all.
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    world.books_balance().await;
}

#[tokio::test]
async fn who_used_what_was_lent_and_never_paid_is_lent_nothing_until_they_do() {
    let world = World::serve(|config| config).await;
    let order = with_access(&world, "10.00").await;
    let key = text(&order["grant"], "key").to_owned();
    claim(&world, &order).await.expect(200);
    call_with(&world, &key).await.expect(200);
    given_up(&world, &order).await;
    refused(&world, &key).await;
    assert_eq!(world.credits().await["balance"], "0.00", "it is our loss: nobody owes anything");
    let next = with_access(&world, "10.00").await;
    let refusal = claim(&world, &next).await.error(409, "invalid_request_error", "temporary_access_refused");
    assert_eq!(refusal["why"], "barred", "{refusal:#}");
    world.top_up("1.00").await;
    let next = with_access(&world, "10.00").await;
    let claimed = claim(&world, &next).await.expect(200).json();
    assert_eq!(text(&claimed["grant"], "state"), "active", "{claimed:#}");
    given_up(&world, &next).await;
    world.books_balance().await;
}

#[tokio::test]
async fn an_account_is_lent_something_so_often_a_day_as_the_operator_allows() {
    let world = World::serve(|config| {
        config + "\n[payments.grants]\nnewcomer = \"0.20\"\nper_day = 2\nlasts_secs = 60\n"
    })
    .await;
    for _ in 0..2 {
        let order = with_access(&world, "10.00").await;
        let claimed = claim(&world, &order).await.expect(200).json();
        assert_eq!(text(&claimed["grant"], "amount"), "0.20", "{claimed:#}");
        let second = with_access(&world, "10.00").await;
        let refusal =
            claim(&world, &second).await.error(409, "invalid_request_error", "temporary_access_refused");
        assert_eq!(refusal["why"], "live", "one at a time: {refusal:#}");
        world.post(&format!("/v1/topups/{}/close", text(&order, "id")), &json!({})).await.expect(200);
        until("the grant is over", || async { (world.credits().await["temporary"] == "0.00").then_some(()) })
            .await;
    }
    let third = with_access(&world, "10.00").await;
    until("the day has had its two", || async {
        let refused = claim(&world, &third).await;
        (refused.json()["error"]["why"] == "too_many").then_some(())
    })
    .await;
    assert_eq!(world.credits().await["balance"], "0.00");
    world.books_balance().await;
}
