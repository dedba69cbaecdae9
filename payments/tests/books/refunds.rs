//! Refunds against a far side that answers late, twice, wrongly or not at all.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use payments::{
    channel::{ChannelError, RefundReport, RefundState},
    ledger::{Actor, Asset, Order, OrderState, PayApi, RefundBatch, RefundItem, RefundItemState, Refusal},
    refund::{RefundNewsError, RefundObserver, RefundRequest, RefundRequestError, Refunds},
    store::SubmitError,
    topup::Merchants,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{AccountId, Clock, Livemode, NanoCny, Timestamp};

use crate::support::{Answer, MODEL, Op, RATE, Running, World, fen, merchant, token_kind};

async fn row(world: &World, order: &Order) -> Order {
    world.store.order(order.id).await.unwrap().unwrap()
}

async fn refund(world: &World, account: AccountId, amount: Option<i64>) -> (RefundBatch, Vec<RefundItem>) {
    world.refunds.request(back(account, amount, None)).await.unwrap()
}

fn back(account: AccountId, amount: Option<i64>, key: Option<&str>) -> RefundRequest {
    RefundRequest {
        account,
        actor: Actor::system("test"),
        amount: amount.map(fen),
        order: None,
        reason: Some("because".to_owned()),
        why: None,
        approver: None,
        idempotency_key: key.map(str::to_owned),
    }
}

async fn states(world: &World, account: AccountId) -> Vec<RefundItemState> {
    let refunds = world.store.refunds_of(account).await.unwrap();
    refunds.iter().flat_map(|(_, items)| items).map(|item| item.state).collect()
}

async fn all_are(world: &World, account: AccountId, state: RefundItemState) -> bool {
    states(world, account).await.iter().all(|found| *found == state)
}

fn distances(times: &[Timestamp]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

#[tokio::test]
async fn items_are_sent_one_by_one_and_never_closer_than_a_fifth_of_a_second() {
    let world = World::new();
    let (account, other) = (world.account().await, world.account().await);
    for _ in 0..4 {
        world.pay(account, 100).await;
        world.pay(other, 100).await;
    }
    refund(&world, account, None).await;
    refund(&world, other, None).await;
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
    world.clock.run_until(async || all_are(&world, other, RefundItemState::Processing).await).await;
    let mut calls = world.far.asked(Op::Refund);
    assert_eq!(calls.len(), 8);
    calls.extend(world.far.asked(Op::QueryRefund));
    calls.sort_by_key(|asked| asked.at);
    let times: Vec<_> = calls.iter().map(|asked| asked.at).collect();
    assert!(
        distances(&times).iter().all(|gap| *gap >= Duration::from_millis(200)),
        "{:?}",
        distances(&times)
    );
    world.far.refunds_are("SUCCESS");
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    world.clock.run_until(async || all_are(&world, other, RefundItemState::Success).await).await;
    work.end(&world).await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0);
    for order in world.store.orders_of(account).await.unwrap() {
        assert_eq!(order.state, OrderState::Refunded);
    }
}

#[tokio::test]
async fn two_refunds_of_one_payment_are_a_minute_apart() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.far.refunds_are("SUCCESS");
    for _ in 0..3 {
        refund(&world, account, Some(10)).await;
    }
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    let times: Vec<_> = world.far.asked(Op::Refund).iter().map(|asked| asked.at).collect();
    assert_eq!(times.len(), 3);
    assert!(distances(&times).iter().all(|gap| *gap >= Duration::from_secs(61)), "{:?}", distances(&times));
    work.end(&world).await;
}

