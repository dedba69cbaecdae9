//! Is a target broken, and when is it tried again? A circuit breaker: pure, told the time.
//!
//! It opens after three failures in a row, of which a timeout counts for two, or when half of at least ten attempts of the
//! last 30 seconds failed: one failure is an accident. While it is open nobody is sent there. After a rest one call is let through on trial: if it
//! fails, the rest is doubled, up to a minute; if it succeeds, everybody may come, and the next failure opens it again
//! unless there was a success before.

use std::time::Duration;

use units::Timestamp;

use super::window::Window;

/// Failures in a row that are no accident.
const STREAK: u32 = 3;
/// The window over which attempts are counted.
const WINDOW: Duration = Duration::from_secs(30);
/// Of fewer attempts no share is taken.
const ATTEMPTS_MIN: u64 = 10;
/// The first rest.
const REST: Duration = Duration::from_secs(5);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(60);
/// Whoever was well for so long begins with the shortest rest again.
const WELL_FOR: Duration = Duration::from_secs(60);

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Everybody may come.
    Closed,
    /// One may come, on trial.
    HalfOpen,
    /// Nobody may, before the time that is given; while a trial goes on there is none.
    Open(Option<Timestamp>),
}

/// In which way a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Like all others.
    Ordinary,
    /// To see whether the target is well again.
    Trial,
    /// Though it is open: there was nobody else to ask.
    LastResort,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Attempts that were answered, and those that failed.
    attempts: Window,
    streak: u32,
    /// Until when it rests, if it is open.
    rests_until: Option<Timestamp>,
    trial: bool,
    /// Rests without a good while between them.
    rests: u32,
    closed_at: Timestamp,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            attempts: Window::new(WINDOW),
            streak: 0,
            rests_until: None,
            trial: false,
            rests: 0,
            closed_at: Timestamp(i64::MIN),
        }
    }
}

