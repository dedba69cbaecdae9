//! Keeps the snapshot of prices true.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use payments::{
    fx::Fx,
    ledger::FxPair,
    prices::{Book, CNY, FxInForce, Published, Sheet, pair_of},
    store::{PriceVersionHead, Store, SubmitError},
};
use router_config::RouteTable;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use units::{Clock, Timestamp};

use super::{FxMetrics, seed};
use crate::plan::{Snapshot, Snapshots};

/// How often prices are looked at: what another process published counts here after this long. Rates are asked for less
/// often, since they are kept for a while.
const EVERY: Duration = Duration::from_secs(5);

/// Keeps the snapshot true.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    fx: Fx,
    /// Replaced whole, by whoever has `sheets`.
    told: ArcSwap<PublisherSettings>,
    snapshots: Snapshots,
    clock: Arc<dyn Clock>,
    metrics: FxMetrics,
    /// Versions never change, so each is read once. One rebuilds at a time, or an older view could replace a newer.
    sheets: Mutex<Sheets>,
}

type Sheets = HashMap<(String, i64), Arc<Sheet>>;

/// What a [`Publisher`] is told.
#[derive(Debug)]
pub struct PublisherSettings {
    /// Routes, and the prices of the file.
    pub table: Arc<RouteTable>,
    /// Rates that the file fixes, in millionths, by pair.
    pub pinned: BTreeMap<String, i64>,
    /// How old a rate may grow before it is warned of.
    pub warn_stale: Duration,
}

impl Publisher {
    /// With a first snapshot of routes, and no prices yet.
    pub fn new(
        store: Store,
        fx: Fx,
        settings: PublisherSettings,
        clock: Arc<dyn Clock>,
        metrics: FxMetrics,
    ) -> Self {
        let snapshot = Snapshot { table: settings.table.clone(), prices: Arc::default() };
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot));
        let told = ArcSwap::from_pointee(settings);
        Self { store, fx, told, snapshots, clock, metrics, sheets: Mutex::default() }
    }

    /// Where the present snapshot is read.
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// The rates of exchange.
    pub const fn fx(&self) -> &Fx {
        &self.fx
    }

    /// Takes up what the file says of pins and prices, asks for rates, and makes the first snapshot with prices.
    ///
    /// # Errors
    /// If the store does not take it, or cannot be read.
    pub async fn begin(&self) -> Result<(), SubmitError> {
        let told = self.told.load_full();
        seed::pins(&self.store, &*self.clock, &told.pinned).await?;
        self.rebuild().await?;
        self.refresh().await;
        seed::prices(&self.store, &*self.clock, &told.table).await?;
        self.rebuild().await
    }

    /// Takes up another reading of the file: pins and prices first, then, in one step, the snapshot with its routes.
    /// `before` is called when nothing can fail any more, and before anybody sees the new snapshot.
    ///
    /// # Errors
    /// If the store does not take it, or cannot be read. The old routes stay then; prices that the store took are published,
    /// and the same reading finds them there the next time.
    pub async fn take(
        &self,
        told: PublisherSettings,
        before: impl FnOnce() + Send,
    ) -> Result<(), SubmitError> {
        seed::pins(&self.store, &*self.clock, &told.pinned).await?;
        // What is priced in a currency is published with the rate that was just pinned.
        self.rebuild().await?;
        seed::prices(&self.store, &*self.clock, &told.table).await?;
        let mut sheets = self.sheets.lock().await;
        let prices = self.prices(&mut sheets).await?;
        before();
        let table = told.table.clone();
        self.told.store(Arc::new(told));
        self.snapshots.store(Arc::new(Snapshot { table, prices }));
        Ok(())
    }

    /// Makes a snapshot of what the store says now.
    ///
    /// # Errors
    /// If the store cannot be read; the old snapshot stays.
    pub async fn rebuild(&self) -> Result<(), SubmitError> {
        let mut sheets = self.sheets.lock().await;
        let prices = self.prices(&mut sheets).await?;
        let table = self.told.load().table.clone();
        self.snapshots.store(Arc::new(Snapshot { table, prices }));
        Ok(())
    }

    /// What the store says now of prices.
    async fn prices(&self, sheets: &mut Sheets) -> Result<Arc<Book>, SubmitError> {
        for row in self.store.fx_pairs().await? {
            self.fx.learn(row);
        }
        let versions = self.versions(sheets).await?;
        let assigned = self.store.price_assignments().await?;
        let assigned = assigned.into_iter().filter_map(|row| Some((row.account, row.list?))).collect();
        let currencies = versions.iter().flat_map(|version| version.sheet.foreign().map(str::to_owned));
        let fx =
            currencies.filter_map(|currency| Some((currency.clone(), self.in_force(&currency)?))).collect();
        Ok(Arc::new(Book::new(versions, assigned, &fx)))
    }

    /// The versions in force and to come, each read once.
    async fn versions(&self, sheets: &mut Sheets) -> Result<Vec<Published>, SubmitError> {
        let heads = in_force_or_to_come(self.store.price_version_heads().await?, self.clock.now());
        let mut versions = Vec::with_capacity(heads.len());
        for PriceVersionHead { list, number, valid_from } in heads {
            let key = (list.clone(), number);
            if !sheets.contains_key(&key) {
                let version = self.store.price_version(list.clone(), number).await?;
                match version.as_ref().map(|row| Sheet::read(&row.document)) {
                    Some(Ok(sheet)) => drop(sheets.insert(key.clone(), Arc::new(sheet))),
                    // It was checked when it was published, so somebody else wrote to the store: what it sold is not
                    // sold, rather than at a guess.
                    broken => {
                        tracing::error!(list, number, ?broken, "a version of a price list cannot be read")
                    }
                }
            }
            let sheet = sheets.get(&key).cloned().unwrap_or_default();
            versions.push(Published { list, number, valid_from, sheet });
        }
        sheets.retain(|(list, number), _| versions.iter().any(|it| it.list == *list && it.number == *number));
        Ok(versions)
    }

    /// The rate of a currency, with the instant from which it is too old: whoever asks for a price then is told which
    /// rate it was, and not that there is none.
    fn in_force(&self, currency: &str) -> Option<Arc<FxInForce>> {
        let now = self.fx.latest(&pair_of(currency)).ok()?;
        let (id, rate_micro) = (now.rate.id, now.rate.rate_micro);
        Some(Arc::new(FxInForce { id, rate_micro, good_until: now.good_until }))
    }

    /// Asks for the rates that are due.
    async fn refresh(&self) {
        let pairs = self.fx.pairs_known();
        join_all(pairs.iter().map(|pair| self.fx.refresh(pair))).await;
        let (at, warn_stale) = (self.clock.now(), self.told.load().warn_stale);
        for pair in &pairs {
            let (known, failed) = self.fx.known(pair);
            self.metrics.show(&known, at);
            let age = known.at(at).filter(|rate| !rate.pinned).map(|rate| at.since(rate.fetched_at));
            if let Some(age) = age.filter(|age| *age > warn_stale) {
                let reason = failed.unwrap_or_default();
                tracing::warn!(pair, age_secs = age.as_secs(), reason, "a rate of exchange grows old");
            }
        }
    }

    /// Keeps the snapshot true until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut next = self.clock.now().after(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
            next = self.clock.now().after(EVERY);
            self.refresh().await;
            if let Err(error) = self.rebuild().await {
                tracing::error!(%error, "prices could not be read; the old ones stay");
            }
        }
    }
}

