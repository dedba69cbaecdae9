//! How long does a page take behind a long history? Books are filled with a year of calls, by the same commands that
//! calls make, and then read as customers read them.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use load_tests::process::Machine;
use payments::{
    admission::Admission,
    journal::Journal,
    ledger::{AccountRole, Actor, Asset, Body, Command, HoldQuote, NewHold, SettleEnd, SettledBy},
    store::{
        Direction, Period, PostgresSettings, Receipt, StatementWish, Store, StoreSettings, Submission,
        Waiting,
    },
};
use serde_json::{Map, Value, json};
use units::{AccountId, KeyId, Livemode, NanoCny, Rate, Rates, RequestId, Timestamp, Tokens, Usage};

use super::{
    callers::nanoseconds,
    report::{SCHEMA_VERSION, microseconds},
};
use crate::cli::{Exit, Failed, copies::database, signals};

/// The first call of the year.
const BEGIN: Timestamp = Timestamp::from_secs(1_735_689_600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Commands on their way at once.
const ON_THEIR_WAY: usize = 4_096;
/// Lines of a page.
const PAGE: usize = 100;
/// Calls whose receipts are asked for.
const RECEIPTS: u64 = 10_000;
/// A call's cost: 30 tokens at 0.000002 yuan.
const RATE: i64 = 2_000;
const TOKENS: u64 = 30;

/// What `bench ledger-history` is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Lines of the journal.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    entries: u64,
    /// Accounts they are spread over; the first has half of them.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    accounts: u64,
    /// How often each reading is made.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    samples: u64,
    /// A folder on the disk to be measured; by default the one for temporary files. What is written there is removed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// An empty PostgreSQL database to be filled in place of a folder: its URL, or `env:NAME` or `file:PATH`. It stays filled.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A file for the report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `bench ledger-history`
pub(in crate::cli) async fn history(args: HistoryArgs) -> Result<Exit, Failed> {
    let url = args.postgres.as_deref().map(database).transpose()?;
    let report = tokio::select! {
        report = Box::pin(measure(&args, url.as_ref().map(|url| url.expose()))) => report?,
        stopped = signals::asked_to_stop() => {
            stopped?;
            return Err(anyhow!("interrupted").into());
        }
    };
    if let Some(path) = &args.json {
        fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())?;
        eprintln!("written to {}", path.display());
    }
    Ok(Exit::Ok)
}

async fn measure(args: &HistoryArgs, url: Option<&str>) -> anyhow::Result<Value> {
    let place = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir).with_context(|| dir.display().to_string())?,
        None => tempfile::tempdir()?,
    };
    let store = open(place.path(), url).await?;
    ensure!(store.accounts(None).await?.is_empty(), "the database holds rows already: name an empty one");
    let begun = Instant::now();
    let filled = fill(&store, args).await?;
    let filling = begun.elapsed();
    println!(
        "{} lines in {:.1} s ({} a second)",
        args.entries,
        filling.as_secs_f64(),
        args.entries * 1_000 / u64::try_from(filling.as_millis())?.max(1)
    );
    let begun = Instant::now();
    let findings = store.verify().await?.0;
    ensure!(findings.is_empty(), "the books do not hold: {}", findings.join("; "));
    let verifying = begun.elapsed();
    println!("verified in {:.1} s", verifying.as_secs_f64());
    // Opened again, so that nothing of the filling is in the way.
    store.close().await;
    let store = open(place.path(), url).await?;
    let readings = read(&store, args, &filled).await?;
    store.close().await;
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "what": "ledger-history",
        "build": load_tests::Build::this(),
        "machine": Machine::read(),
        "config": {
            "entries": args.entries,
            "accounts": args.accounts,
            "samples": args.samples,
            "engine": if url.is_some() { "postgresql" } else { "sqlite" },
            "lines_of_the_busiest_account": args.entries / 2,
        },
        "fill_seconds": filling.as_secs_f64(),
        "verify_seconds": verifying.as_secs_f64(),
        "file_bytes": fs::metadata(place.path().join("ledger.db")).map(|about| about.len()).ok(),
        "readings": readings,
    }))
}