#[tokio::test]
async fn the_minute_between_two_refunds_of_one_payment_outlives_the_process() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, Some(10)).await;
    refund(&world, account, Some(10)).await;
    let work = Running::work(&world);
    world.far.was_asked(Op::Refund, 1).await;
    world
        .clock
        .run_until(async || states(&world, account).await.contains(&RefundItemState::Processing))
        .await;
    work.end(&world).await;
    let world = world.reopened().await;
    let work = Running::work(&world);
    world.clock.run_until(async || world.far.asked(Op::Refund).len() == 2).await;
    let times: Vec<_> = world.far.asked(Op::Refund).iter().map(|asked| asked.at).collect();
    assert!(distances(&times)[0] >= Duration::from_secs(61), "{:?}", distances(&times));
    work.end(&world).await;
}

#[tokio::test]
async fn an_unclear_answer_is_asked_after_first_and_only_then_sent_again_under_the_same_number() {
    for answer in [
        Answer::Lost,
        Answer::DoneThenLost,
        Answer::Error(500, "SYSTEM_ERROR"),
        Answer::Error(403, "FREQUENCY_LIMITED"),
    ] {
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 100).await;
        world.pay(account, 100).await;
        let done = matches!(answer, Answer::DoneThenLost);
        world.far.next(Op::Refund, [answer.clone()]);
        let (_, items) = refund(&world, account, None).await;
        let work = Running::work(&world);
        world.far.was_asked(Op::Refund, 1).await;
        world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
        let sent = world.far.asked(Op::Refund);
        let first = &sent[0].number;
        let times = sent.iter().filter(|asked| asked.number == *first).count();
        assert_eq!(times, if done { 1 } else { 2 }, "{answer:?}");
        assert!(items.iter().any(|item| item.id.bare() == *first));
        let query = &world.far.asked(Op::QueryRefund)[0];
        assert_eq!(query.number, *first, "{answer:?}");
        assert!(
            sent[1..].iter().all(|asked| asked.at > query.at),
            "nothing of this wallet before the query: {answer:?}"
        );
        let again: Vec<_> =
            sent.iter().filter(|asked| asked.number == *first).map(|asked| asked.at).collect();
        assert!(distances(&again).iter().all(|gap| *gap >= Duration::from_secs(61)), "{answer:?}");
        assert_eq!(world.far.refunds_known(), 2);
        work.end(&world).await;
    }
}

#[tokio::test]
async fn a_crash_between_the_intention_and_the_answer_is_asked_after_by_the_next_run() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.far.next(Op::Refund, [Answer::DoneThenLost]);
    refund(&world, account, None).await;
    let work = Running::work(&world);
    world.far.was_asked(Op::Refund, 1).await;
    work.end(&world).await;
    assert_eq!(states(&world, account).await, [RefundItemState::Unknown]);
    let world = world.reopened().await;
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
    assert_eq!(world.far.asked(Op::Refund).len(), 1, "it had arrived");
    work.end(&world).await;
}

#[tokio::test]
async fn a_refusal_is_confirmed_by_a_query_before_the_money_is_put_back() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.far.next(Op::Refund, [Answer::Error(400, "PARAM_ERROR")]);
    // The first query leads to nothing: it is not taken for a confirmation.
    world.far.next(Op::QueryRefund, [Answer::Lost]);
    refund(&world, account, None).await;
    let work = Running::work(&world);
    world.far.was_asked(Op::Refund, 1).await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0);
    world.far.next(Op::Refund, [Answer::Error(400, "PARAM_ERROR")]);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Refused).await).await;
    assert_eq!(world.far.refunds_known(), 0);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(100)).get());
    work.end(&world).await;
}

#[tokio::test]
async fn a_refusal_that_the_query_contradicts_is_none() {
    let world = World::new();
    let account = world.account().await;
    let order = world.pay(account, 100).await;
    world.far.next(Op::Refund, [Answer::DoneThenLost, Answer::Error(400, "INVALID_REQUEST")]);
    // Not there yet when it is asked after, so it is sent again; that is refused because it has arrived.
    world.far.next(Op::QueryRefund, [Answer::Error(404, "RESOURCE_NOT_EXISTS")]);
    refund(&world, account, None).await;
    let work = Running::work(&world);
    world.far.was_asked(Op::Refund, 1).await;
    world.far.refunds_are("SUCCESS");
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    assert_eq!(row(&world, &order).await.state, OrderState::Refunded);
    work.end(&world).await;
}

