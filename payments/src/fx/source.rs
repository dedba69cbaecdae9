//! One question to one source.

use std::time::Duration;

use bytes::Bytes;
#[expect(
    clippy::disallowed_types,
    reason = "a rate is a decimal on the wire; it leaves this room as an integer"
)]
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use units::{Clock, Timestamp};

use crate::transport::Transport;

/// An observation older than this is no rate, whoever gives it.
const OBSERVED_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Where a rate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxSource {
    /// What people call it.
    pub name: String,
    /// Answers JSON to a GET.
    pub url: String,
    /// JSON pointer to the rate: a number, or a decimal string.
    pub pointer: String,
    /// JSON pointer to when the source observed it: seconds since the epoch, RFC 3339, or a day.
    pub observed: Option<String>,
}

/// What a source says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) rate_micro: i64,
    pub(super) observed_at: Option<Timestamp>,
}

/// Asks `source` and waits `patience` at most.
pub(super) async fn ask(
    source: &FxSource,
    transport: &dyn Transport,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<Said, String> {
    let request = http::Request::get(&source.url).header(http::header::ACCEPT, "application/json");
    let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
    let answer = tokio::select! {
        answer = transport.send(request) => answer.map_err(|error| error.to_string())?,
        () = clock.sleep_until(clock.now().after(patience)) => {
            return Err(format!("no answer within {} ms", patience.as_millis()));
        }
    };
    if answer.status() != http::StatusCode::OK {
        return Err(format!("HTTP {}", answer.status().as_u16()));
    }
    let body: Value = serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
    let text = text_at(&body, &source.pointer)?;
    let rate_micro = parse_micro(&text).ok_or_else(|| format!("{text:?} is not a rate"))?;
    let observed_at = source.observed.as_ref().map(|pointer| {
        let text = text_at(&body, pointer)?;
        parse_time(&text).ok_or_else(|| format!("{text:?} is not a time"))
    });
    let observed_at = observed_at.transpose()?;
    if let Some(observed_at) = observed_at
        && clock.now().since(observed_at) > OBSERVED_MAX
    {
        return Err(format!("observed {} days ago", clock.now().since(observed_at).as_secs() / 86_400));
    }
    Ok(Said { rate_micro, observed_at })
}

fn text_at(body: &Value, pointer: &str) -> Result<String, String> {
    match body.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(format!("{pointer} is neither a number nor text")),
        None => Err(format!("nothing at {pointer}")),
    }
}

/// A positive decimal, rounded half up to millionths.
#[expect(clippy::disallowed_types, reason = "a rate is a decimal on the wire")]
pub fn parse_micro(text: &str) -> Option<i64> {
    let rate: Decimal = text.parse().ok()?;
    let micro = rate
        .checked_mul(Decimal::from(1_000_000))?
        .round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    micro.to_i64().filter(|micro| *micro > 0)
}

/// Seconds since the epoch, RFC 3339, or a day in UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    let at = if let Ok(seconds) = text.parse::<i64>() {
        jiff::Timestamp::from_second(seconds).ok()?
    } else if let Ok(at) = text.parse::<jiff::Timestamp>() {
        at
    } else {
        let day: jiff::civil::Date = text.parse().ok()?;
        day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
    };
    Some(Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_the_forms_that_sources_use() {
        let noon = Some(Timestamp::from_secs(1_760_011_200));
        assert_eq!(parse_time("1760011200"), noon);
        assert_eq!(parse_time("2025-10-09T20:00:00+08:00"), noon);
        assert_eq!(parse_time("2025-10-09"), Some(Timestamp::from_secs(1_759_968_000)));
        for bad in ["", "yesterday", "99999999999999999999", "2025-13-01"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }
}
