//! Rates of exchange.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    fx::parse_micro,
    ledger::{Body, FxPair, FxRate, Reply, is_near},
};
use serde::Deserialize;
use serde_json::{Value, json};
use units::decimal;

use super::{PriceRoom, instant, listed, odd_reply, parse, shown};
use crate::cashier::{PayError, reply};

/// Rates shown of a history unless more are asked for, and at most.
const HISTORY: (u32, u32) = (50, 1_000);

type Room = State<Arc<PriceRoom>>;

/// `GET /admin/v1/fx`
pub(super) async fn show(State(room): Room) -> Result<Response, PayError> {
    let mut pairs = room.store.fx_pairs().await?;
    let configured = room.publisher.iter().flat_map(|publisher| publisher.fx().pairs_known());
    for pair in configured {
        if !pairs.iter().any(|row| row.pair == pair) {
            pairs.push(FxPair::unknown(pair));
        }
    }
    let rows = pairs.iter().map(|row| {
        let failure = room.publisher.as_ref().and_then(|publisher| publisher.fx().known(&row.pair).1);
        pair_view(&room, row, failure)
    });
    Ok(reply(StatusCode::OK, &listed(rows.collect())))
}

fn pair_view(room: &PriceRoom, row: &FxPair, failure: Option<String>) -> Value {
    let now = room.clock.now();
    let rate = row.at(now);
    let age = rate.map(|rate| now.since(rate.fetched_at));
    let state = match (rate, age) {
        (Some(rate), _) if rate.pinned => "pinned",
        (_, Some(age)) if age > room.max_stale => "stale",
        (_, Some(age)) if age > room.warn_stale => "ageing",
        (_, Some(_)) => "fresh",
        (_, None) => "unknown",
    };
    json!({
        "pair": row.pair,
        "state": state,
        "rate": rate.map(|rate| shown::rate(rate.rate_micro)),
        "id": rate.map(|rate| rate.id.as_str()),
        "source": rate.map(|rate| rate.source.as_str()),
        "fetched_at": rate.map(|rate| shown::time(rate.fetched_at)),
        "age_secs": rate.map(|rate| shown::age_secs(rate.fetched_at, now)),
        "until": rate.and_then(|rate| rate.until).map(shown::time),
        "last_accepted": row.accepted.as_ref().map(|rate| rate.id.as_str()),
        "last_failure": failure,
    })
}

#[derive(Deserialize)]
pub(super) struct Asked {
    pair: Option<String>,
    limit: Option<u32>,
}

/// `GET /admin/v1/fx/history?pair=USD/CNY`
pub(super) async fn history(State(room): Room, Query(asked): Query<Asked>) -> Result<Response, PayError> {
    let pair = asked.pair.ok_or_else(|| PayError::missing("pair", "name the pair: ?pair=USD/CNY"))?;
    if !room.store.fx_pairs().await?.iter().any(|row| row.pair == pair) {
        return Err(PayError::not_found("pair", format!("no rate of {pair} was ever written down")));
    }
    let limit = asked.limit.unwrap_or(HISTORY.0);
    if !(1..=HISTORY.1).contains(&limit) {
        return Err(PayError::invalid("limit", format!("limit is from 1 to {}", HISTORY.1)));
    }
    let rates = room.store.fx_rates(pair, limit).await?;
    Ok(reply(StatusCode::OK, &listed(rates.iter().map(rate_view).collect())))
}

fn rate_view(rate: &FxRate) -> Value {
    json!({
        "id": rate.id,
        "pair": rate.pair,
        "rate": shown::rate(rate.rate_micro),
        "source": rate.source,
        "fetched_at": shown::time(rate.fetched_at),
        "observed_at": rate.observed_at.map(shown::time),
        "confirmed_by": rate.confirmed_by,
        "until": rate.until.map(shown::time),
        "author": rate.author,
        "reason": rate.reason,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    pair: String,
    rate: String,
    until: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    confirm: bool,
}

/// `POST /admin/v1/fx/pin`. A rate more than three per cent off the last accepted one wants `confirm`: a slip of the pen
/// would be sold at.
pub(super) async fn pin(State(room): Room, headers: HeaderMap, body: Bytes) -> Result<Response, PayError> {
    let asked: Pin = parse(&body)?;
    let exact = decimal::parse(&asked.rate, 6).ok().filter(|micro| *micro > 0);
    let rate_micro = exact.filter(|micro| parse_micro(&asked.rate) == Some(*micro)).ok_or_else(|| {
        PayError::invalid("rate", "rate is a decimal above zero with at most 6 decimals, as text: \"7.1234\"")
    })?;
    let until = asked.until.as_deref().map(|text| instant("until", text)).transpose()?;
    let pairs = room.store.fx_pairs().await?;
    let last = pairs.into_iter().find(|row| row.pair == asked.pair).and_then(|row| row.accepted);
    if let Some(last) = last
        && !asked.confirm
        && !is_near(last.rate_micro, rate_micro)
    {
        let words = format!(
            "{} is more than 3 % off the last accepted rate, {} ({}). If it is meant, confirm it.",
            asked.rate,
            shown::rate(last.rate_micro),
            last.id
        );
        return Err(PayError::conflict("rate_far_off", words));
    }
    let pin = Body::PinRate { pair: asked.pair.clone(), rate_micro, until };
    match room.submit(&headers, &format!("pin:{}", asked.pair), asked.reason, pin).await? {
        Reply::FxRate(rate) => Ok(reply(StatusCode::CREATED, &rate_view(&rate))),
        other => Err(odd_reply(&other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unpin {
    pair: String,
    reason: Option<String>,
}

/// `POST /admin/v1/fx/unpin`
pub(super) async fn unpin(State(room): Room, headers: HeaderMap, body: Bytes) -> Result<Response, PayError> {
    let asked: Unpin = parse(&body)?;
    let unpin = Body::UnpinRate { pair: asked.pair.clone() };
    room.submit(&headers, &format!("unpin:{}", asked.pair), asked.reason, unpin).await?;
    let pairs = room.store.fx_pairs().await?;
    let row = pairs.into_iter().find(|row| row.pair == asked.pair);
    let row = row.unwrap_or_else(|| FxPair::unknown(asked.pair));
    Ok(reply(StatusCode::OK, &pair_view(&room, &row, None)))
}
