//! What was given for a time ends by itself: all of it, and never from under a call.

use std::time::Duration;

use futures_util::future::join_all;
use payments::{
    fx::OldRates,
    grant::Gifts,
    holds::HoldRequest,
    ledger::{
        AcceptedRate, Actor, Asset, Body, Command, CreditSource, ExternalRefund, HoldQuote, NewOrder,
        OrderKind,
    },
    refund::RefundRequest,
    store::Store,
};
use units::{AccountId, Clock, NanoCny, OrderId, RequestId};

use crate::support::{World, command, fen, new_order, receipt, token_kind, trade_of, usage, yuan};

const DAY: Duration = Duration::from_secs(86_400);

impl World {
    fn gifts(&self) -> Gifts {
        Gifts::new(self.store.clone(), self.admission.clone(), self.clock.clone())
    }

    async fn give(&self, account: AccountId, amount: NanoCny) {
        let expires_at = Some(self.clock.now().after(DAY));
        let key = format!("promo:{}", RequestId::new(self.clock.now()));
        self.submit(key, Body::GrantPromo { account, amount, expires_at }).await.unwrap();
    }

    async fn posted(&self, account: AccountId) -> i64 {
        self.store.flushed().await.unwrap();
        self.wallet(account, &Asset::Cny).await.posted
    }
}

