//! What can go wrong, and where does it strike?
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Scope;

/// The longest word a fault may put into an answer, bytes.
const HUGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most signs of life before an answer.
const SIGNS_MAX: usize = 10_000;

/// A call of either WeChat Pay API, as faults name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Create,
    Query,
    Close,
    Refund,
    RefundQuery,
    Certificates,
    /// The trade bill: its link in v3, itself in v2.
    TradeBill,
    /// The fund-flow bill: its link in v3, itself in v2.
    FundFlowBill,
    /// What a link of v3 leads to.
    BillDownload,
    /// v2's key for the sandbox.
    SandboxKey,
}

/// One of WeChat Pay's two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    V2,
    V3,
}

/// What a merchant is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Notice {
    Payment,
    Refund,
    Risk,
}

/// A bill of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BillKind {
    #[default]
    Trade,
    FundFlow,
}

/// Which row of a bill a fault means; without a number the first one of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BillRow {
    #[serde(default)]
    pub(crate) bill: BillKind,
    /// The payment's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) out_trade_no: Option<String>,
    /// The refund's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) out_refund_no: Option<String>,
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
    /// Held back until the merchant has been told of something else, or for 15 seconds.
    ReorderNotification {},
    WrongAmount {
        total: i64,
    },
    WrongMchid {},
    WrongAppid {},
    WrongCurrency {},
    /// v2 signs with the algorithm that the order does not use.
    WrongSignType {},
    /// v2 asks the reader for an outside entity.
    Doctype {},
    StaleNotification {},
    UnknownOrder {},

    // WeChat Pay's calls.
    /// The answer is right and late, by the simulator's clock.
    Slow {
        ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    /// An order that was just closed is paid all the same.
    PayAfterClose {
        #[serde(default)]
        after_ms: u64,
    },

    // WeChat Pay's bills; a bill stays as it was when it was first asked for.
    BillRowMissing(BillRow),
    /// A payment that nobody has made.
    BillRowExtra {
        #[serde(default)]
        bill: BillKind,
        /// Fen.
        total: i64,
    },
    BillRowDifferent {
        #[serde(default)]
        bill: BillKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out_trade_no: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out_refund_no: Option<String>,
        /// The amount in that row, fen.
        total: i64,
    },
    /// The hash beside the link is of something else.
    BillWrongHash {},
    /// The link leads to a host that is not ours.
    BillForeignHost {},

    // WeChat Pay's refunds.
    RefundResult {
        status: RefundStatus,
    },
    NotEnough {},
    /// The certificate that the merchant shows does not count, as if WeChat Pay had withdrawn it.
    CertificateRefused {},
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
    /// At WeChat Pay, before this merchant number.
    WeChat(&'a str, At),
    Fx,
}

/// Where at WeChat Pay.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Call(Api, Op),
    /// The signature on the answer to a call that went well.
    Signature(Api, Op),
    Notification(Api, Notice),
    RefundResult,
    /// An order was closed.
    Closed,
    /// A day's bill is made.
    Bill,
    /// A link to a bill is made.
    BillLink,
}

impl At {
    /// The API in question, where there is one.
    pub(super) fn api(self) -> Option<Api> {
        match self {
            Self::Call(api, _) | Self::Signature(api, _) | Self::Notification(api, _) => Some(api),
            Self::RefundResult | Self::Closed | Self::Bill | Self::BillLink => None,
        }
    }

    /// What is told, where something is.
    pub(super) fn notice(self) -> Option<Notice> {
        if let Self::Notification(_, notice) = self { Some(notice) } else { None }
    }
}

impl Site<'_> {
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Provider(scope, _) => scope,
            Self::WeChat(..) => Scope::WeChat,
            Self::Fx => Scope::Fx,
        }
    }
}

