//! Every day after ten in Beijing: the day before, and what was missed.

use std::{collections::BTreeMap, time::Duration};

use tokio_util::sync::CancellationToken;
use units::Timestamp;

use super::{BillDate, Reconciler, RunError, RunWish};
use crate::{
    ledger::{Actor, BillDay, BillDayState, Body, Reply},
    store::SubmitError,
};

/// Days that are caught up with by themselves; older ones a person asks for.
const CATCH_UP_DAYS: i64 = 7;
/// How long a node that has taken a day is taken to be at it.
const TAKEN_FOR: Duration = Duration::from_secs(1_800);
/// The first pause where a bill is not ready or cannot be fetched; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// How long there is a rest where nothing is to be done and the calendar ends.
const REST: Duration = Duration::from_secs(86_400);

/// Which pause is next for a day that did not go well.
type Pauses = BTreeMap<(String, BillDate), (Timestamp, Duration)>;

impl Reconciler {
    /// Compares days as their bills come, until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        let mut pauses = Pauses::new();
        loop {
            let next = match self.pass(&mut pauses, &stop).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "the days to reconcile cannot be read");
                    self.clock.now().after(FIRST_PAUSE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Compares every day that is due; when the next one is.
    async fn pass(&self, pauses: &mut Pauses, stop: &CancellationToken) -> Result<Timestamp, SubmitError> {
        let due = self.due().await?;
        pauses.retain(|day, _| due.contains(day));
        for (mchid, date) in due {
            if stop.is_cancelled() {
                break;
            }
            let now = self.clock.now();
            let day = (mchid.clone(), date);
            let pause = pauses.get(&day).map_or(FIRST_PAUSE, |(_, pause)| *pause);
            if pauses.get(&day).is_some_and(|(until, _)| *until > now) {
                continue;
            }
            if !self.take(&mchid, date).await? {
                pauses.insert(day, (now.after(TAKEN_FOR), FIRST_PAUSE));
                continue;
            }
            match self.compare_one(mchid, date).await {
                Ok(()) => drop(pauses.remove(&day)),
                Err(error) if error.is_temporary() => {
                    let next = (pause * 2).min(LONGEST_PAUSE);
                    pauses.insert(day, (self.clock.now().after(pause), next));
                }
                // A person has to mend something: tomorrow it is tried again.
                Err(_) => drop(pauses.insert(day, (self.next_ready(), FIRST_PAUSE))),
            }
        }
        let paused = pauses.values().map(|(until, _)| *until).min();
        let ready = self.next_ready();
        Ok(paused.map_or(ready, |paused| paused.min(ready)))
    }

    async fn compare_one(&self, mchid: String, date: BillDate) -> Result<(), RunError> {
        let by = Actor::system("reconcile");
        let wish = RunWish { mchid, date, files: Vec::new(), by };
        self.run(&wish, &|_| {}).await.map(|_| ())
    }

    /// When the next bill can be had.
    fn next_ready(&self) -> Timestamp {
        let now = self.clock.now();
        let last = BillDate::last_ready(now).and_then(BillDate::next);
        last.and_then(BillDate::ready).filter(|at| *at > now).unwrap_or_else(|| now.after(REST))
    }

    /// Takes a day, so that no other node begins it too; false if another has it.
    async fn take(&self, mchid: &str, date: BillDate) -> Result<bool, SubmitError> {
        let by = format!("reconcile@{}", self.store.epoch());
        let body = Body::TakeBillDay {
            mchid: mchid.to_owned(),
            day: date.to_string(),
            until: self.clock.now().after(TAKEN_FOR),
        };
        let command = self.command(format!("take:{mchid}:{date}"), body);
        let actor = Actor::system(&by);
        match self.store.submit(crate::ledger::Command { actor, ..command }).await? {
            Reply::BillDay(day) => Ok(day.taken.is_some_and(|taken| taken.by == by)),
            _ => Ok(false),
        }
    }

    /// The days that are to be compared now, oldest first: those that never were, and those of which something is open and
    /// that were not looked at since the last bill came.
    async fn due(&self) -> Result<Vec<(String, BillDate)>, SubmitError> {
        let now = self.clock.now();
        let (Some(last), Some(first)) = (BillDate::last_ready(now), self.first_day().await?) else {
            return Ok(Vec::new());
        };
        let from = last.before(CATCH_UP_DAYS - 1).map_or(last, |from| from.max(first));
        let rows = self.store.bill_days(from.to_string(), last.to_string()).await?;
        let rows: BTreeMap<(&str, &str), &BillDay> =
            rows.iter().map(|row| ((row.mchid.as_str(), row.day.as_str()), row)).collect();
        let since = last.ready().unwrap_or(now);
        let mut due = Vec::new();
        let mut date = Some(from);
        while let Some(day) = date.filter(|day| *day <= last) {
            let named = day.to_string();
            for mchid in self.merchant_numbers() {
                let wanted = rows
                    .get(&(mchid.as_str(), named.as_str()))
                    .is_none_or(|row| row.runs == 0 || row.state == BillDayState::Differs && row.at < since);
                if wanted {
                    due.push((mchid, day));
                }
            }
            date = day.next();
        }
        Ok(due)
    }

    /// The first day that there can be anything of: nothing is asked for before the first order.
    async fn first_day(&self) -> Result<Option<BillDate>, SubmitError> {
        let first = self.store.first_order().await?;
        Ok(first.and_then(|order| BillDate::of(order.created_at)))
    }
}
