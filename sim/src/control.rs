//! What may the person (or the test) behind the simulator ask of it? Everything under `/_sim/v1`.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::faults::RefundStatus;
use crate::fx;
use crate::providers::PROVIDERS;
use crate::state::World;
use crate::wechat::{self, Order, TradeState, Unpayable};

/// The clock may be moved at most this far at once: ten years.
const ADVANCE_MS_MAX: i64 = 10 * 366 * 24 * 3_600_000;
/// The most copies of a notification at once.
const COPIES_MAX: usize = 200;

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
        .route("/_sim/v1/clock", get(clock).post(advance))
        .route("/_sim/v1/fx", get(fx::quote).post(set_rates))
        .route("/_sim/v1/settings", get(settings).post(change_settings))
        .route("/_sim/v1/stats", get(stats))
        .route("/_sim/v1/requests", get(requests))
        .route("/_sim/v1/orders", get(orders))
        .route("/_sim/v1/orders/{out_trade_no}", get(order))
        .route("/_sim/v1/orders/{out_trade_no}/pay", post(pay))
        .route("/_sim/v1/orders/{out_trade_no}/redeliver", post(redeliver))
        .route("/_sim/v1/refunds/{out_refund_no}/resolve", post(resolve))
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
    let (mut orders, mut paid, mut closed, mut refunds) = (0, 0, 0, 0);
    for order in world.books().newest() {
        orders += 1;
        paid += usize::from(matches!(order.state, TradeState::Success | TradeState::Refund));
        closed += usize::from(order.state == TradeState::Closed);
        refunds += order.refunds.len();
    }
    shown.insert(
        "wechat".into(),
        json!({"orders": orders, "orders_paid": paid, "orders_closed": closed, "refunds": refunds}),
    );
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

/// The orders, newest first; not more than anybody would read.
async fn orders(State(world): State<Arc<World>>) -> Json<Value> {
    let shown: Vec<Value> = world.books().newest().take(1_000).map(Order::shown).collect();
    Json(json!({"orders": shown}))
}

async fn order(State(world): State<Arc<World>>, Path(out_trade_no): Path<String>) -> Answer {
    match world.books().order(&out_trade_no) {
        Some(order) => Ok(Json(order.shown())),
        None => Err(Refused(StatusCode::NOT_FOUND, "no such order".into())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payer {
    payer: Option<String>,
}

async fn pay(State(world): State<Arc<World>>, Path(out_trade_no): Path<String>, body: Bytes) -> Answer {
    let Payer { payer } = read(&body)?;
    match wechat::pay(&world, &out_trade_no, payer) {
        Ok(transaction_id) => Ok(Json(json!({"transaction_id": transaction_id}))),
        Err(why) => {
            let status = if why == Unpayable::Unknown { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
            Err(Refused(status, why.described().into()))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redelivery {
    #[serde(default = "one")]
    copies: usize,
    #[serde(default)]
    concurrent: bool,
}

fn one() -> usize {
    1
}

async fn redeliver(State(world): State<Arc<World>>, Path(out_trade_no): Path<String>, body: Bytes) -> Answer {
    let Redelivery { copies, concurrent } = read(&body)?;
    if !(1..=COPIES_MAX).contains(&copies) {
        return Err(bad(format!("copies: 1 to {COPIES_MAX}")));
    }
    if world.books().order(&out_trade_no).is_none() {
        return Err(Refused(StatusCode::NOT_FOUND, "no such order".into()));
    }
    match wechat::redeliver(&world, &out_trade_no, copies, concurrent).await {
        Some(statuses) => Ok(Json(json!({"statuses": statuses}))),
        None => Err(Refused(StatusCode::CONFLICT, "the order is not paid".into())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    status: RefundStatus,
}

async fn resolve(State(world): State<Arc<World>>, Path(out_refund_no): Path<String>, body: Bytes) -> Answer {
    let Resolution { status } = read(&body)?;
    if status == RefundStatus::Processing {
        return Err(bad("status: SUCCESS, CLOSED or ABNORMAL"));
    }
    match wechat::resolve(&world, &out_refund_no, status) {
        Ok(()) => Ok(Json(json!({"status": status}))),
        Err(None) => Err(Refused(StatusCode::NOT_FOUND, "no such refund".into())),
        Err(Some(ended)) => Err(Refused(StatusCode::CONFLICT, format!("the refund has ended: {ended:?}"))),
    }
}
