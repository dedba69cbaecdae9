//! Dispatch: whom do we ask next, and when do we stop?
//!
//! Tries the targets of a plan in their order until one has an answer that may be shown, or the request itself is
//! refused. Nothing here speaks to the client or knows of money; another provider is asked only while no byte of an
//! answer has gone out.

mod error;
mod health;
mod service;

pub use error::DispatchError;
pub use health::{Busy, TargetHealth};
pub use service::{Answer, Dispatch};
