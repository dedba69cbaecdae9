//! What does an answer other than success allow us to do?

use http::StatusCode;
use serde::Deserialize;

use crate::channel::ChannelError;

/// What we asked for: the same code may mean less when money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Query,
    Close,
    Refund,
    QueryRefund,
}

/// An error body. Source: WeChat Pay API v3, interface rules, section on errors.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value, // of no fixed shape; it must not cost us the code
}

/// Sorts an answer by what may be done next. Codes are compared without `_` and in upper case, because both spellings
/// occur. Without a code of WeChat Pay's it is not known who answered, so nothing is taken as decided.
///
/// Source: WeChat Pay API v3, error codes of the Native order, order query, close, refund and refund query pages.
pub(super) fn classify(
    operation: Operation,
    status: StatusCode,
    request_id: Option<String>,
    body: &[u8],
) -> ChannelError {
    let Problem { code, message, detail } = serde_json::from_slice(body).unwrap_or_default();
    let field = detail.get("field").and_then(serde_json::Value::as_str).map(str::to_owned);
    let plain: String = code.chars().filter(|c| *c != '_').map(|c| c.to_ascii_uppercase()).collect();
    let code = if code.is_empty() { format!("HTTP_{}", status.as_u16()) } else { code };
    match plain.as_str() {
        "SYSTEMERROR" | "BANKERROR" | "SERVICEUNAVAILABLE" | "BIZERRNEEDRETRY" => {
            ChannelError::Unclear { code, message, request_id }
        }
        // The number is ours from before, or a collision: only a query can tell.
        "OUTTRADENOUSED" => ChannelError::Unclear { code, message, request_id },
        "FREQUENCYLIMITED" | "FREQUENCYLIMITEXCEEDED" | "RATELIMITEXCEEDED" | "INVALIDREQTOOMUCH" => {
            too_often(operation, code, message, request_id)
        }
        "RULELIMIT" => ChannelError::Busy { code, message, request_id },
        "ORDERNOTEXIST" | "RESOURCENOTEXISTS" | "REFUNDNOTEXIST" => {
            ChannelError::NotFound { code, message, request_id }
        }
        "ORDERPAID" => ChannelError::AlreadyPaid { code, message, request_id },
        "ORDERCLOSED" => ChannelError::AlreadyClosed { code, message, request_id },
        "NOTENOUGH" => ChannelError::NotEnough { code, message, request_id },
        "SIGNERROR" | "NOAUTH" | "APPIDMCHIDNOTMATCH" | "MCHNOTEXISTS" | "APPIDNOTEXIST"
        | "MCHIDNOTEXIST" | "OPENIDMISMATCH" => ChannelError::Misconfigured { code, message, request_id },
        // Comes with status 500, and is final all the same.
        "INVALIDTRANSACTIONID" => ChannelError::Refused { code, message, field, request_id },
        _ if status == StatusCode::TOO_MANY_REQUESTS => too_often(operation, code, message, request_id),
        _ if !plain.is_empty() && status == StatusCode::UNAUTHORIZED => {
            ChannelError::Misconfigured { code, message, request_id }
        }
        _ if !plain.is_empty() && status.is_client_error() => {
            ChannelError::Refused { code, message, field, request_id }
        }
        _ => ChannelError::Unclear { code, message, request_id },
    }
}

/// A request turned away for its frequency was not carried out, except that for a refund this is not certain.
fn too_often(
    operation: Operation,
    code: String,
    message: String,
    request_id: Option<String>,
) -> ChannelError {
    match operation {
        Operation::Refund => ChannelError::Unclear { code, message, request_id },
        _ => ChannelError::Busy { code, message, request_id },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: u16, body: &str) -> ChannelError {
        classify(Operation::Query, StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn an_answer_without_a_code_decides_nothing() {
        for status in [202, 302, 400, 401, 403, 404, 500, 503] {
            for body in ["", "<html>not found</html>", "[]", "{}", r#"{"code":1}"#] {
                let error = seen(status, body);
                assert!(matches!(error, ChannelError::Unclear { .. }), "{status} {body:?}: {error:?}");
                assert_eq!(error.code(), format!("HTTP_{status}"));
            }
        }
    }

    #[test]
    fn both_spellings_of_a_code_mean_the_same_and_the_code_outranks_the_status() {
        for code in ["NOAUTH", "NO_AUTH", "no_auth"] {
            let error = seen(403, &format!(r#"{{"code":"{code}"}}"#));
            assert!(matches!(error, ChannelError::Misconfigured { .. }), "{error:?}");
            assert_eq!(error.code(), code);
        }
        let error = seen(500, r#"{"code":"INVALID_TRANSACTIONID","message":"","detail":"odd"}"#);
        assert!(matches!(error, ChannelError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    }
}
