//! Which of our orders and refunds does a day's bill have to have, and as what do they stand beside it?

use std::collections::BTreeSet;

use units::{Fen, NanoCny, OrderId, RefundId, Timestamp};

use super::{
    bill::{RowKind, TradeRow},
    brought::Bills,
    date::BillDate,
    flows,
    matching::{LocalOrder, LocalRefund},
};
use crate::{
    ledger::{FoundDifference, Order, OrderState, RefundItem, RefundItemState as S, SuspenseState},
    store::{BillNames, OurSide},
};

/// Close to midnight a payment may stand on either day's bill: it is looked for on both.
const MIDNIGHT: i64 = 600 * 1_000_000;
/// Days on whose bills something is looked for that was begun long ago.
const EARLIER_DAYS: usize = 31;

/// A day whose bill is compared.
#[derive(Debug, Clone)]
pub(super) struct Day {
    pub(super) mchid: String,
    pub(super) date: BillDate,
    pub(super) begins: Timestamp,
    pub(super) ends: Timestamp,
}

impl Day {
    pub(super) fn new(mchid: &str, date: BillDate) -> Option<Self> {
        Some(Self { mchid: mchid.to_owned(), date, begins: date.begins()?, ends: date.ends()? })
    }

    /// The time of which everything has to be on this bill, or have been on one before: it ends before midnight does, so
    /// that what may be on the next day's is looked for then.
    fn window(&self) -> std::ops::Range<Timestamp> {
        Timestamp(self.begins.0 - MIDNIGHT)..Timestamp(self.ends.0 - MIDNIGHT)
    }

    pub(super) fn has(&self, at: Timestamp) -> bool {
        (self.begins..self.ends).contains(&at)
    }

    /// What has to be looked up for these bills.
    pub(super) fn names(&self, bills: &Bills) -> BillNames {
        let mut names = BillNames { from: self.window().start, to: self.ends, ..BillNames::default() };
        names.refunds.extend(bills.flow.iter().flat_map(flows::kept_again).map(|kept| kept.refund));
        for row in &bills.trade.rows {
            names.orders.extend(order_of(row));
            names.transactions.push(row.transaction_id.clone());
            if let RowKind::Refund(part) = &row.kind {
                names.refunds.extend(RefundId::from_bare(&part.out_refund_no).ok());
            }
        }
        names.refunds.sort_unstable();
        names.refunds.dedup();
        names.orders.sort_unstable();
        names.orders.dedup();
        names.transactions.sort_unstable();
        names.transactions.dedup();
        names
    }

    /// The key under which it is remembered that this number was on the bill of that day: that of its fee.
    pub(super) fn fee_key(&self, date: BillDate, number: &str) -> String {
        format!("fee:{}", self.bill_row(date, number))
    }

    pub(super) fn bill_row(&self, date: BillDate, number: &str) -> String {
        format!("{}:{date}:{number}", self.mchid)
    }
}

/// The order that a row names, if the number is one of ours.
pub(super) fn order_of(row: &TradeRow) -> Option<OrderId> {
    OrderId::from_bare(&row.out_trade_no).ok()
}

/// Whether a row is of a payment that was put aside and that a person has decided about: it lies in the books as what it is.
pub(super) fn is_decided(ours: &OurSide, row: &TradeRow) -> bool {
    let RowKind::Payment { total, .. } = &row.kind else { return false };
    ours.aside
        .get(&row.transaction_id)
        .is_some_and(|payment| payment.state != SuspenseState::Open && payment.amount == *total)
}

/// What may have stood on an earlier bill: the keys that would say so, from the day on which it was begun.
pub(super) fn earlier(day: &Day, ours: &OurSide) -> Vec<String> {
    let paid = ours.orders.values().filter(|order| is_paid_within(day, order));
    let payments = paid.filter_map(|order| Some((order.transaction_id.as_deref()?, order.created_at)));
    let accepted = ours.items.values().filter(|item| is_accepted_within(day, ours, item));
    let refunds = accepted.filter_map(|item| Some((item.refund_id.as_deref()?, item.created_at)));
    let mut keys = Vec::new();
    for (number, since) in payments.chain(refunds) {
        let mut date = BillDate::of(since);
        for _ in 0..EARLIER_DAYS {
            let Some(at) = date.filter(|date| *date < day.date) else { break };
            keys.push(day.fee_key(at, number));
            date = at.next();
        }
    }
    keys
}

