//! What keeps orders from being made.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Gate, RowOp},
    store::value::Value,
};

/// Gates, by name.
pub(crate) static GATE: Table = Table {
    name: "gate",
    columns: &[kept("name", Kind::Text), changing("state", Kind::Text), changing("body", Kind::Text)],
    key: &["name"],
    row: Some(|cells| {
        let (_name, _state) = (cells.text()?, cells.text()?);
        cells.json().map(RowOp::Gate)
    }),
};

pub(super) fn columns(row: &Gate) -> Vec<Value> {
    vec![Gate::name(row.scope, &row.id).into(), row.state.as_str().into(), Value::json(row)]
}
