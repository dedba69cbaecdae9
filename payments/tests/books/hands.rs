//! What people enter by hand, and what WeChat Pay's bill brings.

use payments::ledger::{
    Account, AccountRole, Actor, Adjustment, Asset, Body, Command, DebtSource, ExternalRefund, Lot,
    ManualPayout, NewOrder, OrderKind, OrderState, OrderStep, RefundNews, Refusal, Reply, Role,
};
use units::{AccountId, NanoCny, OrderId, RequestId, Timestamp};

use crate::{
    ledger::Books,
    support::{MODEL, START, World, command, fen, new_order, token_kind, yuan},
};

const YEAR_MICROS: i64 = 365 * 24 * 3_600 * 1_000_000;

impl Books {
    fn row(&self) -> Account {
        self.store.rows().account(self.account).unwrap().clone()
    }

    fn adjust(&mut self, ticket: &str, amount: i64) -> Result<Reply, Refusal> {
        let change =
            Adjustment { account: self.account, asset: Asset::Cny, amount, ticket: ticket.to_owned() };
        self.by_two(&format!("adj:{ticket}"), Body::Adjust(change))
    }

    /// The bill tells of a refund of the payment.
    pub(crate) fn found(&mut self, refund_id: &str, order: OrderId, amount: i64) -> Result<Reply, Refusal> {
        let asset = self.store.rows().order(order).map_or(Asset::Cny, |order| order.kind.asset());
        let (account, refund_id) = (self.account, refund_id.to_owned());
        let key = format!("xr:{refund_id}");
        let found = ExternalRefund { refund_id, order, account, asset, amount: fen(amount) };
        self.apply(&key, Body::ExtRefund(found)).outcome
    }

    fn book(&self, name: &str, asset: &Asset) -> i64 {
        let lines = self.store.journal().iter().filter(|line| line.asset == *asset);
        lines.fold(0, |sum, line| {
            sum + if line.credit.as_str() == name { line.amount } else { 0 }
                - if line.debit.as_str() == name { line.amount } else { 0 }
        })
    }

    fn alone(&mut self, body: Body) -> Result<Reply, Refusal> {
        let actor = Actor { id: "ann".to_owned(), role: Role::Operator };
        let reason = Some("a ticket".to_owned());
        let key = format!("alone:{}", self.now.0);
        self.submit(Command { actor, reason, ..command(key, START, body) }).outcome
    }
}

// ---- adjustments ----

#[test]
fn an_adjustment_takes_two_people_and_a_reason_and_may_be_asked_properly_after() {
    let mut books = Books::new();
    let change = Adjustment {
        account: books.account,
        asset: Asset::Cny,
        amount: yuan("3").get(),
        ticket: "T-1".to_owned(),
    };
    let ann = Actor { id: "ann".to_owned(), role: Role::Operator };
    let asked = Command {
        actor: ann.clone(),
        reason: Some("an outage".to_owned()),
        approver: Some(Actor { id: "bob".to_owned(), role: Role::Operator }),
        ..command("adj:T-1", START, Body::Adjust(change))
    };
    let wrong = [
        (Command { actor: Actor::system("x"), ..asked.clone() }, Refusal::NeedsOperator),
        (Command { reason: None, ..asked.clone() }, Refusal::NeedsReason),
        (Command { reason: Some(" ".to_owned()), ..asked.clone() }, Refusal::NeedsReason),
        (Command { approver: None, ..asked.clone() }, Refusal::NeedsApprover),
        (Command { approver: Some(ann), ..asked.clone() }, Refusal::NeedsApprover),
        (
            Command { approver: Some(Actor { id: "bob".to_owned(), role: Role::Customer }), ..asked.clone() },
            Refusal::NeedsApprover,
        ),
    ];
    for (command, refusal) in wrong {
        assert_eq!(books.submit(command).outcome, Err(refusal));
    }
    assert_eq!(books.submit(asked.clone()).outcome, Ok(Reply::Done), "the key is not used up by that");
    assert_eq!(books.submit(asked.clone()).outcome, Ok(Reply::Done));
    assert_eq!(books.available(), yuan("3"), "once");
    let under_another_key = Command { key: "adj:T-2".to_owned(), ..asked };
    let refused = books.submit(under_another_key).outcome;
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "key"), "{refused:?}");
}

