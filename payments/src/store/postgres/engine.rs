//! The writer's side: one connection, one transaction a batch, three round trips.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use futures_util::future::{try_join, try_join_all};
use tokio::{runtime::Runtime, time::Instant};
use tokio_postgres::{Client, Config, Statement, error::SqlState, types::ToSql};
use units::{AccountId, RequestId, Usage};

use super::wire::{connect, in_full, values};
use crate::{
    journal::Journal,
    ledger::{Asset, Command, Entry, Needs, RowOp, Rows},
    store::{
        Duty,
        batch::{Applied, Remembered, apply},
        fetch::{self, Fetch},
        held::{self, Held},
        lane::{Committed, Engine, EngineError, Receipt},
        tables::{
            ACCOUNT, CHAIN, COMMAND, ENTRY, Kind, Link, Place, Table, columns_of, command_columns, gone,
            place, read_remembered,
        },
        value::{Broken, Cells, Value},
    },
};

/// A batch that others' writing got in the way of is begun anew this often.
const ATTEMPTS_MAX: u32 = 20;
/// How long a server that went away is waited for; then the store stops. As long as the lease lasts: others have taken
/// this run for dead by then.
pub(super) const AWAY_MAX: Duration = Duration::from_secs(30);
const AWAY_STEP: Duration = Duration::from_millis(500);
/// How long a node may be silent before others take it for dead.
const LEASE: &str = "30 seconds";
/// Until when a lease runs, in microseconds.
const UNTIL: &str = "(extract(epoch FROM until) * 1000000)::bigint";

/// What kept a batch from being written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Others wrote the same rows: begin anew.
    #[error("{0}")]
    Crossed(String),
    /// The connection is gone: nobody knows what was written until it is asked again. Commands are keyed, so asking
    /// again changes nothing that was.
    #[error("{0}")]
    Away(String),
    /// It would be the same again.
    #[error("{0}")]
    Fatal(String),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = in_full(&error);
        let crossed = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
            SqlState::LOCK_NOT_AVAILABLE,
        ];
        match error.code() {
            Some(code) if crossed.contains(code) => Self::Crossed(said),
            // The server is going down, or has not come up yet; or a batch stood still for too long.
            Some(code) if *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Away(said),
            Some(code) if code.code().starts_with("57P") || code.code().starts_with("08") => Self::Away(said),
            Some(_) => Self::Fatal(said),
            None => Self::Away(said),
        }
    }
}

impl From<Broken> for Trouble {
    fn from(error: Broken) -> Self {
        Self::Fatal(error.to_string())
    }
}

/// A connection for writing, which looks rows up by their keys. Where the way to the server breaks unseen, the server would keep a batch's locks until it
/// notices, and whoever connects anew would wait for them.
async fn connect_to_write(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let client = connect(config).await?;
    client.batch_execute("SET idle_in_transaction_session_timeout = '10s'").await?;
    // A plan is kept: one made while a table was small would read all of it for ever. And the index of open holds is full
    // of those that have ended since it was last cleaned: a plain scan passes each of them once and marks it, one that makes
    // a bitmap marks none and passes all of them each time.
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off").await?;
    Ok(client)
}

/// Begins a new run of this node: its number, and its lease.
pub(super) async fn next_epoch(client: &mut Client, node: &str) -> Result<i64, tokio_postgres::Error> {
    let tx = client.transaction().await?;
    let epoch: i64 = tx
        .query_one(
            "INSERT INTO meta (name, value) VALUES ('epoch', 1)
             ON CONFLICT (name) DO UPDATE SET value = meta.value + 1 RETURNING value",
            &[],
        )
        .await?
        .get(0);
    // Whoever bore this name before is gone, or is about to find out: its open calls need not wait for its lease to end.
    tx.execute("UPDATE node_lease SET until = now() WHERE node = $1 AND until > now()", &[&node]).await?;
    let lease =
        format!("INSERT INTO node_lease (epoch, node, until) VALUES ($1, $2, now() + interval '{LEASE}')");
    tx.execute(&lease, &[&epoch, &node]).await?;
    tx.commit().await?;
    Ok(epoch)
}

