//! What is shown before a refund is what is then set aside, and much of it takes a second person.

use std::time::Duration;

use payments::{
    ledger::{
        Actor, Asset, Body, Command, LotClass, NewOrder, Order, OrderKind, Prepay, RefundBatch,
        RefundBatchState, RefundItem, RefundItemState, Refusal, Role, StayReason,
    },
    refund::{RefundPreview, RefundRequest, RefundRequestError, Refunds},
    store::SubmitError,
};
use units::{AccountId, Clock, NanoCny, OrderId};

use crate::support::{
    MODEL, Op, RATE, Running, World, command, fen, new_order, receipt, token_kind, trade_of, usage, yuan,
};

fn by(account: AccountId, actor: Actor, amount: Option<i64>) -> RefundRequest {
    RefundRequest {
        account,
        actor,
        amount: amount.map(fen),
        order: None,
        reason: None,
        why: None,
        approver: None,
        idempotency_key: None,
    }
}

fn customer() -> Actor {
    Actor { id: "key".to_owned(), role: Role::Customer }
}

fn operator(id: &str) -> Actor {
    Actor { id: id.to_owned(), role: Role::Operator }
}

async fn by_hand(world: &World, key: &str, body: Body) {
    let reason = Some("a reason".to_owned());
    let at = world.clock.now();
    let command = Command { actor: operator("ann"), reason, ..command(key, at, body) };
    world.store.submit(command).await.unwrap();
}

