//! Did the merchant's account move as the trade bill says? Both are the channel's own, of the same day.

use std::collections::{BTreeMap, BTreeSet};

use units::{Fen, NanoCny, RefundId, Timestamp};

use super::bill::{FlowRow, FundFlow, RowKind, TradeBill, TradeRow};
use crate::ledger::{Carried, DifferenceClass, FoundDifference};

/// A movement is booked a little after what it is of: close to midnight it may stand on the next day's bill.
const BOOKED_WITHIN: i64 = 600 * 1_000_000;
/// So much is left to the next day at most.
const CARRIED_MAX: usize = 1_000;

/// What a payment brings in and a refund takes out, and what the channel keeps of the one and gives back of the other.
///
/// Source: WeChat Pay, format of the fund flow bill, kinds of business. The list grows: others are passed over.
const PAID: &str = "交易";
const REFUNDED: &str = "退款";
const FEE: &str = "扣除交易手续费";
const FEE_BACK: &str = "退还交易手续费";
/// What a refund took out comes in again: it was closed, and its fee is kept again.
const CLOSED: &str = "退款关闭";

/// What moved for one payment or refund.
#[derive(Default)]
struct Moved {
    /// Of the payment or the refund itself, in fen: what leaves is negative. Absent where nothing moved.
    principal: Option<i64>,
    /// What was kept, in fen, less what was given back; of a refund only what was given back. That of one which was closed is
    /// kept again, of which the trade bill has no row.
    fee: i64,
    voucher: String,
    at: Timestamp,
}

/// What a day's movements come to beside its trade.
pub(super) struct Compared {
    pub(super) differences: Vec<FoundDifference>,
    /// What only one of the bills has yet.
    pub(super) carried: Vec<Carried>,
}

/// Lays a day's movements beside its trade; `before` is what the day before left to be looked for on this one, absent where
/// nobody compared that. A movement that no row explains is looked for on the next day's bill where `is_late` says so.
pub(super) fn compare(
    trade: &TradeBill,
    flow: &FundFlow,
    ends: Timestamp,
    before: Option<&[Carried]>,
    is_late: impl Fn(&FoundDifference) -> bool,
) -> Compared {
    let mut moved = moved(flow);
    let begins = ends.0 - 86_400 * 1_000_000;
    for carried in before.unwrap_or_default().iter().filter(|carried| carried.moved) {
        moved.entry(carried.number.clone()).or_insert_with(|| Moved {
            principal: Some(carried.amount),
            fee: carried.fee,
            voucher: carried.out_refund_no.clone().or(carried.out_trade_no.clone()).unwrap_or_default(),
            at: Timestamp(begins),
        });
    }
    let mut compared = Compared { differences: Vec::new(), carried: Vec::new() };
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
            Some(moved) => compared.differences.extend(otherwise(row, &moved, expected)),
            None if expected == 0 => {}
            None if row.time.0 >= ends.0 - BOOKED_WITHIN => compared.carry(awaited(row, number, expected)),
            None => compared.differences.push(of_row(row, DifferenceClass::FlowMissing, expected, None)),
        }
    }
    let awaited = before.unwrap_or_default().iter().filter(|carried| !carried.moved);
    for carried in awaited.filter(|carried| !told.contains(&carried.number)) {
        let principal = moved.remove(&carried.number).and_then(|moved| moved.principal);
        if principal.map_or(!carried.told, |principal| principal != carried.amount) {
            compared.differences.push(still_awaited(carried, principal));
        }
    }
    for (number, moved) in moved {
        let Some(principal) = moved.principal else { continue };
        if before.is_none() && moved.at.0 < begins + BOOKED_WITHIN {
            continue;
        }
        let (voucher, is_refund) = (moved.voucher, principal < 0);
        let unexplained = FoundDifference {
            out_trade_no: (!is_refund).then(|| voucher.clone()),
            out_refund_no: is_refund.then(|| voucher.clone()),
            transaction_id: Some(number.clone()),
            bill: fen(principal.abs()),
            ..FoundDifference::new(DifferenceClass::FlowUnexplained)
        };
        if is_late(&unexplained) {
            compared.carry(Carried {
                moved: true,
                transaction_id: number.clone(),
                number,
                out_trade_no: unexplained.out_trade_no,
                out_refund_no: unexplained.out_refund_no,
                amount: principal,
                fee: moved.fee,
                told: false,
            });
        } else {
            compared.differences.push(unexplained);
        }
    }
    compared
}

impl Compared {
    /// Leaves it to the next day; of more than can be kept, it is told now.
    fn carry(&mut self, carried: Carried) {
        if self.carried.len() < CARRIED_MAX {
            self.carried.push(carried);
        } else {
            self.differences.push(still_awaited(&carried, None));
        }
    }
}

/// A row whose movement may be on the next day's bill.
fn awaited(row: &TradeRow, number: &str, expected: i64) -> Carried {
    let refund = match &row.kind {
        RowKind::Refund(part) => Some(part.out_refund_no.clone()),
        _ => None,
    };
    Carried {
        moved: false,
        number: number.to_owned(),
        transaction_id: row.transaction_id.clone(),
        out_trade_no: Some(row.out_trade_no.clone()),
        out_refund_no: refund,
        amount: expected,
        fee: 0,
        told: false,
    }
}

/// What was to be found on this day's bill and is not, or with another amount.
fn still_awaited(carried: &Carried, principal: Option<i64>) -> FoundDifference {
    let class = match (principal, carried.moved) {
        (Some(_), _) => DifferenceClass::FlowAmountMismatch,
        (None, false) => DifferenceClass::FlowMissing,
        (None, true) => DifferenceClass::FlowUnexplained,
    };
    FoundDifference {
        out_trade_no: carried.out_trade_no.clone(),
        out_refund_no: carried.out_refund_no.clone(),
        transaction_id: Some(carried.transaction_id.clone()),
        bill: fen(carried.amount.abs()),
        local: principal.and_then(|moved| fen(moved.abs())),
        ..FoundDifference::new(class)
    }
}

fn moved(flow: &FundFlow) -> BTreeMap<String, Moved> {
    let mut all: BTreeMap<String, Moved> = BTreeMap::new();
    let closed = closed(flow);
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
            FEE if closed.contains(business_no.as_str()) => {}
            _ => entry.fee = entry.fee.saturating_sub(signed),
        }
    }
    all
}

/// The fee of a refund that was closed.
pub(super) struct KeptAgain<'a> {
    /// The channel's number of the refund.
    pub(super) number: &'a str,
    /// The merchant's.
    pub(super) refund: RefundId,
    pub(super) fee: Fen,
}

/// What the channel keeps again on this day, because refunds were closed. The trade bill does not tell.
pub(super) fn kept_again(flow: &FundFlow) -> impl Iterator<Item = KeptAgain<'_>> {
    let closed = closed(flow);
    let rows = flow
        .rows
        .iter()
        .filter(move |row| row.kind == FEE && !row.income && closed.contains(row.business_no.as_str()));
    rows.filter_map(|row| {
        let refund = RefundId::from_bare(&row.voucher).ok()?;
        Some(KeptAgain { number: &row.business_no, refund, fee: row.amount })
    })
}

/// The channel's numbers of the refunds that were closed on this day.
fn closed(flow: &FundFlow) -> BTreeSet<&str> {
    flow.rows.iter().filter(|row| row.kind == CLOSED).map(|row| row.business_no.as_str()).collect()
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
