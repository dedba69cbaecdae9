//! WeChat Pay reports.
//!
//! Raw bytes are verified first; what is genuine is on disk before it is acknowledged; whatever fails is answered with
//! 4xx or 5xx, because the status alone makes WeChat Pay try again.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{FromRequest, Path, Request, State, rejection::BytesRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use payments::{
    channel::{Notice, wechat::v3::NoticeRefused},
    ledger::{CreditSource, Order},
    refund::RefundNewsError,
    topup::{Merchant, NewsError, PaidNews},
};
use serde_json::json;

mod risk;
mod sources;
mod v2;

pub use self::sources::Sources;
pub(super) use self::v2::{refund_report_v2, report_v2};
use super::{Cashier, reply};
use crate::edge::Peer;

/// WeChat Pay wants its answer within five seconds. What takes longer goes on, and its repeat finds it done.
/// Source: WeChat Pay, payment notifications.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// `HEAD` and `GET` on a callback: here, and nothing else.
pub(super) async fn probe() -> Response {
    StatusCode::OK.into_response()
}

/// What comes in at a callback.
pub(super) struct Incoming {
    /// Who sends it.
    from: IpAddr,
    headers: HeaderMap,
    body: Result<Bytes, Broken>,
}

/// Why there is no body.
enum Broken {
    /// It is too large, or broke off.
    Off(BytesRejection),
    /// It did not come in time.
    Late,
}

impl FromRequest<Arc<Cashier>> for Incoming {
    type Rejection = Infallible;

    async fn from_request(request: Request, cashier: &Arc<Cashier>) -> Result<Self, Infallible> {
        let headers = request.headers().clone();
        let peer =
            request.extensions().get::<Peer>().map_or(Ipv4Addr::LOCALHOST.into(), |Peer(peer)| peer.ip());
        let from = cashier.proxies.client(peer, &headers);
        // The answer is due all the same: whoever sends slowly, or nothing, is not waited for.
        let body = tokio::time::timeout(ANSWER_WITHIN, Bytes::from_request(request, cashier)).await;
        let body = match body {
            Ok(body) => body.map_err(Broken::Off),
            Err(_) => Err(Broken::Late),
        };
        Ok(Self { from, headers, body })
    }
}

/// Why something is not looked at any closer; the same by both APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// Its sender sent too many forgeries.
    TooManyFailures,
    /// It does not even call itself what a notification is.
    ContentType,
    /// It is larger than any notification.
    TooLarge,
    /// It broke off.
    Truncated,
    /// It does not come.
    Late,
}