/// The connection, and the end of this run's chain.
pub(super) struct Postgres {
    runtime: Runtime,
    config: Config,
    line: Option<Line>,
    epoch: i64,
    link: Link,
    /// How often anybody had changed API keys when this was last looked at.
    keys: i64,
    /// How long a server that went away is waited for.
    away_max: Duration,
    /// How often this run has said that it is alive.
    beats: u64,
}

/// A batch whose COMMIT was sent and not answered: the lease says what became of it. A transaction's own number would
/// not: a server that crashed gives it to another.
struct Unanswered {
    until: i64,
    batch: (Committed, Link),
}

/// A connection with the statements prepared on it.
pub(super) struct Line {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
}

/// The keys of the rows that a batch has read, by table: those are changed where they stand, and what of them never
/// changes is not sent again.
type Seen = HashMap<&'static str, HashSet<Vec<Value>>>;

impl Postgres {
    pub(super) fn new(config: Config, epoch: i64, away_max: Duration) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let link = Link { lane: epoch, ..Link::default() };
        Ok(Self { runtime, config, line: None, epoch, link, keys: 0, away_max, beats: 0 })
    }

    /// Does something on the connection, again and again where others got in the way or the server went away.
    fn insist<T>(
        &mut self,
        mut attempt: impl AsyncFnMut(&mut Line, &Link, i64) -> Result<T, Trouble>,
    ) -> Result<T, EngineError> {
        let mut crossed = 0;
        let mut away_since: Option<Instant> = None;
        let Self { runtime, config, line, epoch, link, away_max, .. } = self;
        runtime.block_on(async {
            loop {
                let tried = match line {
                    Some(line) => attempt(line, link, *epoch).await,
                    None => match connect_to_write(config).await {
                        Ok(client) => {
                            *line = Some(Line::new(client));
                            continue;
                        }
                        Err(error) => Err(Trouble::Away(in_full(&error))),
                    },
                };
                match tried {
                    Ok(done) => return Ok(done),
                    Err(Trouble::Crossed(what)) if crossed < ATTEMPTS_MAX => {
                        crossed += 1;
                        tracing::debug!(what, crossed, "a batch is begun anew");
                        let open = line.as_ref().is_some_and(|line| !line.client.is_closed());
                        let undone = match line {
                            Some(line) if open => line.client.batch_execute("ROLLBACK").await.is_ok(),
                            _ => false,
                        };
                        if !undone {
                            *line = None;
                        }
                    }
                    Err(Trouble::Away(what))
                        if away_since.is_none_or(|since| since.elapsed() < *away_max) =>
                    {
                        if away_since.is_none() {
                            tracing::error!(what, "PostgreSQL is away; the ledger waits for it");
                            away_since = Some(Instant::now());
                        }
                        *line = None;
                        tokio::time::sleep(AWAY_STEP).await;
                    }
                    Err(Trouble::Away(what)) => {
                        *line = None;
                        let waited = away_max.as_secs();
                        return Err(EngineError(format!(
                            "PostgreSQL was away for more than {waited} s: {what}"
                        )));
                    }
                    Err(Trouble::Crossed(what) | Trouble::Fatal(what)) => {
                        *line = None;
                        return Err(EngineError(what));
                    }
                }
            }
        })
    }
}

/// Progress is carried with every second word that this run is alive: once a second.
const BEATS_PER_PROGRESS: u64 = 2;
/// What is left of calls that ended is thrown away once a minute.
const BEATS_PER_SWEEP: u64 = 120;

impl Engine for Postgres {
    fn commit(&mut self, commands: &[&Command]) -> Result<Committed, EngineError> {
        let mut needs = Needs::default();
        for command in commands {
            command.needs(&mut needs);
        }
        let mut unanswered: Option<Unanswered> = None;
        let (committed, link) = self.insist(async |line, link, epoch| {
            if let Some(before) = &unanswered
                && line.is_done(epoch, before.until).await?
                && let Some(before) = unanswered.take()
            {
                return Ok(before.batch);
            }
            unanswered = None;
            let (until, batch) = line.batch(commands, &needs, link, epoch).await?;
            // Everything before was answered without an error, so this cannot turn into a rollback unseen.
            match line.client.batch_execute("COMMIT").await.map_err(Trouble::from) {
                Ok(()) => Ok(batch),
                Err(trouble) => {
                    unanswered = Some(Unanswered { until, batch });
                    Err(trouble)
                }
            }
        })?;
        self.link = link;
        Ok(committed)
    }

