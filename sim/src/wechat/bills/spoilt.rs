//! What is wrong with the bills of a day? The same for every file and both APIs, so that whoever compares them sees one
//! difference and not two.
use serde::Serialize;

use super::{HOUR, flow, trade};
use crate::clock::beijing_digits;
use crate::faults::{At, BillKind, BillRow, Fault, Site};
use crate::random;
use crate::state::World;

/// A row, by the merchant's own number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    OutTradeNo(String),
    OutRefundNo(String),
}

/// One thing that is wrong, as the controls show it too.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub(crate) enum Spoilt {
    #[serde(rename = "bill_row_missing")]
    Missing {
        bill: BillKind,
        #[serde(flatten)]
        target: Target,
    },
    #[serde(rename = "bill_row_different")]
    Different {
        bill: BillKind,
        #[serde(flatten)]
        target: Target,
        /// Fen.
        total: i64,
    },
    #[serde(rename = "bill_row_extra")]
    Extra {
        bill: BillKind,
        transaction_id: String,
        out_trade_no: String,
        /// Fen.
        total: i64,
        #[serde(skip)]
        at: i64,
    },
}

/// Takes what waits for this day, which begins at `from`.
pub(super) fn made_up(world: &World, mchid: &str, trade: &[trade::Row], from: i64) -> Vec<Spoilt> {
    let meant = |fault: &Fault| row_of(fault).is_none_or(|row| target(&row, trade).is_some());
    let taken = world.faults.take_all(Site::WeChat(mchid, At::Bill), meant);
    taken.into_iter().filter_map(|fault| spoilt(fault, trade, from)).collect()
}

fn spoilt(fault: Fault, trade: &[trade::Row], from: i64) -> Option<Spoilt> {
    let row = row_of(&fault);
    let target = row.as_ref().and_then(|row| target(row, trade));
    Some(match fault {
        Fault::BillRowMissing(row) => Spoilt::Missing { bill: row.bill, target: target? },
        Fault::BillRowDifferent { bill, total, .. } => Spoilt::Different { bill, target: target?, total },
        Fault::BillRowExtra { bill, total } => Spoilt::Extra {
            bill,
            // No number of ours begins like this one.
            transaction_id: format!("4200009999{}{}", &beijing_digits(from)[..8], random::digits(10)),
            out_trade_no: format!("EXTRA{}", random::digits(20)),
            total,
            at: from + 12 * HOUR,
        },
        _ => return None,
    })
}

/// The row that a fault is about, if it is about one that is there already.
fn row_of(fault: &Fault) -> Option<BillRow> {
    match fault.clone() {
        Fault::BillRowMissing(row) => Some(row),
        Fault::BillRowDifferent { bill, out_trade_no, out_refund_no, .. } => {
            Some(BillRow { bill, out_trade_no, out_refund_no })
        }
        _ => None,
    }
}

/// The row that a fault means, if this day has it.
fn target(wanted: &BillRow, rows: &[trade::Row]) -> Option<Target> {
    let named = |row: &&trade::Row| match (&wanted.out_trade_no, &wanted.out_refund_no) {
        (Some(number), _) => row.refund.is_none() && row.out_trade_no == *number,
        (None, Some(number)) => row.refund.as_ref().is_some_and(|refund| refund.out_refund_no == *number),
        (None, None) => true,
    };
    rows.iter().find(named).map(|row| match &row.refund {
        Some(refund) => Target::OutRefundNo(refund.out_refund_no.clone()),
        None => Target::OutTradeNo(row.out_trade_no.clone()),
    })
}

impl Target {
    fn is_trade(&self, row: &trade::Row) -> bool {
        match (self, &row.refund) {
            (Self::OutTradeNo(number), None) => row.out_trade_no == *number,
            (Self::OutRefundNo(number), Some(refund)) => refund.out_refund_no == *number,
            _ => false,
        }
    }

    fn is_flow(&self, row: &flow::Row) -> bool {
        match self {
            Self::OutTradeNo(number) => row.name == "交易" && row.voucher == *number,
            Self::OutRefundNo(number) => row.name == "退款" && row.voucher == *number,
        }
    }
}

impl Spoilt {
    pub(super) fn spoil(&self, trade: &mut Vec<trade::Row>, flow: &mut Vec<flow::Row>) {
        match self {
            Self::Missing { bill: BillKind::Trade, target } => trade.retain(|row| !target.is_trade(row)),
            Self::Missing { bill: BillKind::FundFlow, target } => flow.retain(|row| !target.is_flow(row)),
            Self::Different { bill: BillKind::Trade, target, total } => {
                for row in trade.iter_mut().filter(|row| target.is_trade(row)) {
                    match &mut row.refund {
                        Some(refund) => refund.sum = *total,
                        None => row.paid = *total,
                    }
                }
            }
            Self::Different { bill: BillKind::FundFlow, target, total } => {
                // The movement itself, not its fee.
                if let Some(row) = flow.iter_mut().find(|row| target.is_flow(row)) {
                    row.amount = row.amount.signum() * total;
                }
            }
            Self::Extra { bill: BillKind::Trade, transaction_id, out_trade_no, total, at } => {
                let row = trade::Row {
                    at: *at,
                    appid: "wx0000000000000000".into(),
                    device: String::new(),
                    transaction_id: transaction_id.clone(),
                    out_trade_no: out_trade_no.clone(),
                    openid: "oEXTRA0000000000000000000000".into(),
                    trade_type: "NATIVE",
                    paid: *total,
                    refund: None,
                    description: "不明订单".into(),
                    attach: String::new(),
                    fee: 0,
                    basis_points: 60,
                };
                let place = trade.partition_point(|before| before.at <= row.at);
                trade.insert(place, row);
            }
            Self::Extra { bill: BillKind::FundFlow, transaction_id, out_trade_no, total, at } => {
                let place = flow.partition_point(|before| before.at <= *at);
                let row = flow::Row {
                    at: *at,
                    business: transaction_id.clone(),
                    name: "交易",
                    kind: "交易",
                    amount: *total,
                    balance: flow.get(place.saturating_sub(1)).map_or(0, |before| before.balance) + total,
                    by: None,
                    remark: String::new(),
                    voucher: out_trade_no.clone(),
                };
                flow.insert(place, row);
            }
        }
    }
}
