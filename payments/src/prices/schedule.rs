//! When does another card count? Off-peak windows by time of day and weekday, in one time zone per row.

use std::{fmt, str::FromStr, sync::OnceLock};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use units::{Timestamp, Tokens};

use super::Card;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Minutes of a week.
const WEEK: u16 = 7 * DAY;

/// Why a window or its zone is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    /// Not a time of day.
    #[error("not a time of day from `00:00` to `24:00`")]
    Time,
    /// Not a day.
    #[error("not a day: `mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`")]
    Day,
    /// Not a zone.
    #[error("not a time zone like `Asia/Shanghai` or a fixed offset like `+08:00`")]
    Zone,
}

/// Minutes since midnight, 0 to 1440.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayTime(u16);

impl FromStr for DayTime {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let (hours, minutes) = text.split_once(':').ok_or(BadWindow::Time)?;
        let two = |digits: &str| -> Option<u16> {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let (Some(hours), Some(minutes)) = (two(hours), two(minutes)) else { return Err(BadWindow::Time) };
        let at = hours * 60 + minutes;
        if minutes > 59 || at > DAY { Err(BadWindow::Time) } else { Ok(Self(at)) }
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Days {
    /// All seven.
    pub const ALL: Self = Self(0x7f);

    /// The named ones.
    ///
    /// # Errors
    /// [`BadWindow::Day`] for other words, or for none.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, BadWindow> {
        let mut days = 0;
        for name in names {
            let day = NAMES.iter().position(|known| *known == name).ok_or(BadWindow::Day)?;
            days |= 1 << day;
        }
        if days == 0 { Err(BadWindow::Day) } else { Ok(Self(days)) }
    }

    const fn has(self, day: u16) -> bool {
        self.0 & (1 << day) != 0
    }

    /// Monday first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().zip(0..).filter(move |(_, day)| self.has(*day)).map(|(name, _)| *name)
    }
}

/// A part of the week with prices of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<P> {
    /// What quotes call it.
    pub name: String,
    /// The days on which it begins.
    pub days: Days,
    /// When it begins.
    pub from: DayTime,
    /// When it ends, exclusive; on the next day where it is not after `from`.
    pub to: DayTime,
    /// What counts in it.
    pub card: Card<P>,
}

impl<P> Window<P> {
    const fn minutes(&self) -> u16 {
        if self.to.0 > self.from.0 { self.to.0 - self.from.0 } else { self.to.0 + DAY - self.from.0 }
    }

    /// Where in the week it begins, in minutes since Monday's midnight.
    fn begins(&self) -> impl Iterator<Item = u16> {
        (0..7).filter(|day| self.days.has(*day)).map(|day| day * DAY + self.from.0)
    }

    fn holds(&self, minute: u16) -> bool {
        self.begins().any(|begin| (minute + WEEK - begin) % WEEK < self.minutes())
    }

    /// True where some minute of the week lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        // Two spans on a ring meet just where one's beginning lies in the other.
        self.begins().any(|begin| other.holds(begin)) || other.begins().any(|begin| self.holds(begin))
    }

    /// How people write it: `mon,tue 22:00-08:00`.
    pub fn when(&self) -> String {
        let days = if self.days == Days::ALL {
            "daily".to_owned()
        } else {
            self.days.names().collect::<Vec<_>>().join(",")
        };
        format!("{days} {}-{}", self.from, self.to)
    }
}

/// The windows of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule<P> {
    /// What the times are of, as written.
    pub zone_name: String,
    /// The same, looked up.
    pub zone: TimeZone,
    /// None overlaps another.
    pub windows: Vec<Window<P>>,
}

impl<P> Schedule<P> {
    /// The window that the instant falls into. Wall clocks decide: where one is set back, an hour counts twice; where it
    /// is set forward, a window in the gap does not come about.
    pub fn at(&self, at: Timestamp) -> Option<&Window<P>> {
        let at = jiff::Timestamp::from_microsecond(at.0).ok()?;
        let local = self.zone.to_datetime(at);
        let day = u16::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = day * DAY
            + u16::try_from(local.hour()).unwrap_or(0) * 60
            + u16::try_from(local.minute()).unwrap_or(0);
        self.windows.iter().find(|window| window.holds(minute))
    }

