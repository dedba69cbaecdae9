//! Who rests after a failure? Learnt from the calls themselves; nobody is probed.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
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

#[derive(Debug, Default)]
struct State {
    well_again_at: AtomicI64,
    timeouts: AtomicU32,
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
}
