//! Holds: their states, who may end them, and how several balances pay for one call.

use payments::ledger::{
    Asset, Body, HoldState, NewHold, Refusal, Reply, RowOp, SettleEnd, SettledBy, Stranded, TokenLeg, Weights,
};
use units::{KeyId, NanoCny, RequestId, Timestamp};

use crate::support::{Desk, MODEL, START, api_key, flat, package, usage, yuan};

const OWNER: SettledBy = SettledBy::Owner { epoch: 1 };

fn charge(nano: u64) -> SettleEnd {
    SettleEnd::Charge { usage: usage(nano, 0), estimated: false, extra: NanoCny::ZERO }
}

/// Every event a hold can meet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Dispatch,
    Extend,
    OrphanEpoch,
    OrphanOtherEpoch,
    OrphanEarly,
    OrphanLate,
    Charge,
    Release,
    NotSent,
    ChargeOfAnotherRun,
    ChargeByRecovery,
    ReleaseByRecovery,
    NotSentByRecovery,
}

const EVENTS: [Event; 13] = [
    Event::Dispatch,
    Event::Extend,
    Event::OrphanEpoch,
    Event::OrphanOtherEpoch,
    Event::OrphanEarly,
    Event::OrphanLate,
    Event::Charge,
    Event::Release,
    Event::NotSent,
    Event::ChargeOfAnotherRun,
    Event::ChargeByRecovery,
    Event::ReleaseByRecovery,
    Event::NotSentByRecovery,
];

/// What becomes of a hold: `Ok` with its state, or how it is refused.
fn expected(
    state: HoldState,
    orphaned: bool,
    dispatched: bool,
    event: Event,
) -> Result<HoldState, &'static str> {
    use Event as E;
    use HoldState as S;
    let fresh = state == S::Open;
    match (state, event) {
        (S::Open, E::Dispatch | E::Extend) => Ok(S::Open),
        (S::Orphan, E::Dispatch | E::Extend) => Err("HoldOrphaned"),
        (S::Settled | S::Released, E::Dispatch | E::Extend) => Err("HoldEnded"),
        (S::Open, E::OrphanEpoch | E::OrphanLate) => Ok(S::Orphan),
        (S::Open, E::OrphanOtherEpoch | E::OrphanEarly) => Err("NotStranded"),
        (S::Orphan, E::OrphanEpoch | E::OrphanOtherEpoch | E::OrphanEarly | E::OrphanLate) => Ok(S::Orphan),
        (S::Settled | S::Released, E::OrphanEpoch | E::OrphanOtherEpoch | E::OrphanEarly | E::OrphanLate) => {
            Err("HoldEnded")
        }
        (
            S::Open,
            E::ChargeOfAnotherRun | E::ChargeByRecovery | E::ReleaseByRecovery | E::NotSentByRecovery,
        ) => Err("HoldFenced"),
        (S::Orphan, E::ChargeOfAnotherRun) => Err("HoldOrphaned"),
        (S::Open | S::Orphan, E::NotSent | E::NotSentByRecovery)
            if dispatched && (fresh || event == E::NotSentByRecovery) =>
        {
            Err("HoldDispatched")
        }
        (S::Open, E::Charge) | (S::Orphan, E::ChargeByRecovery) => Ok(S::Settled),
        (S::Open, E::Release | E::NotSent) | (S::Orphan, E::ReleaseByRecovery | E::NotSentByRecovery) => {
            Ok(S::Released)
        }
        // An owner who wakes late, and whatever is said of a hold that ended, moves nothing.
        (state, E::Charge | E::Release | E::NotSent) if orphaned => Ok(state),
        (S::Settled | S::Released, _) => Ok(state),
        (S::Orphan, _) => Ok(S::Orphan),
    }
}

fn told(desk: &Desk, id: RequestId, event: Event) -> (Timestamp, Body) {
    let account = desk.account;
    let hold = desk.hold(id);
    let orphan = |why| Body::Orphan { id, account, why };
    let (early, late) = (desk.now, hold.deadline);
    let body = match event {
        Event::Dispatch => Body::Dispatch { id, account },
        Event::Extend => Body::Extend { id, account, key: hold.key, to: yuan("0.3") },
        Event::OrphanEpoch => orphan(Stranded::EpochOver { epoch: 1 }),
        Event::OrphanOtherEpoch => orphan(Stranded::EpochOver { epoch: 2 }),
        Event::OrphanEarly | Event::OrphanLate => orphan(Stranded::Overdue),
        Event::Charge => desk.end(id, OWNER, charge(77)),
        Event::Release => desk.end(id, OWNER, SettleEnd::Release),
        Event::NotSent => desk.end(id, OWNER, SettleEnd::NotSent),
        Event::ChargeOfAnotherRun => desk.end(id, SettledBy::Owner { epoch: 2 }, charge(77)),
        Event::ChargeByRecovery => desk.end(id, SettledBy::Recovery, charge(88)),
        Event::ReleaseByRecovery => desk.end(id, SettledBy::Recovery, SettleEnd::Release),
        Event::NotSentByRecovery => desk.end(id, SettledBy::Recovery, SettleEnd::NotSent),
    };
    (if event == Event::OrphanLate { late } else { early }, body)
}

