//! Temporary grants: lent while a payment is under way, paid back by it, taken back without it.

use std::time::Duration;

use payments::{
    grant::{GrantCaps, Grants, Lent, TemporaryKey},
    holds::{AdmitError, HoldRequest},
    ledger::{
        Asset, Body, Book, BudgetPeriod, Grant, GrantBlock, GrantClaim, GrantState, Hold, NewHold, Refusal,
        Reply, SettleEnd, SettledBy,
    },
    store::SubmitError,
};
use units::{KeyId, NanoCny, OrderId, RequestId};

use crate::support::{Desk, START, World, api_key, fen, receipt, usage, yuan};

fn opening(desk: &Desk, order: OrderId) -> Body {
    Body::OpenGrant { order, account: desk.account, claim: GrantClaim::Payer, caps: GrantCaps::default() }
}

fn sweep(desk: &mut Desk, order: OrderId) -> Grant {
    let body = Body::SweepGrant { order, account: desk.account, granted: i64::MAX };
    let Ok(Reply::Grant(grant)) = desk.act(body) else { panic!("refused") };
    *grant
}

fn close(desk: &mut Desk, order: OrderId) {
    desk.act(Body::OrderClosed { order, source: "query".to_owned() }).unwrap();
}

/// What of the grant a call uses before anything happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Used {
    Nothing,
    Some,
    /// A call holds all of it and runs on.
    Pledged,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Paid,
    Closed,
    SweptEarly,
    SweptLate,
}

const EVENTS: [Event; 4] = [Event::Paid, Event::Closed, Event::SweptEarly, Event::SweptLate];

/// An active grant of one yuan on an order of ten, used like this.
fn lent(used: Used) -> (Desk, OrderId, Option<RequestId>) {
    let mut desk = Desk::new();
    let order = desk.order(1_000);
    let body = opening(&desk, order);
    desk.act(body).unwrap();
    assert_eq!(desk.available(), yuan("1"));
    let open = match used {
        Used::Nothing => None,
        Used::Some => {
            let id = desk.open("0.4");
            desk.charge(id, yuan("0.3").get());
            None
        }
        Used::Pledged => Some(desk.open("1")),
    };
    (desk, order, open)
}

fn happens(desk: &mut Desk, order: OrderId, event: Event) {
    match event {
        Event::Paid => {
            let news = desk.news(order);
            desk.act(news).unwrap();
        }
        Event::Closed => close(desk, order),
        Event::SweptEarly => drop(sweep(desk, order)),
        Event::SweptLate => {
            desk.now = desk.now.after(Duration::from_secs(301));
            sweep(desk, order);
        }
    }
}

