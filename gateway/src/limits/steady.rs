//! A time that never goes back, made of a clock that may: what was taken a moment ago would otherwise count for as long
//! as the clock was set back.

use std::sync::{Arc, Mutex, PoisonError};

use units::{Clock, Timestamp};

/// Milliseconds on a clock that only goes forward.
#[derive(Debug)]
pub(super) struct Steady {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was said last.
    last: u64,
    /// Milliseconds that the clock has lost by going back.
    lost: u64,
}

impl Steady {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(State { last: 0, lost: 0 }) }
    }

    /// The clock's own time, to be shown.
    pub(super) fn clock(&self) -> Timestamp {
        self.clock.now()
    }

    /// Milliseconds since some instant.
    pub(super) fn millis(&self) -> u64 {
        let shown = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = shown.saturating_add(state.lost);
        if now < state.last {
            state.lost = state.lost.saturating_add(state.last - now);
        } else {
            state.last = now;
        }
        state.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::StillClock;

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let hand = Arc::new(StillClock::at_secs(5_000));
        let steady = Steady::new(hand.clone());
        assert_eq!(steady.millis(), 5_000_000);
        hand.set_secs(1_000);
        assert_eq!(steady.millis(), 5_000_000);
        hand.forward(std::time::Duration::from_millis(7));
        assert_eq!(steady.millis(), 5_000_007);
    }
}
