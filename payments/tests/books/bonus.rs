//! A bonus that came with a payment: used after it, and gone with it.

use std::collections::BTreeMap;

use payments::ledger::{
    Asset, Body, BonusShare, Correction, DebtSource, EntryKind, Hold, Lot, LotClass, ManualPayout, NewOrder,
    OrderKind, RefundItem, RefundItemState, RefundNews, Refusal, Reply, refundable,
};
use proptest::prelude::*;
use units::{Fen, NanoCny, OrderId, RequestId};

use crate::{
    ledger::Books,
    support::{START, fen, new_order, yuan},
};

impl Books {
    /// Pays `amount` fen for as much in yuan and a bonus of so many nano-yuan.
    fn pay_with(&mut self, amount: i64, bonus: NanoCny) -> OrderId {
        let id = OrderId::new(START);
        let new = NewOrder { bonus, ..new_order(id, self.account, fen(amount), OrderKind::Wallet) };
        self.act(Body::CreateOrder(new)).unwrap();
        let news = self.news(id, amount);
        self.step(news);
        id
    }

    /// Two people give back what the call took, all of it or so many nano-yuan.
    pub(crate) fn correct(&mut self, id: RequestId, part: Option<i64>) -> Result<Reply, Refusal> {
        let Hold { id, account, key, used, .. } = self.store.rows().hold(id).unwrap().clone();
        let what = part.map_or(Correction::Whole, |amount| Correction::Part { asset: Asset::Cny, amount });
        self.by_two(&format!("c{}", self.now.0), Body::CorrectCharge { id, account, key, used, what })
    }

    /// What was charged as a debt, since it was used and not earned.
    fn owed_of(&self, bonus: &Lot) -> i64 {
        let lines = self.store.journal().iter().filter(|line| line.kind == EntryKind::BonusOwed);
        lines.filter(|line| line.lot.as_ref() == Some(&bonus.id)).map(|line| line.amount).sum()
    }

    fn debt(&self) -> NanoCny {
        self.store.rows().account(self.account).unwrap().debt
    }

    fn refundable(&self) -> Vec<(Fen, Fen)> {
        let rows = self.store.rows();
        let wallet = self.wallet(&Asset::Cny);
        let open = refundable(rows.lots_of(self.account, &Asset::Cny), wallet.held, self.now);
        open.into_iter().map(|lot| (lot.cap, lot.withheld)).collect()
    }

    fn lot(&self, class: LotClass, order: OrderId) -> Lot {
        let lots = self.store.rows().lots();
        lots.into_iter().find(|lot| lot.class == class && lot.order == Some(order)).unwrap().clone()
    }
}

/// The worked example: promo 5.00; payments of 100.00, 50.00 and 30.00, the last with 3.00 of bonus; 112.345678 used;
/// 2.00 held.
fn the_example() -> (Books, [OrderId; 3]) {
    let mut books = Books::new();
    books.promo("5");
    let orders = [books.pay(10_000), books.pay(5_000), books.pay_with(3_000, yuan("3"))];
    books.use_up("112.345678");
    books.hold("2");
    (books, orders)
}

#[test]
fn refunding_everything_voids_the_bonus_and_leaves_what_is_held_and_the_dust() {
    let (mut books, [_, b, c]) = the_example();
    let (batch, items) = books.refund(None);
    assert_eq!(batch.amount, fen(7_065));
    assert_eq!(books.by_order(&items), BTreeMap::from([(b, fen(4_065)), (c, fen(3_000))]));
    assert_eq!(books.wallet(&Asset::Cny).posted, yuan("2.004322").get(), "2.00 held and 0.004322 dust");
    let bonus = books.lot(LotClass::Bonus, c);
    assert_eq!((bonus.rem, bonus.refunding), (0, yuan("3").get()), "frozen until the item arrives");
    for item in &items {
        books.send(item);
        books.report(item, RefundNews::Success);
    }
    let bonus = books.lot(LotClass::Bonus, c);
    assert_eq!((bonus.refunding, bonus.voided), (0, yuan("3").get()));
    assert_eq!(books.wallet(&Asset::Cny).posted, yuan("2.004322").get());
}

#[test]
fn a_part_keeps_the_share_of_the_bonus_that_its_payment_still_earns() {
    let (mut books, [_, b, c]) = the_example();
    let (_, items) = books.refund(Some(2_000));
    assert_eq!(books.by_order(&items), BTreeMap::from([(b, fen(1_151)), (c, fen(849))]));
    let bonus = books.lot(LotClass::Bonus, c);
    assert_eq!((bonus.rem, bonus.refunding), (yuan("2.151").get(), yuan("0.849").get()));
    for item in &items {
        books.send(item);
        books.report(item, RefundNews::Success);
    }
    let bonus = books.lot(LotClass::Bonus, c);
    assert_eq!((bonus.rem, bonus.refunding, bonus.voided), (yuan("2.151").get(), 0, yuan("0.849").get()));
}

