//! Which rates does nothing name any more?
//!
//! A rate is written down every few minutes, whoever buys. Those that a call, an order or a published price names are
//! kept as long as these; of the others, those of a month stay to be looked at, and older ones go.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use units::{Clock, Timestamp};

use crate::{
    ledger::{Actor, Body, Command},
    store::{Store, SubmitError},
};

/// How long a rate stays that nothing names.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long after it was fetched something may begin to name a rate: no rate is used for more than a week, and no
/// order or call takes a day from its price to its row.
const NAMED_WITHIN: Duration = Duration::from_secs(8 * 86_400);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// Rates that go with one command.
const TOGETHER_MAX: usize = 1_000;

/// Throws old rates away. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OldRates {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl OldRates {
    /// Of these books.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Works until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        loop {
            let next = self.clock.now().after(LOOK_EVERY);
            match self.sweep().await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(rates = gone, "old rates that nothing names were thrown away"),
                Err(error) => tracing::warn!(%error, "old rates cannot be thrown away"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Throws away what is too old, of each pair so many at a time; how many went. Safe to run again, and beside another.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read or written.
    pub async fn sweep(&self) -> Result<usize, SubmitError> {
        let mut gone = 0;
        for pair in self.store.fx_pairs().await? {
            // What counts stays, however old it is.
            let counts = pair.accepted.as_ref().map_or(0, |last| last.number);
            let mut pruned = pair.pruned;
            while let Some((to, numbers)) = self.too_old(&pair.pair, pruned, counts).await? {
                let many = numbers.len();
                let command = Command {
                    key: format!("fxprune:{}:{to}", pair.pair),
                    actor: Actor::system("fx"),
                    reason: Some("nothing names them".to_owned()),
                    approver: None,
                    at: self.clock.now(),
                    body: Body::PruneRates { pair: pair.pair.clone(), to, gone: numbers },
                };
                self.store.submit(command).await?;
                (pruned, gone) = (to, gone + many);
            }
        }
        Ok(gone)
    }

    /// The next rates of a pair, behind `after` and before `before`, that are old enough: up to which, and which of them
    /// nothing names.
    async fn too_old(
        &self,
        pair: &str,
        after: i64,
        before: i64,
    ) -> Result<Option<(i64, Vec<i64>)>, SubmitError> {
        let kept_since = Timestamp(self.clock.now().0 - micros(KEPT));
        let mut old = self.store.fx_rates_after(pair.to_owned(), after, TOGETHER_MAX).await?;
        old.retain(|rate| rate.fetched_at < kept_since && rate.number < before);
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(None) };
        let until = last.fetched_at.after(NAMED_WITHIN);
        let named = self.store.fx_named(first.fetched_at, until).await?;
        let numbers = old.iter().filter(|rate| !rate.pinned && !named.contains(&rate.id));
        Ok(Some((last.number, numbers.map(|rate| rate.number).collect())))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