#[tokio::test]
async fn a_merchant_without_money_waits_and_sends_the_same_number_again() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.far.next(Op::Refund, std::iter::repeat_n(Answer::Error(403, "NOT_ENOUGH"), 3));
    refund(&world, account, None).await;
    let work = Running::work(&world);
    world.clock.run_until(async || world.far.asked(Op::Refund).len() == 3).await;
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Wait).await).await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0, "the money stays reserved");
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
    let sent = world.far.asked(Op::Refund);
    assert!(sent.iter().all(|asked| asked.number == sent[0].number && asked.body == sent[0].body));
    work.end(&world).await;
}

#[tokio::test]
async fn a_closed_refund_comes_back_and_an_abnormal_one_waits_for_a_person() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, Some(40)).await;
    world.far.refunds_are("ABNORMAL");
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Abnormal).await).await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(60)).get());
    let (_, items) = world.store.refunds_of(account).await.unwrap().remove(0);
    let report = |state, amount| RefundReport {
        out_refund_no: items[0].id.bare(),
        refund_id: None,
        transaction_id: None,
        out_trade_no: Some(items[0].order.bare()),
        state,
        refund: Some(fen(amount)),
        total: None,
        success_time: None,
        request_id: None,
    };
    let wrong = world.refunds.reported(&report(RefundState::Closed, 41), None).await;
    assert!(matches!(wrong, Err(RefundNewsError::Mismatch { .. })), "{wrong:?}");
    let crossed =
        RefundReport { out_trade_no: Some("another".to_owned()), ..report(RefundState::Closed, 40) };
    assert!(matches!(world.refunds.reported(&crossed, None).await, Err(RefundNewsError::Mismatch { .. })));
    let new = world.refunds.reported(&report(RefundState::Unknown("NEW".to_owned()), 40), None).await;
    assert!(matches!(new, Err(RefundNewsError::Mismatch { .. })), "{new:?}");
    let unknown = RefundReport { out_refund_no: "x".to_owned(), ..report(RefundState::Closed, 40) };
    assert!(matches!(world.refunds.reported(&unknown, None).await, Err(RefundNewsError::Unknown(_))));
    let item = world.refunds.reported(&report(RefundState::Closed, 40), Some("E1".to_owned())).await.unwrap();
    assert_eq!(item.state, RefundItemState::Closed);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(100)).get());
    work.end(&world).await;
}

#[tokio::test]
async fn what_became_of_an_abnormal_refund_is_found_by_asking() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, Some(40)).await;
    world.far.refunds_are("ABNORMAL");
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Abnormal).await).await;
    // Somebody sends it to a bank account of the payer's in WeChat Pay's console, and no notice says so.
    world.far.refunds_are("SUCCESS");
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    work.end(&world).await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_refund_and_another_wish_under_it_is_refused() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let (first, items) = world.refunds.request(back(account, Some(30), Some("k"))).await.unwrap();
    let again = world.refunds.request(back(account, Some(30), Some("k"))).await.unwrap();
    assert_eq!(again, (first, items));
    let other = world.refunds.request(back(account, Some(31), Some("k"))).await.unwrap_err();
    assert_eq!(other, RefundRequestError::Store(SubmitError::Refused(Refusal::KeyReused)));
    let somebody = world.account().await;
    let order = world.store.orders_of(account).await.unwrap()[0].id;
    let theirs = RefundRequest { order: Some(order), ..back(somebody, None, None) };
    assert_eq!(world.refunds.request(theirs).await.unwrap_err(), RefundRequestError::UnknownOrder(order));
    world.assert_sound().await;
}

