//! Why a call was not served.

use super::{HoldLost, Refusal, Short};
use crate::{chat::TooFast, dispatch::DispatchError};

/// No answer, and nothing charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    /// A limit of ours is reached.
    #[error(transparent)]
    TooFast(#[from] TooFast),
    /// No money was set aside.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The balance covers none of the models allowed.
    #[error(transparent)]
    Short(Box<Short>),
    /// Money was set aside and could not be written down.
    #[error(transparent)]
    HoldLost(#[from] HoldLost),
    /// Nobody answered.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// The client is gone; nobody will read this.
    #[error("the client went away")]
    Gone,
}
