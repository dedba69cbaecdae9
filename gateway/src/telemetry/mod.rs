//! Telemetry: what are metrics, labels and buckets called?
//!
//! Labels are bounded: models, providers and the names of their keys from the table, words of our own; never a customer's
//! key, an account or a request.

mod metrics;

pub use metrics::Metrics;

/// The values of the `outcome` label.
pub const OUTCOMES: [&str; 7] = [
    "ok",
    "client_error",
    "insufficient_funds",
    "rate_limited",
    "upstream_error",
    "gateway_error",
    "cancelled",
];
