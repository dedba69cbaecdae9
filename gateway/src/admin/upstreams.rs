//! How are the providers, and our keys there?

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::{Value, json};
use units::Timestamp;

use super::Admin;
use crate::{
    cashier::reply,
    dispatch::{KeyState, Standing, TargetHealth, TargetState},
};

/// `GET /admin/v1/upstreams`: every target and key that was asked since the start.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Response {
    reply(StatusCode::OK, &view(&admin.health))
}

fn view(health: &TargetHealth) -> Value {
    let mut targets: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for target in health.targets() {
        targets.entry(target.provider.clone()).or_default().push(target_view(&target));
    }
    let providers = health.keys().into_iter().map(|(provider, keys)| {
        let keys: Vec<Value> = keys.iter().map(key_view).collect();
        let targets = targets.remove(&provider).unwrap_or_default();
        json!({"id": provider, "keys": keys, "targets": targets})
    });
    json!({"object": "list", "data": providers.collect::<Vec<_>>()})
}

/// In whole seconds, as everywhere in this API.
fn secs(at: Timestamp) -> i64 {
    at.secs()
}

fn target_view(target: &TargetState) -> Value {
    let (state, until) = match (target.standing, target.rests_until) {
        (Standing::Open(until), rests) => ("open", until.max(rests)),
        (_, Some(rests)) => ("resting", Some(rests)),
        (Standing::HalfOpen, None) => ("half_open", None),
        (Standing::Closed, None) => ("well", None),
    };
    json!({
        "model": target.model,
        "state": state,
        "until": until.map(secs),
        "in_flight": target.in_flight,
        "first_byte_ms": target.first_byte_us.map(|us| us / 1_000),
    })
}

fn key_view(key: &KeyState) -> Value {
    let parked = key.parked.map(|(why, since, until)| {
        json!({"reason": why.as_str(), "since": secs(since), "next_trial": secs(until)})
    });
    let too_fast: BTreeMap<&str, i64> =
        key.too_fast.iter().map(|(model, until)| (model.as_str(), secs(*until))).collect();
    json!({
        "key": if key.name.is_empty() { Value::Null } else { json!(key.name) },
        "parked": parked,
        "rate_limited_until": too_fast,
    })
}
