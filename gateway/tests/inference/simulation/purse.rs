//! A till that would notice an overdraft: what is set aside and what is left never sum to more than there was.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use gateway::{
    chat::{Attempt, AttemptResult, Outcome},
    meter::{Hold, HoldAsk, HoldLost, Later, Refusal, Settled},
    plan::ceiling,
};
use units::{NanoCny, RequestId, Usage};

#[derive(Debug)]
pub(crate) struct Purse(Mutex<State>);

#[derive(Debug)]
struct State {
    began_with: i64,
    left: i64,
    held: i64,
    charged: i64,
    open: BTreeSet<RequestId>,
    attempts: Vec<Attempt>,
}

impl Purse {
    pub(crate) fn of(nano: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            began_with: nano,
            left: nano,
            held: 0,
            charged: 0,
            open: BTreeSet::new(),
            attempts: Vec::new(),
        })))
    }

    /// There is so much left, as if the rest had been spent elsewhere.
    pub(crate) fn shrinks_to(&self, nano: i64) {
        let mut state = self.0.lock().unwrap();
        state.began_with -= state.left - nano;
        state.left = nano;
    }

    /// Nothing is held any more, and every fen is where it belongs.
    pub(crate) fn is_whole(&self) {
        let state = self.0.lock().unwrap();
        assert!(state.open.is_empty(), "holds stay open: {:?}", state.open);
        assert_eq!((state.held, state.left + state.charged), (0, state.began_with));
        assert!(state.left >= 0, "overdrawn");
    }

    /// Attempts that were made, by how they went.
    pub(crate) fn attempts(&self, result: AttemptResult) -> usize {
        self.0.lock().unwrap().attempts.iter().filter(|attempt| attempt.result == result).count()
    }

    pub(crate) fn all_attempts(&self) -> usize {
        self.0.lock().unwrap().attempts.len()
    }
}

#[derive(Debug)]
pub(crate) struct Till(pub(crate) Arc<Purse>);

impl gateway::meter::Till for Till {
    fn admit(&self, ask: HoldAsk) -> Later<'_, Result<Box<dyn Hold>, Refusal>> {
        let purse = Arc::clone(&self.0);
        Box::pin(async move {
            let required = ceiling(&ask.quote, ask.input_bound, ask.output_bound).unwrap();
            let mut state = purse.0.lock().unwrap();
            if state.left < required.get() {
                return Err(Refusal::InsufficientFunds { available: NanoCny::new(state.left), required });
            }
            state.left -= required.get();
            state.held += required.get();
            assert!(state.open.insert(ask.request), "a hold was opened twice");
            drop(state);
            Ok(Box::new(Held { purse, amount: required, ask }) as Box<dyn Hold>)
        })
    }
}

#[derive(Debug)]
struct Held {
    purse: Arc<Purse>,
    amount: NanoCny,
    ask: HoldAsk,
}

impl Hold for Held {
    fn durable(&mut self) -> Later<'_, Result<(), HoldLost>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn amount(&self) -> NanoCny {
        self.amount
    }

    fn extend(&mut self, _: Usage) {}

    fn progress(&mut self, _: Usage) {}

    fn settle(self: Box<Self>, outcome: Outcome) -> Settled {
        let usage = outcome.usage.as_ref();
        let cost = usage.map_or(NanoCny::ZERO, |usage| self.ask.quote.rates.charge(usage).unwrap());
        assert!(cost <= self.amount, "{cost} is more than was set aside");
        let mut state = self.purse.0.lock().unwrap();
        assert!(state.open.remove(&self.ask.request), "a hold ended twice");
        state.held -= self.amount.get();
        state.left += self.amount.get() - cost.get();
        state.charged += cost.get();
        state.attempts.extend(outcome.attempts);
        Settled { cost, balance: NanoCny::new(state.left) }
    }
}
