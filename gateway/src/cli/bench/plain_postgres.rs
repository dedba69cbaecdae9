//! The floor on PostgreSQL: the same rows in the same commits on one connection, one statement a table with its rows as
//! arrays, the whole commit sent at once.

use std::{str::FromStr, time::Instant};

use anyhow::Context;
use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, try_join_all},
};
use rusqlite::types::Value;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls, Statement, types::ToSql};

use super::{
    plain_sqlite::{LOT_MOVES, Played},
    tape::{Batch, Column, OPENED, Rows, Table, Tape},
};

/// Commits whose rows are laid out before the watch runs.
const LAID_OUT: usize = 32;

/// Plays the tape into tables of its own on the server, which are gone afterwards. With what it took come the bytes of
/// the server's own log.
pub(super) async fn play(tape: &Tape, url: &str) -> anyhow::Result<Played> {
    let config = Config::from_str(url).context("--postgres")?;
    let (client, connection) = config.connect(NoTls).await.context("--postgres")?;
    // Ends with the client.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let schema = format!("tollgate_bench_{:016x}", fastrand::u64(..));
    client.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path TO {schema}")).await?;
    let played = played(tape, &client).await;
    client.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await?;
    played
}

async fn played(tape: &Tape, client: &Client) -> anyhow::Result<Played> {
    for table in [&tape.hold, &tape.wallet, &tape.lot, &tape.entry, &tape.chain] {
        client.batch_execute(&create(table)).await.with_context(|| create(table))?;
    }
    for index in tape.indexes()? {
        client.batch_execute(&index).await.with_context(|| index.clone())?;
    }
    for table in [&tape.wallet, &tape.lot] {
        let Work { sql, columns } = insert(table);
        let rows = tape.all(table)?;
        let arrays = arrays(&columns, &rows);
        let arrays: Vec<_> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
        client.execute(&sql, &arrays).await?;
    }
    client.batch_execute("ANALYZE").await?;
    let score = Score::new(tape, client).await?;
    let log = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let before: i64 = client.query_one(log, &[]).await?.get(0);
    let mut played = Played::default();
    for first in (0..tape.len()).step_by(LAID_OUT) {
        let batches: Vec<Batch> = (first..tape.len().min(first + LAID_OUT))
            .map(|index| tape.batch(index))
            .collect::<Result<_, _>>()?;
        let laid_out: Vec<_> = batches.iter().map(|batch| score.lay_out(batch)).collect();
        let begun = Instant::now();
        for parts in &laid_out {
            commit(client, parts).await?;
        }
        played.took += begun.elapsed();
        batches.iter().for_each(|batch| played.rows.add(batch));
        played.commits += batches.len();
    }
    // Receipts are evidence beside the ledger and not sent to the server.
    played.rows.receipts = 0;
    let after: i64 = client.query_one(log, &[]).await?.get(0);
    played.written = u64::try_from(after - before).ok();
    Ok(played)
}

/// A statement with the rows it writes.
type Part<'a> = (&'a Statement, Vec<Array>);

/// All of it goes out before any of it is answered: one way there and back for a commit.
async fn commit(client: &Client, parts: &[Part<'_>]) -> anyhow::Result<()> {
    let mut sent: Vec<LocalBoxFuture<'_, Result<(), tokio_postgres::Error>>> =
        Vec::with_capacity(parts.len() + 2);
    sent.push(client.batch_execute("BEGIN").boxed_local());
    for (statement, arrays) in parts {
        let params: Vec<_> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
        sent.push(async move { client.execute(*statement, &params).await.map(drop) }.boxed_local());
    }
    sent.push(client.batch_execute("COMMIT").boxed_local());
    try_join_all(sent).await?;
    Ok(())
}

/// A statement as text, and the columns whose arrays it takes, by place.
struct Work {
    sql: String,
    columns: Vec<(usize, Column)>,
}

/// The statements, prepared.
struct Score {
    open: Prepared,
    settle: Prepared,
    wallet: Prepared,
    lot: Prepared,
    entry: Prepared,
    chain: Prepared,
}

struct Prepared {
    statement: Statement,
    columns: Vec<(usize, Column)>,
}

impl Score {
    async fn new(tape: &Tape, client: &Client) -> anyhow::Result<Self> {
        let prepare = async |work: Work| -> anyhow::Result<Prepared> {
            let statement = client.prepare(&work.sql).await.with_context(|| work.sql.clone())?;
            Ok(Prepared { statement, columns: work.columns })
        };
        let ends = |name: &str| OPENED.iter().any(|(own, _)| *own == name);
        Ok(Self {
            open: prepare(insert(&tape.hold)).await?,
            settle: prepare(update(&tape.hold, ends)).await?,
            wallet: prepare(update(&tape.wallet, |_| true)).await?,
            lot: prepare(update(&tape.lot, |name| LOT_MOVES.contains(&name))).await?,
            entry: prepare(insert(&tape.entry)).await?,
            chain: prepare(insert(&tape.chain)).await?,
        })
    }

    fn lay_out(&self, batch: &Batch) -> Vec<Part<'_>> {
        let parts = [
            (&self.wallet, &batch.wallets),
            (&self.lot, &batch.lots),
            (&self.open, &batch.opened),
            (&self.settle, &batch.settled),
            (&self.entry, &batch.entries),
            (&self.chain, &batch.chain),
        ];
        let full = parts.into_iter().filter(|(_, rows)| !rows.is_empty());
        full.map(|(to, rows)| (&to.statement, arrays(&to.columns, rows))).collect()
    }
}

