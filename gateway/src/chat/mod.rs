//! Chat: what is a call and how can it end, in our own words?
//!
//! The types between the client's wire (`dialect`), the decision (`plan`), the money (`meter`) and the upstream's wire
//! (`provider`). Knows `units` and nothing of any wire but the header that ends a circle of gateways.

mod call;
mod caller;
mod decision;
mod ending;
mod endpoint;
mod event;
mod head;
mod hops;
mod limit;
mod so_far;
mod text;
mod trail;
mod vocabulary;
mod wishes;

pub use call::{Call, ChatForm, Form, Inexpressible, Member, Seen};
pub use caller::{Caller, KeyLimits};
pub use decision::{Decision, Passed, Skipped};
pub use ending::{Attempt, AttemptResult, Ending, Outcome};
pub use endpoint::{Endpoint, Spoken};
pub use event::{Break, BreakReason, Chunk, UsageSeen};
pub use head::{HEAD_MAX_BYTES, head_bytes};
pub use hops::{HOPS_HEADER, HOPS_MAX, hops};
pub use limit::{Kind, Scope, Standing, TooFast};
pub use so_far::SoFar;
pub use text::TextSize;
pub use trail::Trail;
pub use wishes::{CacheWish, Wishes};
