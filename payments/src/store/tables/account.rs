//! Accounts and their keys.

use units::NanoCny;

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Account, ApiKey, RowOp},
    store::value::Value,
};

/// Accounts.
pub(crate) static ACCOUNT: Table = Table {
    name: "account",
    columns: &[
        kept("id", Kind::Text),
        kept("livemode", Kind::Text),
        changing("name", Kind::Text),
        kept("role", Kind::Text),
        changing("stopped", Kind::Int),
        changing("stop_reason", Kind::Text),
        changing("flag", Kind::Text),
        changing("debt", Kind::Int),
        changing("closed_at", Kind::Int),
        kept("created_at", Kind::Int),
    ],
    key: &["id"],
    row: Some(|cells| {
        Ok(RowOp::Account(Account {
            id: cells.word()?,
            livemode: cells.word()?,
            name: cells.text()?,
            role: cells.word()?,
            stopped: cells.truth()?,
            stop_reason: cells.maybe_text()?,
            flag: cells.maybe_text()?,
            debt: NanoCny::new(cells.int()?),
            closed_at: cells.maybe_time()?,
            created_at: cells.time()?,
        }))
    }),
};

pub(super) fn account_columns(row: &Account) -> Vec<Value> {
    vec![
        Value::word(row.id),
        row.livemode.as_str().into(),
        row.name.as_str().into(),
        row.role.as_str().into(),
        row.stopped.into(),
        row.stop_reason.clone().into(),
        row.flag.clone().into(),
        row.debt.get().into(),
        row.closed_at.into(),
        row.created_at.into(),
    ]
}

/// API keys. No two accounts share a digest.
pub(crate) static API_KEY: Table = Table {
    name: "api_key",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        kept("digest", Kind::Text),
        changing("revoked_at", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (_account, _id, _digest, _revoked) =
            (cells.text()?, cells.text()?, cells.text()?, cells.maybe_int()?);
        cells.json().map(RowOp::Key)
    }),
};

pub(super) fn key_columns(row: &ApiKey) -> Vec<Value> {
    vec![
        Value::word(row.account),
        Value::word(row.id),
        row.digest.as_str().into(),
        row.revoked_at.into(),
        Value::json(row),
    ]
}