async fn open(folder: &Path, url: Option<&str>) -> anyhow::Result<Store> {
    let (journal, _) = Journal::open(&folder.join("journal")).context("the journal")?;
    let journal = Arc::new(journal);
    if let Some(url) = url {
        let (url, node, admission) = (url.to_owned(), "bench".to_owned(), Arc::new(Admission::shared()));
        return Ok(Store::open_postgres(PostgresSettings { url, node, admission, journal }).await?);
    }
    let (folder, admission) = (folder.to_owned(), Arc::new(Admission::default()));
    let settings = StoreSettings { folder, admission, journal };
    Ok(tokio::task::spawn_blocking(move || Store::open(settings)).await??)
}

/// Who there is, and some of the calls.
struct Filled {
    accounts: Vec<AccountId>,
    calls: Vec<(RequestId, AccountId)>,
}

/// Makes a year of calls: a hold and a settlement each, and so a line of the journal each.
async fn fill(store: &Store, args: &HistoryArgs) -> anyhow::Result<Filled> {
    let accounts: Vec<AccountId> = (0..args.accounts).map(|_| AccountId::new(BEGIN)).collect();
    let key = KeyId::new(BEGIN);
    let mut sent = Sent { store, waiting: VecDeque::with_capacity(ON_THEIR_WAY) };
    for &id in &accounts {
        let (livemode, name, role) = (Livemode::Demo, "bench".to_owned(), AccountRole::Customer);
        sent.send(command(format!("open:{id}"), BEGIN, Body::OpenAccount { id, livemode, name, role }))
            .await?;
        let grant = Body::GrantPromo { account: id, amount: NanoCny::from_yuan(1_000_000), expires_at: None };
        sent.send(command(format!("grant:{id}"), BEGIN, grant)).await?;
    }
    let mut calls = Vec::new();
    let lines = args.entries - args.accounts.min(args.entries);
    let step = u128::from(lines.max(1));
    for call in 0..lines {
        let at =
            BEGIN.after(Duration::from_micros(u64::try_from(YEAR.as_micros() * u128::from(call) / step)?));
        // Every second call is the busiest account's.
        let whose = if call % 2 == 0 { 0 } else { 1 + (call / 2) % (args.accounts - 1) };
        let account = accounts[usize::try_from(whose)?];
        let id = RequestId::new(at);
        if call % (lines / RECEIPTS.min(lines)) == 0 {
            calls.push((id, account));
        }
        for submission in one_call(store.epoch(), id, account, key, at) {
            sent.send(submission).await?;
        }
        if call % (lines / 20).max(1) == 0 {
            eprintln!("{call} of {lines} calls");
        }
    }
    sent.all().await?;
    store.flushed().await?;
    Ok(Filled { accounts, calls })
}

/// Commands on their way, the oldest waited for when there are too many.
struct Sent<'a> {
    store: &'a Store,
    waiting: VecDeque<Waiting>,
}

impl Sent<'_> {
    async fn send(&mut self, submission: Submission) -> anyhow::Result<()> {
        if self.waiting.len() >= ON_THEIR_WAY
            && let Some(oldest) = self.waiting.pop_front()
        {
            oldest.committed().await?;
        }
        self.waiting.push_back(self.store.slot().await?.send(submission));
        Ok(())
    }

    async fn all(&mut self) -> anyhow::Result<()> {
        for waiting in self.waiting.drain(..) {
            waiting.committed().await?;
        }
        Ok(())
    }
}

fn command(key: String, at: Timestamp, body: Body) -> Submission {
    Command { key, actor: Actor::system("bench"), reason: None, approver: None, at, body }.into()
}

