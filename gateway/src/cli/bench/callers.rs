//! Many calls at once, each as the gateway makes it: set aside in memory, wait until the hold is on disk, settle.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use payments::{
    holds::{Charged, HoldRequest, Holds, OpenHold},
    ledger::HoldQuote,
    store::Receipt,
};
use rusqlite::Connection;
use tokio::task::JoinSet;
use units::{AccountId, Clock, Livemode, NanoCny, Rate, Rates, RequestId, Tokens, Usage};

use super::books::{Books, Customers};

/// Nano-yuan per token: 17.81, 1.78 and 71.23 yuan per million.
const INPUT: i64 = 17_810;
const CACHED: i64 = 1_780;
const OUTPUT: i64 = 71_230;
/// What a call may come to at most, in tokens.
const INPUT_BOUND: u64 = 1_300;
const OUTPUT_BOUND: u64 = 1_024;
/// What is held for a call, in nano-yuan.
pub(super) const HELD: i64 = INPUT * INPUT_BOUND as i64 + OUTPUT * OUTPUT_BOUND as i64;
/// Calls open at once before anything is measured.
const WARMING: usize = 256;
/// Latencies are kept in this many parts, so that callers do not wait for each other to note theirs.
const PARTS: usize = 16;
/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// What a receipt of the gateway is long, in bytes.
const RECEIPT_BYTES: usize = 600;

/// How long things took, in nanoseconds.
#[derive(Debug)]
pub(super) struct Latencies(Vec<Mutex<Pair>>);

#[derive(Debug)]
struct Pair {
    admitted: Histogram<u64>,
    durable: Histogram<u64>,
}

/// An empty distribution of nanoseconds.
pub(super) fn nanoseconds() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

impl Latencies {
    /// None yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        let part = |_| Ok(Mutex::new(Pair { admitted: nanoseconds()?, durable: nanoseconds()? }));
        (0..PARTS).map(part).collect::<anyhow::Result<_>>().map(Self)
    }

    fn note(&self, caller: usize, admitted: Duration, durable: Duration) {
        let mut part = self.0[caller % PARTS].lock().unwrap_or_else(PoisonError::into_inner);
        part.admitted.saturating_record(nanos(admitted));
        part.durable.saturating_record(nanos(durable));
    }

    /// From asking until the money was set aside in memory; and from there until the hold was on disk.
    pub(super) fn all(&self) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
        let (mut admitted, mut durable) = (nanoseconds()?, nanoseconds()?);
        for part in &self.0 {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            admitted.add(&part.admitted)?;
            durable.add(&part.durable)?;
        }
        Ok((admitted, durable))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A call that is open.
struct Call {
    id: RequestId,
    account: AccountId,
    hold: OpenHold,
}

/// Who asks, of whom.
pub(super) struct Callers {
    holds: Holds,
    clock: Arc<dyn Clock>,
    customers: Arc<Customers>,
    receipt: Arc<str>,
}

impl Callers {
    /// These customers' calls on these books.
    pub(super) fn new(books: &Books, customers: &Arc<Customers>) -> Arc<Self> {
        let body = format!("{{\"filler\":\"{}\"}}", "x".repeat(RECEIPT_BYTES));
        Arc::new(Self {
            holds: books.holds.clone(),
            clock: books.clock.clone(),
            customers: customers.clone(),
            receipt: body.into(),
        })
    }

