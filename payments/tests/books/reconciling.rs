//! A day laid beside the channel's bill: what agrees, what does not, what is put right, and who says why.

mod by_v2;
mod month;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use payments::{
    ledger::{
        Actor, BillDay, BillDayState, BillDifference, BillSource, Body, Book, Command, DifferenceCause,
        DifferenceClass as C, DifferenceState, Order, OrderKind, OrderState, RefundItem, RefundNews, Refusal,
        Reply, Role,
    },
    reconcile::{BillDate, DayReport, FeeTiers, Reconciler, RunError, RunWish, Watcher, bill::BillError},
    refund::RefundRequest,
    store::{Store, SubmitError},
};
use testbed::Database;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{AccountId, Clock, NanoCny, Timestamp};

use crate::support::{
    MCHID, Op, World,
    bills::{Movement, Row, fund_flow, trade_bill},
    command, fen, postgres_settings, trade_of,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Remembers what it is told.
#[derive(Debug, Default)]
struct Told {
    reports: Mutex<Vec<DayReport>>,
    failed: Mutex<Vec<String>>,
    stopped: Mutex<Vec<AccountId>>,
}

impl Watcher for Told {
    fn compared(&self, report: &DayReport) {
        self.reports.lock().unwrap().push(report.clone());
    }

    fn failed(&self, _: &str, date: BillDate, error: &RunError) {
        self.failed.lock().unwrap().push(format!("{date}: {error}"));
    }

    fn credited(&self, order: &Order) {
        assert!(order.state.is_paid(), "{order:?}");
    }

    fn stopped(&self, account: AccountId) {
        self.stopped.lock().unwrap().push(account);
    }
}

/// A shop with a day of trade, and who compares it.
struct Desk {
    world: World,
    account: AccountId,
    reconciler: Reconciler,
    told: Arc<Told>,
    rows: Vec<Row>,
}

fn person(id: &str) -> Actor {
    Actor { id: id.to_owned(), role: Role::Operator }
}

/// What the channel keeps of so much.
fn fee(amount: i64) -> i64 {
    (amount * 60 + 5_000) / 10_000
}

impl Desk {
    /// On a morning in Beijing.
    async fn new() -> Self {
        let world = World::new();
        world.clock.move_to(date("2025-11-03").begins().unwrap().after(9 * HOUR));
        let account = world.account().await;
        let told = Arc::new(Told::default());
        let reconciler = Reconciler::new(
            world.store.clone(),
            world.topups.clone(),
            FeeTiers::default(),
            world.clock.clone(),
            told.clone(),
        );
        Self { world, account, reconciler, told, rows: Vec::new() }
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// A payment that both sides know.
    async fn pay(&mut self, amount: i64) -> Order {
        let order = self.world.pay(self.account, amount).await;
        self.rows.push(payment(&order, self.now()));
        self.world.clock.advance(Duration::from_secs(30));
        order
    }

    /// A payment whose notice was lost.
    async fn pay_unheard(&mut self, amount: i64) -> Order {
        let order = self.world.order(self.account, fen(amount), OrderKind::Wallet).await;
        let number = format!("T{}", order.id.bare());
        self.world.far.knows_paid(&order, &number);
        self.rows.push(payment(&order, self.now()));
        order
    }

    /// A refund that both sides know.
    async fn refund(&mut self, order: &Order, amount: i64) -> RefundItem {
        let item = self.refund_unbilled(order, amount).await;
        self.rows.push(refund(order, &item, self.now()));
        item
    }

    /// A refund that our side takes for arrived.
    async fn refund_unbilled(&self, order: &Order, amount: i64) -> RefundItem {
        self.refund_that_is(order, amount, RefundNews::Success).await
    }

    /// The same, and it ended so.
    async fn refund_that_is(&self, order: &Order, amount: i64, news: RefundNews) -> RefundItem {
        let wish = RefundRequest {
            account: self.account,
            amount: Some(fen(amount)),
            order: Some(order.id),
            reason: None,
            why: Some("it was asked for by telephone".to_owned()),
            approver: None,
            actor: person("ann"),
            idempotency_key: None,
        };
        let (batch, items) = self.world.refunds.request(wish).await.unwrap();
        let item = items[0].clone();
        let sending = Body::RefundSending { item: item.id, batch: batch.id };
        self.world.submit("send", sending).await.unwrap();
        let body = Body::RefundReported {
            item: item.id,
            batch: batch.id,
            order: order.id,
            account: self.account,
            asset: order.kind.asset(),
            news,
            refund_id: Some(format!("R{}", item.id.bare())),
            detail: None,
            event: None,
            payment: None,
        };
        self.world.submit("said", body).await.unwrap();
        self.world.store.refund_item(item.id).await.unwrap().unwrap()
    }

    fn movements(&self) -> Vec<Movement> {
        self.rows.iter().flat_map(Row::movements).collect()
    }

    /// The day's bills lie ready, and it is past ten of the next.
    fn bill_comes(&self, day: &str) {
        self.world.far.has_bill("trade", day, trade_bill(&self.rows));
        self.world.far.has_bill("flow", day, fund_flow(&self.movements()));
        self.world.clock.move_to(date(day).ready().unwrap());
    }

    fn wish(&self, day: &str) -> RunWish {
        RunWish { mchid: MCHID.to_owned(), date: date(day), files: Vec::new(), by: person("ann") }
    }

    async fn run(&self, day: &str) -> DayReport {
        self.reconciler.run(&self.wish(day), &|_| {}).await.unwrap()
    }

    async fn brought(&self, day: &str, files: &[(&str, &str)]) -> Result<DayReport, RunError> {
        let files =
            files.iter().map(|(name, text)| ((*name).to_owned(), Bytes::copy_from_slice(text.as_bytes())));
        let wish = RunWish { files: files.collect(), ..self.wish(day) };
        self.reconciler.run(&wish, &|_| {}).await
    }

    async fn said(
        &self,
        key: &str,
        who: &str,
        approver: Option<&str>,
        body: Body,
    ) -> Result<Reply, SubmitError> {
        let command = Command {
            actor: person(who),
            reason: Some("as the ticket says".to_owned()),
            approver: approver.map(person),
            ..command(key, self.now(), body)
        };
        self.world.store.submit(command).await
    }

    async fn explain(
        &self,
        difference: &BillDifference,
        cause: DifferenceCause,
    ) -> Result<Reply, SubmitError> {
        let body = Body::ResolveDifference {
            difference: difference.id.clone(),
            mchid: difference.mchid.clone(),
            day: difference.day.clone(),
            cause,
            evidence: Some("T-1".to_owned()),
        };
        self.said(&format!("explain:{}", difference.id), "ann", None, body).await
    }

    async fn sign(&self, day: &str, who: &str, approver: Option<&str>) -> Result<BillDay, Refusal> {
        let body = Body::SignOffBillDay { mchid: MCHID.to_owned(), day: day.to_owned() };
        // A key of its own each time: what was refused may have been mended.
        let key = format!("sign:{day}:{who}:{approver:?}:{}", self.now().0);
        self.world.clock.advance(Duration::from_secs(1));
        match self.said(&key, who, approver, body).await {
            Ok(Reply::BillDay(day)) => Ok(*day),
            Err(SubmitError::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// What WeChat Pay holds for us by the journal, and what it kept.
    async fn held_and_kept(&self) -> (i64, i64) {
        let lines = self.world.store.trial_balance().await.unwrap();
        let net = |book: Book| {
            let of_book = lines.iter().filter(|line| line.book == book.as_str());
            i64::try_from(of_book.map(|line| line.debit - line.credit).sum::<i128>()).unwrap()
        };
        (net(Book::WechatClearing), net(Book::WechatFee))
    }
}

fn date(day: &str) -> BillDate {
    BillDate::read(day).unwrap()
}

fn payment(order: &Order, at: Timestamp) -> Row {
    Row {
        at,
        transaction: format!("T{}", order.id.bare()),
        number: order.id.bare(),
        amount: order.amount.get(),
        fee: fee(order.amount.get()),
        refund: None,
    }
}

fn refund(order: &Order, item: &RefundItem, at: Timestamp) -> Row {
    let ids = (format!("R{}", item.id.bare()), item.id.bare());
    let amount = item.amount.get();
    Row { amount, fee: -fee(amount), refund: Some(ids), ..payment(order, at) }
}

fn classes(report: &DayReport) -> Vec<(C, DifferenceState)> {
    let mut found: Vec<_> = report.differences.iter().map(|row| (row.found.class, row.state)).collect();
    found.sort_by_key(|(class, _)| class.as_str());
    found
}

#[tokio::test]
async fn a_day_on_which_all_agrees_is_signed_off_by_a_person() {
    let mut desk = Desk::new().await;
    let order = desk.pay(8_800).await;
    desk.pay(1_000).await;
    desk.refund(&order, 300).await;
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    assert_eq!(classes(&report), []);
    let (sums, day) = (&report.day.sums, &report.day);
    assert_eq!((sums.payments, sums.payments_matched, sums.paid), (2, 2, fen(9_800)));
    assert_eq!((sums.refunds, sums.refunds_matched, sums.refunded_matched), (1, 1, fen(300)));
    assert_eq!((sums.fees, sums.fees_expected), ("0.57".parse().unwrap(), "0.59".parse().unwrap()));
    assert_eq!(
        (day.state, day.source, sums.movements),
        (BillDayState::Agrees, Some(BillSource::Fetched), Some(6))
    );
    assert_eq!(desk.held_and_kept().await, (95_00 * 10_000_000 - 570_000_000, 570_000_000));

    let system = Command {
        actor: Actor::system("reconcile"),
        ..command(
            "s",
            desk.now(),
            Body::SignOffBillDay { mchid: MCHID.to_owned(), day: "2025-11-03".to_owned() },
        )
    };
    let refused = desk.world.store.submit(system).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Refused(Refusal::NeedsOperator)), "{refused:?}");
    let signed = desk.sign("2025-11-03", "ann", None).await.unwrap();
    assert_eq!((signed.state, signed.signed[0].by.id.as_str()), (BillDayState::SignedOff, "ann"));
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn a_day_run_twice_posts_nothing_twice() {
    let mut desk = Desk::new().await;
    let order = desk.pay(8_800).await;
    desk.refund(&order, 300).await;
    desk.pay_unheard(5_000).await;
    desk.world.far.knows_refund("CONSOLE1", &format!("T{}", order.id.bare()), 500, "SUCCESS");
    let ids = Some(("RC1".to_owned(), "CONSOLE1".to_owned()));
    desk.rows.push(Row { amount: 500, fee: -3, refund: ids, ..payment(&order, desk.now()) });
    let mut unknown = payment(&order, desk.now());
    (unknown.transaction, unknown.number, unknown.fee) = ("T9".to_owned(), "OTHER9".to_owned(), 0);
    desk.rows.push(unknown);
    // The far side names refunds after their numbers.
    desk.rows.iter_mut().filter_map(|row| row.refund.as_mut()).filter(|ids| ids.1 == "CONSOLE1").for_each(
        |ids| {
            ids.0 = "RCONSOLE1".to_owned();
        },
    );
    desk.bill_comes("2025-11-03");
    let first = desk.run("2025-11-03").await;
    let resolved = DifferenceState::Resolved;
    let found = [
        (C::MissingLocally, DifferenceState::Open),
        (C::PaidInBillPendingLocally, resolved),
        (C::RefundMissingLocally, resolved),
    ];
    assert_eq!(classes(&first), found);
    let held = desk.held_and_kept().await;
    let open = first.differences.iter().find(|row| row.state == DifferenceState::Open).unwrap();
    desk.explain(open, DifferenceCause::OtherSystem).await.unwrap();

    for _ in 0..2 {
        let again = desk.run("2025-11-03").await;
        let states: Vec<_> = classes(&again).into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [resolved; 3], "what was explained stays explained");
        assert_eq!(again.differences.iter().filter_map(|row| row.resolution.as_ref()).count(), 3);
        assert_eq!(
            (again.day.open, again.day.unmatched, again.day.state),
            (0, NanoCny::ZERO, BillDayState::Agrees)
        );
        assert_eq!(desk.held_and_kept().await, held);
    }
    let day = desk.world.store.bill_day(MCHID.to_owned(), "2025-11-03".to_owned()).await.unwrap().unwrap();
    assert_eq!(day.runs, 3);
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn what_the_channel_confirms_is_put_right_and_what_it_denies_is_not() {
    let mut desk = Desk::new().await;
    let paid = desk.pay(8_800).await;
    let lost = desk.pay_unheard(5_000).await;
    // The bill has it, and a query does not.
    let denied = desk.world.order(desk.account, fen(700), OrderKind::Wallet).await;
    desk.rows.push(payment(&denied, desk.now()));
    // Somebody gave money back in the console: one arrived, one is on its way.
    for (number, state) in [("C1", "SUCCESS"), ("C2", "PROCESSING")] {
        desk.world.far.knows_refund(number, &format!("T{}", paid.id.bare()), 200, state);
        let ids = Some((format!("R{number}"), number.to_owned()));
        desk.rows.push(Row { amount: 200, fee: -1, refund: ids, ..payment(&paid, desk.now()) });
    }
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    let of = |number: &str| {
        let named = |row: &&BillDifference| {
            [&row.found.out_refund_no, &row.found.out_trade_no].into_iter().flatten().any(|is| is == number)
                && (row.found.out_refund_no.is_none() || row.found.out_refund_no.as_deref() == Some(number))
        };
        report.differences.iter().find(named).unwrap()
    };
    let cause = |number: &str| of(number).resolution.as_ref().map(|resolution| resolution.cause);
    assert_eq!(cause(&lost.id.bare()), Some(DifferenceCause::LostNotice));
    assert_eq!(cause("C1"), Some(DifferenceCause::ConsoleRefund));
    assert_eq!((cause("C2"), cause(&denied.id.bare())), (None, None));
    assert!(of(&denied.id.bare()).found.detail.as_deref().unwrap().contains("ORDER_NOT_EXIST"));
    assert_eq!((report.day.open, report.day.unmatched), (2, "9".parse().unwrap()));
    let lost = desk.world.store.order(lost.id).await.unwrap().unwrap();
    assert_eq!(lost.state, OrderState::Paid);
    assert!(
        lost.timeline.iter().any(|step| (step.event.as_str(), step.source.as_str()) == ("credited", "bill"))
    );
    let paid = desk.world.store.order(paid.id).await.unwrap().unwrap();
    assert_eq!((paid.state, paid.refunded), (OrderState::PartiallyRefunded, fen(200)));

    // Both come about: the next look finds them so, and nobody has to say anything.
    desk.world.far.knows_refund("C2", &format!("T{}", paid.id.bare()), 200, "SUCCESS");
    desk.world.far.knows_paid(&denied, &format!("T{}", denied.id.bare()));
    let again = desk.run("2025-11-03").await;
    assert_eq!((again.day.open, again.day.state), (0, BillDayState::Agrees));
    let signed = desk.sign("2025-11-03", "ann", None).await.unwrap();
    assert_eq!(signed.state, BillDayState::SignedOff, "whoever asked for the comparison explained nothing");
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_that_nobody_made_stops_its_account() {
    let mut desk = Desk::new().await;
    desk.pay(1_000).await;
    let order = desk.world.order(desk.account, fen(50_000), OrderKind::Wallet).await;
    desk.world.paid(trade_of(&order, "FORGED", desk.now()), None).await;
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    assert_eq!(classes(&report), [(C::MissingInBill, DifferenceState::Open)]);
    let account = desk.world.store.account(desk.account).await.unwrap().unwrap();
    assert!(account.stopped && account.stop_reason.unwrap().contains(&order.id.to_string()));
    assert_eq!(*desk.told.stopped.lock().unwrap(), [desk.account]);
}

#[tokio::test]
async fn another_amount_on_the_bill_is_asked_after_and_stops_whoever_was_credited_more() {
    let mut desk = Desk::new().await;
    // The bill alone says otherwise; the channel says as we do.
    let order = desk.pay(1_000).await;
    desk.world.far.knows_paid(&order, &format!("T{}", order.id.bare()));
    desk.rows[0].amount = 999;
    // Nobody told us of it, and less was paid.
    let less = desk.world.order(desk.account, fen(700), OrderKind::Wallet).await;
    desk.world.far.knows_paid_with(&less, &format!("T{}", less.id.bare()), 70);
    desk.rows.push(Row { amount: 70, ..payment(&less, desk.now()) });
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    let detail = |report: &DayReport, order: &Order| {
        let of = |row: &&BillDifference| row.found.order == Some(order.id);
        let row = report.differences.iter().find(of).unwrap();
        assert_eq!((row.found.class, row.state), (C::AmountMismatch, DifferenceState::Open));
        row.found.detail.clone().unwrap()
    };
    assert!(detail(&report, &order).contains("10.00 yuan, as we do"), "{report:?}");
    assert!(detail(&report, &less).contains("waits for a decision"), "{report:?}");
    let put_aside = desk.world.store.order(less.id).await.unwrap().unwrap();
    assert_eq!(put_aside.state, OrderState::Review);
    assert!(desk.told.stopped.lock().unwrap().is_empty());

    // The channel says it too: ten yuan were credited, and 9.99 paid.
    desk.world.far.knows_paid_with(&order, &format!("T{}", order.id.bare()), 999);
    let report = desk.run("2025-11-03").await;
    assert!(detail(&report, &order).contains("another amount than was credited"), "{report:?}");
    let account = desk.world.store.account(desk.account).await.unwrap().unwrap();
    assert!(account.stopped && account.stop_reason.unwrap().contains(&order.id.to_string()));
    assert_eq!(*desk.told.stopped.lock().unwrap(), [desk.account]);
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn a_day_with_something_open_is_not_signed_off_and_two_people_settle_it() {
    let mut desk = Desk::new().await;
    desk.pay(1_000).await;
    let order = desk.pay(2_000).await;
    let row = desk.rows.pop().unwrap();
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    let [missing] = &report.differences[..] else { panic!("{report:?}") };
    assert_eq!((missing.found.class, missing.found.order), (C::MissingInBill, Some(order.id)));
    let day = "2025-11-03";
    let open = Refusal::BillDayOpen { mchid: MCHID.to_owned(), day: day.to_owned(), open: 1 };
    assert_eq!(desk.sign(day, "ann", None).await.unwrap_err(), open);
    desk.explain(missing, DifferenceCause::BillWrong).await.unwrap();
    let twice = desk.said(
        "x",
        "bea",
        None,
        Body::ResolveDifference {
            difference: missing.id.clone(),
            mchid: MCHID.to_owned(),
            day: day.to_owned(),
            cause: DifferenceCause::Other,
            evidence: None,
        },
    );
    let SubmitError::Refused(Refusal::DifferenceState { .. }) = twice.await.unwrap_err() else { panic!() };
    // Who explained it does not sign alone.
    assert_eq!(desk.sign(day, "ann", None).await.unwrap_err(), Refusal::NeedsApprover);
    let itself = desk.sign(day, "ann", Some("ann")).await;
    assert_eq!(itself.unwrap_err(), Refusal::NeedsApprover);
    let settled = desk.sign(day, "ann", Some("bea")).await.unwrap();
    let [signed] = &settled.signed[..] else { panic!("{settled:?}") };
    let who = (&signed.by.id[..], signed.approver.as_ref().map(|second| &second.id[..]));
    assert_eq!((settled.state, who), (BillDayState::SignedOff, ("ann", Some("bea"))));

    // The channel's next file has the row, and one more that nobody knows: the day is open again.
    desk.rows.extend([row.clone(), Row { transaction: "T8".to_owned(), number: "OTHER8".to_owned(), ..row }]);
    let reopened = desk.brought(day, &[("bill.csv", &trade_bill(&desk.rows))]).await.unwrap();
    assert_eq!((reopened.day.state, reopened.day.open), (BillDayState::Differs, 1));
    assert_eq!(reopened.day.signed.len(), 1, "who signed before is not forgotten");
    assert_eq!(
        classes(&reopened),
        [(C::MissingInBill, DifferenceState::Resolved), (C::MissingLocally, DifferenceState::Open),]
    );
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_told_of_one_by_one() {
    let mut desk = Desk::new().await;
    desk.pay(1_000).await;
    desk.pay(2_000).await;
    desk.bill_comes("2025-11-03");
    let foreign = trade_bill(&desk.rows).replace("`CNY,", "`USD,");
    let report = desk.brought("2025-11-03", &[("bill.csv", &foreign)]).await.unwrap();
    let unreadable = report.differences.iter().filter(|row| row.found.class == C::UnreadableRow);
    let mut lines: Vec<_> = unreadable.map(|row| row.found.detail.clone().unwrap()).collect();
    lines.sort();
    assert_eq!(lines, ["line 2: no usable value in 货币种类", "line 3: no usable value in 货币种类"]);
    let again = desk.run("2025-11-03").await;
    assert_eq!(
        (again.day.open, again.day.state),
        (0, BillDayState::Agrees),
        "the channel's own bill is right"
    );
    assert!(again.differences.iter().all(|row| row.state == DifferenceState::Gone), "{again:?}");
}

#[tokio::test]
async fn a_payment_at_midnight_is_looked_for_on_both_days() {
    let mut desk = Desk::new().await;
    let day = date("2025-11-03");
    desk.pay(1_000).await;
    desk.world.clock.move_to(Timestamp(day.ends().unwrap().0 - 60_000_000));
    let late = desk.pay(2_000).await;
    let forgotten = desk.world.pay(desk.account, 3_000).await;
    let late_row = desk.rows.pop().unwrap();
    desk.bill_comes("2025-11-03");
    // The account moved before midnight all the same, and of another payment in another way.
    let mut moved = desk.movements();
    moved.extend(late_row.movements());
    moved.extend(Row { amount: 3_001, fee: 18, ..payment(&forgotten, late_row.at) }.movements());
    desk.world.far.has_bill("flow", "2025-11-03", fund_flow(&moved));
    let report = desk.run("2025-11-03").await;
    let [unexplained] = &report.differences[..] else { panic!("what may be on the next day's: {report:?}") };
    let numbered = unexplained.found.out_trade_no.as_deref();
    assert_eq!((unexplained.found.class, numbered), (C::FlowUnexplained, Some(&*forgotten.id.bare())));
    desk.rows = vec![Row { at: day.ends().unwrap(), ..late_row }];
    desk.world.far.has_bill("trade", "2025-11-04", trade_bill(&desk.rows));
    desk.world.clock.move_to(date("2025-11-04").ready().unwrap());
    let report = desk.run("2025-11-04").await;
    let [missing] = &report.differences[..] else { panic!("{report:?}") };
    assert_eq!((missing.found.class, missing.found.order), (C::MissingInBill, Some(forgotten.id)));
    assert_eq!((report.day.sums.payments_matched, late.amount), (1, fen(2_000)));
}

#[tokio::test]
async fn what_is_booked_after_midnight_is_looked_for_on_the_next_days_bill() {
    let mut desk = Desk::new().await;
    let ends = date("2025-11-03").ends().unwrap();
    desk.world.clock.move_to(Timestamp(ends.0 - 60_000_000));
    let moved_late = desk.pay(2_000).await;
    let never_moved = desk.pay(3_000).await;
    desk.world.far.has_bill("trade", "2025-11-03", trade_bill(&desk.rows));
    desk.world.far.has_bill("flow", "2025-11-03", fund_flow(&[]));
    desk.world.clock.move_to(date("2025-11-03").ready().unwrap());
    assert_eq!(classes(&desk.run("2025-11-03").await), [], "the account may move after midnight");

    let after_midnight = |amount, order: &Order| {
        let row = Row { amount, fee: fee(amount), ..payment(order, Timestamp(ends.0 + 2_000_000)) };
        row.movements()
    };
    let mut moved = after_midnight(2_000, &moved_late);
    let stranger = Movement { business: "42".to_owned(), voucher: "EXTRA".to_owned(), ..moved[0].clone() };
    moved.push(stranger);
    desk.world.far.has_bill("trade", "2025-11-04", trade_bill(&[]));
    desk.world.far.has_bill("flow", "2025-11-04", fund_flow(&moved));
    desk.world.clock.move_to(date("2025-11-04").ready().unwrap());
    let report = desk.run("2025-11-04").await;
    let told =
        report.differences.iter().map(|row| (row.found.class, row.found.out_trade_no.clone().unwrap()));
    let expected = [(C::FlowMissing, never_moved.id.bare()), (C::FlowUnexplained, "EXTRA".to_owned())];
    assert_eq!(told.collect::<BTreeSet<_>>(), BTreeSet::from(expected));

    // Another amount than the row's is told as that.
    desk.world.far.has_bill("flow", "2025-11-04", fund_flow(&after_midnight(2_001, &moved_late)));
    let again = desk.run("2025-11-04").await;
    let open = again.differences.iter().filter(|row| row.state == DifferenceState::Open);
    let expected = [(C::FlowMissing, never_moved.id.bare()), (C::FlowAmountMismatch, moved_late.id.bare())];
    let told = open.map(|row| (row.found.class, row.found.out_trade_no.clone().unwrap()));
    assert_eq!(told.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[tokio::test]
async fn the_fee_of_a_refund_that_was_closed_is_kept_again() {
    let mut desk = Desk::new().await;
    let order = desk.pay(8_800).await;
    let item = desk.refund_that_is(&order, 5_000, RefundNews::Closed).await;
    let row = refund(&order, &item, desk.now());
    let mut moved = desk.movements();
    moved.extend(row.movements());
    // As WeChat Pay writes a refund that comes back: the trade bill has it as it was accepted, and no other row of it.
    let of_refund = moved[moved.len() - 2].clone();
    moved.push(Movement { kind: "退款关闭", amount: 5_000, ..of_refund.clone() });
    moved.push(Movement { kind: "扣除交易手续费", amount: -fee(5_000), ..of_refund });
    desk.rows.push(row);
    desk.bill_comes("2025-11-03");
    desk.world.far.has_bill("flow", "2025-11-03", fund_flow(&moved));
    assert_eq!(classes(&desk.run("2025-11-03").await), []);
    let (held, kept) = desk.held_and_kept().await;
    let whole = NanoCny::from(fen(8_800)).get();
    assert_eq!((held + kept, kept), (whole, NanoCny::from(fen(fee(8_800))).get()), "as if it had never been");
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn a_file_that_is_not_the_days_bill_is_refused_by_name_and_posts_nothing() {
    let mut desk = Desk::new().await;
    desk.pay(8_800).await;
    desk.bill_comes("2025-11-03");
    let whole = trade_bill(&desk.rows);
    let flow = fund_flow(&desk.movements());
    let cut = whole.split("总交易单数").next().unwrap().to_owned();
    let other = whole.replace(MCHID, "1688888801");
    let spoilt = whole.replacen("`88.00,`0.00", "`88.01,`0.00", 1);
    let of = |row: RunError| row;
    let refused = async |day: &str, files: &[(&str, &str)]| of(desk.brought(day, files).await.unwrap_err());
    let day = "2025-11-03";
    let RunError::File { name, error: BillError::UnknownHeader } =
        refused(day, &[("notes.txt", "hello")]).await
    else {
        panic!()
    };
    assert_eq!(name, "notes.txt");
    let RunError::File { error: BillError::MissingTotals, .. } = refused(day, &[("a", &cut)]).await else {
        panic!()
    };
    let RunError::File { error: BillError::Total(total), .. } = refused(day, &[("a", &spoilt)]).await else {
        panic!()
    };
    assert!(total.contains("应结"), "{total}");
    let RunError::OtherMerchant { mchid, .. } = refused(day, &[("a", &other)]).await else { panic!() };
    assert_eq!(mchid, "1688888801");
    let RunError::OtherDay { date, .. } = refused("2025-11-02", &[("a", &whole)]).await else { panic!() };
    assert_eq!(date, "2025-11-03");
    let RunError::WhichFiles = refused(day, &[("a", &flow)]).await else { panic!() };
    let RunError::WhichFiles = refused(day, &[("a", &whole), ("b", &whole)]).await else { panic!() };
    let part = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/books/bills/v3_trade_bill_SUCCESS_20251008.csv"
    ));
    let RunError::Partial { rows: "SUCCESS", .. } = refused("2025-10-08", &[("a", &part.unwrap())]).await
    else {
        panic!()
    };
    let RunError::NotReady(_) = refused("2025-11-04", &[("a", &whole)]).await else { panic!() };
    let unknown = RunWish { mchid: "1".to_owned(), ..desk.wish(day) };
    let unknown = desk.reconciler.run(&unknown, &|_| {}).await.unwrap_err();
    assert!(matches!(unknown, RunError::UnknownMerchant(_)), "{unknown:?}");
    assert_eq!(desk.held_and_kept().await.1, 0, "no fee was posted");
    assert_eq!(desk.world.store.bill_days(String::new(), "9".to_owned()).await.unwrap(), []);

    let taken = desk.brought(day, &[("flow.csv", &flow), ("trade.csv", &whole)]).await.unwrap();
    assert_eq!((taken.day.source, taken.day.state), (Some(BillSource::File), BillDayState::Agrees));
}

#[tokio::test]
async fn fees_are_posted_as_the_bill_has_them_and_compared_with_the_tiers() {
    let mut desk = Desk::new().await;
    let first = desk.pay(10_000).await;
    desk.pay(20_000).await;
    desk.rows.iter_mut().for_each(|row| row.fee *= 2);
    desk.bill_comes("2025-11-03");
    let report = desk.run("2025-11-03").await;
    let [fees] = &report.differences[..] else { panic!("{report:?}") };
    assert_eq!((fees.found.class, fees.found.out_trade_no.clone()), (C::FeeOtherwise, Some(first.id.bare())));
    assert_eq!(
        (fees.found.bill, fees.found.local),
        (Some("3.6".parse().unwrap()), Some("1.8".parse().unwrap()))
    );
    assert_eq!(desk.held_and_kept().await.1, 3_600_000_000, "what the bill says, whatever was expected");
    // A fee that changes afterwards is told of, and not posted beside the first.
    desk.rows.iter_mut().for_each(|row| row.fee /= 2);
    let again = desk.brought("2025-11-03", &[("later.csv", &trade_bill(&desk.rows))]).await.unwrap();
    let found = classes(&again);
    assert_eq!(found.iter().filter(|(class, _)| *class == C::FeeChanged).count(), 2, "{found:?}");
    assert_eq!(desk.held_and_kept().await.1, 3_600_000_000);
    desk.world.assert_sound().await;
}

#[tokio::test]
async fn days_are_compared_by_themselves_after_ten_and_what_was_missed_is_caught_up_with() {
    let mut desk = Desk::new().await;
    let stop = CancellationToken::new();
    let work = {
        let (reconciler, stop) = (desk.reconciler.clone(), stop.clone());
        TaskTracker::new().spawn(async move { reconciler.work(stop).await })
    };
    let clock = desk.world.clock.clone();
    assert_eq!(
        clock.first_sleeper().await,
        clock.now().after(HOUR),
        "it is nine: nothing is fetched before ten"
    );
    desk.pay(1_000).await;
    let day = "2025-11-03";
    desk.world.far.is_making_bills_of(day);
    clock.move_to(date(day).ready().unwrap());
    desk.world.far.was_asked(Op::Bill, 1).await;
    desk.world.far.has_bill("trade", day, trade_bill(&desk.rows));
    let compared = |days: usize| {
        let told = desk.told.clone();
        move || told.reports.lock().unwrap().len() >= days
    };
    let one = compared(1);
    clock.run_until(async || one()).await;
    let asked = desk.world.far.asked(Op::Bill);
    let tries: Vec<_> = asked.iter().filter(|asked| asked.number == "trade-2025-11-03").collect();
    assert_eq!(tries.len(), 2);
    assert_eq!(
        tries[1].at,
        tries[0].at.after(Duration::from_secs(300)),
        "a bill that is not ready is asked for later"
    );
    stop.cancel();
    work.await.unwrap();

    // Four days without a process.
    clock.move_to(date("2025-11-07").ready().unwrap());
    let stop = CancellationToken::new();
    let work = {
        let (reconciler, stop) = (desk.reconciler.clone(), stop.clone());
        TaskTracker::new().spawn(async move { reconciler.work(stop).await })
    };
    let all = compared(5);
    clock.run_until(async || all()).await;
    stop.cancel();
    work.await.unwrap();
    let days: Vec<_> = desk.world.store.bill_days(String::new(), "9".to_owned()).await.unwrap();
    let days: BTreeMap<_, _> = days.iter().map(|row| (row.day.as_str(), (row.runs, row.source))).collect();
    assert_eq!(days[day], (1, Some(BillSource::Fetched)));
    for day in ["2025-11-04", "2025-11-05", "2025-11-06", "2025-11-07"] {
        assert_eq!(days[day], (1, Some(BillSource::NoTrade)), "{day}");
    }
}

#[tokio::test]
async fn one_node_takes_a_day_and_the_other_leaves_it() {
    let database = Database::like("reconciling", async |url| {
        let folder = tempfile::tempdir().unwrap();
        Store::open_postgres(postgres_settings(url, folder.path())).await.unwrap().close().await;
    })
    .await;
    let open = async || {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_postgres(postgres_settings(database.url(), folder.path())).await.unwrap();
        (store, folder)
    };
    let ((one, _one), (other, _other)) = (open().await, open().await);
    let now = crate::support::START;
    let take = |who: &str| {
        let until = now.after(HOUR);
        let body = Body::TakeBillDay { mchid: MCHID.to_owned(), day: "2025-10-08".to_owned(), until };
        Command { actor: Actor::system(who), ..command("take", now, body) }
    };
    for (store, who) in [(&one, "a"), (&other, "b"), (&one, "a")] {
        let Reply::BillDay(day) = store.submit(take(who)).await.unwrap() else { panic!() };
        assert_eq!(day.taken.unwrap().by, "a", "{who} asked");
    }
    assert_eq!(one.verify().await.unwrap().0, Vec::<String>::new());
    one.close().await;
    other.close().await;
}