    /// The same windows with every card converted.
    ///
    /// # Errors
    /// The first that `convert` makes.
    pub fn try_map<Q, E>(&self, convert: impl Fn(&P) -> Result<Q, E>) -> Result<Schedule<Q>, E> {
        let windows = self.windows.iter().map(|window| {
            let Window { days, from, to, .. } = *window;
            Ok(Window { name: window.name.clone(), days, from, to, card: window.card.try_map(&convert)? })
        });
        Ok(Schedule {
            zone_name: self.zone_name.clone(),
            zone: self.zone.clone(),
            windows: windows.collect::<Result<_, E>>()?,
        })
    }
}

/// A zone by its name in the IANA database, or by its offset.
pub(super) fn zone(name: &str) -> Result<TimeZone, BadWindow> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = name.strip_prefix(['+', '-']) {
        let at: DayTime = offset.parse().map_err(|_| BadWindow::Zone)?;
        let seconds = i32::from(at.0) * 60;
        let seconds = if name.starts_with('-') { -seconds } else { seconds };
        return jiff::tz::Offset::from_seconds(seconds)
            .ok()
            .filter(|_| at.0 <= 14 * 60)
            .map(TimeZone::fixed)
            .ok_or(BadWindow::Zone);
    }
    if !name.contains('/') {
        return Err(BadWindow::Zone);
    }
    // The database in this program, so that no machine's own decides what a window is.
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).map_err(|_| BadWindow::Zone)
}

/// True for prompts of any size the same tiers count.
pub(super) fn same_tiers<P, Q>(one: &Card<P>, other: &Card<Q>) -> bool {
    let of_one: Vec<Tokens> = one.tiers.iter().map(|tier| tier.above).collect();
    of_one.iter().eq(other.tiers.iter().map(|tier| &tier.above))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(days: &[&str], from: &str, to: &str) -> Window<()> {
        Window {
            name: "w".to_owned(),
            days: Days::of(days.iter().copied()).unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            card: Card { base: (), tiers: Vec::new() },
        }
    }

    fn schedule(zone_name: &str, windows: Vec<Window<()>>) -> Schedule<()> {
        Schedule { zone_name: zone_name.to_owned(), zone: zone(zone_name).unwrap(), windows }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn a_window_across_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = schedule("Asia/Shanghai", vec![window(&["fri"], "22:00", "08:00")]);
        let inside = |text| night.at(at(text)).is_some();
        // 2026-11-20 is a Friday.
        assert!(!inside("2026-11-20T21:59:59+08:00"));
        assert!(inside("2026-11-20T22:00:00+08:00"));
        assert!(inside("2026-11-21T07:59:59+08:00"));
        assert!(!inside("2026-11-21T08:00:00+08:00"));
        assert!(!inside("2026-11-20T07:00:00+08:00"), "Thursday's night is none");
        let sunday = schedule("+08:00", vec![window(&["sun"], "23:00", "01:00")]);
        assert!(sunday.at(at("2026-11-23T00:30:00+08:00")).is_some(), "over the end of the week");
    }

    #[test]
    fn a_zone_with_summer_time_is_followed() {
        let morning = schedule("Europe/Berlin", vec![window(&NAMES, "06:00", "07:00")]);
        assert!(morning.at(at("2026-07-01T04:30:00Z")).is_some());
        assert!(morning.at(at("2026-01-01T04:30:00Z")).is_none());
        assert!(morning.at(at("2026-01-01T05:30:00Z")).is_some());
    }

    #[test]
    fn words_that_are_no_time_day_or_zone_are_refused() {
        for bad in ["", "8:00", "24:01", "12:60", "12", "-1:00", "12:0", "１２:00"] {
            assert_eq!(bad.parse::<DayTime>(), Err(BadWindow::Time), "{bad:?}");
        }
        assert!("24:00".parse::<DayTime>().is_ok());
        for bad in ["", "Mars/Olympus", "+15:00", "CEST", "local"] {
            assert_eq!(zone(bad).unwrap_err(), BadWindow::Zone, "{bad:?}");
        }
        assert_eq!(Days::of([]), Err(BadWindow::Day));
        assert_eq!(Days::of(["monday"]), Err(BadWindow::Day));
    }

    fn any_window() -> impl Strategy<Value = Window<()>> {
        (1..=0x7f_u8, 0..DAY, 1..=DAY).prop_map(|(days, from, to)| Window {
            days: Days(days),
            from: DayTime(from),
            to: DayTime(to),
            ..window(&["mon"], "00:00", "01:00")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn windows_overlap_just_where_a_minute_lies_in_both(a in any_window(), b in any_window()) {
            let shared = (0..WEEK).any(|minute| a.holds(minute) && b.holds(minute));
            prop_assert_eq!(a.overlaps(&b), shared);
        }
    }
}
