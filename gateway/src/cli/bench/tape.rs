//! What the store wrote, batch by batch, read back from its file: the score that the plain loops play.
//!
//! The journal says which calls each commit settled and which lots it touched, the holds say when they were opened;
//! what a row held half-way is not kept, so the plain loops write its last values, which are as long. Only what is said
//! in [`OPENED`] is undone for the moment a hold was opened. Tables are read by the columns they have.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::Context;
use rusqlite::{Connection, OpenFlags, Row, types::Value};
use serde::Serialize;

/// A hold's columns that its end changes, as they stand before.
pub(super) const OPENED: [(&str, Value); 7] = [
    // The word itself stands in `open`.
    ("state", Value::Null),
    ("ended_at", Value::Null),
    ("cost", Value::Integer(0)),
    ("cost_tokens_milli", Value::Integer(0)),
    ("overrun", Value::Integer(0)),
    ("usage", Value::Null),
    ("parts", Value::Null),
];

/// A table's columns.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// Where a column stands in a row.
    pub(super) fn position(&self, column: &str) -> anyhow::Result<usize> {
        let found = self.columns.iter().position(|own| own.name == column);
        found.with_context(|| format!("the table {} has no column {column}", self.name))
    }

    /// The columns' names, with commas.
    pub(super) fn names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// As declared: `INTEGER`, `TEXT`, `BLOB`.
    pub(super) kind: String,
    pub(super) in_key: bool,
}

/// Rows as columns of any kind.
pub(super) type Rows = Vec<Vec<Value>>;

/// What one commit wrote.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) opened: Rows,
    pub(super) settled: Rows,
    pub(super) wallets: Rows,
    pub(super) lots: Rows,
    pub(super) entries: Rows,
    pub(super) chain: Rows,
    pub(super) receipts: Rows,
}

/// How many rows of each kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Count {
    pub(super) holds_inserted: usize,
    pub(super) holds_updated: usize,
    pub(super) wallets: usize,
    pub(super) lots: usize,
    pub(super) entries: usize,
    pub(super) chain: usize,
    pub(super) receipts: usize,
}

impl Count {
    pub(super) fn add(&mut self, batch: &Batch) {
        self.holds_inserted += batch.opened.len();
        self.holds_updated += batch.settled.len();
        self.wallets += batch.wallets.len();
        self.lots += batch.lots.len();
        self.entries += batch.entries.len();
        self.chain += batch.chain.len();
        self.receipts += batch.receipts.len();
    }

    pub(super) fn commands(&self) -> usize {
        self.holds_inserted + self.holds_updated
    }

    pub(super) fn rows(&self) -> usize {
        self.commands() + self.wallets + self.lots + self.entries + self.chain + self.receipts
    }
}

/// The commits of one measured run.
#[derive(Debug)]
pub(super) struct Tape {
    source: Connection,
    commits: Vec<Commit>,
    pub(super) hold: Table,
    pub(super) wallet: Table,
    pub(super) lot: Table,
    pub(super) entry: Table,
    pub(super) chain: Table,
    pub(super) receipt: Table,
}

/// One commit, by the keys of what it wrote.
#[derive(Debug)]
struct Commit {
    number: i64,
    at: i64,
    /// Its lines of the journal, from and to.
    lines: (i64, i64),
    opened: Vec<Value>,
    settled: Vec<Value>,
}