fn one_call(epoch: i64, id: RequestId, account: AccountId, key: KeyId, at: Timestamp) -> [Submission; 2] {
    let rate = Rate::new(RATE).unwrap_or_default();
    let hold = NewHold {
        id,
        account,
        key,
        model: "bench".to_owned(),
        money: NanoCny::new(RATE * 100),
        legs: Vec::new(),
        quote: HoldQuote {
            price_version: "bench".to_owned(),
            fx_id: None,
            rates: Rates { input: rate, cached_input: rate, cache_write: rate, output: rate },
            input_estimate: Tokens(1),
            window: None,
            tiers: Vec::new(),
            price_percent: None,
        },
        epoch,
        dispatched: true,
        deadline: at.after(Duration::from_secs(600)),
    };
    let usage = Usage { input: Tokens(TOKENS), ..Usage::default() };
    let end = SettleEnd::Charge { usage, estimated: false, extra: NanoCny::ZERO };
    let by = SettledBy::Owner { epoch };
    let settle = Body::Settle { id, account, key, tokens: Vec::new(), by, end };
    let receipt = Receipt { id, account, at, body: format!("{{\"filler\":\"{}\"}}", "x".repeat(500)) };
    let settle = Submission { receipt: Some(receipt), ..command(format!("settle:{id}"), at, settle) };
    [command(format!("hold:{id}"), at, Body::Hold(hold)), settle]
}

/// Makes each reading so often, of accounts and instants that chance picks, half of them of the busiest.
async fn read(store: &Store, args: &HistoryArgs, filled: &Filled) -> anyhow::Result<Value> {
    let mut dice = fastrand::Rng::with_seed(1);
    let end = BEGIN.after(YEAR);
    let months = [
        ("statement page, first month", BEGIN),
        ("statement page, middle month", BEGIN.after(YEAR / 2)),
        ("statement page, last month", BEGIN.after(YEAR - MONTH)),
    ];
    let mut readings = Map::new();
    let mut tell = |name: &str, took: Histogram<u64>, rows_max: usize| {
        let at = |percent| took.value_at_percentile(percent) as f64 / 1_000.0;
        println!("  {name:<29} p50 {:>9.1}  p99 {:>9.1} us   at most {rows_max} rows", at(50.0), at(99.0));
        readings
            .insert(name.to_owned(), json!({"microseconds": microseconds(&took), "rows_read_max": rows_max}));
    };
    let mut who = move |accounts: &[AccountId]| {
        if dice.bool() { accounts[0] } else { accounts[dice.usize(1..accounts.len())] }
    };
    let (mut took, mut rows) = (nanoseconds()?, 0);
    for _ in 0..args.samples {
        let account = who(&filled.accounts);
        let begun = Instant::now();
        let balances = store.balances(account).await?;
        took.saturating_record(nanos(begun));
        rows = rows.max(balances.iter().map(|balance| 1 + balance.lots.len()).sum());
    }
    tell("balance page", took, rows);
    for (name, from) in months {
        let (mut took, mut rows) = (nanoseconds()?, 0);
        for turn in 0..args.samples {
            let direction = if turn % 2 == 0 { Direction::NewestFirst } else { Direction::OldestFirst };
            let wish = StatementWish {
                account: who(&filled.accounts),
                asset: Asset::Cny,
                period: Period::new(from, from.after(MONTH))?,
                direction,
                after: None,
                lines: PAGE,
            };
            let begun = Instant::now();
            let page = store.statement(wish).await?;
            took.saturating_record(nanos(begun));
            // Both ends of the period, the lines, and the one behind them.
            rows = rows.max(2 + page.lines.len() + usize::from(page.next.is_some()));
        }
        tell(name, took, rows);
    }
    let (mut took, mut instants) = (nanoseconds()?, fastrand::Rng::with_seed(2));
    for _ in 0..args.samples {
        let account = who(&filled.accounts);
        let at = Timestamp(instants.i64(BEGIN.0..end.0));
        let begun = Instant::now();
        store.balance_at(account, Asset::Cny, at).await?;
        took.saturating_record(nanos(begun));
    }
    tell("balance at an instant", took, 1);
    let mut took = nanoseconds()?;
    for _ in 0..args.samples {
        let (id, account) = filled.calls[instants.usize(..filled.calls.len())];
        let begun = Instant::now();
        let receipt = store.receipt(id, account).await?;
        took.saturating_record(nanos(begun));
        ensure!(receipt.is_some(), "the receipt of {id} is gone");
    }
    tell("receipt", took, 1);
    Ok(Value::Object(readings))
}

fn nanos(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
