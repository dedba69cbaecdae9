//! The writer's side: rows to statements and back, one transaction a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Row, Statement, Transaction, TransactionBehavior, types::ValueRef};
use units::AccountId;

use crate::{
    ledger::{Asset, Command, Entry, Needs, RowOp, Rows},
    store::{
        batch::{Applied, Remembered, apply},
        fetch::{self, Fetch},
        held::{self, Held},
        lane::{Committed, Engine, EngineError, Receipt},
        tables::{
            CHAIN, COMMAND, ENTRY, Link, Place, Table, columns_of, command_columns, gone, place,
            read_remembered,
        },
        value::{Broken, Cells, Value},
    },
};

/// Accounts whose rows are kept between batches.
const ACCOUNTS_KEPT: usize = 20_000;

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Broken> for EngineError {
    fn from(error: Broken) -> Self {
        Self(error.to_string())
    }
}

/// Begins a new run of the process.
pub(super) fn next_epoch(db: &mut Connection) -> rusqlite::Result<i64> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute(
        "INSERT INTO meta (name, value) VALUES ('epoch', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
        [],
    )?;
    let epoch = tx.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))?;
    tx.commit()?;
    Ok(epoch)
}

/// The files, and what of them is kept in memory: nobody else writes them, so what was committed is what is there.
pub(super) struct Sqlite {
    pub(super) ledger: Connection,
    pub(super) receipts: Connection,
    link: Link,
    kept: Rows,
    recent: BTreeSet<AccountId>,
    upserts: HashMap<&'static str, String>,
}

impl Sqlite {
    pub(super) fn new(ledger: Connection, receipts: Connection) -> Result<Self, rusqlite::Error> {
        let link = last_link(&ledger)?;
        Ok(Self {
            ledger,
            receipts,
            link,
            kept: Rows::kept(),
            recent: BTreeSet::new(),
            upserts: HashMap::new(),
        })
    }

    /// Fetches what the commands name and was not kept.
    fn load(tx: &Transaction<'_>, needs: &Needs, rows: &mut Rows) -> Result<(), EngineError> {
        let fetches = fetch::plan(needs, rows);
        let held = held_of(tx, &fetches)?;
        for fetch in &fetches {
            fetch_into(tx, fetch, &held, rows)?;
        }
        for fetch in fetch::plan_further(needs, rows) {
            fetch_into(tx, &fetch, &held, rows)?;
        }
        rows.looked_up(needs);
        Ok(())
    }

    fn write(
        tx: &Transaction<'_>,
        upserts: &mut HashMap<&'static str, String>,
        link: &Link,
        commands: &[&Command],
        applied: &[Applied],
    ) -> Result<Link, EngineError> {
        let mut last: BTreeMap<Place<'_>, &RowOp> = BTreeMap::new();
        let mut entries: Vec<&Entry> = Vec::new();
        for op in applied.iter().flat_map(|applied| &applied.ops) {
            match (place(op), op) {
                (_, RowOp::Entry(entry)) => entries.push(entry),
                // A row changed by several commands of the batch is written once, as the last left it.
                (Some(place), row) => drop(last.insert(place, row)),
                (None, _) => {}
            }
        }
        for (table, columns) in last.values().filter_map(|row| columns_of(row)) {
            put(tx, upserts, table, &columns)?;
        }
        for (table, key) in last.values().filter_map(|row| gone(row)) {
            let by: Vec<String> =
                table.key.iter().enumerate().map(|(i, column)| format!("{column} = ?{}", i + 1)).collect();
            let sql = format!("DELETE FROM {} WHERE {}", table.name, by.join(" AND "));
            let mut statement = tx.prepare_cached(&sql)?;
            bind(&mut statement, &key)?;
            statement.raw_execute()?;
        }
        for (command, applied) in commands.iter().zip(applied) {
            if let Some(remembered) = &applied.remember {
                put(tx, upserts, &COMMAND, &command_columns(command, remembered))?;
            }
        }
        let Some((link, columns, lines)) = link.next(&entries) else { return Ok(link.clone()) };
        for line in lines {
            put(tx, upserts, &ENTRY, &line.columns())?;
        }
        put(tx, upserts, &CHAIN, &columns)?;
        Ok(link)
    }
}

impl Engine for Sqlite {
    fn commit(&mut self, commands: &[&Command]) -> Result<Committed, EngineError> {
        let mut needs = Needs::default();
        for command in commands {
            command.needs(&mut needs);
        }
        let tx = self.ledger.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Self::load(&tx, &needs, &mut self.kept)?;
        let mut known = remembered(&tx, commands)?;
        let applied = apply(&mut self.kept, &mut known, commands, self.link.at);
        let link = Self::write(&tx, &mut self.upserts, &self.link, commands, &applied)?;
        tx.commit()?;
        self.link = link;
        let committed = Committed::new(applied, &needs, &self.kept);
        self.recent.extend(&needs.accounts);
        self.kept.keep_hot(ACCOUNTS_KEPT, &self.recent);
        if self.recent.len() > ACCOUNTS_KEPT / 2 {
            self.recent.clear();
        }
        Ok(committed)
    }

    fn available(&mut self, account: AccountId, asset: &Asset) -> Result<i64, EngineError> {
        let mut needs = Needs::default();
        needs.wallets.insert((account, asset.clone()), false);
        let tx = self.ledger.transaction()?;
        Self::load(&tx, &needs, &mut self.kept)?;
        Ok(self.kept.wallet(account, asset).available())
    }