/// Pay 100 and get 10: what goes back after so much is used.
#[test]
fn use_takes_the_payment_before_its_bonus_so_that_a_bonus_is_never_a_free_service() {
    for (used, back) in [("25.30", 7_470), ("10.00", 9_000), ("100.00", 0), ("105.00", 0)] {
        let mut books = Books::new();
        books.pay_with(10_000, yuan("10"));
        books.use_up(used);
        let all = books.act(books.refund_of(Asset::Cny, None, None));
        match all {
            Ok(Reply::Refund { batch, .. }) => assert_eq!(batch.amount, fen(back), "{used}"),
            refused => {
                assert!(matches!(refused, Err(Refusal::NothingRefundable(_))), "{refused:?}");
                assert_eq!(back, 0, "{used}");
            }
        }
    }
}

#[test]
fn what_is_frozen_cannot_be_spent_and_comes_back_when_the_refund_does_not_happen() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    let (_, items) = books.refund(Some(5_000));
    assert_eq!(books.available(), yuan("55"), "half of each");
    let id = RequestId::new(START);
    let too_much = books.hold_for(id, "55.000000001");
    assert!(matches!(books.act(too_much), Err(Refusal::Insufficient { .. })));
    books.use_up("52");
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Closed);
    assert_eq!(books.available(), yuan("58"), "and all of it is spendable again");
    let bonus = books.lot(LotClass::Bonus, order);
    assert_eq!((bonus.consumed, bonus.refunding, bonus.voided), (yuan("2").get(), 0, 0));
}

#[test]
fn a_refund_takes_no_more_than_was_set_aside_for_it_its_bonus_included() {
    let mut books = Books::new();
    books.pay_with(10_000, yuan("10"));
    let wish = |amount, set_aside: &str| {
        let mut body = books.refund_of(Asset::Cny, amount, None);
        if let Body::RequestRefund { granted, .. } = &mut body {
            *granted = yuan(set_aside).get();
        }
        body
    };
    let (named, exact, all) = (wish(Some(1_000), "10.99"), wish(Some(1_000), "11"), wish(None, "55.05"));
    let refused = Refusal::RefundTooMuch { requested: fen(1_000), refundable: fen(999) };
    books.refuses(named, &refused);
    let Ok(Reply::Refund { batch, .. }) = books.act(exact) else { panic!() };
    assert_eq!(batch.amount, fen(1_000));
    let Ok(Reply::Refund { batch, .. }) = books.act(all) else { panic!() };
    assert_eq!(batch.amount, fen(5_004), "55.044 yuan leave with it, 55.055 would with a fen more");
}

#[test]
fn only_a_payment_for_yuan_comes_with_a_bonus_and_never_with_less_than_nothing() {
    let mut books = Books::new();
    let account = books.account;
    let order = |kind, bonus: &str| {
        Body::CreateOrder(NewOrder {
            bonus: yuan(bonus),
            ..new_order(OrderId::new(START), account, fen(5_000), kind)
        })
    };
    for body in [order(OrderKind::Wallet, "-1"), order(crate::support::token_kind(1_000_000, 50_000), "1")] {
        let refused = books.act(body);
        assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "bonus"), "{refused:?}");
    }
}

// ---- what was used already ----

/// 100 yuan paid with 10, all used; then the call that took so much of the payment turns out to have been wrong.
fn used_and_corrected() -> (Books, OrderId, RequestId) {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    let wrong = books.hold("60");
    books.charge(wrong, yuan("60").get(), 0);
    let of_both = books.hold("45");
    books.charge(of_both, yuan("45").get(), 0);
    assert_eq!(books.lot(LotClass::Bonus, order).consumed, yuan("5").get());
    books.correct(wrong, None).unwrap();
    (books, order, of_both)
}

