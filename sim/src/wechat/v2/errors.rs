//! How does API v2 refuse?
use crate::wechat::refusal::Refusal;

/// A refusal, by how far the call came.
#[derive(Debug)]
pub(super) enum Failure {
    /// `return_code=FAIL`, not signed: nobody knows yet who asks, or whether it makes sense.
    Transport(String),
    /// `result_code=FAIL` with a code, signed.
    Business { code: String, message: String },
    /// A bill that is not there: `return_code=FAIL` and a number, not signed.
    Bill { message: String, code: &'static str },
    /// A status and a page, from somebody in between.
    Http(u16),
    /// The page of a proxy that wants the merchant's certificate.
    Certificate(Certificate),
}

/// What is wrong with the certificate that a client shows. Source for both pages: merchants who got them,
/// `zwczou/weixin-python` issue 88 and `binarywang/weixin-java-pay-demo` issue 60.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    /// There is none.
    Missing,
    /// It is not this merchant's.
    Another,
}

impl Certificate {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Missing => "No required SSL certificate was sent",
            Self::Another => "The SSL certificate error",
        }
    }
}

impl Failure {
    pub(super) fn transport(message: &str) -> Self {
        Self::Transport(message.to_owned())
    }

    pub(super) fn business(code: &str, message: &str) -> Self {
        Self::Business { code: code.to_owned(), message: message.to_owned() }
    }

    /// A parameter is not as it must be.
    pub(super) fn param(name: &str, issue: &str) -> Self {
        Self::Business { code: "PARAM_ERROR".to_owned(), message: format!("参数错误: {name} {issue}") }
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::Business { code: "LACK_PARAMS".to_owned(), message: format!("缺少参数: {name}") }
    }

    /// What a status of v3 would be here: v2 says most things with a code, and a proxy with a page.
    pub(super) fn of_status(status: u16, code: Option<String>) -> Self {
        let usual = match status {
            429 => "FREQUENCY_LIMITED",
            502..=504 if code.is_none() => return Self::Http(status),
            500.. => "SYSTEMERROR",
            401 => "SIGNERROR",
            403 => "NOAUTH",
            404 => "ORDERNOTEXIST",
            _ => "INVALID_REQUEST",
        };
        let code = code.unwrap_or_else(|| usual.to_owned());
        Self::Business { code, message: "系统繁忙，请稍后重试".to_owned() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::OrderUnknown => ("ORDERNOTEXIST", "订单不存在"),
            Refusal::OrderPaid => ("ORDERPAID", "该订单已支付"),
            Refusal::OrderClosed => ("ORDERCLOSED", "该订单已关闭"),
            Refusal::OrderExpired => ("INVALID_REQUEST", "订单已过期，请更换商户订单号"),
            Refusal::OrderDiffers => ("INVALID_REQUEST", "201 商户订单号重复"),
            Refusal::CloseTooEarly => ("TRADE_STATE_ERROR", "订单创建未满五分钟，暂不能关闭"),
            Refusal::NotPaid => ("ERROR", "订单未支付"),
            Refusal::RefundUnknown => ("REFUNDNOTEXIST", "退款订单查询失败"),
            Refusal::RefundDiffers => ("REFUND_FEE_MISMATCH", "订单金额或退款金额与之前请求不一致"),
            Refusal::TwoOrders => ("INVALID_TRANSACTIONID", "transaction_id 与 out_trade_no 不一致"),
            Refusal::WrongTotal => ("REFUND_FEE_MISMATCH", "订单金额不一致"),
            Refusal::TooMuch => ("ERROR", "累计退款金额大于支付金额"),
            Refusal::TooManyRefunds => ("ERROR", "一笔订单最多退款 50 次"),
            Refusal::TooOld => ("TRADE_OVERDUE", "订单已经超过退款期限"),
            Refusal::TooSoon => ("FREQUENCY_LIMITED", "频率限制，请1分钟后重试"),
            Refusal::Full => ("SYSTEMERROR", "系统超时"),
        };
        Self::business(code, message)
    }
}
