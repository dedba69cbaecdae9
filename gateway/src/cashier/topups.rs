//! Topping up.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::Order,
    topup::{Buy, QueryReport, TopUpRequest},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use units::{Fen, OrderId};

use super::{Cashier, PayError, reply, temporary, views};
use crate::chat::Caller;

/// WeChat Pay takes at most this many characters of a device id.
const DEVICE_ID_CHARS_MAX: usize = 32;
/// A caller's own key for a request has at most this many characters.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

#[derive(Deserialize)]
struct NewTopUp {
    amount: Option<Value>,
    kind: Option<String>,
    model: Option<String>,
    expect_tokens: Option<Value>,
    device_id: Option<String>,
    temporary_access: Option<bool>,
}

/// `POST /v1/topups`
pub(super) async fn create(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let idempotency_key = idempotency_key(&headers)?;
    let wanted: NewTopUp =
        object(&body, &["amount", "kind", "model", "expect_tokens", "device_id", "temporary_access"])?;
    let amount = wanted.amount.as_ref().filter(|amount| !amount.is_null());
    let amount = amount
        .ok_or_else(|| PayError::missing("amount", "amount is missing: yuan as a string, e.g. \"10.00\""))?;
    let amount = yuan(amount, "amount")?;
    if let Some(device) = &wanted.device_id
        && (device.is_empty() || device.chars().count() > DEVICE_ID_CHARS_MAX)
    {
        return Err(PayError::invalid("device_id", "device_id has 1 to 32 characters"));
    }
    let temporary = wanted.temporary_access.unwrap_or(false);
    let buy = buy(&cashier, &caller, &wanted)?;
    if temporary && buy != Buy::Wallet {
        return Err(PayError::invalid("temporary_access", "temporary access goes with kind `wallet`"));
    }
    let request = TopUpRequest {
        account: caller.account,
        livemode: caller.livemode,
        actor: caller.key.to_string(),
        amount,
        buy,
        device_id: wanted.device_id,
        idempotency_key,
    };
    let order = cashier.topups.create(request).await.inspect_err(|_| cashier.metrics.order("failed"))?;
    cashier.metrics.order("created");
    let shown = if temporary {
        temporary::offered(&cashier, &order).await?
    } else {
        views::topup_with(&order, &cashier.grants.lent_on(&order).await?)
    };
    Ok(reply(StatusCode::CREATED, &shown))
}

fn buy(cashier: &Cashier, caller: &Caller, wanted: &NewTopUp) -> Result<Buy, PayError> {
    match wanted.kind.as_deref().unwrap_or("wallet") {
        "wallet" => {
            if wanted.model.is_some() {
                return Err(PayError::invalid("model", "model goes with kind `tokens`"));
            }
            Ok(Buy::Wallet)
        }
        "tokens" => {
            let model = wanted.model.as_deref();
            let model = model.ok_or_else(|| PayError::missing("model", "kind `tokens` needs a model"))?;
            let snapshot = cashier.snapshots.load();
            let known = snapshot.table.models.get(model).filter(|known| known.livemode == caller.livemode);
            if known.is_none() {
                return Err(PayError::not_found("model", format!("No model `{model}`. See GET /v1/models.")));
            }
            let quote = snapshot.prices.quote_ahead(caller.account, model, cashier.clock.now());
            let quote = quote.map_err(|error| PayError::no_price(error.to_string()))?;
            let expected = match &wanted.expect_tokens {
                None | Some(Value::Null) => None,
                Some(value) => Some(whole(value).ok_or_else(|| {
                    PayError::invalid("expect_tokens", "expect_tokens is a whole number, or one as a string")
                })?),
            };
            Ok(Buy::Tokens {
                model: model.to_owned(),
                rates: quote.rates,
                price_version: quote.price_version.clone(),
                fx_id: quote.fx_id.clone(),
                expected,
            })
        }
        other => Err(PayError::invalid("kind", format!("kind is `wallet` or `tokens`, not `{other}`"))),
    }
}

