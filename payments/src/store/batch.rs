//! One batch: commands in order, each seeing what the ones before it changed.

use std::collections::{BTreeMap, HashMap};

use units::AccountId;

use crate::ledger::{Asset, Command, Refusal, Reply, RowOp, Rows, decide};

/// What a command led to: its reply, or its refusal.
pub type Outcome = Result<Reply, Refusal>;

/// A command's earlier outcome, as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Hash of what was asked.
    pub payload_hash: [u8; 32],
    /// What was answered.
    pub outcome: Outcome,
}

/// What one command did within its batch.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Its outcome.
    pub outcome: Outcome,
    /// How each balance's available amount moved.
    pub moved: Vec<(AccountId, Asset, i64)>,
    /// To be remembered under the command's key, if it was new and its rows do not remember it themselves.
    pub remember: Option<Remembered>,
    /// The rows it changed.
    pub ops: Vec<RowOp>,
}

/// Decides `commands` in order on top of `rows`. `known` holds the outcomes of keys used before, and learns the new.
pub fn apply(
    rows: &mut Rows,
    known: &mut HashMap<String, Remembered>,
    commands: &[&Command],
) -> Vec<Applied> {
    commands.iter().map(|command| apply_one(rows, known, command)).collect()
}

fn apply_one(rows: &mut Rows, known: &mut HashMap<String, Remembered>, command: &Command) -> Applied {
    let silent = |outcome| Applied { outcome, moved: Vec::new(), remember: None, ops: Vec::new() };
    let keyed = !command.remembered_by_its_row();
    let payload_hash = if keyed { command.payload_hash() } else { [0; 32] };
    if let Some(earlier) = known.get(&command.key).filter(|_| keyed) {
        let same = earlier.payload_hash == payload_hash;
        return silent(if same { earlier.outcome.clone() } else { Err(Refusal::KeyReused) });
    }
    let decided = decide(rows, command);
    let outcome = decided.as_ref().map(|decision| decision.reply.clone()).map_err(Clone::clone);
    let ops = decided.map(|decision| decision.ops).unwrap_or_default();
    let moved = moved(rows, &ops);
    for op in &ops {
        rows.put(op);
    }
    let settled = outcome.as_ref().err().is_none_or(Refusal::settles_the_key);
    let remember = (keyed && settled).then(|| Remembered { payload_hash, outcome: outcome.clone() });
    if let Some(remembered) = &remember {
        known.insert(command.key.clone(), remembered.clone());
    }
    Applied { outcome, moved, remember, ops }
}

/// How far each balance's available amount moves by `ops`.
fn moved(rows: &Rows, ops: &[RowOp]) -> Vec<(AccountId, Asset, i64)> {
    let mut after: BTreeMap<(AccountId, &Asset), i64> = BTreeMap::new();
    for op in ops {
        if let RowOp::Wallet(wallet) = op {
            after.insert((wallet.account, &wallet.asset), wallet.available());
        }
    }
    let difference = |((account, asset), available): ((AccountId, &Asset), i64)| {
        (account, asset.clone(), available - rows.wallet(account, asset).available())
    };
    after.into_iter().map(difference).collect()
}
