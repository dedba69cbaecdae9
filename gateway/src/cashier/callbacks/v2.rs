//! WeChat Pay reports by API v2: the status is always 200, and the reply's XML says whether the notice comes again.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use payments::{
    channel::{
        Notice, Trade,
        wechat::v2::{NoticeRefused, SUCCESS_REPLY, Signed, failure},
    },
    ledger::{CreditSource, Order, PayApi, RefundItem},
    refund::RefundNewsError,
    topup::{Merchant, NewsError, OverV2, PaidNews, pay_sign},
};
use units::OrderId;

use super::{Incoming, Unread, in_time, strange, tell_quarantined};
use crate::cashier::Cashier;

/// What becomes of a notice: the metric's word, and why it is to come again, if it is.
struct Verdict {
    result: &'static str,
    again: Option<&'static str>,
}

const TOO_SLOW: Verdict = refused("too_slow", "try again");

const fn taken(result: &'static str) -> Verdict {
    Verdict { result, again: None }
}

const fn refused(result: &'static str, why: &'static str) -> Verdict {
    Verdict { result, again: Some(why) }
}

impl IntoResponse for Verdict {
    fn into_response(self) -> Response {
        let body = self.again.map_or_else(|| SUCCESS_REPLY.to_owned(), failure);
        (StatusCode::OK, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
    }
}

/// `POST /pay/wechat/v2/{merchant}/notify`: a payment.
pub(in crate::cashier) async fn report_v2(
    State(cashier): State<Arc<Cashier>>,
    Path(merchant): Path<String>,
    incoming: Incoming,
) -> Response {
    let read = |over: &OverV2, body: &[u8]| over.channel.read_notice(body);
    let verdict = match heard(&cashier, &merchant, &incoming, read) {
        Ok(signed) => {
            let work = Arc::clone(&cashier);
            let signed = async move {
                let Some(merchant) = work.topups.merchants().get(&merchant) else { return TOO_SLOW };
                signed_verdict(&work, &merchant, signed).await
            };
            in_time(&cashier, signed).await.unwrap_or(TOO_SLOW)
        }
        Err(verdict) => verdict,
    };
    cashier.metrics.notification(verdict.result);
    verdict.into_response()
}

/// `POST /pay/wechat/v2/{merchant}/refund-notify`: that there is news of a refund. What the news is, a signed answer says.
pub(in crate::cashier) async fn refund_report_v2(
    State(cashier): State<Arc<Cashier>>,
    Path(merchant): Path<String>,
    incoming: Incoming,
) -> Response {
    let read = |over: &OverV2, body: &[u8]| over.channel.read_refund_notice(body);
    let verdict = match heard(&cashier, &merchant, &incoming, read) {
        Ok(hint) => {
            let work = Arc::clone(&cashier);
            let asked = async move {
                let Some(merchant) = work.topups.merchants().get(&merchant) else { return TOO_SLOW };
                let event = format!("v2-refund:{}:{}", merchant.mchid, hint.refund_id);
                let asked = work.refunds.ask_about(&merchant, &hint.out_refund_no, event.clone()).await;
                refund_verdict(&work, &merchant, (&event, &hint.out_refund_no), asked).await
            };
            in_time(&cashier, asked).await.unwrap_or(TOO_SLOW)
        }
        Err(verdict) => verdict,
    };
    cashier.metrics.notification(verdict.result);
    verdict.into_response()
}

/// What a notice says, if it is for a merchant of ours and worth a look.
fn heard<T>(
    cashier: &Cashier,
    merchant: &str,
    incoming: &Incoming,
    read: impl FnOnce(&OverV2, &[u8]) -> Result<T, NoticeRefused>,
) -> Result<T, Verdict> {
    let known = cashier.topups.merchants().get(merchant);
    let Some(over) = known.as_ref().and_then(|merchant| merchant.v2.as_ref()) else {
        incoming.failed(cashier);
        return Err(refused("unknown_merchant", "no such merchant"));
    };
    let body = incoming.read(cashier, "xml").map_err(|unread| {
        let why = match unread {
            Unread::TooManyFailures => "too many failures",
            Unread::ContentType => "bad content type",
            Unread::TooLarge | Unread::Truncated => "bad xml",
            Unread::Late => "too slow",
        };
        refused(unread.result(), why)
    })?;
    read(over, body).map_err(|why| {
        let result = why.reason();
        if incoming.failed(cashier) {
            tracing::warn!(merchant, result, error = %why, from = %incoming.from, "a notification was refused");
        }
        refused(result, why.told())
    })
}

async fn signed_verdict(cashier: &Cashier, merchant: &Merchant, signed: Signed) -> Verdict {
    let Signed { notice, sign_type, .. } = signed;
    let Notice::Paid { event_id, trade } = notice else { return taken("ignored") };
    let unknown = async || {
        let why = ("unknown_order", "no such order");
        strange(cashier, merchant, &event_id, &trade.out_trade_no, why).await;
        refused("unknown_order", "order not found")
    };
    let Ok(id) = OrderId::from_bare(&trade.out_trade_no) else { return unknown().await };
    let order = match cashier.store.order(id).await {
        Ok(Some(order)) if order.merchant == merchant.name => order,
        Ok(_) => return unknown().await,
        Err(error) => {
            tracing::error!(%error, "a notification's order could not be read");
            return refused("error", "try again");
        }
    };
    // Whoever can forge the weaker signature must not be believed about orders of the stronger.
    if order.pay_by.api != PayApi::V2 || order.pay_by.sign_type != Some(pay_sign(sign_type)) {
        tracing::warn!(order = %order.id, %sign_type, "a notification is signed in another way than its order");
        return refused("sign_type_mismatch", "sign error");
    }
    let told = trade.clone();
    match cashier.topups.paid(merchant, trade, CreditSource::Notify, Some(event_id)).await {
        Ok(PaidNews::Credited(order)) => {
            cashier.metrics.credited(&order, "notify", cashier.clock.now());
            taken("accepted")
        }
        Ok(PaidNews::Duplicate(_)) => taken("duplicate"),
        Ok(PaidNews::Quarantined(order)) => {
            tell_quarantined(cashier, &order);
            refused("amount_mismatch", difference(&order, &told))
        }
        Ok(PaidNews::StillQuarantined(order)) => refused("amount_mismatch", difference(&order, &told)),
        Err(NewsError::NotPaid { .. }) => taken("ignored"),
        Err(NewsError::UnknownOrder(_)) => refused("unknown_order", "order not found"),
        Err(error @ NewsError::NoTransaction(_)) => {
            tracing::warn!(%error, "a payment notification without the payment's number");
            refused("malformed", "bad notice")
        }
        Err(error @ NewsError::Store(_)) => {
            tracing::error!(%error, "a payment notification could not be written");
            refused("error", "try again")
        }
    }
}

/// What of a payment does not agree with its order, as the sender is told.
fn difference(order: &Order, trade: &Trade) -> &'static str {
    if trade.mchid != order.mchid {
        "mch_id mismatch"
    } else if trade.appid != order.appid {
        "appid mismatch"
    } else if trade.currency.as_deref().is_some_and(|currency| currency != "CNY") {
        "currency mismatch"
    } else if trade.total != Some(order.amount) {
        "amount mismatch"
    } else {
        "transaction conflict"
    }
}

async fn refund_verdict(
    cashier: &Cashier,
    merchant: &Merchant,
    (event, number): (&str, &str),
    asked: Result<RefundItem, RefundNewsError>,
) -> Verdict {
    match asked {
        Ok(_) => taken("accepted"),
        Err(RefundNewsError::Unknown(_)) => {
            strange(cashier, merchant, event, number, ("unknown_order", "no such refund")).await;
            refused("unknown_order", "refund not found")
        }
        Err(error @ RefundNewsError::Mismatch { .. }) => {
            let why = error.to_string();
            strange(cashier, merchant, event, number, ("amount_mismatch", &why)).await;
            refused("amount_mismatch", "refund mismatch")
        }
        Err(error @ (RefundNewsError::Store(_) | RefundNewsError::Unanswered { .. })) => {
            tracing::warn!(%error, "a refund that there is news of could not be asked about");
            refused("error", "try again")
        }
    }
}