fn refused(result: Result<(RefundBatch, Vec<RefundItem>), RefundRequestError>) -> Refusal {
    match result {
        Err(RefundRequestError::Store(SubmitError::Refused(refusal))) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A payment that comes with a bonus.
async fn pay_with(world: &World, account: AccountId, amount: i64, bonus: &str) -> Order {
    let id = OrderId::new(world.clock.now());
    let new = NewOrder {
        bonus: yuan(bonus),
        expires_at: world.clock.now().after(Duration::from_secs(900)),
        ..new_order(id, account, fen(amount), OrderKind::Wallet)
    };
    world.submit(format!("order:{id}"), Body::CreateOrder(new)).await.unwrap();
    let prepay = Prepay::Code("weixin://x".to_owned());
    world.submit("step", Body::OrderPrepaid { order: id, prepay, request_id: None }).await.unwrap();
    let order = world.store.order(id).await.unwrap().unwrap();
    let number = format!("T{}", id.bare());
    world.far.knows_paid(&order, &number);
    world.paid(trade_of(&order, &number, world.clock.now()), None).await;
    world.clock.advance(Duration::from_secs(1));
    order
}

async fn use_up(world: &World, account: AccountId, nano: i64) {
    let tokens = u64::try_from(nano / RATE).unwrap();
    let call = world.call(account, usage(tokens, 0));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    hold.settle(Some((usage(tokens, 0), false)), |_| receipt(id, account));
    world.store.flushed().await.unwrap();
}

/// What of each bonus is set aside for refunds, by payment.
async fn frozen(world: &World, account: AccountId) -> Vec<(Option<OrderId>, i64)> {
    let balances = world.store.balances(account).await.unwrap();
    let lots = balances.iter().flat_map(|balance| &balance.lots);
    lots.filter(|lot| lot.class == LotClass::Bonus).map(|lot| (lot.order, lot.refunding)).collect()
}

async fn assert_explains_all(world: &World, account: AccountId, preview: &RefundPreview) {
    let wallet = world.wallet(account, &preview.asset).await;
    let stays: i64 = preview.staying.iter().map(|part| part.units).sum();
    assert_eq!(stays + NanoCny::from(preview.refundable).get(), wallet.posted, "{preview:?}");
}

#[tokio::test]
async fn what_a_preview_says_is_set_aside_to_the_nano_and_what_stays_is_explained() {
    let world = World::new();
    let account = world.account().await;
    let gift = Body::GrantPromo { account, amount: yuan("5"), expires_at: None };
    world.submit("gift", gift).await.unwrap();
    let mut orders = Vec::new();
    for (amount, bonus) in [(10_000, "0"), (5_000, "0"), (3_000, "3")] {
        orders.push(pay_with(&world, account, amount, bonus).await.id);
    }
    use_up(&world, account, 112_345_678_000).await;
    // An open call holds two yuan more.
    let open = world.holds.admit(world.call(account, usage(1_000_000, 0))).await.unwrap();
    world.store.flushed().await.unwrap();
    for amount in [None, Some(2_000), Some(1), Some(2), Some(7_064), Some(7_065)] {
        let preview = world.refunds.preview(by(account, customer(), amount)).await.unwrap();
        assert_eq!((preview.refundable, preview.waits), (fen(7_065), false));
        assert_explains_all(&world, account, &preview).await;
        let staying: Vec<_> = preview.staying.iter().map(|part| (part.order, part.units, part.why)).collect();
        let expected = [
            (Some(orders[1]), 2_000_000_000, StayReason::InUse),
            (Some(orders[1]), 4_322_000, StayReason::Remainder),
            (Some(orders[2]), 3_000_000_000, StayReason::Bonus),
        ];
        assert_eq!(staying, expected);

        let before = world.wallet(account, &Asset::Cny).await.posted;
        let (batch, items) = world.refunds.request(by(account, customer(), amount)).await.unwrap();
        let mut shown: Vec<_> =
            preview.items.iter().map(|item| (item.order, item.amount, item.units)).collect();
        let mut taken: Vec<_> = items.iter().map(|item| (item.order, item.amount, item.units)).collect();
        shown.sort();
        taken.sort();
        assert_eq!((preview.amount, shown), (batch.amount, taken), "{amount:?}");
        let bonus: i64 = preview.items.iter().map(|item| item.bonus.get()).sum();
        assert_eq!(frozen(&world, account).await, [(Some(orders[2]), bonus)], "{amount:?}");
        let units: i64 = preview.items.iter().map(|item| item.units).sum();
        assert_eq!(world.wallet(account, &Asset::Cny).await.posted, before - units - bonus, "{amount:?}");
        if amount == Some(2_000) {
            let parts: Vec<_> = preview.items.iter().map(|item| item.amount).collect();
            assert_eq!((parts, bonus), (vec![fen(1_151), fen(849)], 849_000_000));
        }
        world.refunds.cancel(Some(account), customer(), None, batch.id).await.unwrap();
        assert_eq!(world.wallet(account, &Asset::Cny).await.posted, before);
    }
    drop(open);
}

#[tokio::test]
async fn a_preview_refuses_what_the_request_would_refuse_and_moves_nothing() {
    let world = World::new();
    let account = world.account().await;
    world.submit("gift", Body::GrantPromo { account, amount: yuan("5"), expires_at: None }).await.unwrap();
    let nothing = world.refunds.preview(by(account, customer(), None)).await.unwrap();
    assert_eq!((nothing.amount, nothing.items.len()), (fen(0), 0));
    assert_eq!(nothing.staying.iter().map(|part| part.why).collect::<Vec<_>>(), [StayReason::Gift]);
    world.pay(account, 100).await;
    let before = world.store.state_hash().await.unwrap();
    for amount in [Some(101), Some(0)] {
        let preview = world.refunds.preview(by(account, customer(), amount)).await.unwrap_err();
        assert_eq!(preview, world.refunds.request(by(account, customer(), amount)).await.unwrap_err());
    }
    let unknown = OrderId::new(world.clock.now());
    let theirs = RefundRequest { order: Some(unknown), ..by(account, customer(), None) };
    let theirs = world.refunds.preview(theirs).await.unwrap_err();
    assert_eq!(theirs, RefundRequestError::UnknownOrder(unknown));
    by_hand(&world, "stop", Body::StopAccount { account }).await;
    let stopped = world.refunds.preview(by(account, customer(), None)).await.unwrap_err();
    let expected = RefundRequestError::Store(SubmitError::Refused(Refusal::AccountStopped(account)));
    assert_eq!(stopped, expected);
    by_hand(&world, "resume", Body::ResumeAccount { account }).await;
    world.refunds.preview(by(account, customer(), None)).await.unwrap();
    assert!(world.store.refunds_of(account).await.unwrap().is_empty());
    let after = world.store.state_hash().await.unwrap();
    let moved: Vec<_> = before.tables.iter().zip(&after.tables).filter(|(old, new)| old != new).collect();
    // Stopping and what was refused leave their answers behind, and no more.
    assert!(moved.len() <= 1, "{moved:?}");
}

#[tokio::test]
async fn payments_that_are_too_old_and_tokens_that_are_worth_less_than_a_fen_are_said_to_stay() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.clock.advance(Duration::from_secs(366 * 86_400));
    world.pay(account, 70).await;
    let preview = world.refunds.preview(by(account, customer(), None)).await.unwrap();
    assert_eq!(preview.amount, fen(70));
    let stays: Vec<_> = preview.staying.iter().map(|part| (part.units, part.why)).collect();
    assert_eq!(stays, [(1_000_000_000, StayReason::TooOld)]);
    assert_explains_all(&world, account, &preview).await;

    let order = world.pay_for(account, 5_000, token_kind(1_000_000, 50_000)).await;
    let of_tokens = RefundRequest { order: Some(order.id), ..by(account, customer(), None) };
    let call = world.call(account, usage(999_900, 0));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    hold.settle(Some((usage(999_900, 0), false)), |_| receipt(id, account));
    let preview = world.refunds.preview(of_tokens).await.unwrap();
    assert_eq!(preview.asset, Asset::Tokens(MODEL.to_owned()));
    assert_eq!((preview.amount, preview.items.len()), (fen(0), 0));
    let stays: Vec<_> = preview.staying.iter().map(|part| (part.units, part.why)).collect();
    assert_eq!(stays, [(100_000, StayReason::Remainder)], "a hundred of a million for fifty yuan");
}

// ---- two people ----

/// Above fifty yuan.
fn guarded(world: &World) -> Refunds {
    world.refunds.clone().approved_above(Some(fen(5_000)))
}

async fn state(world: &World, batch: &RefundBatch) -> (RefundBatchState, RefundItemState) {
    let (batch, items) = world.store.refund(batch.id).await.unwrap().unwrap();
    (batch.state, items[0].state)
}

#[tokio::test]
async fn what_a_customer_asks_for_above_the_bound_is_set_aside_and_waits_for_an_operator() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 20_000).await;
    let refunds = guarded(&world);
    let (small, _) = refunds.request(by(account, customer(), Some(5_000))).await.unwrap();
    assert_eq!(small.state, RefundBatchState::Reserved, "the bound itself needs nobody");
    assert!(refunds.preview(by(account, customer(), Some(5_001))).await.unwrap().waits);
    let (large, _) = refunds.request(by(account, customer(), Some(5_001))).await.unwrap();
    assert_eq!(large.state, RefundBatchState::Waiting);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(9_999)).get());

    let work = Running::refunds(refunds.clone());
    let begun = world.clock.now();
    world.clock.run_until(async || world.clock.now().since(begun) > Duration::from_secs(3_600)).await;
    assert_eq!(world.far.asked(Op::Refund).len(), 1, "the small one");
    assert_eq!(state(&world, &large).await.0, RefundBatchState::Waiting);

    let myself = refunds.approve(customer(), Some("please".to_owned()), large.id).await;
    assert_eq!(refused(myself), Refusal::NeedsOperator);
    assert_eq!(refused(refunds.approve(operator("ann"), None, large.id).await), Refusal::NeedsReason);
    let why = || Some("they moved to another country".to_owned());
    let (agreed, _) = refunds.approve(operator("ann"), why(), large.id).await.unwrap();
    assert_eq!((agreed.state, &agreed.why), (RefundBatchState::Reserved, &why()));
    assert_eq!(agreed.approver, Some(operator("ann")));
    refunds.approve(operator("ann"), why(), large.id).await.unwrap();
    world.clock.run_until(async || world.far.asked(Op::Refund).len() == 2).await;
    work.end(&world).await;
    let again = refunds.approve(operator("ann"), why(), small.id).await;
    assert!(matches!(refused(again), Refusal::BatchState { .. }), "nobody had to agree to that one");
}

