//! What was found, as it is written down.

use std::collections::BTreeSet;

use units::{Fen, NanoCny, Overflow};

use super::{
    bill::{RowKind, TradeBill, TradeRow},
    flows,
    matching::Difference,
};
use crate::ledger::{BillSums, Carried, DifferenceClass, FoundDifference};

/// What a bill comes to, and how much of it agrees.
pub(super) fn sums(trade: &TradeBill, agrees: impl Fn(&TradeRow) -> bool) -> Result<BillSums, Overflow> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut sums = BillSums { rows: count(trade.rows.len() + trade.set_aside.len()), ..BillSums::default() };
    for row in &trade.rows {
        sums.fees = NanoCny::new(sums.fees.get().checked_add(row.fee.get()).ok_or(Overflow)?);
        let agrees = agrees(row);
        match &row.kind {
            RowKind::Payment { total, .. } => {
                sums.payments += 1;
                sums.paid = sums.paid.plus(*total)?;
                if agrees {
                    sums.payments_matched += 1;
                    sums.paid_matched = sums.paid_matched.plus(*total)?;
                }
            }
            RowKind::Refund(part) => {
                sums.refunds += 1;
                sums.refunded = sums.refunded.plus(part.applied)?;
                if agrees {
                    sums.refunds_matched += 1;
                    sums.refunded_matched = sums.refunded_matched.plus(part.applied)?;
                }
            }
            RowKind::Other(_) => {}
        }
    }
    Ok(sums)
}

/// What the fund flow bill tells otherwise; of what differs already, only that it does. What is left to the next day.
pub(super) fn add_flows(differences: &mut Vec<FoundDifference>, flows: flows::Compared) -> Vec<Carried> {
    // A refund is known by its own number: its payment may be quite in order.
    let number = |refund: &Option<String>, payment: &Option<String>| match refund {
        Some(refund) => Some(("refund", refund.clone())),
        None => payment.clone().map(|number| ("payment", number)),
    };
    let told: BTreeSet<_> =
        differences.iter().filter_map(|found| number(&found.out_refund_no, &found.out_trade_no)).collect();
    let is_told =
        |refund: &_, payment: &_| number(refund, payment).is_some_and(|number| told.contains(&number));
    let news = flows.differences.into_iter();
    differences.extend(news.filter(|found| !is_told(&found.out_refund_no, &found.out_trade_no)));
    let carried = flows.carried.into_iter();
    carried
        .map(|carried| Carried { told: is_told(&carried.out_refund_no, &carried.out_trade_no), ..carried })
        .collect()
}

/// A difference about this row.
pub(super) fn of_row(row: &TradeRow, class: DifferenceClass) -> FoundDifference {
    FoundDifference {
        out_trade_no: Some(row.out_trade_no.clone()),
        out_refund_no: match &row.kind {
            RowKind::Refund(part) => Some(part.out_refund_no.clone()),
            _ => None,
        },
        transaction_id: Some(row.transaction_id.clone()),
        ..FoundDifference::new(class)
    }
}

/// A difference as it is written down.
pub(super) fn found(difference: &Difference) -> FoundDifference {
    use Difference as D;
    use DifferenceClass as C;
    let yuan = |amount: &Fen| Some(NanoCny::from(*amount));
    let some = |text: &String| Some(text.clone());
    match difference {
        D::PaidInBillPendingLocally { out_trade_no, transaction_id, bill } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::PaidInBillPendingLocally)
        },
        D::AmountMismatch { out_trade_no, bill, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            bill: yuan(bill),
            local: yuan(local),
            ..FoundDifference::new(C::AmountMismatch)
        },
        D::OtherTransaction { out_trade_no, bill, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(bill),
            detail: Some(format!("our order has {local}")),
            ..FoundDifference::new(C::OtherTransaction)
        },
        D::BookedOtherwise { out_trade_no, bill, booked } => FoundDifference {
            out_trade_no: some(out_trade_no),
            bill: yuan(bill),
            local: yuan(bill),
            booked: Some(*booked),
            ..FoundDifference::new(C::BookedOtherwise)
        },
        D::MissingLocally { out_trade_no, transaction_id, bill } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::MissingLocally)
        },
        D::MissingInBill { out_trade_no, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            local: yuan(local),
            ..FoundDifference::new(C::MissingInBill)
        },
        D::RefundMissingLocally { out_refund_no, out_trade_no, transaction_id, bill } => FoundDifference {
            out_refund_no: some(out_refund_no),
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::RefundMissingLocally)
        },
        D::RefundAmountMismatch { out_refund_no, bill, local } => FoundDifference {
            out_refund_no: some(out_refund_no),
            bill: yuan(bill),
            local: yuan(local),
            ..FoundDifference::new(C::RefundAmountMismatch)
        },
        D::RefundBookedOtherwise { out_refund_no, bill, booked } => FoundDifference {
            out_refund_no: some(out_refund_no),
            bill: yuan(bill),
            local: yuan(bill),
            booked: Some(*booked),
            ..FoundDifference::new(C::RefundBookedOtherwise)
        },
        D::RefundMissingInBill { out_refund_no, local } => FoundDifference {
            out_refund_no: some(out_refund_no),
            local: yuan(local),
            ..FoundDifference::new(C::RefundMissingInBill)
        },
        D::Repeated { number } => {
            FoundDifference { transaction_id: some(number), ..FoundDifference::new(C::RepeatedInBill) }
        }
        D::UnknownKind { out_trade_no, kind } => FoundDifference {
            out_trade_no: some(out_trade_no),
            detail: Some(kind.clone()),
            ..FoundDifference::new(C::UnknownKind)
        },
    }
}
