//! Holds: each row is its own command, its key the call's id.

use units::NanoCny;

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Hold, RowOp},
    store::value::Value,
};

/// Holds.
pub(crate) static HOLD: Table = Table {
    name: "hold",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        kept("api_key", Kind::Text),
        changing("state", Kind::Text),
        kept("model", Kind::Text),
        changing("money", Kind::Int),
        kept("tokens_milli", Kind::Int),
        kept("quote", Kind::Text),
        kept("epoch", Kind::Int),
        kept("opened_at", Kind::Int),
        changing("ended_at", Kind::Int),
        changing("cost", Kind::Int),
        changing("cost_tokens_milli", Kind::Int),
        changing("overrun", Kind::Int),
        changing("usage", Kind::Text),
        changing("estimated", Kind::Int),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        Ok(RowOp::Hold(Box::new(Hold {
            account: cells.word()?,
            id: cells.word()?,
            key: cells.word()?,
            state: cells.word()?,
            model: cells.text()?,
            money: NanoCny::new(cells.int()?),
            tokens_milli: cells.int()?,
            quote: cells.json()?,
            epoch: cells.int()?,
            opened_at: cells.time()?,
            ended_at: cells.maybe_time()?,
            cost: NanoCny::new(cells.int()?),
            cost_tokens_milli: cells.int()?,
            overrun: NanoCny::new(cells.int()?),
            usage: cells.maybe_json()?,
            estimated: cells.truth()?,
        })))
    }),
};

pub(super) fn columns(row: &Hold) -> Vec<Value> {
    vec![
        Value::word(row.account),
        Value::word(row.id),
        Value::word(row.key),
        row.state.as_str().into(),
        row.model.as_str().into(),
        row.money.get().into(),
        row.tokens_milli.into(),
        Value::json(&row.quote),
        row.epoch.into(),
        row.opened_at.into(),
        row.ended_at.into(),
        row.cost.get().into(),
        row.cost_tokens_milli.into(),
        row.overrun.get().into(),
        Value::maybe_json(row.usage.as_ref()),
        row.estimated.into(),
    ]
}