#[test]
fn a_hold_takes_every_legal_step_and_no_other() {
    use Event as E;
    let ways: [(HoldState, &[Event]); 6] = [
        (HoldState::Open, &[]),
        (HoldState::Orphan, &[E::OrphanEpoch]),
        (HoldState::Settled, &[E::Charge]),
        (HoldState::Released, &[E::Release]),
        (HoldState::Settled, &[E::OrphanLate, E::ChargeByRecovery]),
        (HoldState::Released, &[E::OrphanEpoch, E::ReleaseByRecovery]),
    ];
    for (state, way) in ways {
        for dispatched in [false, true] {
            for event in EVENTS {
                let mut desk = Desk::new();
                desk.pay(100);
                let deadline = desk.now.after(std::time::Duration::from_secs(60));
                let new = NewHold { dispatched, deadline, ..desk.calling(yuan("0.2")) };
                let id = new.id;
                desk.act(Body::Hold(new)).unwrap();
                for &step in way {
                    let (at, body) = told(&desk, id, step);
                    desk.now = at;
                    desk.act(body).unwrap();
                }
                // What happens next happens before the deadline, unless the event says otherwise.
                desk.now = START;
                let before = desk.hold(id);
                assert_eq!(before.state, state);
                let (at, body) = told(&desk, id, event);
                desk.now = at;
                let outcome = desk.act(body.clone());
                let what = format!("{state} (dispatched: {dispatched}) after {way:?} met {event:?}");
                match expected(state, before.orphaned_at.is_some(), dispatched, event) {
                    Ok(then) => {
                        assert!(outcome.is_ok(), "{what}: {outcome:?}");
                        assert_eq!(desk.hold(id).state, then, "{what}");
                    }
                    Err(kind) => {
                        let refusal = format!("{:?}", outcome.unwrap_err());
                        assert!(refusal.starts_with(kind), "{what}: {refusal}");
                    }
                }
                let held = desk.hold(id).state.is_held();
                assert_eq!(desk.rows.wallet(desk.account, &Asset::Cny).held > 0, held, "{what}");
                // The same again changes nothing.
                let rows = desk.rows.clone();
                let _ = desk.act(body);
                assert!(desk.rows == rows, "{what}, said twice");
            }
        }
    }
}

#[test]
fn a_node_that_wakes_late_settles_nothing_and_its_usage_is_our_cost() {
    let mut desk = Desk::new();
    desk.pay(100);
    let id = desk.open("0.5");
    let account = desk.account;
    desk.act(Body::Orphan { id, account, why: Stranded::EpochOver { epoch: 1 } }).unwrap();
    let late = desk.end(id, OWNER, charge(300_000_000));
    desk.act(late.clone()).unwrap();
    assert_eq!((desk.hold(id).state, desk.hold(id).late), (HoldState::Orphan, Some(usage(300_000_000, 0))));
    assert_eq!(desk.available(), yuan("0.5"), "still set aside");
    let estimate = SettleEnd::Charge { usage: usage(7, 0), estimated: true, extra: NanoCny::ZERO };
    let end = desk.end(id, SettledBy::Recovery, estimate);
    desk.act(end).unwrap();
    desk.act(late).unwrap();
    let other = desk.end(id, OWNER, charge(999));
    desk.act(other).unwrap();
    let hold = desk.hold(id);
    assert_eq!((hold.cost.get(), hold.estimated, hold.state), (7, true, HoldState::Settled));
    assert_eq!(hold.late, Some(usage(300_000_000, 0)), "the first word counts");
}

/// A package (output three times, cached a tenth), tokens of the model at its prices, and money.
fn three_purses() -> (Desk, Vec<TokenLeg>) {
    let mut desk = Desk::new();
    desk.pay(1_000);
    let weights = Weights { cached_input: 100, output: 3_000, ..Weights::PLAIN };
    let bundle = package("bundle", &[MODEL, "other"], weights);
    let bought = package("m~x", &[MODEL], Weights::PLAIN);
    let legs =
        [(&bundle, 5_500, 1_000, 50), (&bought, 9_500, 2_000, 80)].map(|(terms, milli, tokens, paid)| {
            TokenLeg { asset: desk.tokens(terms, tokens, paid), milli, weights: terms.weights }
        });
    (desk, legs.to_vec())
}

fn holding(desk: &Desk, money: &str, legs: &[TokenLeg]) -> NewHold {
    NewHold { quote: crate::support::quote(flat(50_000)), legs: legs.to_vec(), ..desk.calling(yuan(money)) }
}

