//! Temporary access: a key for the minutes between "I have paid" and the news of the payment.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use payments::{
    grant::TemporaryKey,
    ledger::{GrantClaim, Order, OrderState},
    topup::QueryReport,
};
use serde_json::Value;

use super::{
    Cashier, PayError,
    topups::{find, shown},
    views,
};
use crate::keys::{digest, fresh_secret};

/// How much of a key is kept to recognise it by.
const PREFIX_CHARS: usize = 16;

/// Makes the order's key, which is shown this once, and lends at once where no claim is needed; the top-up as it is then.
pub(super) async fn offered(cashier: &Cashier, order: &Order) -> Result<Value, PayError> {
    let secret = fresh_secret(order.livemode).map_err(|error| PayError::unavailable(error.to_string()))?;
    let key = TemporaryKey {
        digest: base16ct::lower::encode_string(&digest(&cashier.key_secret, &secret).0),
        prefix: secret.chars().take(PREFIX_CHARS).collect(),
    };
    let payable = matches!(order.state, OrderState::Created | OrderState::Pending);
    let made = payable && cashier.grants.offer(order, key).await?;
    if made && cashier.grants.needs_no_claim() && order.state == OrderState::Pending {
        cashier.grants.open(order, GrantClaim::Policy).await?;
        cashier.topups.lent_on(order);
    }
    let mut shown = views::topup_with(cashier, order, &cashier.grants.lent_on(order).await?);
    if made {
        shown["grant"]["key"] = secret.into();
    }
    Ok(shown)
}

/// `POST /v1/topups/{id}/claim`: "I have paid". WeChat Pay is asked at once; while it does not know yet, the payer is lent
/// what was offered with the order.
pub(super) async fn claim(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    if order.state == OrderState::Pending {
        match cashier.topups.claimed(&order).await {
            QueryReport::Credited(order) => cashier.metrics.credited(&order, "query", cashier.clock.now()),
            QueryReport::Closed(_) => cashier.metrics.order("closed"),
            QueryReport::Quarantined(_) | QueryReport::Nothing | QueryReport::Over | QueryReport::Failed => {}
        }
        let order = find(&cashier, &caller, &id).await?;
        if order.state == OrderState::Pending {
            cashier.grants.open(&order, GrantClaim::Payer).await?;
        }
    }
    let order = find(&cashier, &caller, &id).await?;
    shown(&cashier, &order).await
}
