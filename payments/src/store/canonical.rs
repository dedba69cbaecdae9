//! What do these books come to? One number for a state of the books, the same whatever engine holds it.
//!
//! Each row's SHA-256 over its columns is added up, table by table, so the order in which an engine hands rows out does
//! not matter. Left out is what says who wrote a line and when it was flushed, not what it says: lanes and links.

use sha2::{Digest, Sha256};

use super::{
    Store, SubmitError,
    query::{Query, ReadError},
    tables::{ALL, CHAIN, ENTRY, Table},
    value::Value,
};

/// Rows read at a time.
const PAGE: i64 = 2_000;

/// The books in a number, and each table in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHash {
    /// Each table: its name, how many rows, their sum.
    pub tables: Vec<(&'static str, u64, String)>,
}

impl StateHash {
    /// All of it in lower-case hex.
    pub fn hex(&self) -> String {
        let mut whole = Sha256::new();
        for (name, rows, sum) in &self.tables {
            whole.update(format!("{name} {rows} {sum}\n"));
        }
        base16ct::lower::encode_string(&whole.finalize())
    }
}

/// A table's rows, added up.
#[derive(Debug, Default)]
pub(super) struct Sum {
    rows: u64,
    sum: [u64; 4],
}

impl Sum {
    pub(super) fn add(&mut self, table: &Table, row: &[Value]) {
        let mut hash = Sha256::new();
        let journal = std::ptr::eq(table, &raw const ENTRY);
        let no_account = row.first().is_some_and(|account| *account == Value::Text(String::new()));
        for (column, value) in table.columns.iter().zip(row) {
            if journal
                && (["lane", "seq", "batch"].contains(&column.name) || column.name == "n" && no_account)
            {
                continue;
            }
            match value {
                Value::Null => hash.update([0]),
                Value::Int(number) => {
                    hash.update([1]);
                    hash.update(number.to_be_bytes());
                }
                Value::Text(text) => {
                    hash.update([2]);
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
                Value::Bytes(bytes) => {
                    hash.update([3]);
                    hash.update((bytes.len() as u64).to_be_bytes());
                    hash.update(bytes);
                }
            }
        }
        let hash: [u8; 32] = hash.finalize().into();
        for (sum, part) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            *sum = sum.wrapping_add(part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
        self.rows += 1;
    }

    pub(super) fn of(self, table: &'static Table) -> (&'static str, u64, String) {
        let sum: Vec<String> = self.sum.iter().map(|part| format!("{part:016x}")).collect();
        (table.name, self.rows, sum.concat())
    }
}

/// The tables whose rows are counted.
pub(super) fn counted() -> impl Iterator<Item = &'static Table> {
    ALL.iter().copied().filter(|table| !std::ptr::eq(*table, &raw const CHAIN))
}

impl Store {
    /// What the books come to.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read.
    pub async fn state_hash(&self) -> Result<StateHash, SubmitError> {
        self.read(state_hash).await
    }
}

pub(super) fn state_hash(db: &mut dyn Query) -> Result<StateHash, ReadError> {
    let mut tables = Vec::new();
    for table in counted() {
        let mut sum = Sum::default();
        pages(db, table, |rows| {
            for row in rows {
                sum.add(table, row);
            }
            Ok(())
        })?;
        tables.push(sum.of(table));
    }
    Ok(StateHash { tables })
}

/// Hands every row of a table out, a page at a time, in the order of the engine's key.
pub(super) fn pages(
    db: &mut dyn Query,
    table: &Table,
    mut page: impl FnMut(&[Vec<Value>]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let key = table.key.join(", ");
    let select = format!("SELECT {} FROM {}", table.column_list(), table.name);
    let places: Vec<String> = (1..=table.key.len()).map(|number| format!("?{number}")).collect();
    let next = format!("{select} WHERE ({key}) > ({}) ORDER BY {key} LIMIT {PAGE}", places.join(", "));
    let mut rows = db.rows(&format!("{select} ORDER BY {key} LIMIT {PAGE}"), &[])?;
    while let Some(last) = rows.last() {
        page(&rows)?;
        let place = |name: &&str| table.columns.iter().position(|column| column.name == *name);
        let after: Vec<Value> = table.key.iter().filter_map(place).map(|index| last[index].clone()).collect();
        rows = db.rows(&next, &after)?;
    }
    Ok(())
}
