//! What this process has let through.

use std::{collections::HashMap, time::Duration};

use super::{
    claim::{Claim, Subject},
    minute::{Minute, slot},
};
use crate::chat::{Kind, Standing};

/// Below so many minutes nothing is swept.
const SWEPT_FROM: usize = 4_096;

/// Minutes and calls in flight. A subject is remembered for as long as it matters.
#[derive(Debug)]
pub(super) struct Local {
    minutes: HashMap<(Subject, Kind), Minute>,
    /// Nobody is there with none.
    in_flight: HashMap<Subject, u64>,
    /// At so many minutes those are thrown away in which nothing counts any more.
    sweep_at: usize,
}

impl Default for Local {
    fn default() -> Self {
        Self { minutes: HashMap::new(), in_flight: HashMap::new(), sweep_at: SWEPT_FROM }
    }
}

/// One limit stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// Which of the claims.
    pub(super) claim: usize,
    pub(super) standing: Standing,
    /// Until it would be granted; nothing where that cannot be told.
    pub(super) wait: Duration,
}

impl Local {
    /// Takes all claims or none. `nodes` share each limit.
    pub(super) fn take(&mut self, claims: &[Claim], now: u64, nodes: u32) -> Result<Vec<Standing>, Refused> {
        self.may_take(claims, now, nodes)?;
        self.note(claims, now, nodes);
        Ok(claims.iter().map(|claim| self.standing(claim, now, nodes)).collect())
    }