#[test]
fn a_corrected_charge_is_refunded_as_far_as_the_used_bonus_stays_earned() {
    let (mut books, order, _) = used_and_corrected();
    assert_eq!(books.available(), yuan("65"));
    assert_eq!(books.refundable(), [(fen(5_000), fen(1_000))], "half the payment earns half the bonus");
    let wish = books.refund_of(Asset::Cny, Some(5_001), None);
    books.refuses(wish, &Refusal::RefundTooMuch { requested: fen(5_001), refundable: fen(5_000) });
    let (batch, items) = books.refund(None);
    assert_eq!(batch.amount, fen(5_000));
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    let bonus = books.lot(LotClass::Bonus, order);
    assert_eq!((bonus.consumed, bonus.rem, bonus.voided), (yuan("5").get(), 0, yuan("5").get()));
    assert_eq!((books.available(), books.debt()), (yuan("10"), NanoCny::ZERO), "it stays and can be spent");
    assert_eq!(books.refundable(), [(Fen::ZERO, fen(1_000))]);
    let refused = books.act(books.refund_of(Asset::Cny, None, None));
    assert!(
        matches!(&refused, Err(Refusal::NothingRefundable(what)) if what.contains("bonus")),
        "{refused:?}"
    );
    let closing = Body::CloseAccount { account: books.account };
    let refused = books.by_two("close", closing);
    assert!(matches!(refused, Err(Refusal::AccountNotEmpty { .. })), "{refused:?}");
    books.use_up("10");
}

#[test]
fn a_used_up_bonus_keeps_its_payment_as_well_and_by_hand_no_more_goes_back() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    let wrong = books.hold("100");
    books.charge(wrong, yuan("100").get(), 0);
    books.use_up("10");
    books.correct(wrong, Some(yuan("30").get())).unwrap();
    assert_eq!(
        books.refundable(),
        [(Fen::ZERO, fen(3_000))],
        "nothing is left of the bonus, and all of it is used"
    );
    books.now = units::Timestamp(books.now.0 + 366 * 86_400_000_000);
    let payout = ManualPayout {
        order,
        account: books.account,
        asset: Asset::Cny,
        amount: fen(1),
        ticket: "p".to_owned(),
        evidence: "bank 1".to_owned(),
    };
    let refused = books.by_two("payout:p", Body::ManualPayout(payout));
    assert!(matches!(refused, Err(Refusal::NothingRefundable(_))), "{refused:?}");
}

#[test]
fn what_was_used_of_a_bonus_is_owed_once_the_bill_tells_that_its_payment_went_back() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    books.use_up("108");
    books.found("x1", order, 6_000).unwrap();
    let bonus = books.lot(LotClass::Bonus, order);
    assert_eq!((bonus.consumed, bonus.rem), (yuan("4").get(), 0), "what two fifths earn");
    assert_eq!(books.owed_of(&bonus), yuan("4").get());
    assert_eq!(books.debt(), yuan("64"), "60 in cash, of which nothing was left, and 4 of the bonus");
    let refused = books.act(books.hold_for(RequestId::new(START), "0.01"));
    assert!(matches!(refused, Err(Refusal::InDebt { .. })), "{refused:?}");
    books.pay(7_000);
    books.act(Body::SettleDebt { account: books.account, from: DebtSource::Balance }).unwrap();
    assert_eq!((books.debt(), books.available()), (NanoCny::ZERO, yuan("6")));
    books.use_up("6");
}

#[test]
fn what_open_calls_use_of_a_lost_bonus_is_owed_when_they_have_ended() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    books.use_up("100");
    let open = books.hold("7");
    books.found("x1", order, 10_000).unwrap();
    assert_eq!(books.debt(), yuan("100"));
    books.charge(open, yuan("2").get(), 0);
    books.act(Body::SweepBonus { account: books.account, order }).unwrap();
    let bonus = books.lot(LotClass::Bonus, order);
    assert_eq!((bonus.rem, bonus.consumed, bonus.voided), (0, 0, yuan("10").get()));
    assert_eq!(books.debt(), yuan("102"), "what was used, not what was promised");
}

#[test]
fn a_refund_under_way_is_not_owed_for_until_it_arrives() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    let wrong = books.hold("100");
    books.charge(wrong, yuan("100").get(), 0);
    books.use_up("6");
    books.correct(wrong, Some(yuan("40").get())).unwrap();
    let (_, items) = books.refund(Some(4_000));
    books.found("x1", order, 3_000).unwrap();
    assert_eq!(books.owed_of(&books.lot(LotClass::Bonus, order)), 0, "70 yuan paid earn 7");
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    assert_eq!(books.owed_of(&books.lot(LotClass::Bonus, order)), yuan("3").get(), "30 yuan paid earn 3");
}

