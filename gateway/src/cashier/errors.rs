//! How a failure at the cashier's looks: the same error shape as everywhere, with the field named.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use payments::{
    ledger::{FxRefusal, PriceRefusal, Refusal},
    refund::RefundRequestError,
    store::SubmitError,
    topup::{CreateError, GuardRefusal},
};
use serde_json::Value;

use crate::{chat::TooFast, dialect::ErrorBody, keys::AuthError, rescue::limit_members};

/// A refusal by the account, payment and operations endpoints. It travels to [`super::shape`], which puts the request's
/// id on it.
#[derive(Debug, Clone)]
pub struct PayError {
    /// The true status.
    pub status: StatusCode,
    /// What the client reads.
    pub error: Box<ErrorBody>,
    /// After how many seconds it may help to try again.
    pub retry_after: Option<u64>,
}

impl PayError {
    fn new(status: StatusCode, kind: &str, code: &'static str, message: impl Into<String>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, error: Box::new(ErrorBody::new(kind, code, message)), retry_after }
    }

    fn at(mut self, param: &str) -> Self {
        self.error.param = Some(param.to_owned());
        self
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.error.extra.insert(name.to_owned(), value.into());
        self
    }

    fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message)
    }

    /// A field that must be there.
    pub fn missing(param: &'static str, message: impl Into<String>) -> Self {
        Self::bad("missing_required_parameter", message).at(param)
    }

    /// A top-up has to say from which device it is ordered. The code is WeChat Pay's own word for it.
    pub fn no_device() -> Self {
        let words =
            "device_id is missing: 1 to 32 characters that name the device, as /portal/device.js makes them";
        Self::bad("PARAM_ERROR", words).at("device_id")
    }

    /// A field whose value will not do.
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::bad("invalid_value", message).at(param)
    }

    /// WeChat Pay has to say something first, and does not.
    pub fn not_asked(why: impl std::fmt::Display) -> Self {
        let words = format!("WeChat Pay could not be asked what was paid: {why}");
        Self::new(StatusCode::BAD_GATEWAY, "upstream_error", "payment_channel_unclear", words)
    }

    /// A field of the wrong type.
    pub fn wrong_type(param: &str, expected: &str) -> Self {
        Self::bad("invalid_type", format!("Invalid type for `{param}`: expected {expected}.")).at(param)
    }

    /// A field nobody knows.
    pub fn unknown(param: &str, known: &[&str]) -> Self {
        let nearest = router_config::nearest(param, known.iter().copied());
        let hint = nearest.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default();
        Self::bad("unknown_parameter", format!("Unknown parameter: `{param}`.{hint}")).at(param)
    }

    /// A body that is no JSON object of the expected form.
    pub fn body(message: impl Into<String>) -> Self {
        Self::bad("invalid_json", message)
    }

    /// Nothing of that name, or not the caller's.
    pub fn not_found(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message).at(param)
    }

    /// In conflict with what was done before.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "invalid_request_error", code, message)
    }

    /// What an operator's file says cannot count; `errors` is everything that is wrong with it.
    pub fn config_refused(message: impl Into<String>, errors: Vec<Value>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "invalid_request_error", "config_refused", message).with("errors", errors)
    }

    /// Not the administrator.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_admin_token", message)
    }

    /// Something that has no price at the moment.
    pub fn no_price(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "price_unavailable", message)
    }

    /// A bill that can be had later.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "bill_not_ready", message)
    }

    /// The payment channel gave no answer to act upon.
    pub fn channel(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "upstream_error", "payment_channel_unclear", message)
    }

    /// Ours to mend; trying again later may help.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "ledger_unavailable", message)
    }
}

impl IntoResponse for PayError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A JSON answer.
pub fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl From<AuthError> for PayError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(down) => Self::unavailable(down.to_string()),
            refused => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "invalid_api_key",
                refused.to_string(),
            ),
        }
    }
}

impl From<TooFast> for PayError {
    fn from(error: TooFast) -> Self {
        let secs = u64::try_from(error.retry_after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
        let (kind, code) = (error.kind.error_type(), error.kind.error_code());
        let mut refused = Self::new(StatusCode::TOO_MANY_REQUESTS, kind, code, error.to_string());
        for (name, value) in limit_members(&error) {
            refused = refused.with(name, value);
        }
        Self { retry_after: Some(secs), ..refused }
    }
}

impl From<SubmitError> for PayError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            other => Self::unavailable(other.to_string()),
        }
    }
}

