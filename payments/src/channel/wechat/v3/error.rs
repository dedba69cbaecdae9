//! What does an answer other than success allow us to do?

use http::StatusCode;
use serde::Deserialize;

use crate::channel::{
    ChannelError,
    wechat::codes::{self, Meaning, Words},
};

/// What we asked for: the same code may mean less when money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Query,
    Close,
    Refund,
    QueryRefund,
    Certificates,
    BillLink,
    BillDownload,
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

/// Sorts an answer by what may be done next. Without a code of WeChat Pay's it is not known who answered, so nothing is
/// taken as decided; a code nobody here has heard of is read by the status it came with.
pub(super) fn classify(
    operation: Operation,
    status: StatusCode,
    request_id: Option<String>,
    body: &[u8],
) -> ChannelError {
    let Problem { code, message, detail } = serde_json::from_slice(body).unwrap_or_default();
    let field = detail.get("field").and_then(serde_json::Value::as_str).map(str::to_owned);
    let unheard_of = || match status {
        StatusCode::TOO_MANY_REQUESTS => Meaning::TooOften,
        StatusCode::UNAUTHORIZED if !code.is_empty() => Meaning::Misconfigured,
        _ if !code.is_empty() && status.is_client_error() => Meaning::Refused,
        _ => Meaning::Undecided,
    };
    let known = if operation == Operation::BillLink { no_bill(&code) } else { None };
    let meaning = known.or_else(|| codes::meaning(&code)).unwrap_or_else(unheard_of);
    let code = if code.is_empty() { format!("HTTP_{}", status.as_u16()) } else { code };
    codes::error(meaning, operation == Operation::Refund, Words { code, message, field, request_id })
}

/// Why there is no bill, where the code says that there is none.
///
/// Source: WeChat Pay API v3, error codes of the trade bill and of the fund flow bill.
fn no_bill(code: &str) -> Option<Meaning> {
    Some(match codes::plain(code).as_str() {
        // Nothing happened on that day.
        "NOSTATEMENTEXIST" => Meaning::NotFound,
        // Still being made.
        "STATEMENTCREATING" => Meaning::Busy,
        // Of a bill this says nothing: it must not pass for a day without trade.
        "RESOURCENOTEXISTS" | "ORDERNOTEXIST" => Meaning::Undecided,
        _ => return None,
    })
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
