//! Did the merchant's account move as the trade bill says? Both are the channel's own, of the same day.

use std::collections::{BTreeMap, BTreeSet};

use units::{Fen, NanoCny, Timestamp};

use super::bill::{FlowRow, FundFlow, RowKind, TradeBill, TradeRow};
use crate::ledger::{DifferenceClass, FoundDifference};

/// A movement is booked a little after what it is of: close to midnight it may stand on the next day's bill.
const BOOKED_WITHIN: i64 = 600 * 1_000_000;

/// What a payment brings in and a refund takes out, and what the channel keeps of the one and gives back of the other.
///
/// Source: WeChat Pay, format of the fund flow bill, kinds of business. The list grows: others are passed over.
const PAID: &str = "交易";
const REFUNDED: &str = "退款";
const FEE: &str = "扣除交易手续费";
const FEE_BACK: &str = "退还交易手续费";

/// What moved for one payment or refund.
#[derive(Default)]
struct Moved {
    /// Of the payment or the refund itself, in fen: what leaves is negative. Absent where nothing moved.
    principal: Option<i64>,
    /// What was kept, in fen, less what was given back.
    fee: i64,
    voucher: String,
    at: Timestamp,
}

/// Lays a day's movements beside its trade.
pub(super) fn compare(trade: &TradeBill, flow: &FundFlow, ends: Timestamp) -> Vec<FoundDifference> {
    let mut moved = moved(flow);
    let mut differences = Vec::new();
    let mut told = BTreeSet::new();
    for row in &trade.rows {
        let (number, expected) = match &row.kind {
            RowKind::Payment { settled, .. } => (&row.transaction_id, settled.get()),
            RowKind::Refund(part) => (&part.refund_id, -part.settled.get()),
            RowKind::Other(_) => continue,
        };
        if !told.insert(number.clone()) {
            continue;
        }
        match moved.remove(number).filter(|moved| moved.principal.is_some()) {
            Some(moved) => differences.extend(otherwise(row, &moved, expected)),
            None if expected == 0 || row.time.0 >= ends.0 - BOOKED_WITHIN => {}
            None => differences.push(of_row(row, DifferenceClass::FlowMissing, expected, None)),
        }
    }
    let begins = ends.0 - 86_400 * 1_000_000;
    let unexplained = moved.into_iter().filter_map(|(number, moved)| {
        let principal = moved.principal.filter(|_| moved.at.0 >= begins + BOOKED_WITHIN)?;
        let is_refund = principal < 0;
        Some(FoundDifference {
            out_trade_no: (!is_refund).then(|| moved.voucher.clone()),
            out_refund_no: is_refund.then(|| moved.voucher.clone()),
            transaction_id: Some(number),
            bill: fen(principal.abs()),
            ..FoundDifference::new(DifferenceClass::FlowUnexplained)
        })
    });
    differences.extend(unexplained);
    differences
}

fn moved(flow: &FundFlow) -> BTreeMap<String, Moved> {
    let mut all: BTreeMap<String, Moved> = BTreeMap::new();
    for row in &flow.rows {
        let FlowRow { business_no, kind, income, amount, voucher, .. } = row;
        let signed = if *income { amount.get() } else { -amount.get() };
        if ![PAID, REFUNDED, FEE, FEE_BACK].contains(&kind.as_str()) {
            continue;
        }
        let entry = all.entry(business_no.clone()).or_default();
        voucher.clone_into(&mut entry.voucher);
        entry.at = row.time;
        match kind.as_str() {
            PAID | REFUNDED => entry.principal = Some(entry.principal.unwrap_or(0).saturating_add(signed)),
            _ => entry.fee = entry.fee.saturating_sub(signed),
        }
    }
    all
}

/// What moved otherwise than the row says, if anything did: the amount first, then the fee, which is booked in whole fen.
fn otherwise(row: &TradeRow, moved: &Moved, expected: i64) -> Option<FoundDifference> {
    let principal = moved.principal.unwrap_or(0);
    if principal != expected {
        return Some(of_row(row, DifferenceClass::FlowAmountMismatch, expected, Some(principal)));
    }
    let fee = NanoCny::from(Fen::new(moved.fee.abs()).ok()?).get() * moved.fee.signum();
    let whole_fen = 10_000_000;
    if (fee - row.fee.get()).abs() < whole_fen {
        return None;
    }
    let mut found = of_row(row, DifferenceClass::FlowAmountMismatch, 0, None);
    (found.bill, found.local) = (Some(row.fee), Some(NanoCny::new(fee)));
    found.detail = Some("the fee".to_owned());
    Some(found)
}

fn of_row(row: &TradeRow, class: DifferenceClass, expected: i64, moved: Option<i64>) -> FoundDifference {
    let refund = match &row.kind {
        RowKind::Refund(part) => Some(part.out_refund_no.clone()),
        _ => None,
    };
    FoundDifference {
        out_trade_no: Some(row.out_trade_no.clone()),
        out_refund_no: refund,
        transaction_id: Some(row.transaction_id.clone()),
        bill: fen(expected.abs()),
        local: moved.and_then(|moved| fen(moved.abs())),
        ..FoundDifference::new(class)
    }
}

fn fen(amount: i64) -> Option<NanoCny> {
    Fen::new(amount).ok().map(NanoCny::from)
}
