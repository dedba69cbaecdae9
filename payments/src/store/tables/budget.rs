//! Budgets of accounts and their keys, with what was counted against them.

use units::KeyId;

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Budget, RowOp},
    store::value::Value,
};

/// Budgets. An account's own has no key in the key's column.
pub(crate) static BUDGET: Table = Table {
    name: "budget",
    columns: &[
        kept("account", Kind::Text),
        kept("api_key", Kind::Text),
        kept("period", Kind::Text),
        changing("body", Kind::Text),
    ],
    key: &["account", "api_key", "period"],
    row: Some(|cells| {
        let (_account, _key, _period) = (cells.text()?, cells.text()?, cells.text()?);
        cells.json().map(|budget| RowOp::Budget(Box::new(budget)))
    }),
};

pub(super) fn columns(row: &Budget) -> Vec<Value> {
    vec![Value::word(row.account), key_word(row.key), row.period.as_str().into(), Value::json(row)]
}

/// A budget's key as it stands in its column.
pub(crate) fn key_word(key: Option<KeyId>) -> Value {
    key.map_or_else(|| Value::Text(String::new()), Value::word)
}
