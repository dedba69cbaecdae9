//! The figures, for people and for machines.

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use crate::{
    load::{IN_FLIGHT_MAX, MODEL, Mode},
    money::{self, Money, Price},
    process::{Machine, MachineTicks},
    tally::{Cpu, Tally, Times},
    world::PRICE,
};

/// Raised when a member of `overhead.json` changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;
/// What is kept of a distribution; 0 and 100 are its bounds.
const PERCENTILES: [f64; 12] = [0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0];
/// What people are shown of it.
const SHOWN: [f64; 3] = [50.0, 90.0, 99.0];

/// What was measured, and what it is worth.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) valid: bool,
    pub(crate) why_invalid: Vec<String>,
    pub(crate) build: Build,
    pub(crate) machine: Machine,
    pub(crate) config: Config,
    pub(crate) runs: Vec<Run>,
    pub(crate) ticks_per_second: u64,
    pub(crate) memory: Memory,
    pub(crate) noise: Noise,
    pub(crate) money: Money,
    pub(crate) money_violations: Vec<String>,
}

/// Which program it was.
#[derive(Debug, Serialize)]
pub struct Build {
    version: &'static str,
    /// The folder the program stands in: of a checkout, the cargo profile.
    folder: Option<String>,
    /// Checks that a release does without.
    debug_assertions: bool,
}

impl Build {
    /// This one.
    pub fn this() -> Self {
        let exe = std::env::current_exe().ok();
        let folder = exe.as_deref().and_then(|exe| exe.parent()?.file_name()?.to_str());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            folder: folder.map(str::to_owned),
            debug_assertions: cfg!(debug_assertions),
        }
    }
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    pub(crate) rate_per_second: u32,
    pub(crate) seconds: u32,
    pub(crate) warmup_seconds: u32,
    pub(crate) slices: u32,
}

/// The most memory each process had, before the load and after it.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) gateway_before_kib: Option<u64>,
    pub(crate) sim_before_kib: Option<u64>,
    #[serde(rename = "gateway_peak_kib")]
    pub(crate) gateway_kib: Option<u64>,
    #[serde(rename = "sim_peak_kib")]
    pub(crate) sim_kib: Option<u64>,
}

/// What else the machine did while it was measured, in ticks.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    all: u64,
    ours: u64,
    others: u64,
    stolen: u64,
}

impl Noise {
    /// One more slice, in which our processes used `ours`.
    pub(crate) fn note(&mut self, before: Option<MachineTicks>, after: Option<MachineTicks>, ours: Cpu) {
        let (Some(before), Some(after)) = (before, after) else { return };
        self.all += after.all.saturating_sub(before.all);
        self.ours += ours.all();
        self.others += after.busy.saturating_sub(before.busy).saturating_sub(ours.all());
        self.stolen += after.stolen.saturating_sub(before.stolen);
    }

    fn percent(&self, part: u64) -> Option<u64> {
        (part * 100).checked_div(self.all)
    }
}

/// One mode, measured both ways.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) mode: Mode,
    pub(crate) direct: Tally,
    pub(crate) gateway: Tally,
    pub(crate) direct_slices: Vec<Tally>,
    pub(crate) gateway_slices: Vec<Tally>,
}

impl Run {
    /// Nothing measured yet.
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            direct: Tally::new(),
            gateway: Tally::new(),
            direct_slices: Vec::new(),
            gateway_slices: Vec::new(),
        }
    }

    /// The median of each turn through the gateway less that of the direct one beside it, in µs: how far apart they
    /// are tells how much the machine was disturbed.
    fn added_by_slice(&self) -> Vec<i64> {
        let median = |tally: &Tally| tally.latency.total.percentile(50.0);
        let pairs = self.direct_slices.iter().zip(&self.gateway_slices);
        pairs.map(|(direct, gateway)| less(median(gateway), median(direct))).collect()
    }

    /// Both sides did the same work, answered to the token.
    fn same_work(&self) -> bool {
        let work = |tally: &Tally| (tally.answered, tally.prompt_tokens, tally.completion_tokens);
        work(&self.direct) == work(&self.gateway)
    }
}

fn less(from: u64, what: u64) -> i64 {
    from.cast_signed().saturating_sub(what.cast_signed())
}

/// A distribution as JSON: how many, and µs by percentile.
struct Told<'a>(&'a Times);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(PERCENTILES.len() + 1))?;
        map.serialize_entry("count", &self.0.count())?;
        for percent in PERCENTILES {
            map.serialize_entry(&format!("p{percent}"), &self.0.percentile(percent))?;
        }
        map.end()
    }
}

fn micros_per_call(ticks: u64, ticks_per_second: u64, calls: u64) -> Option<u64> {
    (ticks * 1_000_000 / ticks_per_second.max(1)).checked_div(calls)
}

