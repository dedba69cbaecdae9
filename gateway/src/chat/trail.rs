//! What was tried for a call so far: written while it runs, readable at any moment, also when the client is gone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Attempt, AttemptResult};

/// The attempts of one call. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    attempts: Vec<Attempt>,
    sent: bool,
    closing_stops_cost: bool,
    waited: Duration,
    abandoned: bool,
}

impl Trail {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins at a provider that stops (or does not stop) to bill when the connection is closed.
    pub fn begins(&self, closing_stops_cost: bool) {
        let mut state = self.state();
        state.sent = false;
        state.closing_stops_cost = closing_stops_cost;
    }

    /// Another attempt begins beside the present one, at a provider that stops (or does not stop) to bill when the
    /// connection is closed. Hanging up ends the cost only where it does at both.
    pub fn begins_beside(&self, closing_stops_cost: bool) {
        let mut state = self.state();
        state.closing_stops_cost &= closing_stops_cost;
    }

    /// Time was spent waiting, for an upstream or before it is asked again.
    pub fn waits(&self, time: Duration) {
        let mut state = self.state();
        state.waited = state.waited.saturating_add(time);
    }

    /// The present attempt's request is on the wire: from now on it may cost something.
    pub fn sent(&self) {
        self.state().sent = true;
    }

    /// An attempt is over, or its answer has begun.
    pub fn ends(&self, attempt: Attempt) {
        let mut state = self.state();
        match attempt.result {
            AttemptResult::Ok => state.sent = true,
            // What was not waited for is written down after what was taken.
            AttemptResult::Outpaced => {}
            _ => state.sent = false, // what a failed attempt cost is ours
        }
        state.attempts.push(attempt);
    }

    /// The attempt that answered broke off before its end.
    pub fn broke_off(&self) {
        let mut state = self.state();
        if let Some(last) = state.attempts.iter_mut().rfind(|attempt| attempt.result == AttemptResult::Ok) {
            last.result = AttemptResult::BrokeOff;
        }
    }

    /// Whether the present attempt may have cost something.
    pub fn was_sent(&self) -> bool {
        self.state().sent
    }

    /// Whether hanging up on the present attempt's provider ends the cost.
    pub fn closing_stops_cost(&self) -> bool {
        self.state().closing_stops_cost
    }

    /// The client is gone: the present attempt may come to its end, but no other is to begin.
    pub fn abandon(&self) {
        self.state().abandoned = true;
    }

    /// Whether the client is gone.
    pub fn is_abandoned(&self) -> bool {
        self.state().abandoned
    }

    /// Time spent waiting for upstreams.
    pub fn waited(&self) -> Duration {
        self.state().waited
    }

    /// All attempts, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.state().attempts.clone()
    }

    /// How many attempts there were.
    pub fn len(&self) -> usize {
        self.state().attempts.len()
    }

    /// Whether nothing was tried.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
