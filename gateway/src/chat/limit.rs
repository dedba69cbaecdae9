//! How fast a key may go, and how far it has gone.

use std::time::Duration;

use units::Tokens;

use super::Caller;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
}

impl Kind {
    /// `requests` or `tokens`, as headers and error types say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Where a key stands with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Allowed per minute.
    pub limit: u64,
    /// Left right now.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// A key went faster than it may. Nothing was taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {} {} per minute", .standing.limit, .kind.as_str())]
pub struct TooFast {
    /// Of what it asked too much.
    pub kind: Kind,
    /// Where it stands.
    pub standing: Standing,
    /// When the same request will be admitted.
    pub retry_after: Duration,
}

/// What was taken from a key's tokens, to be corrected when the call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// How much was taken.
    pub taken: u64,
    /// What is left after it.
    pub standing: Standing,
}

/// Tokens per minute, as the meter sees them.
pub trait TokenPace: Send + Sync + std::fmt::Debug {
    /// Takes what a call may use.
    ///
    /// # Errors
    /// [`TooFast`]; nothing was taken then.
    fn take(&self, caller: &Caller, estimate: Tokens) -> Result<Reservation, TooFast>;

    /// Puts right what was `taken`, once it is known what was `used`.
    fn correct(&self, caller: &Caller, taken: u64, used: Tokens);
}
