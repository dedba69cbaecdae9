//! What moved on the merchant's account?

use units::{Fen, Timestamp};

use super::{
    BillError, RowFault, SetAside,
    sheet::{Cells, Sheet},
};
use crate::channel::wechat::beijing::Moment;

/// The columns a fund flow bill is known by.
pub(super) const REQUIRED: [&str; 6] =
    ["记账时间", "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", "收支金额"];
pub(super) const FIRST_TOTAL: &str = "资金流水总笔数";
const INCOME: &str = "收入";
const EXPENSE: &str = "支出";
/// Units of the fifth decimal of a yuan in one fen.
const FIFTHS_PER_FEN: i64 = 1_000;

/// A day's movements of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundFlow {
    /// The rows in the file's order.
    pub rows: Vec<FlowRow>,
    /// Rows that do not fit. While there are any, the totals have not been compared.
    pub set_aside: Vec<SetAside>,
}

/// A movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// When it was booked.
    pub time: Timestamp,
    /// The channel's number of what moved it: of a payment, or of a refund.
    pub business_no: String,
    /// The channel's number of the movement.
    pub flow_no: String,
    /// What moved it, in the channel's words, e.g. `交易` or `扣除交易手续费`; the list grows.
    pub kind: String,
    /// Whether the account gained.
    pub income: bool,
    /// How much moved.
    pub amount: Fen,
    /// What was on the account afterwards; not always printed.
    pub balance: Option<Fen>,
    /// The number of the merchant's own that belongs to it, mostly the order's, or the refund's.
    pub voucher: String,
}

pub(super) fn read(sheet: &Sheet<'_>) -> Result<FundFlow, BillError> {
    let (rows, set_aside) = sheet.rows(row);
    sheet.check_count(FIRST_TOTAL, sheet.len())?;
    if set_aside.is_empty() {
        for (income, count, amount) in [(true, "收入笔数", "收入金额"), (false, "支出笔数", "支出金额")]
        {
            let of_kind = || rows.iter().filter(|row| row.income == income);
            sheet.check_count(count, of_kind().count())?;
            let sum = of_kind().try_fold(Fen::ZERO, |sum, row| sum.plus(row.amount)).ok();
            sheet.check_sum(amount, sum.and_then(|sum| sum.get().checked_mul(FIFTHS_PER_FEN)))?;
        }
    }
    Ok(FundFlow { rows, set_aside })
}

fn row(cells: &Cells<'_>) -> Result<FlowRow, RowFault> {
    Ok(FlowRow {
        time: cells
            .get("记账时间")
            .and_then(|at| Moment::Marked.read(at))
            .ok_or(RowFault::Value("记账时间"))?,
        business_no: cells.text("微信支付业务单号")?,
        flow_no: cells.text("资金流水单号")?,
        kind: cells.text("业务类型")?,
        income: match cells.get("收支类型") {
            Some(INCOME) => true,
            Some(EXPENSE) => false,
            _ => return Err(RowFault::Value("收支类型")),
        },
        amount: cells.fen("收支金额")?,
        balance: cells.get("账户结余").and_then(|balance| balance.parse().ok()),
        voucher: cells.get("业务凭证号").unwrap_or_default().to_owned(),
    })
}
