//! When is each call meant to leave? An open loop: whoever is slow to answer does not slow the asking.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// `calls` calls at a constant `rate` per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    rate: u32,
    calls: u64,
}

impl Schedule {
    /// A rate of 0 is taken for 1.
    pub(crate) fn new(rate: u32, calls: u64) -> Self {
        Self { rate: rate.max(1), calls }
    }

    /// The parts of `seconds` at `rate`, as even as whole calls allow; together they lose none.
    pub(crate) fn slices(rate: u32, seconds: u32, slices: u32) -> Vec<Self> {
        let all = u64::from(rate.max(1)) * u64::from(seconds);
        let slices = u64::from(slices.max(1));
        (0..slices).map(|i| Self::new(rate, all * (i + 1) / slices - all * i / slices)).collect()
    }

    /// How many.
    pub(crate) fn calls(self) -> u64 {
        self.calls
    }

    /// When call `index` is meant to leave, counted from the start; reckoned from the start each time, so that rounding
    /// does not add up.
    pub(crate) fn intended(self, index: u64) -> Duration {
        let nanos = u128::from(index) * NANOS_PER_SECOND / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// From the start to where the next call would have left.
    pub(crate) fn length(self) -> Duration {
        self.intended(self.calls)
    }

    /// Calls `fire` for each call at its time, and at once for those that are late: none is left out. Blocks, for the
    /// kernel's timer is finer than the runtime's.
    pub(crate) fn pace(self, start: Instant, halt: &AtomicBool, mut fire: impl FnMut(u64, Instant)) {
        for index in 0..self.calls {
            let due = start + self.intended(index);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            if halt.load(Ordering::Relaxed) {
                return;
            }
            fire(index, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intended_times_stand_on_a_grid_that_does_not_drift() {
        let schedule = Schedule::new(200, 1_000);
        assert_eq!(schedule.intended(0), Duration::ZERO);
        assert_eq!(schedule.intended(1), Duration::from_millis(5));
        assert_eq!(schedule.intended(999), Duration::from_millis(4_995));
        assert_eq!(schedule.length(), Duration::from_secs(5));
        // A third of a second cannot be written in nanoseconds; the error stays below one all the same.
        let thirds = Schedule::new(3, 3_000_000);
        assert_eq!(thirds.intended(1), Duration::from_nanos(333_333_333));
        assert_eq!(thirds.intended(3_000_000), Duration::from_secs(1_000_000));
    }

    #[test]
    fn slices_lose_no_call() {
        let slices = Schedule::slices(7, 3, 4);
        assert_eq!(slices.iter().map(|slice| slice.calls()).collect::<Vec<_>>(), [5, 5, 5, 6]);
        assert_eq!(Schedule::slices(200, 10, 4), [Schedule::new(200, 500); 4]);
        assert_eq!(Schedule::slices(200, 0, 1), [Schedule::new(200, 0)]);
    }

    #[test]
    fn who_is_late_catches_up_and_still_names_the_intended_time() {
        let schedule = Schedule::new(1_000, 50);
        let Some(start) = Instant::now().checked_sub(Duration::from_secs(1)) else { return };
        let mut fired = Vec::new();
        schedule.pace(start, &AtomicBool::new(false), |index, due| fired.push((index, due - start)));
        let meant: Vec<_> = (0..50).map(|index| (index, Duration::from_millis(index))).collect();
        assert_eq!(fired, meant);
    }

    #[test]
    fn halted_it_fires_no_more() {
        let halt = AtomicBool::new(false);
        let mut fired = 0;
        Schedule::new(1_000_000, 10).pace(Instant::now(), &halt, |index, _| {
            fired += 1;
            halt.store(index == 2, Ordering::Relaxed);
        });
        assert_eq!(fired, 3);
    }
}
