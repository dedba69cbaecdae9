//! How much may a key or an account spend in a day, in a month, or at all?
//!
//! A budget counts money: what open holds have set aside in a window and what ended ones have cost. A hold counts in
//! the window it was opened in, also when it ends in the next one. Days and months are Beijing's: eight hours ahead of
//! UTC, all year.

use serde::{Deserialize, Serialize};
use units::{AccountId, KeyId, NanoCny, Timestamp};

use super::entry::words;

const HOUR_MICROS: i64 = 3_600 * 1_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;
/// How far Beijing's clocks are ahead of UTC.
const BEIJING_MICROS: i64 = 8 * HOUR_MICROS;

words! {
    /// For how long a budget is.
    BudgetPeriod {
        /// A day, from midnight in Beijing.
        Day = "day",
        /// A calendar month, from its first midnight in Beijing.
        Month = "month",
        /// As long as there is the key or the account.
        Total = "total",
    }
}

impl BudgetPeriod {
    /// The window that `at` lies in: days or months counted from a fixed one.
    pub const fn window(self, at: Timestamp) -> i64 {
        let day = at.0.saturating_add(BEIJING_MICROS).div_euclid(DAY_MICROS);
        match self {
            Self::Day => day,
            Self::Month => month_of(day),
            Self::Total => 0,
        }
    }

    /// When a window is over and the budget is whole again.
    pub const fn ends(self, window: i64) -> Option<Timestamp> {
        let day = match self {
            Self::Day => window.saturating_add(1),
            Self::Month => first_day(window.saturating_add(1)),
            Self::Total => return None,
        };
        Some(Timestamp(day.saturating_mul(DAY_MICROS).saturating_sub(BEIJING_MICROS)))
    }
}

/// Days of 400 years, which the Gregorian calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// From 0000-03-01, where reckoning is easiest because the leap day comes last, to 1970-01-01.
const SHIFT_DAYS: i64 = 719_468;

/// The month, counted from January of the year 0, of a day counted from 1970-01-01.
const fn month_of(day: i64) -> i64 {
    let day = day.saturating_add(SHIFT_DAYS);
    let era = day.div_euclid(ERA_DAYS);
    let of_era = day.rem_euclid(ERA_DAYS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March, of 31 and 30 days in turn but for February, which is last.
    let from_march = (5 * of_year + 2) / 153;
    (era * 400 + year) * 12 + from_march + 2
}

/// The first day, counted from 1970-01-01, of a month counted from January of the year 0.
const fn first_day(month: i64) -> i64 {
    let from_march = month.saturating_sub(2);
    let (year, of_year) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days = of_era * 365 + of_era / 4 - of_era / 100 + (153 * of_year + 2) / 5;
    era.saturating_mul(ERA_DAYS).saturating_add(days - SHIFT_DAYS)
}

/// What was counted in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Which.
    pub window: i64,
    /// What ended calls have cost.
    pub spent: NanoCny,
    /// What open calls have set aside.
    pub reserved: NanoCny,
}

/// A budget and what was counted against it. Without a limit it only counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose money.
    pub account: AccountId,
    /// The key whose calls count; every call of the account where absent.
    pub key: Option<KeyId>,
    /// For how long.
    pub period: BudgetPeriod,
    /// At most this much.
    pub limit: Option<NanoCny>,
    /// The present window.
    pub now: Tally,
    /// The one before, while calls that began in it may still run.
    pub past: Option<Tally>,
    /// When it was last set.
    pub set_at: Timestamp,
}

/// That a hold counts against a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetShare {
    /// The key's budget; the account's where absent.
    pub key: Option<KeyId>,
    /// Which of them.
    pub period: BudgetPeriod,
    /// In which window.
    pub window: i64,
}

