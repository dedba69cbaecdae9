//! What do we ask a payer for, and what became of it?

use std::fmt;

use units::{Fen, Timestamp};

/// An order to be paid. Repeating it with identical values is harmless and gives a fresh code; with other values it is
/// refused, so the caller stores it before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The application it is paid under, which for a Mini Program is another one than for an official account.
    pub appid: String,
    /// Our number: 6 to 32 digits, ASCII letters, `_`, `-`, `|` or `*`, used once per merchant number.
    pub out_trade_no: String,
    /// What the payer reads, at most 127 characters, none beyond three bytes of UTF-8.
    pub description: String,
    /// What is to be paid; the channel refuses zero.
    pub total: Fen,
    /// Where the notice is to arrive: absolute, without a query.
    pub notify_url: String,
    /// The last moment at which it can be paid; sent in whole seconds, rounded down.
    pub expires_at: Timestamp,
    /// How the payer comes to pay.
    pub way: Way,
    /// Where the payer's device is: an IP address. Sent where there is a `device_id` or the way asks for it.
    pub client_ip: Option<String>,
    /// The till or device that asked, at most 32 characters; left out when absent.
    pub device_id: Option<String>,
}

/// How a payer comes to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Scans a code.
    Native,
    /// In a page or a Mini Program inside WeChat, whose app says who that is.
    InApp {
        /// The payer under the order's app.
        openid: String,
    },
    /// In a browser on a phone.
    H5,
}

/// What an order becomes a payment by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepaid {
    /// The content of a code, good for two hours whatever the order's own end.
    Code(String),
    /// A `prepay_id`, good for two hours.
    Session(String),
    /// The address of a page, good for five minutes.
    Page(String),
}

/// An order that the channel has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What it is paid by.
    pub prepaid: Prepaid,
    /// What the channel's support finds the call by, where its answer said so.
    pub request_id: Option<String>,
}

/// A payment as the channel reports it. Nothing in it has been compared with our order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Merchant number that was paid.
    pub mchid: String,
    /// Application the order was made for.
    pub appid: String,
    /// Our number.
    pub out_trade_no: String,
    /// The channel's number; absent while nothing was paid.
    pub transaction_id: Option<String>,
    /// Where the payment stands.
    pub state: TradeState,
    /// The order's amount (`amount.total`), before coupons: the one to compare. Absent for some unpaid orders; a
    /// paid trade without it agrees with no order.
    pub total: Option<Fen>,
    /// Currency of the amount; absent means CNY.
    pub currency: Option<String>,
    /// When it was paid.
    pub success_time: Option<Timestamp>,
    /// The payer's id under our application.
    pub payer: Option<String>,
}

/// Where a payment stands. Source: WeChat Pay API v3, order query, `trade_state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TradeState {
    /// Not paid, or an attempt failed; it can still be paid.
    NotPay,
    /// Paid.
    Success,
    /// Paid, and at least partly refunded since: still counts as paid.
    Refund,
    /// Closed; cannot be paid.
    Closed,
    /// Reversed; only where the cashier scans the payer.
    Revoked,
    /// The payer is typing a password; only where the cashier scans the payer.
    UserPaying,
    /// Failed; not final.
    PayError,
    /// Accepted, waiting for the deduction.
    Accept,
    /// A state this version has not heard of: keep waiting and raise an alert.
    Unknown(String),
}

impl TradeState {
    /// Reads the channel's name of a state; one we do not know is kept as it is.
    pub fn from_name(name: &str) -> Self {
        match name {
            "NOTPAY" => Self::NotPay,
            "SUCCESS" => Self::Success,
            "REFUND" => Self::Refund,
            "CLOSED" => Self::Closed,
            "REVOKED" => Self::Revoked,
            "USERPAYING" => Self::UserPaying,
            "PAYERROR" => Self::PayError,
            "ACCEPT" => Self::Accept,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// The channel's name of this state.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotPay => "NOTPAY",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
            Self::Closed => "CLOSED",
            Self::Revoked => "REVOKED",
            Self::UserPaying => "USERPAYING",
            Self::PayError => "PAYERROR",
            Self::Accept => "ACCEPT",
            Self::Unknown(name) => name,
        }
    }

    /// Whether the money arrived at some time, whatever became of it later.
    pub const fn was_paid(&self) -> bool {
        matches!(self, Self::Success | Self::Refund)
    }
}

impl fmt::Display for TradeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
