//! What may be asked of the simulated WeChat Pay?
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refused, bad, read};
use crate::faults::RefundStatus;
use crate::state::World;
use crate::wechat::{
    self, CallUp, Changes, Credentials, Merchant, Paying, Risk, TradeState, Turn, Unpayable,
};

/// The most copies of a notification at once.
const COPIES_MAX: usize = 200;
/// Not more than anybody would read.
const ORDERS_SHOWN_MAX: usize = 1_000;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_sim/v1/orders", get(orders))
        .route("/_sim/v1/orders/{out_trade_no}", get(order))
        .route("/_sim/v1/orders/{out_trade_no}/pay", post(pay))
        .route("/_sim/v1/orders/{out_trade_no}/redeliver", post(redeliver))
        .route("/_sim/v1/refunds/{out_refund_no}/resolve", post(resolve))
        .route("/_sim/v1/wechat/settings", get(switches).post(switch))
        .route("/_sim/v1/wechat/merchants", get(merchants).post(take_on))
        .route("/_sim/v1/wechat/keys", get(keys).post(turn_keys))
        .route("/_sim/v1/wechat/handshakes", get(handshakes).delete(forget_handshakes))
        .route("/_sim/v1/wechat/bills/{day}", get(bills))
        .route("/_sim/v1/wechat/risk", post(risk))
        .route("/_sim/v1/wechat/callup", post(call_up))
}

fn missing(what: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("no such {what}"))
}

/// Whose order or keys; needed only where several merchants have the same number.
#[derive(Debug, Default, Deserialize)]
struct Whose {
    mchid: Option<String>,
}

impl Whose {
    /// The merchant who is named, or the first one.
    fn merchant(&self, world: &World) -> Result<Arc<Merchant>, Refused> {
        let found = match &self.mchid {
            Some(mchid) => world.wechat.merchant(mchid),
            None => world.wechat.merchants().into_iter().next(),
        };
        found.ok_or_else(|| missing("merchant"))
    }

    /// The merchant of an order.
    fn owner(&self, world: &World, out_trade_no: &str) -> Result<Arc<Merchant>, Refused> {
        let found = match &self.mchid {
            Some(_) => Some(self.merchant(world)?).filter(|it| it.books().order(out_trade_no).is_some()),
            None => world.wechat.owner(out_trade_no),
        };
        found.ok_or_else(|| missing("order"))
    }
}

/// What all merchants have done, for the counters.
pub(super) fn counted(world: &World) -> Value {
    let (mut orders, mut paid, mut closed, mut refunds) = (0, 0, 0, 0);
    for merchant in world.wechat.merchants() {
        for order in merchant.books().newest() {
            orders += 1;
            paid += usize::from(matches!(order.state, TradeState::Success | TradeState::Refund));
            closed += usize::from(order.state == TradeState::Closed);
            refunds += order.refunds.len();
        }
    }
    json!({"orders": orders, "orders_paid": paid, "orders_closed": closed, "refunds": refunds})
}

/// The orders, newest first, one merchant after the other.
async fn orders(State(world): State<Arc<World>>, Query(whose): Query<Whose>) -> Json<Value> {
    let mut shown = Vec::new();
    for merchant in world.wechat.merchants() {
        if whose.mchid.as_deref().is_some_and(|wanted| wanted != merchant.mchid()) {
            continue;
        }
        let left = ORDERS_SHOWN_MAX.saturating_sub(shown.len());
        shown.extend(merchant.books().newest().take(left).map(|order| order.shown(merchant.mchid())));
    }
    Json(json!({"orders": shown}))
}

