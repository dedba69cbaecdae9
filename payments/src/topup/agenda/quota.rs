//! How often may a merchant be asked about orders?
//!
//! Counted over any minute, second by second. A bucket that fills steadily (`governor`) would let twice as many through in
//! a minute that begins with a full one.

use std::{collections::VecDeque, time::Duration};

use units::Timestamp;

/// Queries of one merchant number in any minute, over all nodes.
pub(super) const QUERIES_PER_MINUTE: u64 = 6_000;
/// What one order takes of them whose payer waits.
const EACH_URGENT: u64 = 12;
const MINUTE: Duration = Duration::from_secs(60);

/// The queries of the last minute, by the second in which they were made.
#[derive(Debug, Default)]
pub(super) struct Quota {
    seconds: VecDeque<(i64, u64)>,
    sum: u64,
}

impl Quota {
    /// Whether one of `nodes` may ask now, which then counts, where so much is kept that each of `urgent` orders can be
    /// asked for as often as it should be.
    pub(super) fn take(&mut self, nodes: u64, urgent: u64, now: Timestamp) -> bool {
        self.forget(now);
        let most = QUERIES_PER_MINUTE / nodes.max(1);
        if self.sum >= most.saturating_sub(urgent.saturating_mul(EACH_URGENT)) {
            return false;
        }
        match self.seconds.back_mut() {
            Some((second, count)) if *second == now.secs() => *count += 1,
            _ => self.seconds.push_back((now.secs(), 1)),
        }
        self.sum += 1;
        true
    }

    fn forget(&mut self, now: Timestamp) {
        // A second counts until all of it is a minute old.
        while let Some((second, count)) = self.seconds.front().copied()
            && second + MINUTE.as_secs().cast_signed() < now.secs()
        {
            self.sum = self.sum.saturating_sub(count);
            self.seconds.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_its_queries_and_whoever_waits_comes_first() {
        let at = |secs: i64| Timestamp::from_secs(1_000 + secs);
        let mut quota = Quota::default();
        // Four hundred wait: they need 4,800 a minute, and the others have what is left.
        let usual = (0..6_000).filter(|n| quota.take(1, 400, at(n / 600))).count();
        assert_eq!(usual, 1_200);
        let urgent = (0..6_000).filter(|n| quota.take(1, 0, at(10 + n / 600))).count();
        assert_eq!(urgent, 4_800);
        assert!(!quota.take(1, 0, at(60)), "the first second still counts");
        assert!(quota.take(1, 0, at(61)));
    }

    #[test]
    fn nodes_share_what_a_merchant_may_be_asked() {
        let mut quota = Quota::default();
        let taken = (0..6_000).filter(|_| quota.take(3, 0, Timestamp::from_secs(7))).count();
        assert_eq!(taken, 2_000);
    }
}