/// A budget that does not cover a call, with all its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverBudget {
    /// Whose money.
    pub account: AccountId,
    /// The key's budget; the account's where absent.
    pub key: Option<KeyId>,
    /// For how long.
    pub period: BudgetPeriod,
    /// At most this much.
    pub limit: NanoCny,
    /// What ended calls have cost.
    pub spent: NanoCny,
    /// What open calls have set aside.
    pub reserved: NanoCny,
    /// What this call needs.
    pub required: NanoCny,
    /// When the budget is whole again, if ever.
    pub resets_at: Option<Timestamp>,
}

impl std::fmt::Display for OverBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, key, period, limit, spent, reserved, required, .. } = self;
        match key {
            Some(key) => write!(f, "key {key}")?,
            None => write!(f, "account {account}")?,
        }
        let period = match period {
            BudgetPeriod::Day => "day's",
            BudgetPeriod::Month => "month's",
            BudgetPeriod::Total => "whole",
        };
        write!(
            f,
            ": the {period} budget is {limit} yuan, {spent} are spent and {reserved} set aside, {required} are required"
        )
    }
}

impl Budget {
    /// A budget nothing was counted against yet.
    pub const fn new(
        account: AccountId,
        key: Option<KeyId>,
        period: BudgetPeriod,
        limit: Option<NanoCny>,
        at: Timestamp,
    ) -> Self {
        let now = Tally { window: period.window(at), spent: NanoCny::ZERO, reserved: NanoCny::ZERO };
        Self { account, key, period, limit, now, past: None, set_at: at }
    }

    /// As it stands at `at`. A window that has begun does not end because a clock goes back.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Self {
        let window = self.period.window(at);
        if window <= self.now.window {
            return self.clone();
        }
        let now = Tally { window, ..Tally::default() };
        Self { now, past: Some(self.now), ..self.clone() }
    }

    /// A hold of the present window counts against it like this.
    pub const fn share(&self) -> BudgetShare {
        BudgetShare { key: self.key, period: self.period, window: self.now.window }
    }

    /// True for the budget that `share` speaks of.
    pub fn is_of(&self, share: &BudgetShare) -> bool {
        self.key == share.key && self.period == share.period
    }

    /// What may still be set aside in a window, in nano-yuan: no limit, or a window long gone, and it is everything.
    pub fn room(&self, window: i64) -> i64 {
        let (Some(limit), Some(tally)) = (self.limit, self.tally(window)) else { return i64::MAX };
        limit.get().saturating_sub(tally.spent.get()).saturating_sub(tally.reserved.get()).max(0)
    }

    /// Sets `amount` aside in a window.
    ///
    /// # Errors
    /// [`OverBudget`] if the limit does not allow it; nothing changes then.
    pub fn reserve(&mut self, window: i64, amount: NanoCny) -> Result<(), Box<OverBudget>> {
        if amount.get() > self.room(window) {
            return Err(Box::new(self.over(window, amount)));
        }
        self.put(window, |tally| tally.reserved = sum(tally.reserved, amount.get()));
        Ok(())
    }

    /// What was set aside in a window has ended, having cost `spent`.
    pub fn end(&mut self, window: i64, reserved: NanoCny, spent: NanoCny) {
        self.put(window, |tally| {
            tally.reserved = sum(tally.reserved, reserved.get().saturating_neg());
            tally.spent = sum(tally.spent, spent.get());
        });
    }

    /// The refusal of a call that needs `required`.
    pub fn over(&self, window: i64, required: NanoCny) -> OverBudget {
        let tally = self.tally(window).copied().unwrap_or_default();
        OverBudget {
            account: self.account,
            key: self.key,
            period: self.period,
            limit: self.limit.unwrap_or(NanoCny::ZERO),
            spent: tally.spent,
            reserved: tally.reserved,
            required,
            resets_at: self.period.ends(window),
        }
    }

    fn tally(&self, window: i64) -> Option<&Tally> {
        [Some(&self.now), self.past.as_ref()].into_iter().flatten().find(|tally| tally.window == window)
    }

    fn put(&mut self, window: i64, change: impl FnOnce(&mut Tally)) {
        let mut tallies = [Some(&mut self.now), self.past.as_mut()].into_iter().flatten();
        if let Some(tally) = tallies.find(|tally| tally.window == window) {
            change(tally);
        }
    }
}