async fn order(
    State(world): State<Arc<World>>,
    Path(out_trade_no): Path<String>,
    Query(whose): Query<Whose>,
) -> Answer {
    let merchant = whose.owner(&world, &out_trade_no)?;
    let shown = merchant.books().order(&out_trade_no).map(|order| order.shown(merchant.mchid()));
    shown.map(Json).ok_or_else(|| missing("order"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payer {
    payer: Option<String>,
    /// Even if the order is closed or has expired.
    #[serde(default)]
    late: bool,
}

fn unpayable(why: Unpayable) -> Refused {
    let status = if why == Unpayable::Unknown { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
    Refused(status, why.described().into())
}

async fn pay(
    State(world): State<Arc<World>>,
    Path(out_trade_no): Path<String>,
    Query(whose): Query<Whose>,
    body: Bytes,
) -> Answer {
    let Payer { payer, late } = read(&body)?;
    let merchant = whose.owner(&world, &out_trade_no)?;
    match wechat::pay(&world, &merchant, &out_trade_no, Paying { payer, late }) {
        Ok(transaction_id) => Ok(Json(json!({"transaction_id": transaction_id}))),
        Err(why) => Err(unpayable(why)),
    }
}

#[derive(Debug, Deserialize)]
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

async fn redeliver(
    State(world): State<Arc<World>>,
    Path(out_trade_no): Path<String>,
    Query(whose): Query<Whose>,
    body: Bytes,
) -> Answer {
    let Redelivery { copies, concurrent } = read(&body)?;
    if !(1..=COPIES_MAX).contains(&copies) {
        return Err(bad(format!("copies: 1 to {COPIES_MAX}")));
    }
    let merchant = whose.owner(&world, &out_trade_no)?;
    match wechat::redeliver(&world, &merchant, &out_trade_no, copies, concurrent).await {
        Some(statuses) => Ok(Json(json!({"statuses": statuses}))),
        None => Err(Refused(StatusCode::CONFLICT, "the order is not paid".into())),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    status: RefundStatus,
}

async fn resolve(
    State(world): State<Arc<World>>,
    Path(out_refund_no): Path<String>,
    Query(whose): Query<Whose>,
    body: Bytes,
) -> Answer {
    let Resolution { status } = read(&body)?;
    if status == RefundStatus::Processing {
        return Err(bad("status: SUCCESS, CLOSED or ABNORMAL"));
    }
    let merchant = match &whose.mchid {
        Some(_) => whose.merchant(&world)?,
        None => wechat::refunder(&world, &out_refund_no).ok_or_else(|| missing("refund"))?,
    };
    match wechat::resolve(&world, &merchant, &out_refund_no, status) {
        Ok(()) => Ok(Json(json!({"status": status}))),
        Err(None) => Err(missing("refund")),
        Err(Some(ended)) => Err(Refused(StatusCode::CONFLICT, format!("the refund has ended: {ended:?}"))),
    }
}

async fn switches(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!(world.wechat.switches()))
}

async fn switch(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let changes: Changes = read(&body)?;
    world.wechat.switch(changes);
    Ok(switches(State(world)).await)
}

async fn merchants(State(world): State<Arc<World>>) -> Json<Value> {
    let shown: Vec<Value> = world
        .wechat
        .merchants()
        .iter()
        .map(|merchant| {
            let credentials = &merchant.platform.credentials;
            json!({
                "mchid": credentials.mchid,
                "appid": credentials.appid,
                "mini_program_appid": credentials.mini_program_appid,
                "merchant_serial": credentials.merchant_serial,
                "platform_key_id": credentials.platform_key_id,
                "v2": !credentials.api_v2_key.is_empty(),
            })
        })
        .collect();
    Json(json!({"merchants": shown}))
}

/// Takes on a merchant with these credentials, or makes some up. All of them are the answer, secrets too: here they are
/// handed over.
async fn take_on(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let asked: Value = read(&body)?;
    let credentials = if asked == json!({}) {
        Credentials::generate()
    } else {
        serde_json::from_value(asked).map_err(|error| bad(format!("body: {error}")))?
    };
    world.wechat.take_on(credentials.clone()).map_err(|why| Refused(StatusCode::CONFLICT, why))?;
    Ok(Json(json!(credentials)))
}

async fn keys(State(world): State<Arc<World>>, Query(whose): Query<Whose>) -> Answer {
    Ok(Json(whose.merchant(&world)?.platform.shown()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    mchid: Option<String>,
    certificates: Option<Turn>,
    public_key_percent: Option<u8>,
}

async fn turn_keys(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let Keys { mchid, certificates, public_key_percent } = read(&body)?;
    if public_key_percent.is_some_and(|percent| percent > 100) {
        return Err(bad("public_key_percent: 0 to 100"));
    }
    let merchant = Whose { mchid }.merchant(&world)?;
    let turned = merchant.platform.turn(certificates, public_key_percent, world.now());
    turned.map_err(|why| Refused(StatusCode::CONFLICT, why))?;
    Ok(Json(merchant.platform.shown()))
}

async fn handshakes(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"handshakes": world.wechat.handshakes().shown()}))
}

async fn forget_handshakes(State(world): State<Arc<World>>) -> Json<Value> {
    world.wechat.handshakes().forget();
    Json(json!({}))
}

/// What is wrong with the bills of a day; null before the first of them was asked for.
async fn bills(
    State(world): State<Arc<World>>,
    Path(day): Path<String>,
    Query(whose): Query<Whose>,
) -> Answer {
    let merchant = whose.merchant(&world)?;
    Ok(Json(json!({"mchid": merchant.mchid(), "day": day, "spoilt": wechat::spoilt(&merchant, &day)})))
}

async fn risk(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let risk: Risk = read(&body)?;
    let merchant = Whose { mchid: risk.mchid.clone() }.merchant(&world)?;
    Ok(Json(wechat::warn(&world, &merchant, risk).await))
}

/// A page inside WeChat calls up the cashier, and the payer pays.
async fn call_up(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let asked: CallUp = read(&body)?;
    let (merchant, out_trade_no) = wechat::call_up(&world, &asked).map_err(bad)?;
    let transaction_id =
        wechat::pay(&world, &merchant, &out_trade_no, Paying::default()).map_err(unpayable)?;
    Ok(Json(json!({"out_trade_no": out_trade_no, "transaction_id": transaction_id})))
}
