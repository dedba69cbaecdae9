//! Payments that agree with no order: aside, once, until two people have decided.

use payments::ledger::{
    Actor, Asset, Body, Book, Command, CreditSource, GrantCaps, GrantClaim, LotClass, NewOrder, OrderKind,
    OrderState, OrderStep, RefundItemState, RefundNews, Refusal, Reply, Resolution, Role, SuspenseState,
    Verdict,
};
use proptest::{prelude::*, sample::Index};
use units::{Fen, NanoCny, OrderId, RefundBatchId, RefundId, RequestId};

use crate::{
    ledger::Books,
    support::{MODEL, START, World, command, fen, new_order, token_kind, trade_of, yuan},
};

impl Books {
    /// News of a payment of so much, under a number of its own.
    fn paid_otherwise(&self, order: OrderId, amount: i64, number: &str) -> Body {
        let mut news = self.news(order, amount);
        if let Body::OrderPaid { transaction_id, .. } = &mut news {
            *transaction_id = number.to_owned();
        }
        news
    }

    fn resolving(&self, order: OrderId, number: Option<&str>, verdict: Verdict) -> Body {
        let row = self.store.rows().order(order).unwrap();
        Body::ResolveReview(Resolution {
            order,
            account: row.account,
            asset: row.kind.asset(),
            transaction_id: number.map(str::to_owned),
            verdict,
            batch: RefundBatchId::new(START),
            item: RefundId::new(START),
        })
    }

    fn suspense(&self) -> i64 {
        let journal = self.store.journal().iter();
        journal.fold(0, |sum, line| {
            sum + if line.credit.as_str() == "suspense" { line.amount } else { 0 }
                - if line.debit.as_str() == "suspense" { line.amount } else { 0 }
        })
    }
}

#[test]
fn what_was_paid_instead_is_credited_when_two_people_say_so() {
    let mut books = Books::new();
    let order = OrderId::new(START);
    let new = NewOrder { bonus: yuan("1"), ..new_order(order, books.account, fen(1_000), OrderKind::Wallet) };
    books.act(Body::CreateOrder(new)).unwrap();
    let news = books.paid_otherwise(order, 900, "T");
    assert_eq!(books.step(news), OrderStep::Quarantined);
    assert_eq!((books.suspense(), books.available()), (yuan("9").get(), NanoCny::ZERO));
    let body = books.resolving(order, Some("T"), Verdict::Credit);
    books.refuses(body.clone(), &Refusal::NeedsOperator);
    let ann = Actor { id: "ann".to_owned(), role: Role::Operator };
    let alone = Command { actor: ann, reason: Some("why".to_owned()), ..command("r", START, body.clone()) };
    assert_eq!(books.submit(alone).outcome, Err(Refusal::NeedsApprover));
    let Ok(Reply::Order { order: row, step: OrderStep::Credited }) = books.by_two("r", body) else {
        panic!()
    };
    assert_eq!((row.state, row.amount, row.bonus), (OrderState::Paid, fen(900), yuan("0.9")));
    assert_eq!((books.suspense(), books.available()), (0, yuan("9.9")));
    assert_eq!(books.store.rows().suspense("T").unwrap().state, SuspenseState::Credited);
    let (batch, items) = books.refund(None);
    assert_eq!(batch.amount, fen(900), "what was paid goes back, the bonus does not");
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    assert_eq!(books.state(order), OrderState::Refunded);
    let again = books.resolving(order, Some("T"), Verdict::Void);
    let done = Refusal::PaymentState { payment: "T".to_owned(), state: SuspenseState::Credited };
    assert_eq!(books.by_two("again", again), Err(done));
}

