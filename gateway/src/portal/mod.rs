//! Portal: what does a customer see in a browser?
//!
//! At present the one page a refusal for lack of money points at: how to top up with the key at hand. Knows nothing but
//! its own address.

use axum::{
    Router,
    response::{Html, Redirect},
    routing::get,
};

const TOP_UP: &str = include_str!("topup.html");

/// The portal's pages.
pub fn router() -> Router {
    Router::new()
        .route("/portal/topup", get(|| async { Html(TOP_UP) }))
        .route("/", get(|| async { Redirect::temporary("/portal/topup") }))
}