    fn available(&mut self, account: AccountId, asset: &Asset) -> Result<i64, EngineError> {
        let mut needs = Needs::default();
        needs.wallets.insert((account, asset.clone()), false);
        self.insist(async |line, _, _| {
            let mut rows = Rows::default();
            // The balance and its holds from one snapshot: no lock keeps others from writing in between.
            line.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            line.fetch(&fetch::plan(&needs, &rows), &mut rows, &mut Seen::new()).await?;
            line.client.batch_execute("COMMIT").await?;
            Ok(rows.wallet(account, asset).available())
        })
    }

    fn keep_receipts(&mut self, receipts: &[&Receipt]) -> Result<(), EngineError> {
        let last: BTreeMap<String, &Receipt> =
            receipts.iter().map(|receipt| (receipt.id.to_string(), *receipt)).collect();
        let ids: Vec<&String> = last.keys().collect();
        let accounts: Vec<String> = last.values().map(|receipt| receipt.account.to_string()).collect();
        let times: Vec<i64> = last.values().map(|receipt| receipt.at.0).collect();
        let bodies: Vec<&str> = last.values().map(|receipt| receipt.body.as_str()).collect();
        self.insist(async |line, _, _| {
            let put = "INSERT INTO receipt (id, account, at, body)
                       SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[])
                       ON CONFLICT (id) DO UPDATE SET body = excluded.body";
            let put = line.prepared(put).await?;
            // Evidence, not money: no batch waits for a flush of theirs. The flush of the next one takes them along.
            line.client.batch_execute("BEGIN; SET LOCAL synchronous_commit = off").await?;
            line.client.execute(&put, &[&ids, &accounts, &times, &bodies]).await?;
            line.client.batch_execute("COMMIT").await?;
            Ok(())
        })
    }

    fn beat(&mut self, journal: &Journal) -> Result<bool, EngineError> {
        let carries = self.beats.is_multiple_of(BEATS_PER_PROGRESS);
        let sweeps = self.beats.is_multiple_of(BEATS_PER_SWEEP);
        self.beats += 1;
        let progress = if carries { journal.take_fresh() } else { Vec::new() };
        if sweeps || !progress.is_empty() {
            self.insist(async |line, _, _| line.carry(&progress, sweeps).await)?;
        }
        let found = self.insist(async |line, _, epoch| {
            line.renew(epoch).await?;
            let query = line.prepared("SELECT value FROM meta WHERE name = 'keys'").await?;
            Ok(line.client.query_opt(&query, &[]).await?.map_or(0, |row| row.get(0)))
        })?;
        Ok(std::mem::replace(&mut self.keys, found) != found)
    }

    fn has_duty(&mut self, duty: Duty) -> Result<bool, EngineError> {
        self.insist(async |line, _, epoch| line.take_duty(duty, epoch).await)
    }

    fn close(&mut self) {
        let epoch = self.epoch;
        // Only the sooner: a lease that stays ends by itself.
        let _ = self.insist(async |line, _, _| {
            line.client.execute("UPDATE node_lease SET until = now() WHERE epoch = $1", &[&epoch]).await?;
            Ok(())
        });
    }
}