#[test]
fn what_wechat_pay_answers_when_it_is_asked_is_what_is_put_aside() {
    let mut books = Books::new();
    let order = books.order(1_000, OrderKind::Wallet);
    let news = |books: &Books, amount, from| {
        let mut news = books.paid_otherwise(order, amount, "T");
        if let Body::OrderPaid { source, .. } = &mut news {
            *source = from;
        }
        news
    };
    let heard = [
        (1, CreditSource::Notify, 1),
        (1_000, CreditSource::Query, 1_000),
        (2, CreditSource::Notify, 1_000),
        (700, CreditSource::Bill, 700),
        (900, CreditSource::Query, 900),
    ];
    for (place, (said, source, aside)) in heard.into_iter().enumerate() {
        let step = books.step(news(&books, said, source));
        let expected = if place == 0 { OrderStep::Quarantined } else { OrderStep::StillQuarantined };
        assert_eq!(step, expected, "a person is called once: {said} by {source:?}");
        assert_eq!(books.suspense(), NanoCny::from(fen(aside)).get(), "{said} by {source:?}");
        assert_eq!(books.store.rows().suspense("T").unwrap().amount, fen(aside));
    }
    let steps = &books.store.rows().order(order).unwrap().timeline;
    let reasons: Vec<_> = steps.iter().filter(|step| step.event == "review").collect();
    assert_eq!(reasons.len(), 1, "why a person was asked stays what it was: {steps:?}");
    let body = books.resolving(order, Some("T"), Verdict::Void);
    let Ok(Reply::Refund { batch, .. }) = books.by_two("r", body) else { panic!() };
    assert_eq!(batch.amount, fen(900));
    // What is decided is not corrected any more.
    books.step(news(&books, 1_000, CreditSource::Query));
    assert_eq!(books.suspense(), NanoCny::from(fen(900)).get());
}

#[test]
fn a_payment_in_another_currency_calls_a_person_once() {
    let mut books = Books::new();
    let order = books.order(1_000, OrderKind::Wallet);
    let mut foreign = books.paid_otherwise(order, 1_000, "T");
    if let Body::OrderPaid { currency, .. } = &mut foreign {
        *currency = Some("USD".to_owned());
    }
    assert_eq!(books.step(foreign.clone()), OrderStep::Quarantined);
    assert_eq!(books.suspense(), 0, "dollars cannot be booked as yuan");
    assert_eq!(books.step(foreign), OrderStep::StillQuarantined);
    let proper = books.paid_otherwise(order, 1_000, "T");
    assert_eq!(books.step(proper), OrderStep::StillQuarantined);
    assert_eq!(books.suspense(), NanoCny::from(fen(1_000)).get());
    let other = books.paid_otherwise(order, 1_000, "U");
    assert_eq!(books.step(other), OrderStep::Quarantined, "another payment is another matter");
}

#[test]
fn tokens_are_credited_for_what_was_paid_and_a_package_only_for_its_price() {
    let mut books = Books::new();
    let order = books.order(5_000, token_kind(1_000_000, 50_000));
    let news = books.paid_otherwise(order, 3_000, "T");
    books.step(news);
    let body = books.resolving(order, Some("T"), Verdict::Credit);
    books.by_two("r", body).unwrap();
    assert_eq!(books.wallet(&Asset::Tokens(MODEL.to_owned())).posted, 600_000_000);
    let line = payments::ledger::GoodsLine {
        sku: None,
        title: "Tea".to_owned(),
        quantity: 1,
        unit: fen(800),
        amount: fen(800),
        refunded: Fen::ZERO,
    };
    let goods = OrderKind::Goods { lines: vec![line], buyer: None, group: None, refunds: 0 };
    let order = books.order(800, goods);
    let news = books.paid_otherwise(order, 799, "G");
    books.step(news);
    let body = books.resolving(order, Some("G"), Verdict::Credit);
    let refused = books.by_two("g", body);
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "verdict"), "{refused:?}");
}

#[test]
fn a_void_payment_goes_back_whole_and_comes_back_to_the_desk_if_the_refund_fails() {
    let mut books = Books::new();
    let order = books.order(1_000, OrderKind::Wallet);
    let news = books.paid_otherwise(order, 1_001, "T");
    books.step(news);
    let body = books.resolving(order, Some("T"), Verdict::Void);
    let Ok(Reply::Refund { items, .. }) = books.by_two("first", body.clone()) else { panic!() };
    assert_eq!(books.state(order), OrderState::Voided);
    let ids_anew = books.resolving(order, Some("T"), Verdict::Void);
    let Ok(Reply::Refund { items: again, .. }) = books.by_two("first", ids_anew) else { panic!() };
    assert_eq!(again, items, "the same decision, the same refund");
    let other = books.resolving(order, Some("T"), Verdict::Void);
    let going = Refusal::PaymentState { payment: "T".to_owned(), state: SuspenseState::Refunding };
    assert_eq!(books.by_two("other", other), Err(going));
    books.send(&items[0]);
    assert_eq!(books.report(&items[0], RefundNews::Closed), RefundItemState::Closed);
    assert_eq!(books.suspense(), yuan("10.01").get(), "it never left");
    let second = books.resolving(order, Some("T"), Verdict::Void);
    let Ok(Reply::Refund { items, .. }) = books.by_two("second", second) else { panic!() };
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    assert_eq!(books.suspense(), 0);
    assert_eq!(books.store.rows().suspense("T").unwrap().state, SuspenseState::Refunded);
    assert_eq!((books.state(order), books.available()), (OrderState::Voided, NanoCny::ZERO));
}

