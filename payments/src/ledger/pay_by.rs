//! How is an order put to WeChat Pay, and what does its payer get? Frozen with the order: a repeat says the very same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::words;

words! {
    /// Which of WeChat Pay's APIs.
    PayApi {
        /// XML and a shared key.
        V2 = "v2",
        /// JSON, RSA and AES-GCM.
        V3 = "v3",
    }
}

words! {
    /// How the payer comes to pay.
    PayWay {
        /// Scans a code.
        Native = "native",
        /// In a page inside WeChat.
        Jsapi = "jsapi",
        /// In a Mini Program.
        MiniProgram = "mini_program",
        /// In a browser on a phone, which opens WeChat.
        H5 = "h5",
    }
}

words! {
    /// How the messages of an order of API v2 are signed, from its first to its last.
    PaySign {
        /// The one to use.
        HmacSha256 = "HMAC-SHA256",
        /// For merchants that cannot do without it.
        Md5 = "MD5",
    }
}

impl PayWay {
    /// Whether WeChat Pay has to know who pays before: by their `openid` under the order's app.
    pub const fn needs_payer(self) -> bool {
        matches!(self, Self::Jsapi | Self::MiniProgram)
    }
}

/// How an order is put to WeChat Pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayBy {
    /// By which API.
    pub api: PayApi,
    /// How the payer comes to pay.
    pub way: PayWay,
    /// How its messages are signed; only API v2 has a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_type: Option<PaySign>,
    /// What the payer reads; empty in orders older than this member, which say what is configured.
    pub description: String,
    /// Where the payment is reported; empty in the same orders.
    pub notify_url: String,
    /// Who pays, as WeChat names them under the order's app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openid: Option<String>,
    /// Where the payer's device is: an IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// Which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where a browser goes on after it has paid; never sent to WeChat Pay with the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

impl Default for PayBy {
    /// As orders were put before it was written down.
    fn default() -> Self {
        Self {
            api: PayApi::V3,
            way: PayWay::Native,
            sign_type: None,
            description: String::new(),
            notify_url: String::new(),
            openid: None,
            client_ip: None,
            device_id: None,
            return_url: None,
        }
    }
}

impl PayBy {
    /// Whether it is what orders say that are older than this: their rows stay as they were written.
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }
}

/// What WeChat Pay gives for an order, to be turned into a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prepay {
    /// The content of a code to be scanned, good for two hours.
    Code(String),
    /// A number that a page or a Mini Program in WeChat calls the payment up with, good for two hours.
    Session {
        /// It.
        prepay_id: String,
    },
    /// A page that opens WeChat from a browser, good for five minutes.
    Page {
        /// It.
        h5_url: String,
    },
}

impl Prepay {
    /// How long a payment can be begun with it. Source: WeChat Pay API v3, orders.
    pub const fn lasts(&self) -> Duration {
        match self {
            Self::Code(_) | Self::Session { .. } => Duration::from_secs(2 * 3_600),
            Self::Page { .. } => Duration::from_secs(5 * 60),
        }
    }

    /// The content of a code, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Code(code) => Some(code),
            Self::Session { .. } | Self::Page { .. } => None,
        }
    }
}
