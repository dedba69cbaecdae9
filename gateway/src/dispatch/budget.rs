//! How often may a call be tried again? So often that an outage is not multiplied.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use units::Timestamp;

use super::window::Window;

/// Over which calls and retries are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Retries that are always allowed in a window: a quiet route has few calls to take a share of.
const RETRIES_MIN: u64 = 10;
/// Of a hundred calls so many may be tried again.
const PERCENT: u64 = 20;

/// The calls and the retries of each route.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<HashMap<String, Budget>>);

#[derive(Debug)]
struct Budget {
    /// Calls, and retries.
    retries: Window,
    /// What calls cost us, and what second attempts beside them do, in nano-yuan.
    hedges: Window,
}

impl Budgets {
    fn with<T>(&self, route: &str, does: impl FnOnce(&mut Budget) -> T) -> T {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match budgets.get_mut(route) {
            Some(budget) => does(budget),
            None => {
                let hedges = Window::new(WINDOW * 60);
                does(
                    budgets
                        .entry(route.to_owned())
                        .or_insert(Budget { retries: Window::new(WINDOW), hedges }),
                )
            }
        }
    }

    /// A call that may cost us so much begins.
    pub(super) fn begins(&self, route: &str, cost: u64, now: Timestamp) {
        self.with(route, |budget| {
            budget.retries.add(now, [1, 0]);
            budget.hedges.add(now, [cost, 0]);
        });
    }

    /// Whether a call may be tried once more; if so, it is counted.
    pub(super) fn retries(&self, route: &str, now: Timestamp) -> bool {
        self.with(route, |budget| {
            let [calls, retries] = budget.retries.sums(now);
            let allowed = retries < RETRIES_MIN + calls * PERCENT / 100;
            if allowed {
                budget.retries.add(now, [0, 1]);
            }
            allowed
        })
    }

    /// Whether a second attempt that costs us so much may be made beside the first, where such attempts may cost
    /// `percent` of what calls do; if so, it is counted.
    pub(super) fn hedges(&self, route: &str, cost: u64, percent: u32, now: Timestamp) -> bool {
        self.with(route, |budget| {
            let [calls, hedges] = budget.hedges.sums(now);
            let allowed =
                u128::from(hedges.saturating_add(cost)) * 100 <= u128::from(calls) * u128::from(percent);
            if allowed {
                budget.hedges.add(now, [0, cost]);
            }
            allowed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_calls_may_be_tried_again_and_a_few_in_any_case() {
        let (budgets, now) = (Budgets::default(), Timestamp::from_secs(1_000));
        let allowed = || (0..1_000).filter(|_| budgets.retries("m", now)).count();
        assert_eq!(allowed(), 10);
        for _ in 0..100 {
            budgets.begins("m", 0, now);
        }
        assert_eq!(allowed(), 20);
        assert!(budgets.retries("other", now), "each route has its own");
        assert!(budgets.retries("m", Timestamp::from_secs(1_010)), "they are forgotten");
    }

    #[test]
    fn second_attempts_cost_no_more_than_their_share() {
        let (budgets, now) = (Budgets::default(), Timestamp::from_secs(1_000));
        budgets.begins("m", 1_000, now);
        assert!(!budgets.hedges("m", 51, 5, now));
        assert!(budgets.hedges("m", 50, 5, now));
        assert!(!budgets.hedges("m", 1, 5, now));
        budgets.begins("m", 1_000, now);
        assert!(budgets.hedges("m", 50, 5, now));
        assert!(!budgets.hedges("m", u64::MAX, 100, now));
    }
}
