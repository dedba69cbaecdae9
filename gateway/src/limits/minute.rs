//! What was taken within the last minute: the sum over any minute never exceeds what was allowed.
//!
//! Why no leaky bucket: one that holds a whole minute lets twice the limit through in the first minute, and one that holds
//! less slows down everybody who sends a few calls at once. Here what was taken counts until its minute is over, in slots
//! of half a second; a slot counts whole until its last part is a minute old, so a limit is never passed, and 0.8 % of
//! it is lost at most.

use std::{collections::VecDeque, time::Duration};

/// Milliseconds of a slot.
pub(super) const SLOT_MS: u64 = 500;
/// Slots of a minute. The present one counts beside them, since it has only begun.
pub(super) const SLOTS: u64 = 120;

/// The slot of an instant in milliseconds.
pub(super) const fn slot(now: u64) -> u64 {
    now / SLOT_MS
}

/// How long a slot goes on to count.
pub(super) const fn counts_for(slot: u64, now: u64) -> Duration {
    Duration::from_millis(((slot + SLOTS + 1) * SLOT_MS).saturating_sub(now))
}

/// Amounts by the slot they were taken in; slots in which nothing was taken are not there.
#[derive(Debug, Default)]
pub(super) struct Minute {
    slots: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Minute {
    /// Forgets what is over.
    pub(super) fn flow(&mut self, now: u64) {
        while let Some((_, amount)) = self.slots.pop_front_if(|(at, _)| *at + SLOTS < slot(now)) {
            self.sum = self.sum.saturating_sub(amount);
        }
    }

    /// True where nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What counts now.
    pub(super) fn sum(&mut self, now: u64) -> u64 {
        self.flow(now);
        self.sum
    }

    /// Until nothing counts any more.
    pub(super) fn reset(&self, now: u64) -> Duration {
        self.slots.back().map_or(Duration::ZERO, |(at, _)| counts_for(*at, now))
    }

    /// How long to wait until `amount` more stays within `limit`, if that is later than now.
    pub(super) fn wait(&mut self, now: u64, limit: u64, amount: u64) -> Option<Duration> {
        let mut sum = self.sum(now);
        let allowed = limit.saturating_sub(amount);
        if sum <= allowed {
            return None;
        }
        let enough = |(at, freed): &(u64, u64)| {
            sum = sum.saturating_sub(*freed);
            (sum <= allowed).then(|| counts_for(*at, now))
        };
        self.slots.iter().find_map(enough)
    }

    /// Notes that so much was taken now.
    pub(super) fn add(&mut self, now: u64, amount: u64) {
        self.flow(now);
        if amount == 0 {
            return;
        }
        match self.slots.back_mut() {
            Some((at, there)) if *at == slot(now) => *there = there.saturating_add(amount),
            _ => self.slots.push_back((slot(now), amount)),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Puts right what was `taken` in the slot `at`, once it is known what was `used`: what is given back no longer counts,
    /// what was used beyond it counts from now on.
    pub(super) fn correct(&mut self, now: u64, at: u64, taken: u64, used: u64) {
        self.add(now, used.saturating_sub(taken));
        let Ok(place) = self.slots.binary_search_by_key(&at, |(at, _)| *at) else { return };
        let Some((_, there)) = self.slots.get_mut(place) else { return };
        let back = taken.saturating_sub(used).min(*there);
        *there -= back;
        self.sum = self.sum.saturating_sub(back);
        if *there == 0 {
            self.slots.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: u64 = 60_000;

    /// A call that was let through.
    #[derive(Debug, Clone, Copy)]
    struct Through {
        at: u64,
        taken: u64,
        used: Option<u64>,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Take(u64),
        /// The open call with this number ends, having used so many hundredths of what it took.
        End(usize, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (0..5_000_u64).prop_map(Step::Wait),
            1 => (0..70_000_u64).prop_map(Step::Wait),
            6 => (1..400_u64).prop_map(Step::Take),
            4 => (any::<usize>(), 0..=100_u64).prop_map(|(which, used)| Step::End(which, used)),
        ];
        prop::collection::vec(step, 1..300)
    }

    /// The largest sum over any minute: it ends with one of the calls.
    fn largest(calls: &[Through]) -> u64 {
        let within = |end: u64| calls.iter().filter(move |call| call.at <= end && call.at + MINUTE_MS > end);
        calls
            .iter()
            .map(|call| within(call.at).map(|call| call.used.unwrap_or(call.taken)).sum())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn lesson_22_no_minute_passes_its_limit_whatever_is_given_back(steps in steps(), limit in 1..2_000_u64) {
            let (mut minute, mut now, mut calls) = (Minute::default(), 1_000_000_u64, Vec::<Through>::new());
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Take(amount) => {
                        let amount = amount.min(limit);
                        match minute.wait(now, limit, amount) {
                            None => {
                                minute.add(now, amount);
                                calls.push(Through { at: now, taken: amount, used: None });
                            }
                            Some(wait) => {
                                prop_assert!(wait <= Duration::from_millis(MINUTE_MS + SLOT_MS));
                                prop_assert!(!wait.is_zero());
                            }
                        }
                    }
                    Step::End(which, hundredths) => {
                        let open: Vec<usize> = (0..calls.len()).filter(|i| calls[*i].used.is_none()).collect();
                        if !open.is_empty() {
                            let call = &mut calls[open[which % open.len()]];
                            let used = call.taken * hundredths / 100;
                            call.used = Some(used);
                            minute.correct(now, slot(call.at), call.taken, used);
                        }
                    }
                }
                prop_assert!(largest(&calls) <= limit);
                prop_assert_eq!(minute.sum(now), minute.slots.iter().map(|(_, amount)| amount).sum::<u64>());
            }
        }

        #[test]
        fn whoever_always_asks_gets_all_but_one_in_a_hundred(limit in 100..5_000_u64, every in 1..400_u64) {
            let (mut minute, mut through) = (Minute::default(), 0_u64);
            let minutes = 10;
            for now in (0..minutes * MINUTE_MS).step_by(usize::try_from(every).unwrap()) {
                // More than the limit allows is always wanted.
                for _ in 0..=(limit * every).div_ceil(MINUTE_MS) {
                    if minute.wait(now, limit, 1).is_none() {
                        minute.add(now, 1);
                        through += 1;
                    }
                }
            }
            prop_assert!(through * 100 >= limit * minutes * 99, "{} of {}", through, limit * minutes);
            prop_assert!(through <= limit * minutes);
        }
    }

    #[test]
    fn waiting_as_long_as_told_is_enough_and_less_is_not() {
        let mut minute = Minute::default();
        for (at, amount) in [(0, 3), (1_200, 2), (1_300, 2)] {
            assert_eq!(minute.wait(at, 7, amount), None);
            minute.add(at, amount);
        }
        let wait = u64::try_from(minute.wait(2_000, 7, 4).unwrap().as_millis()).unwrap();
        assert!(minute.wait(2_000 + wait - 1, 7, 4).is_some());
        assert_eq!(minute.wait(2_000 + wait, 7, 4), None);
        assert_eq!(minute.reset(2_000 + wait), Duration::ZERO, "both later calls were in one slot");
    }

    #[test]
    fn what_was_used_beyond_the_estimate_counts_from_when_it_is_known() {
        let mut minute = Minute::default();
        minute.add(0, 10);
        minute.correct(30_000, slot(0), 10, 25);
        assert_eq!(minute.sum(30_000), 25);
        assert_eq!(minute.sum(61_000), 15);
        assert_eq!(minute.sum(91_000), 0);
        minute.correct(200_000, slot(0), 10, 2);
        assert_eq!(minute.sum(200_000), 0, "what no longer counts is not given back");
    }
}