#[tokio::test]
async fn everything_that_is_over_ends_page_after_page_once() {
    let world = World::new();
    let account = world.account().await;
    join_all((0..450).map(|_| world.give(account, yuan("0.01")))).await;
    world.pay(account, 100).await;
    assert_eq!(world.gifts().sweep().await.unwrap(), 0, "nothing is over yet");
    world.clock.advance(DAY);
    assert_eq!(world.gifts().sweep().await.unwrap(), 450);
    assert_eq!(world.posted(account).await, yuan("1").get(), "the payment is untouched");
    assert_eq!(world.gifts().sweep().await.unwrap(), 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_a_call_was_admitted_on_ends_when_the_call_has() {
    let world = World::new();
    let account = world.account().await;
    world.give(account, yuan("0.01")).await;
    // 4,000 tokens at 2,000 nano-yuan: 0.008 of the 0.01.
    let mut hold = world.holds.admit(world.call(account, usage(4_000, 0))).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(world.gifts().sweep().await.unwrap(), 0, "the call may need it");
    hold.durable().await.unwrap();
    assert_eq!(world.gifts().sweep().await.unwrap(), 0, "and still does");
    let id = RequestId::new(world.clock.now());
    hold.settle(Some((usage(1_000, 0), false)), |_| receipt(id, account));
    assert_eq!(world.gifts().sweep().await.unwrap(), 1);
    assert_eq!(world.posted(account).await, 0);
    let lots = world.store.balances(account).await.unwrap();
    let lot = &lots[0].lots[0];
    assert_eq!((lot.consumed, lot.expired), (2_000_000, 8_000_000));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_bonus_in_line_with_its_payment_is_left_alone() {
    let world = World::new();
    let account = world.account().await;
    let id = OrderId::new(world.clock.now());
    let new = NewOrder { bonus: yuan("3"), ..new_order(id, account, fen(1_000), OrderKind::Wallet) };
    world.submit(format!("order:{id}"), Body::CreateOrder(new)).await.unwrap();
    let order = world.store.order(id).await.unwrap().unwrap();
    world.far.knows_paid(&order, "T1");
    let trade = trade_of(&order, "T1", world.clock.now());
    world.topups.paid(world.merchant(), trade, CreditSource::Notify, None).await.unwrap();
    assert_eq!(world.store.bonuses_of_refunded().await.unwrap(), []);
    let back = RefundRequest {
        account,
        actor: Actor::system("test"),
        amount: Some(fen(200)),
        order: None,
        reason: None,
        why: None,
        approver: None,
        idempotency_key: None,
    };
    world.refunds.request(back).await.unwrap();
    assert_eq!(world.store.bonuses_of_refunded().await.unwrap(), [], "a fifth of it is frozen already");
    assert_eq!(world.gifts().sweep().await.unwrap(), 0);
    assert_eq!(world.posted(account).await, yuan("10.4").get());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_bonus_that_a_call_kept_from_going_with_its_payment_goes_when_the_call_has_ended() {
    let world = World::new();
    let account = world.account().await;
    let id = OrderId::new(world.clock.now());
    let new = NewOrder { bonus: yuan("0.03"), ..new_order(id, account, fen(1), OrderKind::Wallet) };
    world.submit(format!("order:{id}"), Body::CreateOrder(new)).await.unwrap();
    let order = world.store.order(id).await.unwrap().unwrap();
    world.far.knows_paid(&order, "T1");
    let trade = trade_of(&order, "T1", world.clock.now());
    world.topups.paid(world.merchant(), trade, CreditSource::Notify, None).await.unwrap();
    // 15,000 tokens at 2,000 nano-yuan: the payment of 0.01, and 0.02 of the bonus.
    let mut hold = world.holds.admit(world.call(account, usage(15_000, 0))).await.unwrap();
    hold.durable().await.unwrap();
    let found =
        ExternalRefund { refund_id: "x".to_owned(), order: id, account, asset: Asset::Cny, amount: fen(1) };
    world.submit("xr:x", Body::ExtRefund(found)).await.unwrap();
    assert_eq!(world.gifts().sweep().await.unwrap(), 0, "the call may need it");
    hold.settle(Some((usage(8_000, 0), false)), |_| receipt(RequestId::new(world.clock.now()), account));
    assert_eq!(world.gifts().sweep().await.unwrap(), 1);
    assert_eq!(world.posted(account).await, 0);
    let debt = world.store.account(account).await.unwrap().unwrap().debt;
    assert_eq!(
        debt,
        yuan("0.016"),
        "0.01 that went back in cash, of which nothing was left, and 0.006 of the bonus"
    );
    assert_eq!(world.gifts().sweep().await.unwrap(), 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn each_call_finds_its_own_lines_and_an_unknown_rate_is_none() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let call = world.call(account, usage(100, 0));
        let id = call.id;
        let hold = world.holds.admit(call).await.unwrap();
        hold.settle(Some((usage(100, 0), false)), |_| receipt(id, account));
        ids.push(id);
    }
    let store: &Store = &world.store;
    store.flushed().await.unwrap();
    for id in ids {
        let hold = store.hold(id).await.unwrap().unwrap();
        let ended = hold.ended_at.unwrap();
        let lines = store.lines_of_call(account, Asset::Cny, id, ended).await.unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((lines[0].hold, lines[0].movement()), (Some(id), -200_000));
    }
    assert_eq!(store.fx_rate("USD/CNY:1").await.unwrap(), None);
    assert_eq!(store.fx_rate("nothing").await.unwrap(), None);
}

#[tokio::test]
async fn old_rates_go_unless_something_names_them() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let accept = |number: i64| {
        let rate = AcceptedRate {
            pair: "USD/CNY".to_owned(),
            rate_micro: 7_100_000 + number,
            source: "bank".to_owned(),
            observed_at: None,
            fetched_at: world.clock.now(),
            confirmed_by: None,
        };
        world.submit("fx", Body::AcceptRate(rate))
    };
    let naming = |number: i64| Some(format!("USD/CNY:{number}"));
    for number in 1..=1_500 {
        accept(number).await.unwrap();
        match number {
            7 => {
                let call = world.call(account, usage(10, 0));
                let quote = HoldQuote { fx_id: naming(7), ..call.quote };
                let hold = world.holds.admit(HoldRequest { quote, ..call }).await.unwrap();
                hold.settle(None, |_| receipt(RequestId::new(world.clock.now()), account));
            }
            1_099 => {
                let mut kind = token_kind(1_000, 2_000_000);
                if let OrderKind::Tokens { fx_id, .. } = &mut kind {
                    *fx_id = naming(1_100);
                }
                world.order(account, fen(200), kind).await;
            }
            9 => {
                let pair = "USD/CNY".to_owned();
                let pin = Body::PinRate { pair: pair.clone(), rate_micro: 7_000_000, until: None };
                for (key, body) in [("pin", pin), ("unpin", Body::UnpinRate { pair })] {
                    let reason = Some("a test".to_owned());
                    let command = Command { reason, ..command(key, world.clock.now(), body) };
                    world.store.submit(command).await.unwrap();
                }
            }
            _ => {}
        }
        world.clock.advance(Duration::from_secs(300));
    }
    let old = OldRates::new(world.store.clone(), world.clock.clone());
    assert_eq!(old.sweep().await.unwrap(), 0, "a month's are kept");
    world.clock.advance(DAY * 30 - Duration::from_secs(100 * 300));
    assert_eq!(
        old.sweep().await.unwrap(),
        1_400 - 2,
        "the call's and the order's stay, and the pinned one beside them"
    );
    world.clock.advance(DAY * 30);
    assert_eq!(old.sweep().await.unwrap(), 99, "the last one counts, however old it is");
    assert_eq!(old.sweep().await.unwrap(), 0);
    let rates = world.store.fx_rates("USD/CNY".to_owned(), 10_000).await.unwrap();
    let mut left: Vec<i64> = rates.iter().map(|rate| rate.number).collect();
    left.sort_unstable();
    // The pin was the tenth to be written down.
    assert_eq!(left, [7, 10, 1_100, 1_501]);
    world.assert_sound().await;
}