#[tokio::test]
async fn tokens_go_back_for_the_share_of_their_price_that_is_left() {
    let world = World::new();
    let account = world.account().await;
    let order = world.pay_for(account, 5_000, token_kind(1_000_000, 50_000)).await;
    let call = world.call(account, crate::support::usage(376_543, 0));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    assert_eq!(hold.money(), NanoCny::ZERO, "the tokens cover it");
    hold.settle(Some((crate::support::usage(376_543, 0), false)), |_| crate::support::receipt(id, account));
    world.assert_sound().await;
    assert_eq!(RATE, 2_000, "what a call costs in money has nothing to do with it");
    world.far.refunds_are("SUCCESS");
    let wish = RefundRequest { order: Some(order.id), ..back(account, None, None) };
    let (batch, _) = world.refunds.request(wish).await.unwrap();
    assert_eq!(batch.amount, fen(3_117));
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    work.end(&world).await;
    assert_eq!(world.wallet(account, &Asset::Tokens(MODEL.to_owned())).await.posted, 0);
}

#[tokio::test]
async fn a_payment_whose_merchant_is_gone_is_left_in_peace() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, None).await;
    let nobody = payments::refund::Refunds::new(
        world.store.clone(),
        world.admission.clone(),
        Arc::new(payments::topup::Merchants::default()),
        world.clock.clone(),
    );
    let stop = CancellationToken::new();
    let token = stop.clone();
    let task = TaskTracker::new().spawn(async move { nobody.work(token).await });
    let asleep = Mutex::new(Vec::new());
    for _ in 0..3 {
        let at = world.clock.first_sleeper().await;
        asleep.lock().unwrap().push(at);
        world.clock.move_to(at);
    }
    let asleep = asleep.into_inner().unwrap();
    assert!(
        asleep[2].since(asleep[0]) > Duration::from_secs(600),
        "it is not tried five times a second: {asleep:?}"
    );
    stop.cancel();
    task.await.unwrap();
    assert_eq!(states(&world, account).await, [RefundItemState::Queued]);
}

// ---- what may go wrong for long ----

/// What an observer is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl RefundObserver for Told {
    fn moved(&self, item: &RefundItem) {
        self.0.lock().unwrap().push(item.state.to_string());
    }

    fn misconfigured(&self, _item: &RefundItem, error: &ChannelError) {
        self.0.lock().unwrap().push(error.code().to_owned());
    }
}

impl Told {
    fn times(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|told| *told == what).count()
    }
}

#[tokio::test]
async fn a_refund_that_takes_days_is_asked_after_ever_more_slowly_and_never_forgotten() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, None).await;
    let work = Running::work(&world);
    let begun = world.clock.now();
    let days = Duration::from_secs(3 * 86_400);
    world.clock.run_until(async || world.clock.now().since(begun) > days).await;
    assert_eq!(states(&world, account).await, [RefundItemState::Processing]);
    let asked: Vec<_> = world.far.asked(Op::QueryRefund).iter().map(|asked| asked.at).collect();
    let gaps = distances(&asked);
    assert!(gaps.windows(2).all(|two| two[0] <= two[1] + Duration::from_secs(1)), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= Duration::from_secs(1_801)), "{gaps:?}");
    assert!((140..170).contains(&asked.len()), "every half an hour: {}", asked.len());
    // The next run begins anew.
    work.end(&world).await;
    let world = world.reopened().await;
    let work = Running::work(&world);
    world.far.refunds_are("SUCCESS");
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    assert_eq!(world.far.asked(Op::Refund).len(), 1);
    work.end(&world).await;
}

#[tokio::test]
async fn the_minute_outlives_the_process_also_where_the_first_refund_has_arrived() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    world.far.refunds_are("SUCCESS");
    refund(&world, account, Some(10)).await;
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
    work.end(&world).await;
    let world = world.reopened().await;
    refund(&world, account, Some(10)).await;
    let work = Running::work(&world);
    world.clock.run_until(async || world.far.asked(Op::Refund).len() == 2).await;
    let times: Vec<_> = world.far.asked(Op::Refund).iter().map(|asked| asked.at).collect();
    assert!(distances(&times)[0] >= Duration::from_secs(61), "{:?}", distances(&times));
    work.end(&world).await;
}

