//! A wrong charge goes back to where it was taken from.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::ledger::{Asset, Body, Correction, Reply};
use serde::Deserialize;
use serde_json::json;
use units::RequestId;

use super::{By, HandRoom, amount_of, asset_of, odd_reply, parse};
use crate::cashier::{PayError, reply, whole_receipt};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correct {
    by: By,
    /// A part; all that has not gone back yet where absent and `whole` is said.
    amount: Option<String>,
    asset: Option<String>,
    #[serde(default)]
    whole: bool,
}

/// `GET /admin/v1/calls/{call}`: why it was served as it was, what was tried, and what it cost.
pub(super) async fn explain(
    State(room): State<Arc<HandRoom>>,
    Path(call): Path<String>,
) -> Result<Response, PayError> {
    let unknown = || PayError::not_found("call", format!("no call {call}"));
    let id: RequestId = call.parse().map_err(|_| unknown())?;
    // A call that just ended may still be in the queue.
    room.store.flushed().await?;
    let hold = room.store.hold(id).await?.ok_or_else(unknown)?;
    Ok(reply(StatusCode::OK, &whole_receipt(&room.store, &hold).await?))
}

/// `POST /admin/v1/calls/{call}/correct`
pub(super) async fn correct(
    State(room): State<Arc<HandRoom>>,
    Path(call): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let unknown = || PayError::not_found("call", format!("no call {call}"));
    let id: RequestId = call.parse().map_err(|_| unknown())?;
    let asked: Correct = parse(&body)?;
    let what = match (&asked.amount, asked.whole) {
        (None, true) if asked.asset.is_none() => Correction::Whole,
        (None, true) => return Err(PayError::invalid("asset", "the whole goes back in every asset")),
        (Some(amount), false) => {
            let asset = asset_of(asked.asset.as_deref())?;
            Correction::Part { amount: amount_of(&asset, amount)?, asset }
        }
        _ => return Err(PayError::missing("amount", "say how much goes back: a part, or the whole")),
    };
    // A call that just ended may still be in the queue.
    room.store.flushed().await?;
    let hold = room.store.hold(id).await?.ok_or_else(unknown)?;
    let key = asked.by.key.clone();
    let body =
        Body::CorrectCharge { id, account: hold.account, key: hold.key, used: hold.used.clone(), what };
    let done = room.submit("correct", asked.by, body).await?;
    let Reply::Hold(hold) = done else { return Err(odd_reply(&done)) };
    let part = |part: &payments::ledger::LotUse| json!({"lot": part.lot, "asset": part.asset.to_string(), "amount": part.asset.text(part.amount)});
    let shown = json!({
        "call": id.to_string(),
        "account": hold.account.to_string(),
        "cost": Asset::Cny.text(hold.cost.get()),
        "currency": "CNY",
        "used": hold.used.iter().map(part).collect::<Vec<_>>(),
        "corrected": hold.corrected.iter().map(part).collect::<Vec<_>>(),
        "key": key,
    });
    Ok(reply(StatusCode::OK, &shown))
}
