//! Models: what may this caller ask for, and at what price?

use serde_json::{Value, json};

use crate::{
    chat::Caller,
    plan::{PlanError, Snapshot},
};

/// Some clients sort by `created` and need an integer; the moment a model appeared is not known, so all say the same.
const CREATED: u64 = 1_700_000_000;

/// The answer to `GET /v1/models`: the models this caller's money can pay for.
pub fn list(caller: &Caller, snapshot: &Snapshot) -> Value {
    let data: Vec<Value> = snapshot
        .table
        .models
        .values()
        .filter(|model| model.livemode == caller.livemode)
        .map(|model| object(model, snapshot))
        .collect();
    json!({ "object": "list", "data": data })
}

/// The answer to `GET /v1/models/{id}`; `id` is percent-decoded and may hold slashes.
///
/// # Errors
/// [`PlanError::UnknownModel`].
pub fn get(id: &str, caller: &Caller, snapshot: &Snapshot) -> Result<Value, PlanError> {
    let model = snapshot.table.models.get(id).filter(|model| model.livemode == caller.livemode);
    let unknown = || PlanError::UnknownModel { model: id.to_owned(), nearest: near(id, caller, snapshot) };
    model.map(|model| object(model, snapshot)).ok_or_else(unknown)
}

fn near(id: &str, caller: &Caller, snapshot: &Snapshot) -> Vec<String> {
    if id.len() > 128 {
        return Vec::new();
    }
    let may = |name: &String| snapshot.table.models.get(name).is_some_and(|m| m.livemode == caller.livemode);
    snapshot.nearest(id).into_iter().filter(may).collect()
}

fn object(model: &router_config::Model, snapshot: &Snapshot) -> Value {
    let pricing = match snapshot.prices.quotes.get(&model.id) {
        Some(Ok(quote)) => json!({
            "currency": "CNY",
            "unit": "1M tokens",
            "input": quote.rates.input.to_string(),
            "cached_input": quote.rates.cached_input.to_string(),
            "output": quote.rates.output.to_string(),
            "price_version": quote.price_version,
        }),
        _ => Value::Null,
    };
    json!({
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": model.owned_by,
        "context_length": model.context.0,
        "max_output_tokens": model.output_max.0,
        "pricing": pricing,
    })
}
