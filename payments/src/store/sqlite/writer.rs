//! The writer thread: the only one who changes the files.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use units::{AccountId, RequestId, Timestamp};

use super::{Submission, load, write};
use crate::{
    admission::Admission,
    journal::Journal,
    ledger::{Asset, Body, HoldState, Needs, RowOp, Rows, Wallet},
    store::{Applied, Outcome, apply},
};

/// Commands in one commit.
const BATCH_MAX: usize = 256;

/// What a call was, as JSON, kept beside the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The call.
    pub id: RequestId,
    /// Whose.
    pub account: AccountId,
    /// When it ended.
    pub at: Timestamp,
    /// The receipt's own words.
    pub body: String,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Carry out a command.
    Command { submission: Box<Submission>, done: oneshot::Sender<Outcome> },
    /// Bring a balance into admission.
    LoadBalance { account: AccountId, asset: Asset, done: oneshot::Sender<()> },
    /// Say when everything before is on disk.
    Barrier(oneshot::Sender<()>),
    /// Write what came before, then end.
    Stop,
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

pub(super) struct Writer {
    ledger: Connection,
    receipts: Connection,
    admission: Arc<Admission>,
    journal: Arc<Journal>,
    /// Counts changes of API keys, for whoever keeps a table of them.
    keys: watch::Sender<u64>,
    link: write::Link,
}

impl Writer {
    pub(super) fn new(
        ledger: Connection,
        receipts: Connection,
        admission: Arc<Admission>,
        journal: Arc<Journal>,
        keys: watch::Sender<u64>,
    ) -> rusqlite::Result<Self> {
        let link = write::last_link(&ledger)?;
        Ok(Self { ledger, receipts, admission, journal, keys, link })
    }

    /// Works until it is told to stop, everybody who could ask is gone, or the disk fails.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while jobs.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            let stop = waiting.iter().any(|job| matches!(job, Job::Stop));
            if let Err(error) = self.carry_out(std::mem::take(&mut waiting)) {
                // What is in the file now, only the file knows: whoever waits is told nothing, and the next start
                // reads what was kept.
                tracing::error!(%error, "the ledger cannot be written; the store stops");
                jobs.close();
                return;
            }
            if stop {
                jobs.close();
            }
        }
        let _ = self.ledger.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
        let _ = self.receipts.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);");
    }

    fn carry_out(&mut self, jobs: Vec<Job>) -> rusqlite::Result<()> {
        let mut submissions = Vec::new();
        let mut answers = Vec::new();
        let mut afterwards = Vec::new();
        for job in jobs {
            match job {
                Job::Command { submission, done } => {
                    submissions.push(*submission);
                    answers.push(done);
                }
                Job::LoadBalance { .. } | Job::Barrier(_) => afterwards.push(job),
                Job::Stop => {}
            }
        }
        if !submissions.is_empty() {
            let applied = self.commit(&submissions)?;
            self.publish(&submissions, &applied);
            for (applied, done) in applied.into_iter().zip(answers) {
                // Whoever asked may be gone; the outcome stands.
                let _ = done.send(applied.outcome);
            }
        }
        for job in afterwards {
            match job {
                Job::LoadBalance { account, asset, done } => {
                    let wallet = load::wallet(&self.ledger, account, &asset)?;
                    let wallet = wallet.unwrap_or_else(|| Wallet::empty(account, asset.clone()));
                    self.admission.load(account, &asset, wallet.available());
                    let _ = done.send(());
                }
                Job::Barrier(done) => drop(done.send(())),
                Job::Command { .. } | Job::Stop => {}
            }
        }
        Ok(())
    }

    /// Loads, decides, writes and commits one batch.
    fn commit(&mut self, submissions: &[Submission]) -> rusqlite::Result<Vec<Applied>> {
        let mut needs = Needs::default();
        for submission in submissions {
            submission.command.needs(&mut needs);
        }
        let commands: Vec<_> = submissions.iter().map(|submission| &submission.command).collect();
        let tx = self.ledger.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut rows = Rows::default();
        load::rows(&tx, &needs, &mut rows)?;
        let mut known: HashMap<_, _> = load::remembered(&tx, &commands)?;
        let applied = apply(&mut rows, &mut known, &commands);
        let link = write::batch(&tx, &self.link, &commands, &applied)?;
        tx.commit()?;
        self.link = link;
        self.write_receipts(submissions);
        Ok(applied)
    }

    /// Evidence, not money: a receipt that cannot be written is logged, and the books go on.
    fn write_receipts(&mut self, submissions: &[Submission]) {
        let receipts: Vec<&Receipt> =
            submissions.iter().filter_map(|submission| submission.receipt.as_ref()).collect();
        if receipts.is_empty() {
            return;
        }
        if let Err(error) = write::receipts(&mut self.receipts, &receipts) {
            tracing::error!(%error, count = receipts.len(), "receipts could not be written");
        }
    }

    /// Tells memory what the disk has now.
    fn publish(&self, submissions: &[Submission], applied: &[Applied]) {
        if applied.iter().flat_map(|applied| &applied.ops).any(|op| matches!(op, RowOp::Key(_))) {
            self.keys.send_modify(|changes| *changes += 1);
        }
        for (submission, applied) in submissions.iter().zip(applied) {
            let mut raise: HashMap<(AccountId, &Asset), i64> = HashMap::new();
            for (account, asset, taken) in &submission.taken {
                *raise.entry((*account, asset)).or_default() += taken;
            }
            for (account, asset, moved) in &applied.moved {
                *raise.entry((*account, asset)).or_default() += moved;
            }
            for ((account, asset), by) in raise {
                if by != 0 {
                    self.admission.adjust(account, asset, by);
                }
            }
            if let Body::Settle { id, .. } = submission.command.body {
                let ended = |op: &RowOp| matches!(op, RowOp::Hold(hold) if hold.state != HoldState::Open);
                if applied.outcome.is_err() || applied.ops.is_empty() || applied.ops.iter().any(ended) {
                    self.journal.forget(id);
                }
            }
        }
    }
}