impl Breaker {
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        match self.rests_until {
            None => Standing::Closed,
            Some(_) if self.trial => Standing::Open(None),
            Some(until) if now >= until => Standing::HalfOpen,
            Some(until) => Standing::Open(Some(until)),
        }
    }

    /// Lets a call through, if it may come now.
    ///
    /// # Errors
    /// When the next may.
    pub(super) fn enter(&mut self, now: Timestamp) -> Result<Entry, Option<Timestamp>> {
        match self.standing(now) {
            Standing::Closed => Ok(Entry::Ordinary),
            Standing::HalfOpen => {
                self.trial = true;
                Ok(Entry::Trial)
            }
            Standing::Open(until) => Err(until),
        }
    }

    /// The call was answered, or refused for what it asked: the target is there.
    pub(super) fn answered(&mut self, entry: Entry, now: Timestamp) {
        self.attempts.add(now, [1, 0]);
        match (self.rests_until, entry) {
            (None, _) => self.streak = 0,
            // What set out before it opened says nothing of how it is now.
            (Some(_), Entry::Ordinary) => {}
            (Some(_), Entry::Trial | Entry::LastResort) => {
                (self.rests_until, self.trial) = (None, false);
                (self.streak, self.closed_at) = (STREAK - 1, now);
                self.attempts.clear();
            }
        }
    }

    /// The call failed, perhaps after somebody had waited long for it. True if it opens now, or goes on being open after a
    /// trial.
    pub(super) fn failed(&mut self, entry: Entry, slowly: bool, now: Timestamp) -> bool {
        self.attempts.add(now, [0, 1]);
        match (self.rests_until, entry) {
            (None, _) => {
                self.streak = self.streak.saturating_add(if slowly { 2 } else { 1 });
                let [answered, failed] = self.attempts.sums(now);
                let half = answered + failed >= ATTEMPTS_MIN && failed >= answered;
                let opens = self.streak >= STREAK || half;
                if opens {
                    self.rest(now, None);
                }
                opens
            }
            (Some(_), Entry::Trial) => {
                self.rest(now, None);
                true
            }
            (Some(_), Entry::Ordinary | Entry::LastResort) => false,
        }
    }

    /// The call was given up before anything was known.
    pub(super) fn left(&mut self, entry: Entry) {
        if entry == Entry::Trial {
            self.trial = false;
        }
    }

    /// Opens it for at least so long: somebody has to see to it.
    pub(super) fn open(&mut self, now: Timestamp, rest: Duration) {
        self.rest(now, Some(rest));
    }

    fn rest(&mut self, now: Timestamp, at_least: Option<Duration>) {
        if now.since(self.closed_at) >= WELL_FOR && self.rests_until.is_none() {
            self.rests = 0;
        }
        let doubled = REST.saturating_mul(1 << self.rests.min(6)).min(REST_MAX);
        self.rests = self.rests.saturating_add(1);
        self.rests_until = Some(now.after(at_least.map_or(doubled, |least| least.max(doubled))));
        self.trial = false;
    }

    /// What is to be tried at once: somebody says that it is well, or has changed something.
    pub(super) fn try_now(&mut self, now: Timestamp) {
        if self.rests_until.is_some() {
            self.rests_until = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    fn fails(breaker: &mut Breaker, now: Timestamp) -> bool {
        let entry = breaker.enter(now).unwrap();
        breaker.failed(entry, false, now)
    }

    #[test]
    fn one_failure_is_an_accident_and_three_in_a_row_are_not() {
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            assert!(!fails(&mut breaker, at(0)));
            assert!(!fails(&mut breaker, at(0)));
            breaker.answered(Entry::Ordinary, at(0));
        }
        assert!(!fails(&mut breaker, at(1)));
        assert!(!fails(&mut breaker, at(1)));
        assert!(fails(&mut breaker, at(1)));
        assert_eq!(breaker.standing(at(1)), Standing::Open(Some(at(6))));
    }

    #[test]
    fn somebody_has_waited_for_a_timeout_so_that_two_are_enough() {
        let mut breaker = Breaker::default();
        assert!(!breaker.failed(Entry::Ordinary, true, at(0)));
        assert!(breaker.failed(Entry::Ordinary, true, at(60)));
    }

    #[test]
    fn half_of_the_attempts_of_half_a_minute_open_it_and_old_ones_do_not_count() {
        let mut breaker = Breaker::default();
        for second in 0..4 {
            breaker.answered(Entry::Ordinary, at(second));
            assert!(!fails(&mut breaker, at(second)));
        }
        breaker.answered(Entry::Ordinary, at(40));
        assert!(!fails(&mut breaker, at(40)), "the others are too old");
        for _ in 0..3 {
            breaker.answered(Entry::Ordinary, at(41));
            assert!(!fails(&mut breaker, at(41)));
        }
        breaker.answered(Entry::Ordinary, at(41));
        assert!(fails(&mut breaker, at(41)), "five of ten");
    }

    #[test]
    fn one_call_is_let_through_on_trial_and_the_rest_doubles_while_it_fails() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            fails(&mut breaker, at(0));
        }
        assert_eq!(breaker.enter(at(4)), Err(Some(at(5))));
        assert_eq!(breaker.enter(at(5)), Ok(Entry::Trial));
        assert_eq!(breaker.enter(at(5)), Err(None), "one at a time");
        assert!(breaker.failed(Entry::Trial, true, at(5)));
        assert_eq!(breaker.enter(at(14)), Err(Some(at(15))), "ten seconds now");
        assert_eq!(breaker.enter(at(15)), Ok(Entry::Trial));
        breaker.left(Entry::Trial);
        assert_eq!(breaker.enter(at(15)), Ok(Entry::Trial), "the first was given up");
        breaker.answered(Entry::Trial, at(16));
        assert_eq!(breaker.standing(at(16)), Standing::Closed);
        assert!(fails(&mut breaker, at(17)), "not well yet");
        assert_eq!(breaker.enter(at(30)), Err(Some(at(37))), "and it rests longer than before");
    }

    #[test]
    fn after_a_good_while_it_begins_with_a_short_rest_again() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            fails(&mut breaker, at(0));
        }
        assert_eq!(breaker.enter(at(5)), Ok(Entry::Trial));
        breaker.answered(Entry::Trial, at(5));
        breaker.answered(Entry::Ordinary, at(6));
        for _ in 0..3 {
            fails(&mut breaker, at(70));
        }
        assert_eq!(breaker.standing(at(70)), Standing::Open(Some(at(75))));
    }

    #[test]
    fn what_set_out_before_it_opened_neither_closes_nor_prolongs_it() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            fails(&mut breaker, at(0));
        }
        breaker.answered(Entry::Ordinary, at(1));
        assert!(!breaker.failed(Entry::Ordinary, true, at(2)));
        assert!(!breaker.failed(Entry::LastResort, false, at(3)));
        assert_eq!(breaker.standing(at(4)), Standing::Open(Some(at(5))));
        breaker.answered(Entry::LastResort, at(4));
        assert_eq!(breaker.standing(at(4)), Standing::Closed, "whoever asked all the same found it well");
    }

    #[test]
    fn what_somebody_has_to_see_to_rests_longer_and_can_be_tried_at_once() {
        let mut breaker = Breaker::default();
        breaker.open(at(0), Duration::from_secs(60));
        assert_eq!(breaker.standing(at(59)), Standing::Open(Some(at(60))));
        breaker.try_now(at(10));
        assert_eq!(breaker.standing(at(10)), Standing::HalfOpen);
        let mut well = Breaker::default();
        well.try_now(at(10));
        assert_eq!(well.standing(at(10)), Standing::Closed);
    }
}