impl Line {
    /// Writes down what open calls have used so far, for whoever ends them if this node is gone.
    async fn carry(&mut self, progress: &[(RequestId, Usage)], sweeps: bool) -> Result<(), Trouble> {
        let ids: Vec<String> = progress.iter().map(|(id, _)| id.to_string()).collect();
        let used = progress.iter().map(|(_, usage)| serde_json::to_string(usage).unwrap_or_default());
        let used: Vec<String> = used.collect();
        let put = "INSERT INTO hold_progress (id, used)
                   SELECT p.id, p.used FROM UNNEST($1::text[], $2::text[]) AS p (id, used)
                   JOIN hold h ON h.id = p.id AND h.state = 'open'
                   ON CONFLICT (id) DO UPDATE SET used = excluded.used";
        let put = self.prepared(put).await?;
        let sweep = "DELETE FROM hold_progress p WHERE NOT EXISTS (
                         SELECT 1 FROM hold h WHERE h.id = p.id AND h.state IN ('open', 'orphan'))";
        let sweep = self.prepared(sweep).await?;
        // A hint, not money: no flush is waited for. The flush of the next batch takes it along.
        self.client.batch_execute("BEGIN; SET LOCAL synchronous_commit = off").await?;
        if !ids.is_empty() {
            self.client.execute(&put, &[&ids, &used]).await?;
        }
        if sweeps {
            self.client.execute(&sweep, &[]).await?;
        }
        self.client.batch_execute("COMMIT").await?;
        Ok(())
    }

    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: HashMap::new() }
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement, Trouble> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Says that this run is alive, and until when, which no other transaction of this run says: by that it is known
    /// again. Whom others took for dead may write nothing more: his holds are theirs to end.
    async fn renew(&mut self, epoch: i64) -> Result<i64, Trouble> {
        let renew = format!(
            "UPDATE node_lease SET until = greatest(now() + interval '{LEASE}', until + interval '1 microsecond')
             WHERE epoch = $1 AND until > now() RETURNING {UNTIL}"
        );
        let renew = self.prepared(&renew).await?;
        match self.client.query_opt(&renew, &[&epoch]).await? {
            Some(row) => Ok(row.get(0)),
            None => {
                Err(Trouble::Fatal(format!("the lease of epoch {epoch} has ended: others settle its calls")))
            }
        }
    }

    /// Makes this run the one that does `duty`, if the one that was is dead. Its row is locked before the leases are looked
    /// at: whoever had it meanwhile is seen with his.
    async fn take_duty(&mut self, duty: Duty, epoch: i64) -> Result<bool, Trouble> {
        let first =
            self.prepared("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING").await?;
        let lock = self.prepared("SELECT value FROM meta WHERE name = $1 FOR UPDATE").await?;
        let take = "UPDATE meta SET value = $2 WHERE name = $1 AND (value = $2 OR NOT EXISTS (
                        SELECT 1 FROM node_lease WHERE node_lease.epoch = meta.value AND node_lease.until > now()))";
        let take = self.prepared(take).await?;
        let name = duty.as_str();
        self.client.batch_execute("BEGIN").await?;
        self.renew(epoch).await?;
        self.client.execute(&first, &[&name, &epoch]).await?;
        self.client.query_one(&lock, &[&name]).await?;
        let taken = self.client.execute(&take, &[&name, &epoch]).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(taken == 1)
    }

    /// True where the batch that renewed the lease until then is done. Waits for a session that still works on it.
    async fn is_done(&mut self, epoch: i64, until: i64) -> Result<bool, Trouble> {
        let lease = format!("SELECT {UNTIL} FROM node_lease WHERE epoch = $1 FOR UPDATE");
        let lease = self.prepared(&lease).await?;
        let found = self.client.query_opt(&lease, &[&epoch]).await?;
        Ok(found.is_some_and(|row| row.get::<_, i64>(0) == until))
    }

    /// Loads, decides and writes; to be committed. Until when it renews the lease, and what it comes to.
    async fn batch(
        &mut self,
        commands: &[&Command],
        needs: &Needs,
        link: &Link,
        epoch: i64,
    ) -> Result<(i64, (Committed, Link)), Trouble> {
        self.client.batch_execute("BEGIN").await?;
        let until = self.renew(epoch).await?;
        let mut rows = Rows::default();
        let mut seen = Seen::new();
        let mut known = self.load(commands, needs, &mut rows, &mut seen).await?;
        let applied = apply(&mut rows, &mut known, commands, link.at);
        let link = self.write(link, commands, &applied, &seen).await?;
        if applied.iter().flat_map(|applied| &applied.ops).any(|op| matches!(op, RowOp::Key(_))) {
            let count = "INSERT INTO meta (name, value) VALUES ('keys', 1)
                         ON CONFLICT (name) DO UPDATE SET value = meta.value + 1";
            let count = self.prepared(count).await?;
            self.client.execute(&count, &[]).await?;
        }
        Ok((until, (Committed::new(applied, needs, &rows), link)))
    }

    async fn load(
        &mut self,
        commands: &[&Command],
        needs: &Needs,
        rows: &mut Rows,
        seen: &mut Seen,
    ) -> Result<HashMap<String, Remembered>, Trouble> {
        let mut fetches = fetch::plan(needs, rows);
        // Accounts first and alone: whoever has an account locked may read and write all that is its own, and what is
        // read after the lock is what the holder before left.
        let accounts = fetches.iter().position(|fetch| std::ptr::eq(fetch.table, &raw const ACCOUNT));
        if let Some(accounts) = accounts.map(|index| fetches.remove(index)) {
            self.fetch(&[accounts], rows, seen).await?;
        }
        self.fetch(&fetches, rows, seen).await?;
        let further = fetch::plan_further(needs, rows);
        self.fetch(&further, rows, seen).await?;
        self.remembered(commands).await
    }

    /// Carries the look-ups out, one statement each, all on their way at once; with balances goes what their accounts'
    /// open holds set aside.
    async fn fetch(&mut self, fetches: &[Fetch], rows: &mut Rows, seen: &mut Seen) -> Result<(), Trouble> {
        let mut prepared = Vec::with_capacity(fetches.len());
        for fetch in fetches {
            let statement = self.prepared(&select(fetch)).await?;
            let keys = (0..fetch.by.len()).map(|place| column(&fetch.keys, place, Kind::Text));
            prepared.push((statement, keys.collect::<Vec<_>>()));
        }
        let accounts: Vec<&str> = fetch::whose_balances(fetches).into_iter().collect();
        let sums = if accounts.is_empty() { None } else { Some(self.prepared(&sums()).await?) };
        let client = &self.client;
        let running = prepared
            .iter()
            .map(|(statement, arrays)| async move { client.query(statement, &params(arrays)).await });
        let sum = async {
            match &sums {
                Some(sums) => client.query(sums, &[&accounts]).await,
                None => Ok(Vec::new()),
            }
        };
        let (found, sums) = try_join(try_join_all(running), sum).await?;
        let mut held = Held::default();
        for row in sums {
            held.add(&values(&row)?)?;
        }
        for (fetch, found) in fetches.iter().zip(found) {
            for row in found {
                let row = values(&row)?;
                rows.put(&held.filled(fetch.table.read(&row)?)?);
                seen.entry(fetch.table.name).or_default().insert(fetch.table.key_of(&row));
            }
        }
        Ok(())
    }

    /// What was answered to these commands' keys before.
    async fn remembered(&mut self, commands: &[&Command]) -> Result<HashMap<String, Remembered>, Trouble> {
        let keys: Vec<&str> = commands
            .iter()
            .filter(|command| !command.remembered_by_its_row())
            .map(|command| command.key.as_str())
            .collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let query =
            self.prepared("SELECT payload_hash, outcome, key FROM command WHERE key = ANY($1)").await?;
        let mut known = HashMap::new();
        for row in self.client.query(&query, &[&keys]).await? {
            let row = values(&row)?;
            let mut cells = Cells::new(&row);
            let remembered = read_remembered(&mut cells)?;
            known.insert(cells.text()?, remembered);
        }
        Ok(known)
    }

    /// Writes each table's rows with one statement, all on their way at once; each must have written every row.
    async fn write(
        &mut self,
        link: &Link,
        commands: &[&Command],
        applied: &[Applied],
        seen: &Seen,
    ) -> Result<Link, Trouble> {
        let mut last: BTreeMap<Place<'_>, &RowOp> = BTreeMap::new();
        let mut entries: Vec<&Entry> = Vec::new();
        for op in applied.iter().flat_map(|applied| &applied.ops) {
            match (place(op), op) {
                (_, RowOp::Entry(entry)) => entries.push(entry),
                (Some(place), row) => drop(last.insert(place, row)),
                (None, _) => {}
            }
        }
        let mut writes: Vec<Write> = Vec::new();
        for (table, row) in last.values().filter_map(|row| columns_of(row)) {
            let there = seen.get(table.name).is_some_and(|keys| keys.contains(&table.key_of(&row)));
            // Writing anew what never changes is a mistake, and fails as one.
            let changes = table.columns.iter().any(|column| column.changes);
            let how = if there && changes { How::Change } else { How::Put };
            match writes.iter_mut().find(|write| std::ptr::eq(write.table, table) && write.how == how) {
                Some(write) => write.rows.push(row),
                None => writes.push(Write { table, how, rows: vec![row] }),
            }
        }
        let remembered: Vec<Vec<Value>> = commands
            .iter()
            .zip(applied)
            .filter_map(|(command, applied)| Some(command_columns(command, applied.remember.as_ref()?)))
            .collect();
        if !remembered.is_empty() {
            writes.push(Write::put(&COMMAND, remembered));
        }
        let mut end = link.clone();
        if let Some((next, columns, lines)) = link.next(&entries) {
            let lines = lines.iter().map(crate::store::tables::JournalLine::columns).collect();
            writes.push(Write::put(&ENTRY, lines));
            writes.push(Write::put(&CHAIN, vec![columns]));
            end = next;
        }
        self.put(&writes).await?;
        for (table, key) in last.values().filter_map(|row| gone(row)) {
            self.remove(table, key).await?;
        }
        Ok(end)
    }

    /// Removes a row: few ever go.
    async fn remove(&mut self, table: &Table, key: Vec<Value>) -> Result<(), Trouble> {
        let kinds = table.columns.iter().filter(|column| table.key.contains(&column.name));
        let by: Vec<String> = kinds
            .clone()
            .enumerate()
            .map(|(i, column)| format!("{} = ANY(${})", column.name, i + 1))
            .collect();
        let sql = format!("DELETE FROM {} WHERE {}", table.name, by.join(" AND "));
        let statement = self.prepared(&sql).await?;
        let rows = [key];
        let arrays: Vec<Array> = kinds.enumerate().map(|(place, of)| column(&rows, place, of.kind)).collect();
        // None goes where the batch itself had put it.
        self.client.execute(&statement, &params(&arrays)).await?;
        Ok(())
    }

    /// Puts rows into their tables: see [`Line::write`].
    pub(super) async fn put(&mut self, writes: &[Write]) -> Result<(), Trouble> {
        let mut prepared = Vec::with_capacity(writes.len());
        for Write { table, how, rows } in writes {
            let (sql, places) = match how {
                How::Put => (upsert(table), (0..table.columns.len()).collect()),
                How::Change => change(table),
            };
            prepared.push((self.prepared(&sql).await?, columns(table, rows, &places)));
        }
        let client = &self.client;
        let running = prepared
            .iter()
            .map(|(statement, arrays)| async move { client.execute(statement, &params(arrays)).await });
        for (Write { table, rows, .. }, written) in writes.iter().zip(try_join_all(running).await?) {
            if written != rows.len() as u64 {
                return Err(Trouble::Fatal(format!(
                    "{written} of {} rows were written to {}",
                    rows.len(),
                    table.name
                )));
            }
        }
        Ok(())
    }
}