#[tokio::test]
async fn what_waits_can_be_taken_back_and_what_was_sent_cannot() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 20_000).await;
    let refunds = guarded(&world);
    let all = world.wallet(account, &Asset::Cny).await.posted;
    for actor in [customer(), operator("ann")] {
        let (batch, _) = refunds.request(by(account, customer(), None)).await.unwrap();
        let why = (actor.role == Role::Operator).then(|| "not theirs".to_owned());
        let (batch, items) = refunds.cancel(None, actor, why.clone(), batch.id).await.unwrap();
        assert_eq!((batch.state, items[0].state), (RefundBatchState::Cancelled, RefundItemState::Cancelled));
        assert_eq!(batch.why, why);
        assert_eq!(world.wallet(account, &Asset::Cny).await.posted, all);
        let late = refunds.approve(operator("bob"), Some("yes".to_owned()), batch.id).await;
        assert!(matches!(refused(late), Refusal::BatchState { .. }));
    }
    let (batch, _) = refunds.request(by(account, customer(), Some(100))).await.unwrap();
    let somebody = world.account().await;
    let theirs = refunds.cancel(Some(somebody), customer(), None, batch.id).await.unwrap_err();
    assert_eq!(theirs, RefundRequestError::UnknownRefund(batch.id));
    let silent = refunds.cancel(None, operator("ann"), None, batch.id).await;
    assert_eq!(refused(silent), Refusal::NeedsReason);
    let work = Running::refunds(refunds.clone());
    world.clock.run_until(async || state(&world, &batch).await.1 == RefundItemState::Processing).await;
    let sent = refunds.cancel(Some(account), customer(), None, batch.id).await;
    let running = RefundBatchState::Running;
    assert_eq!(refused(sent), Refusal::BatchState { batch: batch.id, state: running }, "it goes on");
    work.end(&world).await;
}

