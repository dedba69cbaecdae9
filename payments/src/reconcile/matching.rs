//! Do the channel's bill, our orders and the ledger tell the same of a day? Pure: what follows from a difference is
//! decided elsewhere, after asking the channel again.

use std::collections::{BTreeMap, BTreeSet};

use units::{Fen, NanoCny};

use super::bill::{RefundPart, RowKind, TradeBill, TradeRow};

/// An order as we have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOrder {
    /// Our number.
    pub out_trade_no: String,
    /// The channel's number, once we have heard of the payment.
    pub transaction_id: Option<String>,
    /// What it is for.
    pub total: Fen,
    /// Whether we take it for paid.
    pub paid: bool,
    /// What the ledger has taken in for it.
    pub booked: NanoCny,
    /// Whether it has to be on this bill: we have it as paid on the bill's day, and not so close to midnight that
    /// another day's bill may have it.
    pub due: bool,
}

/// A refund as we have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRefund {
    /// Our number.
    pub out_refund_no: String,
    /// What goes back.
    pub refund: Fen,
    /// What the ledger has set aside or paid out for it; nothing once it was undone.
    pub booked: NanoCny,
    /// Whether it has to be on this bill: the channel accepted it on the bill's day, away from midnight.
    pub due: bool,
}

/// What does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Paid, and we wait for it: its notice was lost. To be credited once a query confirms it.
    PaidInBillPendingLocally {
        /// Our number.
        out_trade_no: String,
        /// The channel's number.
        transaction_id: String,
        /// What the bill says was paid.
        bill: Fen,
    },
    /// Another amount than the order's.
    AmountMismatch {
        /// Our number.
        out_trade_no: String,
        /// What the bill says was paid.
        bill: Fen,
        /// What the order is for.
        local: Fen,
    },
    /// Paid by another payment than the one we have: a second one, or a forged first.
    OtherTransaction {
        /// Our number.
        out_trade_no: String,
        /// The channel's number on the bill.
        bill: String,
        /// The channel's number we have.
        local: String,
    },
    /// The order is paid on both sides, and the ledger has taken in another amount.
    BookedOtherwise {
        /// Our number.
        out_trade_no: String,
        /// What the bill says was paid.
        bill: Fen,
        /// What the ledger has taken in.
        booked: NanoCny,
    },
    /// Paid, and no order of ours.
    MissingLocally {
        /// The number on the bill.
        out_trade_no: String,
        /// The channel's number.
        transaction_id: String,
        /// What the bill says was paid.
        bill: Fen,
    },
    /// We take it for paid and it is not on the bill: on another day's, or forged.
    MissingInBill {
        /// Our number.
        out_trade_no: String,
        /// What the order is for.
        local: Fen,
    },
    /// Given back, and no refund of ours: made in the channel's console.
    RefundMissingLocally {
        /// The number on the bill.
        out_refund_no: String,
        /// Our number of the payment.
        out_trade_no: String,
        /// The channel's number of the payment.
        transaction_id: String,
        /// What the bill says goes back.
        bill: Fen,
    },
    /// Another amount than the refund's.
    RefundAmountMismatch {
        /// Our number.
        out_refund_no: String,
        /// What the bill says goes back.
        bill: Fen,
        /// What we asked for.
        local: Fen,
    },
    /// The channel accepted it, and the ledger has set aside another amount for it, or none any more.
    RefundBookedOtherwise {
        /// Our number.
        out_refund_no: String,
        /// What the bill says goes back.
        bill: Fen,
        /// What the ledger has set aside or paid out.
        booked: NanoCny,
    },
    /// We take it for accepted and it is not on the bill.
    RefundMissingInBill {
        /// Our number.
        out_refund_no: String,
        /// What we asked for.
        local: Fen,
    },
    /// The bill has the same payment or refund twice.
    Repeated {
        /// The channel's number of the payment or the refund.
        number: String,
    },
    /// A row of a kind this product does not make.
    UnknownKind {
        /// The number on the bill.
        out_trade_no: String,
        /// The channel's name of the kind.
        kind: String,
    },
}

impl Difference {
    /// The difference as a metric label and as operators name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PaidInBillPendingLocally { .. } => "paid_in_bill_pending_locally",
            Self::AmountMismatch { .. } => "amount_mismatch",
            Self::OtherTransaction { .. } => "other_transaction",
            Self::BookedOtherwise { .. } => "booked_otherwise",
            Self::MissingLocally { .. } => "missing_locally",
            Self::MissingInBill { .. } => "missing_in_bill",
            Self::RefundMissingLocally { .. } => "refund_missing_locally",
            Self::RefundAmountMismatch { .. } => "refund_amount_mismatch",
            Self::RefundBookedOtherwise { .. } => "refund_booked_otherwise",
            Self::RefundMissingInBill { .. } => "refund_missing_in_bill",
            Self::Repeated { .. } => "repeated_in_bill",
            Self::UnknownKind { .. } => "unknown_kind",
        }
    }
}

