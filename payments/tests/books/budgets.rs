//! Budgets: what a key or an account may spend in a day, in a month, or at all.

use std::{sync::Arc, time::Duration};

use payments::{
    holds::{AdmitError, HoldRequest, OpenHold},
    ledger::{
        Actor, Asset, Body, BudgetPeriod, NewHold, OverBudget, Refusal, Reply, Role, RowOp, SettleEnd,
        SettledBy, Stranded,
    },
};
use tokio::task::JoinSet;
use units::{AccountId, KeyId, NanoCny, Timestamp};

use crate::support::{Desk, RATE, START, World, api_key, command, receipt, usage, yuan};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn budget(account: AccountId, key: Option<KeyId>, period: BudgetPeriod, limit: Option<&str>) -> Body {
    Body::SetBudget { account, key, period, limit: limit.map(yuan) }
}

/// A desk with ten yuan and a key.
fn desk() -> (Desk, KeyId) {
    let mut desk = Desk::new();
    desk.pay(1_000);
    let key = KeyId::new(START);
    desk.rows.put(&RowOp::Key(api_key(key, desk.account, "d")));
    (desk, key)
}

fn hold(desk: &mut Desk, key: KeyId, money: &str) -> Result<units::RequestId, Refusal> {
    let new = NewHold { key, ..desk.calling(yuan(money)) };
    let id = new.id;
    desk.act(Body::Hold(new)).map(|_| id)
}

#[test]
fn a_budget_counts_what_is_held_and_what_was_spent_and_frees_what_was_not() {
    let (mut desk, key) = desk();
    let account = desk.account;
    desk.act(budget(account, Some(key), BudgetPeriod::Day, Some("1"))).unwrap();
    desk.act(budget(account, None, BudgetPeriod::Month, Some("3"))).unwrap();
    let first = hold(&mut desk, key, "0.6").unwrap();
    let Err(Refusal::OverBudget(over)) = hold(&mut desk, key, "0.5") else { panic!() };
    let OverBudget { limit, spent, reserved, required, resets_at, .. } = *over.clone();
    assert_eq!((over.account, over.key, over.period), (account, Some(key), BudgetPeriod::Day));
    assert_eq!((limit, spent, reserved, required), (yuan("1"), NanoCny::ZERO, yuan("0.6"), yuan("0.5")));
    // START is 2025-10-09 16:53 in Beijing.
    assert_eq!(resets_at, Some(Timestamp::from_secs(1_760_025_600)));
    desk.charge(first, yuan("0.2").get());
    let second = hold(&mut desk, key, "0.5").unwrap();
    let key_of = desk.hold(second).key;
    let extend = |to: &str| Body::Extend { id: second, account, key: key_of, to: yuan(to) };
    assert!(matches!(desk.act(extend("0.900000001")), Err(Refusal::OverBudget(_))));
    desk.act(extend("0.8")).unwrap();
    let release = desk.end(second, SettledBy::Owner { epoch: 1 }, SettleEnd::Release);
    desk.act(release).unwrap();
    assert!(hold(&mut desk, key, "0.8").is_ok());
    assert!(hold(&mut desk, KeyId::new(START), "2").is_ok(), "another key of the account");
    let Err(Refusal::OverBudget(over)) = hold(&mut desk, KeyId::new(START), "0.000000001") else { panic!() };
    assert_eq!((over.key, over.period), (None, BudgetPeriod::Month), "the account's is full");
}

#[test]
fn use_beyond_a_hold_never_passes_a_budget() {
    let (mut desk, key) = desk();
    let account = desk.account;
    desk.act(budget(account, Some(key), BudgetPeriod::Total, Some("0.5"))).unwrap();
    let id = hold(&mut desk, key, "0.3").unwrap();
    let end =
        SettleEnd::Charge { usage: usage(900_000_000, 0), estimated: false, extra: NanoCny::new(i64::MAX) };
    let end = desk.end(id, SettledBy::Owner { epoch: 1 }, end);
    desk.act(end).unwrap();
    assert_eq!((desk.hold(id).cost, desk.hold(id).overrun), (yuan("0.5"), yuan("0.4")));
}

