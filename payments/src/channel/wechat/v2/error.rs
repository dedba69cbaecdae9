//! What does an answer other than success allow us to do?

use http::StatusCode;

use super::{Fields, NoBill};
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
    TradeBill,
    FundFlowBill,
    SandboxKey,
}

/// Sorts a failure whose signature holds, by its code. One nobody here has heard of decides nothing: unlike in API v3
/// there is no status that would tell whose fault it was.
///
/// Source: WeChat Pay API v2, error codes of each endpoint's page.
pub(super) fn classify(operation: Operation, fields: &Fields, request_id: Option<String>) -> ChannelError {
    let text = |name| fields.get(name).unwrap_or_default().to_owned();
    let code = text("err_code");
    let meaning = codes::meaning(&code).unwrap_or_else(|| match codes::plain(&code).as_str() {
        "INVALIDREQUEST"
        | "PARAMERROR"
        | "LACKPARAMS"
        | "NOTUTF8"
        | "XMLFORMATERROR"
        | "POSTDATAEMPTY"
        | "REQUIREPOSTMETHOD"
        | "TRADESTATEERROR"
        | "TRADEOVERDUE"
        | "USERACCOUNTABNORMAL"
        | "ERROR"
        | "TRADEERROR"
        | "ACCOUNTERROR"
        | "REQUESTBLOCKED"
        | "REFUNDFEEMISMATCH" => Meaning::Refused,
        _ => NoBill::said_by(fields).map_or(Meaning::Undecided, no_bill),
    });
    let code = if code.is_empty() { "FAIL".to_owned() } else { code };
    let words = Words { code, message: text("err_code_des"), field: None, request_id };
    codes::error(meaning, operation == Operation::Refund, words)
}

/// Sorts a failure that nobody signs. It has a text and no code, and steers no more than when to ask again.
///
/// Source: WeChat Pay API v2, answers with `return_code` FAIL, and the error texts of bills.
pub(super) fn unsigned(operation: Operation, fields: &Fields, request_id: Option<String>) -> ChannelError {
    let message = fields.get("return_msg").unwrap_or_default().to_owned();
    let code = fields.get("error_code").unwrap_or("FAIL").to_owned();
    let says = message.to_lowercase();
    let meaning = if says.contains("频率限制") {
        Meaning::TooOften
    } else if says.contains("签名") || says.contains("sign error") {
        Meaning::Misconfigured
    } else {
        NoBill::said_by(fields).map_or(Meaning::Undecided, no_bill)
    };
    codes::error(meaning, operation == Operation::Refund, Words { code, message, field: None, request_id })
}

const fn no_bill(why: NoBill) -> Meaning {
    match why {
        NoBill::Empty => Meaning::NotFound,
        NoBill::NotYet => Meaning::Busy,
    }
}

/// Sorts a page: API v2 says everything with a status of success, so somebody in front of it has answered. That one looks at
/// the merchant's certificate, and says so; a person has to mend it. It decides nothing about a refund all the same.
///
/// Source: the pages that merchants got, `zwczou/weixin-python` issue 88 and `binarywang/weixin-java-pay-demo` issue 60.
pub(super) fn by_status(status: StatusCode, body: &[u8], request_id: Option<String>) -> ChannelError {
    let says = |words: &str| body.windows(words.len()).any(|part| part == words.as_bytes());
    let why = if status != StatusCode::BAD_REQUEST {
        None
    } else if says("No required SSL certificate was sent") {
        Some("the merchant's certificate was not shown")
    } else if says("The SSL certificate error") {
        Some("the merchant's certificate was not accepted: it is another's, or no longer good")
    } else {
        None
    };
    match why {
        Some(why) => ChannelError::Misconfigured {
            code: "CERTIFICATE_REFUSED".to_owned(),
            message: why.to_owned(),
            request_id,
        },
        None => undecided(format!("HTTP_{}", status.as_u16()), String::new(), request_id),
    }
}

/// Something came back that WeChat Pay does not write: whoever answered, nothing is decided.
pub(super) fn undecided(code: String, message: String, request_id: Option<String>) -> ChannelError {
    ChannelError::Unclear { code, message, request_id }
}
