//! Dispatch: whom do we ask next, and when do we stop?
//!
//! Tries the targets of a plan in their order until one has an answer that may be shown, or the request itself is
//! refused. Nothing here speaks to the client or knows of money; another provider is asked only while no byte of an
//! answer has gone out.

mod breaker;
mod budget;
mod error;
mod health;
mod keyring;
mod pace;
mod pass;
mod service;
mod show;
mod turns;
mod window;

pub use breaker::{Entry, Standing};
pub use error::DispatchError;
pub use health::{Busy, Shut, TargetHealth, TargetState};
pub use keyring::{KeyState, NoKey, Parking};
pub use pass::Pass;
pub use service::{Answer, Dispatch};