#[test]
fn a_call_counts_in_the_window_it_was_opened_in() {
    let (mut desk, key) = desk();
    let account = desk.account;
    desk.act(budget(account, Some(key), BudgetPeriod::Day, Some("1"))).unwrap();
    let first = hold(&mut desk, key, "0.7").unwrap();
    desk.now = desk.now.after(DAY);
    let second = hold(&mut desk, key, "0.9").unwrap();
    let day_before = |desk: &Desk| desk.rows.budgets().next().unwrap().past.unwrap();
    assert_eq!(day_before(&desk).reserved, yuan("0.7"));
    let key_of = desk.hold(first).key;
    desk.act(Body::Extend { id: first, account, key: key_of, to: yuan("1") }).unwrap();
    desk.charge(first, yuan("0.9").get());
    assert_eq!((day_before(&desk).spent, day_before(&desk).reserved), (yuan("0.9"), NanoCny::ZERO));
    assert!(hold(&mut desk, key, "0.2").is_err(), "today has 0.1 left");
    // A clock that goes back does not open yesterday again.
    desk.now = START;
    assert!(hold(&mut desk, key, "0.2").is_err());
    assert!(hold(&mut desk, key, "0.1").is_ok());
    // An orphan still counts until recovery ends it.
    desk.act(Body::Orphan { id: second, account, why: Stranded::EpochOver { epoch: 1 } }).unwrap();
    assert!(hold(&mut desk, key, "0.1").is_err());
    let end = desk.end(second, SettledBy::Recovery, SettleEnd::Release);
    desk.act(end).unwrap();
    assert!(hold(&mut desk, key, "0.9").is_ok());
}

#[test]
fn an_operator_sets_any_budget_and_an_account_lowers_those_of_its_keys() {
    let (mut desk, key) = desk();
    let account = desk.account;
    let day = BudgetPeriod::Day;
    let mut number = 0;
    let mut as_role = |desk: &mut Desk, role, body| {
        number += 1;
        let actor = Actor { id: "someone".to_owned(), role };
        desk.submit(&payments::ledger::Command { actor, ..command(format!("b{number}"), START, body) })
    };
    let refused = |outcome: Result<Reply, Refusal>| {
        assert!(matches!(outcome, Err(Refusal::NotAllowed(_))), "{outcome:?}")
    };
    refused(as_role(&mut desk, Role::Customer, budget(account, None, day, Some("1"))));
    refused(as_role(&mut desk, Role::Channel, budget(account, Some(key), day, Some("1"))));
    assert!(as_role(&mut desk, Role::Customer, budget(account, Some(key), day, Some("5"))).is_ok());
    assert!(as_role(&mut desk, Role::Customer, budget(account, Some(key), day, Some("4"))).is_ok());
    refused(as_role(&mut desk, Role::Customer, budget(account, Some(key), day, Some("4.000000001"))));
    refused(as_role(&mut desk, Role::Customer, budget(account, Some(key), day, None)));
    assert!(as_role(&mut desk, Role::Operator, budget(account, Some(key), day, None)).is_ok());
    assert!(hold(&mut desk, key, "9").is_ok(), "without a limit it only counts");
    let Ok(Reply::Budget(row)) =
        as_role(&mut desk, Role::Operator, budget(account, Some(key), day, Some("0")))
    else {
        panic!()
    };
    assert_eq!(row.now.reserved, yuan("9"), "what was counted stays");
    let negative = budget(account, Some(key), day, Some("-1"));
    assert_eq!(as_role(&mut desk, Role::Operator, negative), Err(Refusal::NotPositive));
    let nobody = KeyId::new(START);
    let unknown = budget(account, Some(nobody), day, Some("1"));
    assert_eq!(as_role(&mut desk, Role::Operator, unknown), Err(Refusal::UnknownKey(nobody)));
}

