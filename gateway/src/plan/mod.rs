//! Plan: which candidates, in what order, at which rates? Pure: one call and one snapshot in, a [`Planned`] out.

mod cost;
mod layer;
mod planned;
mod snapshot;
mod spoken;

pub use layer::{Plan, PlanLayer};
pub use payments::prices::Quote;
pub use planned::{Candidate, Covered, Health, Moment, PlanError, Planned, plan};
pub use snapshot::{Snapshot, Snapshots};
pub use spoken::Unspoken;
