//! A month of trade with one per cent of faults: each is found, and nothing else is.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use payments::ledger::{
    BillDayState, DifferenceCause, DifferenceClass as C, DifferenceState, Order, OrderKind,
};
use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};
use units::Timestamp;

use super::{BillDate, Desk, Row, date, fee, payment, refund};
use crate::support::{
    bills::{Movement, fund_flow, trade_bill},
    fen, trade_of,
};

const DAYS: usize = 30;
const PAYMENTS_A_DAY: u32 = 60;
/// Of so many payments and refunds one goes wrong, wherever among them.
const FAULTS: u32 = 100;

/// What goes wrong, in turn, so that each does.
const KINDS: [Fault; 12] = [
    Fault::LostNotice,
    Fault::PaymentMissing,
    Fault::PaymentDifferent,
    Fault::Extra,
    Fault::Repeated,
    Fault::FeeOtherwise,
    Fault::FlowMissing,
    Fault::FlowDifferent,
    Fault::FlowExtra,
    Fault::RefundMissing,
    Fault::RefundDifferent,
    Fault::ConsoleRefund,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    LostNotice,
    PaymentMissing,
    PaymentDifferent,
    Extra,
    Repeated,
    FeeOtherwise,
    FlowMissing,
    FlowDifferent,
    FlowExtra,
    RefundMissing,
    RefundDifferent,
    ConsoleRefund,
}

struct Month {
    desk: Desk,
    rng: TestRng,
    /// Faults that wait for a row they fit.
    waiting: Vec<Fault>,
    turn: usize,
    events: u32,
    strike_at: u32,
    /// What there is to find: in which way, and the number.
    injected: BTreeSet<(C, String)>,
    /// Paid and not given back yet.
    refundable: Vec<Order>,
    rows: Vec<Row>,
    movements: Vec<Movement>,
    numbers: u32,
}

impl Month {
    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    /// The fault that strikes now, if one does.
    fn strikes(&mut self, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let place = self.events % FAULTS;
        if place == 0 {
            self.strike_at = self.below(FAULTS);
        }
        self.events += 1;
        if place == self.strike_at {
            self.waiting.push(KINDS[self.turn % KINDS.len()]);
            self.turn += 1;
        }
        let place = self.waiting.iter().position(|fault| fits(*fault))?;
        Some(self.waiting.remove(place))
    }

    fn inject(&mut self, class: C, number: &str) {
        assert!(self.injected.insert((class, number.to_owned())), "{class} {number} twice");
    }

    /// What both bills have of it.
    fn bill(&mut self, row: Row) {
        self.movements.extend(row.movements());
        self.rows.push(row);
    }

    async fn payment(&mut self, at: Timestamp) {
        self.desk.world.clock.move_to(at);
        let amount = i64::from(100 + self.below(20_000));
        let of_refund = [Fault::RefundMissing, Fault::RefundDifferent, Fault::ConsoleRefund];
        let fault = self.strikes(|fault| !of_refund.contains(&fault));
        let order = self.desk.world.order(self.desk.account, fen(amount), OrderKind::Wallet).await;
        let transaction = format!("T{}", order.id.bare());
        self.desk.world.far.knows_paid(&order, &transaction);
        let row = payment(&order, at);
        if fault != Some(Fault::LostNotice) {
            self.desk.world.paid(trade_of(&order, &transaction, at), None).await;
        }
        let number = order.id.bare();
        let Some(fault) = fault else {
            self.bill(row);
            return self.refundable.push(order);
        };
        self.numbers += 1;
        match fault {
            Fault::LostNotice => {
                self.inject(C::PaidInBillPendingLocally, &number);
                self.bill(row);
            }
            Fault::PaymentMissing => {
                self.inject(C::MissingInBill, &number);
                self.movements.extend(row.movements());
            }
            Fault::PaymentDifferent => {
                self.inject(C::AmountMismatch, &number);
                self.movements.extend(row.movements());
                self.rows.push(Row { amount: row.amount + 1, ..row });
            }
            Fault::Extra => {
                let foreign = format!("EXTRA{}", self.numbers);
                self.inject(C::MissingLocally, &foreign);
                let transaction = format!("42{:08}", self.numbers);
                self.rows.push(Row { transaction, number: foreign, fee: 0, ..row.clone() });
                self.bill(row);
            }
            Fault::Repeated => {
                self.inject(C::RepeatedInBill, &row.transaction);
                self.rows.push(row.clone());
                self.bill(row);
            }
            Fault::FeeOtherwise => {
                self.inject(C::FeeOtherwise, &number);
                self.bill(Row { fee: row.fee + 100, ..row });
            }
            Fault::FlowMissing => {
                self.inject(C::FlowMissing, &number);
                self.rows.push(row);
            }
            Fault::FlowDifferent => {
                self.inject(C::FlowAmountMismatch, &number);
                let mut moved = row.movements();
                moved[0].amount += 7;
                self.movements.extend(moved);
                self.rows.push(row);
            }
            Fault::FlowExtra => {
                let foreign = format!("EXTRA{}", self.numbers);
                self.inject(C::FlowUnexplained, &foreign);
                let (business, voucher) = (format!("42{:08}", self.numbers), foreign);
                self.movements.push(Movement { at, business, voucher, kind: "交易", amount: 9 });
                self.bill(row);
            }
            Fault::RefundMissing | Fault::RefundDifferent | Fault::ConsoleRefund => unreachable!(),
        }
    }

