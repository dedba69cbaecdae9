//! How many of the last orders went wrong?

use std::{collections::VecDeque, time::Duration};

use units::Timestamp;

/// More than these are not remembered: they say enough.
const EVENTS_MAX: usize = 10_000;

/// What came of the orders of some time, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    events: VecDeque<(Timestamp, bool)>,
    bad: usize,
}

impl Window {
    /// One more, and whether it went wrong.
    pub(super) fn note(&mut self, bad: bool, now: Timestamp) {
        if self.events.len() == EVENTS_MAX {
            self.forget_one();
        }
        self.events.push_back((now, bad));
        self.bad += usize::from(bad);
    }

    /// How many went wrong, and of how many, in the last `within` and after `since`.
    pub(super) fn rate(&mut self, within: Duration, since: Option<Timestamp>, now: Timestamp) -> Rate {
        let old = |at: Timestamp| now.since(at) > within || since.is_some_and(|since| at <= since);
        while self.events.front().is_some_and(|(at, _)| old(*at)) {
            self.forget_one();
        }
        Rate { bad: self.bad, all: self.events.len() }
    }

    fn forget_one(&mut self) {
        if let Some((_, bad)) = self.events.pop_front() {
            self.bad -= usize::from(bad);
        }
    }
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) bad: usize,
    pub(super) all: usize,
}

impl Rate {
    /// True where there are enough to say anything, and more than so many per cent went wrong.
    pub(super) const fn is_above(self, percent: usize, least: usize) -> bool {
        self.all >= least && self.bad * 100 > percent * self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(secs: i64) -> Timestamp {
        Timestamp(secs * 1_000_000)
    }

    #[test]
    fn only_the_last_minute_and_what_came_after_the_gate_was_set_counts() {
        let mut window = Window::default();
        for secs in 0..100 {
            window.note(secs % 2 == 0, at(secs));
        }
        assert_eq!(window.rate(MINUTE, None, at(100)), Rate { bad: 30, all: 60 });
        assert_eq!(window.rate(MINUTE, Some(at(89)), at(100)), Rate { bad: 5, all: 10 });
        assert_eq!(window.rate(MINUTE, None, at(1_000)), Rate { bad: 0, all: 0 });
    }

    #[test]
    fn a_few_orders_say_nothing_and_the_bound_itself_is_not_above_it() {
        assert!(!Rate { bad: 9, all: 9 }.is_above(50, 10));
        assert!(!Rate { bad: 5, all: 10 }.is_above(50, 10));
        assert!(Rate { bad: 6, all: 10 }.is_above(50, 10));
        assert!(!Rate { bad: 10, all: 10 }.is_above(100, 10), "a hundred per cent never stops");
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let mut window = Window::default();
        for _ in 0..EVENTS_MAX + 50 {
            window.note(true, at(1));
        }
        assert_eq!(window.rate(MINUTE, None, at(1)), Rate { bad: EVENTS_MAX, all: EVENTS_MAX });
    }
}