#[test]
fn a_package_then_tokens_of_the_model_then_money_pay_for_one_call() {
    let (mut desk, legs) = three_purses();
    let new = holding(&desk, "0.01", &legs);
    let id = new.id;
    desk.act(Body::Hold(new)).unwrap();
    // The bundle: 2 input and 1 output burn 5,000 of 5,500. The model's tokens: 9 output burn 9,000 of 9,500. Money: 2 output.
    let end = SettleEnd::Charge { usage: usage(2, 12), estimated: false, extra: NanoCny::ZERO };
    let end = desk.end(id, OWNER, end);
    desk.act(end).unwrap();
    let hold = desk.hold(id);
    let used: Vec<(&str, i64)> = hold.used.iter().map(|part| (part.lot.as_str(), part.amount)).collect();
    assert_eq!(used[..2], [("lot:bundle", 5_000), ("lot:m~x", 9_000)]);
    assert_eq!((hold.cost.get(), hold.cost_tokens_milli), (100_000, 14_000));
    for leg in &legs {
        assert_eq!(desk.rows.wallet(desk.account, &leg.asset).held, 0, "what was not burnt is free");
    }
    // 0.50 yuan for 1,000 tokens: 5 used earn 0.0025; 0.80 for 2,000: 9 earn 0.0036.
    let earned: i64 =
        desk.journal.iter().filter(|e| e.kind.as_str() == "token_revenue").map(|e| e.amount).sum();
    assert_eq!(earned, 2_500_000 + 3_600_000);
}

#[test]
fn a_leg_must_be_of_tokens_that_pay_for_the_model_by_their_own_weights() {
    let (mut desk, legs) = three_purses();
    let elsewhere = package("elsewhere", &["other"], Weights::PLAIN);
    let other = desk.tokens(&elsewhere, 10, 1);
    let change = |change: fn(&mut TokenLeg)| {
        let mut leg = legs[0].clone();
        change(&mut leg);
        leg
    };
    let cases = [
        (vec![TokenLeg { asset: other, milli: 1, weights: Weights::PLAIN }], "it does not pay for the model"),
        (vec![change(|leg| leg.weights.output = 1)], "its tokens burn by other weights"),
        (vec![change(|leg| leg.asset = Asset::Cny)], "it is money"),
        (vec![legs[0].clone(), legs[0].clone()], "it is named twice"),
        (
            vec![change(|leg| leg.asset = Asset::Tokens("unheard of".to_owned()))],
            "it does not pay for the model",
        ),
    ];
    for (legs, what) in cases {
        let asset = legs.last().unwrap().asset.clone();
        let new = holding(&desk, "0.01", &legs);
        desk.refuses(Body::Hold(new), &Refusal::LegRefused { asset, what: what.to_owned() });
    }
    let nothing = holding(&desk, "0.01", &[change(|leg| leg.milli = 0)]);
    desk.refuses(Body::Hold(nothing), &Refusal::NotPositive);
    let many: Vec<TokenLeg> = (0..5).map(|_| legs[0].clone()).collect();
    let many = holding(&desk, "0.01", &many);
    desk.refuses(Body::Hold(many), &Refusal::OutOfRange);
    let too_much = holding(&desk, "0.01", &[change(|leg| leg.milli = 1_000_001)]);
    assert!(matches!(desk.act(Body::Hold(too_much)), Err(Refusal::Insufficient { .. })));
}

#[test]
fn a_hold_of_nothing_a_quote_without_a_list_and_a_deadline_that_has_passed_are_refused() {
    let mut desk = Desk::new();
    desk.pay(100);
    let nothing = desk.calling(NanoCny::ZERO);
    desk.refuses(Body::Hold(nothing), &Refusal::NotPositive);
    let mut new = desk.calling(yuan("0.1"));
    new.quote.price_version = String::new();
    assert!(matches!(desk.act(Body::Hold(new)), Err(Refusal::QuoteIncomplete(_))));
    let new = NewHold { deadline: desk.now, ..desk.calling(yuan("0.1")) };
    desk.refuses(Body::Hold(new), &Refusal::DeadlinePassed);
    let free = NewHold { quote: crate::support::quote(flat(0)), ..desk.calling(NanoCny::ZERO) };
    assert_eq!(desk.act(Body::Hold(free)), Ok(Reply::Done), "a free model needs nothing set aside");
}

#[test]
fn a_key_that_is_revoked_over_or_anothers_holds_nothing() {
    let mut desk = Desk::new();
    desk.pay(100);
    let key = KeyId::new(START);
    let row = api_key(key, desk.account, "d");
    for (row, refusal) in [
        (payments::ledger::ApiKey { revoked_at: Some(START), ..row.clone() }, Refusal::KeyOver(key)),
        (payments::ledger::ApiKey { expires_at: Some(desk.now), ..row.clone() }, Refusal::KeyOver(key)),
        (
            payments::ledger::ApiKey { account: units::AccountId::new(START), ..row.clone() },
            Refusal::UnknownKey(key),
        ),
    ] {
        desk.rows.put(&RowOp::Key(row));
        let new = NewHold { key, ..desk.calling(yuan("0.1")) };
        desk.refuses(Body::Hold(new), &refusal);
    }
    desk.rows.put(&RowOp::Key(row));
    let new = NewHold { key, ..desk.calling(yuan("0.1")) };
    assert_eq!(desk.act(Body::Hold(new)), Ok(Reply::Done));
}