#[test]
fn a_correction_of_what_is_owed_takes_it_off_the_debt_and_comes_back_as_a_gift_once_that_is_settled() {
    for settled in [false, true] {
        let mut books = Books::new();
        let order = books.pay_with(10_000, yuan("10"));
        books.use_up("100");
        let wrong = books.hold("10");
        books.charge(wrong, yuan("10").get(), 0);
        books.found("x1", order, 6_000).unwrap();
        assert_eq!(books.debt(), yuan("66"));
        if settled {
            books.pay(6_600);
            books.act(Body::SettleDebt { account: books.account, from: DebtSource::Balance }).unwrap();
        }
        books.correct(wrong, None).unwrap();
        let bonus = books.lot(LotClass::Bonus, order);
        assert_eq!((bonus.rem, bonus.consumed), (yuan("4").get(), 0), "what is earned can be used again");
        let (debt, available) = if settled { (NanoCny::ZERO, yuan("10")) } else { (yuan("60"), yuan("4")) };
        assert_eq!((books.debt(), books.available()), (debt, available));
    }
}

#[test]
fn a_refund_that_the_bill_told_of_stays_counted_when_one_under_way_does_not_happen() {
    let mut books = Books::new();
    let order = books.pay_with(10_000, yuan("10"));
    let (_, items) = books.refund(Some(6_000));
    books.found("x1", order, 6_000).unwrap();
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Closed);
    assert_eq!(books.lot(LotClass::Paid, order).refunded_fen, fen(6_000));
    assert_eq!(books.lot(LotClass::Bonus, order).rem, yuan("4").get());
}

// ---- properties ----

#[derive(Debug, Clone)]
enum Step {
    Pay { amount: i64, bonus: i64 },
    Use { nano: i64 },
    Hold { nano: i64 },
    Settle { nano: i64 },
    Refund { amount: Option<i64> },
    Report { item: usize, news: RefundNews },
    Cancel,
    Found { order: usize, amount: i64 },
    Correct { hold: usize, part: Option<i64> },
    Settled,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let nano = || prop_oneof![4 => 1..30_000_000_000_i64, 1 => Just(1), 1 => 1..20_000_000_i64];
    prop_oneof![
        2 => (1..4_000_i64, 1..9_999_999_999_i64).prop_map(|(amount, bonus)| Step::Pay { amount, bonus }),
        4 => nano().prop_map(|nano| Step::Use { nano }),
        2 => nano().prop_map(|nano| Step::Hold { nano }),
        2 => nano().prop_map(|nano| Step::Settle { nano }),
        4 => prop::option::weighted(0.8, 1..1_000_i64).prop_map(|amount| Step::Refund { amount }),
        8 => (0..6_usize, prop::sample::select(vec![
            RefundNews::Success, RefundNews::Closed, RefundNews::Processing, RefundNews::Refused, RefundNews::Abnormal,
        ])).prop_map(|(item, news)| Step::Report { item, news }),
        1 => Just(Step::Cancel),
        1 => (0..6_usize, 1..500_i64).prop_map(|(order, amount)| Step::Found { order, amount }),
        2 => (0..6_usize, prop::option::of(nano())).prop_map(|(hold, part)| Step::Correct { hold, part }),
        1 => Just(Step::Settled),
        2 => Just(Step::Sweep),
    ]
}

struct Run {
    books: Books,
    orders: Vec<OrderId>,
    items: Vec<RefundItem>,
    holds: Vec<RequestId>,
    /// Calls that were charged.
    charged: Vec<RequestId>,
    /// True once the bill told of a refund: from then on a bonus may be out of line until it is swept.
    found: bool,
    swept: bool,
}

impl Run {
    fn new() -> Self {
        Self {
            books: Books::new(),
            orders: Vec::new(),
            items: Vec::new(),
            holds: Vec::new(),
            charged: Vec::new(),
            found: false,
            swept: true,
        }
    }

