//! Setting a gate. Anybody of ours makes it narrower; wider only who made it narrow, and a person.

use super::{
    Draft, Refusal, Reply,
    check::{invalid, text},
};
use crate::ledger::{Gate, GateChange, GateScope, GateState, Role, RowOp};

/// Ids are at most this long.
const ID_MAX: usize = 100;

impl Draft<'_> {
    pub(super) fn set_gate(&mut self, change: &GateChange) -> Result<Reply, Refusal> {
        let GateChange { scope, id, state, why, event } = change;
        let by = self.command.actor.clone();
        match by.role {
            Role::Customer => return Err(Refusal::NeedsOperator),
            Role::Operator => drop(self.staff_with_reason()?),
            Role::System | Role::Channel => {}
        }
        text("reason", why)?;
        if (*scope == GateScope::All) != id.is_empty() {
            return Err(invalid("id", "one is named, unless it is before all"));
        }
        if id.len() > ID_MAX || id.chars().any(char::is_control) {
            return Err(invalid("id", "at most 100 bytes, without control characters"));
        }
        if let Some(event) = event {
            if self.rows.notices.contains_key(&event.id) {
                return Ok(Reply::Already);
            }
            self.file_strange(event)?;
        }
        let name = Gate::name(*scope, id);
        let before = self.rows.gates.get(&name);
        let was = before.map_or(GateState::Open, |gate| gate.state);
        let theirs = before.is_some_and(|gate| gate.by.role == by.role);
        let allowed = *state > was || (*state < was && (theirs || by.role == Role::Operator));
        if !allowed {
            return Ok(Reply::Already);
        }
        let (id, why, since) = (id.clone(), why.clone(), self.command.at);
        let gate = Gate { scope: *scope, id, state: *state, why, by, since };
        self.ops.push(RowOp::Gate(Box::new(gate.clone())));
        Ok(Reply::Gate(Box::new(gate)))
    }
}