impl From<Refusal> for PayError {
    fn from(refusal: Refusal) -> Self {
        let words = refusal.to_string();
        match refusal {
            Refusal::KeyReused => Self::conflict(
                "idempotency_key_reused",
                "This Idempotency-Key was used before with another content. Use a new key for a new request.",
            ),
            Refusal::RefundTooMuch { requested, refundable } => {
                Self::conflict("refund_exceeds_unused", words)
                    .at("amount")
                    .with("requested", requested.to_string())
                    .with("refundable", refundable.to_string())
                    .with("currency", "CNY")
            }
            Refusal::NothingRefundable(_) => Self::conflict("nothing_refundable", words),
            Refusal::UnknownBatch(_) => Self::not_found("refund", words),
            Refusal::BatchState { state, .. } => {
                Self::conflict("refund_under_way", words).with("status", state.as_str())
            }
            Refusal::GrantRefused { why, .. } => {
                let why = serde_json::to_value(why).unwrap_or_default();
                Self::conflict("temporary_access_refused", words).at("temporary_access").with("why", why)
            }
            Refusal::GrantLive(order) => {
                Self::conflict("temporary_grant_unresolved", words).with("order", order.to_string())
            }
            Refusal::NotAllowed(_) => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "not_allowed", words)
            }
            Refusal::NotPositive => Self::invalid("amount", words),
            Refusal::UnknownAccount(_) => Self::not_found("account", words),
            Refusal::AccountStopped(_) => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "account_stopped", words)
            }
            Refusal::LivemodeMismatch => Self::invalid("livemode", words),
            Refusal::Invalid { field, .. } => Self::bad("invalid_value", words).at(&field),
            Refusal::NeedsReason => Self::missing("reason", words),
            Refusal::NeedsApprover => Self::missing("approver", words),
            Refusal::NeedsOperator => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "operator_required", words)
            }
            Refusal::AccountClosed(_) => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "account_closed", words)
            }
            Refusal::InDebt { debt, .. } => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "account_in_debt", words)
                    .with("debt", debt.to_string())
                    .with("currency", "CNY")
            }
            Refusal::WalletCap { cap, .. } => {
                Self::invalid("amount", words).with("max", cap.to_string()).with("currency", "CNY")
            }
            Refusal::TooManyOpenOrders { max } => {
                let words =
                    format!("{words}: pay or close one of them, or wait until one can be paid no more");
                Self::conflict("too_many_open_orders", words).with("max", max)
            }
            Refusal::UnknownOrder(_) => Self::not_found("order", words),
            Refusal::UnknownDifference(_) => Self::not_found("difference", words),
            Refusal::UnknownBillDay { .. } => Self::not_found("date", words),
            Refusal::BillDayOpen { open, .. } => Self::conflict("differences_open", words).with("open", open),
            Refusal::UnknownPayment(_) => Self::not_found("payment", words),
            Refusal::UnknownHold(_) => Self::not_found("call", words),
            Refusal::UnknownKey(_) => Self::not_found("api_key", words),
            Refusal::CorrectionTooMuch { asset, left, .. } => {
                Self::conflict("correction_too_much", words).at("amount").with("left", asset.text(left))
            }
            Refusal::Insufficient { asset, available, required } => {
                let (available, required) = (asset.text(available), asset.text(required));
                let words = format!("{available} of {asset} is free, {required} was asked for");
                Self::conflict("insufficient_balance", words)
                    .at("amount")
                    .with("available", available)
                    .with("required", required)
            }
            Refusal::AccountNotEmpty { .. } => Self::conflict("account_not_empty", words),
            Refusal::UnknownCode => Self::not_found("code", words),
            Refusal::CodeVoid => Self::conflict("code_void", words).at("code"),
            Refusal::CodeUsedUp => Self::conflict("code_used_up", words).at("code"),
            Refusal::CodeExpired { .. } => Self::conflict("code_expired", words).at("code"),
            Refusal::CodeRedeemed { .. } => Self::conflict("code_redeemed", words).at("code"),
            Refusal::UnknownPackage { .. } | Refusal::PackageRetired { .. } => {
                Self::not_found("package", words)
            }
            Refusal::Prices(refusal) => price_refused(&refusal, words),
            Refusal::Fx(refusal) => rate_refused(&refusal, words),
            Refusal::KeyExists | Refusal::AccountExists(_) => Self::conflict("exists_already", words),
            _ => Self::conflict("refused_by_ledger", words),
        }
    }
}