#[test]
fn what_is_added_never_leaves_as_cash_and_what_is_taken_is_not_pledged() {
    let mut books = Books::new();
    books.pay(1_000);
    books.adjust("plus", yuan("5").get()).unwrap();
    let hold = books.hold("12");
    assert_eq!(books.book("adjust", &Asset::Cny), -yuan("5").get());
    let asset = Asset::Cny;
    let (available, required) = (yuan("3").get(), yuan("3").get() + 1);
    assert_eq!(books.adjust("much", -required), Err(Refusal::Insufficient { asset, available, required }));
    books.adjust("minus", -available).unwrap();
    assert_eq!(books.charge(hold, yuan("12").get(), 0).cost, yuan("12"), "the hold is payable");
    assert_eq!(books.available(), NanoCny::ZERO);
    for (ticket, amount, field) in [("zero", 0, "amount"), ("a b", 1, "ticket"), ("", 1, "ticket")] {
        let refused = books.adjust(ticket, amount);
        assert!(matches!(&refused, Err(Refusal::Invalid { field: at, .. }) if at == field), "{refused:?}");
    }
    assert_eq!(books.adjust("min", i64::MIN), Err(Refusal::OutOfRange));
    books.adjust("max", i64::MAX).unwrap();
    assert_eq!(books.adjust("more", 1), Err(Refusal::OutOfRange));
}

#[test]
fn tokens_are_adjusted_with_what_was_paid_for_them() {
    let mut books = Books::new();
    let order = books.order(5_000, token_kind(1_000_000, 50_000));
    let news = books.news(order, 5_000);
    books.step(news);
    let asset = Asset::Tokens(MODEL.to_owned());
    let change = |amount, ticket: &str| Adjustment {
        account: books.account,
        asset: asset.clone(),
        amount,
        ticket: ticket.to_owned(),
    };
    let (less, more) = (change(-400_000_000, "less"), change(7_000, "more"));
    let unknown = Adjustment { asset: Asset::Tokens("none".to_owned()), ..change(1, "none") };
    books.by_two("adj:less", Body::Adjust(less)).unwrap();
    assert_eq!(books.book("token_liability", &Asset::Cny), yuan("30").get(), "20 of 50 yuan went with them");
    books.by_two("adj:more", Body::Adjust(more)).unwrap();
    assert_eq!(books.wallet(&asset).posted, 600_007_000);
    let refused = books.by_two("adj:none", Body::Adjust(unknown));
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "asset"), "{refused:?}");
    let Ok(Reply::Refund { batch, .. }) = books.act(books.refund_of(asset, None, None)) else { panic!() };
    assert_eq!(batch.amount, fen(3_000), "given tokens are never refunded");
}

// ---- standing ----

#[test]
fn a_stopped_account_does_nothing_but_what_was_paid_for_it_is_credited() {
    let mut books = Books::new();
    let (account, order) = (books.account, books.order(1_000, OrderKind::Wallet));
    books.promo("1");
    books.refuses(Body::StopAccount { account }, &Refusal::NeedsReason);
    let stop = Body::StopAccount { account };
    books.alone(stop.clone()).unwrap();
    books.alone(stop).unwrap();
    assert_eq!((books.row().stopped, books.row().stop_reason.as_deref()), (true, Some("a ticket")));
    let stopped = Refusal::AccountStopped(account);
    let hold = books.hold_for(RequestId::new(START), "0.5");
    books.refuses(hold, &stopped);
    let new = new_order(OrderId::new(START), account, fen(5), OrderKind::Wallet);
    books.refuses(Body::CreateOrder(new), &stopped);
    let redeem = Body::RedeemCode { account, digest: String::new(), campaign: String::new() };
    books.refuses(redeem, &stopped);
    let news = books.news(order, 1_000);
    assert_eq!(books.step(news), OrderStep::Credited);
    let actor = Actor { id: "key".to_owned(), role: Role::Customer };
    let refund = books.refund_of(Asset::Cny, None, None);
    let by_customer = Command { actor, ..command("refund", START, refund.clone()) };
    assert_eq!(books.submit(by_customer).outcome, Err(stopped), "it cannot take the money out itself");
    books.act(refund).unwrap();
    books.alone(Body::ResumeAccount { account }).unwrap();
    assert_eq!((books.row().stopped, books.row().stop_reason), (false, None));
    books.hold("0.5");
    let unknown = AccountId::new(START);
    assert_eq!(books.alone(Body::StopAccount { account: unknown }), Err(Refusal::UnknownAccount(unknown)));
}

