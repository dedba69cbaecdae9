//! What does an error code of WeChat Pay's allow us to do? Both APIs share the codes, and spell them in two ways.

use crate::channel::ChannelError;

/// What a code says about the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Whether it was done is open.
    Undecided,
    /// Asked too often.
    TooOften,
    /// Not done, later perhaps.
    Busy,
    /// There is no such order or refund.
    NotFound,
    /// The order is paid.
    AlreadyPaid,
    /// The order is closed.
    AlreadyClosed,
    /// The merchant's balance is too low.
    NotEnough,
    /// Keys, numbers or permissions are wrong.
    Misconfigured,
    /// Not done, and never will be.
    Refused,
}

/// What WeChat Pay said, in its own words.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) code: String,
    pub(super) message: String,
    /// The member at fault, where it names one.
    pub(super) field: Option<String>,
    pub(super) request_id: Option<String>,
}

/// The meaning of a code that means the same wherever it occurs; compared without `_` and in upper case.
///
/// Source: WeChat Pay API v2 and v3, error codes of the pages on orders, queries, close and refunds.
pub(super) fn meaning(code: &str) -> Option<Meaning> {
    Some(match plain(code).as_str() {
        "SYSTEMERROR" | "BANKERROR" | "SERVICEUNAVAILABLE" | "BIZERRNEEDRETRY" => Meaning::Undecided,
        // The number is ours from before, or a collision: only a query can tell.
        "OUTTRADENOUSED" => Meaning::Undecided,
        "FREQUENCYLIMITED" | "FREQUENCYLIMITEXCEEDED" | "RATELIMITEXCEEDED" => Meaning::TooOften,
        // Not looked at, because too many requests before were bad: a minute later, with the same number.
        "RULELIMIT" | "INVALIDREQTOOMUCH" => Meaning::Busy,
        "ORDERNOTEXIST" | "RESOURCENOTEXISTS" | "REFUNDNOTEXIST" => Meaning::NotFound,
        "ORDERPAID" => Meaning::AlreadyPaid,
        "ORDERCLOSED" => Meaning::AlreadyClosed,
        "NOTENOUGH" => Meaning::NotEnough,
        "SIGNERROR" | "NOAUTH" | "APPIDMCHIDNOTMATCH" | "MCHNOTEXISTS" | "APPIDNOTEXIST"
        | "MCHIDNOTEXIST" | "OPENIDMISMATCH" => Meaning::Misconfigured,
        // Comes with status 500 in API v3, and is final all the same.
        "INVALIDTRANSACTIONID" => Meaning::Refused,
        _ => return None,
    })
}

/// A code as it is compared.
pub(super) fn plain(code: &str) -> String {
    code.chars().filter(|c| *c != '_').map(|c| c.to_ascii_uppercase()).collect()
}

/// The error for the caller. A request turned away for its frequency was not carried out, except that for a refund
/// (`gives_back`) this is not certain.
pub(super) fn error(meaning: Meaning, gives_back: bool, words: Words) -> ChannelError {
    let Words { code, message, field, request_id } = words;
    match meaning {
        Meaning::TooOften if gives_back => ChannelError::Unclear { code, message, request_id },
        Meaning::Undecided => ChannelError::Unclear { code, message, request_id },
        Meaning::TooOften | Meaning::Busy => ChannelError::Busy { code, message, request_id },
        Meaning::NotFound => ChannelError::NotFound { code, message, request_id },
        Meaning::AlreadyPaid => ChannelError::AlreadyPaid { code, message, request_id },
        Meaning::AlreadyClosed => ChannelError::AlreadyClosed { code, message, request_id },
        Meaning::NotEnough => ChannelError::NotEnough { code, message, request_id },
        Meaning::Misconfigured => ChannelError::Misconfigured { code, message, request_id },
        Meaning::Refused => ChannelError::Refused { code, message, field, request_id },
    }
}
