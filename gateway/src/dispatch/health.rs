//! Who may be asked, with which key, and who is fast or busy? Learnt from the calls themselves.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use router_config::{FailureClass, Provider, Target};
use units::{Clock, Timestamp, Tokens};

use super::{
    breaker::{Breaker, Entry, Standing},
    keyring::{KeyPass, KeyState, Keyring, NoKey, Parking},
    pace::Paces,
    pass::Pass,
};
use crate::{plan::Health, provider::Fault};

/// The rest of a target that does not have its model: somebody has to see to it.
const LONG_REST: Duration = Duration::from_secs(60);
/// More targets than any table has; beyond it, everything is forgotten.
const TARGETS_MAX: usize = 10_000;

/// What is known of one target.
#[derive(Debug)]
pub(super) struct State {
    provider: String,
    model: String,
    breaker: Mutex<Breaker>,
    /// Until when it has asked to be left alone.
    rests_until: AtomicI64,
    in_flight: AtomicU32,
    paces: Mutex<Paces>,
}

/// A mutex whose holder may have panicked: what it guards are counts, right or nearly so.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that a target is answering, until this is dropped.
#[derive(Debug)]
pub struct Busy {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    /// Whether it is still open how the answer ends: a stream that begins well may yet break off.
    undecided: bool,
}

impl Busy {
    fn new(state: &Arc<State>, clock: &Arc<dyn Clock>) -> Self {
        state.in_flight.fetch_add(1, Ordering::AcqRel);
        Self { state: Arc::clone(state), clock: Arc::clone(clock), undecided: false }
    }

    /// An answer has begun of which the end decides.
    pub(super) const fn begins(&mut self) {
        self.undecided = true;
    }

    /// Its answer had begun, and broke off.
    pub fn broke_off(mut self) {
        self.undecided = false;
        lock(&self.state.breaker).failed(Entry::Ordinary, false, self.clock.now());
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
        if self.undecided {
            self.state.answered(Entry::Ordinary, self.clock.now());
        }
    }
}

/// Why a target cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// It has asked to be left alone until then.
    Resting(Timestamp),
    /// It has failed too often, and is tried again then; where no time is given, that is being done.
    Open(Option<Timestamp>),
    /// There is no key to show.
    Keyless(NoKey),
}

impl Shut {
    /// In one word, for explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resting(_) => "resting",
            Self::Open(_) => "open",
            Self::Keyless(NoKey::Parked(why)) => why.as_str(),
            Self::Keyless(NoKey::TooFast(_)) => "rate_limited",
            Self::Keyless(NoKey::Tried) => "tried",
        }
    }

    /// When it can, as far as that is known.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Resting(until) | Self::Keyless(NoKey::TooFast(until)) => Some(until),
            Self::Open(until) => until,
            Self::Keyless(NoKey::Parked(_) | NoKey::Tried) => None,
        }
    }
}

/// What is to be told of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// Whose it is.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
    /// How its breaker stands.
    pub standing: Standing,
    /// Until when it has asked to be left alone.
    pub rests_until: Option<Timestamp>,
    /// Calls that it is answering.
    pub in_flight: u32,
    /// The mean time to the first byte of its streams, in microseconds.
    pub first_byte_us: Option<u64>,
}

/// The health of every target, and of every provider's keys, that was ever asked.
#[derive(Debug)]
pub struct TargetHealth {
    /// By provider and what it calls the model: one may serve a model while it rests for another.
    targets: RwLock<HashMap<String, HashMap<String, Arc<State>>>>,
    keys: RwLock<HashMap<String, Arc<Mutex<Keyring>>>>,
    clock: Arc<dyn Clock>,
}