#[test]
fn a_flag_says_why_and_goes_again() {
    let mut books = Books::new();
    let account = books.account;
    books.alone(Body::FlagAccount { account, flagged: true }).unwrap();
    assert_eq!(books.row().flag.as_deref(), Some("a ticket"));
    assert!(books.row().is_active(), "it is only watched");
    books.alone(Body::FlagAccount { account, flagged: false }).unwrap();
    assert_eq!(books.row().flag, None);
}

#[test]
fn an_account_closes_when_nothing_is_held_or_refundable_and_its_dust_is_rounding() {
    let mut books = Books::new();
    let account = books.account;
    let close = || Body::CloseAccount { account };
    let not_yet = |books: &mut Books, why: &str| {
        let refused = books.alone(close());
        assert!(
            matches!(&refused, Err(Refusal::AccountNotEmpty { what, .. }) if what.contains(why)),
            "{refused:?}"
        );
    };
    books.promo("2");
    books.pay(1_000);
    let hold = books.hold("2");
    not_yet(&mut books, "running");
    books.charge(hold, yuan("2").get(), 0);
    books.use_up("3.123456789");
    not_yet(&mut books, "refund");
    let (_, items) = books.refund(None);
    not_yet(&mut books, "under way");
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    let dust = yuan("0.006543211");
    assert_eq!(books.available(), dust);
    books.promo("4");
    books.alone(close()).unwrap();
    assert_eq!(books.book("rounding", &Asset::Cny), dust.get(), "less than a fen");
    assert_eq!(books.available(), NanoCny::ZERO);
    assert!(books.row().closed_at.is_some());
    let closed = Refusal::AccountClosed(account);
    let hold = books.hold_for(RequestId::new(START), "0");
    books.refuses(hold, &closed);
    assert_eq!(books.alone(Body::ResumeAccount { account }), Err(closed.clone()));
    assert_eq!(books.alone(close()), Err(closed));
}

#[test]
fn tokens_that_are_worth_less_than_a_fen_close_with_what_was_paid_for_them() {
    let mut books = Books::new();
    let order = books.order(5_000, token_kind(1_000_000, 50_000));
    let news = books.news(order, 5_000);
    books.step(news);
    let asset = Asset::Tokens(MODEL.to_owned());
    let change = Adjustment {
        account: books.account,
        asset: asset.clone(),
        amount: -999_900_000,
        ticket: "most".to_owned(),
    };
    books.by_two("adj:most", Body::Adjust(change)).unwrap();
    let account = books.account;
    books.alone(Body::CloseAccount { account }).unwrap();
    assert_eq!(books.wallet(&asset).posted, 0);
    assert_eq!(books.book("token_liability", &Asset::Cny), 0, "nothing stays owed to nobody");
    assert_eq!(books.book("rounding", &Asset::Cny), yuan("0.005").get());
}

#[test]
fn our_own_account_stays_open() {
    let mut books = Books::of(AccountRole::House);
    let account = books.account;
    let refused = books.alone(Body::CloseAccount { account });
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "account"), "{refused:?}");
}

#[test]
fn a_balance_is_topped_up_to_ten_million_yuan_and_no_further_but_no_payment_is_lost() {
    let mut books = Books::new();
    let account = books.account;
    let order =
        |amount| Body::CreateOrder(new_order(OrderId::new(START), account, fen(amount), OrderKind::Wallet));
    let cap = 1_000_000_000;
    let refused = books.act(order(cap + 1));
    assert!(matches!(refused, Err(Refusal::WalletCap { .. })), "{refused:?}");
    let (first, second) = (books.order(cap, OrderKind::Wallet), books.order(cap, OrderKind::Wallet));
    for order in [first, second] {
        let news = books.news(order, cap);
        assert_eq!(books.step(news), OrderStep::Credited, "both were made in time");
    }
    let refused = books.act(order(1));
    assert!(matches!(refused, Err(Refusal::WalletCap { .. })), "{refused:?}");
    let new = NewOrder {
        bonus: yuan("0.01"),
        ..new_order(OrderId::new(START), account, fen(cap), OrderKind::Wallet)
    };
    let mut fresh = Books::new();
    let refused = fresh.act(Body::CreateOrder(NewOrder { account: fresh.account, ..new }));
    assert!(matches!(refused, Err(Refusal::WalletCap { .. })), "its bonus counts: {refused:?}");
}

