//! How often a call has passed a gateway like this one: two that name each other as providers would send it in circles.

use http::{HeaderMap, HeaderName};

/// The header that counts.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("x-tollgate-hops");
/// A call that has passed so many gateways goes no further. More than any sensible chain, few enough to end a circle soon.
pub const HOPS_MAX: u32 = 4;

/// How many gateways a request says it has passed. What is no number counts as none: it was not one of ours that wrote it.
pub fn hops(headers: &HeaderMap) -> u32 {
    headers.get(HOPS_HEADER).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}