impl Fault {
    pub(super) fn strikes(&self, site: Site<'_>) -> bool {
        match (self, site) {
            (Self::Status { op, .. } | Self::Timeout { op, .. }, Site::Provider(..) | Site::Fx) => {
                op.is_none()
            }
            (fault, Site::Provider(..)) => fault.of_models(),
            (fault, Site::WeChat(_, at)) => fault.strikes_wechat(at),
            (_, Site::Fx) => false,
        }
    }

    fn strikes_wechat(&self, at: At) -> bool {
        let any_or = |asked: &Option<Op>, op: Op| asked.is_none_or(|asked| asked == op);
        match (self, at) {
            (
                Self::Status { op, .. } | Self::Timeout { op, .. } | Self::Slow { op, .. },
                At::Call(_, called),
            ) => any_or(op, called),
            (Self::NotEnough {}, At::Call(_, called)) => called == Op::Refund,
            (Self::CertificateRefused {}, At::Call(Api::V2, called)) => {
                matches!(called, Op::Refund | Op::FundFlowBill)
            }
            (Self::FrequencyLimited { op }, At::Call(_, called)) => op.unwrap_or(Op::Refund) == called,
            (Self::BadSignature { op }, At::Signature(_, called)) => *op == Some(called),
            (Self::BadSignature { op }, At::Notification(..)) => op.is_none(),
            // v2 has neither probes nor times.
            (Self::SignatureProbe { op }, At::Signature(Api::V3, called)) => *op == Some(called),
            (Self::SignatureProbe { op }, At::Notification(Api::V3, _)) => op.is_none(),
            (Self::StaleNotification {}, At::Notification(Api::V3, _)) => true,
            (Self::WrongSignType {}, At::Notification(Api::V2, notice)) => notice == Notice::Payment,
            (Self::Doctype {}, At::Notification(Api::V2, _)) => true,
            (
                Self::DropNotification { .. }
                | Self::DelayNotification { .. }
                | Self::DuplicateNotification { .. }
                | Self::ReorderNotification {}
                | Self::WrongMchid {},
                At::Notification(..),
            ) => true,
            (Self::WrongAmount { .. } | Self::UnknownOrder {}, At::Notification(_, notice)) => {
                notice != Notice::Risk
            }
            (Self::WrongAppid {} | Self::WrongCurrency {}, At::Notification(_, notice)) => {
                notice == Notice::Payment
            }
            (Self::RefundResult { .. }, At::RefundResult) | (Self::PayAfterClose { .. }, At::Closed) => true,
            (
                Self::BillRowMissing(_) | Self::BillRowExtra { .. } | Self::BillRowDifferent { .. },
                At::Bill,
            )
            | (Self::BillWrongHash {} | Self::BillForeignHost {}, At::BillLink) => true,
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
            | Self::ReorderNotification {}
            | Self::BadSignature { .. }
            | Self::SignatureProbe { .. }
            | Self::WrongAmount { .. }
            | Self::WrongMchid {}
            | Self::WrongAppid {}
            | Self::WrongCurrency {}
            | Self::WrongSignType {}
            | Self::Doctype {}
            | Self::StaleNotification {}
            | Self::UnknownOrder {}
            | Self::Slow { .. }
            | Self::PayAfterClose { .. }
            | Self::BillRowMissing(_)
            | Self::BillRowExtra { .. }
            | Self::BillRowDifferent { .. }
            | Self::BillWrongHash {}
            | Self::BillForeignHost {}
            | Self::RefundResult { .. }
            | Self::NotEnough {}
            | Self::CertificateRefused {}
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
            Self::BillRowExtra { total, .. } | Self::BillRowDifferent { total, .. } if *total < 1 => {
                Err("total: 1 fen or more".into())
            }
            Self::BillRowMissing(BillRow { out_trade_no: Some(_), out_refund_no: Some(_), .. })
            | Self::BillRowDifferent { out_trade_no: Some(_), out_refund_no: Some(_), .. } => {
                Err("out_trade_no, out_refund_no: one of them".into())
            }
            _ => Ok(()),
        }
    }
}