impl Unread {
    const fn result(self) -> &'static str {
        match self {
            Self::TooManyFailures => "source_limited",
            Self::ContentType => "wrong_content_type",
            Self::TooLarge => "oversized",
            Self::Truncated => "malformed",
            Self::Late => "too_slow",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Truncated => StatusCode::BAD_REQUEST,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl Incoming {
    /// The bytes, if this is worth a look. `kind` is what a content type that is named has in it.
    fn read(&self, cashier: &Cashier, kind: &str) -> Result<&Bytes, Unread> {
        if !cashier.sources.is_heard(self.from, cashier.clock.now()) {
            return Err(Unread::TooManyFailures);
        }
        let named = self.headers.get(header::CONTENT_TYPE);
        if named
            .is_some_and(|named| !named.to_str().is_ok_and(|named| named.to_ascii_lowercase().contains(kind)))
        {
            return Err(Unread::ContentType);
        }
        self.body.as_ref().map_err(|broken| match broken {
            Broken::Off(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Unread::TooLarge,
            Broken::Off(_) => Unread::Truncated,
            Broken::Late => Unread::Late,
        })
    }

    /// It was not genuine, which counts against its sender; true where the log should hear of it.
    fn failed(&self, cashier: &Cashier) -> bool {
        sources::is_told(cashier.sources.failed(self.from, cashier.clock.now()))
    }
}

/// `POST /pay/wechat/v3/{merchant}/notify` and `/refund-notify`: what is reported, the notification itself says.
pub(super) async fn report(
    State(cashier): State<Arc<Cashier>>,
    Path(merchant): Path<String>,
    incoming: Incoming,
) -> Response {
    let verdict = take(&cashier, &merchant, &incoming).await;
    cashier.metrics.notification(verdict.result);
    let said = if verdict.status.is_success() {
        json!({"code": "SUCCESS", "message": "成功"})
    } else {
        json!({"code": "FAIL", "message": "失败"})
    };
    reply(verdict.status, &said)
}

/// What becomes of a notification: the metric's word, and the answer.
struct Verdict {
    result: &'static str,
    status: StatusCode,
}

const ACCEPTED: Verdict = Verdict { result: "accepted", status: StatusCode::OK };
const DUPLICATE: Verdict = Verdict { result: "duplicate", status: StatusCode::OK };
const TOO_SLOW: Verdict = Verdict { result: "too_slow", status: StatusCode::SERVICE_UNAVAILABLE };

async fn take(cashier: &Arc<Cashier>, merchant: &str, incoming: &Incoming) -> Verdict {
    let known = cashier.topups.merchants().get(merchant);
    let Some(known) = known.filter(|merchant| merchant.v3.is_some()) else {
        incoming.failed(cashier);
        return Verdict { result: "unknown_merchant", status: StatusCode::NOT_FOUND };
    };
    let body = match incoming.read(cashier, "json") {
        Ok(body) => body,
        Err(unread) => return Verdict { result: unread.result(), status: unread.status() },
    };
    let notice = match read(cashier, &known, &incoming.headers, body).await {
        Some(Ok(notice)) => notice,
        Some(Err(refused)) => return not_genuine(cashier, merchant, &refused, incoming),
        None => return TOO_SLOW,
    };
    let work = Arc::clone(cashier);
    in_time(cashier, async move { genuine(&work, &known, notice).await }).await.unwrap_or(TOO_SLOW)
}

/// What the notification says. Where its key is an unknown one, WeChat Pay is asked for certificates before it is refused;
/// nothing if that takes too long.
async fn read(
    cashier: &Arc<Cashier>,
    merchant: &Arc<Merchant>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Option<Result<Notice, NoticeRefused>> {
    let over = merchant.v3.as_ref()?;
    let read = over.channel.read_notice(headers, body);
    if !matches!(read, Err(NoticeRefused::UnknownSerial(_))) {
        return Some(read);
    }
    let (merchant, headers, body) = (Arc::clone(merchant), headers.clone(), body.clone());
    in_time(cashier, async move { Some(merchant.v3.as_ref()?.channel.take_notice(&headers, &body).await) })
        .await
        .flatten()
}

/// What it comes to, if that is known in time; it goes on all the same.
async fn in_time<T: Send + 'static>(
    cashier: &Cashier,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let work = cashier.at_work.spawn(work);
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            tracing::error!(%error, "a notification's handling broke off");
            None
        }
        Err(_) => {
            tracing::warn!("a notification could not be written in time; it is asked for again");
            None
        }
    }
}

fn not_genuine(cashier: &Cashier, merchant: &str, refused: &NoticeRefused, incoming: &Incoming) -> Verdict {
    let result = refused.reason();
    if matches!(refused, NoticeRefused::BadSignature { probe: true }) {
        tracing::debug!(merchant, "a signature probe was refused, as it should be");
    } else if incoming.failed(cashier) {
        tracing::warn!(merchant, result, error = %refused, from = %incoming.from, "a notification was refused");
    }
    let status = match refused {
        NoticeRefused::Malformed(_) => StatusCode::BAD_REQUEST,
        // Our own key does not open it: theirs is right, ours is stale.
        NoticeRefused::Decrypt => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAUTHORIZED,
    };
    Verdict { result, status }
}

/// Genuine, but nothing of ours: it is written down and told once, however often it comes. True once it is on disk.
async fn strange(
    cashier: &Cashier,
    merchant: &Merchant,
    event: &str,
    subject: &str,
    (result, why): (&'static str, &str),
) -> bool {
    match cashier.topups.file(merchant, event, subject, why).await {
        Ok(true) => {
            tracing::error!(
                merchant = merchant.name,
                event,
                subject,
                why,
                "a genuine notification is nothing of ours"
            );
            cashier.metrics.alarm(result);
            true
        }
        Ok(false) => true,
        Err(error) => {
            tracing::error!(%error, event, "a notification could not be written");
            false
        }
    }
}

async fn genuine(cashier: &Cashier, merchant: &Merchant, notice: Notice) -> Verdict {
    match notice {
        Notice::Paid { event_id, trade } => {
            let number = trade.out_trade_no.clone();
            let news =
                cashier.topups.paid(merchant, trade, CreditSource::Notify, Some(event_id.clone())).await;
            if matches!(news, Err(NewsError::UnknownOrder(_))) {
                strange(cashier, merchant, &event_id, &number, ("unknown_order", "no such order")).await;
            }
            paid_verdict(cashier, news)
        }
        Notice::Refund { event_id, mchid, report } => {
            let number = &report.out_refund_no;
            if mchid != merchant.mchid {
                let why = ("amount_mismatch", "it names another merchant");
                strange(cashier, merchant, &event_id, number, why).await;
                return Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT };
            }
            match cashier.refunds.noticed(&report, event_id.clone()).await {
                Ok(_) => ACCEPTED,
                Err(RefundNewsError::Unknown(_)) => {
                    // Started in the merchant's own console, say: the bill tells what came of it.
                    strange(cashier, merchant, &event_id, number, ("unknown_order", "no such refund")).await;
                    Verdict { result: "unknown_order", status: StatusCode::NOT_FOUND }
                }
                Err(error @ RefundNewsError::Mismatch { .. }) => {
                    let why = error.to_string();
                    strange(cashier, merchant, &event_id, number, ("amount_mismatch", &why)).await;
                    Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT }
                }
                Err(error @ (RefundNewsError::Store(_) | RefundNewsError::Unanswered { .. })) => {
                    tracing::error!(%error, "a refund notification could not be written");
                    Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
                }
            }
        }
        Notice::Risk { event_id, mchid, warning } => {
            risk::warned(cashier, merchant, (&event_id, &mchid), &warning).await
        }
        Notice::Other { event_id, event_type } => {
            match cashier.topups.file(merchant, &event_id, &event_type, "a kind that is not used").await {
                Ok(_) => {
                    tracing::info!(event_type, "a notification of a kind we do not use was acknowledged");
                    Verdict { result: "ignored", status: StatusCode::OK }
                }
                Err(error) => {
                    tracing::error!(%error, "a notification could not be written");
                    Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
                }
            }
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
            tell_quarantined(cashier, &order);
            Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT }
        }
        Ok(PaidNews::StillQuarantined(_)) => {
            Verdict { result: "amount_mismatch", status: StatusCode::CONFLICT }
        }
        Err(NewsError::UnknownOrder(_)) => Verdict { result: "unknown_order", status: StatusCode::NOT_FOUND },
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

/// A payment that does not agree with its order is told once: the log's error, and what alarms look at.
fn tell_quarantined(cashier: &Cashier, order: &Order) {
    tracing::error!(order = %order.id, "a payment does not agree with its order; nothing was credited");
    cashier.metrics.alarm("amount_mismatch");
}
