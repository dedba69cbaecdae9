//! Chat: what is a call and how can it end, in our own words?
//!
//! The types between the client's wire (`dialect`), the decision (`plan`), the money (`meter`) and the upstream's wire
//! (`provider`). Knows `units` and nothing of any wire.

mod call;
mod caller;
mod ending;
mod event;
mod limit;
mod trail;

pub use call::{Call, Member, ModelSeen};
pub use caller::{Caller, KeyLimits};
pub use ending::{Attempt, AttemptResult, Ending, Outcome};
pub use event::{Break, BreakReason, Chunk, UsageSeen};
pub use limit::{Kind, Reservation, Standing, TokenPace, TooFast};
pub use trail::Trail;