#[test]
fn a_second_payment_of_an_order_goes_back_and_the_first_stays() {
    let mut books = Books::new();
    let order = books.pay(1_000);
    let news = books.paid_otherwise(order, 1_000, "second");
    assert_eq!(books.step(news), OrderStep::Quarantined);
    assert_eq!(books.suspense(), yuan("10").get());
    let credit = books.resolving(order, Some("second"), Verdict::Credit);
    let paid = Refusal::OrderState { order, state: OrderState::Paid };
    assert_eq!(books.by_two("credit", credit), Err(paid));
    let void = books.resolving(order, Some("second"), Verdict::Void);
    let Ok(Reply::Refund { items, .. }) = books.by_two("void", void) else { panic!() };
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    let row = books.store.rows().order(order).unwrap();
    assert_eq!((row.state, row.refunded), (OrderState::Paid, Fen::ZERO));
    assert_eq!((books.suspense(), books.available()), (0, yuan("10")));
}

#[test]
fn a_payment_that_was_put_aside_for_one_order_is_credited_to_no_other() {
    let mut books = Books::new();
    let (first, second) = (books.order(1_000, OrderKind::Wallet), books.order(1_000, OrderKind::Wallet));
    let news = books.paid_otherwise(first, 999, "T");
    assert_eq!(books.step(news), OrderStep::Quarantined);
    let news = books.paid_otherwise(second, 1_000, "T");
    assert_eq!(books.step(news), OrderStep::Quarantined);
    assert_eq!((books.suspense(), books.available()), (yuan("9.99").get(), NanoCny::ZERO), "booked once");
    assert_eq!((books.state(first), books.state(second)), (OrderState::Review, OrderState::Review));
}

/// 1 yuan lent and used, of which a payment of 0.6 covers its part.
fn lent_and_paid_in_part() -> (Books, OrderId, RequestId) {
    let mut books = Books::new();
    let order = books.order(1_000, OrderKind::Wallet);
    let (account, claim, caps) = (books.account, GrantClaim::Payer, GrantCaps::default());
    books
        .act(Body::OrderPrepaid {
            order,
            prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
            request_id: None,
        })
        .unwrap();
    books.act(Body::OpenGrant { order, account, claim, caps }).unwrap();
    let id = books.hold("1");
    books.charge(id, yuan("1").get(), 0);
    let news = books.paid_otherwise(order, 60, "T");
    books.step(news);
    let body = books.resolving(order, Some("T"), Verdict::Credit);
    books.by_two("r", body).unwrap();
    (books, order, id)
}

fn net(books: &Books, book: Book) -> i64 {
    books.store.journal().iter().fold(0, |sum, line| {
        sum + if line.debit == book { line.amount } else { 0 }
            - if line.credit == book { line.amount } else { 0 }
    })
}

#[test]
fn a_wrong_charge_on_what_was_lent_takes_off_the_loss_first_and_then_gives_the_payment_back() {
    for (part, lost, left) in [("0.3", "0.1", "0"), ("0.4", "0", "0"), ("0.9", "0", "0.5"), ("1", "0", "0.6")]
    {
        let (mut books, order, id) = lent_and_paid_in_part();
        books.correct(id, Some(yuan(part).get())).unwrap();
        assert_eq!(net(&books, Book::BadDebt), yuan(lost).get(), "{part}");
        assert_eq!(net(&books, Book::TempReceivable), 0);
        assert_eq!(books.available(), yuan(left), "{part}");
        let grant = books.store.rows().grant(order).unwrap();
        assert_eq!(grant.used, yuan("0.6").plus(yuan(lost)).unwrap(), "what was paid back or lost");
        let too_much = books.correct(id, Some(yuan("1").get() - yuan(part).get() + 1));
        assert!(matches!(too_much, Err(Refusal::CorrectionTooMuch { .. })), "{too_much:?}");
        if part != "1" {
            books.correct(id, None).unwrap();
        }
        assert_eq!((net(&books, Book::BadDebt), books.available()), (0, yuan("0.6")));
    }
}

