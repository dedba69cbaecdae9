//! Price lists, their versions, who buys by which, and rates of exchange.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{FxPair, FxRate, PriceAssignment, PriceList, PriceVersion, RowOp},
    store::value::Value,
};

/// Price lists with their drafts.
pub(crate) static PRICE_LIST: Table = Table {
    name: "price_list",
    columns: &[kept("name", Kind::Text), changing("body", Kind::Text)],
    key: &["name"],
    row: Some(|cells| {
        let _name = cells.text()?;
        cells.json().map(RowOp::PriceList)
    }),
};

pub(super) fn price_list_columns(row: &PriceList) -> Vec<Value> {
    vec![row.name.as_str().into(), Value::json(row)]
}

/// Published versions. Never changed.
pub(crate) static PRICE_VERSION: Table = Table {
    name: "price_version",
    columns: &[
        kept("list", Kind::Text),
        kept("number", Kind::Int),
        kept("valid_from", Kind::Int),
        kept("body", Kind::Text),
    ],
    key: &["list", "number"],
    row: Some(|cells| {
        let (_list, _number, _valid_from) = (cells.text()?, cells.int()?, cells.time()?);
        cells.json().map(RowOp::PriceVersion)
    }),
};

pub(super) fn price_version_columns(row: &PriceVersion) -> Vec<Value> {
    vec![row.list.as_str().into(), row.number.into(), row.valid_from.into(), Value::json(row)]
}

/// The list an account buys by.
pub(crate) static PRICE_ASSIGNMENT: Table = Table {
    name: "price_assignment",
    columns: &[kept("account", Kind::Text), changing("body", Kind::Text)],
    key: &["account"],
    row: Some(|cells| {
        let _account = cells.text()?;
        cells.json().map(RowOp::PriceAssignment)
    }),
};

pub(super) fn price_assignment_columns(row: &PriceAssignment) -> Vec<Value> {
    vec![Value::word(row.account), Value::json(row)]
}

/// What counts for a pair of currencies.
pub(crate) static FX_PAIR: Table = Table {
    name: "fx_pair",
    columns: &[kept("pair", Kind::Text), changing("body", Kind::Text)],
    key: &["pair"],
    row: Some(|cells| {
        let _pair = cells.text()?;
        cells.json().map(|pair| RowOp::FxPair(Box::new(pair)))
    }),
};

pub(super) fn fx_pair_columns(row: &FxPair) -> Vec<Value> {
    vec![row.pair.as_str().into(), Value::json(row)]
}

/// Every rate that was accepted or pinned. Never changed.
pub(crate) static FX_RATE: Table = Table {
    name: "fx_rate",
    columns: &[kept("pair", Kind::Text), kept("number", Kind::Int), kept("body", Kind::Text)],
    key: &["pair", "number"],
    row: Some(|cells| {
        let (_pair, _number) = (cells.text()?, cells.int()?);
        cells.json().map(RowOp::FxRate)
    }),
};

pub(super) fn fx_rate_columns(row: &FxRate) -> Vec<Value> {
    vec![row.pair.as_str().into(), row.number.into(), Value::json(row)]
}
