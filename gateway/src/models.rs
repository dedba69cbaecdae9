//! Models: what may this caller ask for, and at what price?

use payments::prices::{Card, Offer};
use serde_json::{Value, json};
use units::{Rates, Timestamp};

use crate::{
    chat::Caller,
    plan::{PlanError, Snapshot},
};

/// Some clients sort by `created` and need an integer; the moment a model appeared is not known, so all say the same.
const CREATED: u64 = 1_700_000_000;

/// The answer to `GET /v1/models`: the models this caller's money can pay for.
pub fn list(caller: &Caller, snapshot: &Snapshot, now: Timestamp) -> Value {
    let data: Vec<Value> = snapshot
        .table
        .models
        .values()
        .filter(|model| model.livemode == caller.livemode)
        .map(|model| object(model, caller, snapshot, now))
        .collect();
    json!({ "object": "list", "data": data })
}

/// The answer to `GET /v1/models/{id}`; `id` is percent-decoded and may hold slashes.
///
/// # Errors
/// [`PlanError::UnknownModel`].
pub fn get(id: &str, caller: &Caller, snapshot: &Snapshot, now: Timestamp) -> Result<Value, PlanError> {
    let model = snapshot.table.models.get(id).filter(|model| model.livemode == caller.livemode);
    let unknown = || PlanError::UnknownModel { model: id.to_owned(), nearest: near(id, caller, snapshot) };
    model.map(|model| object(model, caller, snapshot, now)).ok_or_else(unknown)
}

fn near(id: &str, caller: &Caller, snapshot: &Snapshot) -> Vec<String> {
    if id.len() > 128 {
        return Vec::new();
    }
    let may = |name: &String| snapshot.table.models.get(name).is_some_and(|m| m.livemode == caller.livemode);
    snapshot.nearest(id).into_iter().filter(may).collect()
}

fn object(model: &router_config::Model, caller: &Caller, snapshot: &Snapshot, now: Timestamp) -> Value {
    let prices = &snapshot.prices;
    let pricing = match prices.offer(prices.list_of(caller.account), &model.id, now) {
        Ok((version, offer)) => pricing(version, offer, now),
        Err(_) => Value::Null,
    };
    json!({
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": model.owned_by,
        "kind": model.kind.as_str(),
        "context_length": model.context.0,
        "max_output_tokens": model.output_max.0,
        "pricing": pricing,
    })
}

/// What the model costs this caller now, and at other hours and sizes.
fn pricing(version: &str, offer: &Offer, now: Timestamp) -> Value {
    let (card, window) = offer.card_at(now);
    let mut shown = card_view(card);
    shown["currency"] = "CNY".into();
    shown["unit"] = "1M tokens".into();
    shown["price_version"] = version.into();
    shown["fx_id"] = offer.fx.as_ref().map_or(Value::Null, |fx| json!(fx.id));
    if let Some(schedule) = &offer.schedule {
        let windows = schedule.windows.iter().map(|window| {
            let mut shown = card_view(&window.card);
            shown["name"] = json!(window.name);
            shown["when"] = json!(window.when());
            shown
        });
        shown["off_peak"] =
            json!({"zone": schedule.zone_name, "now": window, "windows": windows.collect::<Vec<_>>()});
        shown["regular"] = card_view(&offer.card);
    }
    shown
}

fn card_view(card: &Card<Rates>) -> Value {
    let mut shown = rates_view(&card.base);
    if !card.tiers.is_empty() {
        let tiers = card.tiers.iter().map(|tier| {
            let mut shown = rates_view(&tier.prices);
            shown["above"] = json!(tier.above.0);
            shown
        });
        shown["tiers"] = tiers.collect();
    }
    shown
}

fn rates_view(rates: &Rates) -> Value {
    json!({
        "input": rates.input.to_string(),
        "cached_input": rates.cached_input.to_string(),
        "cache_write": rates.cache_write.to_string(),
        "output": rates.output.to_string(),
    })
}