impl Report {
    fn cpu(&self, tally: &Tally, ticks: u64) -> Option<u64> {
        // No tick in a whole run: nobody counts here.
        micros_per_call(ticks, self.ticks_per_second, tally.sent).filter(|_| tally.cpu.all() > 0)
    }

    fn side(&self, mode: Mode, tally: &Tally) -> Value {
        json!({
            "calls": {
                "planned": tally.planned, "sent": tally.sent, "dropped": tally.dropped,
                "answered": tally.answered, "errors": tally.errors,
            },
            "achieved_per_second": (tally.achieved_per_second() * 1_000.0).round() / 1_000.0,
            "lag_us": Told(&tally.lag),
            "total_us": Told(&tally.latency.total),
            "first_byte_us": (mode == Mode::Stream).then_some(Told(&tally.latency.first_byte)),
            "total_from_send_us": Told(&tally.latency.from_send),
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "cpu_us_per_call": {
                "gateway": self.cpu(tally, tally.cpu.gateway),
                "sim": self.cpu(tally, tally.cpu.sim),
                "generator": self.cpu(tally, tally.cpu.generator),
            },
            "cpu_ticks": tally.cpu,
        })
    }

    fn run(&self, run: &Run) -> Value {
        let added = |of: fn(&Tally) -> &Times, percent: f64| {
            less(of(&run.gateway).percentile(percent), of(&run.direct).percentile(percent))
        };
        let stream = run.mode == Mode::Stream;
        let first_byte: fn(&Tally) -> &Times = |tally| &tally.latency.first_byte;
        let slices = run.direct_slices.iter().zip(&run.gateway_slices);
        json!({
            "mode": run.mode.name(),
            "direct": self.side(run.mode, &run.direct),
            "gateway": self.side(run.mode, &run.gateway),
            "same_work": run.same_work(),
            "added_us": {
                "total_p50": added(|tally| &tally.latency.total, 50.0),
                "total_p99": added(|tally| &tally.latency.total, 99.0),
                "first_byte_p50": stream.then(|| added(first_byte, 50.0)),
                "first_byte_p99": stream.then(|| added(first_byte, 99.0)),
                "total_p50_by_slice": run.added_by_slice(),
            },
            "slices": slices.map(|(direct, gateway)| json!({
                "direct": {"total_us": Told(&direct.latency.total), "lag_us": Told(&direct.lag)},
                "gateway": {"total_us": Told(&gateway.latency.total), "lag_us": Told(&gateway.lag)},
            })).collect::<Vec<_>>(),
        })
    }

    fn shown(&self) -> Value {
        json!({
            "schema_version": SCHEMA_VERSION,
            "what": "overhead",
            "valid": self.valid,
            "why_invalid": self.why_invalid,
            "build": self.build,
            "machine": self.machine,
            "noise_percent_of_cores": {
                "ours": self.noise.percent(self.noise.ours),
                "other_processes": self.noise.percent(self.noise.others),
                "stolen_by_other_machines": self.noise.percent(self.noise.stolen),
            },
            "config": {
                "load": self.config,
                "model": MODEL,
                "price_cny_per_million": {
                    "input": Price::per_million(PRICE.input), "output": Price::per_million(PRICE.output),
                },
                "sim": {"first_token_ms": 0, "gap_ms": 0},
                "in_flight_max": IN_FLIGHT_MAX,
                "clock_ticks_per_second": self.ticks_per_second,
            },
            "runs": self.runs.iter().map(|run| self.run(run)).collect::<Vec<_>>(),
            "memory": self.memory,
            "money": {"violations": self.money_violations, "books": self.money},
        })
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(to)
    }
}

/// The report for people, the verdict first.
pub(crate) fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_table(&mut out, report);
    out
}