#[test]
fn a_grant_takes_every_legal_step_and_no_other() {
    use Event as E;
    use GrantState as S;
    let ways: [&[Event]; 7] = [
        &[],
        &[E::Closed],
        &[E::SweptLate],
        &[E::Paid],
        &[E::Closed, E::SweptEarly],
        &[E::SweptLate, E::Closed, E::SweptLate],
        &[E::Closed, E::Paid],
    ];
    for used in [Used::Nothing, Used::Some, Used::Pledged] {
        for way in ways {
            for event in EVENTS {
                let (mut desk, order, open) = lent(used);
                way.iter().for_each(|step| happens(&mut desk, order, *step));
                let before = desk.rows.grant(order).unwrap().clone();
                happens(&mut desk, order, event);
                let after = desk.rows.grant(order).unwrap().clone();
                let what = format!("{used:?}: {} after {way:?} met {event:?}", before.state);
                let over = matches!(before.state, S::Revoked | S::Expired);
                let closed = way.contains(&E::Closed);
                let expected = match (before.state, event) {
                    (_, E::Paid) | (S::Converted, _) => S::Converted,
                    (S::Active, E::Closed) => S::Revoked,
                    (S::Active, E::SweptLate) => S::Expired,
                    (S::Active, E::SweptEarly) => S::Active,
                    (S::WrittenOff, _) => S::WrittenOff,
                    (_, E::SweptEarly | E::SweptLate) if over && closed && used == Used::Some => {
                        S::WrittenOff
                    }
                    (state, _) => state,
                };
                assert_eq!(after.state, expected, "{what}");
                // A call that was admitted on it stays payable, whatever happened.
                if let Some(id) = open {
                    let hold: Hold = desk.charge(id, yuan("0.8").get());
                    assert_eq!((hold.cost, hold.overrun), (yuan("0.8"), NanoCny::ZERO), "{what}");
                }
                // The same again changes nothing; then everything is resolved in the end.
                if event != E::SweptLate {
                    let rows = desk.rows.clone();
                    happens(&mut desk, order, event);
                    assert!(desk.rows == rows || open.is_some(), "{what}, said twice");
                }
                let was_paid = desk.rows.grant(order).unwrap().state == S::Converted;
                close(&mut desk, order);
                desk.now = desk.now.after(Duration::from_secs(301));
                let end = sweep(&mut desk, order);
                let used = NanoCny::from(fen(match used {
                    Used::Nothing => 0,
                    Used::Some => 30,
                    Used::Pledged => 80,
                }));
                if was_paid {
                    assert_eq!(desk.available().get(), yuan("10").get() - used.get(), "{what}");
                } else {
                    let lost = if used.get() > 0 { S::WrittenOff } else { end.state };
                    assert_eq!((end.state, desk.available()), (lost, NanoCny::ZERO), "{what}");
                    assert_eq!(desk.rows.standing(desk.account).barred, used.get() > 0, "{what}");
                }
                assert_eq!(desk.rows.standing(desk.account).live, None, "{what}");
                assert_eq!(desk.book(Book::TempReceivable), 0, "{what}");
            }
        }
    }
}

#[test]
fn what_is_left_of_a_revoked_grant_goes_back_when_the_calls_that_hold_it_end() {
    let (mut desk, order, open) = lent(Used::Pledged);
    close(&mut desk, order);
    sweep(&mut desk, order);
    assert_eq!(desk.available(), NanoCny::ZERO);
    desk.charge(open.unwrap(), yuan("0.25").get());
    assert_eq!(desk.available(), NanoCny::ZERO, "no other call can be pledged what came free");
    assert_eq!(desk.lot(&Grant::lot(order)).voided, yuan("0.75").get());
    assert_eq!(sweep(&mut desk, order).state, GrantState::WrittenOff);
    assert_eq!(desk.book(Book::BadDebt), yuan("0.25").get());
    // Paid after all: the loss is undone and the payer may be lent to again.
    let news = desk.news(order);
    desk.act(news).unwrap();
    assert_eq!((desk.book(Book::BadDebt), desk.available()), (0, yuan("9.75")));
    let next = desk.order(10_000);
    let body = opening(&desk, next);
    let Ok(Reply::Grant(grant)) = desk.act(body) else { panic!() };
    assert_eq!(grant.amount, yuan("5"), "more for one who has paid");
}

#[test]
fn a_sweep_takes_no_more_than_admission_set_aside_for_it() {
    let (mut desk, order, _) = lent(Used::Nothing);
    close(&mut desk, order);
    let account = desk.account;
    let granted = yuan("0.4").get();
    desk.act(Body::SweepGrant { order, account, granted }).unwrap();
    assert_eq!(desk.available(), yuan("0.6"), "calls on their way were admitted on the rest");
    assert_eq!(sweep(&mut desk, order).resolved_at, Some(desk.now));
}

