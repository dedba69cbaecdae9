//! What is true at one moment: routes and prices together.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use router_config::RouteTable;

use super::Quote;

/// Everything a plan is made from. A call reads one of these, once.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Which models, providers and routes.
    pub table: Arc<RouteTable>,
    /// What they cost the customer.
    pub prices: Arc<PriceBook>,
}

/// The present snapshot; whoever reloads stores the next one whole.
pub type Snapshots = Arc<ArcSwap<Snapshot>>;

/// One published version of the selling prices.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    /// Its name.
    pub version: String,
    /// By the model's name.
    pub quotes: HashMap<String, Result<Quote, PriceUnavailable>>,
}

/// A model that cannot be sold at the moment, such as one in dollars without a fresh rate of exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PriceUnavailable(pub String);
