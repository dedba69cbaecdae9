//! What keeps orders from being made: altogether, for an account, for an agent, or at a merchant.

use serde::{Deserialize, Serialize};
use units::Timestamp;

use super::{Actor, StrangeNotice, entry::words};

words! {
    /// How far a gate stands open. What comes later here lets less through.
    GateState {
        /// Orders are made.
        Open = "open",
        /// Orders are made with a pause between them.
        Slow = "slow",
        /// No order is made.
        Stopped = "stopped",
    }
}

words! {
    /// What a gate stands before.
    GateScope {
        /// Every order.
        All = "all",
        /// An account's.
        Account = "account",
        /// Those that are asked for with one API key: an agent's.
        Agent = "agent",
        /// Those that a configured merchant would take.
        Merchant = "merchant",
    }
}

/// A gate: one that nobody ever closed has no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Before what.
    pub scope: GateScope,
    /// Which account, agent or merchant; empty before all.
    pub id: String,
    /// How far it is open.
    pub state: GateState,
    /// Why.
    pub why: String,
    /// Who set it.
    pub by: Actor,
    /// Since when.
    pub since: Timestamp,
}

impl Gate {
    /// Its name, under which there is one.
    pub fn name(scope: GateScope, id: &str) -> String {
        format!("{scope}:{id}")
    }
}

/// A wish to set a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateChange {
    /// Before what.
    pub scope: GateScope,
    /// Which; empty before all.
    pub id: String,
    /// How far it shall be open.
    pub state: GateState,
    /// Why.
    pub why: String,
    /// The notification that says so, if one does: remembered once.
    pub event: Option<StrangeNotice>,
}
