//! Payments that agree with no order, and what becomes of them.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::ledger::{Body, Order, Reply, Resolution, SuspensePayment, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{OrderId, RefundBatchId, RefundId};

use super::{By, HandRoom, listed, odd_reply, parse};
use crate::cashier::{PayError, reply, time, topup};

type Room = State<Arc<HandRoom>>;

/// `GET /admin/v1/reviews`: each payment that waits for a person, and each order whose payment could not even be booked.
pub(super) async fn list(State(room): Room) -> Result<Response, PayError> {
    let mut rows = Vec::new();
    let mut with_payment = BTreeSet::new();
    for payment in room.store.open_suspense().await? {
        with_payment.insert(payment.order);
        let order = room.store.order(payment.order).await?;
        rows.push(row(payment.order, order.as_ref(), Some(&payment)));
    }
    for order in room.store.orders_in_review().await? {
        if !with_payment.contains(&order.id) {
            rows.push(row(order.id, Some(&order), None));
        }
    }
    Ok(reply(StatusCode::OK, &listed(rows)))
}

fn row(id: OrderId, order: Option<&Order>, payment: Option<&SuspensePayment>) -> Value {
    json!({
        "order": id.to_string(),
        "account": order.map(|order| order.account.to_string()),
        "status": order.map(|order| order.public_state()),
        "ordered": order.map(|order| order.amount.to_string()),
        "payment": payment.map(|payment| payment.transaction_id.as_str()),
        "paid": payment.map(|payment| payment.amount.to_string()),
        "currency": "CNY",
        "difference": payment.map(|payment| payment.difference.as_str()),
        "paid_at": payment.map(|payment| time(payment.paid_at)),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolve {
    by: By,
    verdict: String,
    payment: Option<String>,
}

/// `POST /admin/v1/reviews/{order}`: the payment counts, or goes back.
pub(super) async fn resolve(
    State(room): Room,
    Path(order): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let unknown = || PayError::not_found("order", format!("no order {order}"));
    let id: OrderId = order.parse().map_err(|_| unknown())?;
    let asked: Resolve = parse(&body)?;
    let verdict = asked.verdict.parse::<Verdict>();
    let verdict = verdict.map_err(|_| PayError::invalid("verdict", "verdict is `credit` or `void`"))?;
    let found = room.store.order(id).await?.ok_or_else(unknown)?;
    if let Some(topups) = &room.topups
        && let Err(error) = topups.ask_before_review(&found).await
    {
        // What went out is not known to be what goes back. What counts, two people answer for.
        if verdict == Verdict::Void {
            return Err(PayError::not_asked(error.to_string()));
        }
        tracing::warn!(order = %id, %error, "WeChat Pay could not be asked what was paid");
    }
    // Also those that were decided before: a repeat names the same one.
    let payments = room.store.suspense_of(id).await?;
    let transaction_id = match (asked.payment, &payments[..]) {
        (Some(named), _) => Some(named),
        (None, []) => None,
        (None, [only]) => Some(only.transaction_id.clone()),
        (None, several) => {
            let words = format!("{} payments named this order: say which one", several.len());
            return Err(PayError::missing("payment", words));
        }
    };
    let now = room.clock.now();
    let key = asked.by.key.clone();
    let about = Resolution {
        order: id,
        account: found.account,
        asset: found.kind.asset(),
        transaction_id,
        verdict,
        batch: RefundBatchId::new(now),
        item: RefundId::new(now),
    };
    let done = room.submit("review", asked.by, Body::ResolveReview(about)).await?;
    let refund = match &done {
        Reply::Order { .. } => None,
        Reply::Refund { batch, .. } => Some(batch.id.to_string()),
        other => return Err(odd_reply(other)),
    };
    if refund.is_some() {
        room.refunds.wake();
    }
    let found = room.store.order(id).await?.ok_or_else(unknown)?;
    let shown = json!({
        "order": topup(&found),
        "account": found.account.to_string(),
        "verdict": verdict.as_str(),
        "refund": refund,
        "key": key,
    });
    Ok(reply(StatusCode::OK, &shown))
}
