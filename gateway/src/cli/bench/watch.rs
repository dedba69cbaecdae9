//! What did a stretch of work take? Time, processors, disk and commits, before and after.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use load_tests::process::{self, MachineTicks};
use serde::Serialize;

/// The name of the store's writing thread.
const WRITER: &str = "ledger-writer";
/// Where SQLite's shared memory of a log counts the transactions, as its file format documents it: a 32-bit number in
/// the machine's byte order.
const TRANSACTIONS_AT: usize = 8;

/// Counters as they stood when a stretch began.
#[derive(Debug)]
pub(super) struct Watch {
    begun: Instant,
    process_ticks: Option<u64>,
    writer_nanos: Option<u64>,
    written: Option<u64>,
    commits: Option<u32>,
    machine: Option<MachineTicks>,
    folder: PathBuf,
}

/// What a stretch took.
#[derive(Debug, Clone)]
pub(super) struct Took {
    pub(super) time: Duration,
    /// Processor time of the whole process, in clock ticks.
    pub(super) process_ticks: Option<u64>,
    /// Of the store's writer alone, in nanoseconds.
    pub(super) writer_nanos: Option<u64>,
    /// Bytes sent to the disk.
    pub(super) written: Option<u64>,
    /// Of the ledger's file.
    pub(super) commits: Option<u32>,
    pub(super) noise: Option<Noise>,
}

/// Where the machine's processors went, in percent of all of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Noise {
    ours: u64,
    other_processes: u64,
    stolen_by_other_machines: u64,
}

impl Watch {
    /// Begins now; the store is in `folder`.
    pub(super) fn begin(folder: &Path) -> Self {
        Self {
            process_ticks: process::cpu_ticks(std::process::id()),
            writer_nanos: process::thread_nanos(WRITER),
            written: process::written_bytes(),
            commits: transactions(folder),
            machine: MachineTicks::read(),
            folder: folder.to_owned(),
            begun: Instant::now(),
        }
    }

    /// Ends now.
    pub(super) fn end(self) -> Took {
        let time = self.begun.elapsed();
        let since = |now: Option<u64>, before: Option<u64>| now?.checked_sub(before?);
        let process_ticks = since(process::cpu_ticks(std::process::id()), self.process_ticks);
        let noise = || {
            let (before, after) = (self.machine?, MachineTicks::read()?);
            let all = after.all.checked_sub(before.all).filter(|&all| all > 0)?;
            let ours = process_ticks?;
            let others = (after.busy.saturating_sub(before.busy)).saturating_sub(ours);
            let stolen = after.stolen.saturating_sub(before.stolen);
            let percent = |part: u64| part * 100 / all;
            Some(Noise {
                ours: percent(ours),
                other_processes: percent(others),
                stolen_by_other_machines: percent(stolen),
            })
        };
        Took {
            time,
            process_ticks,
            writer_nanos: since(process::thread_nanos(WRITER), self.writer_nanos),
            written: since(process::written_bytes(), self.written),
            commits: transactions(&self.folder)
                .zip(self.commits)
                .map(|(now, before)| now.wrapping_sub(before)),
            noise: noise(),
        }
    }
}

/// Transactions that were written to the ledger's file since it was opened, modulo 2^32.
fn transactions(folder: &Path) -> Option<u32> {
    let index = fs::read(folder.join("ledger.db-shm")).ok()?;
    let number = index.get(TRANSACTIONS_AT..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*number))
}

/// Bytes of the store's files, which are closed.
pub(super) fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for name in ["ledger.db", "receipts.db"] {
        sum += fs::metadata(folder.join(name))?.len();
    }
    Ok(sum)
}
