//! What may the person (or the test) behind the simulator ask of it? Everything under `/_sim/v1`, and a page on which a
//! person finds the same.
mod board;
mod wechat;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::fx;
use crate::providers::PROVIDERS;
use crate::state::World;

/// The clock may be moved at most this far at once: ten years.
const ADVANCE_MS_MAX: i64 = 10 * 366 * 24 * 3_600_000;

/// A refusal in the controls' own words: `{"error": …}`.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

type Answer = Result<Json<Value>, Refused>;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_sim/v1/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_sim/v1/faults/{id}", delete(clear_fault))
        .route("/_sim/v1/tls", get(secured))
        .route("/_sim/v1/clock", get(clock).post(advance))
        .route("/_sim/v1/fx", get(fx::quote).post(set_rates))
        .route("/_sim/v1/settings", get(settings).post(change_settings))
        .route("/_sim/v1/stats", get(stats))
        .route("/_sim/v1/requests", get(requests))
        .merge(wechat::routes())
        .merge(board::routes())
}

fn bad(what: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, what.into())
}

/// Reads a body whatever its content type; no body at all is `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    let bytes: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(bytes).map_err(|error| bad(format!("body: {error}")))
}

async fn faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"faults": world.faults.list()}))
}

async fn add_fault(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let queued = world.faults.add(read(&body)?).map_err(bad)?;
    Ok(Json(json!(queued)))
}

async fn clear_faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"cleared": world.faults.clear()}))
}

async fn clear_fault(State(world): State<Arc<World>>, Path(id): Path<u64>) -> Answer {
    match world.faults.remove(id) {
        Some(cleared) => Ok(Json(json!(cleared))),
        None => Err(Refused(StatusCode::NOT_FOUND, "no such fault waits".into())),
    }
}

/// Where TLS is spoken, and whom to trust there.
async fn secured(State(world): State<Arc<World>>) -> Answer {
    match world.tls.get() {
        Some(tls) => Ok(Json(json!({"url": tls.url, "ca_pem": tls.ca_pem}))),
        None => Err(Refused(StatusCode::NOT_FOUND, "TLS is not spoken here".into())),
    }
}

async fn clock(State(world): State<Arc<World>>) -> Json<Value> {
    let now = world.now();
    Json(json!({"now": rfc3339(now), "now_micros": now}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

async fn advance(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let Advance { advance_ms } = read(&body)?;
    if !(0..=ADVANCE_MS_MAX).contains(&advance_ms) {
        return Err(bad(format!("advance_ms: 0 to {ADVANCE_MS_MAX}")));
    }
    world.clock.advance(advance_ms * 1_000);
    Ok(clock(State(world)).await)
}

async fn set_rates(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let asked: Map<String, Value> = read(&body)?;
    fx::set(&world, asked)?;
    Ok(Json(json!({})))
}

async fn settings(State(world): State<Arc<World>>) -> Json<Value> {
    let pace = &world.pace;
    Json(json!({
        "first_token_ms": pace.first_token_ms(),
        "gap_ms": pace.gap_ms(),
        "refund_delay_ms": pace.refund_delay_ms(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    first_token_ms: Option<u64>,
    gap_ms: Option<u64>,
    refund_delay_ms: Option<u64>,
}

async fn change_settings(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let changes: Changes = read(&body)?;
    let pace = &world.pace;
    for (place, change) in [
        (&pace.first_token_ms, changes.first_token_ms),
        (&pace.gap_ms, changes.gap_ms),
        (&pace.refund_delay_ms, changes.refund_delay_ms),
    ] {
        if let Some(change) = change {
            place.store(change, Ordering::Relaxed);
        }
    }
    Ok(settings(State(world)).await)
}

async fn stats(State(world): State<Arc<World>>) -> Json<Value> {
    let mut shown = Map::new();
    for provider in &PROVIDERS {
        shown.insert(provider.name().into(), json!(provider.book(&world).counted()));
    }
    shown.insert("wechat".into(), wechat::counted(&world));
    Json(Value::Object(shown))
}

#[derive(Deserialize)]
struct Whose {
    provider: Option<String>,
}

async fn requests(State(world): State<Arc<World>>, Query(whose): Query<Whose>) -> Answer {
    let wanted = |name: &str| whose.provider.as_deref().is_none_or(|provider| provider == name);
    if !PROVIDERS.iter().any(|provider| wanted(provider.name())) {
        return Err(Refused(StatusCode::NOT_FOUND, "no such provider".into()));
    }
    let asked = PROVIDERS.iter().filter(|provider| wanted(provider.name()));
    let shown: Vec<Value> = asked.flat_map(|it| it.book(&world).requests(it.name())).collect();
    Ok(Json(json!({"requests": shown})))
}
