//! Do the books balance?

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use payments::store::{Store, SubmitError};
use serde_json::{Value, json};
use units::NanoCny;

use super::Admin;
use crate::cashier::{PayError, reply};

/// The trial balance with every rule looked at.
///
/// # Errors
/// If the store cannot be read.
pub async fn trial_balance(store: &Store) -> Result<Value, SubmitError> {
    store.flushed().await?;
    let lines = store.trial_balance().await?;
    let findings = store.verify().await?.0;
    let open_holds = store.open_holds().await?;
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            let amount = |units: i64| match line.asset.as_str() {
                "CNY" => NanoCny::new(units).to_string(),
                // Thousandths of a token.
                _ => format!("{}.{:03}", units / 1_000, units % 1_000),
            };
            json!({
                "book": line.book,
                "asset": line.asset,
                "debit": amount(line.debit),
                "credit": amount(line.credit),
            })
        })
        .collect();
    Ok(json!({
        "balanced": findings.is_empty(),
        "findings": findings,
        "open_holds": open_holds,
        "lines": lines,
    }))
}

/// `GET /admin/v1/ledger/trial-balance`
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Result<Response, PayError> {
    Ok(reply(StatusCode::OK, &trial_balance(&admin.store).await?))
}
