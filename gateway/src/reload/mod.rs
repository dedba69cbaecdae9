//! Reload: what is true now? Publishes whole snapshots of routes and prices, and the table of keys.
//!
//! Prices are what the store says: the published versions in force and to come, who buys by which list, and the rates of
//! exchange of the moment. The file's prices become the first version, and go on to be the price list until an operator
//! publishes one ([`seed`]). Knows router-config's table and payments' prices; whoever plans reads the snapshot.

mod key_table;
mod metrics;
mod publisher;
mod seed;

pub use self::{
    key_table::follow_keys,
    metrics::FxMetrics,
    publisher::{Publisher, PublisherSettings, last_rates},
    seed::document,
};
