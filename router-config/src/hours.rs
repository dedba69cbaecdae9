//! Which hours of the week? Of a clock that is a fixed time ahead of UTC, so that no table of time zones is asked.

use units::Timestamp;

use crate::{KeyPath, Problems};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: i64 = 24 * 60;
/// Beijing's clock, which has no summer time.
const BEIJING: i64 = 8 * 60;

/// Windows of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    windows: Vec<Window>,
    /// Minutes ahead of UTC.
    ahead: i64,
}

/// From `from` to before `to`, minutes of each of the days.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    days: [bool; 7],
    from: i64,
    to: i64,
}

impl Hours {
    pub(crate) fn check(
        texts: &[String],
        utc_offset: Option<&str>,
        path: &KeyPath,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let ahead = match utc_offset.map(offset) {
            None => BEIJING,
            Some(Some(minutes)) => minutes,
            Some(None) => {
                problems.add(
                    path.key("utc_offset"),
                    "hours and minutes ahead of UTC stand here, from `-12:00` to `+14:00`",
                );
                BEIJING
            }
        };
        let mut windows = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            match window(text) {
                Some(window) => windows.push(window),
                None => problems.add(
                    path.key("hours").index(i),
                    format!("`{text}` names no hours: write `mon-fri 08:00-18:00`, `sat 22:00-24:00` or `08:00-18:00`"),
                ),
            }
        }
        (problems.len() == before).then_some(Self { windows, ahead })
    }

    /// Whether `now` is within one of them.
    pub(crate) fn hold(&self, now: Timestamp) -> bool {
        let minutes = now.0.div_euclid(60_000_000).saturating_add(self.ahead);
        // The first of January 1970 was a Thursday.
        let day = usize::try_from((minutes.div_euclid(MINUTES_OF_DAY) + 3).rem_euclid(7)).unwrap_or(0);
        let minute = minutes.rem_euclid(MINUTES_OF_DAY);
        self.windows.iter().any(|it| it.days[day] && (it.from..it.to).contains(&minute))
    }
}

fn window(text: &str) -> Option<Window> {
    let (days, span) = match text.split_once(' ') {
        Some((days, span)) => (self::days(days)?, span.trim()),
        None => ([true; 7], text),
    };
    let (from, to) = span.split_once('-')?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    // A window over midnight is written as two: of which day its second half is, is then plain.
    (from < to).then_some(Window { days, from, to })
}

fn days(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| name.eq_ignore_ascii_case(day));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    // Round the end of the week: `sat-mon`.
    let span = (last + 7 - first) % 7;
    Some(std::array::from_fn(|day| (day + 7 - first) % 7 <= span))
}

/// `HH:MM`, up to `24:00`.
fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = two_by_two(text)?;
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTES_OF_DAY).then_some(minute)
}

fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = text.split_at_checked(1)?;
    let (hours, minutes) = two_by_two(digits)?;
    let ahead = hours * 60 + minutes;
    match sign {
        "+" if minutes < 60 && ahead <= 14 * 60 => Some(ahead),
        "-" if minutes < 60 && ahead <= 12 * 60 => Some(-ahead),
        _ => None,
    }
}

fn two_by_two(text: &str) -> Option<(i64, i64)> {
    let (a, b) = text.split_once(':')?;
    let number =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok());
    Some((number(a)??, number(b)??))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn hours(text: &str, offset: &str) -> Hours {
        let mut problems = Problems::default();
        let hours = Hours::check(&[text.to_owned()], Some(offset), &KeyPath::default(), &mut problems);
        hours.unwrap_or_else(|| panic!("{problems}"))
    }

    #[test]
    fn hours_begin_and_end_on_their_own_clock() {
        // Monday, the fifth of January 1970, 00:00 UTC.
        let monday = 4 * MINUTES_OF_DAY * MINUTE;
        let at = |minutes: i64| Timestamp(monday + minutes * MINUTE);
        let office = hours("mon-fri 08:00-18:00", "+08:00");
        for (minutes, open) in
            [(0, true), (-1, false), (10 * 60 - 1, true), (10 * 60, false), (-24 * 60, false)]
        {
            assert_eq!(office.hold(at(minutes)), open, "{minutes}");
        }
        let weekend = hours("sat-mon 00:00-24:00", "+00:00");
        for (days, open) in [(-2, true), (-1, true), (0, true), (1, false), (4, false), (5, true)] {
            assert_eq!(weekend.hold(at(days * MINUTES_OF_DAY)), open, "{days}");
        }
        let west = hours("sun 23:30-24:00", "-00:30");
        assert!(west.hold(at(0)) && !west.hold(at(30)));
        assert!(hours("00:00-24:00", "+00:00").hold(Timestamp(-1)), "before 1970 too");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "8:00-9:00",
            "09:00-08:00",
            "08:00-08:00",
            "08:00",
            "24:00-25:00",
            "x 08:00-09:00",
            "08:60-09:00",
        ] {
            assert_eq!(window(text), None, "{text}");
        }
        for text in ["", "8", "08:00", "+15:00", "-13:00", "+08:60", "+8:00", "é08:00"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
