//! Guard: may an order be made at all, before WeChat Pay's own risk control says no?
//!
//! Who is offered top-ups at all follows from the account's id. Gates in the books stop orders or put a pause between them: for
//! everybody where too many fail, for an account, an agent or a merchant where too many fail or are given up, or where WeChat Pay
//! warns. What keeps a gate is in the books and holds on every node; only a person opens what was stopped.

mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use units::{AccountId, Clock, Timestamp};

use self::window::{Rate, Window};
use super::Observer;
use crate::{
    ledger::{
        Actor, Body, Command, Gate, GateChange, GateScope, GateState, Order, OrderState, Reply, Role,
        StrangeNotice,
    },
    store::{Store, SubmitError},
};

/// Agents and merchants whose orders are remembered; those that have done nothing for long go first.
const SUBJECTS_MAX: usize = 10_000;

/// Whom top-ups are offered to, and when they are stopped for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// So many per cent of the accounts are offered them.
    pub percent: u8,
    /// More than so many per cent that fail stop them for all.
    pub stop_above_percent: u8,
    /// Those of so long count.
    pub window: Duration,
    /// Fewer orders say nothing.
    pub orders_min: usize,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { percent: 100, stop_above_percent: 50, window: Duration::from_secs(600), orders_min: 20 }
    }
}

/// When somebody's orders are slowed down, and when they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardBounds {
    /// More than so many per cent that fail or are given up put a pause between orders.
    pub slow_above_percent: u8,
    /// More than so many stop them.
    pub stop_above_percent: u8,
    /// Those of so long count.
    pub window: Duration,
    /// Fewer orders say nothing.
    pub orders_min: usize,
    /// The pause.
    pub pause: Duration,
}

impl Default for GuardBounds {
    fn default() -> Self {
        Self {
            slow_above_percent: 60,
            stop_above_percent: 90,
            window: Duration::from_secs(86_400),
            orders_min: 10,
            pause: Duration::from_secs(60),
        }
    }
}

/// Why no order is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardRefusal {
    /// Top-ups are offered to some accounts only, and not to this one.
    #[error("top-ups are not offered to this account yet")]
    NotOffered,
    /// They are stopped.
    #[error("top-ups are stopped ({scope}): {why}")]
    Stopped {
        /// For whom.
        scope: GateScope,
        /// Why.
        why: String,
    },
    /// There is a pause between them, and it is not over.
    #[error("too many orders of late failed or were given up: try again in {} s", after.as_secs())]
    Slow {
        /// When the next may be made.
        after: Duration,
    },
}

/// Looks at every order before it is made, and at what comes of it.
#[derive(Debug)]
pub(super) struct Guard {
    store: Store,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    rollout: Rollout,
    bounds: GuardBounds,
    windows: Mutex<HashMap<String, Window>>,
}

/// Whose order it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    /// Who tops up.
    pub(super) account: AccountId,
    /// The key it is asked for with.
    pub(super) agent: &'a str,
    /// Which merchant would take it.
    pub(super) merchant: &'a str,
}

/// How it went to make an order known to WeChat Pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// It was taken.
    Well,
    /// It was not, or nobody knows.
    Badly,
    /// It was not, because of what whoever asked for it said of the payer. That tells nothing of the merchant or of WeChat Pay,
    /// and one account must not stop all others with it.
    WrongFromTheStart,
}