/// A call with this key.
fn call(world: &World, account: AccountId, key: KeyId, input: u64) -> HoldRequest {
    HoldRequest { key, ..world.call(account, usage(input, 0)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lesson_16_a_thousand_calls_at_once_never_pass_a_budget_and_none_that_was_admitted_is_refused() {
    let world = Arc::new(World::new());
    let account = world.account().await;
    world.pay(account, 100_000).await;
    let keys: Vec<KeyId> = (0..4).map(|_| KeyId::new(START)).collect();
    for (n, key) in keys.iter().enumerate() {
        world
            .submit(format!("key{n}"), Body::AddKey(api_key(*key, account, &format!("d{n}"))))
            .await
            .unwrap();
    }
    let each = NanoCny::new(500 * RATE);
    let of = |times: i64| Some(NanoCny::new(each.get() * times));
    for (n, (key, period, times)) in [
        (None, BudgetPeriod::Day, 60),
        (Some(keys[0]), BudgetPeriod::Month, 20),
        (Some(keys[1]), BudgetPeriod::Total, 5),
    ]
    .into_iter()
    .enumerate()
    {
        let body = Body::SetBudget { account, key, period, limit: of(times) };
        world.submit(format!("budget{n}"), body).await.unwrap();
    }
    for round in 0..3 {
        let mut calls: JoinSet<Option<(units::RequestId, OpenHold)>> = JoinSet::new();
        for n in 0..1_000 {
            let (world, key) = (world.clone(), keys[n % 4]);
            calls.spawn(async move {
                let call = call(&world, account, key, 500);
                let id = call.id;
                match world.holds.admit(call).await {
                    Ok(mut hold) => {
                        hold.durable().await.expect("the ledger refuses nothing that memory admitted");
                        Some((id, hold))
                    }
                    Err(AdmitError::OverBudget(over)) => {
                        assert!(
                            over.spent.get() + over.reserved.get() + over.required.get() > over.limit.get()
                        );
                        None
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let mut open = Vec::new();
        while let Some(call) = calls.join_next().await {
            open.extend(call.unwrap());
        }
        // Each round half of what was admitted is charged, so that it stays spent: 60, then 30, then 15 are left.
        assert_eq!(open.len(), 60 >> round, "as many as the account's budget covers");
        for (n, (id, hold)) in open.into_iter().enumerate() {
            let used = (n % 2 == 0).then_some((usage(500, 0), false));
            hold.settle(used, |_| receipt(id, account));
        }
        world.assert_sound().await;
    }
    for key in [None, Some(keys[0]), Some(keys[1])] {
        let row = world.store.budgets(account, key).await.unwrap().remove(0);
        assert!(row.now.spent <= row.limit.unwrap() && row.now.reserved == NanoCny::ZERO, "{row:?}");
    }
}

#[tokio::test]
async fn memory_hears_of_a_budget_that_is_set_changed_or_begun_anew() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 10_000).await;
    let key = KeyId::new(START);
    let admitted = async |input: u64| {
        let call = call(&world, account, key, input);
        let id = call.id;
        let mut hold = world.holds.admit(call).await?;
        hold.durable().await.unwrap();
        Ok::<_, AdmitError>((id, hold))
    };
    let (id, hold) = admitted(500).await.unwrap();
    let set = async |key: &str, limit: i64| {
        let limit = Some(NanoCny::new(limit * RATE));
        let body = Body::SetBudget { account, key: None, period: BudgetPeriod::Day, limit };
        world.submit(key, body).await.unwrap();
    };
    set("first", 100).await;
    assert!(matches!(admitted(101).await, Err(AdmitError::OverBudget(_))));
    let (other, mut small) = admitted(60).await.unwrap();
    assert!(!small.extend(&usage(101, 0)) && small.extend(&usage(80, 0)));
    // Used more than was held: only what the budget allows is charged.
    let charged = small.settle(Some((usage(300, 0), false)), |_| receipt(other, account));
    assert_eq!(charged.cost.get(), 100 * RATE);
    set("raised", 150).await;
    let (third, hold3) = admitted(50).await.unwrap();
    hold3.settle(None, |_| receipt(third, account));
    hold.settle(Some((usage(500, 0), false)), |_| receipt(id, account));
    assert!(
        matches!(admitted(51).await, Err(AdmitError::OverBudget(_))),
        "the call before it does not count"
    );
    world.clock.advance(DAY);
    let (next, hold4) = admitted(150).await.unwrap();
    hold4.settle(None, |_| receipt(next, account));
    world.assert_sound().await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.held, 0);
}