    async fn refund(&mut self, at: Timestamp) {
        if self.refundable.is_empty() {
            return;
        }
        let place = self.below(u32::try_from(self.refundable.len()).unwrap()) as usize;
        let order = self.refundable.remove(place);
        self.desk.world.clock.move_to(at);
        let amount = 1 + i64::from(self.below(u32::try_from(order.amount.get()).unwrap()));
        let of_refund = [Fault::RefundMissing, Fault::RefundDifferent, Fault::ConsoleRefund];
        let fault = self.strikes(|fault| of_refund.contains(&fault));
        if fault == Some(Fault::ConsoleRefund) {
            self.numbers += 1;
            let number = format!("CONSOLE{}", self.numbers);
            let transaction = format!("T{}", order.id.bare());
            self.desk.world.far.knows_refund(&number, &transaction, amount, "SUCCESS");
            self.inject(C::RefundMissingLocally, &number);
            let ids = Some((format!("R{number}"), number));
            return self.bill(Row { amount, fee: -fee(amount), refund: ids, ..payment(&order, at) });
        }
        let item = self.desk.refund_unbilled(&order, amount).await;
        let row = refund(&order, &item, at);
        match fault {
            Some(Fault::RefundMissing) => {
                self.inject(C::RefundMissingInBill, &item.id.bare());
                self.movements.extend(row.movements());
            }
            Some(Fault::RefundDifferent) => {
                self.inject(C::RefundAmountMismatch, &item.id.bare());
                self.movements.extend(row.movements());
                self.rows.push(Row { amount: row.amount + 1, ..row });
            }
            _ => self.bill(row),
        }
    }

    /// A day of trade, up to the last second before midnight.
    async fn trade(&mut self, day: BillDate) {
        let begins = day.begins().unwrap();
        // Not before ten: until then the day before is looked at.
        let mut times: Vec<u32> = (0..PAYMENTS_A_DAY).map(|_| 36_000 + self.below(50_399)).collect();
        times.push(86_399);
        times.sort_unstable();
        times.dedup();
        for secs in times {
            let at = begins.after(Duration::from_secs(u64::from(secs)));
            if self.below(10) == 0 {
                self.refund(at).await;
            } else {
                self.payment(at).await;
            }
        }
    }

    /// The bills of the day come: they have what fell on it.
    fn bills_come(&mut self, day: BillDate) {
        let named = day.to_string();
        let far = &self.desk.world.far;
        far.has_bill("trade", &named, trade_bill(&self.rows));
        far.has_bill("flow", &named, fund_flow(&self.movements));
        self.rows.clear();
        self.movements.clear();
        self.desk.world.clock.move_to(day.ready().unwrap());
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn seed() -> [u8; 32] {
    let mut seed = [7; 32];
    match std::env::var("TOLLGATE_SEED") {
        Ok(given) => seed[..8].copy_from_slice(&given.parse::<u64>().expect("a number").to_be_bytes()),
        Err(_) => seed[..8].copy_from_slice(&RandomState::new().hash_one(0).to_be_bytes()),
    }
    seed
}

#[tokio::test]
async fn of_a_month_of_trade_every_injected_difference_is_found_and_no_other() {
    let seed = seed();
    println!("TOLLGATE_SEED={}", u64::from_be_bytes(seed[..8].try_into().unwrap()));
    let mut month = Month {
        desk: Desk::new().await,
        rng: TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
        waiting: Vec::new(),
        turn: 0,
        events: 0,
        strike_at: 0,
        injected: BTreeSet::new(),
        refundable: Vec::new(),
        rows: Vec::new(),
        movements: Vec::new(),
        numbers: 0,
    };
    let mut day = date("2025-11-03");
    let mut found = BTreeSet::new();
    for _ in 0..DAYS {
        month.trade(day).await;
        month.bills_come(day);
        let named = day.to_string();
        let report = month.desk.run(&named).await;
        for row in &report.differences {
            let number = row.found.out_refund_no.as_ref().or(row.found.out_trade_no.as_ref());
            let number = number.or(row.found.transaction_id.as_ref()).unwrap();
            assert!(found.insert((row.found.class, number.clone())), "{row:?} is told twice");
            let healed = matches!(row.found.class, C::PaidInBillPendingLocally | C::RefundMissingLocally);
            assert_eq!(row.state == DifferenceState::Resolved, healed, "{row:?}");
            if !healed {
                month.desk.explain(row, DifferenceCause::BillWrong).await.unwrap();
            }
        }
        let signed = month.desk.sign(&named, "bea", None).await.unwrap();
        assert_eq!((signed.state, signed.open), (BillDayState::SignedOff, 0), "{named}");
        day = day.next().unwrap();
    }
    // What happened in the last minutes is looked for on the next day's bill.
    month.desk.world.far.has_bill("trade", &day.to_string(), trade_bill(&[]));
    month.desk.world.far.has_bill("flow", &day.to_string(), fund_flow(&[]));
    month.desk.world.clock.move_to(day.ready().unwrap());
    for row in month.desk.run(&day.to_string()).await.differences {
        let number = row.found.out_refund_no.or(row.found.out_trade_no).unwrap();
        found.insert((row.found.class, number));
    }
    let missed: Vec<_> = month.injected.difference(&found).collect();
    let invented: Vec<_> = found.difference(&month.injected).collect();
    assert_eq!((&missed, &invented), (&vec![], &vec![]), "not found, and found though nobody injected it");
    let classes: BTreeSet<C> = month.injected.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes.len(), KINDS.len(), "each kind of fault struck: {classes:?}");
    month.desk.world.assert_sound().await;
}
