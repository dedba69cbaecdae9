//! How much may still be asked of an upstream before it says 429? What its headers say with every answer.

use std::time::Duration;

use http::HeaderMap;
use units::{Clock, Timestamp};

/// A reset farther away than this is not believed: Groq's count days, and a clock may be wrong.
const RESET_MAX: Duration = Duration::from_secs(300);
/// A reset that is not told: limits are by the minute where nothing is said.
const RESET: Duration = Duration::from_secs(60);

/// What is left of our limit at an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// So much is left.
    pub left: u64,
    /// Until it is whole again, at most five minutes.
    pub reset: Duration,
}

/// What is left of each kind that the upstream has told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Requests.
    pub requests: Option<Allowance>,
    /// Tokens.
    pub tokens: Option<Allowance>,
}

/// The names under which a remainder stands, and those of its reset.
type Names = (&'static [&'static str], &'static [&'static str]);

/// OpenAI's and whoever copies them, Anthropic's, Mistral's and Cerebras', in this order.
const REQUESTS: Names = (
    &[
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-requests-remaining",
        "x-ratelimit-remaining-req-minute",
        "x-ratelimit-remaining-requests-day",
    ],
    &["x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset", "x-ratelimit-reset-requests-day"],
);
const TOKENS: Names = (
    &[
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-input-tokens-remaining",
        "x-ratelimit-remaining-tokens-minute",
    ],
    &[
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-input-tokens-reset",
        "x-ratelimit-reset-tokens-minute",
    ],
);

impl Allowances {
    /// From the headers of any answer. A remainder that is no number, or less than none, says nothing.
    pub(super) fn read(headers: &HeaderMap, clock: &dyn Clock) -> Self {
        let text = |name: &&str| headers.get(*name).and_then(|value| value.to_str().ok()).map(str::trim);
        let of = |(remaining, reset): Names| {
            let left = remaining.iter().find_map(text)?.parse().ok()?;
            let reset = reset.iter().find_map(text).and_then(|text| until(text, clock)).unwrap_or(RESET);
            Some(Allowance { left, reset: reset.min(RESET_MAX) })
        };
        Self { requests: of(REQUESTS), tokens: of(TOKENS) }
    }
}

/// `1m2.5s`, `86ms`, plain seconds, or a date.
fn until(text: &str, clock: &dyn Clock) -> Option<Duration> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_microsecond()).since(clock.now()));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::StillClock;

    fn read(headers: &[(&'static str, &str)]) -> Allowances {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        Allowances::read(&headers.collect(), &StillClock::at_secs(1_800_000_000))
    }

    fn left(left: u64, reset: f64) -> Option<Allowance> {
        Some(Allowance { left, reset: Duration::from_secs_f64(reset) })
    }

    #[test]
    fn every_provider_says_it_in_its_own_way() {
        let openai = read(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1m2.5s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "86ms"),
        ]);
        assert_eq!(openai, Allowances { requests: left(59, 62.5), tokens: left(0, 0.086) });
        let anthropic = read(&[
            ("anthropic-ratelimit-requests-remaining", "1"),
            ("anthropic-ratelimit-requests-reset", "2027-01-15T08:00:09Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "12"),
            ("anthropic-ratelimit-input-tokens-reset", "2027-01-15T07:59:00Z"),
        ]);
        assert_eq!(anthropic, Allowances { requests: left(1, 9.0), tokens: left(12, 0.0) });
        let mistral = read(&[("x-ratelimit-remaining-req-minute", "3")]);
        assert_eq!(mistral, Allowances { requests: left(3, 60.0), tokens: None });
        let groq =
            read(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "7h59m56.4s")]);
        assert_eq!(groq.requests, left(0, 300.0), "not believed for a day");
    }

    #[test]
    fn what_is_no_number_says_nothing() {
        for odd in ["-1", "", "many", "1e9", "99999999999999999999999"] {
            assert_eq!(read(&[("x-ratelimit-remaining-requests", odd)]), Allowances::default(), "{odd}");
        }
        for odd in ["", "soon", "5x", "..s", "-3", "NaN", "inf", "1e400"] {
            let read = read(&[("x-ratelimit-remaining-tokens", "5"), ("x-ratelimit-reset-tokens", odd)]);
            assert!(read.tokens.is_some_and(|tokens| tokens.reset <= RESET_MAX), "{odd}: {read:?}");
        }
    }
}
