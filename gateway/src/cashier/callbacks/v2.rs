//! WeChat Pay reports by API v2: the status is always 200, and the reply's XML says whether the notice comes again.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
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

use crate::cashier::Cashier;

/// What becomes of a notice: the metric's word, and why it is to come again, if it is.
struct Verdict {
    result: &'static str,
    again: Option<&'static str>,
}

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
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let verdict = match heard(&cashier, &merchant, body) {
        Ok((merchant, over, body)) => match over.channel.read_notice(&body) {
            Ok(signed) => signed_verdict(&cashier, merchant, signed).await,
            Err(why) => not_genuine(merchant, &why),
        },
        Err(verdict) => verdict,
    };
    cashier.metrics.notification(verdict.result);
    verdict.into_response()
}

/// `POST /pay/wechat/v2/{merchant}/refund-notify`: that there is news of a refund. What the news is, a signed answer says.
pub(in crate::cashier) async fn refund_report_v2(
    State(cashier): State<Arc<Cashier>>,
    Path(merchant): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let verdict = match heard(&cashier, &merchant, body) {
        Ok((merchant, over, body)) => match over.channel.read_refund_notice(&body) {
            Ok(hint) => {
                let event = format!("v2-refund:{}:{}", merchant.mchid, hint.refund_id);
                let asked = cashier.refunds.ask_about(merchant, &hint.out_refund_no, event).await;
                refund_verdict(asked)
            }
            Err(why) => not_genuine(merchant, &why),
        },
        Err(verdict) => verdict,
    };
    cashier.metrics.notification(verdict.result);
    verdict.into_response()
}

/// Whom a notice is for, and its bytes.
fn heard<'a>(
    cashier: &'a Cashier,
    merchant: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<(&'a Merchant, &'a OverV2, Bytes), Verdict> {
    let merchant = cashier.topups.merchants().get(merchant);
    let (merchant, over) = merchant
        .and_then(|merchant| Some((merchant, merchant.v2.as_ref()?)))
        .ok_or_else(|| refused("unknown_merchant", "no such merchant"))?;
    let body = body.map_err(|_| refused("malformed", "bad xml"))?;
    Ok((merchant, over, body))
}

fn not_genuine(merchant: &Merchant, why: &NoticeRefused) -> Verdict {
    let result = why.reason();
    tracing::warn!(merchant = merchant.name, result, error = %why, "a notification was refused");
    refused(result, why.told())
}

async fn signed_verdict(cashier: &Cashier, merchant: &Merchant, signed: Signed) -> Verdict {
    let Signed { notice, sign_type } = signed;
    let Notice::Paid { event_id, trade } = notice else { return taken("ignored") };
    let unknown = || {
        tracing::error!(
            number = trade.out_trade_no,
            "a genuine notification about an order that is not ours"
        );
        refused("unknown_order", "order not found")
    };
    let Ok(id) = OrderId::from_bare(&trade.out_trade_no) else { return unknown() };
    let order = match cashier.store.order(id).await {
        Ok(Some(order)) if order.merchant == merchant.name => order,
        Ok(_) => return unknown(),
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
            tracing::error!(order = %order.id, "a payment does not agree with its order; nothing was credited");
            refused("amount_mismatch", difference(&order, &told))
        }
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

fn refund_verdict(asked: Result<RefundItem, RefundNewsError>) -> Verdict {
    match asked {
        Ok(_) => taken("accepted"),
        Err(RefundNewsError::Unknown(number)) => {
            tracing::error!(number, "a refund notification about a refund that is not ours");
            refused("unknown_order", "refund not found")
        }
        Err(error @ RefundNewsError::Mismatch { .. }) => {
            tracing::error!(%error, "a refund does not agree with what was sent");
            refused("amount_mismatch", "refund mismatch")
        }
        Err(error @ (RefundNewsError::Store(_) | RefundNewsError::Unanswered { .. })) => {
            tracing::warn!(%error, "a refund that there is news of could not be asked about");
            refused("error", "try again")
        }
    }
}