fn kind(column: &Column) -> &'static str {
    match column.kind.as_str() {
        "INTEGER" => "bigint",
        "BLOB" => "bytea",
        _ => "text",
    }
}

fn create(table: &Table) -> String {
    let column = |column: &Column| format!("{} {}", column.name, kind(column));
    let columns = table.columns.iter().map(column).collect::<Vec<_>>().join(", ");
    let in_key = table.columns.iter().filter(|column| column.in_key).map(|column| column.name.as_str());
    let key = in_key.collect::<Vec<_>>().join(", ");
    format!("CREATE TABLE {} ({columns}, PRIMARY KEY ({key}))", table.name)
}

/// `$1::text[], $2::bigint[], …`
fn unnested(columns: &[(usize, Column)]) -> String {
    let array =
        |(number, (_, column)): (usize, &(usize, Column))| format!("${}::{}[]", number + 1, kind(column));
    columns.iter().enumerate().map(array).collect::<Vec<_>>().join(", ")
}

fn insert(table: &Table) -> Work {
    let columns: Vec<_> = table.columns.iter().cloned().enumerate().collect();
    let (names, arrays) = (table.names(), unnested(&columns));
    Work { sql: format!("INSERT INTO {} ({names}) SELECT * FROM UNNEST({arrays})", table.name), columns }
}

fn update(table: &Table, changes: impl Fn(&str) -> bool) -> Work {
    let columns = table.columns.iter().cloned().enumerate();
    let columns: Vec<_> = columns.filter(|(_, column)| column.in_key || changes(&column.name)).collect();
    let joined = |in_key: bool, of: &dyn Fn(&str) -> String, with: &str| {
        let chosen = columns.iter().filter(|(_, column)| column.in_key == in_key);
        chosen.map(|(_, column)| of(&column.name)).collect::<Vec<_>>().join(with)
    };
    let set = joined(false, &|name| format!("{name} = new.{name}"), ", ");
    let found = joined(true, &|name| format!("{0}.{name} = new.{name}", table.name), " AND ");
    let names = columns.iter().map(|(_, column)| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let arrays = unnested(&columns);
    let sql = format!("UPDATE {} SET {set} FROM UNNEST({arrays}) AS new ({names}) WHERE {found}", table.name);
    Work { sql, columns }
}

/// One column of many rows.
type Array = Box<dyn ToSql + Sync>;

fn arrays(columns: &[(usize, Column)], rows: &Rows) -> Vec<Array> {
    let column = |(place, column): &(usize, Column)| -> Array {
        let cells = rows.iter().map(|row| &row[*place]);
        match kind(column) {
            "bigint" => Box::new(cells.map(integer).collect::<Vec<_>>()),
            "bytea" => Box::new(cells.map(blob).collect::<Vec<_>>()),
            _ => Box::new(cells.map(text).collect::<Vec<_>>()),
        }
    };
    columns.iter().map(column).collect()
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::Integer(number) = value { Some(*number) } else { None }
}

fn blob(value: &Value) -> Option<Vec<u8>> {
    if let Value::Blob(blob) = value { Some(blob.clone()) } else { None }
}

fn text(value: &Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text.clone()) } else { None }
}
