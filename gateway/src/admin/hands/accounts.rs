//! Balances corrected, accounts stopped and closed, budgets.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::ledger::{Adjustment, Body, BudgetPeriod, Reply};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{AccountId, KeyId, NanoCny};

use super::{By, HandRoom, account_of, amount_of, asset_of, listed, odd_reply, parse};
use crate::{
    admin::account_view,
    cashier::{self, PayError, reply},
};

type Room = State<Arc<HandRoom>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjust {
    by: By,
    amount: String,
    asset: Option<String>,
}

/// `POST /admin/v1/accounts/{account}/adjust`: more, or with a minus less. The key is the ticket.
pub(super) async fn adjust(
    State(room): Room,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let account = account_of(&account)?;
    let asked: Adjust = parse(&body)?;
    let asset = asset_of(asked.asset.as_deref())?;
    let amount = amount_of(&asset, &asked.amount)?;
    let ticket = asked.by.key.clone();
    let change = Body::Adjust(Adjustment { account, asset: asset.clone(), amount, ticket: ticket.clone() });
    let mut command = room.command("adjust", asked.by, change)?;
    command.key = format!("adj:{ticket}");
    if amount < 0 {
        let amount = amount.checked_neg().ok_or_else(|| PayError::invalid("amount", "out of range"))?;
        room.submit_taking(command, account, asset.clone(), amount).await?;
    } else {
        room.store.submit(command).await?;
    }
    let wallets = room.store.wallets(account).await?;
    let balance = wallets.iter().find(|wallet| wallet.asset == asset).map_or(0, |wallet| wallet.posted);
    let shown = json!({
        "account": account.to_string(),
        "asset": asset.to_string(),
        "amount": asset.text(amount),
        "balance": asset.text(balance),
        "key": ticket,
    });
    Ok(reply(StatusCode::OK, &shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    by: By,
}

/// `POST /admin/v1/accounts/{account}/stop`
pub(super) async fn stop(
    State(room): Room,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    standing(&room, "stop", &account, &body, |account| Body::StopAccount { account }).await
}

/// `POST /admin/v1/accounts/{account}/resume`
pub(super) async fn resume(
    State(room): Room,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    standing(&room, "resume", &account, &body, |account| Body::ResumeAccount { account }).await
}

/// `POST /admin/v1/accounts/{account}/close`: for good.
pub(super) async fn close(
    State(room): Room,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    // Calls that have ended are on disk before it is asked whether any runs.
    room.store.flushed().await?;
    standing(&room, "close", &account, &body, |account| Body::CloseAccount { account }).await
}

async fn standing(
    room: &HandRoom,
    what: &str,
    account: &str,
    body: &[u8],
    change: fn(AccountId) -> Body,
) -> Result<Response, PayError> {
    let account = account_of(account)?;
    let asked: Signed = parse(body)?;
    let key = asked.by.key.clone();
    let done = room.submit(what, asked.by, change(account)).await?;
    room.standing_changed(account);
    let Reply::Account(row) = done else { return Err(odd_reply(&done)) };
    let mut shown = account_view(&row);
    shown["key"] = key.into();
    Ok(reply(StatusCode::OK, &shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBudget {
    by: By,
    api_key: Option<KeyId>,
    period: String,
    limit: Option<String>,
}

/// `PUT /admin/v1/accounts/{account}/budgets`: of the account, or of one of its keys; without a limit it only counts.
pub(super) async fn set_budget(
    State(room): Room,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let account = account_of(&account)?;
    let asked: SetBudget = parse(&body)?;
    let period = asked.period.parse::<BudgetPeriod>();
    let period = period.map_err(|_| PayError::invalid("period", "period is `day`, `month` or `total`"))?;
    let limit = asked.limit.as_deref().map(|limit| {
        limit
            .parse::<NanoCny>()
            .map_err(|error| PayError::invalid("limit", format!("limit is yuan: {error}")))
    });
    let limit = limit.transpose()?;
    if limit.is_some_and(NanoCny::is_negative) {
        return Err(PayError::invalid("limit", "a limit is never below zero"));
    }
    let key = asked.by.key.clone();
    let set = Body::SetBudget { account, key: asked.api_key, period, limit };
    let done = room.submit("budget", asked.by, set).await?;
    let Reply::Budget(budget) = done else { return Err(odd_reply(&done)) };
    let mut shown = cashier::budget(&budget);
    shown["account"] = account.to_string().into();
    shown["api_key"] = json!(budget.key.map(|key| key.to_string()));
    shown["key"] = key.into();
    Ok(reply(StatusCode::OK, &shown))
}

/// `GET /admin/v1/accounts/{account}/budgets`: the account's own.
pub(super) async fn budgets(State(room): Room, Path(account): Path<String>) -> Result<Response, PayError> {
    let account = account_of(&account)?;
    let known = room.store.account(account).await?;
    known.ok_or_else(|| PayError::not_found("account", format!("no account {account}")))?;
    let now = room.clock.now();
    let budgets = room.store.budgets(account, None).await?;
    let rows: Vec<Value> = budgets.iter().map(|budget| cashier::budget(&budget.at(now))).collect();
    Ok(reply(StatusCode::OK, &listed(rows)))
}
