//! What was this call, and what did it cost?

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use payments::{
    ledger::{Asset, Entry, FxRate, Hold, HoldQuote, LotUse},
    store::Store,
};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{Rates, RequestId};

use super::{
    Cashier, PayError, reply,
    views::{self, balance_name},
};
use crate::statement::entry;

#[derive(Deserialize)]
pub(super) struct Wanted {
    id: Option<String>,
}

/// `GET /v1/generation?id=req_...`: the receipt, with the ledger's own word on the charge.
pub(super) async fn one(
    State(cashier): State<Arc<Cashier>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let id = wanted.id.ok_or_else(|| PayError::missing("id", "name the call: ?id=req_..."))?;
    let id: RequestId =
        id.parse().map_err(|error: units::BadId| PayError::invalid("id", error.to_string()))?;
    // A call that just ended may still be in the queue.
    cashier.store.flushed().await?;
    let hold = cashier.store.hold(id).await?.filter(|hold| hold.account == caller.account);
    let Some(hold) = hold else { return Err(PayError::not_found("id", format!("No call {id}"))) };
    Ok(reply(http::StatusCode::OK, &json!({"data": whole_receipt(&cashier.store, &hold).await?})))
}

/// The receipt of a call, with what the ledger says of it.
///
/// # Errors
/// If the store cannot be read.
pub async fn whole_receipt(store: &Store, hold: &Hold) -> Result<Value, PayError> {
    let receipt = store.receipt(hold.id, hold.account).await?;
    let receipt = receipt.and_then(|body| serde_json::from_str(&body).ok());
    let mut shown: Value = receipt.unwrap_or_else(|| from_hold(hold));
    shown["hold"] = hold_of(hold);
    shown["fx"] = match &hold.quote.fx_id {
        Some(id) => store.fx_rate(id).await?.map_or(Value::Null, |rate| fx(&rate)),
        None => Value::Null,
    };
    let (lines, after) = in_the_books(store, hold).await?;
    shown["entries"] = lines.iter().map(entry).collect();
    shown["balance_after"] = after.iter().map(|(asset, balance)| {
        json!({"balance": balance_name(asset), "amount": asset.text(*balance), "currency": asset.to_string()})
    }).collect();
    Ok(shown)
}

/// The call's lines of the journal, and what each balance that it may have touched came to after it; nothing while it
/// runs.
async fn in_the_books(store: &Store, hold: &Hold) -> Result<(Vec<Entry>, Vec<(Asset, i64)>), PayError> {
    let (mut lines, mut after) = (Vec::new(), Vec::new());
    let Some(ended_at) = hold.ended_at else { return Ok((lines, after)) };
    for asset in std::iter::once(Asset::Cny).chain(hold.token_assets()) {
        let own = store.lines_of_call(hold.account, asset.clone(), hold.id, ended_at).await?;
        let balance = match own.last() {
            Some(last) => last.balance,
            None => store.balance_at(hold.account, asset.clone(), ended_at).await?,
        };
        lines.extend(own);
        after.push((asset, balance));
    }
    Ok((lines, after))
}

fn fx(rate: &FxRate) -> Value {
    json!({
        "id": rate.id,
        "pair": rate.pair,
        "rate": units::decimal::format(rate.rate_micro, 6, 4),
        "source": rate.source,
        "fetched_at": views::time(rate.fetched_at),
        "pinned": rate.pinned,
    })
}

fn rates(rates: &Rates) -> Value {
    json!({
        "input": rates.input.to_string(),
        "cached_input": rates.cached_input.to_string(),
        "cache_write": rates.cache_write.to_string(),
        "output": rates.output.to_string(),
    })
}

/// What was promised when it was set aside: nothing else is charged.
fn quote_of(quote: &HoldQuote) -> Value {
    let tiers = quote.tiers.iter().map(|tier| {
        let mut shown = rates(&tier.prices);
        shown["above"] = json!(tier.above.0);
        shown
    });
    let mut shown = rates(&quote.rates);
    shown["tiers"] = tiers.collect();
    shown["currency"] = "CNY".into();
    shown["unit"] = "1M tokens".into();
    shown["price_version"] = json!(quote.price_version);
    shown["fx_id"] = json!(quote.fx_id);
    shown["price_window"] = json!(quote.window);
    shown
}

fn hold_of(hold: &Hold) -> Value {
    json!({
        "state": hold.state.as_str(),
        "amount_cny": hold.money.to_string(),
        "tokens_milli": hold.tokens_milli(),
        "tokens": hold.legs.iter().map(|leg| json!({
            "balance": balance_name(&leg.asset), "held_milli": leg.milli, "weights_milli": leg.weights,
        })).collect::<Vec<_>>(),
        "quote": quote_of(&hold.quote),
        "budgets": hold.budgets.iter().map(|share| json!({
            "of": if share.key.is_some() { "key" } else { "account" }, "window": share.period.as_str(),
        })).collect::<Vec<_>>(),
        "dispatched": hold.dispatched,
        "cost_cny": hold.cost.to_string(),
        "cost_tokens_milli": hold.cost_tokens_milli,
        "overrun_cny": hold.overrun.to_string(),
        "estimated": hold.estimated,
        "used": hold.used.iter().map(part).collect::<Vec<_>>(),
        "corrected": hold.corrected.iter().map(part).collect::<Vec<_>>(),
        "opened_at": views::time(hold.opened_at),
        "ended_at": hold.ended_at.map(views::time),
    })
}

/// What was taken out of, or given back to, one lot.
fn part(part: &LotUse) -> Value {
    match &part.asset {
        Asset::Cny => json!({"lot": part.lot, "cny": units::NanoCny::new(part.amount).to_string()}),
        tokens => {
            json!({"lot": part.lot, "balance": balance_name(tokens), "tokens_milli": part.amount})
        }
    }
}

/// The receipt of a call whose own was lost with its process: what the ledger knows.
fn from_hold(hold: &Hold) -> Value {
    let usage = hold.usage.unwrap_or_default();
    let rates = hold.quote.rates_for(&usage);
    json!({
        "id": hold.id.to_string(),
        "account": hold.account.to_string(),
        "key": hold.key.to_string(),
        "model": hold.model,
        "created_at": views::time(hold.opened_at),
        "ended_at": hold.ended_at.map(views::time),
        "attempts": null,
        "usage": views::usage_of(&usage),
        "estimated": hold.estimated,
        "price_version": hold.quote.price_version,
        "fx_id": hold.quote.fx_id,
        "price_window": hold.quote.window,
        "price_tier_above": hold.quote.tier_above(&usage).map(|above| above.0),
        "lines": views::lines(&usage, rates),
        "held_cny": hold.money.to_string(),
        "cost_cny": hold.cost.to_string(),
        "cost_tokens_milli": hold.cost_tokens_milli,
        "currency": "CNY",
        "recovered": true,
    })
}
