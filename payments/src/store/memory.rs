//! The reference store: rows in memory, nothing durable. Says what the others must say.

use std::collections::{BTreeMap, HashMap};

use units::Timestamp;

use super::{
    batch::{Applied, Remembered, apply},
    canonical::{StateHash, Sum, counted},
    tables::{COMMAND, ENTRY, JournalLine, Table, columns_of, command_columns, gone},
    value::Value,
};
use crate::ledger::{Command, Entry, RowOp, Rows};

/// All rows of a ledger, in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Rows,
    known: HashMap<String, Remembered>,
    journal: Vec<Entry>,
    /// The rows as they would stand in tables, by name and key.
    tables: BTreeMap<(&'static str, String), Vec<Value>>,
    floor: Timestamp,
}

impl MemoryStore {
    /// Carries out one command.
    pub fn submit(&mut self, command: &Command) -> Applied {
        let mut applied = apply(&mut self.rows, &mut self.known, &[command], self.floor);
        let applied = applied.remove(0);
        for op in &applied.ops {
            if let RowOp::Entry(entry) = op {
                self.floor = self.floor.max(entry.at);
                self.journal.push(entry.clone());
                let seq = i64::try_from(self.journal.len()).unwrap_or(i64::MAX);
                let line = JournalLine { lane: 0, seq, batch: 0, entry: entry.clone() };
                self.tables.insert((ENTRY.name, seq.to_string()), line.columns());
            } else if let Some((table, columns)) = columns_of(op) {
                self.put(table, columns);
            } else if let Some((table, key)) = gone(op) {
                let key: Vec<&Value> = key.iter().collect();
                self.tables.remove(&(table.name, format!("{key:?}")));
            }
        }
        if let Some(remembered) = &applied.remember {
            self.put(&COMMAND, command_columns(command, remembered));
        }
        applied
    }

    fn put(&mut self, table: &'static Table, columns: Vec<Value>) {
        let of_key = |(column, _): &(&super::tables::Column, &Value)| table.key.contains(&column.name);
        let key: Vec<&Value> =
            table.columns.iter().zip(&columns).filter(of_key).map(|(_, value)| value).collect();
        self.tables.insert((table.name, format!("{key:?}")), columns);
    }

    /// The rows as they stand.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Every line of the journal.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// What the books come to: see [`super::Store::state_hash`].
    pub fn state_hash(&self) -> StateHash {
        let tables = counted().map(|table| {
            let mut sum = Sum::default();
            for ((name, _), row) in &self.tables {
                if *name == table.name {
                    sum.add(table, row);
                }
            }
            sum.of(table)
        });
        StateHash { tables: tables.collect() }
    }
}
