//! By whom can be paid at the moment, and why not?

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use payments::topup::Merchant;
use serde_json::{Value, json};

use super::Admin;
use crate::cashier::{PayError, reply, time};

/// `GET /admin/v1/channels`: every merchant, whether top-ups by it are on, and what is at hand to verify with.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Response {
    let merchants = admin.merchants.all();
    let data: Vec<Value> = merchants.iter().map(|merchant| view(merchant)).collect();
    reply(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// `GET /admin/v1/channels/nonces/{nonce}`: who used a nonce within the last day, for what. Evidence, and nothing is decided by it.
pub(super) async fn nonce(State(admin): State<Arc<Admin>>, Path(nonce): Path<String>) -> Response {
    let Some((merchant, api, seen)) = admin.merchants.nonce(&nonce, admin.clock.now()) else {
        return PayError::not_found("nonce", "This nonce was not used within a day, or it is forgotten.")
            .into_response();
    };
    let shown = json!({
        "object": "nonce",
        "nonce": nonce,
        "merchant": merchant.name,
        "api": api.to_string(),
        "made_by": if seen.made_by_us { "us" } else { "wechat_pay" },
        "about": seen.about,
        "first_at": time(seen.at),
        "times": seen.times,
    });
    reply(StatusCode::OK, &shown)
}

fn view(merchant: &Merchant) -> Value {
    let certificates = merchant.v3.as_ref().map(|v3| v3.channel.downloaded_serials());
    json!({
        "object": "channel",
        "merchant": merchant.name,
        "livemode": merchant.livemode.to_string(),
        "mchid": merchant.mchid,
        "api": merchant.api.to_string(),
        "on": merchant.off.is_none(),
        "why_off": merchant.off,
        "v3": merchant.v3.is_some(),
        "v2": merchant.v2.is_some(),
        "downloaded_certificates": certificates.unwrap_or_default(),
    })
}
