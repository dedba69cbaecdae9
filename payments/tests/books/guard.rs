//! Who may order at all: a percentage of the accounts, and nobody whose orders go wrong too often.

use std::time::Duration;

use payments::{
    ledger::{
        Actor, Body, Command, Gate, GateChange, GateScope, GateState, Order, OrderState, PayWay, Refusal,
        Reply, Role, StrangeNotice,
    },
    store::SubmitError,
    topup::{Buy, CreateError, GuardBounds, GuardRefusal, PayWish, Rollout, TopUpRequest, TopUps},
};
use units::{AccountId, Clock, Livemode};

use crate::support::{Answer, Op, World, fen};

fn wish(account: AccountId, key: Option<&str>) -> TopUpRequest {
    TopUpRequest {
        account,
        livemode: Livemode::Demo,
        actor: "key_1".to_owned(),
        amount: fen(100),
        buy: Buy::Wallet,
        pay: PayWish::default(),
        idempotency_key: key.map(str::to_owned),
    }
}

async fn order(topups: &TopUps, account: AccountId) -> Result<Order, GuardRefusal> {
    match topups.create(wish(account, None)).await {
        Ok(order) => Ok(order),
        Err(CreateError::Guarded(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

async fn set(
    world: &World,
    role: Role,
    scope: GateScope,
    id: &str,
    state: GateState,
) -> Result<Reply, SubmitError> {
    let why = "a reason".to_owned();
    let change = GateChange { scope, id: id.to_owned(), state, why: why.clone(), event: None };
    let actor = Actor { id: "ann".to_owned(), role };
    let key = format!("set:{}:{state}:{}", world.clock.now().0, role.as_str());
    let reason = (role == Role::Operator).then_some(why);
    let at = world.clock.now();
    world.store.submit(Command { key, actor, reason, approver: None, at, body: Body::SetGate(change) }).await
}

async fn closed(world: &World) -> Vec<(GateScope, String, GateState)> {
    let gates = world.store.closed_gates().await.unwrap();
    gates.into_iter().map(|gate| (gate.scope, gate.id, gate.state)).collect()
}

#[tokio::test]
async fn top_ups_are_offered_to_a_percentage_of_the_accounts_and_more_per_cent_only_add_some() {
    let world = World::new();
    let offered = async |percent: u8, account: AccountId| {
        let rollout = Rollout { percent, ..Rollout::default() };
        let topups = world.topups.clone().guarded(rollout, GuardBounds::default());
        match order(&topups, account).await {
            Ok(_) => true,
            Err(GuardRefusal::NotOffered) => false,
            Err(other) => panic!("{other}"),
        }
    };
    let mut at = [0, 0];
    for _ in 0..150 {
        let account = world.account().await;
        let (few, more) = (offered(30, account).await, offered(60, account).await);
        assert_eq!(few, offered(30, account).await, "the same account, the same answer");
        assert!(more || !few, "more per cent take nobody away");
        assert!(!offered(0, account).await && offered(100, account).await);
        at = [at[0] + usize::from(few), at[1] + usize::from(more)];
    }
    assert!((20..=70).contains(&at[0]) && (65..=115).contains(&at[1]), "{at:?} of 150");
    world.assert_sound().await;
}

#[tokio::test]
async fn too_many_orders_that_fail_stop_top_ups_for_all_until_an_operator_opens_them() {
    let rollout = Rollout { stop_above_percent: 50, orders_min: 4, ..Rollout::default() };
    let world = World::new();
    let guarded = |world: &World| world.topups.clone().guarded(rollout, GuardBounds::default());
    let topups = guarded(&world);
    let payer = world.account().await;
    let standing = topups.create(wish(payer, Some("before"))).await.unwrap();
    world.far.next(Op::Create, std::iter::repeat_n(Answer::Error(500, "SYSTEM_ERROR"), 3));
    for _ in 0..3 {
        let account = world.account().await;
        let failed = topups.create(wish(account, None)).await.unwrap_err();
        assert!(matches!(failed, CreateError::Unclear { .. }), "{failed}");
    }
    assert_eq!(closed(&world).await, [(GateScope::All, String::new(), GateState::Stopped)]);
    let Err(GuardRefusal::Stopped { scope, why }) = order(&topups, world.account().await).await else {
        panic!()
    };
    assert_eq!((scope, why.as_str()), (GateScope::All, "3 of 4 orders failed within 600 s, more than 50 %"));
    let again = topups.create(wish(payer, Some("before"))).await.unwrap();
    assert_eq!(again.id, standing.id, "what stands is not kept from its payer");
    // It lasts, and the time alone does not open it.
    let world = world.reopened().await;
    world.clock.advance(Duration::from_secs(100_000));
    let topups = guarded(&world);
    assert!(matches!(order(&topups, payer).await, Err(GuardRefusal::Stopped { .. })));
    for role in [Role::System, Role::Channel] {
        let reply = set(&world, role, GateScope::All, "", GateState::Open).await;
        let theirs = role == Role::System;
        assert_eq!(reply.unwrap() == Reply::Already, !theirs, "who made it narrow may make it wide: {role}");
        if theirs {
            set(&world, role, GateScope::All, "", GateState::Stopped).await.unwrap();
        }
        world.clock.advance(Duration::from_secs(1));
    }
    let customer = set(&world, Role::Customer, GateScope::All, "", GateState::Open).await;
    assert_eq!(customer.unwrap_err(), SubmitError::Refused(Refusal::NeedsOperator));
    set(&world, Role::Operator, GateScope::All, "", GateState::Open).await.unwrap();
    order(&topups, payer).await.unwrap();
    assert_eq!(closed(&world).await, []);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_a_customer_says_wrong_of_a_payer_stops_nobody_else() {
    let rollout = Rollout { stop_above_percent: 50, orders_min: 4, ..Rollout::default() };
    let bounds = GuardBounds { orders_min: 6, ..GuardBounds::default() };
    let world = World::new();
    let topups = world.topups.clone().guarded(rollout, bounds);
    let (account, other) = (world.account().await, world.account().await);
    let of_nobody = || {
        let pay = PayWish { way: PayWay::Jsapi, openid: Some("nobody".to_owned()), ..PayWish::default() };
        TopUpRequest { pay, actor: "key_2".to_owned(), ..wish(account, None) }
    };
    world.far.next(Op::Create, std::iter::repeat_n(Answer::Error(400, "OPENID_MISMATCH"), 6));
    for _ in 0..6 {
        let refused = topups.create(of_nobody()).await.unwrap_err();
        assert!(matches!(refused, CreateError::OfPayer { param: "openid", .. }), "{refused}");
    }
    let stopped = topups.create(of_nobody()).await.unwrap_err();
    assert!(matches!(stopped, CreateError::Guarded(GuardRefusal::Stopped { .. })), "{stopped}");
    order(&topups, other).await.unwrap();
    let scopes: Vec<GateScope> = closed(&world).await.into_iter().map(|(scope, ..)| scope).collect();
    assert!(!scopes.contains(&GateScope::All) && !scopes.contains(&GateScope::Merchant), "{scopes:?}");
    assert!(scopes.contains(&GateScope::Agent), "{scopes:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn whoever_gives_up_too_many_orders_is_slowed_down_then_stopped_and_nobody_else_is() {
    let bounds = GuardBounds {
        slow_above_percent: 40,
        stop_above_percent: 70,
        orders_min: 4,
        ..GuardBounds::default()
    };
    // Of the merchant's orders more are counted than this test makes.
    let world = World::new();
    let topups = world.topups.clone().guarded(Rollout::default(), bounds);
    let (account, other) = (world.account().await, world.account().await);
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(order(&topups, account).await.unwrap());
        world.clock.advance(Duration::from_secs(1));
    }
    let give_up = async |order: &Order| {
        topups.cancel(order).await;
        topups.close(order).await;
        assert_eq!(world.store.order(order.id).await.unwrap().unwrap().state, OrderState::Closed);
    };
    give_up(&orders[0]).await;
    give_up(&orders[1]).await;
    let Err(GuardRefusal::Slow { after }) = order(&topups, account).await else { panic!() };
    assert!(after <= Duration::from_secs(60) && after > Duration::from_secs(50), "{after:?}");
    assert_eq!(closed(&world).await, [(GateScope::Account, account.to_string(), GateState::Slow)]);
    order(&topups, other).await.unwrap();
    world.clock.advance(after);
    orders.push(order(&topups, account).await.unwrap());
    give_up(&orders[2]).await;
    give_up(&orders[3]).await;
    let Err(GuardRefusal::Stopped { scope, why }) = order(&topups, account).await else { panic!() };
    assert_eq!(
        (scope, why.as_str()),
        (GateScope::Account, "4 of 5 orders failed or were given up within 86400 s")
    );
    order(&topups, other).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    // Opened by a person, what was before counts no more.
    set(&world, Role::Operator, GateScope::Account, &account.to_string(), GateState::Open).await.unwrap();
    order(&topups, account).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn an_agent_whose_orders_fail_is_slowed_down_at_its_own_account_and_any_other() {
    let bounds = GuardBounds {
        slow_above_percent: 50,
        stop_above_percent: 60,
        orders_min: 3,
        ..GuardBounds::default()
    };
    let world = World::new();
    let topups = world.topups.clone().guarded(Rollout::default(), bounds);
    let account = world.account().await;
    let made = order(&topups, account).await.unwrap();
    for _ in 0..3 {
        topups.given_up(&made, "key_1").await.unwrap();
    }
    let gates = closed(&world).await;
    let expected = [GateScope::Agent, GateScope::Merchant].map(|scope| {
        let id = if scope == GateScope::Agent { "key_1" } else { "main" };
        (scope, id.to_owned(), GateState::Stopped)
    });
    assert_eq!(gates, expected, "three of four");
    set(&world, Role::Operator, GateScope::Merchant, "main", GateState::Open).await.unwrap();
    let somebody = world.account().await;
    let Err(GuardRefusal::Stopped { scope, .. }) = order(&topups, somebody).await else { panic!() };
    assert_eq!(scope, GateScope::Agent);
    let with_another_key = TopUpRequest { actor: "key_2".to_owned(), ..wish(somebody, None) };
    topups.create(with_another_key).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn a_warning_counts_once_and_its_sender_lifts_no_more_than_it_set() {
    let world = World::new();
    let account = world.account().await;
    let id = account.to_string();
    let warn = async |event: &str, state: GateState| {
        let change = GateChange {
            scope: GateScope::Account,
            id: id.clone(),
            state,
            why: "a warning".to_owned(),
            event: None,
        };
        let notice = StrangeNotice {
            id: event.to_owned(),
            merchant: "main".to_owned(),
            subject: format!("account:{id}"),
            detail: "a warning".to_owned(),
        };
        world.topups.warned(change, notice).await.unwrap()
    };
    let state = async || {
        let gates = world.store.gates(vec![Gate::name(GateScope::Account, &id)]).await.unwrap();
        gates.first().map(|gate| (gate.state, gate.by.role))
    };
    assert!(warn("E1", GateState::Slow).await);
    assert!(warn("E2", GateState::Stopped).await);
    assert!(!warn("E1", GateState::Slow).await, "the first again: it is older");
    assert!(matches!(order(&world.topups, account).await, Err(GuardRefusal::Stopped { .. })));
    assert!(warn("E3", GateState::Open).await);
    assert_eq!(state().await, Some((GateState::Open, Role::Channel)));
    order(&world.topups, account).await.unwrap();
    assert!(!warn("E2", GateState::Stopped).await, "one that was heard is heard once");
    assert_eq!(state().await, Some((GateState::Open, Role::Channel)));
    set(&world, Role::Operator, GateScope::Account, &id, GateState::Stopped).await.unwrap();
    assert!(!warn("E4", GateState::Open).await, "what a person closed, a person opens");
    assert_eq!(state().await, Some((GateState::Stopped, Role::Operator)));
    world.assert_sound().await;
}
