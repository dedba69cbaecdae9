//! When does the upstream say to come back?

use std::time::Duration;

use http::HeaderMap;
use units::{Clock, Timestamp};

/// A rest longer than this is not believed.
const MAX: Duration = Duration::from_secs(300);

/// From `retry-after-ms`, `retry-after` (seconds or a date), or words like "try again in 5.2s".
pub(super) fn read(headers: &HeaderMap, message: &str, clock: &dyn Clock) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let ms = text("retry-after-ms").and_then(seconds).map(|s| s / 1_000);
    let wait = ms
        .or_else(|| text("retry-after").and_then(|value| seconds(value).or_else(|| until(value, clock))))
        .or_else(|| in_words(message))?;
    Some(wait.min(MAX))
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(1e7)).ok()
}

fn until(date: &str, clock: &dyn Clock) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_microsecond();
    Some(Timestamp(at).since(clock.now()))
}

fn in_words(message: &str) -> Option<Duration> {
    let lower = message.to_lowercase();
    let rest = ["try again in ", "retry after ", "try again after ", "after "]
        .iter()
        .find_map(|words| lower.split_once(words).map(|(_, rest)| rest))?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let wait = seconds(number.trim_end_matches('.'))?;
    let unit = unit.trim_start();
    if unit.starts_with("ms") {
        Some(wait / 1_000)
    } else if unit.starts_with('s') {
        Some(wait)
    } else if unit.starts_with("min") || unit.starts_with('m') {
        Some(wait * 60)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::StillClock;

    #[test]
    fn understands_every_way_of_saying_it() {
        let with = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            read(&headers, "", &StillClock::at_secs(784_111_777))
        };
        assert_eq!(with("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(with("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(with("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(with("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(with("retry-after", "3600"), Some(MAX));
        for hostile in ["-1", "NaN", "inf", "soon", ""] {
            assert!(with("retry-after", hostile).is_none_or(|d| d <= MAX), "{hostile}");
        }
        let words = |text: &str| read(&HeaderMap::new(), text, &StillClock::at_secs(784_111_777));
        assert_eq!(words("Please try again in 5.289s."), Some(Duration::from_millis(5_289)));
        assert_eq!(words("Please retry after 20 seconds"), Some(Duration::from_secs(20)));
        assert_eq!(words("try again in 86ms"), Some(Duration::from_millis(86)));
        assert_eq!(words("Rate limit reached"), None);
    }
}
