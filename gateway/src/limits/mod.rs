//! Limits: what may go on, and whose limit stands in the way?
//!
//! Requests and tokens in any minute and calls at once, of keys, accounts, models and providers. Knows their bounds by the
//! route table and by what stands on a key. One decision is about all limits of a call: it is admitted by all of them, or
//! nothing is taken from any. Knows nothing of money, which is decided elsewhere and never depends on what is known here.
//!
//! Where `limits.redis` is set, several nodes count together; where that is away, each keeps its share.
//!
//! A minute is any minute, not one of the clock's: what was taken counts for 60 seconds, in steps of half a second.

mod claim; // one limit, and how much of it is wanted
mod local; // what this process has let through
mod minute; // what was taken within the last minute
mod permit; // what was taken, to be given back
mod service; // which limits a call meets
mod shared; // what several nodes count together
mod steady; // a time that never goes back

pub use permit::Permit;
pub use service::{Admitted, Limits};
pub use shared::{LimitMetrics, Shared, Worker};