impl TargetHealth {
    /// All well.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { targets: RwLock::default(), keys: RwLock::default(), clock }
    }

    /// What is known of a target, if it was ever asked. Every call looks: nothing is made for it.
    fn known(&self, target: &Target) -> Option<Arc<State>> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(&target.provider.id)?.get(&target.upstream_model).cloned()
    }

    fn state(&self, target: &Target) -> Arc<State> {
        self.known(target).unwrap_or_else(|| {
            let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
            if targets.values().map(HashMap::len).sum::<usize>() >= TARGETS_MAX {
                targets.clear();
            }
            let new = || {
                Arc::new(State {
                    provider: target.provider.id.clone(),
                    model: target.upstream_model.clone(),
                    breaker: Mutex::default(),
                    rests_until: AtomicI64::new(0),
                    in_flight: AtomicU32::new(0),
                    paces: Mutex::default(),
                })
            };
            let of_provider = targets.entry(target.provider.id.clone()).or_default();
            Arc::clone(of_provider.entry(target.upstream_model.clone()).or_insert_with(new))
        })
    }

    fn keyring(&self, provider: &Provider) -> Arc<Mutex<Keyring>> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&provider.id).cloned();
        let ring = known.unwrap_or_else(|| {
            let mut rings = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Mutex::new(Keyring::new(provider)));
            Arc::clone(rings.entry(provider.id.clone()).or_insert_with(new))
        });
        lock(&ring).follow(provider);
        ring
    }

    /// Lets a call of about so many tokens through to a target, with a key that is none of those `tried`. As a last
    /// resort also where it is open.
    ///
    /// # Errors
    /// Why it cannot be asked now.
    pub fn admit(
        &self,
        target: &Target,
        tokens: Tokens,
        tried: &[usize],
        last_resort: bool,
    ) -> Result<Pass, Shut> {
        let (state, now) = (self.state(target), self.clock.now());
        let rests = Timestamp(state.rests_until.load(Ordering::Acquire));
        if now < rests {
            return Err(Shut::Resting(rests));
        }
        let entry = match lock(&state.breaker).enter(now) {
            Ok(entry) => entry,
            Err(_) if last_resort => Entry::LastResort,
            Err(until) => return Err(Shut::Open(until)),
        };
        let ring = self.keyring(&target.provider);
        let picked = lock(&ring).pick(&target.upstream_model, tokens, tried, now);
        match picked {
            Ok(key) => Ok(Pass::new(
                Busy::new(&state, &self.clock),
                state,
                ring,
                key,
                entry,
                Arc::clone(&self.clock),
            )),
            Err(why) => {
                lock(&state.breaker).left(entry);
                Err(Shut::Keyless(why))
            }
        }
    }

    /// As long as nineteen of twenty first bytes have taken lately; `None` where that is not known.
    pub fn slowest_of_twenty(&self, target: &Target, stream: bool) -> Option<Duration> {
        lock(&self.state(target).paces).slowest_of_twenty(stream, self.clock.now())
    }

    /// Whatever rests or is parked is tried with the next call: the file has been read anew, and somebody may have
    /// changed a key or an address.
    pub fn try_all_now(&self) {
        let now = self.clock.now();
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        for state in targets.values().flat_map(HashMap::values) {
            lock(&state.breaker).try_now(now);
        }
        for ring in self.keys.read().unwrap_or_else(PoisonError::into_inner).values() {
            lock(ring).try_now(None, None, now);
        }
    }

    /// Whether a target of this provider rests after failures.
    pub fn is_troubled(&self, provider: &str) -> bool {
        self.targets().iter().any(|target| target.provider == provider && target.standing != Standing::Closed)
    }

    /// The provider answers: its targets that rest after failures are tried with the next call.
    pub fn try_targets_now(&self, provider: &str) {
        let now = self.clock.now();
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        for state in targets.get(provider).into_iter().flat_map(HashMap::values) {
            lock(&state.breaker).try_now(now);
        }
    }

    /// The key at this place, if it is parked for that, is tried with the next call.
    pub fn try_key_now(&self, provider: &str, place: usize, why: Parking) {
        if let Some(ring) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(provider) {
            lock(ring).try_now(Some(place), Some(why), self.clock.now());
        }
    }

    /// Parks the key at this place, or goes on doing so. True if it was not.
    pub fn park(&self, provider: &Provider, place: usize, why: Parking) -> bool {
        lock(&self.keyring(provider)).park(place, why, self.clock.now())
    }

    /// Every target that was ever asked, by name.
    pub fn targets(&self) -> Vec<TargetState> {
        let now = self.clock.now();
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let states: Vec<Arc<State>> = targets.values().flat_map(HashMap::values).cloned().collect();
        drop(targets);
        let mut told: Vec<TargetState> = states.iter().map(|state| state.told(now)).collect();
        told.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
        told
    }

    /// The keys of every provider that was ever asked, by the provider's id.
    pub fn keys(&self) -> Vec<(String, Vec<KeyState>)> {
        let now = self.clock.now();
        let rings = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<_> =
            rings.iter().map(|(provider, ring)| (provider.clone(), lock(ring).states(now))).collect();
        drop(rings);
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        told
    }
}

impl Health for TargetHealth {
    fn trouble(&self, target: &Target) -> Option<&'static str> {
        let now = self.clock.now();
        if let Some(state) = self.known(target) {
            let rests = Timestamp(state.rests_until.load(Ordering::Acquire));
            if now < rests {
                return Some(Shut::Resting(rests).as_str());
            }
            if let Standing::Open(until) = lock(&state.breaker).standing(now) {
                return Some(Shut::Open(until).as_str());
            }
        }
        // A key may be parked for a model that was never asked for here.
        let ring = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&target.provider.id).cloned();
        let ring = ring?;
        let lacks = lock(&ring).lacks(&target.upstream_model, now);
        lacks.map(|why| Shut::Keyless(why).as_str())
    }

    fn first_byte_us(&self, target: &Target, region: Option<&str>) -> Option<u64> {
        let state = self.known(target)?;
        lock(&state.paces).first_byte_us(region, self.clock.now())
    }

    fn in_flight(&self, target: &Target) -> u32 {
        self.known(target).map_or(0, |state| state.in_flight.load(Ordering::Acquire))
    }
}