/// A day laid side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Our numbers of the payments on which all three agree, in the bill's order.
    pub payments: Vec<String>,
    /// Our numbers of the refunds on which all three agree, in the bill's order.
    pub refunds: Vec<String>,
    /// Everything else: first what the bill has, in its order, then what it lacks, by number.
    pub differences: Vec<Difference>,
}

/// Lays a bill against orders and refunds: every row and everything due ends either among what agrees or among the
/// differences. Hand in whatever the bill names and whatever is due; more does no harm.
pub fn compare(bill: &TradeBill, orders: &[LocalOrder], refunds: &[LocalRefund]) -> Compared {
    let orders: BTreeMap<_, _> = orders.iter().map(|order| (order.out_trade_no.as_str(), order)).collect();
    let refunds: BTreeMap<_, _> =
        refunds.iter().map(|refund| (refund.out_refund_no.as_str(), refund)).collect();
    let mut compared = Compared::default();
    let (mut paid, mut given_back, mut numbers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for row in &bill.rows {
        let number = match &row.kind {
            RowKind::Refund(refund) => &refund.refund_id,
            RowKind::Payment { .. } | RowKind::Other(_) => &row.transaction_id,
        };
        if !numbers.insert(number) {
            compared.differences.push(Difference::Repeated { number: number.clone() });
            continue;
        }
        let difference = match &row.kind {
            RowKind::Payment { total, .. } => {
                paid.insert(row.out_trade_no.as_str());
                let difference = payment(row, *total, orders.get(row.out_trade_no.as_str()).copied());
                difference.ok_or_else(|| compared.payments.push(row.out_trade_no.clone()))
            }
            RowKind::Refund(part) => {
                given_back.insert(part.out_refund_no.as_str());
                let difference = refund(row, part, refunds.get(part.out_refund_no.as_str()).copied());
                difference.ok_or_else(|| compared.refunds.push(part.out_refund_no.clone()))
            }
            RowKind::Other(kind) => {
                Ok(Difference::UnknownKind { out_trade_no: row.out_trade_no.clone(), kind: kind.clone() })
            }
        };
        compared.differences.extend(difference);
    }
    let lacking = orders.values().filter(|order| order.due && !paid.contains(order.out_trade_no.as_str()));
    compared.differences.extend(lacking.map(|order| Difference::MissingInBill {
        out_trade_no: order.out_trade_no.clone(),
        local: order.total,
    }));
    let lacking =
        refunds.values().filter(|refund| refund.due && !given_back.contains(refund.out_refund_no.as_str()));
    compared.differences.extend(lacking.map(|refund| Difference::RefundMissingInBill {
        out_refund_no: refund.out_refund_no.clone(),
        local: refund.refund,
    }));
    compared
}

/// What does not agree about a payment, the gravest first.
fn payment(row: &TradeRow, bill: Fen, order: Option<&LocalOrder>) -> Option<Difference> {
    let out_trade_no = row.out_trade_no.clone();
    let transaction_id = row.transaction_id.clone();
    let Some(order) = order else {
        return Some(Difference::MissingLocally { out_trade_no, transaction_id, bill });
    };
    if bill != order.total {
        return Some(Difference::AmountMismatch { out_trade_no, bill, local: order.total });
    }
    if let Some(local) = order.transaction_id.as_ref().filter(|local| **local != transaction_id) {
        return Some(Difference::OtherTransaction {
            out_trade_no,
            bill: transaction_id,
            local: local.clone(),
        });
    }
    if !order.paid {
        return Some(Difference::PaidInBillPendingLocally { out_trade_no, transaction_id, bill });
    }
    let agrees = order.booked == NanoCny::from(bill);
    (!agrees).then_some(Difference::BookedOtherwise { out_trade_no, bill, booked: order.booked })
}

/// What does not agree about a refund, the gravest first.
fn refund(row: &TradeRow, part: &RefundPart, local: Option<&LocalRefund>) -> Option<Difference> {
    let (out_refund_no, bill) = (part.out_refund_no.clone(), part.applied);
    let Some(refund) = local else {
        return Some(Difference::RefundMissingLocally {
            out_refund_no,
            out_trade_no: row.out_trade_no.clone(),
            transaction_id: row.transaction_id.clone(),
            bill,
        });
    };
    if bill != refund.refund {
        return Some(Difference::RefundAmountMismatch { out_refund_no, bill, local: refund.refund });
    }
    let agrees = refund.booked == NanoCny::from(bill);
    (!agrees).then_some(Difference::RefundBookedOtherwise { out_refund_no, bill, booked: refund.booked })
}