/// Of each list the version that counts at `now`, and those that will.
fn in_force_or_to_come(mut heads: Vec<PriceVersionHead>, now: Timestamp) -> Vec<PriceVersionHead> {
    heads.sort_by(|a, b| (&a.list, a.valid_from, a.number).cmp(&(&b.list, b.valid_from, b.number)));
    let replaced =
        |i: usize| heads.get(i + 1).is_some_and(|next| next.list == heads[i].list && next.valid_from <= now);
    let needed: Vec<bool> = (0..heads.len()).map(|i| !replaced(i)).collect();
    heads.into_iter().zip(needed).filter(|(_, needed)| *needed).map(|(head, _)| head).collect()
}

/// What the ledger's rows say of each currency at an instant, however old it is: to show prices by, not to sell at.
pub fn last_rates(pairs: &[FxPair], at: Timestamp) -> HashMap<String, Arc<FxInForce>> {
    let of = |pair: &FxPair| {
        let currency = pair.pair.strip_suffix(CNY)?.strip_suffix('/')?.to_owned();
        let rate = pair.at(at)?;
        let in_force = FxInForce { id: rate.id.clone(), rate_micro: rate.rate_micro, good_until: None };
        Some((currency, Arc::new(in_force)))
    };
    pairs.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_now_and_later_is_kept_and_what_was_replaced_is_not() {
        let head = |list: &str, number, from| PriceVersionHead {
            list: list.to_owned(),
            number,
            valid_from: Timestamp::from_secs(from),
        };
        // The third was published later than the second, and counts earlier.
        let heads =
            vec![head("a", 1, 10), head("a", 2, 100), head("a", 3, 50), head("b", 1, 50), head("b", 2, 50)];
        let at = |now| -> Vec<String> {
            let kept = in_force_or_to_come(heads.clone(), Timestamp::from_secs(now));
            kept.into_iter().map(|head| format!("{}{}", head.list, head.number)).collect()
        };
        assert_eq!(at(49), ["a1", "a3", "a2", "b1", "b2"]);
        assert_eq!(at(50), ["a3", "a2", "b2"]);
        assert_eq!(at(100), ["a2", "b2"]);
    }
}