impl State {
    fn told(&self, now: Timestamp) -> TargetState {
        let rests = Timestamp(self.rests_until.load(Ordering::Acquire));
        TargetState {
            provider: self.provider.clone(),
            model: self.model.clone(),
            standing: lock(&self.breaker).standing(now),
            rests_until: (now < rests).then_some(rests),
            in_flight: self.in_flight.load(Ordering::Acquire),
            first_byte_us: lock(&self.paces).first_byte_us(None, now),
        }
    }

    /// What the provider calls the model.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn answered(&self, entry: Entry, now: Timestamp) {
        let mut breaker = lock(&self.breaker);
        let was = breaker.standing(now);
        breaker.answered(entry, now);
        if was != Standing::Closed && breaker.standing(now) == Standing::Closed {
            tracing::info!(provider = self.provider, model = self.model, "a target is well again");
        }
    }

    pub(super) fn paced(&self, stream: bool, region: Option<&str>, took: Duration, now: Timestamp) {
        lock(&self.paces).add(stream, region, took, now);
    }

    pub(super) fn left(&self, entry: Entry) {
        lock(&self.breaker).left(entry);
    }

    /// What a failure that no key is to blame for means to it.
    pub(super) fn failed(&self, entry: Entry, fault: &Fault, now: Timestamp) {
        let mut breaker = lock(&self.breaker);
        let opens = match fault.class() {
            Some(
                FailureClass::ServerError
                | FailureClass::Unreachable
                | FailureClass::Malformed
                | FailureClass::TimedOut,
            ) => breaker.failed(entry, fault.class() == Some(FailureClass::TimedOut), now),
            Some(FailureClass::ModelMissing) => {
                breaker.open(now, LONG_REST);
                true
            }
            Some(FailureClass::RateLimited | FailureClass::AuthFailed | FailureClass::OutOfFunds) => {
                breaker.left(entry);
                return;
            }
            // Whoever refuses a request is there.
            Some(FailureClass::ContextWindow | FailureClass::ContentFilter) | None => {
                breaker.answered(entry, now);
                return;
            }
        };
        if let Some(wait) = fault.retry_after {
            self.rests_until.fetch_max(now.after(wait).0, Ordering::AcqRel);
        }
        if opens {
            let (provider, model, message) = (&self.provider, &self.model, &fault.message);
            tracing::warn!(
                provider,
                model,
                message,
                "a target failed too often and is left alone for a while"
            );
        }
    }
}

/// What a failure means to the key that was shown.
pub(super) fn key_failed(ring: &mut Keyring, key: KeyPass, state: &State, fault: &Fault, now: Timestamp) {
    let place = key.place;
    let park = |ring: &mut Keyring, why: Parking| {
        if ring.park(place, why, now) {
            let (provider, key, why) = (&state.provider, ring.name(place), why.as_str());
            let all = ring.parked().is_some();
            tracing::error!(provider, key, why, all_parked = all, message = fault.message, "a key is parked");
        }
    };
    match fault.class() {
        Some(FailureClass::RateLimited) => ring.too_fast(place, &state.model, fault.retry_after, now),
        Some(FailureClass::AuthFailed) => park(ring, Parking::Refused),
        Some(FailureClass::OutOfFunds) => park(ring, Parking::OutOfFunds),
        // Whatever else went wrong: the key was taken, or nobody looked at it.
        Some(FailureClass::ContextWindow | FailureClass::ContentFilter) | None => {
            ring.answered(key, &state.model);
        }
        Some(_) => ring.left(key),
    }
}

#[cfg(test)]
mod tests {
    use router_config::RawTables;

    use super::*;
    use crate::clock::StillClock;

    #[test]
    fn a_parked_key_is_trouble_for_a_model_that_was_never_asked_for_too() {
        let text = "[[providers]]\nid = \"p\"\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:1\"\n[[models]]\nid = \"m\"\n\
                    context = 9\noutput_max = 9\n[[routes]]\nmodel = \"m\"\ntargets = [\"p/m\"]\n";
        let table =
            toml::from_str::<RawTables>(text).unwrap().validate().unwrap_or_else(|wrong| panic!("{wrong}"));
        let target = &table.routes["m"].0[0].targets[0];
        let health = TargetHealth::new(Arc::new(StillClock::at_secs(1_000)));
        assert_eq!(health.trouble(target), None);
        assert!(health.park(&target.provider, 0, Parking::OutOfFunds));
        assert_eq!(health.trouble(target), Some("out_of_funds"));
    }
}
