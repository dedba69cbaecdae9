//! What do I have, and who am I?

use std::{collections::HashMap, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use payments::ledger::Asset;
use serde_json::{Value, json};

use super::{Cashier, PayError, reply, views};

/// `GET /v1/credits`: the balances, as of everything that happened before.
pub(super) async fn credits(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    cashier.store.flushed().await?;
    let balances = cashier.store.balances(caller.account).await?;
    let of_tokens = balances.iter().filter_map(|balance| match &balance.wallet.asset {
        Asset::Tokens(name) => Some(name.clone()),
        Asset::Cny => None,
    });
    let mut terms = HashMap::new();
    for name in of_tokens {
        terms.extend(cashier.store.terms(name.clone()).await?.map(|found| (name, found)));
    }
    let account = caller.account.to_string();
    let shown = views::credits(&account, caller.livemode.as_str(), &balances, &terms);
    Ok(reply(http::StatusCode::OK, &shown))
}

/// `GET /v1/key`: the key that asks.
pub(super) async fn key(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let now = cashier.clock.now();
    let mut budgets = cashier.store.budgets(caller.account, None).await?;
    budgets.extend(cashier.store.budgets(caller.account, Some(caller.key)).await?);
    let budgets: Vec<Value> = budgets.iter().map(|budget| views::budget(&budget.at(now))).collect();
    let shown = json!({
        "object": "key",
        "id": caller.key.to_string(),
        "account": caller.account.to_string(),
        "livemode": caller.livemode.as_str(),
        "limits": {
            "requests_per_minute": caller.limits.requests_per_minute,
            "tokens_per_minute": caller.limits.tokens_per_minute,
        },
        "temporary": caller.money_only,
        "budgets": budgets,
        "available": cashier.holds.available(caller.account).to_string(),
        "currency": "CNY",
    });
    Ok(reply(http::StatusCode::OK, &shown))
}
