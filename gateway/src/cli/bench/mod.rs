//! How much does the ledger carry? The store beside a plain loop that writes the same rows, in one run on one disk.
//!
//! `load-tests` measures from outside and shares no code with the product; this drives `payments` itself, and so lives
//! where the product is put together. It opens the store's file beside the store in two ways: read-only, to see what
//! was written, and once with the write lock held, to see that admission does not wait.

mod books;
mod callers;
mod history;
mod plain_postgres;
mod plain_sqlite;
mod report;
mod server;
mod tape;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use load_tests::process::{self, Machine};
use rusqlite::Connection;
use serde_json::json;

pub(super) use self::history::{HistoryArgs, history};
use self::{
    books::{Books, Funds},
    callers::{Callers, Latencies, dearest},
    report::{Memory, Run, SCHEMA_VERSION},
    tape::{Count, Tape},
    watch::Watch,
};
use super::{Exit, Failed, signals};

/// Calls that are admitted while the writer cannot commit; and how often over, at most.
const BLOCKED_CALLS: usize = 1_000;
const BLOCKED_ROUNDS_MAX: u64 = 20;
/// Measured commands for each of these rounds.
const COMMANDS_A_ROUND: u64 = 5_000;

/// What `bench ledger` is told.
#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    /// Commands that are measured, a hold and a settlement for each request; the memory test takes four times as many.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    commands: u64,
    /// Accounts that calls are spread over.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    accounts: u64,
    /// Calls that are open at once.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=3_500))]
    concurrency: u64,
    /// A folder on the disk to be measured; by default the one for temporary files. What is written there is removed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A file for the report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A PostgreSQL to make the same calls on, and to play the same rows into, each in a schema of its own that is removed.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Have the ledger look through the whole of its books afterwards; that may take longer than all the rest.
    #[arg(long)]
    verify: bool,
}

/// What differs between the runs.
struct Scenario {
    name: &'static str,
    accounts: usize,
    /// Whether three times as many commands follow, to see what memory does.
    goes_on: bool,
}

/// `bench ledger`
pub(super) async fn ledger(args: LedgerArgs) -> Result<Exit, Failed> {
    let accounts = usize::try_from(args.accounts)?;
    let mut runs = Vec::new();
    for scenario in [
        Scenario { name: "spread", accounts, goes_on: true },
        Scenario { name: "one hot account", accounts: 1, goes_on: false },
    ] {
        eprintln!("{}: {} commands", scenario.name, args.commands);
        let run = tokio::select! {
            run = Box::pin(measure(&args, &scenario)) => run?,
            stopped = signals::asked_to_stop() => {
                stopped?;
                return Err(anyhow!("interrupted").into());
            }
        };
        print!("{}", run.text());
        runs.push(run);
    }
    if let Some(path) = &args.json {
        let report = json!({
            "schema_version": SCHEMA_VERSION,
            "what": "ledger",
            "build": load_tests::Build::this(),
            "machine": Machine::read(),
            "config": {
                "commands": args.commands,
                "accounts": args.accounts,
                "concurrency": args.concurrency,
                "receipts": true,
                "postgres": args.postgres.is_some(),
            },
            "runs": runs.iter().map(Run::json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())?;
        eprintln!("written to {}", path.display());
    }
    Ok(Exit::Ok)
}

async fn measure(args: &LedgerArgs, scenario: &Scenario) -> anyhow::Result<Run> {
    let place = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir).with_context(|| dir.display().to_string())?,
        None => tempfile::tempdir()?,
    };
    let (folder, beside) = (place.path().join("store"), place.path().join("plain"));
    let requests = args.commands / 2;
    let open = usize::try_from(args.concurrency)?;
    let accounts = scenario.accounts;

    let books = Books::open(&folder).await?;
    let customers = Arc::new(books.furnish(accounts, funds(args, scenario)).await?);
    Callers::new(&books, &customers).warm_up().await?;
    books.close().await;
    // The plain loop begins with the very same files.
    copy(&folder, &beside)?;
    let size_before = watch::size(&folder)?;
    let first = tape::last_commit(&folder)?;

    let books = Books::open(&folder).await?;
    let callers = Callers::new(&books, &customers);
    callers.warm_up().await?;
    books.store.flushed().await?;
    let latencies = Arc::new(Latencies::new()?);
    let mut memory = Memory { before_kib: rss(), ..Memory::default() };
    let watch = Watch::begin(&folder);
    let mut told = callers.make(requests, open, 1, &latencies).await?;
    books.store.flushed().await?;
    let took = watch.end();
    memory.after_kib = rss();
    let (admitted, durable) = latencies.all()?;
    let last = tape::last_commit(&folder)?;
    if scenario.goes_on {
        let begun = Instant::now();
        told += callers.make(requests * 3, open, 2, &latencies).await?;
        books.store.flushed().await?;
        let rate = u128::from(requests) * 6 * 1_000 / begun.elapsed().as_millis().max(1);
        memory.later_commands_per_second = u64::try_from(rate).ok();
        memory.after_four_times_kib = rss();
    }
    drop(callers);
    books.close().await;
    // What one request keeps: over all of them, since the files' last pages are seldom full.
    let settled = if scenario.goes_on { requests * 4 } else { requests };
    let grew = (watch::size(&folder)? - size_before) * requests / settled;

    let books = Books::open(&folder).await?;
    let callers = Callers::new(&books, &customers);
    callers.warm_up().await?;
    let rounds = usize::try_from((args.commands / COMMANDS_A_ROUND).clamp(1, BLOCKED_ROUNDS_MAX))?;
    let blocked = callers.while_blocked(&folder.join("ledger.db"), rounds, BLOCKED_CALLS).await?;
    books.store.flushed().await?;
    let checked = check(&books, &folder, told, args.verify).await?;
    drop(callers);
    books.close().await;

    let (tape, (rows, per_commit)) = apart(move || {
        let tape = Tape::read(&folder, first, last)?;
        let counted = count(&tape)?;
        Ok((tape, counted))
    })
    .await?;
    ensure!(
        rows.holds_updated as u64 == requests && rows.holds_inserted as u64 == requests,
        "{requests} requests were made, and the store's file tells of {rows:?}"
    );
    let postgres = match &args.postgres {
        Some(url) => {
            let load = server::Load { accounts, funds: funds(args, scenario), requests, open };
            let served = server::serve(url, &place.path().join("node"), load).await?;
            Some((served, plain_postgres::play(&tape, url).await?))
        }
        None => None,
    };
    let (plain, plain_grew) = apart(move || {
        let plain = plain_sqlite::play(&tape, &beside)?;
        Ok((plain, watch::size(&beside)? - size_before))
    })
    .await?;
    Ok(Run {
        name: scenario.name,
        accounts,
        requests,
        open,
        took,
        ticks_per_second: process::ticks_per_second().await,
        admitted,
        durable,
        blocked,
        rows,
        per_commit,
        grew,
        plain,
        plain_grew,
        postgres,
        memory,
        books: checked,
    })
}