#[test]
fn a_payment_that_no_balance_can_hold_waits_in_suspense() {
    let mut books = Books::new();
    let order = books.order(5, OrderKind::Wallet);
    books.adjust("max", i64::MAX).unwrap();
    let news = books.news(order, 5);
    assert_eq!(books.step(news), OrderStep::Quarantined);
    assert_eq!(books.state(order), OrderState::Review);
    assert_eq!(books.book("suspense", &Asset::Cny), yuan("0.05").get());
}

// ---- refunds found in the bill, and debt ----

#[test]
fn a_refund_found_in_the_bill_takes_its_payment_then_the_others_and_the_rest_is_owed() {
    let mut books = Books::new();
    let (a, b) = (books.pay(1_000), books.pay(1_000));
    books.use_up("4");
    books.promo("3");
    let hold = books.hold("5");
    books.found("R1", a, 1_000).unwrap();
    assert_eq!(books.state(a), OrderState::Refunded);
    let lots: Vec<Lot> = books.store.rows().lots().filter(|lot| lot.order.is_some()).cloned().collect();
    let of = |order| lots.iter().find(|lot| lot.order == Some(order)).unwrap();
    assert_eq!((of(a).rem, of(a).refunded, of(a).refunded_fen), (0, yuan("6").get(), fen(1_000)));
    assert_eq!((of(b).rem, of(b).voided), (yuan("6").get(), yuan("4").get()));
    assert_eq!(books.row().debt, NanoCny::ZERO);
    books.found("R2", b, 1_000).unwrap();
    assert_eq!(books.book("w:debt", &Asset::Cny), -yuan("6").get());
    assert_eq!(books.row().debt, yuan("6"), "4 are unpledged, the promotion's share included");
    assert_eq!(books.wallet(&Asset::Cny).available(), 0);
    assert_eq!(books.charge(hold, yuan("5").get(), 0).cost, yuan("5"), "the hold is payable");
    let before = books.store.rows().clone();
    books.found("R2", b, 1_000).unwrap();
    assert_eq!(*books.store.rows(), before, "once");
    assert_eq!(books.book("wx:clearing", &Asset::Cny), 0, "20 came, 20 went");
}

#[test]
fn who_owes_spends_nothing_and_gets_nothing_back_until_it_is_settled_by_a_later_payment() {
    let mut books = Books::new();
    let account = books.account;
    let settle = |from| Body::SettleDebt { account, from };
    let first = books.pay(1_000);
    books.use_up("10");
    books.refuses(settle(DebtSource::Balance), &Refusal::NoDebt(account));
    books.found("R1", first, 1_000).unwrap();
    let owes = |debt: &str| Refusal::InDebt { account, debt: yuan(debt) };
    assert_eq!(books.row().debt, yuan("10"));
    let hold = books.hold_for(RequestId::new(START), "0.1");
    books.refuses(hold.clone(), &owes("10"));
    let nothing = Refusal::Insufficient { asset: Asset::Cny, available: 0, required: yuan("10").get() };
    books.refuses(settle(DebtSource::Balance), &nothing);
    books.pay(400);
    let refund = books.refund_of(Asset::Cny, None, None);
    books.refuses(refund, &owes("10"));
    books.act(settle(DebtSource::Balance)).unwrap();
    assert_eq!((books.row().debt, books.available()), (yuan("6"), NanoCny::ZERO));
    books.refuses(settle(DebtSource::Adjustment), &Refusal::NeedsOperator);
    books.pay(800);
    books.act(settle(DebtSource::Balance)).unwrap();
    assert_eq!((books.row().debt, books.available()), (NanoCny::ZERO, yuan("2")));
    assert_eq!(books.book("w:debt", &Asset::Cny), 0);
    books.act(hold).unwrap();
    let (batch, _) = books.refund(None);
    assert_eq!(batch.amount, fen(190), "what settled the debt is not refunded");
}