/// The numbers in keys of [`earlier`] that were found.
fn numbers(on_earlier: &BTreeSet<String>) -> BTreeSet<&str> {
    on_earlier.iter().filter_map(|key| key.rsplit(':').next()).collect()
}

fn is_paid_within(day: &Day, order: &Order) -> bool {
    order.mchid == day.mchid && order.paid_at.is_some_and(|at| day.window().contains(&at))
}

fn is_accepted(day: &Day, ours: &OurSide, item: &RefundItem) -> bool {
    let accepted = matches!(item.state, S::Processing | S::Success | S::Abnormal);
    accepted && ours.orders.get(&item.order).is_some_and(|order| order.mchid == day.mchid)
}

fn is_accepted_within(day: &Day, ours: &OurSide, item: &RefundItem) -> bool {
    is_accepted(day, ours, item) && item.sent_at.is_some_and(|at| day.window().contains(&at))
}

/// Whether a movement that no row explains is of a payment or a refund of ours in the last minutes of the day: its row may
/// stand on the next day's bill, and whether it does is asked then.
pub(super) fn is_looked_for_tomorrow(day: &Day, ours: &OurSide, found: &FoundDifference) -> bool {
    let (amount, at) = match (&found.out_refund_no, &found.out_trade_no) {
        (Some(number), _) => {
            let item = RefundId::from_bare(number).ok().and_then(|id| ours.items.get(&id));
            let item = item.filter(|item| is_accepted(day, ours, item));
            (item.map(|item| item.amount), item.and_then(|item| item.sent_at))
        }
        (None, Some(number)) => {
            let order = OrderId::from_bare(number).ok().and_then(|id| ours.orders.get(&id));
            let order = order.filter(|order| order.mchid == day.mchid);
            (order.map(|order| order.amount), order.and_then(|order| order.paid_at))
        }
        (None, None) => return false,
    };
    let is_late = at.is_some_and(|at| (day.window().end..day.ends).contains(&at));
    is_late && found.bill == amount.map(NanoCny::from)
}

/// Orders as they stand beside the bill; `on_earlier` are the keys that were found, and `compared_before` whether the day
/// before was compared at all.
pub(super) fn orders(
    day: &Day,
    ours: &OurSide,
    on_earlier: &BTreeSet<String>,
    compared_before: bool,
) -> Vec<LocalOrder> {
    let on_earlier = numbers(on_earlier);
    let of_merchant = ours.orders.values().filter(|order| order.mchid == day.mchid);
    of_merchant
        .map(|order| {
            let paid = order.state.is_paid() || order.state == OrderState::Refunded;
            let booked = ours.booked.get(&order.id).copied().unwrap_or(NanoCny::ZERO);
            let before = order.transaction_id.as_deref().is_some_and(|number| on_earlier.contains(number));
            // Of the last minutes of a day that nobody compared nothing is known.
            let known = compared_before || order.paid_at.is_some_and(|at| at >= day.begins);
            LocalOrder {
                out_trade_no: order.out_trade_no(),
                transaction_id: order.transaction_id.clone(),
                total: order.amount,
                paid,
                booked,
                due: paid && known && !before && is_paid_within(day, order),
            }
        })
        .collect()
}

/// Refunds as they stand beside the bill.
pub(super) fn refunds(
    day: &Day,
    ours: &OurSide,
    on_earlier: &BTreeSet<String>,
    compared_before: bool,
) -> Vec<LocalRefund> {
    let on_earlier = numbers(on_earlier);
    let of_merchant = ours
        .items
        .values()
        .filter(|item| ours.orders.get(&item.order).is_some_and(|order| order.mchid == day.mchid));
    of_merchant
        .map(|item| {
            let before = item.refund_id.as_deref().is_some_and(|number| on_earlier.contains(number));
            let known = compared_before || item.sent_at.is_some_and(|at| at >= day.begins);
            LocalRefund {
                out_refund_no: item.id.bare(),
                refund: item.amount,
                booked: NanoCny::from(set_aside(item)),
                due: known && !before && is_accepted_within(day, ours, item),
            }
        })
        .collect()
}

/// What the ledger has set aside or paid out for it. One that the channel closed was on the bill of the day on which it was
/// accepted, and is undone by the channel's own word.
const fn set_aside(item: &RefundItem) -> Fen {
    match item.state {
        S::Queued | S::Refused | S::Cancelled => Fen::ZERO,
        S::Sent | S::Unknown | S::Wait | S::Processing | S::Success | S::Closed | S::Abnormal => item.amount,
    }
}
