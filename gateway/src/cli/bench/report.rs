//! The figures, for people and for machines.

use std::{fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use super::{plain_sqlite::Played, server::Served, tape::Count, watch::Took};

/// Raised when a member of the report changes its meaning or goes.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// What is kept of a distribution; 0 and 100 are its bounds.
const PERCENTILES: [f64; 7] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// One scenario, measured.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) accounts: usize,
    pub(super) requests: u64,
    pub(super) open: usize,
    pub(super) took: Took,
    pub(super) ticks_per_second: u64,
    pub(super) admitted: Histogram<u64>,
    pub(super) durable: Histogram<u64>,
    pub(super) blocked: Histogram<u64>,
    /// What the store wrote, as its own file tells.
    pub(super) rows: Count,
    pub(super) per_commit: Histogram<u64>,
    /// By how much the store's closed files grew, in bytes.
    pub(super) grew: u64,
    pub(super) plain: Played,
    /// By how much the plain loop's did.
    pub(super) plain_grew: u64,
    pub(super) postgres: Option<(Served, Played)>,
    pub(super) memory: Memory,
    pub(super) books: Books,
}

/// Resident memory, in KiB.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Memory {
    /// Before the measured run.
    pub(super) before_kib: Option<u64>,
    /// After it.
    pub(super) after_kib: Option<u64>,
    /// After four times as many commands on the same books, where that was asked for.
    pub(super) after_four_times_kib: Option<u64>,
    /// Commands a second over the other three quarters: history must not slow the store down either.
    pub(super) later_commands_per_second: Option<u64>,
}

/// Whether the books agree with what callers were told.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Books {
    /// The sum of what callers were told, in nano-yuan.
    pub(super) told_nano_cny: String,
    /// The sum of what the ledger charged.
    pub(super) charged_nano_cny: String,
    /// How long the ledger looked through the whole of its books and found nothing; if it was asked to.
    pub(super) verify_ms: Option<u64>,
}

