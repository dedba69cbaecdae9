//! What does the channel say happened on a day? Its bills, read strictly and exactly.
//!
//! Both APIs write the same files. A file that is not whole, or whose totals are not the sums of its rows, is refused,
//! because what is missing in it would look like payments nobody made. A row that does not fit is set aside instead, so
//! that one odd product name does not cost the day.
//! Source: WeChat Pay, format of the trade bill and of the fund flow bill.

mod fund_flow; // what moved on the merchant's account
mod sheet; // lines, columns, totals
mod trade; // payments and refunds

use sheet::{Sheet, is_named};

pub use self::{
    fund_flow::{FlowRow, FundFlow},
    trade::{RefundPart, RowKind, TradeBill, TradeRow},
};
use crate::channel::wechat::v2::{NoBill, xml};

/// A bill, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bill {
    /// Payments and refunds.
    Trade(TradeBill),
    /// Movements of an account.
    FundFlow(FundFlow),
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is the channel's word that there is no bill.
    #[error("there is no bill: {0:?}")]
    NoBill(NoBill),
    /// It is another message of the channel's.
    #[error("a message instead of a bill: {0}")]
    Message(String),
    /// Its first line names no bill we know.
    #[error("the first line is not that of a bill")]
    UnknownHeader,
    /// It ends without its totals, so it was cut short.
    #[error("the totals are missing: the file was cut short")]
    MissingTotals,
    /// Something follows its totals.
    #[error("something follows the totals")]
    AfterTotals,
    /// A total is not the sum of its rows.
    #[error("the total {0} is not that of the rows")]
    Total(String),
}

/// A row that nothing is done with until somebody has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: RowFault,
    /// The row as it stands.
    pub text: String,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// It has more or fewer values than there are columns: values are not escaped, so one of them may hold a separator.
    #[error("another number of values than of columns")]
    Columns,
    /// The value in this column is none.
    #[error("no usable value in {0}")]
    Value(&'static str),
}

/// Reads a bill: UTF-8 with or without a byte order mark, lines that end in LF or CRLF.
///
/// # Errors
/// [`BillError`].
pub fn read(file: &[u8]) -> Result<Bill, BillError> {
    let text = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    if text.trim_ascii().is_empty() {
        return Err(BillError::Empty);
    }
    if text.starts_with(b"<") {
        return Err(message(text));
    }
    let text = std::str::from_utf8(text).map_err(|_| BillError::UnknownHeader)?;
    let header = text.lines().next().unwrap_or_default();
    if is_named(header, &trade::REQUIRED) {
        trade::read(&Sheet::read(text, trade::FIRST_TOTAL)?).map(Bill::Trade)
    } else if is_named(header, &fund_flow::REQUIRED) {
        fund_flow::read(&Sheet::read(text, fund_flow::FIRST_TOTAL)?).map(Bill::FundFlow)
    } else {
        Err(BillError::UnknownHeader)
    }
}

/// What came instead of a bill.
fn message(text: &[u8]) -> BillError {
    match xml::read(text, "xml") {
        Ok(fields) => NoBill::said_by(&fields).map_or_else(
            || BillError::Message(fields.get("return_msg").unwrap_or_default().to_owned()),
            BillError::NoBill,
        ),
        Err(_) => BillError::UnknownHeader,
    }
}