#[test]
fn what_open_calls_were_promised_of_a_loan_stays_when_a_review_credits_less_than_was_lent() {
    for (used, lost, left) in [("0.9", "0.4", "0"), ("0.3", "0", "0.2"), ("0", "0", "0.5")] {
        let mut books = Books::new();
        let order = books.order(1_000, OrderKind::Wallet);
        let (account, claim, caps) = (books.account, GrantClaim::Payer, GrantCaps::default());
        books
            .act(Body::OrderPrepaid {
                order,
                prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
                request_id: None,
            })
            .unwrap();
        books.act(Body::OpenGrant { order, account, claim, caps }).unwrap();
        let (first, open) = (books.hold("0.1"), books.hold("0.9"));
        books.charge(first, yuan("0.1").get(), 0);
        let news = books.paid_otherwise(order, 60, "T");
        books.step(news);
        let body = books.resolving(order, Some("T"), Verdict::Credit);
        books.by_two("r", body).unwrap();
        let refused = books.act(books.refund_of(Asset::Cny, None, None));
        assert!(matches!(refused, Err(Refusal::GrantLive(_))), "{refused:?}");
        assert_eq!(books.charge(open, yuan(used).get(), 0).cost, yuan(used), "the hold is payable");
        books.act(Body::SweepGrant { order, account, granted: i64::MAX }).unwrap();
        assert_eq!(
            (net(&books, Book::BadDebt), net(&books, Book::TempReceivable)),
            (yuan(lost).get(), 0),
            "{used}"
        );
        assert_eq!(books.available(), yuan(left), "{used}");
        let grant = books.store.rows().grant(order).unwrap();
        assert_eq!(grant.state, payments::ledger::GrantState::Converted);
        assert_eq!(books.store.rows().standing(account).live, None);
    }
}

#[test]
fn what_was_lent_beyond_what_a_review_credits_is_lost_and_no_lot_goes_below_zero() {
    let (books, order, _) = lent_and_paid_in_part();
    let lot = |name: String| books.store.rows().lot(&name).unwrap().clone();
    let (paid, lent) = (lot(format!("pay:{}", order.bare())), lot(format!("temp:{}", order.bare())));
    assert_eq!((paid.rem, paid.consumed), (0, yuan("0.6").get()));
    assert_eq!((lent.rem, lent.consumed), (0, yuan("0.4").get()));
    let booked = (net(&books, Book::BadDebt), net(&books, Book::TempReceivable));
    assert_eq!(booked, (yuan("0.4").get(), 0));
    assert_eq!(books.available(), NanoCny::ZERO);
}

#[tokio::test]
async fn a_void_payment_whose_refund_is_taken_back_waits_for_a_person_again() {
    let world = World::new();
    let account = world.account().await;
    let order = world.order(account, fen(1_000), OrderKind::Wallet).await;
    let trade = payments::channel::Trade { total: Some(fen(900)), ..trade_of(&order, "T-other", START) };
    world.paid(trade, None).await;
    let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
    let about = Resolution {
        order: order.id,
        account,
        asset: Asset::Cny,
        transaction_id: Some("T-other".to_owned()),
        verdict: Verdict::Void,
        batch: RefundBatchId::new(START),
        item: RefundId::new(START),
    };
    let command = Command {
        actor: operator("ann"),
        reason: Some("paid twice".to_owned()),
        approver: Some(operator("bob")),
        ..command("resolve", START, Body::ResolveReview(about))
    };
    let Ok(Reply::Refund { batch, .. }) = world.store.submit(command).await else { panic!() };
    assert_eq!(world.store.open_suspense().await.unwrap(), []);
    let (_, items) = world
        .refunds
        .cancel(Some(account), operator("ann"), Some("not yet".to_owned()), batch.id)
        .await
        .unwrap();
    assert_eq!(items[0].state, RefundItemState::Cancelled);
    let open = world.store.open_suspense().await.unwrap();
    assert_eq!((open.len(), open[0].amount), (1, fen(900)));
    world.assert_sound().await;
}

#[test]
fn what_was_never_booked_can_only_be_closed_and_a_payment_must_be_the_orders_own() {
    let mut books = Books::new();
    let (order, other) = (books.order(1_000, OrderKind::Wallet), books.order(1_000, OrderKind::Wallet));
    let mut foreign = books.paid_otherwise(order, 1_000, "T");
    if let Body::OrderPaid { currency, .. } = &mut foreign {
        *currency = Some("USD".to_owned());
    }
    books.step(foreign);
    assert_eq!((books.suspense(), books.state(order)), (0, OrderState::Review));
    let unnamed = books.resolving(order, None, Verdict::Credit);
    let refused = books.by_two("a", unnamed);
    assert!(
        matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "transaction_id"),
        "{refused:?}"
    );
    let unbooked = books.resolving(order, Some("T"), Verdict::Credit);
    assert_eq!(books.by_two("b", unbooked), Err(Refusal::UnknownPayment("T".to_owned())));
    let news = books.paid_otherwise(other, 5, "O");
    books.step(news);
    let crossed = books.resolving(order, Some("O"), Verdict::Void);
    assert_eq!(books.by_two("c", crossed), Err(Refusal::UnknownPayment("O".to_owned())));
    let close = books.resolving(order, None, Verdict::Void);
    books.by_two("d", close.clone()).unwrap();
    assert_eq!(books.state(order), OrderState::Voided);
    let twice = Refusal::OrderState { order, state: OrderState::Voided };
    assert_eq!(books.by_two("e", close), Err(twice));
}

