//! What can go wrong, and where does it strike?
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Scope;

/// The longest word a fault may put into an answer, bytes.
const HUGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most signs of life before an answer.
const SIGNS_MAX: usize = 10_000;

/// A call of the WeChat Pay API, as faults name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Create,
    Query,
    Close,
    Refund,
    RefundQuery,
    Certificates,
}

/// How a refund ends, or that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RefundStatus {
    Processing,
    Success,
    Closed,
    Abnormal,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// Answers with this status; without a body, in the words the one who answers would use.
    Status {
        status: u16,
        /// Of model providers and rates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// Seconds; of model providers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// WeChat Pay's error code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
        /// WeChat Pay does what was asked and then answers with the error nevertheless.
        #[serde(default)]
        executed: bool,
    },
    /// Never answers; ends when the client leaves.
    Timeout {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
        /// WeChat Pay does what was asked, and its answer is lost.
        #[serde(default)]
        executed: bool,
    },

    // Model providers.
    SlowFirstByte {
        ms: u64,
        /// The status line comes at once, only the body is late.
        #[serde(default)]
        after_headers: bool,
    },
    StallAfter {
        chunks: usize,
    },
    CutAfter {
        chunks: usize,
    },
    /// Ends well on the wire, in the middle of what was to be said.
    EndAfter {
        chunks: usize,
    },
    /// An error where an answer should be; in a stream perhaps after some of it.
    #[serde(rename = "error_in_200")]
    ErrorIn200 {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<usize>,
    },
    /// A page for people, as from a proxy in between.
    Html {
        #[serde(default = "ok")]
        status: u16,
    },
    /// No body at all.
    Empty {},
    /// A stream without events; with `done`, only its end mark.
    EmptyStream {
        #[serde(default)]
        done: bool,
    },
    /// One JSON object although a stream was asked for.
    JsonForStream {},
    /// A stream although one JSON object was asked for.
    StreamForJson {},
    NoUsage {},
    /// What was used so far, on every chunk.
    UsageInEveryChunk {},
    /// Replaces the usage object by anything.
    Usage {
        usage: Value,
    },
    /// Ends in these words, perhaps after so many tokens.
    #[serde(rename = "finish_reason")]
    Finish {
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<usize>,
    },
    /// Puts a value where a JSON pointer points, in the answer and in each event that has its parent.
    Set {
        pointer: String,
        #[serde(default)]
        value: Value,
    },
    /// Takes away what a JSON pointer points at.
    Remove {
        pointer: String,
    },
    /// One word of the answer is this long.
    HugeChunk {
        #[serde(default = "mebibyte")]
        bytes: usize,
    },
    NoDone {},
    /// One of the JSON texts is only half there.
    BadJson {},
    /// One byte of the answer is none of UTF-8.
    #[serde(rename = "bad_utf8")]
    BadUtf8 {},
    OutOfFunds {},
    ContentFilter {},
    /// The prompt is longer than the model's context.
    TooLong {},
    /// Alive but busy: so many signs of life, so far apart, before the answer begins.
    Busy {
        signs: usize,
        gap_ms: u64,
    },
    Crlf {},
    Cr {},
    Bom {},
    /// Each event's JSON on several `data:` lines.
    MultiLine {},
    /// Comments between the events, and within them.
    Comments {},
    /// `id:`, `retry:`, unknown fields, and pings between the events.
    OddFields {},
    /// One line end between events instead of two.
    NoBlankLine {},
    /// Leaves in pieces of this many bytes.
    Drip {
        bytes: usize,
    },
    /// Compressed, whatever was asked.
    Gzip {},

    // WeChat Pay's notifications; each fault spoils one delivery, the ladder goes on.
    DropNotification {
        /// Every delivery of this event is lost, not only the next.
        #[serde(default)]
        all: bool,
    },
    DelayNotification {
        ms: u64,
    },
    DuplicateNotification {
        copies: usize,
    },
    /// With an `op`, the answer to that call instead of a notification.
    BadSignature {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    /// With an `op`, the answer to that call instead of a notification.
    SignatureProbe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    WrongAmount {
        total: i64,
    },
    WrongMchid {},
    StaleNotification {},
    UnknownOrder {},

    // WeChat Pay's refunds.
    RefundResult {
        status: RefundStatus,
    },
    NotEnough {},
    /// Meets refunds unless `op` says otherwise.
    FrequencyLimited {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
}

fn ok() -> u16 {
    200
}

fn mebibyte() -> usize {
    1024 * 1024
}

/// Where a fault could strike now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Site<'a> {
    Provider(Scope, &'a str),
    Api(Op),
    /// The signature on the answer to a call that went well.
    Signature(Op),
    Notification,
    RefundResult,
    Fx,
}

impl Site<'_> {
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Provider(scope, _) => scope,
            Self::Api(_) | Self::Signature(_) | Self::Notification | Self::RefundResult => Scope::WeChat,
            Self::Fx => Scope::Fx,
        }
    }
}

