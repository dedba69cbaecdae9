//! Who rests after a failure, who is fast, and who is busy? Learnt from the calls themselves; nobody is probed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use router_config::Target;
use units::{Clock, Timestamp};

use crate::{chat::AttemptResult, plan::Health, provider::Fault};

/// The rest after a failure that names none.
const REST: Duration = Duration::from_secs(5);
/// The rest of a target that an operator must see to.
const LONG_REST: Duration = Duration::from_secs(60);
/// So many timeouts in a row are no accident.
const TIMEOUTS_MAX: u32 = 2;
/// More targets than any table has; beyond it, everything is forgotten.
const TARGETS_MAX: usize = 10_000;
/// Regions whose paces a target remembers; callers of any other are in none.
const REGIONS_MAX: usize = 16;
/// A pace that nobody has measured for so long is not known any more.
const PACE_MAX_AGE: Duration = Duration::from_secs(300);
/// Of a new measurement, one part in so many counts.
const PACE_PARTS: u64 = 5;

#[derive(Debug, Default)]
struct State {
    well_again_at: AtomicI64,
    timeouts: AtomicU32,
    in_flight: AtomicU32,
    /// By region; an empty name is none.
    paces: Mutex<Vec<Pace>>,
}

/// How long first bytes take: an exponentially weighted mean.
#[derive(Debug)]
struct Pace {
    region: String,
    us: u64,
    at: Timestamp,
}

/// A call that a target is answering, until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The health of every target that was ever asked.
#[derive(Debug)]
pub struct TargetHealth {
    targets: RwLock<HashMap<String, Arc<State>>>,
    clock: Arc<dyn Clock>,
}

/// What a target is called here: a provider may serve one model while it rests for another.
fn name(target: &Target) -> String {
    format!("{}/{}", target.provider.id, target.upstream_model)
}

impl TargetHealth {
    /// All well.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { targets: RwLock::default(), clock }
    }

    fn state(&self, target: &Target) -> Arc<State> {
        let name = name(target);
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        known.unwrap_or_else(|| {
            let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
            if targets.len() >= TARGETS_MAX {
                targets.clear();
            }
            Arc::clone(targets.entry(name).or_default())
        })
    }

    /// It is asked.
    pub fn begins(&self, target: &Target) -> Busy {
        let state = self.state(target);
        state.in_flight.fetch_add(1, Ordering::AcqRel);
        Busy(state)
    }

    /// The first byte of a stream came after `took`, for a caller of this region.
    pub fn paced(&self, target: &Target, region: Option<&str>, took: Duration) {
        let (state, now) = (self.state(target), self.clock.now());
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / PACE_PARTS);
        let mut paces = state.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let known = paces.iter().any(|pace| pace.region == region.unwrap_or_default());
        let region = if known || paces.len() < REGIONS_MAX { region.unwrap_or_default() } else { "" };
        match paces.iter_mut().find(|pace| pace.region == region) {
            Some(pace) if now < pace.at.after(PACE_MAX_AGE) => {
                pace.us = (pace.us / PACE_PARTS * (PACE_PARTS - 1)).saturating_add(us / PACE_PARTS);
                pace.at = now;
            }
            Some(pace) => (pace.us, pace.at) = (us, now),
            None => paces.push(Pace { region: region.to_owned(), us, at: now }),
        }
    }

    /// It answered.
    pub fn answered(&self, target: &Target) {
        let state = self.state(target);
        state.timeouts.store(0, Ordering::Release);
        state.well_again_at.store(0, Ordering::Release);
    }

    /// It did not.
    pub fn failed(&self, target: &Target, fault: &Fault) {
        let state = self.state(target);
        let rest = match fault.result {
            AttemptResult::TimedOut => {
                let timeouts = state.timeouts.fetch_add(1, Ordering::AcqRel) + 1;
                (timeouts >= TIMEOUTS_MAX).then_some(REST)
            }
            AttemptResult::AuthFailed | AttemptResult::OutOfFunds => Some(LONG_REST),
            AttemptResult::Refused if fault.refused.is_none() => Some(LONG_REST),
            AttemptResult::Refused | AttemptResult::Ok => None,
            AttemptResult::RateLimited
            | AttemptResult::ServerError
            | AttemptResult::Unreachable
            | AttemptResult::Malformed => Some(REST),
        };
        if let Some(rest) = rest {
            let until = self.clock.now().after(fault.retry_after.unwrap_or(rest));
            state.well_again_at.fetch_max(until.0, Ordering::AcqRel);
        }
    }
}

impl Health for TargetHealth {
    fn is_well(&self, target: &Target) -> bool {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let at = targets.get(&name(target)).map_or(0, |state| state.well_again_at.load(Ordering::Acquire));
        at == 0 || self.clock.now() >= Timestamp(at)
    }

    fn first_byte_us(&self, target: &Target, region: Option<&str>) -> Option<u64> {
        let state =
            self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&name(target)).cloned()?;
        let paces = state.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |region: &str| paces.iter().find(|pace| pace.region == region);
        let pace = of(region.unwrap_or_default()).or_else(|| of(""))?;
        (self.clock.now() < pace.at.after(PACE_MAX_AGE)).then_some(pace.us)
    }

    fn in_flight(&self, target: &Target) -> u32 {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(&name(target)).map_or(0, |state| state.in_flight.load(Ordering::Acquire))
    }
}
