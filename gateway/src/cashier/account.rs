//! What do I have, and who am I?

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;

use super::{Cashier, PayError, reply, views};

/// `GET /v1/credits`: the balances, as of everything that happened before.
pub(super) async fn credits(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    cashier.store.flushed().await?;
    let balances = cashier.store.balances(caller.account).await?;
    let shown = views::credits(&caller.account.to_string(), caller.livemode.as_str(), &balances);
    Ok(reply(http::StatusCode::OK, &shown))
}

/// `GET /v1/key`: the key that asks.
pub(super) async fn key(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let shown = json!({
        "object": "key",
        "id": caller.key.to_string(),
        "account": caller.account.to_string(),
        "livemode": caller.livemode.as_str(),
        "limits": {
            "requests_per_minute": caller.limits.requests_per_minute,
            "tokens_per_minute": caller.limits.tokens_per_minute,
        },
        "available": cashier.holds.available(caller.account).to_string(),
        "currency": "CNY",
    });
    Ok(reply(http::StatusCode::OK, &shown))
}
