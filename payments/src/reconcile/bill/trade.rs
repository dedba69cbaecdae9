//! Which payments were made, and which refunds accepted?

use units::{Fen, NanoCny, Timestamp};

use super::{
    BillError, RowFault, SetAside,
    sheet::{Cells, Sheet},
};
use crate::channel::wechat::{BillRows, beijing::Moment};

/// The columns a trade bill is known by.
pub(super) const REQUIRED: [&str; 7] =
    ["交易时间", "公众账号ID", "商户号", "微信订单号", "商户订单号", "交易状态", "手续费"];
pub(super) const FIRST_TOTAL: &str = "总交易单数";
/// Every total and its column. The last three are those of old merchants.
const SUMS: [(&str, &str); 9] = [
    ("应结订单总金额", "应结订单金额"),
    ("退款总金额", "退款金额"),
    ("充值券退款总金额", "充值券退款金额"),
    ("手续费总金额", "手续费"),
    ("订单总金额", "订单金额"),
    ("申请退款总金额", "申请退款金额"),
    ("总交易额", "总金额"),
    ("总退款金额", "退款金额"),
    ("总企业红包退款金额", "企业红包退款金额"),
];
/// The only currency of a mainland merchant.
const CNY: &str = "CNY";

/// A day's payments and refunds of one merchant number, whichever API they were made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeBill {
    /// The rows in the file's order.
    pub rows: Vec<TradeRow>,
    /// Rows that do not fit. While there are any, the totals have not been compared.
    pub set_aside: Vec<SetAside>,
    /// Which rows of the day it has, as its columns say.
    pub covers: BillRows,
}

impl TradeBill {
    /// That of a day on which nothing happened.
    pub const fn empty() -> Self {
        Self { rows: Vec::new(), set_aside: Vec::new(), covers: BillRows::All }
    }
}

/// A row of a trade bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeRow {
    /// When it was paid, or when the refund was accepted.
    pub time: Timestamp,
    /// Application.
    pub appid: String,
    /// Merchant number.
    pub mchid: String,
    /// The channel's number of the payment; of the paid order, for a refund.
    pub transaction_id: String,
    /// Our number of the payment; of the paid order, for a refund.
    pub out_trade_no: String,
    /// What happened.
    pub kind: RowKind,
    /// The channel's fee, as it rounded it; negative where it is given back.
    pub fee: NanoCny,
    /// The fee's rate as printed, e.g. `0.60%`.
    pub rate: String,
}

/// What a row of a trade bill tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// An order was paid.
    Payment {
        /// What it was for: the amount to compare.
        total: Fen,
        /// What of it is settled, after the channel's own coupons.
        settled: Fen,
    },
    /// A refund was accepted. Whether it arrives, a later day decides and no bill says.
    Refund(RefundPart),
    /// Something this product does not do, under the channel's name of it.
    Other(String),
}

/// What only refunds have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundPart {
    /// The channel's number of the refund.
    pub refund_id: String,
    /// Our number of it, or the console's.
    pub out_refund_no: String,
    /// What was asked for: the amount to compare.
    pub applied: Fen,
    /// What of it is settled.
    pub settled: Fen,
    /// Where it stood when the bill was made.
    pub status: String,
}

pub(super) fn read(sheet: &Sheet<'_>) -> Result<TradeBill, BillError> {
    let (rows, set_aside) = sheet.rows(row);
    sheet.check_count(FIRST_TOTAL, sheet.len())?;
    if set_aside.is_empty() {
        for (total, column) in SUMS {
            sheet.check_sum(total, sheet.sum(column))?;
        }
    }
    let covers = match (sheet.has("退款申请时间"), sheet.has("商户退款单号")) {
        (true, _) => BillRows::Refund,
        (false, true) => BillRows::All,
        (false, false) => BillRows::Success,
    };
    Ok(TradeBill { rows, set_aside, covers })
}

fn row(cells: &Cells<'_>) -> Result<TradeRow, RowFault> {
    if cells.get("货币种类").is_some_and(|currency| currency != CNY) {
        return Err(RowFault::Value("货币种类"));
    }
    Ok(TradeRow {
        time: cells
            .get("交易时间")
            .and_then(|at| Moment::Marked.read(at))
            .ok_or(RowFault::Value("交易时间"))?,
        appid: cells.text("公众账号ID")?,
        mchid: cells.text("商户号")?,
        transaction_id: cells.text("微信订单号")?,
        out_trade_no: cells.text("商户订单号")?,
        kind: kind(cells)?,
        fee: cells.fee("手续费")?,
        rate: cells.get("费率").unwrap_or_default().to_owned(),
    })
}

fn kind(cells: &Cells<'_>) -> Result<RowKind, RowFault> {
    // Old merchants have one column where new ones have what was ordered, what is settled and what was asked for.
    let either = |new, old| if cells.get(new).is_some() { cells.fen(new) } else { cells.fen(old) };
    Ok(match cells.text("交易状态")?.as_str() {
        "SUCCESS" => RowKind::Payment {
            total: either("订单金额", "总金额")?,
            settled: either("应结订单金额", "总金额")?,
        },
        "REFUND" => RowKind::Refund(RefundPart {
            refund_id: cells.text("微信退款单号")?,
            out_refund_no: cells.text("商户退款单号")?,
            applied: either("申请退款金额", "退款金额")?,
            settled: cells.fen("退款金额")?,
            status: cells.text("退款状态")?,
        }),
        other => RowKind::Other(other.to_owned()),
    })
}
