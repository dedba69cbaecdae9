//! How fast somebody may go, and how far they have gone.

use std::{fmt, sync::Arc, time::Duration};

use units::Timestamp;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Requests in any minute.
    Requests,
    /// Tokens in any minute.
    Tokens,
    /// Calls in flight at once.
    Concurrency,
}

impl Kind {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Concurrency];

    /// `requests`, `tokens` or `concurrency`, as metrics say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
        }
    }

    /// `requests_per_minute`, `tokens_per_minute` or `concurrent_calls`, as error bodies say it.
    pub const fn limit_kind(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::Concurrency => "concurrent_calls",
        }
    }

    /// OpenAI's `type` of the error; it has no word for calls at once.
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::Requests | Self::Concurrency => "requests",
            Self::Tokens => "tokens",
        }
    }

    /// The stable word that programs match on.
    pub const fn error_code(self) -> &'static str {
        match self {
            Self::Requests | Self::Tokens => "rate_limit_exceeded",
            Self::Concurrency => "concurrency_limit_exceeded",
        }
    }
}

/// Whose limit it is. Each is ours, an upstream's own is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One key's.
    Key,
    /// An account's, all its keys together.
    Account,
    /// A model's, all callers together.
    Model,
    /// A provider's: what we send it.
    Provider,
}

impl Scope {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 4] = [Self::Key, Self::Account, Self::Model, Self::Provider];

    /// `key`, `account`, `model` or `provider`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Account => "account",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }
}

/// Where somebody stands with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Allowed per minute, or at once.
    pub limit: u64,
    /// Left right now.
    pub remaining: u64,
    /// Until all of it is there again; nothing for calls at once, which nobody can tell.
    pub reset: Duration,
}

impl Standing {
    /// True where less is left of this one than of the other, as a share of the whole.
    pub fn is_nearer_its_end(&self, other: &Self) -> bool {
        let share = |a: &Self, b: &Self| u128::from(a.remaining) * u128::from(b.limit);
        share(self, other) < share(other, self)
    }
}

/// A limit of ours is reached. Nothing was taken from this limit or any other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TooFast {
    /// Whose limit.
    pub scope: Scope,
    /// The model's or the provider's id.
    pub name: Option<Arc<str>>,
    /// Of what there would be too much.
    pub kind: Kind,
    /// Where it stands.
    pub standing: Standing,
    /// When the same request will be admitted; for calls at once, when to look again.
    pub retry_after: Duration,
    /// When all of it is there again, if that can be told.
    pub resets_at: Option<Timestamp>,
}

impl fmt::Display for TooFast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, name) = (self.standing.limit, self.name.as_deref().unwrap_or_default());
        let whose = match self.scope {
            Scope::Key => "this API key".to_owned(),
            Scope::Account => "this account, all its keys together".to_owned(),
            Scope::Model => format!("the model `{name}`, all callers together"),
            Scope::Provider => format!("what is sent to the provider `{name}`"),
        };
        match self.kind {
            Kind::Requests | Kind::Tokens => {
                let secs = self.retry_after.as_millis().div_ceil(1_000).max(1);
                let kind = self.kind.as_str();
                write!(f, "Rate limit reached for {whose}: {limit} {kind} per minute. Try again in {secs} s.")
            }
            Kind::Concurrency => write!(
                f,
                "Limit reached for {whose}: {limit} calls at once. Try again when one of them has ended."
            ),
        }
    }
}
