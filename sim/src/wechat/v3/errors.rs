//! How does API v3 refuse?
use http::StatusCode;
use serde_json::{Value, json};

use crate::wechat::refusal::Refusal;

/// A refusal: `{"code", "message", "detail"}` with a status. It is not signed.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: Value,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), detail: json!({}) }
    }

    /// A member of the body (as a JSON pointer), of the query or of the headers is not as it must be.
    pub(super) fn param(field: &str, issue: impl Into<String>) -> Self {
        let issue = issue.into();
        let location = if field.starts_with('/') { "body" } else { "header" };
        let mut error =
            Self::new(StatusCode::BAD_REQUEST, "PARAM_ERROR", format!("参数错误: {field} {issue}"));
        error.detail = json!({"location": location, "field": field, "issue": issue});
        error
    }

    pub(super) fn sign(issue: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "SIGN_ERROR", "签名错误，请检查后再试");
        error.detail = json!({"location": "authorization", "field": "signature", "issue": issue.into()});
        error
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    pub(super) fn frequency() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "频率超限，请降低频率后重试")
    }

    pub(super) fn not_enough() -> Self {
        Self::new(StatusCode::FORBIDDEN, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
    }

    /// What the books say, about an order.
    pub(super) fn order(refusal: Refusal) -> Self {
        let bad = |code, message: &str| Self::new(StatusCode::BAD_REQUEST, code, message);
        match refusal {
            Refusal::OrderUnknown => Self::new(StatusCode::NOT_FOUND, "ORDER_NOT_EXIST", "订单不存在"),
            Refusal::OrderPaid => bad("ORDERPAID", "该订单已支付"),
            Refusal::OrderClosed => bad("ORDER_CLOSED", "该订单已关闭"),
            Refusal::OrderExpired => Self::invalid("订单已过期，请更换商户订单号"),
            Refusal::OrderDiffers => Self::invalid("商户订单号重复，且请求参数与首次请求不一致"),
            Refusal::Full => Self::of_status(500, None),
            other => Self::refund(other),
        }
    }

    /// What the books say, about a refund.
    pub(super) fn refund(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OrderUnknown => Self::nothing_there("订单不存在"),
            Refusal::RefundUnknown => Self::nothing_there("退款单不存在"),
            Refusal::RefundDiffers => Self::invalid("商户退款单号重复，且请求参数与首次请求不一致"),
            Refusal::TwoOrders => Self::invalid("transaction_id 与 out_trade_no 不一致"),
            Refusal::NotPaid => Self::invalid("订单未支付"),
            Refusal::WrongTotal => Self::invalid("订单金额不一致"),
            Refusal::TooMuch => Self::invalid("退款金额大于可退金额"),
            Refusal::TooManyRefunds => Self::invalid("一笔订单最多退款 50 次"),
            Refusal::TooOld => Self::invalid("订单支付已超过一年"),
            Refusal::TooSoon => Self::frequency(),
            Refusal::OrderPaid
            | Refusal::OrderClosed
            | Refusal::OrderExpired
            | Refusal::OrderDiffers
            | Refusal::CloseTooEarly
            | Refusal::Full => Self::of_status(500, None),
        }
    }

    pub(super) fn nothing_there(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", message)
    }

    /// What a status stands for when nobody says which code.
    pub(super) fn of_status(status: u16, code: Option<&str>) -> Self {
        let usual = match status {
            401 => "SIGN_ERROR",
            403 => "NO_AUTH",
            404 => "RESOURCE_NOT_EXISTS",
            429 => "FREQUENCY_LIMITED",
            502 | 503 => "SERVICE_UNAVAILABLE",
            500.. => "SYSTEM_ERROR",
            _ => "INVALID_REQUEST",
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, code.unwrap_or(usual), "系统繁忙，请稍后重试")
    }
}
