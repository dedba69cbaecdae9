//! In which ways can an attempt fail, and after which of them is another target asked?

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an attempt failed, as a route speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// We are too fast for it.
    RateLimited,
    /// It reported an error of its own.
    ServerError,
    /// It was too slow.
    TimedOut,
    /// There was no connection, or it was lost.
    Unreachable,
    /// What it sent was no answer.
    Malformed,
    /// It refuses our key.
    AuthFailed,
    /// Our account there is empty.
    OutOfFunds,
    /// It does not have the model.
    ModelMissing,
    /// The prompt does not fit its model.
    ContextWindow,
    /// It refuses the content.
    ContentFilter,
}

impl FailureClass {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::RateLimited,
        Self::ServerError,
        Self::TimedOut,
        Self::Unreachable,
        Self::Malformed,
        Self::AuthFailed,
        Self::OutOfFunds,
        Self::ModelMissing,
        Self::ContextWindow,
        Self::ContentFilter,
    ];

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
            Self::AuthFailed => "auth_failed",
            Self::OutOfFunds => "out_of_funds",
            Self::ModelMissing => "model_missing",
            Self::ContextWindow => "context_window",
            Self::ContentFilter => "content_filter",
        }
    }

    /// What moves on where a route says nothing: whatever is not the request's own fault. A prompt that is too long is
    /// so for every target of the same size, and who may read content that one provider refuses is for people to say.
    pub fn unless_said() -> BTreeSet<Self> {
        let own = |class: &Self| matches!(class, Self::ContextWindow | Self::ContentFilter);
        Self::ALL.into_iter().filter(|class| !own(class)).collect()
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
