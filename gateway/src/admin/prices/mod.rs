//! Price lists and rates of exchange: what is there, what would change, and changing it.
//!
//! The same endpoints serve the running process and the command line where nothing runs: there they are called in place.

mod fx;
mod lists;
mod shown;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use http::HeaderMap;
use payments::{
    ledger::{Body, Command, Reply},
    store::Store,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use units::{Clock, RequestId, Timestamp};

use super::accounts::operator;
use crate::{
    cashier::{PayError, idempotency_key},
    reload::Publisher,
};

/// The largest document of a price list, in bytes.
const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the endpoints of prices need.
#[derive(Debug, Clone)]
pub struct PriceRoom {
    /// The books.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How old a rate may grow before nothing is sold at it.
    pub max_stale: Duration,
    /// How old it may grow before somebody is warned.
    pub warn_stale: Duration,
    /// Told of every change, where a process serves; nobody where none does.
    pub publisher: Option<Arc<Publisher>>,
}

impl PriceRoom {
    /// The endpoints, without a guard.
    pub fn router(self) -> Router {
        Router::new()
            .route("/admin/v1/price-lists", get(lists::all))
            .route("/admin/v1/price-lists/{list}", get(lists::one))
            .route("/admin/v1/price-lists/{list}/document", get(lists::document))
            .route("/admin/v1/price-lists/{list}/draft", put(lists::save_draft).delete(lists::delete_draft))
            .route("/admin/v1/price-lists/{list}/diff", get(lists::diff))
            .route("/admin/v1/price-lists/{list}/rounding", get(lists::rounding))
            .route("/admin/v1/price-lists/{list}/publish", post(lists::publish))
            .route("/admin/v1/accounts/{account}/price-list", put(lists::assign))
            .route("/admin/v1/fx", get(fx::show))
            .route("/admin/v1/fx/history", get(fx::history))
            .route("/admin/v1/fx/pin", post(fx::pin))
            .route("/admin/v1/fx/unpin", post(fx::unpin))
            .layer(DefaultBodyLimit::max(DOCUMENT_BYTES_MAX))
            .with_state(Arc::new(self))
    }

    /// Carries out an operator's command and lets it count at once. A repeat with the same `Idempotency-Key` is answered as
    /// before.
    async fn submit(
        &self,
        headers: &HeaderMap,
        what: &str,
        reason: Option<String>,
        body: Body,
    ) -> Result<Reply, PayError> {
        let at = self.clock.now();
        let key = idempotency_key(headers)?.unwrap_or_else(|| RequestId::new(at).to_string());
        let key = format!("admin:{what}:{key}");
        let command = Command { key, actor: operator(), reason, approver: None, at, body };
        let reply = self.store.submit(command).await?;
        if let Some(publisher) = &self.publisher {
            publisher.rebuild().await?;
        }
        Ok(reply)
    }
}

/// Reads a JSON body.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, PayError> {
    serde_json::from_slice(body)
        .map_err(|error| PayError::body(format!("The body is not as expected: {error}")))
}

/// A time as people write it.
fn instant(param: &'static str, text: &str) -> Result<Timestamp, PayError> {
    let read: jiff::Timestamp = text.parse().map_err(|_| {
        PayError::invalid(param, format!("{param} is a time such as 2026-12-01T00:00:00+08:00, not `{text}`"))
    })?;
    Ok(Timestamp(read.as_microsecond()))
}

/// The answer where the ledger said something else than it should.
fn odd_reply(reply: &Reply) -> PayError {
    PayError::unavailable(format!("the ledger gave an unexpected answer: {reply:?}"))
}

/// A list of rows.
fn listed(rows: Vec<Value>) -> Value {
    serde_json::json!({"object": "list", "data": rows})
}