fn write_table(out: &mut String, report: &Report) -> std::fmt::Result {
    let Config { rate_per_second, seconds, warmup_seconds, slices } = report.config;
    if report.valid {
        writeln!(out, "VALID")?;
    } else {
        writeln!(out, "INVALID: these figures say nothing.")?;
        for why in &report.why_invalid {
            writeln!(out, "  {why}")?;
        }
    }
    writeln!(
        out,
        "{rate_per_second} calls/s, {seconds} s a side in {slices} turns, {warmup_seconds} s warm-up; open loop, \
         latency from the intended send time"
    )?;
    write_setting(out, report)?;
    for run in &report.runs {
        write_run(out, run)?;
    }
    writeln!(out, "\n{:<27}{:>9}{:>9}{:>11}", "CPU per call, µs", "gateway", "sim", "generator")?;
    let micros = |found: Option<u64>| found.map_or("-".to_owned(), |micros| micros.to_string());
    for run in &report.runs {
        for (name, tally) in [("direct", &run.direct), ("gateway", &run.gateway)] {
            // Directly, the gateway has no calls: what it used is its own housekeeping.
            let gateway = if name == "gateway" { report.cpu(tally, tally.cpu.gateway) } else { None };
            let (sim, generator) = (report.cpu(tally, tally.cpu.sim), report.cpu(tally, tally.cpu.generator));
            let name = format!("{} {name}", run.mode.name());
            writeln!(out, "  {name:<25}{:>9}{:>9}{:>11}", micros(gateway), micros(sim), micros(generator))?;
        }
    }
    let mib = |kib: Option<u64>| kib.map_or("-".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0));
    let memory = &report.memory;
    writeln!(out, "\nPeak RSS, MiB (before the load -> after)")?;
    writeln!(out, "  gateway {} -> {}", mib(memory.gateway_before_kib), mib(memory.gateway_kib))?;
    writeln!(out, "  sim     {} -> {}", mib(memory.sim_before_kib), mib(memory.sim_kib))?;
    write_money(out, report)
}

fn write_setting(out: &mut String, report: &Report) -> std::fmt::Result {
    let Build { version, folder, debug_assertions } = &report.build;
    let checks = if *debug_assertions { ", with debug assertions: NOT a release build" } else { "" };
    let folder = folder.as_deref().unwrap_or("?");
    let model = report.machine.cpu_model.as_deref().unwrap_or("unknown processor");
    writeln!(out, "tollgate {version} ({folder}{checks}); {} cores, {model}", report.machine.cores)?;
    let noise = &report.noise;
    if let (Some(ours), Some(others), Some(stolen)) =
        (noise.percent(noise.ours), noise.percent(noise.others), noise.percent(noise.stolen))
    {
        writeln!(
            out,
            "cores: {ours} % ours, {others} % other processes, {stolen} % stolen by other machines"
        )?;
    }
    Ok(())
}

fn write_run(out: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(out)?;
    write!(out, "{:<27}", format!("{}, ms", run.mode.name()))?;
    for percent in SHOWN {
        write!(out, "{:>11}", format!("p{percent}"))?;
    }
    writeln!(out)?;
    if run.mode == Mode::Stream {
        let (direct, gateway) = (&run.direct.latency.first_byte, &run.gateway.latency.first_byte);
        write_comparison(out, "first byte ", direct, gateway)?;
    }
    let (direct, gateway) = (&run.direct.latency.total, &run.gateway.latency.total);
    write_comparison(out, if run.mode == Mode::Stream { "total " } else { "" }, direct, gateway)?;
    write!(out, "  {:<25}", "added p50 by turn")?;
    for added in run.added_by_slice() {
        write!(out, " {}", signed_ms(added))?;
    }
    writeln!(out)?;
    for (name, tally) in [("direct", &run.direct), ("gateway", &run.gateway)] {
        writeln!(
            out,
            "  {name:<8} {} answered, {} failed, {} dropped; {:.1} calls/s left; lag p99 {} ms",
            tally.answered,
            tally.failures(),
            tally.dropped,
            tally.achieved_per_second(),
            ms(tally.lag.percentile(99.0)),
        )?;
        for (why, count) in &tally.errors {
            writeln!(out, "    {count} x {why}")?;
        }
    }
    if !run.same_work() {
        writeln!(out, "  the two sides did not answer the same number of calls and tokens")?;
    }
    Ok(())
}

fn write_comparison(out: &mut String, what: &str, direct: &Times, gateway: &Times) -> std::fmt::Result {
    for (name, times) in [("direct", direct), ("gateway", gateway)] {
        write!(out, "  {:<25}", format!("{what}{name}"))?;
        for percent in SHOWN {
            // A tilde: too few samples above it to mean anything.
            let mark = if times.is_meaningful(percent) { "" } else { "~" };
            write!(out, "{:>11}", format!("{mark}{}", ms(times.percentile(percent))))?;
        }
        writeln!(out)?;
    }
    write!(out, "  {:<25}", format!("{what}added"))?;
    for percent in SHOWN {
        write!(out, "{:>11}", signed_ms(less(gateway.percentile(percent), direct.percentile(percent))))?;
    }
    writeln!(out)?;
    write!(out, "  {:<25}", format!("{what}ratio"))?;
    for percent in SHOWN {
        let ratio = gateway.percentile(percent) as f64 / direct.percentile(percent).max(1) as f64;
        write!(out, "{:>11}", format!("x{ratio:.2}"))?;
    }
    writeln!(out)
}

