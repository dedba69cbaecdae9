//! Many at once: nothing is admitted that is not there, nothing is credited twice.

use std::sync::Arc;

use crate::support::{MODEL, RATE, World, fen, receipt, token_kind, trade_of, usage};
use payments::{
    holds::{AdmitError, OpenHold},
    ledger::{Actor, Asset, HoldState, OrderKind},
    refund::RefundRequest,
    topup::PaidNews,
};
use tokio::task::JoinSet;
use units::{AccountId, NanoCny, Usage};

/// Runs `tasks` on several threads and gathers what they come to.
async fn all<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set: JoinSet<T> = tasks.into_iter().collect();
    let mut results = Vec::new();
    while let Some(result) = set.join_next().await {
        results.push(result.unwrap());
    }
    results
}

fn settle_all(holds: Vec<OpenHold>, ids: &[units::RequestId], account: AccountId) {
    for (n, (hold, id)) in holds.into_iter().zip(ids).enumerate() {
        let used = match n % 4 {
            0 => None,
            1 => Some((usage(0, 0), false)),
            2 => Some((usage(1, 10), false)),
            _ => Some((usage(400, 400), true)),
        };
        hold.settle(used, |_| receipt(*id, account));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lesson_16_a_thousand_calls_at_once_are_never_admitted_beyond_the_balance() {
    let world = Arc::new(World::new());
    let account = world.account().await;
    world.pay(account, 100).await;
    let each = 500 * RATE;
    let calls = (0..1_000).map(|_| {
        let world = world.clone();
        async move {
            let call = world.call(account, usage(250, 250));
            let id = call.id;
            world.holds.admit(call).await.map(|hold| (id, hold))
        }
    });
    let (mut ids, mut holds) = (Vec::new(), Vec::new());
    for admitted in all(calls).await {
        match admitted {
            Ok((id, mut hold)) => {
                hold.durable().await.expect("the ledger refuses nothing that memory admitted");
                assert_eq!(hold.money().get(), each);
                ids.push(id);
                holds.push(hold);
            }
            Err(AdmitError::Insufficient { available, required, .. }) => assert!(available < required),
            Err(error) => panic!("{error}"),
        }
    }
    let balance = NanoCny::from(fen(100)).get();
    assert_eq!(
        i64::try_from(holds.len()).unwrap(),
        balance / each,
        "as many as the balance covers, and no more"
    );
    let wallet = world.wallet(account, &Asset::Cny).await;
    assert_eq!(wallet.held, balance / each * each);

    settle_all(holds, &ids, account);
    world.assert_sound().await;
    assert_eq!(world.journal.open_calls(), 0);
    assert_eq!(world.store.open_holds().await.unwrap(), 0);
    let mut cost = 0;
    for id in ids {
        let hold = world.store.hold(id).await.unwrap().unwrap();
        assert_ne!(hold.state, HoldState::Open);
        cost += hold.cost.get();
    }
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, balance - cost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_notification_that_comes_fifty_times_at_once_credits_once() {
    let world = Arc::new(World::new());
    let account = world.account().await;
    let order = world.order(account, fen(500), OrderKind::Wallet).await;
    let trade = trade_of(&order, "T1", crate::support::START);
    let told = (0..50).map(|n| {
        let (world, trade) = (world.clone(), trade.clone());
        async move { world.paid(trade, Some(&format!("E{}", n % 3))).await }
    });
    let told = all(told).await;
    assert_eq!(told.iter().filter(|news| matches!(news, PaidNews::Credited(_))).count(), 1);
    assert_eq!(told.iter().filter(|news| matches!(news, PaidNews::Duplicate(_))).count(), 49);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(500)).get());
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refunds_and_calls_that_race_for_the_same_money_never_both_get_it() {
    for round in 0..8 {
        let world = Arc::new(World::new());
        let account = world.account().await;
        for _ in 0..3 {
            world.pay(account, 40).await;
        }
        // In the even rounds memory has not seen the balance before.
        if round % 2 == 1 {
            world.store.load_balance(account, Asset::Cny).await.unwrap();
        }
        let calls = (0..200).map(|_| {
            let world = world.clone();
            async move {
                let call = world.call(account, Usage { input: units::Tokens(1_000), ..Usage::default() });
                let id = call.id;
                let mut hold = world.holds.admit(call).await.ok()?;
                hold.durable().await.expect("the ledger refuses nothing that memory admitted");
                Some((id, hold))
            }
        });
        let refunds = (0..6).map(|n| {
            let world = world.clone();
            async move {
                let request = RefundRequest {
                    account,
                    actor: Actor::system("test"),
                    amount: (n % 3 != 0).then(|| fen(7)),
                    order: None,
                    reason: None,
                    why: None,
                    approver: None,
                    idempotency_key: None,
                };
                world.refunds.request(request).await.map_or(0, |(batch, _)| batch.amount.get())
            }
        });
        let (calls, refunds) = tokio::join!(all(calls), all(refunds));
        let (ids, holds): (Vec<_>, Vec<_>) = calls.into_iter().flatten().unzip();
        let held = i64::try_from(holds.len()).unwrap() * 1_000 * RATE;
        let refunded = refunds.iter().sum::<i64>() * 10_000_000;
        assert!(held + refunded <= NanoCny::from(fen(120)).get());
        world.assert_sound().await;
        settle_all(holds, &ids, account);
        world.assert_sound().await;
        assert_eq!(world.journal.open_calls(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_and_money_of_one_account_are_shared_by_many_calls_to_the_last_bit() {
    let world = Arc::new(World::new());
    let account = world.account().await;
    world.pay(account, 3).await;
    world.pay_for(account, 10, token_kind(50_000, RATE)).await;
    let calls = (0..300).map(|_| {
        let world = world.clone();
        async move {
            let call = world.call(account, usage(100, 100));
            let id = call.id;
            let mut hold = world.holds.admit(call).await.ok()?;
            hold.durable().await.unwrap();
            hold.extend(&usage(100, 150));
            Some((id, hold))
        }
    });
    let (ids, holds): (Vec<_>, Vec<_>) = all(calls).await.into_iter().flatten().unzip();
    assert!(holds.len() >= 250, "50,000 tokens carry 250 calls, the money some more: {}", holds.len());
    settle_all(holds, &ids, account);
    world.assert_sound().await;
    assert_eq!(world.journal.open_calls(), 0);
    let tokens = world.wallet(account, &Asset::Tokens(MODEL.to_owned())).await;
    assert_eq!(tokens.held, 0);
    for id in ids {
        let hold = world.store.hold(id).await.unwrap().unwrap();
        assert!(hold.cost_tokens_milli <= hold.tokens_milli());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_settlement_says_is_what_the_ledger_charges_also_beyond_the_hold() {
    let world = Arc::new(World::new());
    let account = world.account().await;
    world.pay(account, 1).await;
    let calls = (0..20_u64).map(|n| {
        let world = world.clone();
        async move {
            let call = world.call(account, usage(50, 50));
            let id = call.id;
            let mut hold = world.holds.admit(call).await.ok()?;
            hold.durable().await.unwrap();
            // Up to ten times what was held.
            let charged = hold.settle(Some((usage(50 * n, 1), false)), |_| receipt(id, account));
            Some((id, charged))
        }
    });
    for (id, charged) in all(calls).await.into_iter().flatten() {
        world.store.flushed().await.unwrap();
        let hold = world.store.hold(id).await.unwrap().unwrap();
        assert_eq!((hold.cost, hold.cost_tokens_milli), (charged.cost, charged.tokens_milli()));
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_whose_caller_goes_away_leaves_nothing_taken() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    for polls in 0..12 {
        let request = RefundRequest {
            account,
            actor: Actor::system("test"),
            amount: Some(fen(1)),
            order: None,
            reason: None,
            why: None,
            approver: None,
            idempotency_key: Some("the same".to_owned()),
        };
        let mut wish = Box::pin(world.refunds.request(request));
        for _ in 0..polls {
            let done = futures_util::poll!(&mut wish).is_ready();
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(wish);
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_wait_for_the_disk_that_was_given_up_is_taken_up_again() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let mut hold = world.holds.admit(world.call(account, usage(1, 1))).await.unwrap();
    let id = {
        let mut first = Box::pin(hold.durable());
        assert!(futures_util::poll!(&mut first).is_pending(), "a flush takes longer than a poll");
        drop(first);
        hold.durable().await.unwrap();
        hold.durable().await.unwrap();
        world.store.orphaned_holds(i64::MAX).await.unwrap()[0].id
    };
    hold.settle(None, |_| receipt(id, account));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_hold_the_ledger_refuses_says_so_every_time_and_gives_everything_back() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let call = world.call(account, usage(1, 1));
    let mut first = world.holds.admit(call.clone()).await.unwrap();
    // The same call with another content: memory cannot know.
    let mut second =
        world.holds.admit(payments::holds::HoldRequest { bound: usage(9, 9), ..call.clone() }).await.unwrap();
    first.durable().await.unwrap();
    assert!(second.durable().await.is_err() && second.durable().await.is_err());
    drop(second);
    world.assert_sound().await;
    first.settle(Some((usage(1, 1), false)), |_| receipt(call.id, account));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_usage_no_ledger_can_hold_gives_the_hold_back_instead_of_leaving_it_open() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let call = world.call(account, usage(1, 1));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    let charged = hold.settle(Some((usage(u64::MAX, u64::MAX), false)), |_| receipt(id, account));
    assert_eq!(charged.cost, NanoCny::ZERO);
    world.assert_sound().await;
    assert_eq!(world.store.hold(id).await.unwrap().unwrap().state, HoldState::Released);
    assert_eq!(world.journal.open_calls(), 0);
}

#[tokio::test]
async fn what_an_ended_call_did_not_use_can_be_refunded_at_once() {
    for _ in 0..20 {
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 100).await;
        let call = world.call(account, usage(1_000, 100_000));
        let id = call.id;
        let mut hold = world.holds.admit(call).await.unwrap();
        hold.durable().await.unwrap();
        // The settlement is on its way to the disk when the refund is asked for.
        settle_all(vec![hold], &[id], account);
        let request = RefundRequest {
            account,
            actor: Actor::system("test"),
            amount: Some(fen(90)),
            order: None,
            reason: None,
            why: None,
            approver: None,
            idempotency_key: None,
        };
        assert_eq!(world.refunds.request(request).await.unwrap().0.amount, fen(90));
        world.assert_sound().await;
    }
}
