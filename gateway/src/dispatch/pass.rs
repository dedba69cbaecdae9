//! Leave to ask a target once, with one of its keys; and what came of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use units::Clock;

use super::{
    breaker::Entry,
    health::{Busy, State, key_failed, lock},
    keyring::{KeyPass, Keyring},
};
use crate::provider::{Allowances, Fault};

/// See the module. Dropped without a word, it counts as given up.
#[derive(Debug)]
pub struct Pass {
    busy: Option<Busy>,
    state: Arc<State>,
    ring: Arc<Mutex<Keyring>>,
    key: KeyPass,
    entry: Entry,
    clock: Arc<dyn Clock>,
    told: bool,
}

impl Pass {
    pub(super) fn new(
        busy: Busy,
        state: Arc<State>,
        ring: Arc<Mutex<Keyring>>,
        key: KeyPass,
        entry: Entry,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { busy: Some(busy), state, ring, key, entry, clock, told: false }
    }

    /// The place of its key among the provider's.
    pub const fn key(&self) -> usize {
        self.key.place
    }

    /// Whether its breaker is closed, so that asking multiplies nothing.
    pub fn is_ordinary(&self) -> bool {
        self.entry == Entry::Ordinary
    }

    /// It answered, or began to, after `took`. The target is busy as long as what is given back is kept.
    pub fn answered(
        mut self,
        stream: bool,
        region: Option<&str>,
        took: Duration,
        left: Allowances,
    ) -> Option<Busy> {
        self.told = true;
        let now = self.clock.now();
        // A trial is over with the first word, or nobody else could come until the end of a long answer.
        match self.busy.as_mut().filter(|_| stream && self.entry == Entry::Ordinary) {
            Some(busy) => busy.begins(),
            None => self.state.answered(self.entry, now),
        }
        self.state.paced(stream, region, took, now);
        let mut ring = lock(&self.ring);
        if ring.answered(self.key, self.state.model()) {
            tracing::info!(key = ring.name(self.key.place), "a parked key is taken again");
        }
        ring.told(self.key.place, self.state.model(), left, now);
        drop(ring);
        self.busy.take()
    }

    /// It failed.
    pub fn failed(mut self, fault: &Fault) {
        self.told = true;
        let now = self.clock.now();
        self.state.failed(self.entry, fault, now);
        let mut ring = lock(&self.ring);
        key_failed(&mut ring, self.key, &self.state, fault, now);
        ring.told(self.key.place, self.state.model(), fault.left, now);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.told {
            self.state.left(self.entry);
            lock(&self.ring).left(self.key);
        }
    }
}