#[test]
fn nothing_is_lent_without_a_claim_an_order_that_waits_or_a_clean_record() {
    let refused = |desk: &mut Desk, body: Body, why| {
        let Body::OpenGrant { order, .. } = body else { panic!() };
        desk.refuses(body, &Refusal::GrantRefused { order, why });
    };
    let mut desk = Desk::new();
    let account = desk.account;
    let order = desk.order(1_000);
    let by_policy =
        |order| Body::OpenGrant { order, account, claim: GrantClaim::Policy, caps: GrantCaps::default() };
    refused(&mut desk, by_policy(order), GrantBlock::Unclaimed);
    let none = GrantCaps { newcomer: NanoCny::ZERO, ..GrantCaps::default() };
    let body = Body::OpenGrant { order, account, claim: GrantClaim::Payer, caps: none };
    refused(&mut desk, body, GrantBlock::Nothing);
    let other = desk.order(1_000);
    let body = opening(&desk, order);
    desk.act(body.clone()).unwrap();
    let before = desk.rows.clone();
    assert!(matches!(desk.act(body), Ok(Reply::Grant(_))) && desk.rows == before, "the same again");
    let second = opening(&desk, other);
    refused(&mut desk, second.clone(), GrantBlock::Live);
    assert!(matches!(
        desk.act(Body::RequestRefund {
            batch: units::RefundBatchId::new(START),
            account,
            asset: Asset::Cny,
            amount: None,
            granted: i64::MAX,
            approve_above: None,
            order: None,
            reason: None,
            item_ids: Vec::new(),
        }),
        Err(Refusal::GrantLive(id)) if id == order
    ));
    close(&mut desk, order);
    sweep(&mut desk, order);
    desk.act(second).unwrap();
    close(&mut desk, other);
    let closed = desk.order(1_000);
    close(&mut desk, closed);
    let body = opening(&desk, closed);
    refused(&mut desk, body, GrantBlock::NotPending);
    sweep(&mut desk, other);
    let third = desk.order(1_000);
    let body = opening(&desk, third);
    desk.act(body).unwrap();
    close(&mut desk, third);
    sweep(&mut desk, third);
    let fourth = desk.order(1_000);
    let body = opening(&desk, fourth);
    refused(&mut desk, body, GrantBlock::TooMany);
    let expired = desk.order(1_000);
    desk.now = desk.now.after(Duration::from_secs(900));
    let body = opening(&desk, expired);
    refused(&mut desk, body, GrantBlock::NotPending);
}

#[test]
fn a_grant_of_a_written_off_account_waits_for_a_paid_order() {
    let (mut desk, order, _) = lent(Used::Some);
    close(&mut desk, order);
    assert_eq!(sweep(&mut desk, order).state, GrantState::WrittenOff);
    let next = desk.order(1_000);
    let body = opening(&desk, next);
    desk.refuses(body.clone(), &Refusal::GrantRefused { order: next, why: GrantBlock::Barred });
    desk.pay(1);
    assert!(desk.act(body).is_ok());
}

#[test]
fn the_key_of_a_grant_opens_nothing_before_it_only_what_was_granted_and_nothing_after() {
    let mut desk = Desk::new();
    desk.promo("50");
    let order = desk.order(1_000);
    let id = KeyId::of_order(order);
    let row = payments::ledger::ApiKey {
        grant: Some(order),
        expires_at: Some(desk.now.after(Duration::from_secs(1_200))),
        ..api_key(id, desk.account, "temp")
    };
    let stray = payments::ledger::ApiKey { id: KeyId::new(START), digest: "x".to_owned(), ..row.clone() };
    assert!(matches!(desk.act(Body::AddKey(stray)), Err(Refusal::NotAllowed(_))));
    desk.act(Body::AddKey(row)).unwrap();
    let with_it = |desk: &mut Desk, money: &str| {
        let new = NewHold { key: id, ..desk.calling(yuan(money)) };
        let id = new.id;
        desk.act(Body::Hold(new)).map(|_| id)
    };
    assert!(matches!(with_it(&mut desk, "0.1"), Err(Refusal::OverBudget(_))), "not opened yet");
    let body = opening(&desk, order);
    desk.act(body).unwrap();
    assert!(matches!(with_it(&mut desk, "1.000000001"), Err(Refusal::OverBudget(_))));
    let call = with_it(&mut desk, "0.6").unwrap();
    desk.charge(call, yuan("0.6").get());
    assert!(
        matches!(with_it(&mut desk, "0.5"), Err(Refusal::OverBudget(_))),
        "the account has more, the key has not"
    );
    let tokens = payments::ledger::TokenLeg {
        asset: Asset::Tokens("m".to_owned()),
        milli: 1,
        weights: payments::ledger::Weights::PLAIN,
    };
    let legs = NewHold { key: id, legs: vec![tokens], ..desk.calling(yuan("0.1")) };
    assert!(matches!(desk.act(Body::Hold(legs)), Err(Refusal::LegRefused { .. })));
    close(&mut desk, order);
    assert_eq!(with_it(&mut desk, "0.1"), Err(Refusal::KeyOver(id)), "revoked with the order");
    sweep(&mut desk, order);
    let budget = desk.rows.budgets().find(|budget| budget.key == Some(id)).unwrap();
    assert_eq!((budget.period, budget.limit), (BudgetPeriod::Total, Some(NanoCny::ZERO)));
    let release = SettleEnd::Release;
    assert!(matches!(desk.end(call, SettledBy::Recovery, release), Body::Settle { .. }));
}

