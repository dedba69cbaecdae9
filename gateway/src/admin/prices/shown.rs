//! How prices look to operators: yuan per million tokens as text.

use std::{collections::HashMap, sync::Arc};

use payments::prices::{CNY, Diff, FxInForce, Offer, RoundingRow, Sheet};
use serde_json::{Value, json};
use units::{Timestamp, decimal};

pub(super) use crate::cashier::time;

/// A rate of exchange in millionths.
pub(super) fn rate(micro: i64) -> String {
    decimal::format(micro, 6, 4)
}

/// Per cent of hundredths, with its sign.
fn per_cent(bps: i64) -> String {
    let sign = if bps > 0 { "+" } else { "" };
    format!("{sign}{}", decimal::format(bps, 2, 2))
}

/// One row for each place of each model, at the last known rates of exchange.
pub(super) fn rows(sheet: &Sheet, fx: &HashMap<String, Arc<FxInForce>>) -> Vec<Value> {
    let mut rows = Vec::new();
    for (model, row) in &sheet.models {
        let used = fx.get(&row.currency).filter(|_| row.currency != CNY).cloned();
        let known = row.currency == CNY || used.is_some();
        let offer = if known { Offer::reckon(row, sheet.scale, used.clone()).ok() } else { None };
        let Some(offer) = offer else {
            rows.push(json!({"model": model, "currency": row.currency, "place": "no rate of exchange"}));
            continue;
        };
        let when = |place: &str| {
            let windows = offer.schedule.iter().flat_map(|schedule| {
                schedule.windows.iter().map(|window| (&window.name, window.when(), &schedule.zone_name))
            });
            let mut of_place = windows
                .filter(|(name, ..)| place == name.as_str() || place.starts_with(&format!("{name} above ")));
            of_place.next().map(|(_, when, zone)| format!("{when} {zone}"))
        };
        for (place, rates) in offer.places() {
            rows.push(json!({
                "model": model,
                "currency": row.currency,
                "markup_percent": decimal::format(row.markup_bps, 2, 0),
                "fx_id": used.as_ref().map(|fx| fx.id.as_str()),
                "when": when(&place),
                "place": place,
                "input": rates.input.to_string(),
                "cached_input": rates.cached_input.to_string(),
                "cache_write": rates.cache_write.to_string(),
                "output": rates.output.to_string(),
            }));
        }
    }
    rows
}

/// What a draft would change.
pub(super) fn diff(diff: &Diff) -> Value {
    let prices = diff.changed.iter().flat_map(|model| {
        model.changes.iter().map(|change| {
            json!({
                "model": model.model,
                "place": change.place,
                "class": change.class,
                "old": change.old.map(|rate| rate.to_string()),
                "new": change.new.map(|rate| rate.to_string()),
                "percent": change.bps.map(per_cent),
            })
        })
    });
    let terms = diff.changed.iter().flat_map(|model| {
        model.terms.iter().map(|(old, new)| json!({"model": model.model, "old": old, "new": new}))
    });
    json!({
        "changed": !diff.is_empty(),
        "added": diff.added,
        "removed": diff.removed,
        "prices": prices.collect::<Vec<_>>(),
        "terms": terms.collect::<Vec<_>>(),
        "currency": CNY,
        "unit": "1M tokens",
    })
}

/// A price that rounding has moved by more than one per cent.
pub(super) fn rounding_row(row: &RoundingRow) -> Value {
    json!({
        "model": row.model,
        "place": row.place,
        "class": row.class,
        "price": row.rate.to_string(),
        "exact": row.exact,
        "off_percent": decimal::format(row.off_bps, 2, 2),
    })
}

/// Seconds between two instants.
pub(super) fn age_secs(since: Timestamp, now: Timestamp) -> u64 {
    now.since(since).as_secs()
}
