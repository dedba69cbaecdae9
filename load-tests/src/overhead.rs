//! What does the gateway add to a call? The same load directly and through the gateway, in turns, in one run.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    load::{Lane, Mode},
    process::{self, Machine, MachineTicks},
    report::{self, Build, Config, Memory, Noise, Report, Run},
    schedule::Schedule,
    tally::{Cpu, Tally, doubts},
    world::{PRICE, World},
};

/// After a slice, for what the processes do once a call is answered.
const SETTLE: Duration = Duration::from_millis(200);

/// What `bench overhead` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct OverheadArgs {
    /// Calls per second, whether or not earlier ones were answered.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Seconds that are measured for each of direct and gateway, stream and non-stream.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Seconds of the same load before, which are not measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub warmup: u32,
    /// Turns into which the measured seconds are cut; direct and gateway alternate.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub slices: u32,
    /// Measure streams only.
    #[arg(long)]
    pub stream: bool,
    /// A folder for the report, `overhead.json`.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the report as JSON in place of the table.
    #[arg(long)]
    pub json: bool,
}

/// Measures what the gateway adds to a call, prints it, and says whether the figures mean anything: false if this
/// machine was too busy to keep the rate, or calls failed.
///
/// # Errors
/// If a process cannot be started or reached, the report cannot be written, or the books do not agree with what
/// clients saw. Processes and files are gone in any case, also after an interruption.
pub async fn overhead(args: OverheadArgs) -> anyhow::Result<bool> {
    let report = tokio::select! {
        report = Box::pin(measure(&args)) => report?,
        stopped = interrupted() => {
            stopped?;
            bail!("interrupted before there was anything to say");
        }
    };
    let json = serde_json::to_string_pretty(&report)?;
    if args.json {
        println!("{json}");
    } else {
        print!("{}", report::table(&report));
    }
    if let Some(dir) = &args.out {
        let path = dir.join("overhead.json");
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&path, format!("{json}\n")))
            .with_context(|| path.display().to_string())?;
        eprintln!("written to {}", path.display());
    }
    if !report.money_violations.is_empty() {
        bail!("the money does not agree: {}", report.money_violations.join("; "));
    }
    Ok(report.valid)
}

/// Resolves once this process is asked to stop, so that what it started can be stopped first.
async fn interrupted() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

async fn measure(args: &OverheadArgs) -> anyhow::Result<Report> {
    let ticks_per_second = process::ticks_per_second().await;
    let world = World::open().await?;
    let clocks = Clocks::new(&world);
    let (gateway_pid, sim_pid) = world.pids();
    let memory_before = (process::peak_rss_kib(gateway_pid), process::peak_rss_kib(sim_pid));

    let modes = if args.stream { &[Mode::Stream][..] } else { &[Mode::Whole, Mode::Stream] };
    let mut runs = Vec::new();
    // Every call through the gateway, the warm-up's too: each was paid.
    let mut paid = Tally::new();
    let mut noise = Noise::default();
    for &mode in modes {
        eprintln!("{}: {} calls a second, directly and through the gateway in turns", mode.name(), args.rate);
        let run = one_mode(args, mode, &world, &clocks, &mut paid, &mut noise).await?;
        runs.push(run);
    }

    let mut money = world.books().await?;
    money.calls_with_cost = paid.with_cost;
    money.calls_without_cost = paid.sent - paid.with_cost;
    money.seen = paid.cost;
    money.reckoned = PRICE.of(paid.prompt_tokens, paid.completion_tokens);

    let mut why_invalid = Vec::new();
    for run in &runs {
        why_invalid.extend(doubts(&format!("{} direct", run.mode.name()), args.rate, &run.direct));
        why_invalid.extend(doubts(&format!("{} gateway", run.mode.name()), args.rate, &run.gateway));
    }
    if runs.iter().any(|run| run.gateway.failures() + run.direct.failures() > 0) {
        eprintln!("calls failed; the last words of\n{}", world.last_words());
    }
    let config = Config {
        rate_per_second: args.rate,
        seconds: args.seconds,
        warmup_seconds: args.warmup,
        slices: args.slices,
    };
    Ok(Report {
        valid: why_invalid.is_empty(),
        why_invalid,
        build: Build::this(),
        machine: Machine::read(),
        config,
        runs,
        ticks_per_second,
        memory: Memory {
            gateway_before_kib: memory_before.0,
            sim_before_kib: memory_before.1,
            gateway_kib: process::peak_rss_kib(gateway_pid),
            sim_kib: process::peak_rss_kib(sim_pid),
        },
        noise,
        money_violations: money.violations(),
        money,
    })
}

async fn one_mode(
    args: &OverheadArgs,
    mode: Mode,
    world: &World,
    clocks: &Clocks,
    paid: &mut Tally,
    noise: &mut Noise,
) -> anyhow::Result<Run> {
    let (url, key) = world.direct();
    let direct = Arc::new(Lane::new(&url, key, mode)?);
    let (url, key) = world.through();
    let gateway = Arc::new(Lane::new(&url, key, mode)?);

    let warm_up = Schedule::new(args.rate, u64::from(args.rate) * u64::from(args.warmup));
    direct.drive(warm_up, 0).await?;
    paid.merge(&gateway.drive(warm_up, 0).await?);

    let mut run = Run::new(mode);
    let mut from = 0;
    for (turn, schedule) in Schedule::slices(args.rate, args.seconds, args.slices).into_iter().enumerate() {
        // Who goes first alternates too, so that a machine that slows down or warms up favours nobody.
        for side in if turn % 2 == 0 { [false, true] } else { [true, false] } {
            let (before, machine_before) = (clocks.read(), MachineTicks::read());
            let mut slice = if side { &gateway } else { &direct }.drive(schedule, from).await?;
            tokio::time::sleep(SETTLE).await;
            slice.cpu = clocks.read() - before;
            noise.note(machine_before, MachineTicks::read(), slice.cpu);
            if side {
                paid.merge(&slice);
                run.gateway.merge(&slice);
                run.gateway_slices.push(slice);
            } else {
                run.direct.merge(&slice);
                run.direct_slices.push(slice);
            }
        }
        from += schedule.calls();
    }
    Ok(run)
}

/// Whose processor time is read.
struct Clocks {
    gateway: u32,
    sim: u32,
    generator: u32,
}

impl Clocks {
    fn new(world: &World) -> Self {
        let (gateway, sim) = world.pids();
        Self { gateway, sim, generator: std::process::id() }
    }

    /// Where `/proc` is missing nothing was used, and the report says nothing of it.
    fn read(&self) -> Cpu {
        let of = |pid| process::cpu_ticks(pid).unwrap_or(0);
        Cpu { gateway: of(self.gateway), sim: of(self.sim), generator: of(self.generator) }
    }
}
