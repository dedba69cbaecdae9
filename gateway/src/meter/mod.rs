//! Meter: sets money aside before a call and settles it when the answer ends.
//!
//! Knows who asks, for which model, at which rates ([`Planned`](crate::plan::Planned)). Speaks to a [`Till`], never to
//! storage, and asks the cache before anybody upstream. Stands inside `plan` and outside `dispatch`, so that a second attempt never takes a second hold.

mod continuation;
mod error;
mod family;
mod layer;
mod metered;
mod prompt;
mod reply;
mod service;
mod short;
mod stored;
mod tab;
mod tails;
mod tally;
mod till;

pub use error::MeterError;
pub use layer::MeterLayer;
pub use metered::{Metered, Piece};
pub use reply::{Bill, Reply, ReplyBody, ReplyHead};
pub use service::{Calling, Meter};
pub use short::Short;
pub use tails::Tails;
pub use till::{BudgetSpent, Hold, HoldAsk, HoldLost, Later, Refusal, Settled, Till};
