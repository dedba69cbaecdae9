//! Requests to refund and their items.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{RefundBatch, RefundItem, RowOp},
    store::value::Value,
};

/// Requests to refund.
pub(crate) static REFUND_BATCH: Table = Table {
    name: "refund_batch",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        changing("state", Kind::Text),
        changing("body", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (_account, _id, _state) = (cells.text()?, cells.text()?, cells.text()?);
        cells.json().map(RowOp::Batch)
    }),
};

pub(super) fn batch_columns(row: &RefundBatch) -> Vec<Value> {
    vec![Value::word(row.account), Value::word(row.id), row.state.as_str().into(), Value::json(row)]
}

/// Refund items.
pub(crate) static REFUND_ITEM: Table = Table {
    name: "refund_item",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        kept("batch", Kind::Text),
        changing("state", Kind::Text),
        changing("body", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (_account, _id, _batch, _state) = (cells.text()?, cells.text()?, cells.text()?, cells.text()?);
        cells.json().map(RowOp::Item)
    }),
};

pub(super) fn item_columns(row: &RefundItem) -> Vec<Value> {
    vec![
        Value::word(row.account),
        Value::word(row.id),
        Value::word(row.batch),
        row.state.as_str().into(),
        Value::json(row),
    ]
}
