//! The reference: rows in memory with all that ever happened to them, before and after the last command.

use std::collections::{BTreeSet, HashMap};

use payments::{
    ledger::{Asset, Body, Command, Entry, FxRate, PriceVersion, RowOp, Rows},
    store::{Applied, Outcome, apply, batch::Remembered},
};
use units::Timestamp;

use super::{
    cast::Cast,
    invariants,
    mutations::{Mutation, tamper},
    steps::{By, Step},
};

/// A command and what it was answered.
#[derive(Debug, Clone)]
pub struct Said {
    pub command: Command,
    pub outcome: Outcome,
    /// What it wrote.
    pub ops: Vec<RowOp>,
}

/// What the last command is answered when it comes once more, and what its key is answered with another content.
#[derive(Debug, Clone)]
pub struct Repeated {
    pub again: Outcome,
    pub ops: Vec<RowOp>,
    pub otherwise: Option<Outcome>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct World {
    /// The rows before the last command.
    pub before: Rows,
    pub rows: Rows,
    pub journal: Vec<Entry>,
    /// How many lines there were before the last command.
    pub lines_before: usize,
    pub log: Vec<Said>,
    /// Every rate and every version that was ever written down.
    pub rates: Vec<FxRate>,
    pub versions: Vec<PriceVersion>,
    pub repeated: Option<Repeated>,
    /// What closed accounts left of less than a fen.
    pub swept: i128,
    known: HashMap<String, Remembered>,
    floor: Timestamp,
    mutation: Option<Mutation>,
}

impl World {
    /// A world in which something goes wrong.
    pub fn with(mutation: Option<Mutation>) -> Self {
        Self { mutation, ..Self::default() }
    }

    /// Carries out one command, and asks it once more.
    pub fn carry_out(&mut self, command: &Command) {
        self.before = self.rows.clone();
        self.lines_before = self.journal.len();
        let mut applied = apply(&mut self.rows, &mut self.known, &[command], self.floor).remove(0);
        if let Some(mutation) = self.mutation {
            if tamper(mutation, &self.before, command, &mut applied) {
                self.rows = self.before.clone();
                applied.ops.iter().for_each(|op| self.rows.put(op));
            }
            if mutation == Mutation::ForgetsKeys {
                self.known.remove(&command.key);
            }
        }
        self.repeat(command, &applied);
        self.keep(command, &applied);
        let Applied { outcome, ops, .. } = applied;
        self.log.push(Said { command: command.clone(), outcome, ops });
    }

    fn keep(&mut self, command: &Command, applied: &Applied) {
        for op in &applied.ops {
            match op {
                RowOp::Entry(entry) => {
                    self.floor = self.floor.max(entry.at);
                    self.journal.push(entry.clone());
                }
                RowOp::FxRate(rate) => self.rates.push(rate.clone()),
                RowOp::PriceVersion(version) => self.versions.push(version.clone()),
                _ => {}
            }
        }
        if let (Body::CloseAccount { account }, false) = (&command.body, applied.ops.is_empty()) {
            let left = self.before.lots_of(*account, &Asset::Cny);
            let paid = left.filter(|lot| lot.class == payments::ledger::LotClass::Paid);
            self.swept += paid.map(|lot| i128::from(lot.rem)).sum::<i128>();
        }
    }

    fn repeat(&mut self, command: &Command, applied: &Applied) {
        let settled = self.known.contains_key(&command.key) && !command.remembered_by_its_row();
        let mut ask = |command: &Command| {
            let answer = apply(&mut self.rows, &mut self.known, &[command], self.floor).remove(0);
            if !answer.ops.is_empty() {
                self.rows = self.before.clone();
                applied.ops.iter().for_each(|op| self.rows.put(op));
            }
            answer
        };
        let again = ask(command);
        let other = Body::VoidCode { digest: "another".to_owned() };
        let otherwise = settled.then(|| ask(&Command { body: other, ..command.clone() }).outcome);
        self.repeated = Some(Repeated { again: again.outcome, ops: again.ops, otherwise });
    }

    /// The last command with its answer.
    pub fn last(&self) -> &Said {
        self.log.last().expect("something was said")
    }

    /// What was said last, if it was accepted and wrote something.
    pub fn done(&self) -> Option<&Body> {
        let last = self.last();
        (last.outcome.is_ok() && !last.ops.is_empty()).then_some(&last.command.body)
    }

    /// Whether what was said last stands under a key of before: then it is answered as before, and writes nothing.
    pub fn said_before(&self) -> bool {
        let earlier = &self.log[..self.log.len().saturating_sub(1)];
        earlier.iter().any(|said| said.command.key == self.last().command.key)
    }

    /// The lines of the last command.
    pub fn lines(&self) -> &[Entry] {
        &self.journal[self.lines_before..]
    }
}

/// Every legal step that was taken, as words; see [`invariants::edges`].
pub type Edges = BTreeSet<(&'static str, &'static str, &'static str)>;

/// Runs the steps and has `look` look at the world after each command.
pub fn run(
    steps: &[(By, Step)],
    mutation: Option<Mutation>,
    mut look: impl FnMut(&World) -> Result<(), String>,
) -> Result<World, String> {
    let (mut world, mut cast) = (World::with(mutation), Cast::new());
    let mut say = |world: &mut World, command: &Command| {
        world.carry_out(command);
        look(world).map_err(|what| format!("{what}\nafter {command:#?}\nanswered {:?}", world.last().outcome))
    };
    for command in cast.opening() {
        say(&mut world, &command)?;
    }
    for (by, step) in steps {
        // Some take as many commands as they need.
        let most = match step {
            Step::Leave { .. } => 25,
            Step::Lend { .. } => 6,
            Step::Spend { .. } => 4,
            _ => 1,
        };
        for _ in 0..most {
            let Some(command) = cast.command(*by, step, &world) else { break };
            say(&mut world, &command)?;
            if matches!(command.body, Body::CloseAccount { .. }) {
                break;
            }
        }
    }
    Ok(world)
}

/// The run with every invariant looked at after every command.
pub fn sound(steps: &[(By, Step)]) -> World {
    run(steps, None, invariants::all).unwrap_or_else(|what| panic!("{what}"))
}
