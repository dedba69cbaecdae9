//! Reload: what is true now? Publishes whole snapshots of routes and prices, and the table of keys.
//!
//! Prices are what the store says: the published versions in force and to come, who buys by which list, and the rates of
//! exchange of the moment. The file's prices become the first version, and go on to be the price list until an operator
//! publishes one ([`seed`]). Knows router-config's table and payments' prices; whoever plans reads the snapshot.
//!
//! The file is read again when somebody asks ([`Reloader`]), or when it changes ([`Watcher`]): whole or not at all. A call
//! goes on with the snapshot that it was planned by.

mod config_metrics;
mod key_table;
mod metrics;
mod places;
mod publisher;
mod reloader;
mod report;
mod seed;
mod settle;
mod watcher;

pub use self::{
    config_metrics::ConfigMetrics,
    key_table::follow_keys,
    metrics::FxMetrics,
    publisher::{Publisher, PublisherSettings, last_rates},
    reloader::{Prepare, Rekey, Reloader, ReloaderParts, publisher_settings},
    report::{InForce, Outcome, Refused, Report, Trigger},
    seed::document,
    watcher::Watcher,
};