/// Everything of the crate, with grants.
struct Lender {
    world: World,
    grants: Grants,
}

impl Lender {
    fn new() -> Self {
        let world = World::new();
        let (store, admission) = (world.store.clone(), world.admission.clone());
        let grants = Grants::new(store, admission, world.clock.clone(), GrantCaps::default());
        Self { world, grants }
    }

    /// An order with a temporary key.
    async fn offered(&self) -> payments::ledger::Order {
        let account = self.world.account().await;
        let order = self.world.order(account, fen(1_000), payments::ledger::OrderKind::Wallet).await;
        let key = TemporaryKey { digest: format!("d{}", order.id), prefix: "sk-tg".to_owned() };
        assert!(self.grants.offer(&order, key.clone()).await.unwrap());
        assert!(!self.grants.offer(&order, key).await.unwrap(), "one key an order");
        order
    }

    async fn call(
        &self,
        order: &payments::ledger::Order,
        input: u64,
    ) -> Result<payments::holds::OpenHold, AdmitError> {
        let request = HoldRequest {
            key: KeyId::of_order(order.id),
            money_only: true,
            ..self.world.call(order.account, usage(input, 0))
        };
        let mut hold = self.world.holds.admit(request).await?;
        hold.durable().await.expect("the ledger refuses nothing that memory admitted");
        Ok(hold)
    }
}

#[tokio::test]
async fn a_temporary_key_works_from_the_claim_to_the_payment_and_the_used_part_is_paid_by_it() {
    let lender = Lender::new();
    let order = lender.offered().await;
    assert_eq!(lender.grants.lent_on(&order).await.unwrap(), Lent::Offered(yuan("1")));
    assert!(matches!(lender.call(&order, 1).await, Err(AdmitError::OverBudget(_))), "before the claim");
    let grant = lender.grants.open(&order, GrantClaim::Payer).await.unwrap().unwrap();
    assert_eq!((grant.amount, grant.state), (yuan("1"), GrantState::Active));
    let hold = lender.call(&order, 100_000).await.unwrap();
    hold.settle(Some((usage(100_000, 0), false)), |_| receipt(RequestId::new(START), order.account));
    assert!(matches!(lender.call(&order, 400_001).await, Err(AdmitError::OverBudget(_))));
    let trade = crate::support::trade_of(&order, "T1", units::Clock::now(&*lender.world.clock));
    lender.world.paid(trade, None).await;
    lender.world.assert_sound().await;
    assert_eq!(lender.world.wallet(order.account, &Asset::Cny).await.posted, yuan("9.8").get());
    assert_eq!(lender.world.store.grant(order.id).await.unwrap().unwrap().state, GrantState::Converted);
    assert!(lender.call(&order, 1_000).await.is_ok(), "calls go on");
}