#[tokio::test]
async fn a_void_payment_is_refunded_over_the_channel_under_its_own_number() {
    let world = World::new();
    let account = world.account().await;
    let order = world.order(account, fen(1_000), OrderKind::Wallet).await;
    let trade = payments::channel::Trade { total: Some(fen(900)), ..trade_of(&order, "T-other", START) };
    assert!(matches!(world.paid(trade, None).await, payments::topup::PaidNews::Quarantined(_)));
    assert_eq!(world.store.open_suspense_of(order.id).await.unwrap().len(), 1);
    let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
    let about = Resolution {
        order: order.id,
        account,
        asset: Asset::Cny,
        transaction_id: Some("T-other".to_owned()),
        verdict: Verdict::Void,
        batch: RefundBatchId::new(START),
        item: RefundId::new(START),
    };
    let command = Command {
        actor: operator("ann"),
        reason: Some("paid twice".to_owned()),
        approver: Some(operator("bob")),
        ..command("resolve", START, Body::ResolveReview(about))
    };
    let Ok(Reply::Refund { items, .. }) = world.store.submit(command).await else { panic!() };
    assert_eq!(world.store.open_suspense().await.unwrap(), []);
    let report = payments::channel::RefundReport {
        out_refund_no: items[0].id.bare(),
        refund_id: None,
        transaction_id: Some("T-other".to_owned()),
        out_trade_no: Some(order.id.bare()),
        state: payments::channel::RefundState::Success,
        refund: Some(fen(900)),
        total: Some(fen(900)),
        success_time: None,
        request_id: None,
    };
    let sending = Body::RefundSending { item: items[0].id, batch: items[0].batch };
    world.submit("sending", sending).await.unwrap();
    let item = world.refunds.reported(&report, Some("E9".to_owned())).await.unwrap();
    assert_eq!(item.state, RefundItemState::Success);
    world.assert_sound().await;
}

// ---- duplicates and permutations ----

/// What a row of the books comes to, without when it was told.
fn outcome(books: &Books, order: OrderId) -> (OrderState, i64, i64, Vec<(LotClass, i64, i64)>) {
    let lots = books.store.rows().lots().map(|lot| (lot.class, lot.rem, lot.orig)).collect();
    (books.state(order), books.available().get(), books.suspense(), lots)
}

proptest! {
    #![proptest_config(crate::model::config(200))]

    /// One payment, told by notifications and queries in any order and number, with news of its order's end between.
    #[test]
    fn any_order_and_number_of_notifications_gives_the_same_books(
        order_of in prop::collection::vec(any::<Index>(), 1..30), agrees in any::<bool>(),
    ) {
        let amount = if agrees { 1_000 } else { 999 };
        let books_after = |picks: &[Index]| {
            let mut books = Books::new();
            let id = OrderId::new(START);
            let bonus = yuan("0.5");
            let new = NewOrder { bonus, ..new_order(id, books.account, fen(1_000), OrderKind::Wallet) };
            books.act(Body::CreateOrder(new)).unwrap();
            let mut news = Vec::new();
            for source in [CreditSource::Notify, CreditSource::Query] {
                for event in [None, Some("E1"), Some("E2")] {
                    let mut told = books.news(id, amount);
                    if let Body::OrderPaid { source: s, event: e, .. } = &mut told {
                        (*s, *e) = (source, event.map(str::to_owned));
                    }
                    news.push(told);
                }
            }
            news.push(Body::OrderPrepaid { order: id, prepay: payments::ledger::Prepay::Code("c".to_owned()), request_id: None });
            news.push(Body::OrderClosed { order: id, source: "close".to_owned() });
            for pick in picks {
                books.act(pick.get(&news).clone()).unwrap();
            }
            // It is told at least once.
            books.act(news[0].clone()).unwrap();
            outcome(&books, id)
        };
        prop_assert_eq!(books_after(&order_of), books_after(&[]));
    }
}
