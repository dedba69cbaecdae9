//! WeChat Pay reports.
//!
//! Raw bytes are verified first; what is genuine is on disk before it is acknowledged; whatever fails is answered with
//! 4xx or 5xx, because the status alone makes WeChat Pay try again.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    channel::{Notice, wechat::v3::NoticeRefused},
    ledger::CreditSource,
    refund::RefundNewsError,
    topup::{Merchant, NewsError, PaidNews},
};
use serde_json::json;

mod v2;

pub(super) use self::v2::{refund_report_v2, report_v2};
use super::{Cashier, reply};

/// `GET` and `HEAD` on a callback: here, and nothing else.
pub(super) async fn probe() -> Response {
    StatusCode::OK.into_response()
}

/// `POST /pay/wechat/v3/{merchant}/notify` and `/refund-notify`: what is reported, the notification itself says.
pub(super) async fn report(
    State(cashier): State<Arc<Cashier>>,
    Path(merchant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(&cashier, &merchant, &headers, &body).await
}

/// What becomes of a notification: the metric's word, and the answer.
struct Verdict {
    result: &'static str,
    status: StatusCode,
}

const ACCEPTED: Verdict = Verdict { result: "accepted", status: StatusCode::OK };
const DUPLICATE: Verdict = Verdict { result: "duplicate", status: StatusCode::OK };

async fn take(cashier: &Cashier, merchant: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let merchant = cashier.topups.merchants().get(merchant);
    let Some((merchant, over)) = merchant.and_then(|merchant| Some((merchant, merchant.v3.as_ref()?))) else {
        cashier.metrics.notification("unknown_merchant");
        return fail(StatusCode::NOT_FOUND);
    };
    let verdict = match over.channel.read_notice(headers, body) {
        Ok(notice) => genuine(cashier, merchant, notice).await,
        Err(refused) => not_genuine(merchant, &refused),
    };
    cashier.metrics.notification(verdict.result);
    if verdict.status.is_success() {
        reply(verdict.status, &json!({"code": "SUCCESS", "message": "成功"}))
    } else {
        fail(verdict.status)
    }
}

fn fail(status: StatusCode) -> Response {
    reply(status, &json!({"code": "FAIL", "message": "失败"}))
}

fn not_genuine(merchant: &Merchant, refused: &NoticeRefused) -> Verdict {
    let result = refused.reason();
    if matches!(refused, NoticeRefused::BadSignature { probe: true }) {
        tracing::debug!(merchant = merchant.name, "a signature probe was refused, as it should be");
    } else {
        tracing::warn!(merchant = merchant.name, result, error = ?refused, "a notification was refused");
    }
    let status = match refused {
        NoticeRefused::Malformed(_) => StatusCode::BAD_REQUEST,
        // Our own key does not open it: theirs is right, ours is stale.
        NoticeRefused::Decrypt => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAUTHORIZED,
    };
    Verdict { result, status }
}

async fn genuine(cashier: &Cashier, merchant: &Merchant, notice: Notice) -> Verdict {
    match notice {
        Notice::Paid { event_id, trade } => {
            let news = cashier.topups.paid(merchant, trade, CreditSource::Notify, Some(event_id)).await;
            paid_verdict(cashier, news)
        }
        Notice::Refund { event_id, mchid, report } => {
            if mchid != merchant.mchid {
                tracing::error!(
                    merchant = merchant.name,
                    mchid,
                    "a refund notification names another merchant"
                );
                return Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT };
            }
            match cashier.refunds.noticed(&report, event_id).await {
                Ok(_) => ACCEPTED,
                Err(RefundNewsError::Unknown(number)) => {
                    tracing::error!(number, "a refund notification about a refund that is not ours");
                    Verdict { result: "unknown_order", status: StatusCode::NOT_FOUND }
                }
                Err(error @ RefundNewsError::Mismatch { .. }) => {
                    tracing::error!(%error, "a refund notification does not agree with what was sent");
                    Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT }
                }
                Err(error @ (RefundNewsError::Store(_) | RefundNewsError::Unanswered { .. })) => {
                    tracing::error!(%error, "a refund notification could not be written");
                    Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
                }
            }
        }
        Notice::Other { event_type, .. } => {
            tracing::info!(event_type, "a notification of a kind we do not use was acknowledged");
            Verdict { result: "ignored", status: StatusCode::OK }
        }
    }
}

fn paid_verdict(cashier: &Cashier, news: Result<PaidNews, NewsError>) -> Verdict {
    match news {
        Ok(PaidNews::Credited(order)) => {
            cashier.metrics.credited(&order, "notify", cashier.clock.now());
            ACCEPTED
        }
        Ok(PaidNews::Duplicate(_)) => DUPLICATE,
        Ok(PaidNews::Quarantined(order)) => {
            tracing::error!(order = %order.id, "a payment does not agree with its order; nothing was credited");
            Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT }
        }
        Err(NewsError::UnknownOrder(number)) => {
            tracing::error!(number, "a genuine payment notification about an order that is not ours");
            Verdict { result: "unknown_order", status: StatusCode::NOT_FOUND }
        }
        Err(error @ NewsError::NotPaid { .. }) => {
            tracing::info!(%error, "a notification that says nothing was paid was acknowledged");
            Verdict { result: "ignored", status: StatusCode::OK }
        }
        Err(error @ NewsError::NoTransaction(_)) => {
            tracing::warn!(%error, "a payment notification without the payment's number");
            Verdict { result: "malformed", status: StatusCode::BAD_REQUEST }
        }
        Err(error @ NewsError::Store(_)) => {
            tracing::error!(%error, "a payment notification could not be written");
            Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
        }
    }
}
