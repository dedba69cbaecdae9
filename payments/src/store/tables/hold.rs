//! Holds: each row is its own command, its key the call's id.

use serde::{Deserialize, Serialize};
use units::{NanoCny, Usage};

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Asset, Hold, LotUse, RowOp, TokenLeg, Weights},
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
        kept("legs", Kind::Text),
        kept("quote", Kind::Text),
        kept("epoch", Kind::Int),
        changing("dispatched", Kind::Int),
        kept("opened_at", Kind::Int),
        kept("deadline", Kind::Int),
        changing("orphaned_at", Kind::Int),
        changing("ended_at", Kind::Int),
        changing("cost", Kind::Int),
        changing("cost_tokens_milli", Kind::Int),
        changing("overrun", Kind::Int),
        changing("usage", Kind::Text),
        changing("estimated", Kind::Int),
        kept("budgets", Kind::Text),
        changing("parts", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (account, id, key, state) = (cells.word()?, cells.word()?, cells.word()?, cells.word()?);
        let (model, money, milli): (String, _, _) = (cells.text()?, cells.int()?, cells.int()?);
        let (legs, quote): (Option<Vec<TokenLeg>>, crate::ledger::HoldQuote) =
            (cells.maybe_json()?, cells.json()?);
        // Schema 1 had one leg, of the model's own balance, at the weights of the quote.
        let only_leg = || TokenLeg {
            asset: Asset::Tokens(model.clone()),
            milli,
            weights: Weights::of_rates(&quote.rates),
        };
        let legs = legs.unwrap_or_else(|| if milli > 0 { vec![only_leg()] } else { Vec::new() });
        let (epoch, dispatched, opened_at) = (cells.int()?, cells.truth()?, cells.time()?);
        let (deadline, orphaned_at, ended_at) = (cells.time()?, cells.maybe_time()?, cells.maybe_time()?);
        let (cost, cost_tokens_milli, overrun) = (cells.int()?, cells.int()?, cells.int()?);
        let (usage, estimated, budgets) = (cells.maybe_json()?, cells.truth()?, cells.maybe_json()?);
        let parts: Parts = cells.maybe_json()?.unwrap_or_default();
        Ok(RowOp::Hold(Box::new(Hold {
            id,
            account,
            key,
            state,
            model,
            money: NanoCny::new(money),
            legs,
            quote,
            epoch,
            dispatched,
            opened_at,
            deadline,
            orphaned_at,
            ended_at,
            cost: NanoCny::new(cost),
            cost_tokens_milli,
            overrun: NanoCny::new(overrun),
            usage,
            estimated,
            used: parts.used,
            corrected: parts.corrected,
            budgets: budgets.unwrap_or_default(),
            late: parts.late,
        })))
    }),
};

/// What a hold knows once it has ended.
#[derive(Default, Serialize, Deserialize)]
struct Parts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used: Vec<LotUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    corrected: Vec<LotUse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<Usage>,
}

pub(super) fn columns(row: &Hold) -> Vec<Value> {
    let parts = Parts { used: row.used.clone(), corrected: row.corrected.clone(), late: row.late };
    let said = !parts.used.is_empty() || !parts.corrected.is_empty() || parts.late.is_some();
    vec![
        Value::word(row.account),
        Value::word(row.id),
        Value::word(row.key),
        row.state.as_str().into(),
        row.model.as_str().into(),
        row.money.get().into(),
        row.tokens_milli().into(),
        Value::maybe_json(Some(&row.legs).filter(|legs| !legs.is_empty())),
        Value::json(&row.quote),
        row.epoch.into(),
        row.dispatched.into(),
        row.opened_at.into(),
        row.deadline.into(),
        row.orphaned_at.into(),
        row.ended_at.into(),
        row.cost.get().into(),
        row.cost_tokens_milli.into(),
        row.overrun.get().into(),
        Value::maybe_json(row.usage.as_ref()),
        row.estimated.into(),
        Value::maybe_json(Some(&row.budgets).filter(|budgets| !budgets.is_empty())),
        Value::maybe_json(Some(&parts).filter(|_| said)),
    ]
}