#[tokio::test]
async fn what_is_refused_for_good_goes_back_to_the_balance_once_wechat_pay_knows_of_no_such_refund() {
    for (status, code) in [
        (403, "USER_ACCOUNT_ABNORMAL"),
        (400, "INVALID_REQUEST"),
        (403, "NO_AUTH"),
        (403, "NOAUTH"),
        (403, "REQUEST_BLOCKED"),
        (403, "TRADE_ERROR"),
        (403, "ACCOUNT_ERROR"),
        (500, "INVALID_TRANSACTIONID"),
    ] {
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 100).await;
        let told = Arc::new(Told::default());
        let refunds = world.refunds.clone().observed_by(told.clone());
        world.far.next(Op::Refund, [Answer::Error(status, code)]);
        refund(&world, account, None).await;
        let work = Running::refunds(refunds);
        let told_of = || told.times("refused") > 0;
        world
            .clock
            .run_until(async || all_are(&world, account, RefundItemState::Refused).await && told_of())
            .await;
        assert_eq!(world.far.asked(Op::Refund).len(), 1, "{code}: not sent again");
        assert_eq!(world.far.asked(Op::QueryRefund).len(), 1, "{code}: confirmed by a query");
        let item = world.store.refunds_of(account).await.unwrap().remove(0).1.remove(0);
        assert!(item.detail.as_deref().is_some_and(|detail| detail.contains(code)), "{item:?}");
        assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(100)).get(), "{code}");
        assert_eq!(told.times(code), usize::from(code.replace('_', "") == "NOAUTH"), "{code}");
        assert_eq!(told.times("refused"), 1, "{code}");
        work.end(&world).await;
    }
}

#[tokio::test]
async fn keys_that_are_wrong_keep_the_money_reserved_until_they_are_mended() {
    for (status, code) in [(401, "SIGN_ERROR"), (400, "APPID_MCHID_NOT_MATCH"), (403, "NO_AUTH")] {
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 100).await;
        let told = Arc::new(Told::default());
        let refunds = world.refunds.clone().observed_by(told.clone());
        world.far.next(Op::Refund, [Answer::Error(status, code)]);
        world.far.next(Op::QueryRefund, std::iter::repeat_n(Answer::Error(status, code), 12));
        refund(&world, account, None).await;
        let work = Running::refunds(refunds);
        world.clock.run_until(async || world.far.asked(Op::QueryRefund).len() == 12).await;
        assert_eq!(states(&world, account).await, [RefundItemState::Unknown], "{code}");
        assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0, "{code}: it is not given up");
        assert!(told.times(code) >= 10, "{code}: somebody is told: {told:?}");
        assert_eq!(
            world.far.asked(Op::Refund).len(),
            1,
            "{code}: it is not sent again before it is asked after"
        );
        world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
        let sent = world.far.asked(Op::Refund);
        assert_eq!((sent.len(), &sent[0].number), (2, &sent[1].number), "{code}");
        work.end(&world).await;
    }
}

#[tokio::test]
async fn whoever_watches_is_told_of_a_merchant_without_money_and_of_what_cannot_reach_the_payer() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let told = Arc::new(Told::default());
    world.far.refunds_are("ABNORMAL");
    world.far.next(Op::Refund, std::iter::repeat_n(Answer::Error(403, "NOT_ENOUGH"), 2));
    refund(&world, account, None).await;
    let work = Running::refunds(world.refunds.clone().observed_by(told.clone()));
    let told_of = || told.times("abnormal") > 0;
    world
        .clock
        .run_until(async || all_are(&world, account, RefundItemState::Abnormal).await && told_of())
        .await;
    assert_eq!((told.times("wait"), told.times("abnormal")), (2, 1), "{told:?}");
    let asked = world.far.asked(Op::QueryRefund).len();
    world.clock.run_until(async || world.far.asked(Op::QueryRefund).len() > asked + 3).await;
    assert_eq!(told.times("abnormal"), 1, "told once, however often it is found to be so");
    work.end(&world).await;
}

