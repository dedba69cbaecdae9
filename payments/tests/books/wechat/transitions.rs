//! Which state may follow which: what WeChat Pay says later moves our books forward, and never back.

use payments::{
    channel::{RefundReport, RefundState},
    ledger::{Actor, Body, OrderKind, OrderState, RefundItemState},
    refund::RefundRequest,
};

use super::{name, text, vectors};
use crate::support::{World, fen};

/// What is left to be observed of an order by API v3 and v2 is looked at by asking; a payment counts whenever it is said.
#[tokio::test]
async fn what_is_said_of_an_order_moves_it_as_recorded_and_a_payment_counts_whenever_it_is_said() {
    for vector in vectors("trade_state_transitions.json") {
        let [from, to] = ["from", "to"].map(|state| said(&vector["inputs"][state]));
        let allowed = vector["expected"]["allowed"].as_bool().unwrap();
        let world = World::new();
        let account = world.account().await;
        let order = world.order(account, fen(100), OrderKind::Wallet).await;
        let told = async |state| {
            world.far.says(&order, state);
            let order = world.store.order(order.id).await.unwrap().unwrap();
            let report = world.topups.check(&order).await;
            (world.store.order(order.id).await.unwrap().unwrap().state, report)
        };
        let (before, _) = told(from).await;
        let meant = |state: &str, otherwise| match state {
            "SUCCESS" | "REFUND" => OrderState::Paid,
            "CLOSED" | "REVOKED" => OrderState::Closed,
            _ => otherwise,
        };
        assert_eq!(before, meant(from, OrderState::Pending), "{}", name(&vector));
        let (after, report) = told(to).await;
        let paid = meant(to, OrderState::Pending) == OrderState::Paid;
        let expected = match (before, paid, allowed) {
            (OrderState::Paid, ..) => OrderState::Paid,
            (_, true, _) => OrderState::Paid,
            (_, _, true) => meant(to, before),
            // It can still be paid until it is closed, whatever failed before.
            (OrderState::Pending, false, false) => meant(to, OrderState::Pending),
            (_, false, false) => before,
        };
        assert_eq!(after, expected, "{}: {report:?}", name(&vector));
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn what_is_said_of_a_refund_moves_it_as_recorded() {
    for vector in vectors("refund_state_transitions.json") {
        let (from, to) = (text(&vector["inputs"]["from"]), text(&vector["inputs"]["to"]));
        let allowed = vector["expected"]["allowed"].as_bool().unwrap();
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 100).await;
        let request = RefundRequest {
            account,
            actor: Actor::system("test"),
            amount: Some(fen(40)),
            order: None,
            reason: None,
            why: None,
            approver: None,
            idempotency_key: None,
        };
        let (batch, items) = world.refunds.request(request).await.unwrap();
        world.submit("send", Body::RefundSending { item: items[0].id, batch: batch.id }).await.unwrap();
        let told = async |state| {
            let report = RefundReport {
                out_refund_no: items[0].id.bare(),
                refund_id: Some("R1".to_owned()),
                transaction_id: None,
                state: RefundState::from_name(state),
                refund: Some(items[0].amount),
                total: None,
                out_trade_no: None,
                success_time: None,
                request_id: None,
            };
            let _ = world.refunds.reported(&report, None).await;
            world.store.refund_item(items[0].id).await.unwrap().unwrap().state
        };
        let meant = |state: &str| match state {
            "PROCESSING" => RefundItemState::Processing,
            "SUCCESS" => RefundItemState::Success,
            "CLOSED" => RefundItemState::Closed,
            _ => RefundItemState::Abnormal,
        };
        assert_eq!(told(from).await, meant(from), "{}", name(&vector));
        let after = told(to).await;
        assert_eq!(after, meant(if allowed { to } else { from }), "{}", name(&vector));
        world.assert_sound().await;
    }
}

/// One of the names of states.
fn said(state: &serde_json::Value) -> &'static str {
    let names = ["NOTPAY", "USERPAYING", "SUCCESS", "REFUND", "CLOSED", "REVOKED", "PAYERROR"];
    names.into_iter().find(|name| *name == text(state)).unwrap()
}
