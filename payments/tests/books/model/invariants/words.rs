//! What is said twice, and what is refused: 21 and 22.

use payments::ledger::{Body, Refusal, RowOp};

use super::holds;
use crate::model::world::{Said, World};

/// A command that comes again, at once or later, moves nothing and is answered as before; its key with another content
/// is refused.
pub fn n21_a_repeat_changes_nothing(world: &World) -> Result<(), String> {
    let last = world.last();
    let moves = |op: &RowOp| matches!(op, RowOp::Entry(_) | RowOp::Wallet(_) | RowOp::Held(_));
    let money = |ops: &[RowOp]| ops.iter().any(moves);
    let by_row = last.command.remembered_by_its_row();
    if let Some(repeated) = &world.repeated {
        holds(!money(&repeated.ops), || format!("said again it moved {:?}", repeated.ops))?;
        if !by_row {
            holds(repeated.ops.is_empty() && repeated.again == last.outcome, || {
                format!("said again it was answered {:?} and wrote {:?}", repeated.again, repeated.ops)
            })?;
        }
        let refused = repeated.otherwise.as_ref().is_none_or(|answer| *answer == Err(Refusal::KeyReused));
        holds(refused, || format!("the key with another content was answered {:?}", repeated.otherwise))?;
    }
    // A bonus is swept whenever there is something to sweep.
    if matches!(last.command.body, Body::SweepBonus { .. }) {
        return Ok(());
    }
    let (_, earlier) = world.log.split_last().ok_or("nothing was said")?;
    // What ends names how much of it ended before: where calls held all of it, nothing did, and it may end later.
    let waits = |said: &Said| matches!(said.command.body, Body::ExpireLot { .. }) && !money(&said.ops);
    let same = earlier.iter().find(|said| {
        said.outcome.is_ok()
            && said.command.key == last.command.key
            && said.command.body == last.command.body
            && !waits(said)
    });
    let Some(same) = same else { return Ok(()) };
    holds(!money(&last.ops), || format!("said before, and now it moved {:?}", last.ops))?;
    if by_row {
        return Ok(());
    }
    let answered = last.ops.is_empty() && last.outcome == same.outcome;
    holds(answered, || format!("first answered {:?}, then {:?}", same.outcome, last.outcome))
}

/// A refusal leaves every row, every line and every version as they were.
pub fn n22_a_refusal_changes_nothing(world: &World) -> Result<(), String> {
    let last = world.last();
    if last.outcome.is_ok() {
        return Ok(());
    }
    let still = last.ops.is_empty() && world.lines().is_empty() && world.rows == world.before;
    holds(still, || format!("{:?} left {:?}", last.outcome, last.ops))
}
