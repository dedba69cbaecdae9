//! Days laid beside the channel's bill, and what did not agree.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{BillDay, BillDifference, RowOp},
    store::value::Value,
};

/// Days of merchant numbers.
pub(crate) static BILL_DAY: Table = Table {
    name: "bill_day",
    columns: &[
        kept("mchid", Kind::Text),
        kept("day", Kind::Text),
        changing("state", Kind::Text),
        changing("open", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["mchid", "day"],
    row: Some(|cells| {
        let (_mchid, _day, _state, _open) = (cells.text()?, cells.text()?, cells.text()?, cells.int()?);
        cells.json().map(|row| RowOp::BillDay(Box::new(row)))
    }),
};

pub(super) fn day_columns(row: &BillDay) -> Vec<Value> {
    vec![
        row.mchid.as_str().into(),
        row.day.as_str().into(),
        row.state.as_str().into(),
        row.open.into(),
        Value::json(row),
    ]
}

/// What did not agree on them.
pub(crate) static BILL_DIFFERENCE: Table = Table {
    name: "bill_difference",
    columns: &[
        kept("id", Kind::Text),
        kept("mchid", Kind::Text),
        kept("day", Kind::Text),
        changing("state", Kind::Text),
        changing("body", Kind::Text),
    ],
    key: &["id"],
    row: Some(|cells| {
        let (_id, _mchid, _day, _state) = (cells.text()?, cells.text()?, cells.text()?, cells.text()?);
        cells.json().map(|row| RowOp::Difference(Box::new(row)))
    }),
};

pub(super) fn difference_columns(row: &BillDifference) -> Vec<Value> {
    vec![
        row.id.as_str().into(),
        row.mchid.as_str().into(),
        row.day.as_str().into(),
        row.state.as_str().into(),
        Value::json(row),
    ]
}
