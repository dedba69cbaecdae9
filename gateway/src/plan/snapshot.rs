//! What is true at one moment: routes and prices together.

use std::sync::Arc;

use arc_swap::ArcSwap;
use payments::prices::Book;
use router_config::RouteTable;

/// Everything a plan is made from. A call reads one of these, once.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Which models, providers and routes.
    pub table: Arc<RouteTable>,
    /// What they cost whom, now and later.
    pub prices: Arc<Book>,
}

/// The present snapshot; whoever reloads stores the next one whole.
pub type Snapshots = Arc<ArcSwap<Snapshot>>;
