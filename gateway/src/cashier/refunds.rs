//! Asking for unused money back.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Actor, Role},
    refund::{RefundRequest, RefundRequestError},
};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{AccountId, KeyId, OrderId, RefundBatchId};

use super::{
    Cashier, PayError,
    page::Page,
    reply,
    topups::{idempotency_key, object, yuan},
    views,
};

/// WeChat Pay shows the payer at most this many bytes of a reason.
const REASON_BYTES_MAX: usize = 80;

#[derive(Deserialize)]
struct NewRefund {
    amount: Option<Value>,
    order: Option<String>,
    reason: Option<String>,
}

impl NewRefund {
    /// As it is asked of the books.
    fn wish(self, account: AccountId, key: KeyId) -> Result<RefundRequest, PayError> {
        let amount = match &self.amount {
            None | Some(Value::Null) => None,
            Some(value) => Some(yuan(value, "amount")?),
        };
        let order: Option<OrderId> = match &self.order {
            None => None,
            Some(id) => {
                let unknown = || PayError::not_found("order", format!("No top-up `{id}`"));
                Some(id.parse().map_err(|_| unknown())?)
            }
        };
        self.reason.as_deref().map_or(Ok(()), |reason| refund_reason("reason", reason))?;
        Ok(RefundRequest {
            account,
            actor: Actor { id: key.to_string(), role: Role::Customer },
            amount,
            order,
            reason: self.reason,
            why: None,
            approver: None,
            idempotency_key: None,
        })
    }
}

/// What the payer reads in WeChat.
pub(crate) fn refund_reason(param: &'static str, reason: &str) -> Result<(), PayError> {
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(PayError::invalid(param, format!("{param} has 1 to {REASON_BYTES_MAX} bytes")));
    }
    if reason.chars().any(|c| c.len_utf8() > 3 || c.is_control()) {
        return Err(PayError::invalid(param, "WeChat Pay shows neither emoji nor control characters"));
    }
    Ok(())
}

/// `POST /v1/refunds`
pub(super) async fn create(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let idempotency_key = idempotency_key(&headers)?;
    let wanted: NewRefund = object(&body, &["amount", "order", "reason"])?;
    let wish = RefundRequest { idempotency_key, ..wanted.wish(caller.account, caller.key)? };
    let (batch, items) = cashier.refunds.request(wish).await?;
    Ok(reply(StatusCode::CREATED, &views::refund(&batch, &items)))
}

/// `POST /v1/refunds/preview`: what the same request would do now.
pub(super) async fn preview(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let wanted: NewRefund = object(&body, &["amount", "order", "reason"])?;
    let preview = cashier.refunds.preview(wanted.wish(caller.account, caller.key)?).await?;
    Ok(reply(StatusCode::OK, &views::refund_preview(caller.account, &preview, preview.waits)))
}

/// `POST /v1/refunds/{id}/cancel`
pub(super) async fn cancel(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let unknown = || PayError::not_found("id", format!("No refund `{id}`"));
    let parsed: RefundBatchId = id.parse().map_err(|_| unknown())?;
    let actor = Actor { id: caller.key.to_string(), role: Role::Customer };
    match cashier.refunds.cancel(Some(caller.account), actor, None, parsed).await {
        Ok((batch, items)) => Ok(reply(StatusCode::OK, &views::refund(&batch, &items))),
        Err(RefundRequestError::UnknownRefund(_)) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// `GET /v1/refunds`: a page, newest first, and what could still go back.
pub(super) async fn list(
    State(cashier): State<Arc<Cashier>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let page = Page::read(&pairs)?;
    let (refunds, more) = cashier.store.refunds_page(caller.account, page.after, page.rows).await?;
    let next = refunds.last().filter(|_| more).map(|(batch, _)| batch.id.to_string());
    let shown: Vec<Value> = refunds.iter().map(|(batch, items)| views::refund(batch, items)).collect();
    let open = cashier.refunds.refundable(caller.account).await?;
    let refundable: Vec<Value> = open
        .iter()
        .flat_map(|(asset, payments)| {
            payments.iter().map(move |payment| {
                json!({
                    "order": payment.order.to_string(),
                    "balance": asset.to_string(),
                    "refundable": payment.cap.to_string(),
                    "withheld": payment.withheld.to_string(),
                    "bonus": payment.bonus.to_string(),
                    "currency": "CNY",
                })
            })
        })
        .collect();
    let page = json!({"object": "list", "data": shown, "next_cursor": next, "refundable": refundable});
    Ok(reply(StatusCode::OK, &page))
}

/// `GET /v1/refunds/{id}`
pub(super) async fn one(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let unknown = || PayError::not_found("id", format!("No refund `{id}`"));
    let parsed: RefundBatchId = id.parse().map_err(|_| unknown())?;
    let found = cashier.store.refund(parsed).await?;
    let (batch, items) = found.filter(|(batch, _)| batch.account == caller.account).ok_or_else(unknown)?;
    Ok(reply(StatusCode::OK, &views::refund(&batch, &items)))
}
