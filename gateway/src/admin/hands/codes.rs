//! Credit codes: made, listed, withdrawn. A code is in the answer that makes it and nowhere else.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::StatusCode;
use payments::ledger::{Body, CreditCode, NewCode};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{Livemode, NanoCny};

use super::{By, HandRoom, listed, parse};
use crate::{
    cashier::{HINT_CHARS, PayError, code_digest, fresh_code, reply, time},
    statement::instant,
};

type Room = State<Arc<HandRoom>>;

/// So many at once: they are in one answer.
const CODES_MAX: usize = 1_000;
/// What a code gives lasts at most ten years.
const DAYS_MAX: i64 = 3_650;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issue {
    by: By,
    amount: String,
    count: usize,
    campaign: String,
    livemode: Livemode,
    expires: Option<String>,
    lasts_days: Option<i64>,
}

/// `POST /admin/v1/codes`
pub(super) async fn issue(State(room): Room, body: Bytes) -> Result<Response, PayError> {
    let asked: Issue = parse(&body)?;
    let amount: NanoCny = asked.amount.parse().map_err(|error| {
        PayError::invalid("amount", format!("amount is yuan as text, e.g. \"10.00\": {error}"))
    })?;
    if !(1..=CODES_MAX).contains(&asked.count) {
        return Err(PayError::invalid("count", format!("count is from 1 to {CODES_MAX}")));
    }
    if asked.lasts_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(PayError::invalid("lasts_days", format!("lasts_days is from 1 to {DAYS_MAX}")));
    }
    let valid_until = asked.expires.as_deref().map(instant).transpose();
    let valid_until = valid_until.map_err(|error| PayError::invalid("expires", error))?;
    let mut codes = Vec::with_capacity(asked.count);
    let mut commands = Vec::with_capacity(asked.count);
    for number in 1..=asked.count {
        let code = fresh_code().map_err(|error| PayError::unavailable(error.to_string()))?;
        let digest = code_digest(&code).ok_or_else(|| PayError::unavailable("no code was made"))?;
        let new = NewCode {
            digest,
            hint: code[code.len() - HINT_CHARS..].to_owned(),
            amount,
            lifetime_s: asked.lasts_days.map(|days| days * 86_400),
            valid_until,
            uses: 1,
            campaign: asked.campaign.clone(),
            livemode: asked.livemode,
        };
        commands.push(room.command(&format!("code.{number}"), asked.by.clone(), Body::CreateCode(new))?);
        codes.push(code);
    }
    // What is wrong with one is wrong with all, and a key that was used before is known by the first: the others follow
    // when it is written.
    let rest = commands.split_off(1);
    for command in commands {
        room.store.submit(command).await?;
    }
    try_join_all(rest.into_iter().map(|command| room.store.submit(command))).await?;
    let shown = json!({
        "campaign": asked.campaign,
        "amount": amount.to_string(),
        "currency": "CNY",
        "livemode": asked.livemode.as_str(),
        "expires": valid_until.map(time),
        "lasts_days": asked.lasts_days,
        "codes": codes,
        "key": asked.by.key,
    });
    Ok(reply(StatusCode::CREATED, &shown))
}

#[derive(Deserialize)]
pub(super) struct Which {
    campaign: Option<String>,
}

/// `GET /admin/v1/codes?campaign=`: a page of a campaign's codes, without the codes.
pub(super) async fn list(State(room): Room, Query(which): Query<Which>) -> Result<Response, PayError> {
    let campaign = which.campaign.ok_or_else(|| PayError::missing("campaign", "name the campaign"))?;
    let codes = room.store.credit_codes(campaign).await?;
    Ok(reply(StatusCode::OK, &listed(codes.iter().map(view).collect())))
}

fn view(code: &CreditCode) -> Value {
    json!({
        "digest": code.terms.digest,
        "hint": code.terms.hint,
        "amount": code.terms.amount.to_string(),
        "currency": "CNY",
        "uses": code.terms.uses,
        "used": code.used,
        "expires": code.terms.valid_until.map(time),
        "created_at": time(code.created_at),
        "voided_at": code.voided_at.map(time),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    by: By,
}

/// `POST /admin/v1/codes/{digest}/void`: it is not redeemed any more. What it gave stays given.
pub(super) async fn void(
    State(room): Room,
    Path(digest): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Signed = parse(&body)?;
    room.submit("void", asked.by, Body::VoidCode { digest: digest.clone() }).await?;
    let unknown = || PayError::not_found("code", "no such code");
    let code = room.store.credit_code(digest).await?.ok_or_else(unknown)?;
    Ok(reply(StatusCode::OK, &view(&code)))
}