#[tokio::test]
async fn a_closed_refund_comes_back_once_however_often_it_is_told() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let (_, items) = refund(&world, account, Some(40)).await;
    world.far.refunds_are("CLOSED");
    let work = Running::work(&world);
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Closed).await).await;
    work.end(&world).await;
    for event in ["E1", "E2", "E1"] {
        let report = of_item(&items[0], RefundState::Closed);
        assert_eq!(
            world.refunds.noticed(&report, event.to_owned()).await.unwrap().state,
            RefundItemState::Closed
        );
    }
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(100)).get());
    world.assert_sound().await;
}

fn of_item(item: &RefundItem, state: RefundState) -> RefundReport {
    RefundReport {
        out_refund_no: item.id.bare(),
        refund_id: None,
        transaction_id: None,
        out_trade_no: Some(item.order.bare()),
        state,
        refund: Some(item.amount),
        total: None,
        success_time: None,
        request_id: None,
    }
}

#[tokio::test]
async fn a_notice_of_a_refund_that_the_books_have_not_sent_makes_us_ask_before_anything_is_sent() {
    for waits in [false, true] {
        for reached in [false, true] {
            let world = World::new();
            let account = world.account().await;
            let order = world.pay(account, 100).await;
            let (_, items) = refund(&world, account, None).await;
            let mut sent = 0;
            if waits {
                world.far.next(Op::Refund, [Answer::Error(403, "NOT_ENOUGH")]);
                let work = Running::work(&world);
                world.clock.run_until(async || all_are(&world, account, RefundItemState::Wait).await).await;
                work.end(&world).await;
                sent = 1;
            }
            // These books may have been put back from a copy: it was sent after that.
            if reached {
                world.far.has_refund(&items[0].id.bare(), &order, 100, "SUCCESS");
            }
            let notice = of_item(&items[0], RefundState::Success);
            let item = world.refunds.noticed(&notice, "E1".to_owned()).await.unwrap();
            assert_eq!(item.state, RefundItemState::Unknown);
            let asked = world.far.asked(Op::QueryRefund).len();
            let work = Running::work(&world);
            world.far.refunds_are("SUCCESS");
            world.clock.run_until(async || all_are(&world, account, RefundItemState::Success).await).await;
            work.end(&world).await;
            let first = world.far.asked(Op::QueryRefund)[asked].at;
            let since = world.far.asked(Op::Refund).split_off(sent);
            assert_eq!(since.len(), usize::from(!reached), "waits: {waits}, reached: {reached}");
            assert!(since.iter().all(|asked| asked.at > first), "it was asked after before it was sent");
        }
    }
}

#[tokio::test]
async fn a_refund_goes_the_way_its_order_was_put_whatever_new_orders_go_by() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    refund(&world, account, None).await;
    let of = |v3: bool| {
        let mut now = merchant(&world.far, &world.clock, Livemode::Demo);
        now.api = PayApi::V2;
        now.v3 = now.v3.filter(|_| v3);
        let merchants = Arc::new(Merchants::new([now]));
        Refunds::new(world.store.clone(), world.admission.clone(), merchants, world.clock.clone())
    };
    // The keys it was put with are gone: nothing is lost, and somebody is told.
    let told = Arc::new(Told::default());
    let work = Running::refunds(of(false).observed_by(told.clone()));
    world.clock.run_until(async || told.times("API_NOT_SPOKEN") >= 3).await;
    work.end(&world).await;
    assert_eq!(states(&world, account).await, [RefundItemState::Unknown]);
    assert_eq!(world.far.asked(Op::Refund), []);
    let work = Running::refunds(of(true));
    world.clock.run_until(async || all_are(&world, account, RefundItemState::Processing).await).await;
    work.end(&world).await;
}