impl Guard {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let (rollout, bounds) = (Rollout::default(), GuardBounds::default());
        Self { store, clock, observer, rollout, bounds, windows: Mutex::default() }
    }

    pub(super) fn within(self, rollout: Rollout, bounds: GuardBounds) -> Self {
        Self { rollout, bounds, ..self }
    }

    /// Says no where this order may not be made. What the books cannot say is a no as well.
    pub(super) async fn admits(&self, asking: Asking<'_>) -> Result<Result<(), GuardRefusal>, SubmitError> {
        if bucket(asking.account) >= u64::from(self.rollout.percent) {
            return Ok(Err(GuardRefusal::NotOffered));
        }
        let account = asking.account.to_string();
        let subjects = [
            (GateScope::All, ""),
            (GateScope::Merchant, asking.merchant),
            (GateScope::Agent, asking.agent),
            (GateScope::Account, account.as_str()),
        ];
        let names = subjects.iter().map(|(scope, id)| Gate::name(*scope, id)).collect();
        let gates = self.store.gates(names).await?;
        if let Some(stopped) = gates.iter().find(|gate| gate.state == GateState::Stopped) {
            let (scope, why) = (stopped.scope, stopped.why.clone());
            return Ok(Err(GuardRefusal::Stopped { scope, why }));
        }
        let orders = self.store.orders_of(asking.account).await?;
        let own = gates.iter().find(|gate| gate.scope == GateScope::Account);
        let wanted = self.judged(self.rate_of(&orders, own.and_then(opened_at)));
        let own = own.map_or(GateState::Open, |gate| gate.state);
        if wanted.0 > own {
            self.set(GateScope::Account, &account, wanted.clone()).await?;
        }
        if wanted.0 == GateState::Stopped {
            return Ok(Err(GuardRefusal::Stopped { scope: GateScope::Account, why: wanted.1 }));
        }
        let slow = wanted.0 == GateState::Slow || gates.iter().any(|gate| gate.state == GateState::Slow);
        let last = orders.iter().map(|order| order.created_at).max();
        let over = last.map(|last| last.after(self.bounds.pause));
        Ok(match over {
            Some(over) if slow && over > self.clock.now() => {
                Err(GuardRefusal::Slow { after: over.since(self.clock.now()) })
            }
            _ => Ok(()),
        })
    }

    /// An order was made known to WeChat Pay, or was not.
    pub(super) async fn made(&self, asking: Asking<'_>, went: Went) -> Result<(), SubmitError> {
        let now = self.clock.now();
        let gates = self.gates_of(asking).await?;
        let failed = went == Went::Badly;
        if went == Went::WrongFromTheStart {
            return self.judge_one((GateScope::Agent, asking.agent), true, &gates).await;
        }
        let of = |scope| gates.iter().find(|gate: &&Gate| gate.scope == scope);
        let (window, least) = (self.rollout.window, self.rollout.orders_min);
        let all = self.note((GateScope::All, ""), failed, (window, of(GateScope::All)), now);
        if all.is_above(usize::from(self.rollout.stop_above_percent), least)
            && of(GateScope::All).is_none_or(|gate| gate.state != GateState::Stopped)
        {
            let Rate { bad, all } = all;
            let within = window.as_secs();
            let why = format!(
                "{bad} of {all} orders failed within {within} s, more than {} %",
                self.rollout.stop_above_percent
            );
            self.set(GateScope::All, "", (GateState::Stopped, why)).await?;
        }
        self.judge(asking, failed, &gates).await
    }

    /// An order was given up before it was paid.
    pub(super) async fn given_up(&self, asking: Asking<'_>) -> Result<(), SubmitError> {
        let gates = self.gates_of(asking).await?;
        self.judge(asking, true, &gates).await
    }

    async fn gates_of(&self, asking: Asking<'_>) -> Result<Vec<Gate>, SubmitError> {
        let names = vec![
            Gate::name(GateScope::All, ""),
            Gate::name(GateScope::Merchant, asking.merchant),
            Gate::name(GateScope::Agent, asking.agent),
        ];
        self.store.gates(names).await
    }

    /// Counts an order for its agent and its merchant, and sets their gates where too many went wrong.
    async fn judge(&self, asking: Asking<'_>, bad: bool, gates: &[Gate]) -> Result<(), SubmitError> {
        self.judge_one((GateScope::Merchant, asking.merchant), bad, gates).await?;
        self.judge_one((GateScope::Agent, asking.agent), bad, gates).await
    }

    async fn judge_one(
        &self,
        (scope, id): (GateScope, &str),
        bad: bool,
        gates: &[Gate],
    ) -> Result<(), SubmitError> {
        let gate = gates.iter().find(|gate| gate.scope == scope);
        let wanted = self.judged(self.note((scope, id), bad, (self.bounds.window, gate), self.clock.now()));
        if wanted.0 > gate.map_or(GateState::Open, |gate| gate.state) {
            self.set(scope, id, wanted).await?;
        }
        Ok(())
    }

    fn note(
        &self,
        (scope, id): (GateScope, &str),
        bad: bool,
        (within, gate): (Duration, Option<&Gate>),
        now: Timestamp,
    ) -> Rate {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= SUBJECTS_MAX {
            windows.retain(|_, window| window.rate(within, None, now).all > 0);
        }
        let window = windows.entry(Gate::name(scope, id)).or_default();
        window.note(bad, now);
        window.rate(within, gate.and_then(opened_at), now)
    }

    /// What a rate calls for, and the words for it.
    fn judged(&self, rate: Rate) -> (GateState, String) {
        let least = self.bounds.orders_min;
        let state = if rate.is_above(usize::from(self.bounds.stop_above_percent), least) {
            GateState::Stopped
        } else if rate.is_above(usize::from(self.bounds.slow_above_percent), least) {
            GateState::Slow
        } else {
            GateState::Open
        };
        let (Rate { bad, all }, within) = (rate, self.bounds.window.as_secs());
        (state, format!("{bad} of {all} orders failed or were given up within {within} s"))
    }

    /// How many of an account's orders failed or ended without a payment.
    fn rate_of(&self, orders: &[Order], since: Option<Timestamp>) -> Rate {
        let now = self.clock.now();
        let counts = |order: &&Order| {
            now.since(order.created_at) <= self.bounds.window
                && since.is_none_or(|since| order.created_at > since)
        };
        let bad = |order: &&Order| matches!(order.state, OrderState::Closed | OrderState::Failed);
        let counted = orders.iter().filter(counts);
        Rate { bad: counted.clone().filter(bad).count(), all: counted.count() }
    }

    async fn set(
        &self,
        scope: GateScope,
        id: &str,
        (state, why): (GateState, String),
    ) -> Result<(), SubmitError> {
        let change = GateChange { scope, id: id.to_owned(), state, why, event: None };
        self.submit(Actor::system("guard"), format!("guard:{}", self.clock.now().0), change).await.map(drop)
    }

    async fn submit(
        &self,
        actor: Actor,
        key: String,
        change: GateChange,
    ) -> Result<Option<Gate>, SubmitError> {
        let command = Command {
            key: format!("gate:{}:{key}", Gate::name(change.scope, &change.id)),
            actor,
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::SetGate(change),
        };
        let Reply::Gate(gate) = self.store.submit(command).await? else { return Ok(None) };
        self.observer.gate(&gate);
        Ok(Some(*gate))
    }

    /// WeChat Pay warns of somebody: what was not known yet is written down, and the gate is set as far as it may be. True if it
    /// was not known.
    pub(super) async fn warned(&self, change: GateChange, event: StrangeNotice) -> Result<bool, SubmitError> {
        let actor = Actor { id: event.merchant.clone(), role: Role::Channel };
        let key = event.id.clone();
        let change = GateChange { event: Some(event), ..change };
        self.submit(actor, key, change).await.map(|gate| gate.is_some())
    }
}

/// Since when it is open again: what was before counts no more, or it would be closed again at once.
fn opened_at(gate: &Gate) -> Option<Timestamp> {
    (gate.state == GateState::Open).then_some(gate.since)
}

/// Where an account falls among a hundred: always the same, and spread evenly, so that more per cent only add accounts.
fn bucket(account: AccountId) -> u64 {
    let hash = Sha256::digest(account.to_string());
    let first = hash.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    first % 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_fall_evenly_and_always_at_the_same_place() {
        let accounts: Vec<AccountId> = (0..10_000).map(|n| AccountId::new(Timestamp(n))).collect();
        let buckets: Vec<u64> = accounts.iter().map(|account| bucket(*account)).collect();
        assert_eq!(buckets, accounts.iter().map(|account| bucket(*account)).collect::<Vec<_>>());
        for percent in [1, 10, 50, 90] {
            let offered = buckets.iter().filter(|bucket| **bucket < percent).count();
            let expected = usize::try_from(percent).unwrap() * 100;
            assert!(offered.abs_diff(expected) < 250, "{offered} of 10,000 at {percent} %");
        }
        assert!(buckets.iter().all(|bucket| *bucket < 100), "a hundred per cent are all");
    }
}