    /// Says whether all claims would be granted; of those that would not, the one that has to wait longest.
    pub(super) fn may_take(&mut self, claims: &[Claim], now: u64, nodes: u32) -> Result<(), Refused> {
        let mut worst: Option<Refused> = None;
        for (i, claim) in claims.iter().enumerate().filter(|(_, claim)| claim.amount > 0) {
            let share = claim.share(nodes);
            let wait = match claim.kind() {
                Kind::Concurrency => {
                    let flying = self.in_flight.get(&claim.whose.0).copied().unwrap_or(0);
                    (flying.saturating_add(claim.amount) > share).then_some(Duration::ZERO)
                }
                Kind::Requests | Kind::Tokens => {
                    let minute = self.minutes.get_mut(&claim.whose);
                    minute.and_then(|minute| minute.wait(now, share, claim.capped(share)))
                }
            };
            if let Some(wait) = wait.filter(|wait| worst.is_none_or(|worst| *wait > worst.wait)) {
                worst = Some(Refused { claim: i, standing: self.standing(claim, now, nodes), wait });
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// Notes what was granted, here or elsewhere.
    pub(super) fn note(&mut self, claims: &[Claim], now: u64, nodes: u32) {
        for claim in claims.iter().filter(|claim| claim.amount > 0) {
            if claim.kind() == Kind::Concurrency {
                *self.in_flight.entry(claim.whose.0.clone()).or_default() += claim.amount;
            } else {
                let amount = claim.capped(claim.share(nodes));
                self.minutes.entry(claim.whose.clone()).or_default().add(now, amount);
            }
        }
        if self.minutes.len() >= self.sweep_at {
            self.minutes.retain(|_, minute| {
                minute.flow(now);
                !minute.is_empty()
            });
            self.sweep_at = (self.minutes.len() * 2).max(SWEPT_FROM);
        }
    }

    /// Where a limit stands. The whole limit is told, and what this process may still take of it.
    pub(super) fn standing(&mut self, claim: &Claim, now: u64, nodes: u32) -> Standing {
        let (limit, share) = (claim.limit, claim.share(nodes));
        if claim.kind() == Kind::Concurrency {
            let flying = self.in_flight.get(&claim.whose.0).copied().unwrap_or(0);
            return Standing { limit, remaining: share.saturating_sub(flying), reset: Duration::ZERO };
        }
        let Some(minute) = self.minutes.get_mut(&claim.whose) else {
            return Standing { limit, remaining: share, reset: Duration::ZERO };
        };
        let remaining = share.saturating_sub(minute.sum(now));
        Standing { limit, remaining, reset: minute.reset(now) }
    }

    /// Puts right what was `taken` at the instant `at`.
    pub(super) fn correct(&mut self, whose: &(Subject, Kind), now: u64, at: u64, taken: u64, used: u64) {
        if used > taken {
            self.minutes.entry(whose.clone()).or_default().correct(now, slot(at), taken, used);
        } else if let Some(minute) = self.minutes.get_mut(whose) {
            minute.correct(now, slot(at), taken, used);
        }
    }

    /// Calls have ended.
    pub(super) fn landed(&mut self, subject: &Subject, calls: u64) {
        if let Some(flying) = self.in_flight.get_mut(subject) {
            *flying = flying.saturating_sub(calls);
            if *flying == 0 {
                self.in_flight.remove(subject);
            }
        }
    }

    /// How much is remembered.
    pub(super) fn len(&self) -> usize {
        self.minutes.len() + self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn claim(name: &str, kind: Kind, limit: u64, amount: u64) -> Claim {
        Claim { whose: (Subject::Model(Arc::from(name)), kind), limit, amount }
    }

    #[test]
    fn one_limit_that_is_reached_leaves_the_others_as_they_were() {
        let mut local = Local::default();
        let wide = claim("wide", Kind::Requests, 10, 1);
        let narrow = claim("narrow", Kind::Tokens, 100, 60);
        let both = [wide.clone(), narrow.clone()];
        assert!(local.take(&both, 0, 1).is_ok());
        let refused = local.take(&both, 0, 1).unwrap_err();
        assert_eq!((refused.claim, refused.standing.remaining), (1, 40));
        assert_eq!(local.standing(&wide, 0, 1).remaining, 9, "the second call took nothing");
        assert_eq!(refused.wait, Duration::from_millis(60_500));
    }

    #[test]
    fn of_several_limits_the_one_that_lasts_longest_is_told() {
        let mut local = Local::default();
        let soon = claim("soon", Kind::Requests, 1, 1);
        let late = claim("late", Kind::Requests, 1, 1);
        local.take(std::slice::from_ref(&soon), 0, 1).unwrap();
        local.take(std::slice::from_ref(&late), 30_000, 1).unwrap();
        let refused = local.take(&[soon, late], 40_000, 1).unwrap_err();
        assert_eq!((refused.claim, refused.wait), (1, Duration::from_millis(50_500)));
    }

    #[test]
    fn a_limit_that_changes_counts_at_once_and_forgets_nothing() {
        let mut local = Local::default();
        let of = |limit| [claim("m", Kind::Requests, limit, 1)];
        for _ in 0..5 {
            local.take(&of(10), 0, 1).unwrap();
        }
        assert_eq!(local.take(&of(5), 0, 1).unwrap_err().standing.remaining, 0);
        assert_eq!(local.take(&of(7), 0, 1).unwrap()[0].remaining, 1, "five were used, this is the sixth");
    }

    #[test]
    fn nodes_that_cannot_count_together_keep_their_share_and_never_nothing() {
        let mut local = Local::default();
        let mut through = 0;
        while local.take(&[claim("m", Kind::Requests, 100, 1)], 0, 3).is_ok() {
            through += 1;
        }
        assert_eq!(through, 33);
        assert!(local.take(&[claim("small", Kind::Concurrency, 2, 1)], 0, 3).is_ok());
        assert!(local.take(&[claim("small", Kind::Concurrency, 2, 1)], 0, 3).is_err());
    }

    #[test]
    fn what_no_longer_matters_is_forgotten() {
        let mut local = Local::default();
        let of = |i: usize| {
            [claim(&i.to_string(), Kind::Requests, 10, 1), claim(&i.to_string(), Kind::Concurrency, 10, 1)]
        };
        for i in 0..3 * SWEPT_FROM {
            let now = u64::try_from(i).unwrap() * 1_000;
            local.take(&of(i), now, 1).unwrap();
            local.landed(&of(i)[0].whose.0, 1);
        }
        assert!(local.len() <= SWEPT_FROM, "{}", local.len());
    }
}
