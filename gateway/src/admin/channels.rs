//! By whom can be paid at the moment, and why not?

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use payments::topup::Merchant;
use serde_json::{Value, json};

use super::Admin;
use crate::cashier::reply;

/// `GET /admin/v1/channels`: every merchant, whether top-ups by it are on, and what is at hand to verify with.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Response {
    let merchants = admin.merchants.all();
    let data: Vec<Value> = merchants.iter().map(|merchant| view(merchant)).collect();
    reply(StatusCode::OK, &json!({"object": "list", "data": data}))
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