fn price_refused(refusal: &PriceRefusal, words: String) -> PayError {
    match refusal {
        PriceRefusal::BadName(_) => PayError::invalid("list", words),
        PriceRefusal::BadDocument(problems) => {
            PayError::invalid("document", words).with("problems", problems.clone())
        }
        PriceRefusal::UnknownList(_) => PayError::not_found("list", words),
        PriceRefusal::NoDraft(_) => PayError::not_found("draft", words),
        PriceRefusal::DraftChanged(_) => PayError::conflict("draft_changed", words),
        PriceRefusal::NoVersion(_) => PayError::conflict("no_published_version", words).at("list"),
        PriceRefusal::ValidFromPassed => PayError::invalid("valid_from", words),
        PriceRefusal::PairNotNamed(_) => PayError::conflict("draft_changed", words),
    }
}

fn rate_refused(refusal: &FxRefusal, words: String) -> PayError {
    match refusal {
        FxRefusal::BadPair(_) => PayError::invalid("pair", words),
        FxRefusal::BadRate(_) => PayError::invalid("rate", words),
        FxRefusal::UntilPassed => PayError::invalid("until", words),
        FxRefusal::NotPinned(_) => PayError::not_found("pair", words),
        FxRefusal::Older { .. }
        | FxRefusal::FetchedLater
        | FxRefusal::Jump { .. }
        | FxRefusal::StillUsed { .. } => PayError::conflict("rate_refused", words),
    }
}

impl From<CreateError> for PayError {
    fn from(error: CreateError) -> Self {
        let words = error.to_string();
        match error {
            CreateError::Amount { min, max } => Self::invalid("amount", words)
                .with("min", min.to_string())
                .with("max", max.to_string())
                .with("currency", "CNY"),
            CreateError::NoPackage(_) => Self::not_found("package", words),
            CreateError::PackagePrice { price, .. } => Self::conflict("price_moved", words)
                .at("amount")
                .with("price", price.to_string())
                .with("currency", "CNY"),
            CreateError::NoTokens(_) => Self::invalid("amount", words),
            CreateError::PriceMoved { ours, .. } => {
                Self::conflict("price_moved", words).at("expect_tokens").with("tokens", ours.to_string())
            }
            CreateError::Guarded(GuardRefusal::Slow { after }) => {
                let secs = u64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
                let refused =
                    Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "topup_slowed", words);
                Self { retry_after: Some(secs), ..refused }
            }
            CreateError::Guarded(GuardRefusal::NotOffered) => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "topup_not_offered", words)
            }
            CreateError::Guarded(GuardRefusal::Stopped { scope, .. }) => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", "topup_stopped", words)
                    .with("scope", scope.as_str())
            }
            CreateError::NoWay(_) => Self::invalid("channel", words),
            CreateError::NoChannel(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "no_payment_channel", words)
            }
            CreateError::Off(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "payment_channel_off", words)
            }
            CreateError::Store(error) => error.into(),
            CreateError::Refused(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "upstream_error", "payment_channel_refused", words)
            }
            CreateError::OfPayer { param, .. } => Self::invalid(param, words),
            CreateError::Unclear { order, .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "upstream_error", "payment_channel_unclear", words)
                    .with("order", order.to_string())
            }
        }
    }
}

impl From<RefundRequestError> for PayError {
    fn from(error: RefundRequestError) -> Self {
        match error {
            RefundRequestError::UnknownOrder(_) => Self::not_found("order", error.to_string()),
            RefundRequestError::UnknownRefund(_) => Self::not_found("refund", error.to_string()),
            RefundRequestError::Odd => Self::unavailable(error.to_string()),
            RefundRequestError::Store(error) => error.into(),
        }
    }
}