    /// One call of every account, so that memory knows them all.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        let calls = stream::iter(&self.customers.accounts).map(|&account| async move {
            let mut call = self.admit(account).await?;
            call.hold.durable().await?;
            self.settle(call, None);
            anyhow::Ok(())
        });
        calls.buffer_unordered(WARMING).try_for_each(|()| async { Ok(()) }).await
    }

    /// Makes `requests` calls, `open` at a time, on accounts drawn by `seed`; what they were told to cost, in all.
    pub(super) async fn make(
        self: &Arc<Self>,
        requests: u64,
        open: usize,
        seed: u64,
        latencies: &Arc<Latencies>,
    ) -> anyhow::Result<i128> {
        let left = Arc::new(AtomicU64::new(requests));
        let mut callers = JoinSet::new();
        for caller in 0..open {
            let (this, left, latencies) = (self.clone(), left.clone(), latencies.clone());
            let mut draw = fastrand::Rng::with_seed(seed.wrapping_add(caller as u64));
            callers.spawn(async move {
                let mut told = 0;
                let one_less = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                    told += this.call(caller, &mut draw, &latencies).await?;
                }
                anyhow::Ok(told)
            });
        }
        let mut told = 0;
        while let Some(caller) = callers.join_next().await {
            told += caller??;
        }
        Ok(told)
    }

    async fn call(
        &self,
        caller: usize,
        draw: &mut fastrand::Rng,
        latencies: &Latencies,
    ) -> anyhow::Result<i128> {
        let account = self.customers.accounts[draw.usize(..self.customers.accounts.len())];
        let begun = Instant::now();
        let mut call = self.admit(account).await?;
        let admitted = begun.elapsed();
        call.hold.durable().await?;
        latencies.note(caller, admitted, begun.elapsed() - admitted);
        let usage = Usage {
            input: Tokens(draw.u64(200..INPUT_BOUND - 1_000)),
            cached_input: Tokens(1_000),
            output: Tokens(draw.u64(50..OUTPUT_BOUND)),
            ..Usage::default()
        };
        Ok(self.settle(call, Some(usage)).cost.get().into())
    }

    async fn admit(&self, account: AccountId) -> anyhow::Result<Call> {
        let rate = |nano| Rate::new(nano);
        let rates = Rates {
            input: rate(INPUT)?,
            cached_input: rate(CACHED)?,
            cache_write: rate(INPUT)?,
            output: rate(OUTPUT)?,
        };
        let id = RequestId::new(self.clock.now());
        let bound = Usage { input: Tokens(INPUT_BOUND), output: Tokens(OUTPUT_BOUND), ..Usage::default() };
        let request = HoldRequest {
            id,
            account,
            key: self.customers.key,
            money_only: false,
            livemode: Livemode::Demo,
            model: "deepseek-chat".to_owned(),
            quote: HoldQuote {
                price_version: "2026-11-01.1".to_owned(),
                fx_id: Some("USD-CNY-2026-11-01T00:00".to_owned()),
                rates,
                input_estimate: Tokens(INPUT_BOUND),
                window: None,
                tiers: Vec::new(),
                price_percent: None,
            },
            bound,
            most: bound,
        };
        Ok(Call { id, account, hold: self.holds.admit(request).await? })
    }

    fn settle(&self, call: Call, usage: Option<Usage>) -> Charged {
        let Call { id, account, hold } = call;
        let (at, body) = (self.clock.now(), self.receipt.to_string());
        hold.settle(usage.map(|usage| (usage, false)), |_| Receipt { id, account, at, body })
    }

    /// Admits `rounds` times `calls` calls while the writer cannot commit: another connection holds the file's write
    /// lock, which is where the writer then stands still, as it would in a flush that does not return. None of them can
    /// have waited for a commit, since there is none.
    pub(super) async fn while_blocked(
        &self,
        ledger: &Path,
        rounds: usize,
        calls: usize,
    ) -> anyhow::Result<Histogram<u64>> {
        let blocker = Connection::open(ledger)?;
        blocker.busy_timeout(Duration::from_secs(10))?;
        let mut admitted = nanoseconds()?;
        for round in 0..rounds {
            blocker.execute_batch("BEGIN IMMEDIATE")?;
            let mut open = Vec::with_capacity(calls);
            for call in 0..calls {
                let account = self.customers.accounts[(round + call) % self.customers.accounts.len()];
                let begun = Instant::now();
                let call = self.admit(account).await?;
                admitted.saturating_record(nanos(begun.elapsed()));
                open.push(call);
            }
            let first = open.first_mut().context("no call")?;
            ensure!(
                first.hold.durable().now_or_never().is_none(),
                "a hold was durable while nothing could commit"
            );
            blocker.execute_batch("ROLLBACK")?;
            for mut call in open {
                call.hold.durable().await?;
                self.settle(call, None);
            }
        }
        Ok(admitted)
    }
}

/// What calls take out of a balance when they cost the most they can.
pub(super) fn dearest(calls: u64) -> NanoCny {
    NanoCny::new(HELD.saturating_mul(i64::try_from(calls).unwrap_or(i64::MAX)))
}
