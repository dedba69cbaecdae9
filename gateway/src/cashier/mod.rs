//! Cashier: the HTTP face of payments, and the till behind the meter.
//!
//! Speaks JSON to customers and WeChat Pay's own protocol to WeChat Pay; decides nothing about money itself. Knows
//! `payments`, `keys` for who asks, and `telemetry`.

mod account;
mod bill_watch;
mod callbacks;
mod codes;
mod errors;
mod generation;
mod key_source;
mod metrics;
mod page;
mod payable;
mod refunds;
mod shape;
mod statement;
mod temporary;
mod till;
mod topups;
mod views;

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use payments::{grant::Grants, holds::Holds, refund::Refunds, store::Store, topup::TopUps};
use tokio_util::task::TaskTracker;
use units::Clock;

pub use self::{
    bill_watch::{BillMetrics, BillWatch},
    callbacks::Sources,
    errors::{PayError, reply},
    generation::whole_receipt,
    key_source::StoredKeys,
    metrics::PaymentMetrics,
    shape::shape,
    statement::download,
    till::LedgerTill,
};
pub(crate) use self::{
    codes::{HINT_CHARS, code_digest, fresh_code},
    refunds::refund_reason,
    topups::{idempotency_key, yuan},
    views::{budget, package, refund_for_operators, refund_preview, time, topup},
};
use crate::{edge::TrustedProxies, keys::Keys, plan::Snapshots};

/// What the account and payment endpoints need.
#[derive(Debug, Clone)]
pub struct Cashier {
    /// The books.
    pub store: Store,
    /// Orders.
    pub topups: TopUps,
    /// Refunds.
    pub refunds: Refunds,
    /// What is set aside.
    pub holds: Holds,
    /// What is lent while a payment is under way.
    pub grants: Grants,
    /// What keys are digested with.
    pub key_secret: Arc<[u8]>,
    /// Who asks.
    pub keys: Keys,
    /// Prices of the moment.
    pub snapshots: Snapshots,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whose word counts for where a caller is.
    pub proxies: TrustedProxies,
    /// What is counted.
    pub metrics: PaymentMetrics,
    /// Who sends notifications that are not genuine.
    pub sources: Sources,
    /// Notifications that are being written.
    pub at_work: TaskTracker,
}

/// The largest body of these endpoints and of a notification, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

impl Cashier {
    /// The account and payment endpoints, and WeChat Pay's callbacks.
    pub fn router(self) -> Router {
        let with_probes =
            |callback: MethodRouter<Arc<Self>>| callback.get(callbacks::probe).head(callbacks::probe);
        let callback = with_probes(post(callbacks::report));
        Router::new()
            .route("/v1/credits", get(account::credits))
            .route("/v1/key", get(account::key))
            .route("/v1/statement", get(statement::statement))
            .route("/v1/generation", get(generation::one))
            .route("/v1/packages", get(topups::packages))
            .route("/v1/codes/redeem", post(codes::redeem))
            .route("/v1/topups", post(topups::create).get(topups::list))
            .route("/v1/topups/quote", get(topups::quote))
            .route("/v1/topups/{id}", get(topups::one))
            .route("/v1/topups/{id}/pay", post(topups::pay_again))
            .route("/v1/topups/{id}/close", post(topups::close))
            .route("/v1/topups/{id}/claim", post(temporary::claim))
            .route("/v1/refunds", post(refunds::create).get(refunds::list))
            .route("/v1/refunds/preview", post(refunds::preview))
            .route("/v1/refunds/{id}", get(refunds::one))
            .route("/v1/refunds/{id}/cancel", post(refunds::cancel))
            .route("/pay/risk/{merchant}", callback.clone())
            .route("/pay/wechat/v3/{merchant}/notify", callback.clone())
            .route("/pay/wechat/v3/{merchant}/refund-notify", callback)
            .route("/pay/wechat/v2/{merchant}/notify", with_probes(post(callbacks::report_v2)))
            .route("/pay/wechat/v2/{merchant}/refund-notify", with_probes(post(callbacks::refund_report_v2)))
            .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::new(self))
    }
}
