//! What is the next number? The day and the second come from the clock and the tail from chance, so that a simulator
//! which was started again never gives out a number of its former life.
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::clock::beijing_digits;
use crate::random;

const SECOND: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// Beijing is this far ahead of UTC, seconds.
const BEIJING_S: i64 = 8 * 3_600;

/// The numbers of transactions and refunds that this simulator has given out, for all merchants together.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    taken: Mutex<HashSet<String>>,
}

impl Numbers {
    /// A number that nobody has had: `4200002815`, the day, the second of the day, and five digits of chance.
    pub(super) fn transaction(&self, now: i64) -> String {
        self.fresh("4200002815", now)
    }

    /// The same for a refund.
    pub(super) fn refund(&self, now: i64) -> String {
        self.fresh("50300002042", now)
    }

    fn fresh(&self, prefix: &str, now: i64) -> String {
        let day = beijing_digits(now);
        let second = (now.div_euclid(SECOND) + BEIJING_S).rem_euclid(DAY_S);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let number = format!("{prefix}{}{second:05}{}", &day[..8], random::digits(5));
            if taken.insert(number.clone()) {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lives_of_a_simulator_do_not_share_numbers() {
        let now = 1_760_000_000 * SECOND;
        let (first, second) = (Numbers::default(), Numbers::default());
        let lives = [(&first, now), (&second, now + SECOND)];
        let all: HashSet<String> =
            lives.iter().flat_map(|(life, at)| (0..1_000).map(|_| life.transaction(*at))).collect();
        assert_eq!(all.len(), 2_000);
        assert!(all.iter().all(|number| number.len() == 28 && number.starts_with("420000281520251009")));
        assert_eq!(first.refund(now).len(), 29);
    }
}