impl Fault {
    pub(super) fn strikes(&self, site: Site<'_>) -> bool {
        let any_or = |asked: &Option<Op>, op: Op| asked.is_none_or(|asked| asked == op);
        match (self, site) {
            (Self::Status { op, .. } | Self::Timeout { op, .. }, Site::Api(called)) => any_or(op, called),
            (Self::Status { op, .. } | Self::Timeout { op, .. }, Site::Provider(..) | Site::Fx) => {
                op.is_none()
            }
            (fault, Site::Provider(..)) => fault.of_models(),
            (Self::BadSignature { op } | Self::SignatureProbe { op }, Site::Signature(called)) => {
                *op == Some(called)
            }
            (Self::BadSignature { op } | Self::SignatureProbe { op }, Site::Notification) => op.is_none(),
            (
                Self::DropNotification { .. }
                | Self::DelayNotification { .. }
                | Self::DuplicateNotification { .. }
                | Self::WrongAmount { .. }
                | Self::WrongMchid {}
                | Self::StaleNotification {}
                | Self::UnknownOrder {},
                Site::Notification,
            ) => true,
            (Self::RefundResult { .. }, Site::RefundResult) => true,
            (Self::NotEnough {}, Site::Api(called)) => called == Op::Refund,
            (Self::FrequencyLimited { op }, Site::Api(called)) => op.unwrap_or(Op::Refund) == called,
            _ => false,
        }
    }

    /// Whether only model providers know it.
    fn of_models(&self) -> bool {
        match self {
            Self::SlowFirstByte { .. }
            | Self::StallAfter { .. }
            | Self::CutAfter { .. }
            | Self::EndAfter { .. }
            | Self::ErrorIn200 { .. }
            | Self::Html { .. }
            | Self::Empty {}
            | Self::EmptyStream { .. }
            | Self::JsonForStream {}
            | Self::StreamForJson {}
            | Self::NoUsage {}
            | Self::UsageInEveryChunk {}
            | Self::Usage { .. }
            | Self::Finish { .. }
            | Self::Set { .. }
            | Self::Remove { .. }
            | Self::HugeChunk { .. }
            | Self::NoDone {}
            | Self::BadJson {}
            | Self::BadUtf8 {}
            | Self::OutOfFunds {}
            | Self::ContentFilter {}
            | Self::TooLong {}
            | Self::Busy { .. }
            | Self::Crlf {}
            | Self::Cr {}
            | Self::Bom {}
            | Self::MultiLine {}
            | Self::Comments {}
            | Self::OddFields {}
            | Self::NoBlankLine {}
            | Self::Drip { .. }
            | Self::Gzip {} => true,
            Self::Status { .. }
            | Self::Timeout { .. }
            | Self::DropNotification { .. }
            | Self::DelayNotification { .. }
            | Self::DuplicateNotification { .. }
            | Self::BadSignature { .. }
            | Self::SignatureProbe { .. }
            | Self::WrongAmount { .. }
            | Self::WrongMchid {}
            | Self::StaleNotification {}
            | Self::UnknownOrder {}
            | Self::RefundResult { .. }
            | Self::NotEnough {}
            | Self::FrequencyLimited { .. } => false,
        }
    }

    /// Whether this fault means anything to that scope.
    pub(super) fn known_to(&self, scope: Scope) -> bool {
        let anywhere = matches!(self, Self::Status { .. } | Self::Timeout { .. });
        match scope {
            Scope::Any => true,
            Scope::Fx => anywhere,
            Scope::WeChat => !self.of_models(),
            Scope::Provider(_) => anywhere && self.strikes(Site::Provider(scope, "")) || self.of_models(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Status { status: ..=199 | 600.., .. } | Self::Html { status: ..=199 | 600.. } => {
                Err("status: 200 to 599".into())
            }
            Self::Drip { bytes: 0 } => Err("bytes: 1 or more".into()),
            Self::HugeChunk { bytes } if *bytes > HUGE_BYTES_MAX => {
                Err(format!("bytes: at most {HUGE_BYTES_MAX}"))
            }
            Self::Busy { signs, .. } if *signs > SIGNS_MAX => Err(format!("signs: at most {SIGNS_MAX}")),
            Self::Set { pointer, .. } | Self::Remove { pointer } if !pointer.starts_with('/') => {
                Err("pointer: begins with /".into())
            }
            Self::DuplicateNotification { copies: 0 | 101.. } => Err("copies: 1 to 100".into()),
            _ => Ok(()),
        }
    }
}
