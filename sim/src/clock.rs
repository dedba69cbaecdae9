//! What time is it on the far side, and how long until something is due?
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use tokio::sync::watch;

/// Time as the far side sees it; its owner may be moving product and simulator together.
pub trait SimClock: Send + Sync + Debug + 'static {
    /// Now, microseconds since the Unix epoch.
    fn now_micros(&self) -> i64;
    /// Moves time forward; asked for by `POST /_sim/v1/clock`.
    fn advance(&self, by_micros: i64);
    /// Ends when the clock shows `at` or later, be it by waiting or because the clock was moved.
    fn sleep_until_micros(&self, at: i64) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Real time plus an offset that can be moved; a move wakes all who sleep.
#[derive(Debug)]
pub struct ManualOffsetClock {
    offset: watch::Sender<i64>,
}

impl ManualOffsetClock {
    /// A clock that shows real time until it is moved.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { offset: watch::Sender::new(0) })
    }
}

impl SimClock for ManualOffsetClock {
    fn now_micros(&self) -> i64 {
        wall_micros().saturating_add(*self.offset.borrow())
    }

    fn advance(&self, by_micros: i64) {
        self.offset.send_modify(|offset| *offset = offset.saturating_add(by_micros));
    }

    fn sleep_until_micros(&self, at: i64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut offset = self.offset.subscribe();
        Box::pin(async move {
            loop {
                let now = wall_micros().saturating_add(*offset.borrow_and_update());
                let left = at.saturating_sub(now);
                let Ok(left @ 1..) = u64::try_from(left) else { return };
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_micros(left)) => {}
                    moved = offset.changed() => if moved.is_err() {
                        // The clock is gone, so nobody will move it; what is left is waiting.
                        return tokio::time::sleep(Duration::from_micros(left)).await;
                    }
                }
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the simulator looks at the wall clock")]
fn wall_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// `yyyy-MM-ddTHH:mm:ss+08:00`, the way WeChat Pay writes times.
pub(crate) fn beijing(micros: i64) -> String {
    written(micros, "%Y-%m-%dT%H:%M:%S%:z")
}

/// `yyyyMMddHHmmss` in Beijing time, as it occurs inside numbers and ids.
pub(crate) fn beijing_digits(micros: i64) -> String {
    written(micros, "%Y%m%d%H%M%S")
}

/// The day in Beijing, `yyyy-MM-dd`.
pub(crate) fn beijing_day(micros: i64) -> String {
    written(micros, "%Y-%m-%d")
}

/// `yyyy-MM-dd HH:mm:ss` in Beijing time, as bills and v2's refunds have it.
pub(crate) fn beijing_spaced(micros: i64) -> String {
    written(micros, "%Y-%m-%d %H:%M:%S")
}

/// Reads a time in Beijing, written in this format; the first instant of a day where that is all it says.
pub(crate) fn parse_beijing(format: &str, text: &str) -> Option<i64> {
    let time = jiff::fmt::strtime::parse(format, text).ok()?;
    let civil = time.to_datetime().or_else(|_| time.to_date().map(|day| day.at(0, 0, 0, 0))).ok()?;
    let at = civil.to_zoned(TimeZone::fixed(offset(8))).ok()?.timestamp().as_microsecond();
    // jiff skips over blanks and takes fewer digits; what was written has to be what would be written.
    (written(at, format) == text).then_some(at)
}

fn written(micros: i64, format: &str) -> String {
    // Outside the years -9999..=9999 there is nothing sensible to write; a clock moved that far shows the epoch.
    let at = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::fixed(offset(8))).strftime(format).to_string()
}

/// `yyyyMMddHHmmssZ`, as certificates have it.
pub(crate) fn utc_compact(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y%m%d%H%M%SZ").to_string()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as a `Date` header has it.
///
/// Source: RFC 9110, section 5.6.7 (the same form as in RFC 7231).
pub(crate) fn http_date(micros: i64) -> String {
    let at = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    // There is no form for years before 0 or after 9999.
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

/// RFC 3339 in UTC, for the controls.
pub(crate) fn rfc3339(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Reads RFC 3339 with any offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_is_in_gmt() {
        assert_eq!(http_date(784_111_777_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_time_in_beijing_is_read_as_it_is_written() {
        let at = parse_beijing("%Y%m%d%H%M%S", "20251009165318").unwrap();
        assert_eq!(beijing(at), "2025-10-09T16:53:18+08:00");
        assert_eq!(beijing_spaced(at), "2025-10-09 16:53:18");
        assert_eq!(beijing(parse_beijing("%Y-%m-%d", "2025-10-09").unwrap()), "2025-10-09T00:00:00+08:00");
        for bad in ["", "2025-10-9", " 2025-10-09", "2025-10-09 ", "20251009", "2025-13-01", "2025-02-29"] {
            assert_eq!(parse_beijing("%Y-%m-%d", bad), None, "{bad:?}");
        }
    }
}
