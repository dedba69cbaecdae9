//! Refunds by operators: looked at first, asked for, agreed to, taken back.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Actor, Role},
    refund::RefundRequest,
};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{OrderId, RefundBatchId};

use super::{By, HandRoom, account_of, known, listed, parse, person};
use crate::cashier::{PayError, refund_for_operators, refund_preview, refund_reason, reply, yuan};

type Room = State<Arc<HandRoom>>;

/// Whose money, and how much of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    account: Option<String>,
    order: Option<String>,
    amount: Option<String>,
}

impl Wish {
    /// As it is asked of the books, by nobody yet.
    async fn read(self, room: &HandRoom) -> Result<RefundRequest, PayError> {
        let (account, order) = match (&self.account, &self.order) {
            (None, None) => {
                return Err(PayError::missing("account", "say whose money goes back: `account`, or `order`"));
            }
            (Some(account), None) => (known(room, account_of(account)?).await?, None),
            (account, Some(order)) => {
                let id = order_of(order)?;
                let unknown = || PayError::not_found("order", format!("no order {id}"));
                let found = room.store.order(id).await?.ok_or_else(unknown)?;
                let whose = account.as_deref().map_or(Ok(found.account), account_of)?;
                if whose != found.account {
                    return Err(unknown());
                }
                (found.account, Some(id))
            }
        };
        let amount = self.amount.map(|text| yuan(&Value::String(text), "amount"));
        Ok(RefundRequest {
            account,
            actor: Actor { id: String::new(), role: Role::Operator },
            amount: amount.transpose()?,
            order,
            reason: None,
            why: None,
            approver: None,
            idempotency_key: None,
        })
    }
}

fn order_of(id: &str) -> Result<OrderId, PayError> {
    id.parse().map_err(|_| PayError::not_found("order", format!("no order {id}")))
}

fn refund_of(id: &str) -> Result<RefundBatchId, PayError> {
    id.parse().map_err(|_| PayError::not_found("refund", format!("no refund {id}")))
}

/// `POST /admin/v1/refunds/preview`: what would go back, of which payments, and what cannot.
pub(super) async fn preview(State(room): Room, body: Bytes) -> Result<Response, PayError> {
    let asked: Wish = parse(&body)?;
    let wish = asked.read(&room).await?;
    let account = wish.account;
    // To look takes neither a reason nor a second person.
    let wish = RefundRequest { actor: Actor::system("preview"), ..wish };
    let preview = room.refunds.preview(wish).await?;
    let needs_approver = room.refunds.takes_two(preview.amount);
    Ok(reply(StatusCode::OK, &refund_preview(account, &preview, needs_approver)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    by: By,
    account: Option<String>,
    order: Option<String>,
    amount: Option<String>,
    note: Option<String>,
}

/// `POST /admin/v1/refunds`: the operator's reason is for us, `note` is what the payer reads.
pub(super) async fn create(State(room): Room, body: Bytes) -> Result<Response, PayError> {
    let NewRefund { by, account, order, amount, note } = parse(&body)?;
    by.check()?;
    note.as_deref().map_or(Ok(()), |note| refund_reason("note", note))?;
    let wish = Wish { account, order, amount }.read(&room).await?;
    let wish = RefundRequest {
        actor: person(by.operator),
        reason: note,
        why: by.reason,
        approver: by.approver.map(person),
        idempotency_key: Some(by.key.clone()),
        ..wish
    };
    let (batch, items) = room.refunds.request(wish).await?;
    let mut shown = refund_for_operators(&batch, &items);
    shown["key"] = by.key.into();
    Ok(reply(StatusCode::OK, &shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    account: Option<String>,
    order: Option<String>,
    cursor: Option<String>,
}

/// Requests of an account that are read at once.
const READ_AT_ONCE: usize = 200;

/// `GET /admin/v1/refunds`: a page of an account's, all of an order's, or all that are not at an end.
pub(super) async fn list(State(room): Room, Query(which): Query<Which>) -> Result<Response, PayError> {
    let after = which.cursor.as_deref().map(str::parse::<RefundBatchId>).transpose();
    let after = after.map_err(|_| PayError::invalid("cursor", "this is no `next_cursor` of this list"))?;
    if after.is_some() && (which.account.is_none() || which.order.is_some()) {
        return Err(PayError::invalid("cursor", "only an account's refunds come in pages"));
    }
    let mut next = None;
    let found = match (which.account, which.order) {
        (None, None) => room.store.open_refunds().await?,
        (Some(account), None) => {
            let account = known(&room, account_of(&account)?).await?;
            let (found, more) = room.store.refunds_page(account, after, READ_AT_ONCE).await?;
            next = found.last().filter(|_| more).map(|(batch, _)| batch.id.to_string());
            found
        }
        (account, Some(order)) => {
            let id = order_of(&order)?;
            let unknown = || PayError::not_found("order", format!("no order {id}"));
            let order = room.store.order(id).await?.ok_or_else(unknown)?;
            if account.is_some_and(|account| account_of(&account).ok() != Some(order.account)) {
                return Err(unknown());
            }
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let (page, more) = room.store.refunds_page(order.account, after, READ_AT_ONCE).await?;
                after = page.last().map(|(batch, _)| batch.id);
                found.extend(page.into_iter().filter(|(_, items)| items.iter().any(|item| item.order == id)));
                if !more {
                    break found;
                }
            }
        }
    };
    let rows: Vec<Value> = found.iter().map(|(batch, items)| refund_for_operators(batch, items)).collect();
    let mut shown = listed(rows);
    shown["next_cursor"] = json!(next);
    Ok(reply(StatusCode::OK, &shown))
}

/// `GET /admin/v1/refunds/{refund}`
pub(super) async fn one(State(room): Room, Path(id): Path<String>) -> Result<Response, PayError> {
    let found = room.store.refund(refund_of(&id)?).await?;
    let unknown = || PayError::not_found("refund", format!("no refund {id}"));
    let (batch, items) = found.ok_or_else(unknown)?;
    Ok(reply(StatusCode::OK, &refund_for_operators(&batch, &items)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    by: By,
}

/// `POST /admin/v1/refunds/{refund}/approve`: what a customer asked for and waits may go.
pub(super) async fn approve(
    State(room): Room,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let Signed { by } = parse(&body)?;
    by.check()?;
    let id = refund_of(&id)?;
    let (batch, items) = room.refunds.approve(person(by.operator), by.reason, id).await?;
    Ok(reply(StatusCode::OK, &refund_for_operators(&batch, &items)))
}

/// `POST /admin/v1/refunds/{refund}/cancel`: it is taken back, as long as nothing of it was sent.
pub(super) async fn cancel(
    State(room): Room,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let Signed { by } = parse(&body)?;
    by.check()?;
    let id = refund_of(&id)?;
    let (batch, items) = room.refunds.cancel(None, person(by.operator), by.reason, id).await?;
    Ok(reply(StatusCode::OK, &refund_for_operators(&batch, &items)))
}