/// Rows of one table on their way to the server.
pub(super) struct Write {
    table: &'static Table,
    how: How,
    rows: Vec<Vec<Value>>,
}

impl Write {
    /// Rows that may or may not be there.
    pub(super) const fn put(table: &'static Table, rows: Vec<Vec<Value>>) -> Self {
        Self { table, how: How::Put, rows }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// They may or may not be there.
    Put,
    /// They are there.
    Change,
}

/// The rows of one column, as an array that the server takes.
enum Array {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// Some columns of rows, each as an array.
fn columns(table: &Table, rows: &[Vec<Value>], places: &[usize]) -> Vec<Array> {
    places.iter().map(|&place| column(rows, place, table.columns[place].kind)).collect()
}

/// One column of rows.
fn column(rows: &[Vec<Value>], place: usize, kind: Kind) -> Array {
    let cells = rows.iter().map(|row| &row[place]);
    match kind {
        Kind::Int => {
            Array::Ints(cells.map(|cell| if let Value::Int(it) = cell { Some(*it) } else { None }).collect())
        }
        Kind::Text => Array::Texts(
            cells.map(|cell| if let Value::Text(it) = cell { Some(it.clone()) } else { None }).collect(),
        ),
        Kind::Bytes => Array::Bytes(
            cells.map(|cell| if let Value::Bytes(it) = cell { Some(it.clone()) } else { None }).collect(),
        ),
    }
}

fn params(arrays: &[Array]) -> Vec<&(dyn ToSql + Sync)> {
    arrays
        .iter()
        .map(|array| match array {
            Array::Ints(numbers) => numbers as &(dyn ToSql + Sync),
            Array::Texts(texts) => texts,
            Array::Bytes(bytes) => bytes,
        })
        .collect()
}

fn array_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "bigint[]",
        Kind::Text => "text[]",
        Kind::Bytes => "bytea[]",
    }
}

