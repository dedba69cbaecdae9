//! Published price lists.

use super::{Kind, Table, kept};
use crate::{
    ledger::{PriceListRow, RowOp},
    store::value::Value,
};

/// Versions of the price list. Never changed.
pub(crate) static PRICE_LIST: Table = Table {
    name: "price_list",
    columns: &[kept("version", Kind::Text), kept("at", Kind::Int), kept("body", Kind::Text)],
    key: &["version"],
    row: Some(|cells| {
        Ok(RowOp::PriceList(PriceListRow { version: cells.text()?, at: cells.time()?, body: cells.text()? }))
    }),
};

pub(super) fn price_list_columns(row: &PriceListRow) -> Vec<Value> {
    vec![row.version.as_str().into(), row.at.into(), row.body.as_str().into()]
}