#[tokio::test]
async fn a_closed_order_revokes_its_key_and_grant_and_no_admitted_call_is_lost() {
    let lender = Lender::new();
    let order = lender.offered().await;
    lender.grants.open(&order, GrantClaim::Payer).await.unwrap();
    let hold = lender.call(&order, 300_000).await.unwrap();
    let mut keys = lender.world.store.keys_changed();
    keys.mark_unchanged();
    let closed = Body::OrderClosed { order: order.id, source: "query".to_owned() };
    lender.world.submit("close", closed).await.unwrap();
    assert!(keys.has_changed().unwrap(), "whoever keeps keys hears of it at once");
    let key = lender.world.store.key(KeyId::of_order(order.id)).await.unwrap().unwrap();
    assert!(key.revoked_at.is_some());
    lender.grants.sweep_all().await.unwrap();
    assert!(matches!(lender.call(&order, 1).await, Err(AdmitError::OverBudget(_))));
    assert_eq!(
        lender.world.wallet(order.account, &Asset::Cny).await.posted,
        yuan("0.6").get(),
        "what the call holds"
    );
    hold.settle(Some((usage(50_000, 0), false)), |_| receipt(RequestId::new(START), order.account));
    lender.world.store.flushed().await.unwrap();
    assert_eq!(lender.grants.sweep_all().await.unwrap(), None, "nothing is left to be done");
    let grant = lender.world.store.grant(order.id).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.used), (GrantState::WrittenOff, yuan("0.1")));
    lender.world.assert_sound().await;
}

#[tokio::test]
async fn an_order_that_nobody_wants_any_more_is_lent_nothing_though_it_cannot_be_closed_yet() {
    let lender = Lender::new();
    let order = lender.offered().await;
    let open = lender.grants.open(&order, GrantClaim::Payer).await.unwrap();
    assert!(open.is_some());
    let unwanted = Body::OrderNoted {
        order: order.id,
        event: payments::ledger::CLOSE_REQUESTED.to_owned(),
        source: "api".to_owned(),
        detail: None,
    };
    lender.world.submit("step", unwanted.clone()).await.unwrap();
    assert_eq!(lender.grants.sweep_all().await.unwrap(), None, "all of it was there");
    let grant = lender.world.store.grant(order.id).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.used), (GrantState::Revoked, NanoCny::ZERO));
    assert!(matches!(lender.call(&order, 1).await, Err(AdmitError::OverBudget(_))));
    // One that asks for a grant afterwards is told that there is none.
    let other = lender.offered().await;
    let unwanted = match unwanted {
        Body::OrderNoted { event, source, detail, .. } => {
            Body::OrderNoted { order: other.id, event, source, detail }
        }
        _ => unreachable!(),
    };
    lender.world.submit("step", unwanted).await.unwrap();
    assert!(matches!(
        lender.grants.open(&other, GrantClaim::Payer).await,
        Err(SubmitError::Refused(Refusal::GrantRefused { why: GrantBlock::NotPending, .. }))
    ));
    // The payment wins all the same.
    let trade = crate::support::trade_of(&order, "T1", units::Clock::now(&*lender.world.clock));
    lender.world.paid(trade, None).await;
    assert_eq!(lender.world.wallet(order.account, &Asset::Cny).await.posted, yuan("10").get());
    lender.world.assert_sound().await;
}

#[tokio::test]
async fn a_grant_ends_by_itself_and_is_only_opened_where_it_was_asked_for() {
    let lender = Lender::new();
    let order = lender.offered().await;
    let plain = lender.world.order(order.account, fen(500), payments::ledger::OrderKind::Wallet).await;
    assert_eq!(lender.grants.open(&plain, GrantClaim::Payer).await.unwrap(), None);
    assert!(matches!(
        lender.grants.open(&order, GrantClaim::Policy).await,
        Err(SubmitError::Refused(Refusal::GrantRefused { why: GrantBlock::Unclaimed, .. }))
    ));
    lender.grants.open(&order, GrantClaim::Payer).await.unwrap();
    let next = lender.grants.sweep_all().await.unwrap().unwrap();
    lender.world.clock.advance(Duration::from_secs(300));
    assert!(next <= units::Clock::now(&*lender.world.clock));
    lender.grants.sweep_all().await.unwrap();
    let grant = lender.world.store.grant(order.id).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.resolved_at.is_some()), (GrantState::Expired, true));
    assert_eq!(lender.world.wallet(order.account, &Asset::Cny).await.posted, 0);
    lender.world.assert_sound().await;
}
