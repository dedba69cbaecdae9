//! Whom does a call ask next, and when does it give up?
//!
//! Every target in the plan's order first, each with another key where one was refused or too fast; then again whom it
//! may be worth asking again, after a pause, as long as the route's retries allow; and if nobody could be asked at all,
//! one who is being left alone, rather than nobody.

use std::time::Duration;

use router_config::FailureClass;
use tokio::time::Instant;
use units::Tokens;

use super::{NoKey, Pass, Shut, TargetHealth, budget::Budgets};
use crate::{
    plan::{Candidate, Planned},
    provider::Fault,
};

/// The pause before somebody is asked again; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest of them.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A rest that is over so soon is waited for.
const REST_MAX: Duration = Duration::from_secs(5);
/// Attempts with another key after one was refused do not count as the route's, up to so many: they fail at once, and
/// whoever else serves the model shall still be reached.
const KEYS_MAX: u32 = 8;
/// So many times, the call waits for a rest to be over.
const WAITS_MAX: u32 = 2;

/// What a call does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// After a pause, it asks the candidate at this place.
    Ask(usize, Pass, Duration),
    /// It waits, and sees again.
    Wait(Duration),
    /// It gives up.
    Over,
}

/// How a call has fared with a candidate.
#[derive(Debug, Default, Clone)]
struct Tried {
    times: u32,
    last: Option<FailureClass>,
    /// Keys that will not do for this call.
    keys: Vec<usize>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    planned: &'a Planned,
    health: &'a TargetHealth,
    budgets: &'a Budgets,
    clock: &'a dyn units::Clock,
    deadline: Instant,
    tried: Vec<Tried>,
    attempts: u32,
    /// Attempts that only showed another key.
    keys_shown: u32,
    waits: u32,
    /// The soonest that anybody who was shut may be asked.
    soonest: Option<Duration>,
    /// The same of those who only asked to be left alone for a while.
    rested: Option<Duration>,
    /// The same of those to whom we may send no more for a while.
    full: Option<Duration>,
    over: bool,
}

impl<'a> Turns<'a> {
    pub(super) fn new(
        planned: &'a Planned,
        health: &'a TargetHealth,
        budgets: &'a Budgets,
        clock: &'a dyn units::Clock,
        deadline: Instant,
    ) -> Self {
        let tried = vec![Tried::default(); planned.targets.len()];
        Self {
            planned,
            health,
            budgets,
            clock,
            deadline,
            tried,
            attempts: 0,
            keys_shown: 0,
            waits: 0,
            soonest: None,
            rested: None,
            full: None,
            over: false,
        }
    }

    /// Tokens that the upstream will count for the call: what it sends.
    const fn tokens(&self) -> Tokens {
        self.planned.call.input_estimate
    }

    fn candidate(&self, place: usize) -> Option<(&'a Candidate, &Tried)> {
        Some((self.planned.targets.get(place)?, self.tried.get(place)?))
    }

    fn admit(&mut self, place: usize, last_resort: bool) -> Option<Pass> {
        let (candidate, tried) = self.candidate(place)?;
        match self.health.admit(&candidate.target, self.tokens(), &tried.keys, last_resort) {
            Ok(pass) => Some(pass),
            Err(shut) => {
                self.note(shut);
                None
            }
        }
    }

    fn note(&mut self, shut: Shut) {
        let wait = shut.until().map(|until| until.since(self.clock.now()));
        self.soonest = [self.soonest, wait].into_iter().flatten().min();
        if matches!(shut, Shut::Resting(_) | Shut::Keyless(NoKey::TooFast(_))) {
            self.rested = [self.rested, wait].into_iter().flatten().min();
        }
    }

    fn asks(&mut self, place: usize, pass: Pass, pause: Duration) -> Turn {
        self.attempts += 1;
        if let Some(tried) = self.tried.get_mut(place) {
            tried.times += 1;
        }
        Turn::Ask(place, pass, pause)
    }

    /// What is done next.
    pub(super) fn next(&mut self) -> Turn {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.over || left.is_zero() || self.attempts >= self.planned.route.attempts_max.max(1) {
            return Turn::Over;
        }
        (self.soonest, self.rested) = (None, None);
        if let Some(turn) = self.with_another_key().or_else(|| self.another()) {
            return turn;
        }
        let now = self.clock.now();
        let route = &self.planned.route.model.id;
        if self.attempts > 0 {
            if let Some((place, pass)) = self.again() {
                if self.budgets.retries(route, now) {
                    let pause = pause(self.attempts).min(left);
                    return self.asks(place, pass, pause);
                }
                return Turn::Over;
            }
        } else if let Some((place, pass)) = self.last_resort()
            && self.budgets.retries(route, now)
        {
            return self.asks(place, pass, Duration::ZERO);
        }
        // Somebody who is only asked to be left alone for a moment is worth waiting for.
        match self.rested.filter(|wait| *wait <= REST_MAX && *wait < left && self.waits < WAITS_MAX) {
            Some(wait) if self.budgets.retries(route, now) => {
                self.waits += 1;
                Turn::Wait(wait.max(Duration::from_millis(1)))
            }
            _ => Turn::Over,
        }
    }