/// The SELECT for any number of keys, as one array a column. Rows that several accounts' commands may name are locked,
/// in one order; what belongs to one account its account's lock covers.
fn select(fetch: &Fetch) -> String {
    let columns: Vec<String> =
        fetch.table.columns.iter().map(|column| format!("t.{}", column.name)).collect();
    let arrays: Vec<String> = (1..=fetch.by.len()).map(|number| format!("${number}::text[]")).collect();
    let keys: Vec<String> = (1..=fetch.by.len()).map(|number| format!("k{number}")).collect();
    let on: Vec<String> =
        fetch.by.iter().enumerate().map(|(index, column)| format!("t.{column} = k.k{}", index + 1)).collect();
    let only = fetch.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
    let order: Vec<String> = fetch.table.key.iter().map(|column| format!("t.{column}")).collect();
    format!(
        "SELECT {} FROM {} t JOIN UNNEST({}) AS k ({}) ON {}{only} ORDER BY {}{}",
        columns.join(", "),
        fetch.table.name,
        arrays.join(", "),
        keys.join(", "),
        on.join(" AND "),
        order.join(", "),
        if fetch.table.stands_alone() { " FOR NO KEY UPDATE OF t" } else { "" },
    )
}

/// What the open holds of any number of accounts set aside, in one statement. Account by account: how many holds are open
/// the server does not know, and takes them for few, which it would all compare with each account.
fn sums() -> String {
    let of_each = held::sums("hold h WHERE h.account = k.account");
    format!("SELECT s.* FROM UNNEST($1::text[]) AS k (account) CROSS JOIN LATERAL ({of_each}) AS s")
}

