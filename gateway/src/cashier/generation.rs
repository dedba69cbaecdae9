//! What was this call, and what did it cost?

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use payments::ledger::{Asset, Hold, LotUse};
use serde::Deserialize;
use serde_json::{Value, json};
use units::RequestId;

use super::{
    Cashier, PayError, reply,
    views::{self, balance_name},
};

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
    let receipt = cashier.store.receipt(id, caller.account).await?;
    let receipt = receipt.and_then(|body| serde_json::from_str(&body).ok());
    let mut shown: Value = receipt.unwrap_or_else(|| from_hold(&hold));
    shown["hold"] = hold_of(&hold);
    Ok(reply(http::StatusCode::OK, &json!({"data": shown})))
}

fn hold_of(hold: &Hold) -> Value {
    json!({
        "state": hold.state.as_str(),
        "amount_cny": hold.money.to_string(),
        "tokens_milli": hold.tokens_milli(),
        "tokens": hold.legs.iter().map(|leg| json!({
            "balance": balance_name(&leg.asset), "held_milli": leg.milli,
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
    json!({
        "id": hold.id.to_string(),
        "account": hold.account.to_string(),
        "key": hold.key.to_string(),
        "model": hold.model,
        "created_at": views::time(hold.opened_at),
        "ended_at": hold.ended_at.map(views::time),
        "usage": views::usage_of(&usage),
        "estimated": hold.estimated,
        "price_version": hold.quote.price_version,
        "fx_id": hold.quote.fx_id,
        "price_window": hold.quote.window,
        "price_tier_above": hold.quote.tier_above(&usage).map(|above| above.0),
        "cost_cny": hold.cost.to_string(),
        "cost_tokens_milli": hold.cost_tokens_milli,
        "currency": "CNY",
        "recovered": true,
    })
}
