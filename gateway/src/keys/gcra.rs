//! Tokens per minute: a leaky bucket that can be corrected once the true count is known.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::chat::{Reservation, Standing};

/// The period a limit is given for, in nanoseconds: also how much may be taken at once.
const MINUTE: i64 = 60_000_000_000;
/// A bucket owes this much at most, so that one huge answer does not lock a key for hours.
const DEBT_MAX: i64 = MINUTE;

/// A generic cell rate algorithm over integer nanoseconds: `tat` is when the bucket will be empty of debt.
#[derive(Debug)]
pub struct Gcra {
    per_minute: u64,
    tat: AtomicI64,
}

impl Gcra {
    /// A full bucket of `per_minute`, at least one.
    pub const fn new(per_minute: u64) -> Self {
        Self { per_minute: if per_minute == 0 { 1 } else { per_minute }, tat: AtomicI64::new(i64::MIN / 4) }
    }

    /// The limit.
    pub const fn per_minute(&self) -> u64 {
        self.per_minute
    }

    /// How long `amount` takes to come back, rounded up.
    fn cost(&self, amount: u64) -> i64 {
        let nanos = (u128::from(amount) * MINUTE as u128).div_ceil(u128::from(self.per_minute));
        i64::try_from(nanos).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
    }

    fn standing(&self, tat: i64, now: i64) -> Standing {
        let debt = tat.saturating_sub(now).max(0);
        let free = u128::try_from((MINUTE - debt).max(0)).unwrap_or(0);
        let remaining = free * u128::from(self.per_minute) / MINUTE as u128;
        Standing {
            limit: self.per_minute,
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            reset: Duration::from_nanos(debt.unsigned_abs()),
        }
    }

    /// Takes `estimate`, or as much as the bucket can ever hold, or nothing.
    ///
    /// `now` is in nanoseconds on any steady clock.
    ///
    /// # Errors
    /// The time after which the same request will be admitted, and where the bucket stands.
    pub fn take(&self, now: i64, estimate: u64) -> Result<Reservation, (Duration, Standing)> {
        let taken = estimate.min(self.per_minute);
        let cost = self.cost(taken).min(MINUTE);
        let mut tat = self.tat.load(Ordering::Acquire);
        loop {
            let next = tat.max(now).saturating_add(cost);
            let excess = next.saturating_sub(now).saturating_sub(MINUTE);
            if excess > 0 {
                return Err((Duration::from_nanos(excess.unsigned_abs()), self.standing(tat, now)));
            }
            match self.tat.compare_exchange_weak(tat, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Reservation { taken, standing: self.standing(next, now) }),
                Err(seen) => tat = seen,
            }
        }
    }

    /// Corrects what was `taken` to what was `used`: gives back, or takes more than was asked, up to a bounded debt.
    pub fn correct(&self, now: i64, taken: u64, used: u64) {
        let change = self.cost(used).saturating_sub(self.cost(taken).min(MINUTE));
        let correct = |tat: i64| {
            let next = tat.max(now).saturating_add(change);
            Some(next.min(now.saturating_add(MINUTE + DEBT_MAX)))
        };
        let _ = self.tat.fetch_update(Ordering::AcqRel, Ordering::Acquire, correct);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same promise, kept in the plainest way: a level that fills with time. In units of 1/60e9 token.
    struct Bucket {
        level: i128,
        at: i64,
        per_minute: u64,
    }

    impl Bucket {
        fn capacity(&self) -> i128 {
            i128::from(self.per_minute) * i128::from(MINUTE)
        }

        fn flow(&mut self, now: i64) {
            let gained = i128::from(now - self.at) * i128::from(self.per_minute);
            self.level = (self.level + gained).min(self.capacity());
            self.at = now;
        }

        fn take(&mut self, amount: u64) -> bool {
            let amount = i128::from(amount.min(self.per_minute)) * i128::from(MINUTE);
            let fits = self.level >= amount;
            if fits {
                self.level -= amount;
            }
            fits
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u32),
        Take(u64),
        Correct(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..2_000_000_000_u32).prop_map(Step::Wait),
            (0..3_000_u64).prop_map(Step::Take),
            (0..500_u64, 0..500_u64).prop_map(|(taken, used)| Step::Correct(taken, used)),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_bucket(steps in steps(), exponent in 0..4_usize) {
            // Limits that divide a minute, so that no rounding stands between the two.
            let per_minute = [60_u64, 600, 3_000, 1_000_000][exponent];
            let gcra = Gcra::new(per_minute);
            let mut bucket = Bucket { level: 0, at: 0, per_minute };
            bucket.level = bucket.capacity();
            let mut now = 1_i64;
            bucket.at = now;
            for step in steps {
                match step {
                    Step::Wait(nanos) => now += i64::from(nanos),
                    Step::Take(amount) => {
                        bucket.flow(now);
                        let before = bucket.level;
                        let took = gcra.take(now, amount);
                        prop_assert_eq!(took.is_ok(), bucket.take(amount), "level {} at {}", before, now);
                        if let Err((after, standing)) = took {
                            prop_assert!(after <= Duration::from_secs(120) && !after.is_zero());
                            prop_assert!(standing.remaining < amount.max(1));
                        }
                    }
                    Step::Correct(taken, used) => {
                        bucket.flow(now);
                        let (taken, used) = (taken.min(per_minute), used);
                        gcra.correct(now, taken, used);
                        let change = (i128::from(taken) - i128::from(used)) * i128::from(MINUTE);
                        bucket.level = (bucket.level + change).clamp(-bucket.capacity(), bucket.capacity());
                    }
                }
            }
        }
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let gcra = Gcra::new(7);
        gcra.take(0, 7).unwrap();
        let (after, standing) = gcra.take(0, 3).unwrap_err();
        assert_eq!(standing.remaining, 0);
        let later = i64::try_from(after.as_nanos()).unwrap();
        assert!(gcra.take(later - 1, 3).is_err());
        assert_eq!(gcra.take(later, 3).unwrap().taken, 3);
        assert_eq!(Gcra::new(10).take(0, 1_000).unwrap().taken, 10, "more than ever fits takes all there is");
    }
}
