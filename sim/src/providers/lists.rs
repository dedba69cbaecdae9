//! What does a provider have to say when no model is asked: its models, and what is left.
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::call::Call;
use super::dialect::{self, Trouble};
use super::model::MODELS;
use super::table::{DEEPSEEK, PROVIDERS, Provider};
use crate::faults::Fault;
use crate::state::World;

/// All models, or the one called `id`.
pub(super) async fn models(
    provider: &'static Provider,
    id: Option<String>,
    world: Arc<World>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    provider.book(&world).note(world.now(), &Method::GET, &uri, &headers, &Bytes::new());
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    let created = world.now().div_euclid(1_000_000);
    let entry = |id: &str| provider.dialect.model_entry(id, created);
    match id {
        Some(id) if MODELS.contains(&id.as_str()) => call.json(StatusCode::OK, &entry(&id)),
        Some(id) => call.trouble(&Trouble::NoModel(&id)),
        None => {
            let data: Vec<Value> = MODELS.iter().map(|id| entry(id)).collect();
            call.json(StatusCode::OK, &json!({"object": "list", "data": data, "has_more": false}))
        }
    }
}

/// DeepSeek says what is left; nothing, while it is out of funds.
pub(super) async fn balance(State(world): State<Arc<World>>, uri: Uri, headers: HeaderMap) -> Response {
    let provider = &PROVIDERS[DEEPSEEK];
    let call = Call { provider, world: &world, request_id: dialect::request_id() };
    provider.book(&world).note(world.now(), &Method::GET, &uri, &headers, &Bytes::new());
    if let Err(refused) = call.admit(&headers) {
        return *refused;
    }
    let broke = world.faults.waiting(provider.dialect.scope(), &Fault::OutOfFunds {});
    let (total, granted, topped_up) =
        if broke { ("0.00", "0.00", "0.00") } else { ("110.00", "10.00", "100.00") };
    let info = json!({"currency": "CNY", "total_balance": total, "granted_balance": granted,
        "topped_up_balance": topped_up});
    call.json(StatusCode::OK, &json!({"is_available": !broke, "balance_infos": [info]}))
}