/// Never below zero and never beyond the range: a count that errs does so on the safe side.
const fn sum(count: NanoCny, by: i64) -> NanoCny {
    let sum = count.get().saturating_add(by);
    NanoCny::new(if sum < 0 { 0 } else { sum })
}

#[cfg(test)]
mod tests {
    use jiff::{civil::date, tz::Offset};
    use proptest::prelude::*;

    use super::*;

    fn beijing(text: &str) -> Timestamp {
        let at: jiff::Timestamp = format!("{text}+08:00").parse().unwrap();
        Timestamp(at.as_microsecond())
    }

    #[test]
    fn a_day_and_a_month_begin_at_midnight_in_beijing() {
        for (period, before, after) in [
            (BudgetPeriod::Day, "2026-11-21T23:59:59.999999", "2026-11-22T00:00:00"),
            (BudgetPeriod::Month, "2026-11-30T23:59:59.999999", "2026-12-01T00:00:00"),
            (BudgetPeriod::Month, "2026-12-31T23:59:59.999999", "2027-01-01T00:00:00"),
            (BudgetPeriod::Month, "2028-02-29T23:59:59.999999", "2028-03-01T00:00:00"),
        ] {
            let window = period.window(beijing(before));
            assert_eq!(period.window(beijing(after)), window + 1, "{before}");
            assert_eq!(period.ends(window), Some(beijing(after)), "{before}");
        }
        assert_eq!(BudgetPeriod::Total.window(beijing("2026-11-21T00:00:00")), 0);
        assert_eq!(BudgetPeriod::Total.ends(0), None);
    }

    proptest! {
        #[test]
        fn months_agree_with_the_calendar(day in -700_000..700_000_i64) {
            let at = Timestamp(day * DAY_MICROS + 1);
            let local = Offset::constant(8).to_datetime(jiff::Timestamp::from_microsecond(at.0).unwrap()).date();
            let window = BudgetPeriod::Month.window(at);
            prop_assert_eq!(window, i64::from(local.year()) * 12 + i64::from(local.month()) - 1);
            let next = date(local.year(), local.month(), 1).checked_add(jiff::Span::new().months(1)).unwrap();
            let midnight = Offset::constant(8).to_timestamp(next.at(0, 0, 0, 0)).unwrap();
            prop_assert_eq!(BudgetPeriod::Month.ends(window), Some(Timestamp(midnight.as_microsecond())));
        }
    }

    #[test]
    fn no_instant_is_out_of_range() {
        for at in [i64::MIN, i64::MAX, 0] {
            for period in BudgetPeriod::ALL {
                let _ = period.ends(period.window(Timestamp(at)));
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window_again() {
        let account = AccountId::new(Timestamp(0));
        let (first, second) = (beijing("2026-11-21T12:00:00"), beijing("2026-11-22T12:00:00"));
        let mut budget = Budget::new(account, None, BudgetPeriod::Day, Some(NanoCny::new(10)), first);
        let window = budget.now.window;
        budget.reserve(window, NanoCny::new(4)).unwrap();
        let mut budget = budget.at(second);
        assert_eq!(
            (budget.now.reserved.get(), budget.room(window)),
            (0, 6),
            "the day before is still counted"
        );
        budget.reserve(window + 1, NanoCny::new(10)).unwrap();
        let back = budget.at(first);
        assert_eq!(back, budget);
        assert_eq!(back.share().window, window + 1);
        budget.end(window, NanoCny::new(4), NanoCny::new(3));
        assert_eq!(budget.past.unwrap(), Tally { window, spent: NanoCny::new(3), reserved: NanoCny::ZERO });
        assert_eq!(budget.now.reserved.get(), 10);
    }
}
