//! Reload: what is true now? Publishes whole snapshots of routes and prices, and the table of keys.
//!
//! Prices follow the rate of exchange: they are reckoned anew while it moves, written to the store as a version of the
//! price list, and only then quoted. Knows router-config's table and payments' price list; whoever plans reads the
//! snapshot.

mod key_table;

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use payments::{
    fx::Fx,
    ledger::{Actor, Body, Command},
    prices::{ListPrice, PriceList},
    store::{Store, SubmitError},
};
use router_config::{Currency, RouteTable};
use tokio_util::sync::CancellationToken;
use units::Clock;

pub use self::key_table::follow_keys;
use crate::plan::{PriceBook, PriceUnavailable, Quote, Snapshot, Snapshots};

/// How often prices are looked at. FX is asked for less often: it has a cache of its own.
const EVERY: Duration = Duration::from_secs(30);

/// Keeps the snapshot true.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    fx: Fx,
    table: Arc<RouteTable>,
    list: Vec<ListPrice>,
    snapshots: Snapshots,
    clock: Arc<dyn Clock>,
}

impl Publisher {
    /// With a first snapshot of `table` and no prices yet.
    pub fn new(store: Store, fx: Fx, table: Arc<RouteTable>, clock: Arc<dyn Clock>) -> Self {
        let list = table.models.values().map(|model| list_price(model)).collect();
        let snapshot = Snapshot { table: table.clone(), prices: Arc::default() };
        Self { store, fx, table, list, snapshots: Arc::new(ArcSwap::from_pointee(snapshot)), clock }
    }

    /// Where the present snapshot is read.
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Reckons the prices and publishes them if they changed.
    ///
    /// # Errors
    /// If the store does not take the new version; the old one stays.
    pub async fn publish(&self) -> Result<(), SubmitError> {
        let list = PriceList::reckon(&self.list, &self.fx).await;
        for (model, reason) in &list.unavailable {
            tracing::warn!(model, reason, "no price at the moment");
        }
        let present = self.snapshots.load();
        let same_unavailable =
            present.prices.quotes.values().filter(|quote| quote.is_err()).count() == list.unavailable.len();
        if present.prices.version == list.version && same_unavailable {
            return Ok(());
        }
        let command = Command {
            key: format!("prices:{}", list.version),
            actor: Actor::system("prices"),
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::PublishPrices { version: list.version.clone(), body: list.body() },
        };
        self.store.submit(command).await?;
        tracing::info!(version = list.version, models = list.models.len(), "prices published");
        let prices = Arc::new(book(list));
        self.snapshots.store(Arc::new(Snapshot { table: self.table.clone(), prices }));
        Ok(())
    }

    /// Publishes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(self.clock.now().after(EVERY)) => {}
            }
            if let Err(error) = self.publish().await {
                tracing::error!(%error, "prices could not be published; the old ones stay");
            }
        }
    }
}

fn list_price(model: &router_config::Model) -> ListPrice {
    ListPrice {
        model: model.id.clone(),
        usd: model.price.currency == Currency::Usd,
        input: model.price.input.0,
        cached_input: model.price.cached_input.map(|price| price.0),
        output: model.price.output.0,
    }
}

fn book(list: PriceList) -> PriceBook {
    let quote = |price: payments::prices::ModelPrice| Quote {
        price_version: list.version.clone(),
        fx_id: price.fx_id,
        rates: price.rates,
    };
    let priced: HashMap<_, _> =
        list.models.into_iter().map(|(model, price)| (model, Ok(quote(price)))).collect();
    let unpriced = list.unavailable.into_iter().map(|(model, reason)| (model, Err(PriceUnavailable(reason))));
    PriceBook { version: list.version.clone(), quotes: priced.into_iter().chain(unpriced).collect() }
}