    /// Whoever refused a key, or was asked too fast with it, is asked with another.
    fn with_another_key(&mut self) -> Option<Turn> {
        for place in 0..self.tried.len() {
            let last = self.tried.get(place).and_then(|tried| tried.last);
            let (Some(FailureClass::RateLimited | FailureClass::AuthFailed | FailureClass::OutOfFunds), true) =
                (last, self.has_more_keys(place))
            else {
                continue;
            };
            if let Some(pass) = self.admit(place, false) {
                // A key that is refused is no reason to wait; one that is too fast may not be the only one.
                if last == Some(FailureClass::RateLimited) {
                    let pause = pause(self.attempts);
                    return Some(self.asks(place, pass, pause));
                }
                if self.keys_shown < KEYS_MAX {
                    self.keys_shown += 1;
                    return Some(Turn::Ask(place, pass, Duration::ZERO));
                }
                return Some(self.asks(place, pass, Duration::ZERO));
            }
        }
        None
    }

    fn has_more_keys(&self, place: usize) -> bool {
        self.candidate(place)
            .is_some_and(|(candidate, tried)| tried.keys.len() < candidate.target.provider.api_keys.len())
    }

    /// The next that was not asked yet. Nothing is multiplied by asking somebody who is well.
    fn another(&mut self) -> Option<Turn> {
        for place in 0..self.tried.len() {
            if self.tried.get(place).is_some_and(|tried| tried.times == 0)
                && let Some(pass) = self.admit(place, false)
            {
                return Some(self.asks(place, pass, Duration::ZERO));
            }
        }
        None
    }

    /// The one who was asked least, of those who may answer if they are asked again.
    fn again(&mut self) -> Option<(usize, Pass)> {
        let mut places: Vec<usize> = (0..self.tried.len()).collect();
        places.sort_by_key(|place| self.tried.get(*place).map_or(0, |tried| tried.times));
        let may = |tried: &Tried| {
            matches!(
                tried.last,
                Some(
                    FailureClass::ServerError
                        | FailureClass::Unreachable
                        | FailureClass::Malformed
                        | FailureClass::RateLimited
                )
            )
        };
        places.retain(|place| self.tried.get(*place).is_some_and(may));
        for place in places {
            if let Some(tried) =
                self.tried.get_mut(place).filter(|it| it.last == Some(FailureClass::RateLimited))
            {
                tried.keys.clear();
            }
            if let Some(pass) = self.admit(place, false) {
                return Some((place, pass));
            }
        }
        None
    }

    fn last_resort(&mut self) -> Option<(usize, Pass)> {
        let untried = |turns: &Self, place: usize| turns.tried.get(place).is_some_and(|it| it.times == 0);
        (0..self.tried.len())
            .find_map(|place| untried(self, place).then(|| Some((place, self.admit(place, true)?))).flatten())
    }

    /// Somebody who may be asked beside the present one: not asked yet, and well.
    pub(super) fn beside(&mut self) -> Option<(usize, Pass)> {
        if self.attempts >= self.planned.route.attempts_max {
            return None;
        }
        for place in 0..self.tried.len() {
            if self.tried.get(place).is_some_and(|tried| tried.times == 0)
                && let Some(pass) = self.admit(place, false)
                && pass.is_ordinary()
                && let Turn::Ask(place, pass, _) = self.asks(place, pass, Duration::ZERO)
            {
                return Some((place, pass));
            }
        }
        None
    }

    /// The candidate's provider is at a limit of what we send it, for so long: it was not asked, and is not any more.
    pub(super) fn full(&mut self, place: usize, wait: Duration) {
        self.attempts = self.attempts.saturating_sub(1);
        if let Some(tried) = self.tried.get_mut(place) {
            (tried.times, tried.last) = (tried.times.max(1), None);
        }
        self.full = [self.full, Some(wait)].into_iter().flatten().min();
    }

    /// The candidate failed, shown the key at this place.
    pub(super) fn failed(&mut self, place: usize, key: usize, fault: &Fault) {
        let class = fault.class();
        let moves_on = match class {
            Some(class) => self.planned.route.fail_over_on.contains(&class),
            None => fault.may_do_elsewhere,
        };
        self.over |= !moves_on;
        if let Some(tried) = self.tried.get_mut(place) {
            tried.last = class;
            if matches!(
                class,
                Some(FailureClass::RateLimited | FailureClass::AuthFailed | FailureClass::OutOfFunds)
            ) {
                tried.keys.push(key);
            }
        }
    }

    /// Whether whoever failed last is the last that is asked.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// When it may be worth asking again, if nobody could be asked.
    pub(super) fn soonest(&self) -> Option<Duration> {
        [self.soonest, self.full].into_iter().flatten().min()
    }
}

/// The pause before the attempt after so many, with jitter: half of it at least.
fn pause(attempts: u32) -> Duration {
    let longest = PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(6)).min(PAUSE_MAX);
    longest / 2 + Duration::from_micros(fastrand::u64(..=u64::try_from(longest.as_micros() / 2).unwrap_or(0)))
}
