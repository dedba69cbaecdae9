//! Which of a client's headers mean something to an upstream that speaks Messages?

use http::{HeaderMap, HeaderName};

/// `anthropic-version` names the wire's edition, `anthropic-beta` the features that the client wants to try. Nothing else
/// is handed on.
const FORWARDED: [HeaderName; 2] =
    [HeaderName::from_static("anthropic-version"), HeaderName::from_static("anthropic-beta")];
/// Most values of one header that are handed on.
const VALUES_MAX: usize = 32;

/// Those of the client's headers that are handed on.
pub(in crate::dialect) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forward = HeaderMap::new();
    for name in FORWARDED {
        for value in headers.get_all(&name).iter().take(VALUES_MAX) {
            forward.append(name.clone(), value.clone());
        }
    }
    forward
}
