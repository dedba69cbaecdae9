//! One batch: commands in order, each seeing what the ones before it changed.

use std::collections::{BTreeMap, HashMap};

use units::{AccountId, Timestamp};

use crate::ledger::{Asset, Command, Decision, Entry, Refusal, Reply, RowOp, Rows, Wallet, decide};

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
    /// To be remembered under the command's key, if it was new and its rows do not remember it themselves.
    pub remember: Option<Remembered>,
    /// The rows it changed.
    pub ops: Vec<RowOp>,
}

/// Decides `commands` in order on top of `rows`. `known` holds the outcomes of keys used before, and learns the new.
/// No line of the journal is written at an earlier instant than `floor`, whatever a clock says.
pub fn apply(
    rows: &mut Rows,
    known: &mut HashMap<String, Remembered>,
    commands: &[&Command],
    floor: Timestamp,
) -> Vec<Applied> {
    let mut floor = floor;
    let one = |command: &&Command| {
        let applied = apply_one(rows, known, command, floor);
        for op in &applied.ops {
            if let RowOp::Entry(entry) = op {
                floor = floor.max(entry.at);
            }
        }
        applied
    };
    commands.iter().map(one).collect()
}

fn apply_one(
    rows: &mut Rows,
    known: &mut HashMap<String, Remembered>,
    command: &Command,
    floor: Timestamp,
) -> Applied {
    let silent = |outcome| Applied { outcome, remember: None, ops: Vec::new() };
    let keyed = !command.remembered_by_its_row();
    let payload_hash = if keyed { command.payload_hash() } else { [0; 32] };
    if let Some(earlier) = known.get(&command.key).filter(|_| keyed) {
        let same = earlier.payload_hash == payload_hash;
        return silent(if same { earlier.outcome.clone() } else { Err(Refusal::KeyReused) });
    }
    let decided = decide(rows, command).and_then(|decision| add_up(rows, decision, floor));
    let outcome = decided.as_ref().map(|decision| decision.reply.clone()).map_err(Clone::clone);
    if let Err(refusal @ Refusal::DoesNotAddUp(_)) = &outcome {
        tracing::error!(key = command.key, %refusal, "a decision was turned away: this is a mistake in the program");
    }
    let ops = decided.map(|decision| decision.ops).unwrap_or_default();
    for op in &ops {
        rows.put(op);
    }
    let settled = outcome.as_ref().err().is_none_or(Refusal::settles_the_key);
    let remember = (keyed && settled).then(|| Remembered { payload_hash, outcome: outcome.clone() });
    if let Some(remembered) = &remember {
        known.insert(command.key.clone(), remembered.clone());
    }
    Applied { outcome, remember, ops }
}

/// Numbers the decision's lines of the journal, says what the balance came to after each, and turns away a decision
/// whose lines do not lead to the balances it wants to write, or that promises more than there is. A balance that would be
/// written as it stands needs no writing: opening a hold changes no more than what is held, which the hold's own row says.
/// One without a row gets its first.
fn add_up(rows: &Rows, mut decision: Decision, floor: Timestamp) -> Result<Decision, Refusal> {
    let mut wallets: BTreeMap<(AccountId, Asset), Wallet> = BTreeMap::new();
    for op in &mut decision.ops {
        let RowOp::Entry(entry) = op else { continue };
        entry.at = entry.at.max(floor);
        let Some(account) = entry.account else { continue };
        let key = (account, entry.asset.clone());
        let wallet = wallets.entry(key).or_insert_with_key(|(account, asset)| rows.wallet(*account, asset));
        line(wallet, entry).ok_or(Refusal::OutOfRange)?;
    }
    for op in &mut decision.ops {
        let RowOp::Wallet(written) = op else { continue };
        let key = (written.account, written.asset.clone());
        let reckoned = wallets.entry(key).or_insert_with_key(|(account, asset)| rows.wallet(*account, asset));
        written.lines = reckoned.lines;
        written.moved_at = reckoned.moved_at;
        // The last writing of a balance counts: what the journal says is compared with it below.
        reckoned.held = written.held;
    }
    for ((account, asset), reckoned) in wallets {
        let own = |op: &&RowOp| matches!(op, RowOp::Wallet(wallet) if wallet.account == account && wallet.asset == asset);
        match decision.ops.iter().rev().find(own) {
            Some(RowOp::Wallet(written)) if written.posted != reckoned.posted => {
                return Err(Refusal::DoesNotAddUp(format!(
                    "the journal leaves {} of {asset} with {account}, the balance says {}",
                    reckoned.posted, written.posted
                )));
            }
            Some(RowOp::Wallet(written)) if !(0..=written.posted).contains(&written.held) => {
                return Err(Refusal::DoesNotAddUp(format!(
                    "of {} {asset} of {account} it holds {}",
                    written.posted, written.held
                )));
            }
            Some(_) => {}
            None if reckoned.posted != rows.wallet(account, &asset).posted => {
                return Err(Refusal::DoesNotAddUp(format!("{asset} of {account} moves without its balance")));
            }
            None => decision.ops.push(RowOp::Wallet(reckoned.clone())),
        }
        if rows.wallet_row(account, &asset).is_some_and(|row| row.stands_as(&reckoned)) {
            for op in decision.ops.iter_mut().filter(|op| own(&&**op)) {
                if let RowOp::Wallet(written) = op {
                    *op = RowOp::Held(written.clone());
                }
            }
        }
    }
    Ok(decision)
}

/// Writes one line into its balance; `None` where that does not fit.
fn line(wallet: &mut Wallet, entry: &mut Entry) -> Option<()> {
    if entry.credit.is_spendable() {
        wallet.posted = wallet.posted.checked_add(entry.amount)?;
    }
    if entry.debit.is_spendable() {
        wallet.posted = wallet.posted.checked_sub(entry.amount)?;
    }
    wallet.lines += 1;
    wallet.moved_at = entry.at.max(wallet.moved_at);
    entry.n = wallet.lines;
    entry.at = wallet.moved_at;
    entry.balance = wallet.posted;
    Some(())
}
