//! What time is it where WeChat Pay's clocks stand? API v2 and the bills name no zone: they mean Beijing, which has no
//! summer time.

use jiff::{civil::DateTime, tz::TimeZone};
use units::Timestamp;

const HOURS_EAST: i8 = 8;

/// A way of writing a moment in whole seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// `20251009165318`: most messages of API v2.
    Plain,
    /// `2025-10-09 16:53:18`: refunds of API v2, and bills.
    Marked,
}

impl Moment {
    const fn format(self) -> &'static str {
        match self {
            Self::Plain => "%Y%m%d%H%M%S",
            Self::Marked => "%Y-%m-%d %H:%M:%S",
        }
    }

    /// Writes `at`, rounded down. `None` if the calendar does not reach that far.
    pub(crate) fn write(self, at: Timestamp) -> Option<String> {
        let at = jiff::Timestamp::from_second(at.secs()).ok()?;
        Some(at.to_zoned(beijing()).strftime(self.format()).to_string())
    }

    /// Reads a moment that is written in exactly this way.
    pub(crate) fn read(self, text: &str) -> Option<Timestamp> {
        let at = DateTime::strptime(self.format(), text).ok()?;
        // Numbers may be read from fewer digits than they are written with.
        if at.strftime(self.format()).to_string() != text {
            return None;
        }
        Some(Timestamp(at.to_zoned(beijing()).ok()?.timestamp().as_microsecond()))
    }
}

fn beijing() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(HOURS_EAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_beijing_and_have_one_spelling() {
        let at = Timestamp::from_secs(1_759_999_998);
        assert_eq!(Moment::Plain.write(at).as_deref(), Some("20251009165318"));
        assert_eq!(Moment::Plain.read("20251009165318"), Some(at));
        assert_eq!(Moment::Marked.read("2025-10-09 16:53:18"), Some(at));
        for wrong in ["", "2025100916531", "20251309165318", "2025-10-09 16:53:18", " 20251009165318"] {
            assert_eq!(Moment::Plain.read(wrong), None, "{wrong}");
        }
        assert_eq!(Moment::Marked.read("2025-10-9 16:53:18"), None);
    }
}