#[tokio::test]
async fn an_operator_says_why_and_above_the_bound_another_one_agrees() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 20_000).await;
    let refunds = guarded(&world);
    let ask = |amount, why: Option<&str>, approver: Option<&str>| RefundRequest {
        why: why.map(str::to_owned),
        approver: approver.map(operator),
        idempotency_key: Some("ticket-7".to_owned()),
        ..by(account, operator("ann"), Some(amount))
    };
    let silent = refunds.request(ask(100, None, None)).await;
    assert_eq!(refused(silent), Refusal::NeedsReason);
    for alone in [None, Some("ann")] {
        let alone = refunds.request(ask(5_001, Some("a complaint"), alone)).await;
        assert_eq!(refused(alone), Refusal::NeedsApprover);
    }
    assert!(world.store.refunds_of(account).await.unwrap().is_empty(), "nothing was set aside");
    world.assert_sound().await;
    // The same deed under the same key, now agreed to.
    let (batch, _) = refunds.request(ask(5_001, Some("a complaint"), Some("bob"))).await.unwrap();
    assert_eq!(batch.state, RefundBatchState::Reserved);
    assert_eq!((&batch.by, &batch.approver), (&Some(operator("ann")), &Some(operator("bob"))));
    assert_eq!(batch.why.as_deref(), Some("a complaint"));
    let again = refunds.request(ask(5_001, Some("a complaint"), Some("bob"))).await.unwrap();
    assert_eq!(again.0.id, batch.id, "once");
    let (small, _) = refunds
        .request(RefundRequest { idempotency_key: None, ..ask(5_000, Some("a complaint"), None) })
        .await
        .unwrap();
    assert_eq!((small.state, small.approver), (RefundBatchState::Reserved, None));
    world.assert_sound().await;
}
