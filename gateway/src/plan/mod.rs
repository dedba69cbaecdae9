//! Plan: which candidates, in what order, at which rates? Pure: one call and one snapshot in, a [`Planned`] out.

mod layer;
mod planned;
mod snapshot;

pub use layer::{Plan, PlanLayer};
pub use payments::prices::Quote;
pub use planned::{Covered, Health, PlanError, Planned, plan};
pub use snapshot::{Snapshot, Snapshots};