fn write_money(out: &mut String, report: &Report) -> std::fmt::Result {
    let money = &report.money;
    writeln!(out)?;
    if report.money_violations.is_empty() {
        writeln!(
            out,
            "Money: right to the last nano-yuan. {} calls told ¥{}; the ledger charged ¥{}; their tokens at the price \
             come to ¥{}; 0 open holds; the books balance (looked at in {} ms)",
            money.calls_with_cost,
            money::yuan(money.seen),
            money::yuan(money.spent),
            money::yuan(money.reckoned),
            money.trial_balance_ms,
        )
    } else {
        writeln!(out, "Money: WRONG")?;
        report.money_violations.iter().try_for_each(|violation| writeln!(out, "  {violation}"))
    }
}

fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

fn signed_ms(micros: i64) -> String {
    let sign = if micros < 0 { '-' } else { '+' };
    format!("{sign}{}", ms(micros.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::Answer;

    fn slice(millis: u64) -> Tally {
        let mut tally = Tally::new();
        (tally.planned, tally.sent) = (10, 10);
        tally.sending = Duration::from_secs(1);
        tally.cpu = Cpu { gateway: 2, sim: 1, generator: 1 };
        for _ in 0..10 {
            tally.answered(Answer { prompt_tokens: 9, completion_tokens: 2, cost: None });
            for times in
                [&mut tally.latency.total, &mut tally.latency.first_byte, &mut tally.latency.from_send]
            {
                times.record(Duration::from_millis(millis));
            }
            tally.lag.record(Duration::from_micros(80));
        }
        tally
    }

    fn report() -> Report {
        let mut run = Run::new(Mode::Stream);
        run.direct_slices = vec![slice(1), slice(2)];
        run.gateway_slices = vec![slice(2), slice(1)];
        run.direct_slices.iter().for_each(|slice| run.direct.merge(slice));
        run.gateway_slices.iter().for_each(|slice| run.gateway.merge(slice));
        Report {
            valid: true,
            why_invalid: Vec::new(),
            build: Build::this(),
            machine: Machine { cores: 2, cpu_model: None },
            config: Config { rate_per_second: 10, seconds: 2, warmup_seconds: 0, slices: 2 },
            runs: vec![run],
            ticks_per_second: 100,
            memory: Memory {
                gateway_before_kib: Some(1_024),
                sim_before_kib: None,
                gateway_kib: Some(2_048),
                sim_kib: None,
            },
            noise: Noise::default(),
            money: Money { balanced: true, seen: 13_000, spent: 13_000, ..Money::default() },
            money_violations: Vec::new(),
        }
    }

    #[test]
    fn the_report_for_machines_has_raw_percentiles_and_money_as_text() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["schema_version"], 1);
        let run = &json["runs"][0];
        assert_eq!(run["added_us"]["total_p50_by_slice"], json!([1_000, -1_000]));
        assert_eq!(
            (&run["direct"]["total_us"]["count"], &run["direct"]["total_us"]["p50"]),
            (&json!(20), &json!(1_000))
        );
        assert_eq!(run["direct"]["total_us"]["p99.9"], 2_000);
        assert_eq!(run["gateway"]["cpu_us_per_call"]["gateway"], 2_000);
        assert_eq!(run["same_work"], true);
        assert_eq!(json["money"]["books"]["seen_by_clients_cny"], "0.000013");
    }

    #[test]
    fn the_report_for_people_begins_with_the_verdict() {
        let mut report = report();
        let good = table(&report);
        assert!(good.starts_with("VALID\n"), "{good}");
        assert!(good.contains("added p50 by turn         +1.000 -1.000"), "{good}");
        assert!(good.contains("~2.000"), "twenty calls make no p99: {good}");
        assert!(good.contains("right to the last nano-yuan"), "{good}");
        (report.valid, report.why_invalid) = (false, vec!["direct: late".to_owned()]);
        report.money_violations = vec!["a fen is missing".to_owned()];
        let bad = table(&report);
        assert!(bad.starts_with("INVALID: these figures say nothing.\n  direct: late\n"), "{bad}");
        assert!(bad.ends_with("Money: WRONG\n  a fen is missing\n"), "{bad}");
    }

    #[test]
    fn noise_is_what_is_neither_ours_nor_idle() {
        let mut noise = Noise::default();
        let at = |all, busy, stolen| Some(MachineTicks { all, busy, stolen });
        noise.note(at(0, 0, 0), at(200, 100, 10), Cpu { gateway: 20, sim: 10, generator: 10 });
        assert_eq!((noise.percent(noise.ours), noise.percent(noise.others)), (Some(20), Some(30)));
        assert_eq!(noise.percent(noise.stolen), Some(5));
        noise.note(None, at(1, 1, 1), Cpu::default());
        assert_eq!(noise.all, 200);
    }

    #[test]
    fn processor_time_is_shared_among_the_calls() {
        assert_eq!(micros_per_call(100, 100, 2_000), Some(500));
        assert_eq!(micros_per_call(100, 100, 0), None);
    }
}
