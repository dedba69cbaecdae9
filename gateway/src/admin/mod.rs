//! Admin: the HTTP face of operations.
//!
//! On a listener of its own. `/metrics` needs no login there; everything else the administrator's token, which stands in
//! a file that only this process's user may read. Speaks to `payments` and `keys`.

mod accounts;
mod channels;
mod config;
mod dry_run;
mod hands;
mod ledger;
mod prices;
mod token;
mod upstreams;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    response::IntoResponse,
    routing::{get, post},
};
use payments::{store::Store, topup::Merchants};
use units::Clock;

pub use self::{
    accounts::{CreatedKey, NewAccount, NewKey, account_view, create_account, create_key},
    dry_run::RouteRoom,
    hands::{HandRoom, ReconcileDesk},
    ledger::trial_balance,
    prices::PriceRoom,
    token::{AdminToken, secret_file},
};
use crate::{cashier::BillMetrics, dispatch::TargetHealth, reload::Reloader, telemetry::Metrics};

/// What the operations endpoints need.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The books.
    pub store: Store,
    /// What keys are digested with.
    pub key_secret: Arc<[u8]>,
    /// Who may.
    pub token: AdminToken,
    /// What is counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Price lists and rates of exchange.
    pub prices: PriceRoom,
    /// What operators change by hand.
    pub hands: HandRoom,
    /// What is counted of reconciliation.
    pub bills: BillMetrics,
    /// How providers and our keys there are.
    pub health: Arc<TargetHealth>,
    /// How calls would be served.
    pub routes: RouteRoom,
    /// Who takes payments.
    pub merchants: Arc<Merchants>,
    /// What reads the configuration again; nothing where it did not come from a file.
    pub reloader: Option<Reloader>,
}

impl Admin {
    /// The operations endpoints.
    pub fn router(self) -> Router {
        let guarded = Router::new()
            .route("/admin/v1/ledger/trial-balance", get(ledger::show))
            .route("/admin/v1/ledger/export", get(ledger::export))
            .route("/admin/v1/accounts", post(accounts::post_account).get(accounts::list))
            .route("/admin/v1/keys", post(accounts::post_key))
            .route("/admin/v1/upstreams", get(upstreams::show))
            .route("/admin/v1/channels", get(channels::show))
            .route("/admin/v1/channels/nonces/{nonce}", get(channels::nonce))
            .with_state(Arc::new(self.clone()))
            .merge(self.prices.clone().router())
            .merge(self.hands.clone().router())
            .merge(self.routes.clone().router())
            .merge(self.reloader.clone().map(config::router).unwrap_or_default())
            .layer(axum::middleware::from_fn_with_state(self.token.clone(), token::require));
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok" }))
            .with_state(Arc::new(self))
            .merge(guarded)
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if let Ok(open) = admin.store.open_holds().await {
        admin.metrics.holds_open.set(open);
    }
    if let Err(error) = admin.bills.refresh(&admin.store, admin.clock.now()).await {
        tracing::warn!(%error, "what is open of reconciliation cannot be read");
    }
    admin.health.show(&admin.metrics);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.render())
}
