//! The lane: one thread that takes the commands that wait, has an engine carry them out in one commit, and then tells
//! memory and everybody who asked.
//!
//! It takes the first command that waits and with it whatever queued up while the last commit ran. There is no timer:
//! the flush is the timer.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use units::{AccountId, RequestId, Timestamp};

use super::{Duty, Outcome, Submission, batch::Applied};
use crate::{
    admission::Admission,
    journal::Journal,
    ledger::{Asset, Body, Command, HoldState, Needs, RowOp, Rows},
};

/// Commands in one commit.
pub(super) const BATCH_MAX: usize = 256;

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

/// What the lane is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Carry out a command.
    Command { submission: Box<Submission>, done: oneshot::Sender<Outcome> },
    /// Bring a balance into admission.
    LoadBalance { account: AccountId, asset: Asset, done: oneshot::Sender<()> },
    /// Say when everything before is on disk.
    Barrier(oneshot::Sender<()>),
    /// Say whether this run is the one that does it, and from now on is.
    Duty { duty: Duty, done: oneshot::Sender<bool> },
    /// Say that this process is alive and how far its calls are, and look at what others changed.
    Beat,
    /// Write what came before, then end.
    Stop,
}

/// Whatever carries a batch out: loads what the commands name, decides them in order, writes each changed row once,
/// commits.
pub(super) trait Engine: Send + 'static {
    /// One batch, durable when this returns. An error means that nobody knows whether it was written: the lane stops,
    /// and the next start reads what was kept.
    fn commit(&mut self, commands: &[&Command]) -> Result<Committed, EngineError>;

    /// What can be set aside of a balance, as committed.
    fn available(&mut self, account: AccountId, asset: &Asset) -> Result<i64, EngineError>;

    /// Keeps receipts: evidence, not money.
    fn keep_receipts(&mut self, receipts: &[&Receipt]) -> Result<(), EngineError>;

    /// Says that this process is alive, where others ask, and what its open calls have used; true if others changed API
    /// keys since the last time.
    fn beat(&mut self, _journal: &Journal) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// Whether this run is the one that does it among those that are alive.
    fn has_duty(&mut self, _duty: Duty) -> Result<bool, EngineError> {
        Ok(true)
    }

    /// The last word.
    fn close(&mut self);
}

/// A batch that is on disk.
#[derive(Debug)]
pub(super) struct Committed {
    /// What each command did.
    pub(super) applied: Vec<Applied>,
    /// What can be set aside of each balance the commands name, now.
    pub(super) available: Vec<(AccountId, Asset, i64)>,
}

impl Committed {
    /// After `applied` brought `rows` to where they are.
    pub(super) fn new(applied: Vec<Applied>, needs: &Needs, rows: &Rows) -> Self {
        let of = |(account, asset): &(AccountId, Asset)| {
            (*account, asset.clone(), rows.wallet(*account, asset).available())
        };
        let mut available: Vec<_> = needs.wallets.keys().map(of).collect();
        if !needs.whole.is_empty() {
            let whole = rows.wallets().filter(|wallet| needs.whole.contains(&wallet.account));
            available.extend(whole.map(|wallet| (wallet.account, wallet.asset.clone(), wallet.available())));
        }
        Self { applied, available }
    }
}

/// The engine cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct EngineError(pub(super) String);

pub(super) struct Lane<E> {
    pub(super) engine: E,
    pub(super) admission: Arc<Admission>,
    pub(super) journal: Arc<Journal>,
    /// Counts changes of API keys, for whoever keeps a table of them.
    pub(super) keys: watch::Sender<u64>,
}

impl<E: Engine> Lane<E> {
    /// Works until it is told to stop, everybody who could ask is gone, or the engine fails.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while jobs.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            let stop = waiting.iter().any(|job| matches!(job, Job::Stop));
            if let Err(error) = self.carry_out(std::mem::take(&mut waiting)) {
                // What is in the store now, only the store knows: whoever waits is told nothing.
                tracing::error!(%error, "the ledger cannot be written; the store stops");
                jobs.close();
                return;
            }
            if stop {
                jobs.close();
            }
        }
        self.engine.close();
    }

    fn carry_out(&mut self, jobs: Vec<Job>) -> Result<(), EngineError> {
        let mut submissions = Vec::with_capacity(jobs.len());
        let mut answers = Vec::with_capacity(jobs.len());
        let mut afterwards = Vec::new();
        for job in jobs {
            match job {
                Job::Command { submission, done } => {
                    submissions.push(*submission);
                    answers.push(done);
                }
                Job::LoadBalance { .. } | Job::Barrier(_) | Job::Duty { .. } | Job::Beat => {
                    afterwards.push(job);
                }
                Job::Stop => {}
            }
        }
        if !submissions.is_empty() {
            let commands: Vec<&Command> = submissions.iter().map(|submission| &submission.command).collect();
            let committed = self.engine.commit(&commands)?;
            self.publish(&submissions, &committed);
            for (applied, done) in committed.applied.into_iter().zip(answers) {
                // Whoever asked may be gone; the outcome stands.
                let _ = done.send(applied.outcome);
            }
            self.keep_receipts(&submissions);
        }
        for job in afterwards {
            match job {
                Job::LoadBalance { account, asset, done } => {
                    let available = self.engine.available(account, &asset)?;
                    self.admission.load(account, &asset, available);
                    let _ = done.send(());
                }
                Job::Barrier(done) => drop(done.send(())),
                Job::Duty { duty, done } => drop(done.send(self.engine.has_duty(duty)?)),
                Job::Beat => {
                    if self.engine.beat(&self.journal)? {
                        self.keys.send_modify(|changes| *changes += 1);
                    }
                }
                Job::Command { .. } | Job::Stop => {}
            }
        }
        Ok(())
    }

    /// A receipt that cannot be written is logged, and the books go on.
    fn keep_receipts(&mut self, submissions: &[Submission]) {
        let receipts: Vec<&Receipt> =
            submissions.iter().filter_map(|submission| submission.receipt.as_ref()).collect();
        if receipts.is_empty() {
            return;
        }
        if let Err(error) = self.engine.keep_receipts(&receipts) {
            tracing::error!(%error, count = receipts.len(), "receipts could not be written");
        }
    }

    /// Tells memory what the disk has now.
    fn publish(&self, submissions: &[Submission], committed: &Committed) {
        let applied = &committed.applied;
        if applied.iter().flat_map(|applied| &applied.ops).any(|op| matches!(op, RowOp::Key(_))) {
            self.keys.send_modify(|changes| *changes += 1);
        }
        // First what is there, then what it was taken from: in between memory says less than there is, never more.
        for (account, asset, available) in &committed.available {
            self.admission.committed(*account, asset, *available);
        }
        for (account, asset, taken) in submissions.iter().flat_map(|submission| &submission.taken) {
            if *taken != 0 {
                self.admission.give_back(*account, asset, *taken);
            }
        }
        for (submission, applied) in submissions.iter().zip(applied) {
            for op in &applied.ops {
                if let RowOp::Budget(budget) = op {
                    self.admission.budgets().committed(budget);
                }
            }
            if let Body::CorrectCharge { account, .. } = submission.command.body {
                self.admission.budgets().forget(account);
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