    fn keep_receipts(&mut self, receipts: &[&Receipt]) -> Result<(), EngineError> {
        let tx = self.receipts.transaction()?;
        {
            // The last word on a call counts.
            let mut put = tx.prepare_cached(
                "INSERT INTO receipt (id, account, at, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            )?;
            for receipt in receipts {
                put.execute(rusqlite::params![
                    receipt.id.to_string(),
                    receipt.account.to_string(),
                    receipt.at.0,
                    receipt.body
                ])?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn close(&mut self) {
        // Only tidiness: what is not checkpointed now is when the file is opened again.
        let _ = self.ledger.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
        let _ = self.receipts.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);");
    }
}

fn last_link(db: &Connection) -> rusqlite::Result<Link> {
    let seq = db.query_row("SELECT coalesce(max(seq), 0) FROM entry", [], |row| row.get(0))?;
    let mut statement = db.prepare("SELECT batch, at, hash FROM chain ORDER BY batch DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Link {
            lane: 0,
            batch: row.get(0)?,
            seq,
            at: units::Timestamp(row.get(1)?),
            hash: row.get(2)?,
        }),
        None => Ok(Link { seq, ..Link::default() }),
    }
}

/// What is held of the balances that are looked up.
fn held_of(tx: &Transaction<'_>, fetches: &[Fetch]) -> Result<Held, EngineError> {
    let mut held = Held::default();
    let accounts = fetch::whose_balances(fetches);
    if accounts.is_empty() {
        return Ok(held);
    }
    let mut statement = tx.prepare_cached(&held::sums_of_one())?;
    let columns = statement.column_count();
    for account in accounts {
        bind(&mut statement, &[account.into()])?;
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            let row: Vec<Value> = (0..columns).map(|column| value(row, column)).collect::<Result<_, _>>()?;
            held.add(&row)?;
        }
    }
    Ok(held)
}

fn fetch_into(tx: &Transaction<'_>, fetch: &Fetch, held: &Held, rows: &mut Rows) -> Result<(), EngineError> {
    let mut statement = tx.prepare_cached(&fetch.select_one())?;
    let columns = fetch.table.columns.len();
    for key in &fetch.keys {
        bind(&mut statement, key)?;
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            let row: Vec<Value> = (0..columns).map(|column| value(row, column)).collect::<Result<_, _>>()?;
            rows.put(&held.filled(fetch.table.read(&row)?)?);
        }
    }
    Ok(())
}

/// What was answered to these commands' keys before.
fn remembered(
    tx: &Transaction<'_>,
    commands: &[&Command],
) -> Result<HashMap<String, Remembered>, EngineError> {
    let mut known = HashMap::new();
    let mut statement = tx.prepare_cached("SELECT payload_hash, outcome FROM command WHERE key = ?1")?;
    for command in commands.iter().filter(|command| !command.remembered_by_its_row()) {
        bind(&mut statement, &[command.key.as_str().into()])?;
        if let Some(row) = statement.raw_query().next()? {
            let row = [value(row, 0)?, value(row, 1)?];
            known.insert(command.key.clone(), read_remembered(&mut Cells::new(&row))?);
        }
    }
    Ok(known)
}

fn put(
    tx: &Transaction<'_>,
    upserts: &mut HashMap<&'static str, String>,
    table: &'static Table,
    columns: &[Value],
) -> rusqlite::Result<()> {
    let sql = upserts.entry(table.name).or_insert_with(|| upsert(table));
    let mut statement = tx.prepare_cached(sql)?;
    bind(&mut statement, columns)?;
    statement.raw_execute().map(drop)
}

/// A row's first writing inserts it, a later one changes what may change. A row of which nothing may change is written
/// once: a second writing of it is a mistake and fails.
fn upsert(table: &Table) -> String {
    let places: Vec<String> = (1..=table.columns.len()).map(|number| format!("?{number}")).collect();
    let changes: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.changes)
        .map(|column| format!("{0} = excluded.{0}", column.name))
        .collect();
    let insert =
        format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.column_list(), places.join(", "));
    if changes.is_empty() {
        return insert;
    }
    format!("{insert} ON CONFLICT ({}) DO UPDATE SET {}", table.key.join(", "), changes.join(", "))
}

/// Binds `?1`, `?2`... in order.
pub(in crate::store) fn bind(statement: &mut Statement<'_>, params: &[Value]) -> rusqlite::Result<()> {
    for (index, param) in params.iter().enumerate() {
        let index = index + 1;
        match param {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null)?,
            Value::Int(number) => statement.raw_bind_parameter(index, number)?,
            Value::Text(text) => statement.raw_bind_parameter(index, text)?,
            Value::Bytes(bytes) => statement.raw_bind_parameter(index, bytes)?,
        }
    }
    Ok(())
}

/// A column as it stands.
pub(in crate::store) fn value(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(column, error))?.to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(number) => {
            // No table has such a column.
            return Err(rusqlite::Error::IntegralValueOutOfRange(column, number as i64));
        }
    })
}

/// Books that no file keeps, with what these commands led to.
#[cfg(test)]
pub(in crate::store) fn books_in_memory(commands: &[Command]) -> Connection {
    let receipts = Connection::open_in_memory().unwrap();
    let mut engine = Sqlite::new(super::schema::migrated_in_memory(), receipts).unwrap();
    for together in commands.chunks(1_000) {
        let committed = engine.commit(&together.iter().collect::<Vec<_>>()).unwrap();
        for applied in committed.applied {
            applied.outcome.unwrap();
        }
    }
    engine.ledger
}
