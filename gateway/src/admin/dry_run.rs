//! How would a call be served now? Decided as for a real one, asking nobody and holding nothing.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use payments::{ledger::Asset, store::Store};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use units::{AccountId, Clock, KeyId, NanoCny, RequestId, Tokens, Usage};

use crate::{
    cashier::{self, PayError, reply},
    chat::{Caller, Endpoint, KeyLimits, Spoken},
    dialect::call_of,
    dispatch::TargetHealth,
    plan::{Candidate, Health, Moment, Planned, Snapshots, ceiling, plan},
    rescue::Failure,
};

/// Output that a call is thought to have where its ceiling says nothing.
const OUTPUT_EXPECTED: Tokens = Tokens(1_000);

/// What a dry run is decided by.
#[derive(Debug, Clone)]
pub struct RouteRoom {
    /// The books.
    pub store: Store,
    /// Routes and prices.
    pub snapshots: Snapshots,
    /// How targets are.
    pub health: Arc<TargetHealth>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where callers are who do not say it.
    pub region: Option<Arc<str>>,
}

impl RouteRoom {
    /// The endpoint.
    pub fn router(self) -> Router {
        Router::new().route("/admin/v1/route:dry-run", post(dry_run)).with_state(Arc::new(self))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    /// Whose call.
    account: AccountId,
    /// With which key: what routes and budgets of keys look at.
    key: Option<KeyId>,
    /// Where it would come to.
    path: Option<String>,
    /// `x-tollgate-…` and whatever else it would have.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What it would hold.
    #[serde(borrow)]
    body: &'a RawValue,
}

/// `POST /admin/v1/route:dry-run`
async fn dry_run(State(room): State<Arc<RouteRoom>>, body: Bytes) -> Result<Response, PayError> {
    let asked: Asked<'_> =
        serde_json::from_slice(&body).map_err(|error| PayError::invalid("body", error.to_string()))?;
    let path = asked.path.as_deref().unwrap_or(Endpoint::Chat.path());
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path);
    let endpoint = endpoint.ok_or_else(|| {
        let known: Vec<&str> = Endpoint::ALL.into_iter().map(Endpoint::path).collect();
        PayError::invalid("path", format!("one of {} stands here", known.join(", ")))
    })?;
    let mut headers = HeaderMap::new();
    for (name, value) in &asked.headers {
        let header = || Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?));
        let (name, value) =
            header().ok_or_else(|| PayError::invalid("headers", format!("`{name}` is not a header")))?;
        headers.insert(name, value);
    }
    let unknown = || PayError::not_found("account", format!("No account {}", asked.account));
    let account = room.store.account(asked.account).await?.ok_or_else(unknown)?;
    let now = room.clock.now();
    let caller = Caller {
        account: account.id,
        key: asked.key.unwrap_or_else(|| KeyId::new(now)),
        livemode: account.livemode,
        limits: KeyLimits::default(),
        money_only: false,
    };
    let form = Bytes::copy_from_slice(asked.body.get().as_bytes());
    let snapshot = room.snapshots.load_full();
    let moment = Moment {
        now,
        health: room.health.as_ref(),
        region: room.region.as_deref(),
        seed: fastrand::u64(..),
        explains: true,
    };
    let call = call_of(endpoint, RequestId::new(now), &headers, &form, caller.clone());
    let planned = call.map_err(Failure::from).and_then(|call| Ok(plan(call, &snapshot, &moment)?));
    let mut shown =
        json!({"object": "route.dry_run", "at": cashier::time(now), "account": account.id.to_string()});
    match planned {
        Ok(planned) => {
            room.store.flushed().await?;
            let balances = room.store.balances(account.id).await?;
            let money = balances.iter().find(|balance| balance.wallet.asset == Asset::Cny);
            let available = NanoCny::new(money.map_or(0, |money| money.wallet.available()));
            let mut budgets = room.store.budgets(account.id, None).await?;
            if let Some(key) = asked.key {
                budgets.extend(room.store.budgets(account.id, Some(key)).await?);
            }
            shown["available_cny"] = json!(available.to_string());
            shown["budgets"] = budgets.iter().map(|budget| cashier::budget(&budget.at(now))).collect();
            let plans = std::iter::once(&planned).chain(&planned.instead);
            shown["plans"] = plans.map(|planned| plan_view(planned, available, &room.health)).collect();
        }
        Err(failure) => {
            let rescued = failure.rescued("");
            let error = &rescued.error;
            shown["refused"] =
                json!({"status": rescued.status.as_u16(), "code": error.code, "message": error.message});
        }
    }
    Ok(reply(StatusCode::OK, &shown))
}

fn plan_view(planned: &Planned, available: NanoCny, health: &TargetHealth) -> Value {
    let (call, quote) = (&planned.call, &planned.quote);
    let most = ceiling(quote, call.input_bound, planned.output_bound);
    let expected = Usage {
        input: call.input_estimate,
        output: planned.output_bound.min(OUTPUT_EXPECTED),
        ..Usage::default()
    };
    let expected = quote.rates.charge(&expected).ok();
    let text = |amount: Option<NanoCny>| amount.map(|amount| amount.to_string());
    let decision = planned.decision();
    json!({
        "model": planned.route.model.id,
        "route": decision.route,
        "strategy": decision.strategy,
        "passed": decision.passed,
        "skipped": decision.skipped,
        "quote": {
            "price_version": quote.price_version,
            "fx_id": quote.fx_id,
            "input_tokens_max": call.input_bound.0,
            "input_tokens_expected": call.input_estimate.0,
            "output_tokens_max": planned.output_bound.0,
            "hold_cny": text(most),
            "expected_cny": text(expected),
            // Balances in tokens may cover more.
            "covered_by_money": most.is_some_and(|most| most <= available),
        },
        "max_tokens_sent": planned.output_cap.map(|cap| cap.0),
        "candidates": planned.targets.iter().map(|it| candidate_view(it, planned, health)).collect::<Vec<_>>(),
    })
}

/// In the order in which they would be asked.
fn candidate_view(candidate: &Candidate, planned: &Planned, health: &TargetHealth) -> Value {
    let Candidate { target, spoken, cost } = candidate;
    json!({
        "target": format!("{}/{}", target.provider.id, target.upstream_model),
        "priority": target.priority,
        "weight": target.weight,
        "spoken": match spoken { Spoken::Native => "native", Spoken::Chat => "chat" },
        "cost_cny": cost.map(|cost| NanoCny::new(cost).to_string()),
        "first_byte_ms": health.first_byte_us(target, planned.region.as_deref()).map(|us| us / 1_000),
        "in_flight": health.in_flight(target),
        "state": health.trouble(target).unwrap_or("well"),
    })
}