#[test]
fn a_debt_is_let_go_by_two_people() {
    let mut books = Books::new();
    let account = books.account;
    let order = books.pay(1_000);
    books.use_up("10");
    books.found("R1", order, 700).unwrap();
    let body = Body::SettleDebt { account, from: DebtSource::Adjustment };
    assert_eq!(books.alone(body.clone()), Err(Refusal::NeedsApprover));
    books.by_two("debt", body).unwrap();
    assert_eq!(books.row().debt, NanoCny::ZERO);
    assert_eq!(books.book("adjust", &Asset::Cny), -yuan("7").get());
    assert_eq!(books.state(order), OrderState::PartiallyRefunded);
}

#[test]
fn a_found_refund_of_tokens_takes_the_tokens_it_paid_for() {
    let mut books = Books::new();
    let order = books.order(5_000, token_kind(1_000_000, 50_000));
    let news = books.news(order, 5_000);
    books.step(news);
    let asset = Asset::Tokens(MODEL.to_owned());
    books.found("R1", order, 2_000).unwrap();
    assert_eq!((books.wallet(&asset).posted, books.row().debt), (600_000_000, NanoCny::ZERO));
    assert_eq!(books.book("token_liability", &Asset::Cny), yuan("30").get());
}

#[test]
fn a_found_refund_of_what_was_never_paid_or_of_more_than_was_paid_is_refused() {
    let mut books = Books::new();
    let (paid, open) = (books.pay(1_000), books.order(1_000, OrderKind::Wallet));
    assert_eq!(
        books.found("R1", open, 5),
        Err(Refusal::OrderState { order: open, state: OrderState::Pending })
    );
    let refused = books.found("R2", paid, 1_001);
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "amount"), "{refused:?}");
    assert_eq!(books.found("R3", paid, 0), Err(Refusal::NotPositive));
    let nobody = OrderId::new(START);
    assert_eq!(books.found("R4", nobody, 5), Err(Refusal::UnknownOrder(nobody)));
}

// ---- fees ----

#[test]
fn a_fee_is_booked_once_per_row_of_the_bill_and_comes_back_with_its_refund() {
    let mut books = Books::new();
    let fee = |amount: &str| Body::PostFee { bill_row: "2026-03-01/7".to_owned(), amount: yuan(amount) };
    let key = "fee:2026-03-01/7";
    books.apply(key, fee("0.06")).outcome.unwrap();
    books.apply(key, fee("0.06")).outcome.unwrap();
    assert_eq!(books.book("wx:fee", &Asset::Cny), -yuan("0.06").get());
    assert_eq!(books.apply(key, fee("0.07")).outcome, Err(Refusal::KeyReused));
    let back = Body::PostFee { bill_row: "2026-03-02/1".to_owned(), amount: yuan("-0.06") };
    books.apply("fee:2026-03-02/1", back.clone()).outcome.unwrap();
    assert_eq!(books.book("wx:fee", &Asset::Cny), 0);
    let refused = books.apply("fee:other", back).outcome;
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "key"), "{refused:?}");
    let empty = Body::PostFee { bill_row: String::new(), amount: yuan("1") };
    let refused = books.apply("fee:", empty).outcome;
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "bill_row"), "{refused:?}");
}

// ---- payouts by hand ----

#[test]
fn what_is_too_old_for_the_channel_is_paid_back_by_hand_with_evidence() {
    let mut books = Books::new();
    let order = books.pay(1_000);
    books.use_up("2.5");
    let payout = |books: &mut Books, ticket: &str, amount| {
        let paid = ManualPayout {
            order,
            account: books.account,
            asset: Asset::Cny,
            amount: fen(amount),
            ticket: ticket.to_owned(),
            evidence: "bank slip 4711".to_owned(),
        };
        books.by_two(&format!("payout:{ticket}"), Body::ManualPayout(paid))
    };
    let refused = payout(&mut books, "early", 100);
    assert!(matches!(refused, Err(Refusal::NothingRefundable(_))), "the channel still takes it: {refused:?}");
    books.now = Timestamp(books.now.0 + YEAR_MICROS);
    let by_channel = books.act(books.refund_of(Asset::Cny, None, None));
    assert!(matches!(by_channel, Err(Refusal::NothingRefundable(_))), "{by_channel:?}");
    let too_much = Refusal::RefundTooMuch { requested: fen(751), refundable: fen(750) };
    assert_eq!(payout(&mut books, "much", 751), Err(too_much));
    payout(&mut books, "part", 250).unwrap();
    assert_eq!((books.state(order), books.available()), (OrderState::PartiallyRefunded, yuan("5")));
    payout(&mut books, "part", 250).unwrap();
    assert_eq!(books.available(), yuan("5"), "once");
    payout(&mut books, "rest", 500).unwrap();
    assert_eq!(books.book("payout", &Asset::Cny), yuan("7.5").get());
    let row = books.store.rows().order(order).unwrap();
    assert!(row.timeline.iter().any(|step| step.detail.as_deref() == Some("bank slip 4711")), "{row:?}");
}