/// The number of the last commit in the journal of the store in `folder`.
pub(super) fn last_commit(folder: &Path) -> anyhow::Result<i64> {
    let ledger = Connection::open_with_flags(folder.join("ledger.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(ledger.query_row("SELECT coalesce(max(batch), 0) FROM chain", [], |row| row.get(0))?)
}

impl Tape {
    /// The commits after `after`, up to `upto`, of the closed store in `folder`.
    pub(super) fn read(folder: &Path, after: i64, upto: i64) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(folder.join("ledger.db"), flags)?;
        source.execute("ATTACH DATABASE ?1 AS receipts", [folder.join("receipts.db").to_string_lossy()])?;
        Ok(Self {
            commits: commits(&source, after, upto)?,
            hold: table(&source, "hold")?,
            wallet: table(&source, "wallet")?,
            lot: table(&source, "lot")?,
            entry: table(&source, "entry")?,
            chain: table(&source, "chain")?,
            receipt: table(&source, "receipt")?,
            source,
        })
    }

    /// How many commits.
    pub(super) fn len(&self) -> usize {
        self.commits.len()
    }

    /// What one of them wrote.
    pub(super) fn batch(&self, index: usize) -> anyhow::Result<Batch> {
        let commit = &self.commits[index];
        let (account, lot) = (self.hold.position("account")?, self.entry.position("lot")?);
        let mut batch = Batch::default();
        let (mut accounts, mut lots) = (BTreeMap::new(), BTreeMap::new());
        for hold in &commit.settled {
            batch.settled.extend(self.rows("SELECT * FROM hold WHERE id = ?1", hold)?);
            batch.receipts.extend(self.rows("SELECT * FROM receipt WHERE id = ?1", hold)?);
        }
        for hold in &commit.opened {
            for mut row in self.rows("SELECT * FROM hold WHERE id = ?1", hold)? {
                for (column, before) in OPENED {
                    let word = Value::Text("open".to_owned());
                    row[self.hold.position(column)?] = if column == "state" { word } else { before };
                }
                batch.opened.push(row);
            }
        }
        let mut lines = self.source.prepare_cached("SELECT * FROM entry WHERE seq BETWEEN ?1 AND ?2")?;
        let mut lines = lines.query([commit.lines.0, commit.lines.1])?;
        while let Some(line) = lines.next()? {
            batch.entries.push(values(line)?);
        }
        // What is opened is written in its hold alone.
        accounts.extend(batch.settled.iter().map(|row| (bytes(&row[account]), &row[account])));
        for account in accounts.values() {
            batch.wallets.extend(self.rows("SELECT * FROM wallet WHERE account = ?1", account)?);
        }
        lots.extend(batch.entries.iter().map(|row| (bytes(&row[lot]), &row[lot])));
        for lot in lots.values() {
            batch.lots.extend(self.rows("SELECT * FROM lot WHERE id = ?1", lot)?);
        }
        batch.chain = self.rows("SELECT * FROM chain WHERE batch = ?1", &Value::Integer(commit.number))?;
        Ok(batch)
    }

    /// Every row of a table.
    pub(super) fn all(&self, table: &Table) -> anyhow::Result<Rows> {
        let mut statement = self.source.prepare(&format!("SELECT * FROM {}", table.name))?;
        let rows = statement.query_map([], values)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The statements that made the indexes of the tables.
    pub(super) fn indexes(&self) -> anyhow::Result<Vec<String>> {
        let tables = [&self.hold, &self.wallet, &self.lot, &self.entry, &self.chain];
        let mut found = Vec::new();
        for table in tables {
            let mut statement = self.source.prepare_cached(
                "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL",
            )?;
            let rows = statement.query_map([table.name], |row| row.get::<_, String>(0))?;
            found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(found)
    }

    fn rows(&self, query: &str, by: &Value) -> anyhow::Result<Rows> {
        let mut statement = self.source.prepare_cached(query)?;
        let rows = statement.query_map([by], values)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The commits that have lines in the journal, with what they settled and what was opened in them.
fn commits(source: &Connection, after: i64, upto: i64) -> anyhow::Result<Vec<Commit>> {
    let mut statement =
        source.prepare("SELECT batch, at FROM chain WHERE batch > ?1 AND batch <= ?2 ORDER BY batch")?;
    let commit = |row: &Row<'_>| {
        let (opened, settled) = (Vec::new(), Vec::new());
        Ok(Commit { number: row.get(0)?, at: row.get(1)?, lines: (i64::MAX, 0), opened, settled })
    };
    let mut commits = statement.query_map([after, upto], commit)?.collect::<rusqlite::Result<Vec<_>>>()?;

    // Which commit ended a call, by the call's id.
    let mut ends: HashMap<Vec<u8>, (Value, usize)> = HashMap::new();
    let mut index = 0;
    let query = "SELECT seq, batch, hold FROM entry WHERE batch > ?1 AND batch <= ?2 ORDER BY seq";
    let mut statement = source.prepare(query)?;
    let mut lines = statement.query([after, upto])?;
    while let Some(line) = lines.next()? {
        let (seq, batch, hold): (i64, i64, Value) = (line.get(0)?, line.get(1)?, line.get(2)?);
        while commits.get(index).context("a line of the journal without its link")?.number < batch {
            index += 1;
        }
        let commit = &mut commits[index];
        commit.lines = (commit.lines.0.min(seq), seq);
        if ends.insert(bytes(&hold), (hold.clone(), index)).is_none() {
            commit.settled.push(hold);
        }
    }

    let mut opened_at = source.prepare("SELECT opened_at FROM hold WHERE id = ?1")?;
    for (hold, end) in ends.into_values() {
        let at: i64 = opened_at.query_row([&hold], |row| row.get(0))?;
        // A commit's time is that of its last command. The clock is asked before the queue is joined, so a hold may seem
        // to be one commit later than it was; but what was settled had been on disk before.
        let index = commits.partition_point(|commit| commit.at < at).min(end.saturating_sub(1));
        commits[index].opened.push(hold);
    }
    Ok(commits)
}

fn table(source: &Connection, name: &'static str) -> anyhow::Result<Table> {
    let mut statement = source.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let column = |row: &Row<'_>| {
        Ok(Column { name: row.get(0)?, kind: row.get(1)?, in_key: row.get::<_, i64>(2)? > 0 })
    };
    let columns = statement.query_map([name], column)?.collect::<rusqlite::Result<Vec<_>>>()?;
    anyhow::ensure!(
        !columns.is_empty(),
        "the store has no table {name}: this measurement has to be taught its new name"
    );
    Ok(Table { name, columns })
}

fn values(row: &Row<'_>) -> rusqlite::Result<Vec<Value>> {
    (0..row.as_ref().column_count()).map(|column| row.get(column)).collect()
}

/// A key's bytes, to find it again by.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Blob(blob) => blob.clone(),
        Value::Integer(number) => number.to_be_bytes().to_vec(),
        Value::Null | Value::Real(_) => Vec::new(),
    }
}