/// Any number of rows at once: see the embedded engine's for what a second writing changes.
fn upsert(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| format!("${}::{}", index + 1, array_of(column.kind)))
        .collect();
    let insert = format!(
        "INSERT INTO {} ({}) SELECT * FROM UNNEST({})",
        table.name,
        table.column_list(),
        arrays.join(", ")
    );
    let changes: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.changes)
        .map(|column| format!("{0} = excluded.{0}", column.name))
        .collect();
    if changes.is_empty() {
        return insert;
    }
    format!("{insert} ON CONFLICT ({}) DO UPDATE SET {}", table.key.join(", "), changes.join(", "))
}

/// Any number of rows that are there at once, and the places of the columns it takes: the key and what may change.
fn change(table: &Table) -> (String, Vec<usize>) {
    let of_key = |name: &str| table.key.contains(&name);
    let places: Vec<usize> = (0..table.columns.len())
        .filter(|&place| table.columns[place].changes || of_key(table.columns[place].name))
        .collect();
    let taken = || places.iter().map(|&place| &table.columns[place]);
    let names: Vec<&str> = taken().map(|column| column.name).collect();
    let arrays: Vec<String> = taken()
        .enumerate()
        .map(|(index, column)| format!("${}::{}", index + 1, array_of(column.kind)))
        .collect();
    let set: Vec<String> =
        taken().filter(|column| column.changes).map(|column| format!("{0} = new.{0}", column.name)).collect();
    let on: Vec<String> =
        table.key.iter().map(|name| format!("{0}.{name} = new.{name}", table.name)).collect();
    let sql = format!(
        "UPDATE {} SET {} FROM UNNEST({}) AS new ({}) WHERE {}",
        table.name,
        set.join(", "),
        arrays.join(", "),
        names.join(", "),
        on.join(" AND ")
    );
    (sql, places)
}