// ---- on disk ----

#[tokio::test]
async fn a_later_payment_settles_a_debt_before_anything_else() {
    let world = World::new();
    let account = world.account().await;
    let order = world.pay(account, 1_000).await;
    world
        .submit(
            "xr:R1",
            Body::ExtRefund(ExternalRefund {
                refund_id: "R1".to_owned(),
                order: order.id,
                account,
                asset: Asset::Cny,
                amount: fen(1_000),
            }),
        )
        .await
        .unwrap();
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0);
    assert_eq!(world.store.account(account).await.unwrap().unwrap().debt, NanoCny::ZERO, "it was all there");
    let second = world.pay(account, 600).await;
    let call = world.call(account, crate::support::usage(100_000, 0));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    hold.settle(Some((crate::support::usage(100_000, 0), false)), |_| crate::support::receipt(id, account));
    world.store.flushed().await.unwrap();
    let found = ExternalRefund {
        refund_id: "R2".to_owned(),
        order: second.id,
        account,
        asset: Asset::Cny,
        amount: fen(600),
    };
    world.submit("xr:R2", Body::ExtRefund(found)).await.unwrap();
    assert_eq!(world.store.account(account).await.unwrap().unwrap().debt, yuan("0.2"));
    world.assert_sound().await;
    world.pay(account, 500).await;
    assert_eq!(world.store.account(account).await.unwrap().unwrap().debt, NanoCny::ZERO);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, yuan("4.8").get());
    let closing = Command {
        actor: Actor { id: "ann".to_owned(), role: Role::Operator },
        reason: Some("asked for".to_owned()),
        ..command("close", START, Body::CloseAccount { account })
    };
    let refused = world.store.submit(closing).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be closed"), "{refused}");
    world.assert_sound().await;
}

#[tokio::test]
async fn memory_knows_that_nothing_is_left_of_an_account_that_was_closed() {
    let world = World::new();
    let account = world.account().await;
    world.submit("promo", Body::GrantPromo { account, amount: yuan("3"), expires_at: None }).await.unwrap();
    world.store.load_balance(account, Asset::Cny).await.unwrap();
    assert_eq!(world.admission.available(account, &Asset::Cny), Some(yuan("3").get()));
    let closing = Command {
        actor: Actor { id: "ann".to_owned(), role: Role::Operator },
        reason: Some("asked for".to_owned()),
        ..command("close", START, Body::CloseAccount { account })
    };
    world.store.submit(closing).await.unwrap();
    assert_eq!(world.admission.available(account, &Asset::Cny), Some(0));
}

#[tokio::test]
async fn tokens_taken_by_hand_leave_the_yuan_beside_them_as_they_are() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 1_000).await;
    world.pay_for(account, 5_000, token_kind(1_000_000, 50_000)).await;
    // What a process keeps in memory is gone.
    let world = world.reopened().await;
    let balances = world.store.balances(account).await.unwrap();
    let tokens = balances.iter().find(|balance| balance.wallet.asset != Asset::Cny).unwrap();
    let change = Adjustment {
        account,
        asset: tokens.wallet.asset.clone(),
        amount: -1_000_000,
        ticket: "t".to_owned(),
    };
    let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
    let command = Command {
        actor: operator("ann"),
        reason: Some("a ticket".to_owned()),
        approver: Some(operator("bob")),
        ..command("adj:t", START, Body::Adjust(change))
    };
    world.store.submit(command).await.unwrap();
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, yuan("10").get());
    world.assert_sound().await;
}
