//! When does a day of a bill begin, and when can its bill be had? In Beijing, which has no summer time.

use std::fmt;

use jiff::{civil::Date, tz::TimeZone};
use units::Timestamp;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// After midnight: from then on bills can be had.
///
/// Source: WeChat Pay API v3, trade bill.
const READY: i64 = 10 * HOUR;

/// A day in Beijing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BillDate(Date);

impl BillDate {
    /// The day of this instant; `None` beyond the calendar.
    pub fn of(at: Timestamp) -> Option<Self> {
        let at = jiff::Timestamp::from_microsecond(at.0).ok()?;
        Some(Self(at.to_zoned(beijing()).date()))
    }

    /// Reads `2025-10-08`, in that spelling only.
    pub fn read(text: &str) -> Option<Self> {
        let date = text.parse::<Date>().ok()?;
        (date.to_string() == text).then_some(Self(date))
    }

    /// The last day whose bill can be had by then.
    pub fn last_ready(now: Timestamp) -> Option<Self> {
        Self::of(Timestamp(now.0.checked_sub(READY)?))?.before(1)
    }

    /// Its date.
    pub const fn date(self) -> Date {
        self.0
    }

    /// Its first instant; `None` beyond the calendar.
    pub fn begins(self) -> Option<Timestamp> {
        Some(Timestamp(self.0.to_zoned(beijing()).ok()?.timestamp().as_microsecond()))
    }

    /// The first instant that is no longer of it; `None` beyond the calendar.
    pub fn ends(self) -> Option<Timestamp> {
        Some(Timestamp(self.begins()?.0.checked_add(DAY)?))
    }

    /// When its bill can be had; `None` beyond the calendar.
    pub fn ready(self) -> Option<Timestamp> {
        Some(Timestamp(self.ends()?.0.checked_add(READY)?))
    }

    /// The day after.
    pub fn next(self) -> Option<Self> {
        self.0.tomorrow().ok().map(Self)
    }

    /// So many days before it.
    pub fn before(self, days: i64) -> Option<Self> {
        self.0.checked_sub(jiff::Span::new().try_days(days).ok()?).ok().map(Self)
    }

    /// The first of its month.
    pub fn month(self) -> Self {
        Self(self.0.first_of_month())
    }
}

impl fmt::Display for BillDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn beijing() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_beijings_and_its_bill_can_be_had_at_ten_of_the_next() {
        let day = BillDate::read("2025-10-09").unwrap();
        // 2025-10-09 00:00 in Beijing.
        let begins = Timestamp::from_secs(1_759_939_200);
        assert_eq!((day.begins(), day.ends().map(|at| at.0 - begins.0)), (Some(begins), Some(DAY)));
        let at = |hours: i64, micros: i64| Timestamp(begins.0 + hours * HOUR + micros);
        assert_eq!(BillDate::of(at(0, -1)), day.before(1));
        assert_eq!(BillDate::of(at(24, -1)), Some(day));
        assert_eq!(BillDate::last_ready(at(34, -1)), day.before(1));
        assert_eq!(BillDate::last_ready(at(34, 0)), Some(day));
        assert_eq!(day.ready(), Some(at(34, 0)));
        assert_eq!((day.month().to_string(), day.to_string()), ("2025-10-01".into(), "2025-10-09".into()));
        assert_eq!(BillDate::read("2025-10-9"), None);
    }
}
