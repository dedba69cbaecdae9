//! What do we give back, and has it arrived?

use std::fmt;

use units::{Fen, Timestamp};

/// A refund to ask for. Repeating it unchanged refunds once; after an unclear answer only the *same* number may be
/// used again, because a new one pays twice. Source: WeChat Pay API v3, refund application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefund {
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// Our number of this refund: 1 to 64 digits, ASCII letters, `_`, `-`, `|`, `*` or `@`.
    pub out_refund_no: String,
    /// What goes back.
    pub refund: Fen,
    /// What the order was for.
    pub total: Fen,
    /// What the payer reads, at most 80 characters; left out when absent.
    pub reason: Option<String>,
    /// Where the notice is to arrive.
    pub notify_url: String,
}

/// Where a refund stands. Source: WeChat Pay API v3, refund query, `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// Accepted, on its way.
    Processing,
    /// The payer has it.
    Success,
    /// It did not happen; another one needs another number.
    Closed,
    /// It left our account and could not reach the payer: someone has to look.
    Abnormal,
    /// A state this version has not heard of: keep waiting and raise an alert.
    Unknown(String),
}

impl RefundState {
    /// Reads the channel's name of a state; one we do not know is kept as it is.
    pub fn from_name(name: &str) -> Self {
        match name {
            "PROCESSING" => Self::Processing,
            "SUCCESS" => Self::Success,
            "CLOSED" => Self::Closed,
            "ABNORMAL" => Self::Abnormal,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// The channel's name of this state.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Success => "SUCCESS",
            Self::Closed => "CLOSED",
            Self::Abnormal => "ABNORMAL",
            Self::Unknown(name) => name,
        }
    }
}

impl fmt::Display for RefundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refund as the channel reports it. Nothing in it has been compared with our refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundReport {
    /// Our number, or the console's for a refund that was started there.
    pub out_refund_no: String,
    /// The channel's number of the refund.
    pub refund_id: Option<String>,
    /// The channel's number of the payment.
    pub transaction_id: Option<String>,
    /// Our number of the payment.
    pub out_trade_no: Option<String>,
    /// Where the refund stands.
    pub state: RefundState,
    /// What goes back, before coupons.
    pub refund: Option<Fen>,
    /// What the order was for.
    pub total: Option<Fen>,
    /// When the payer had it.
    pub success_time: Option<Timestamp>,
    /// What the channel's support finds the call by that asked for the refund; only its own answer has it.
    pub request_id: Option<String>,
}