    fn take(&mut self, step: &Step) {
        self.swept = matches!(step, Step::Sweep);
        let books = &mut self.books;
        match step {
            Step::Pay { amount, bonus } => {
                if self.orders.len() < 6 {
                    self.orders.push(books.pay_with(*amount, NanoCny::new(*bonus)));
                }
            }
            Step::Use { nano } => {
                let nano = (*nano).min(books.available().get());
                if nano > 0 {
                    let id = RequestId::new(START);
                    let hold = books.hold_for(id, &NanoCny::new(nano).to_string());
                    // Who owes spends nothing.
                    if books.act(hold).is_ok() {
                        books.charge(id, nano, 0);
                        self.charged.push(id);
                    }
                }
            }
            Step::Hold { nano } => {
                let id = RequestId::new(START);
                let hold = books.hold_for(id, &NanoCny::new(*nano).to_string());
                if books.act(hold).is_ok() {
                    self.holds.push(id);
                }
            }
            Step::Settle { nano } => {
                if let Some(id) = self.holds.pop() {
                    let hold = books.charge(id, *nano, 0);
                    // Every accepted hold stays payable, whatever happened meanwhile.
                    assert_eq!(hold.cost.get(), (*nano).min(hold.money.get()));
                    self.charged.push(id);
                }
            }
            Step::Refund { amount } => {
                let wish = books.refund_of(Asset::Cny, *amount, None);
                if let Ok(Reply::Refund { items, .. }) = books.act(wish) {
                    self.items.extend(items);
                }
            }
            Step::Report { item, news } => {
                let Some(item) = self.items.iter().rev().nth(*item).cloned() else { return };
                let _ = books.act(Body::RefundSending { item: item.id, batch: item.batch });
                let _ = books.act(books.reporting(&item, *news));
            }
            Step::Cancel => {
                let Some(item) = self.items.last() else { return };
                let (batch, account, asset) = (item.batch, books.account, Asset::Cny);
                let orders = self.orders.clone();
                let _ = books.act(Body::CancelRefund { batch, account, asset, orders, payments: Vec::new() });
            }
            Step::Found { order, amount } => {
                let Some(order) = self.orders.get(*order).copied() else { return };
                let refund_id = books.now.0.to_string();
                self.found |= books.found(&refund_id, order, *amount).is_ok();
            }
            Step::Correct { hold, part } => {
                if let Some(id) = self.charged.iter().rev().nth(*hold) {
                    let _ = books.correct(*id, *part);
                }
            }
            Step::Settled => {
                let body = Body::SettleDebt { account: books.account, from: DebtSource::Balance };
                let _ = books.act(body);
            }
            Step::Sweep => {
                for order in self.orders.clone() {
                    let account = self.books.account;
                    self.books.act(Body::SweepBonus { account, order }).unwrap();
                }
            }
        }
    }

    fn check(&self) {
        for &order in &self.orders {
            let (payment, bonus) =
                (self.books.lot(LotClass::Paid, order), self.books.lot(LotClass::Bonus, order));
            let share = |refunded| BonusShare { bonus: bonus.orig, paid: payment.paid_fen, refunded }.kept();
            let kept = share(payment.refunded_fen);
            let arrived = share(fen(payment.refunded_fen.get() - payment.refunding / 10_000_000));
            let owed = self.books.owed_of(&bonus);
            assert_eq!(bonus.refunded, 0, "a bonus never leaves as cash");
            if !self.found {
                // Spent and kept, also while a refund is in flight; reckoned anew, so exact to the nano.
                assert_eq!((bonus.rem + bonus.consumed, owed), (kept, 0), "{payment:?} {bonus:?}");
                assert_eq!(
                    bonus.voided,
                    bonus.orig - arrived,
                    "only what arrived voids: {payment:?} {bonus:?}"
                );
            } else if self.swept {
                let wallet = self.books.wallet(&Asset::Cny);
                assert!(bonus.consumed <= arrived, "{owed} is owed: {payment:?} {bonus:?}");
                let fine =
                    bonus.rem == 0 || bonus.rem + bonus.consumed <= kept || wallet.posted == wallet.held;
                assert!(fine, "{owed} is owed: {payment:?} {bonus:?}");
            }
        }
        let mut frozen: BTreeMap<OrderId, bool> = BTreeMap::new();
        for item in self.books.store.rows().items() {
            *frozen.entry(item.order).or_default() |= !item.state.is_end();
        }
        for (order, running) in frozen {
            let bonus = self.books.lot(LotClass::Bonus, order);
            assert!(running || bonus.refunding == 0, "nothing stays frozen without a refund: {bonus:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..crate::model::config(300) })]

    #[test]
    fn a_bonus_spent_and_kept_is_exactly_the_share_of_what_was_not_refunded(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        run.take(&Step::Pay { amount: 3_000, bonus: 3_000_000_007 });
        for step in &steps {
            run.take(step);
            run.check();
        }
    }
}

#[test]
fn the_state_of_an_item_says_whether_its_bonus_is_frozen() {
    for (news, end) in
        [(RefundNews::Success, true), (RefundNews::Refused, true), (RefundNews::Abnormal, false)]
    {
        let mut books = Books::new();
        let order = books.pay_with(1_000, NanoCny::new(333_333_337));
        let (_, items) = books.refund(Some(333));
        books.send(&items[0]);
        let state = books.report(&items[0], news);
        assert_eq!(state.is_end(), end);
        let bonus = books.lot(LotClass::Bonus, order);
        assert_eq!(bonus.refunding > 0, !end);
        assert_eq!(bonus.voided > 0, state == RefundItemState::Success);
    }
}
