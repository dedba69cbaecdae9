//! What happened lately: two sums over a sliding window of time.

use std::time::Duration;

use units::Timestamp;

/// A window is cut into so many slots; the oldest of them falls out whole.
const SLOTS: usize = 10;

/// Two sums over the last while, a tenth of it more or less.
#[derive(Debug, Clone)]
pub(super) struct Window {
    slot_us: i64,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Which tenth of the window it is, counted from the beginning of time.
    number: i64,
    sums: [u64; 2],
}

impl Window {
    /// Over so long; at least ten microseconds.
    pub(super) fn new(over: Duration) -> Self {
        let us = i64::try_from(over.as_micros()).unwrap_or(i64::MAX);
        Self { slot_us: (us / SLOTS as i64).max(1), slots: [Slot::default(); SLOTS] }
    }

    fn number(&self, now: Timestamp) -> i64 {
        now.0.div_euclid(self.slot_us)
    }

    /// Adds to both sums.
    pub(super) fn add(&mut self, now: Timestamp, more: [u64; 2]) {
        let number = self.number(now);
        let place = usize::try_from(number.rem_euclid(SLOTS as i64)).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(place) else { return };
        if slot.number != number {
            *slot = Slot { number, sums: [0; 2] };
        }
        for (sum, more) in slot.sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Both sums.
    pub(super) fn sums(&self, now: Timestamp) -> [u64; 2] {
        let number = self.number(now);
        let within = |slot: &&Slot| slot.number <= number && slot.number > number - SLOTS as i64;
        self.slots.iter().filter(within).fold([0; 2], |[a, b], slot| {
            let [more, others] = slot.sums;
            [a.saturating_add(more), b.saturating_add(others)]
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.slots = [Slot::default(); SLOTS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::new(Duration::from_secs(10));
        let at = Timestamp::from_secs;
        window.add(at(100), [1, 0]);
        window.add(at(105), [2, 5]);
        assert_eq!(window.sums(at(109)), [3, 5]);
        assert_eq!(window.sums(at(110)), [2, 5], "the first second has fallen out");
        window.add(at(110), [7, 0]);
        assert_eq!(window.sums(at(110)), [9, 5], "and its place is taken");
        assert_eq!(window.sums(at(90)), [0, 0], "a clock that goes backwards sees nothing of the future");
        assert_eq!(window.sums(at(1_000)), [0, 0]);
        window.clear();
        assert_eq!(window.sums(at(110)), [0, 0]);
    }
}
