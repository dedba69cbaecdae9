//! Do the books balance?

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use http::StatusCode;
use payments::store::{BooksReader, Store, SubmitError};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    cashier::{PayError, download, reply},
    statement::Asked,
};

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
            json!({
                "book": line.book,
                "asset": line.asset.to_string(),
                "debit": line.asset.text(line.debit),
                "credit": line.asset.text(line.credit),
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

const EXPORT_KNOWS: &[&str] = &["account", "all", "from", "to", "format"];

/// `GET /admin/v1/ledger/export?account=ID|all=true&from&to&format=csv|jsonl`: the lines of the journal, streamed.
pub(super) async fn export(
    State(admin): State<Arc<Admin>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, PayError> {
    let asked = Asked::read(&pairs, EXPORT_KNOWS)?;
    if asked.account.is_some() == asked.all {
        return Err(PayError::missing("account", "name an account, or say all=true"));
    }
    if asked.form.is_none() {
        return Err(PayError::missing("format", "say format=csv or format=jsonl"));
    }
    if let Some(account) = asked.account {
        let unknown = || PayError::not_found("account", format!("No account {account}"));
        admin.store.account(account).await?.ok_or_else(unknown)?;
    }
    admin.store.flushed().await?;
    download(BooksReader::from(&admin.store), asked.account, &asked).await
}
