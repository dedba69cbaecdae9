//! A wrong charge goes back to where it was taken from, the last part first, and never more than was taken.

use payments::ledger::{
    Actor, Asset, Body, Book, Command, Correction, Hold, NewHold, Refusal, Role, SettleEnd, SettledBy,
    TokenLeg, Weights,
};
use units::{NanoCny, RequestId};

use crate::support::{Desk, MODEL, command, flat, package, quote, usage, yuan};

fn operator(id: &str) -> Actor {
    Actor { id: id.to_owned(), role: Role::Operator }
}

fn correcting(desk: &Desk, ticket: &str, hold: &Hold, what: Correction) -> Command {
    let Hold { id, account, key, used, .. } = hold.clone();
    let body = Body::CorrectCharge { id, account, key, used, what };
    Command {
        actor: operator("ann"),
        approver: Some(operator("bob")),
        reason: Some("counted twice".to_owned()),
        ..command(ticket, desk.now, body)
    }
}

/// A call of 5 tokens out of a balance, and of 1.5 yuan out of a promotion of 1 and a payment.
fn a_charge() -> (Desk, RequestId, Asset) {
    let mut desk = Desk::new();
    desk.promo("1");
    desk.pay(1_000);
    let terms = package("bundle", &[MODEL], Weights::PLAIN);
    let asset = desk.tokens(&terms, 100, 10);
    let legs = vec![TokenLeg { asset: asset.clone(), milli: 5_000, weights: terms.weights }];
    let rate = 500_000_000;
    let new = NewHold { legs, quote: quote(flat(rate)), ..desk.calling(yuan("2")) };
    let id = new.id;
    desk.act(Body::Hold(new)).unwrap();
    let end = SettleEnd::Charge { usage: usage(8, 0), estimated: false, extra: NanoCny::ZERO };
    let end = desk.end(id, SettledBy::Owner { epoch: 1 }, end);
    desk.act(end).unwrap();
    assert_eq!(desk.hold(id).cost, yuan("1.5"));
    (desk, id, asset)
}

#[test]
fn a_correction_unwinds_the_last_part_first_and_stops_at_the_original() {
    let (mut desk, id, asset) = a_charge();
    let revenue = desk.book(Book::Revenue);
    let part = |amount: &str| Correction::Part { asset: Asset::Cny, amount: yuan(amount).get() };
    let first = correcting(&desk, "t1", &desk.hold(id), part("0.7"));
    desk.submit(&first).unwrap();
    let paid = desk.rows.lots().find(|lot| lot.id.starts_with("pay:")).unwrap();
    assert_eq!(
        (paid.consumed, desk.lot("promo:k1").consumed),
        (0, yuan("0.8").get()),
        "the payment's part first"
    );
    desk.submit(&first).unwrap();
    assert_eq!(desk.available(), yuan("10.2"), "the same ticket again changes nothing");

    let too_much = correcting(&desk, "t2", &desk.hold(id), part("0.800000001"));
    let (left, asked) = (yuan("0.8").get(), yuan("0.800000001").get());
    let refusal = Refusal::CorrectionTooMuch { hold: id, asset: Asset::Cny, left, asked };
    assert_eq!(desk.submit(&too_much), Err(refusal));

    let rest = correcting(&desk, "t3", &desk.hold(id), Correction::Whole);
    desk.submit(&rest).unwrap();
    assert_eq!(desk.available(), yuan("11"));
    assert_eq!(desk.rows.wallet(desk.account, &asset).posted, 100_000);
    assert_eq!(
        desk.book(Book::Revenue) - revenue,
        yuan("1.505").get(),
        "what the tokens earned goes back too"
    );
    let again = correcting(&desk, "t4", &desk.hold(id), Correction::Whole);
    assert!(matches!(desk.submit(&again), Err(Refusal::CorrectionTooMuch { left: 0, .. })));
    assert_eq!(desk.hold(id).cost, yuan("1.5"), "what it cost stays on record");
}

#[test]
fn a_correction_needs_two_operators_a_reason_and_the_charge_as_it_is() {
    let (mut desk, id, _) = a_charge();
    let good = correcting(&desk, "t", &desk.hold(id), Correction::Whole);
    let customer = Actor { id: "key".to_owned(), role: Role::Customer };
    let cases: [(Command, Refusal); 6] = [
        (Command { approver: None, ..good.clone() }, Refusal::NeedsApprover),
        (Command { approver: Some(operator("ann")), ..good.clone() }, Refusal::NeedsApprover),
        (Command { approver: Some(customer.clone()), ..good.clone() }, Refusal::NeedsApprover),
        (Command { reason: Some(" ".to_owned()), ..good.clone() }, Refusal::NeedsReason),
        (Command { actor: customer, ..good.clone() }, Refusal::NeedsOperator),
        (
            correcting(&desk, "t", &Hold { used: Vec::new(), ..desk.hold(id) }, Correction::Whole),
            Refusal::UnknownHold(id),
        ),
    ];
    for (index, (wrong, refusal)) in cases.into_iter().enumerate() {
        assert_eq!(desk.submit(&Command { key: format!("w{index}"), ..wrong }), Err(refusal));
    }
    for amount in [0, -1] {
        let what = Correction::Part { asset: Asset::Cny, amount };
        let wrong = correcting(&desk, &format!("n{amount}"), &desk.hold(id), what);
        assert_eq!(desk.submit(&wrong), Err(Refusal::NotPositive));
    }
    assert!(desk.submit(&good).is_ok());
}