fn per_second(count: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

impl Run {
    fn commands(&self) -> u64 {
        self.requests * 2
    }

    fn store_rate(&self) -> u64 {
        per_second(self.commands(), self.took.time)
    }

    fn plain_rate(&self) -> u64 {
        per_second(self.plain.rows.commands() as u64, self.plain.took)
    }

    /// The store's rate in percent of the plain loop's.
    fn ratio(&self) -> u64 {
        self.store_rate() * 100 / self.plain_rate().max(1)
    }

    /// The same by processor time of the writing threads alone: what is left of the ratio on a machine that is busy with
    /// other things.
    fn ratio_by_cpu(&self) -> Option<u64> {
        self.plain.cpu_nanos.zip(self.took.writer_nanos).map(|(plain, store)| plain * 100 / store.max(1))
    }

    /// Milliseconds of processor time for a thousand commands, out of nanoseconds.
    fn cpu_ms(&self, nanos: u64) -> f64 {
        nanos as f64 / 1_000.0 / self.commands() as f64
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let requests = self.requests as f64;
        let process_nanos =
            self.took.process_ticks.map(|ticks| ticks * 1_000_000_000 / self.ticks_per_second);
        let per_request = |bytes: u64| (bytes as f64 / requests).round();
        let rows = |rows: &Count| {
            json!({
                "holds_inserted": rows.holds_inserted as f64 / requests,
                "holds_updated": rows.holds_updated as f64 / requests,
                "wallets": rows.wallets as f64 / requests,
                "lots": rows.lots as f64 / requests,
                "entries": rows.entries as f64 / requests,
                "chain": rows.chain as f64 / requests,
                "receipts": rows.receipts as f64 / requests,
                "all": rows.rows() as f64 / requests,
            })
        };
        let postgres = self.postgres.as_ref().map(|(served, played)| {
            let ticks = served.took.process_ticks;
            let process_nanos = ticks.map(|ticks| ticks * 1_000_000_000 / self.ticks_per_second);
            json!({
                "store": {
                    "commands_per_second": per_second(self.commands(), served.took.time),
                    "seconds": served.took.time.as_secs_f64(),
                    "commits": served.commits,
                    "log_bytes_per_request": served.logged.map(per_request),
                    "cpu_ms_per_1000_commands": {
                        "process": process_nanos.map(|nanos| self.cpu_ms(nanos)),
                        "writer": served.took.writer_nanos.map(|nanos| self.cpu_ms(nanos)),
                    },
                    "admission_us": microseconds(&served.admitted),
                    "durable_us": microseconds(&served.durable),
                    "noise_percent_of_cores": served.took.noise,
                },
                "plain": {
                    "commands_per_second": per_second(played.rows.commands() as u64, played.took),
                    "seconds": played.took.as_secs_f64(),
                    "commits": played.commits,
                    "rows_per_request": rows(&played.rows),
                    "log_bytes_per_request": played.written.map(per_request),
                },
            })
        });
        json!({
            "name": self.name,
            "accounts": self.accounts,
            "calls_open": self.open,
            "requests": self.requests,
            "commands": self.commands(),
            "store": {
                "commands_per_second": self.store_rate(),
                "seconds": self.took.time.as_secs_f64(),
                "commits": self.took.commits,
                "commands_per_commit": plain_numbers(&self.per_commit),
                "rows_per_request": rows(&self.rows),
                "cpu_ms_per_1000_commands": {
                    "process": process_nanos.map(|nanos| self.cpu_ms(nanos)),
                    "writer": self.took.writer_nanos.map(|nanos| self.cpu_ms(nanos)),
                },
                "bytes_per_request": {
                    "kept": per_request(self.grew),
                    "written": self.took.written.map(per_request),
                },
                "admission_us": microseconds(&self.admitted),
                "admission_while_blocked_us": microseconds(&self.blocked),
                "durable_us": microseconds(&self.durable),
            },
            "plain": {
                "commands_per_second": self.plain_rate(),
                "seconds": self.plain.took.as_secs_f64(),
                "commits": self.plain.commits,
                "rows_per_request": rows(&self.plain.rows),
                "cpu_ms_per_1000_commands": { "writer": self.plain.cpu_nanos.map(|nanos| self.cpu_ms(nanos)) },
                "bytes_per_request": {
                    "kept": per_request(self.plain_grew),
                    "written": self.plain.written.map(per_request),
                },
            },
            "store_in_percent_of_plain": { "by_time": self.ratio(), "by_cpu_of_writer": self.ratio_by_cpu() },
            "postgres": postgres,
            "memory": self.memory,
            "money": self.books,
            "noise_percent_of_cores": { "store": self.took.noise, "plain": self.plain.noise },
        })
    }

    /// As a few lines.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let rows = self.rows.rows() as f64 / self.requests as f64;
        writeln!(
            out,
            "{}: {} requests on {} accounts, {} open at once",
            self.name, self.requests, self.accounts, self.open
        )?;
        let cpu = |nanos: Option<u64>| {
            nanos.map_or_else(|| "?".to_owned(), |nanos| format!("{:.1}", self.cpu_ms(nanos)))
        };
        writeln!(
            out,
            "  store        {:>7} commands/s   writer's CPU {} ms per 1000   {} commits   {rows:.2} rows a request",
            self.store_rate(),
            cpu(self.took.writer_nanos),
            self.took.commits.unwrap_or(0),
        )?;
        writeln!(
            out,
            "  plain loop   {:>7} commands/s   CPU {} ms per 1000   {} commits   the store does {} % of it, {} % by CPU",
            self.plain_rate(),
            cpu(self.plain.cpu_nanos),
            self.plain.commits,
            self.ratio(),
            self.ratio_by_cpu().map_or_else(|| "?".to_owned(), |percent| percent.to_string()),
        )?;
        if let Some((served, played)) = &self.postgres {
            let rate = per_second(self.commands(), served.took.time);
            let plain = per_second(played.rows.commands() as u64, played.took);
            writeln!(
                out,
                "  PostgreSQL   {rate:>7} commands/s   writer's CPU {} ms per 1000   {} commits   a plain loop {plain}",
                cpu(served.took.writer_nanos),
                served.commits,
            )?;
        }
        for (name, took) in
            [("admission", &self.admitted), ("  blocked", &self.blocked), ("on disk", &self.durable)]
        {
            let at = |percent| took.value_at_percentile(percent) as f64 / 1_000.0;
            writeln!(
                out,
                "  {name:<11}  p50 {:.1}  p99 {:.1}  p99.9 {:.1} us",
                at(50.0),
                at(99.0),
                at(99.9)
            )?;
        }
        let kib = |kib: Option<u64>| {
            kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0))
        };
        write!(
            out,
            "  memory       {} MiB before, {} after",
            kib(self.memory.before_kib),
            kib(self.memory.after_kib)
        )?;
        if let Some(later) = self.memory.after_four_times_kib {
            let rate = self.memory.later_commands_per_second.unwrap_or(0);
            write!(out, ", {} after four times as many ({rate} commands/s)", kib(Some(later)))?;
        }
        writeln!(out)?;
        for (name, noise) in [("store", self.took.noise), ("plain", self.plain.noise)] {
            let Some(noise) = noise else { continue };
            writeln!(out, "  processors   {name} {}", serde_json::to_string(&noise).unwrap_or_default())?;
        }
        Ok(())
    }
}

pub(super) fn microseconds(nanoseconds: &Histogram<u64>) -> Value {
    percentiles(nanoseconds, |value| json!(value as f64 / 1_000.0))
}

fn plain_numbers(numbers: &Histogram<u64>) -> Value {
    percentiles(numbers, |value| json!(value))
}

fn percentiles(of: &Histogram<u64>, show: impl Fn(u64) -> Value) -> Value {
    let mut members = serde_json::Map::new();
    members.insert("count".to_owned(), json!(of.len()));
    for percent in PERCENTILES {
        members.insert(format!("p{percent}"), show(of.value_at_percentile(percent)));
    }
    Value::Object(members)
}
