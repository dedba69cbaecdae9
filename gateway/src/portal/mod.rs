//! Portal: what does a customer see in a browser?
//!
//! At present the one page a refusal for lack of money points at: how to top up with the key at hand, and the script that
//! gives a browser a name. Knows nothing but its own address.

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse, Redirect},
    routing::get,
};

const TOP_UP: &str = include_str!("topup.html");
const DEVICE: &str = include_str!("device.js");

/// The portal's pages.
pub fn router() -> Router {
    Router::new()
        .route("/portal/topup", get(|| async { Html(TOP_UP) }))
        .route("/portal/device.js", get(device))
        .route("/", get(|| async { Redirect::temporary("/portal/topup") }))
}

/// A script that names the browser it runs in, for the device id of a top-up.
async fn device() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, DEVICE)
}