/// `GET /v1/topups`
pub(super) async fn list(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let orders = cashier.store.orders_of(caller.account).await?;
    let shown: Vec<Value> = orders.iter().map(views::topup).collect();
    Ok(reply(StatusCode::OK, &json!({"object": "list", "data": shown})))
}

/// `GET /v1/topups/{id}`
pub(super) async fn one(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    let lent = cashier.grants.lent_on(&order).await?;
    Ok(reply(StatusCode::OK, &views::topup_with(&order, &lent)))
}

/// `POST /v1/topups/{id}/close`: a payment that wins the race is credited instead.
pub(super) async fn close(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    if matches!(order.state, payments::ledger::OrderState::Created | payments::ledger::OrderState::Pending) {
        match cashier.topups.cancel(&order).await {
            QueryReport::Closed(_) => cashier.metrics.order("closed"),
            QueryReport::Credited(order) => cashier.metrics.credited(&order, "query", cashier.clock.now()),
            QueryReport::Failed => {
                return Err(PayError::unavailable(
                    "WeChat Pay gave no clear answer; the order is still watched",
                ));
            }
            QueryReport::Quarantined(_) | QueryReport::Nothing => {}
        }
    }
    let order = find(&cashier, &caller, &id).await?;
    let lent = cashier.grants.lent_on(&order).await?;
    Ok(reply(StatusCode::OK, &views::topup_with(&order, &lent)))
}

pub(super) async fn find(cashier: &Cashier, caller: &Caller, id: &str) -> Result<Order, PayError> {
    let unknown = || PayError::not_found("id", format!("No top-up `{id}`"));
    let parsed: OrderId = id.parse().map_err(|_| unknown())?;
    let order = cashier.store.order(parsed).await?;
    order.filter(|order| order.account == caller.account).ok_or_else(unknown)
}

/// The caller's own key for this request.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, PayError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_CHARS_MAX);
    let key = key.ok_or_else(|| {
        PayError::invalid("Idempotency-Key", "Idempotency-Key has 1 to 255 visible ASCII characters")
    })?;
    Ok(Some(key.to_owned()))
}

/// Reads a JSON object with no other members than `known`; an empty body is an empty one.
pub(super) fn object<T: DeserializeOwned>(body: &[u8], known: &[&str]) -> Result<T, PayError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| PayError::body(format!("The body is not valid JSON: {error}")))?;
    let Value::Object(members) = &value else { return Err(PayError::body("The body is not a JSON object.")) };
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(PayError::unknown(unknown, known));
    }
    let wrong = members.iter().find(|(name, value)| {
        // Amounts and counts are looked at where they are used; everything else is text, or a yes or no.
        !matches!(name.as_str(), "amount" | "expect_tokens" | "temporary_access")
            && !value.is_string()
            && !value.is_null()
    });
    if let Some((name, _)) = wrong {
        return Err(PayError::wrong_type(name, "a string"));
    }
    let flag = members.get("temporary_access").filter(|flag| !flag.is_boolean() && !flag.is_null());
    if flag.is_some() {
        return Err(PayError::wrong_type("temporary_access", "true or false"));
    }
    serde_json::from_value(value)
        .map_err(|error| PayError::body(format!("The body is not as expected: {error}")))
}

/// An amount in yuan: a decimal string, or a whole number.
pub(super) fn yuan(value: &Value, param: &'static str) -> Result<Fen, PayError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return Err(PayError::invalid(param, format!("{param} is yuan as a string, e.g. \"10.00\""))),
    };
    let amount: Fen = text.parse().map_err(|error| {
        PayError::invalid(param, format!("{param} is yuan as a string, e.g. \"10.00\": {error}"))
    })?;
    amount.at_least_one().map_err(|error| PayError::invalid(param, error.to_string()))
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}
