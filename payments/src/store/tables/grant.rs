//! Temporary grants, and what they say about the next.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Grant, GrantStanding, RowOp},
    store::value::Value,
};

/// Temporary grants, by their order's id.
pub(crate) static GRANT: Table = Table {
    name: "temp_grant",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        changing("resolved_at", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (_account, _id, _resolved) = (cells.text()?, cells.text()?, cells.maybe_int()?);
        cells.json().map(RowOp::Grant)
    }),
};

pub(super) fn grant_columns(row: &Grant) -> Vec<Value> {
    vec![Value::word(row.account), Value::word(row.order), row.resolved_at.into(), Value::json(row)]
}

/// What an account's grants so far say about the next.
pub(crate) static STANDING: Table = Table {
    name: "grant_standing",
    columns: &[kept("account", Kind::Text), changing("body", Kind::Text)],
    key: &["account"],
    row: Some(|cells| {
        let _account = cells.text()?;
        cells.json().map(RowOp::Standing)
    }),
};

pub(super) fn standing_columns(row: &GrantStanding) -> Vec<Value> {
    vec![Value::word(row.account), Value::json(row)]
}
