//! The reference store: rows in memory, nothing durable. Says what the others must say.

use std::collections::HashMap;

use units::Timestamp;

use super::batch::{Applied, Remembered, apply};
use crate::ledger::{Command, Entry, RowOp, Rows};

/// All rows of a ledger, in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Rows,
    known: HashMap<String, Remembered>,
    journal: Vec<Entry>,
}

impl MemoryStore {
    /// Carries out one command.
    pub fn submit(&mut self, command: &Command) -> Applied {
        let mut applied = apply(&mut self.rows, &mut self.known, &[command], Timestamp(0));
        let applied = applied.remove(0);
        self.journal.extend(applied.ops.iter().filter_map(|op| match op {
            RowOp::Entry(entry) => Some(entry.clone()),
            _ => None,
        }));
        applied
    }

    /// The rows as they stand.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Every line of the journal.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }
}
