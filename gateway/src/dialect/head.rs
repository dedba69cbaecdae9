//! Headers of an answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::chat::{Kind, Standing};

/// Sets a header from text; a text that no header may hold is left out.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI sends them.
pub fn limit_headers(headers: &mut HeaderMap, kind: Kind, standing: &Standing) {
    let names = match kind {
        Kind::Requests => [
            HeaderName::from_static("x-ratelimit-limit-requests"),
            HeaderName::from_static("x-ratelimit-remaining-requests"),
            HeaderName::from_static("x-ratelimit-reset-requests"),
        ],
        Kind::Tokens => [
            HeaderName::from_static("x-ratelimit-limit-tokens"),
            HeaderName::from_static("x-ratelimit-remaining-tokens"),
            HeaderName::from_static("x-ratelimit-reset-tokens"),
        ],
        // OpenAI has no headers for it.
        Kind::Concurrency => return,
    };
    let [limit, remaining, reset] = names;
    headers.insert(limit, standing.limit.into());
    headers.insert(remaining, standing.remaining.into());
    put(headers, reset, &go_duration(standing.reset));
}

/// A duration as OpenAI writes it: `12ms`, `1s`, `6m0s`. Rounded up.
pub fn go_duration(duration: Duration) -> String {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let secs = ms.div_ceil(1_000);
    if secs < 60 { format!("{secs}s") } else { format!("{}m{}s", secs / 60, secs % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_reads_like_openais() {
        let cases = [(0, "0ms"), (12, "12ms"), (1_000, "1s"), (59_001, "1m0s"), (360_000, "6m0s")];
        for (ms, text) in cases {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }
}
