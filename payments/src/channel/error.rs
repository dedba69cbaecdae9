//! What went wrong with the channel, and what may be done about it?

use crate::transport::TransportError;

/// What the caller may do next after asking the channel for something.
///
/// Error answers are not covered by the signature check, so whatever they say steers retries only. Before money that
/// was set aside for a refund is released, ask the channel for the refund itself.
///
/// `code` is the channel's own where it gave one, else `HTTP_` and the status; `request_id` is what the channel's
/// support asks for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChannelError {
    /// Nothing came back, so whether it was done is unknown: query, then repeat with the same number.
    #[error("the channel gave no answer: {0}")]
    NoAnswer(#[from] TransportError),
    /// An answer that leaves open whether it was done: query before repeating, with the same number.
    #[error("the channel's answer is unclear: {code} {message}{}", by(.request_id.as_deref()))]
    Unclear {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// Not done, because we ask too often or too much: later, with the same number.
    #[error("the channel is busy: {code} {message}{}", by(.request_id.as_deref()))]
    Busy {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// The channel knows no such order or refund. One that was made seconds ago may still appear.
    #[error("unknown to the channel: {code} {message}{}", by(.request_id.as_deref()))]
    NotFound {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// The order is paid already: query it.
    #[error("paid already: {code} {message}{}", by(.request_id.as_deref()))]
    AlreadyPaid {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// The order is closed: a further attempt needs another number.
    #[error("closed already: {code} {message}{}", by(.request_id.as_deref()))]
    AlreadyClosed {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// The merchant's own balance does not cover the refund; nothing happened. The same number, once it does.
    #[error("the merchant's balance is too low: {code} {message}{}", by(.request_id.as_deref()))]
    NotEnough {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// Refused for good; repeating it will not help.
    #[error("refused: {code} {message}{}", by(.request_id.as_deref()))]
    Refused {
        /// The channel's word for it.
        code: String,
        /// The channel's explanation.
        message: String,
        /// The member of our request that is at fault, as a JSON pointer, where the channel names one.
        field: Option<String>,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// Keys, numbers, clock or permissions are wrong: a person has to mend the settings.
    #[error("settings are wrong: {code} {message}{}", by(.request_id.as_deref()))]
    Misconfigured {
        /// The channel's word for it, or ours when the request could not even be built.
        code: String,
        /// The channel's explanation, or ours.
        message: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// A success nobody vouches for. It is treated as forged and says nothing about what was done; the channel also
    /// sends such answers on purpose. Repeat with the same number.
    #[error("the answer's signature does not hold: {why}{}", by(.request_id.as_deref()))]
    Unverified {
        /// The first check that failed.
        why: VerifyError,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
    /// Genuine, but not the shape that is documented, or about another order than the one asked for. What was done
    /// is unknown.
    #[error("the answer is malformed: {what}{}", by(.request_id.as_deref()))]
    Malformed {
        /// What was expected and not found.
        what: String,
        /// The channel's id of the exchange.
        request_id: Option<String>,
    },
}

/// What the channel's support finds the exchange by, behind the words of an error.
fn by(request_id: Option<&str>) -> String {
    request_id.map(|id| format!(" (Request-ID {id})")).unwrap_or_default()
}

impl ChannelError {
    /// The channel's code as it was sent, or our word where there was none.
    pub fn code(&self) -> &str {
        match self {
            Self::NoAnswer(_) => "NO_ANSWER",
            Self::Unverified { .. } => "UNVERIFIED",
            Self::Malformed { .. } => "MALFORMED",
            Self::Unclear { code, .. }
            | Self::Busy { code, .. }
            | Self::NotFound { code, .. }
            | Self::AlreadyPaid { code, .. }
            | Self::AlreadyClosed { code, .. }
            | Self::NotEnough { code, .. }
            | Self::Refused { code, .. }
            | Self::Misconfigured { code, .. } => code,
        }
    }

    /// The channel's id of the exchange, where an answer carried one.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::NoAnswer(_) => None,
            Self::Malformed { request_id, .. }
            | Self::Unverified { request_id, .. }
            | Self::Unclear { request_id, .. }
            | Self::Busy { request_id, .. }
            | Self::NotFound { request_id, .. }
            | Self::AlreadyPaid { request_id, .. }
            | Self::AlreadyClosed { request_id, .. }
            | Self::NotEnough { request_id, .. }
            | Self::Refused { request_id, .. }
            | Self::Misconfigured { request_id, .. } => request_id.as_deref(),
        }
    }

    /// Whether the merchant lacks the permission for what was asked, and for nothing else: its keys and numbers are right. What
    /// was asked was not done.
    ///
    /// Source: WeChat Pay, error codes of refunds, `NO_AUTH`.
    pub fn lacks_permission(&self) -> bool {
        let plain = |code: &str| code.replace('_', "").eq_ignore_ascii_case("NOAUTH");
        matches!(self, Self::Misconfigured { code, .. } if plain(code))
    }

    /// Whether the same request, with the same number and values, may be sent again later. For the first two kinds a
    /// query comes first.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer(_)
                | Self::Unclear { .. }
                | Self::Busy { .. }
                | Self::NotEnough { .. }
                | Self::Unverified { .. }
        )
    }
}

impl From<VerifyError> for ChannelError {
    /// Of an exchange whose id is not at hand.
    fn from(why: VerifyError) -> Self {
        Self::Unverified { why, request_id: None }
    }
}

/// Why signed bytes are not believed. The checks run in the order of the variants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A signature header is absent, empty or not text.
    #[error("no {0}")]
    MissingHeader(&'static str),
    /// A signature suite other than RSA with SHA-256.
    #[error("unsupported signature type")]
    UnsupportedType,
    /// The timestamp is not a whole number of seconds.
    #[error("the timestamp is not a number of seconds")]
    BadTimestamp,
    /// Five minutes or more away from our clock: a replay, or one of the clocks is wrong.
    #[error("{skew_secs} s away from our clock")]
    Stale {
        /// Our clock minus theirs, in seconds.
        skew_secs: i64,
    },
    /// We hold no key of this serial.
    #[error("no key of serial {0}")]
    UnknownSerial(String),
    /// We hold the certificate, but it is not valid yet or no longer.
    #[error("the certificate {0} is out of its validity")]
    NotInForce(String),
    /// The signature does not belong to these bytes.
    #[error("the signature does not hold")]
    BadSignature {
        /// The channel's own test of whether we check: refused like any other, and only counted apart.
        probe: bool,
    },
}