/// Runs what keeps a thread to itself on one where it may.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Enough for every call there will be, wherever chance puts it, and lots that end while it lasts.
fn funds(args: &LedgerArgs, scenario: &Scenario) -> Funds {
    let accounts = scenario.accounts as u64;
    let requests = args.commands / 2 * if scenario.goes_on { 4 } else { 1 };
    let expected = requests / accounts + 1;
    let open = args.concurrency + BLOCKED_CALLS as u64;
    Funds { first: dearest(expected / 8 + 1), last: dearest(expected * 4 + open + 100) }
}

/// The books against what callers were told and, if asked for, against themselves.
async fn check(books: &Books, folder: &Path, told: i128, whole: bool) -> anyhow::Result<report::Books> {
    let ledger = Connection::open(folder.join("ledger.db"))?;
    let sum = |query: &str| ledger.query_row(query, [], |row| row.get::<_, i64>(0)).map(i128::from);
    let charged = sum("SELECT coalesce(sum(cost), 0) FROM hold")?;
    ensure!(told == charged, "callers were told {told} nano-yuan, the ledger charged {charged}");
    let moved = sum("SELECT coalesce(sum(amount), 0) FROM entry WHERE kind = 'settle'")?;
    ensure!(told == moved, "callers were told {told} nano-yuan, the journal moved {moved}");
    let begun = Instant::now();
    if whole {
        let findings = books.store.verify().await?.0;
        ensure!(findings.is_empty(), "the books do not balance: {}", findings.join("; "));
    }
    Ok(report::Books {
        told_nano_cny: told.to_string(),
        charged_nano_cny: charged.to_string(),
        verify_ms: whole.then(|| u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
    })
}

fn count(tape: &Tape) -> anyhow::Result<(Count, Histogram<u64>)> {
    let (mut rows, mut per_commit) = (Count::default(), Histogram::new(3)?);
    for index in 0..tape.len() {
        let before = rows.commands();
        rows.add(&tape.batch(index)?);
        per_commit.record((rows.commands() - before) as u64)?;
    }
    Ok((rows, per_commit))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for name in ["ledger.db", "receipts.db"] {
        fs::copy(from.join(name), to.join(name)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn rss() -> Option<u64> {
    process::rss_kib(std::process::id())
}
