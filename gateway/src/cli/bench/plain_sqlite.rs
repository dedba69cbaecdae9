//! The floor on SQLite: the same rows in the same commits, by prepared statements. Decides nothing and checks nothing
//! but what the schema itself does.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use load_tests::process;
use rusqlite::{CachedStatement, Connection, TransactionBehavior, params_from_iter};

use super::{
    tape::{Batch, Count, OPENED, Rows, Table, Tape},
    watch::{Noise, Watch},
};

/// Commits whose rows are laid out before the watch runs.
const LAID_OUT: usize = 32;

/// What it took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Played {
    pub(super) rows: Count,
    pub(super) commits: usize,
    /// Writing and committing; without laying out.
    pub(super) took: Duration,
    /// Processor time of the writing thread, in nanoseconds.
    pub(super) cpu_nanos: Option<u64>,
    /// Bytes sent to the disk; of PostgreSQL, to its log.
    pub(super) written: Option<u64>,
    pub(super) noise: Option<Noise>,
}

/// Plays the tape into `folder`, which has the store's own files as they were before the run.
pub(super) fn play(tape: &Tape, folder: &Path) -> anyhow::Result<Played> {
    let mut ledger = open(&folder.join("ledger.db"), "FULL")?;
    let mut receipts = open(&folder.join("receipts.db"), "NORMAL")?;
    let score = Score::new(tape);
    let watch = Watch::begin(folder);
    let mut played = Played { cpu_nanos: Some(0), written: Some(0), ..Played::default() };
    for first in (0..tape.len()).step_by(LAID_OUT) {
        let batches: Vec<Batch> = (first..tape.len().min(first + LAID_OUT))
            .map(|index| tape.batch(index))
            .collect::<Result<_, _>>()?;
        let (cpu, written, begun) = (process::own_thread_nanos(), process::written_bytes(), Instant::now());
        for batch in &batches {
            write(&mut ledger, &mut receipts, &score, batch)?;
        }
        played.took += begun.elapsed();
        let since = |sum: Option<u64>, now: Option<u64>, before: Option<u64>| {
            Some(sum? + now?.saturating_sub(before?))
        };
        played.cpu_nanos = since(played.cpu_nanos, process::own_thread_nanos(), cpu);
        played.written = since(played.written, process::written_bytes(), written);
        batches.iter().for_each(|batch| played.rows.add(batch));
        played.commits += batches.len();
    }
    played.noise = watch.end().noise;
    for db in [&ledger, &receipts] {
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(played)
}

fn open(path: &Path, synchronous: &str) -> anyhow::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// The statements, as text.
struct Score {
    open: String,
    settle: Update,
    wallet: Update,
    lot: Update,
    entry: String,
    chain: String,
    receipt: String,
}

/// An update, with the places its parameters have in a row.
struct Update {
    sql: String,
    places: Vec<usize>,
}

impl Score {
    fn new(tape: &Tape) -> Self {
        let ends = |name: &str| OPENED.iter().any(|(own, _)| *own == name);
        Self {
            open: insert(&tape.hold),
            settle: update(&tape.hold, ends),
            wallet: update(&tape.wallet, |_| true),
            lot: update(&tape.lot, |name| LOT_MOVES.contains(&name)),
            entry: insert(&tape.entry),
            chain: insert(&tape.chain),
            receipt: insert(&tape.receipt),
        }
    }
}

/// What using up a lot changes of it.
pub(super) const LOT_MOVES: [&str; 2] = ["rem", "consumed"];

fn insert(table: &Table) -> String {
    let places = vec!["?"; table.columns.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.names())
}

fn update(table: &Table, changes: impl Fn(&str) -> bool) -> Update {
    let of = |key: bool| {
        let columns = table.columns.iter().enumerate();
        columns.filter(move |(_, column)| column.in_key == key)
    };
    let set: Vec<_> = of(false).filter(|(_, column)| changes(&column.name)).collect();
    let assign = |(_, column): &(usize, &super::tape::Column)| format!("{} = ?", column.name);
    let assigned = set.iter().map(assign).collect::<Vec<_>>().join(", ");
    let found = of(true).map(|each| assign(&each)).collect::<Vec<_>>().join(" AND ");
    let places = set.iter().map(|(place, _)| *place).chain(of(true).map(|(place, _)| place)).collect();
    Update { sql: format!("UPDATE {} SET {assigned} WHERE {found}", table.name), places }
}

fn write(
    ledger: &mut Connection,
    receipts: &mut Connection,
    score: &Score,
    batch: &Batch,
) -> anyhow::Result<()> {
    let tx = ledger.transaction_with_behavior(TransactionBehavior::Immediate)?;
    updates(tx.prepare_cached(&score.wallet.sql)?, &score.wallet, &batch.wallets)?;
    updates(tx.prepare_cached(&score.lot.sql)?, &score.lot, &batch.lots)?;
    inserts(tx.prepare_cached(&score.open)?, &batch.opened)?;
    updates(tx.prepare_cached(&score.settle.sql)?, &score.settle, &batch.settled)?;
    inserts(tx.prepare_cached(&score.entry)?, &batch.entries)?;
    inserts(tx.prepare_cached(&score.chain)?, &batch.chain)?;
    tx.commit()?;
    let tx = receipts.transaction()?;
    inserts(tx.prepare_cached(&score.receipt)?, &batch.receipts)?;
    tx.commit()?;
    Ok(())
}

fn inserts(mut statement: CachedStatement<'_>, rows: &Rows) -> anyhow::Result<()> {
    for row in rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

fn updates(mut statement: CachedStatement<'_>, update: &Update, rows: &Rows) -> anyhow::Result<()> {
    for row in rows {
        let changed = statement.execute(params_from_iter(update.places.iter().map(|&place| &row[place])))?;
        anyhow::ensure!(changed == 1, "the plain loop lost its place: {}", update.sql);
    }
    Ok(())
}
