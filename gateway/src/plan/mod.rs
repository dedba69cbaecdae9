//! Plan: which candidates, in what order, at which rates? Pure: one call and one snapshot in, a [`Planned`] out.

mod ceiling;
mod cost;
mod failure;
mod layer;
mod planned;
mod rest;
mod snapshot;
mod spoken;

pub use ceiling::{affordable, ceiling};
pub use failure::failure_class;
pub use layer::{Plan, PlanLayer};
pub use payments::prices::Quote;
pub use planned::{CLAMPED_MIN, Candidate, Covered, Health, Moment, PlanError, Planned, plan};
pub use rest::{Broken, may_be_continued, rest};
pub use snapshot::{Snapshot, Snapshots};
pub use spoken::Unspoken;
