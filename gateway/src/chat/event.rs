//! What comes back from an upstream, piece by piece.

use bytes::Bytes;
use units::Usage;

use super::{AttemptResult, TextSize};

/// What an upstream said about usage, after every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageSeen {
    /// Nothing.
    Absent,
    /// What the prompt came to, said before anything was produced: what the output comes to is still to be counted.
    Prompt(Usage),
    /// Counts that can be believed.
    Counted {
        /// The counts, disjoint.
        usage: Usage,
        /// The object as sent, for the client.
        raw: Bytes,
    },
    /// Something that cannot be a usage: negative, fractional, beyond measure, or at odds with itself.
    Refused,
}

/// One event of a streamed answer, or all of an answer in one piece: a JSON object, of a stream on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The object, valid UTF-8: a chat completion (chunk) where the answer is spoken as chat, else of the client's wire.
    pub json: Bytes,
    /// The event's `type`, where the wire names its events (Responses, Messages).
    pub event: Option<Box<str>>,
    /// Bytes of text, reasoning, refusal and tool arguments in it.
    pub text_size: TextSize,
    /// Whether a choice ended with it.
    pub finish: bool,
    /// Whether it holds part of the answer; one that does not and has a usage is only there for the usage.
    pub has_choices: bool,
    /// Whether the object has a `usage` member, be it null.
    pub has_usage_member: bool,
    /// What its usage says.
    pub usage: UsageSeen,
}

/// A streamed answer ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{provider}: {reason}")]
pub struct Break {
    /// Who was answering.
    pub provider: String,
    /// Why it stopped.
    pub reason: BreakReason,
}

impl BreakReason {
    /// What an attempt would have been called that had failed so before its first word.
    pub const fn result(&self) -> AttemptResult {
        match self {
            Self::Silent(_) | Self::Slow(_) | Self::TooLong(_) => AttemptResult::TimedOut,
            Self::Lost => AttemptResult::Unreachable,
            Self::Reported { result, .. } => *result,
            Self::Unreadable => AttemptResult::Malformed,
        }
    }
}

/// Why a streamed answer stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BreakReason {
    /// The connection was lost, or closed without a finish.
    #[error("the connection ended before the answer did")]
    Lost,
    /// No chunk within the provider's idle time.
    #[error("nothing came for {0} ms")]
    Silent(u64),
    /// Fewer bytes a second than the provider's stream has to bring.
    #[error("the answer came more slowly than {0} bytes a second")]
    Slow(u64),
    /// The call's whole time is over.
    #[error("the answer took longer than {0} ms")]
    TooLong(u64),
    /// The upstream sent an error among its chunks.
    #[error("the upstream reported: {message}")]
    Reported {
        /// In its words.
        message: String,
        /// What an attempt would have been called that began so.
        result: AttemptResult,
    },
    /// What came was no part of an answer.
    #[error("an unreadable event")]
    Unreadable,
}
