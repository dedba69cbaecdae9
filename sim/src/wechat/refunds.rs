//! May this money go back, and has it?
use serde_json::{Value, json};

use super::errors::ApiError;
use super::fields::Fields;
use super::notify::Event;
use super::orders::{Books, TradeState, check_notify_url};
use crate::clock::{beijing, rfc3339};
use crate::faults::RefundStatus;

/// Partial refunds of one order.
const REFUNDS_MAX: usize = 50;
/// Between two refunds of one order, microseconds.
const BETWEEN_MIN: i64 = 60_000_000;
/// After the payment, microseconds.
const YEAR: i64 = 365 * 24 * 3_600_000_000;

/// One refund.
#[derive(Debug)]
pub(crate) struct Refund {
    asked: Value,
    refund_id: String,
    pub(crate) out_refund_no: String,
    transaction_id: String,
    out_trade_no: String,
    notify_url: Option<String>,
    total: i64,
    /// Fen.
    pub(crate) refund: i64,
    created: i64,
    ended: Option<i64>,
    pub(crate) status: RefundStatus,
}

impl Refund {
    /// As answers show it.
    fn shown(&self) -> Value {
        let mut shown = json!({
            "refund_id": self.refund_id,
            "out_refund_no": self.out_refund_no,
            "transaction_id": self.transaction_id,
            "out_trade_no": self.out_trade_no,
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": beijing(self.created),
            "status": self.status,
            "funds_account": "AVAILABLE",
            "amount": {
                "total": self.total, "refund": self.refund, "payer_total": self.total, "payer_refund": self.refund,
                "settlement_refund": self.refund, "settlement_total": self.total, "discount_refund": 0,
                "currency": "CNY",
            },
            "promotion_detail": [],
        });
        if let (RefundStatus::Success, Some(at)) = (self.status, self.ended) {
            shown["success_time"] = beijing(at).into();
        }
        shown
    }

    /// As notifications show it: another name for the status, neither appid nor currency.
    fn notice(&self, mchid: &str) -> Value {
        let mut notice = json!({
            "mchid": mchid,
            "transaction_id": self.transaction_id,
            "out_trade_no": self.out_trade_no,
            "refund_id": self.refund_id,
            "out_refund_no": self.out_refund_no,
            "refund_status": self.status,
            "user_received_account": "支付用户零钱",
            "amount": {
                "total": self.total, "refund": self.refund, "payer_total": self.total, "payer_refund": self.refund,
            },
        });
        if let (RefundStatus::Success, Some(at)) = (self.status, self.ended) {
            notice["success_time"] = beijing(at).into();
        }
        notice
    }

    /// For the controls.
    pub(super) fn controls(&self) -> Value {
        json!({
            "out_refund_no": self.out_refund_no,
            "refund_id": self.refund_id,
            "refund": self.refund,
            "status": self.status,
            "notify_url": self.notify_url,
            "created_at": rfc3339(self.created),
            "ended_at": self.ended.map(rfc3339),
        })
    }
}

/// What a refund call asks for, checked as far as the body goes.
struct Wanted {
    transaction_id: Option<String>,
    out_trade_no: Option<String>,
    out_refund_no: String,
    notify_url: Option<String>,
    refund: i64,
    total: i64,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let transaction_id = fields.text("transaction_id", 1, 32)?;
        let out_trade_no = fields.text("out_trade_no", 6, 32)?;
        let out_refund_no = fields.must_text("out_refund_no", 1, 64)?;
        fields.text("reason", 1, 80)?;
        let notify_url = fields.text("notify_url", 8, 256)?;
        fields.allow("funds_account", |value| value == "AVAILABLE")?;
        let mut amount = fields.must_object("amount")?;
        let refund = amount.must_int("refund", 1)?;
        let total = amount.must_int("total", 1)?;
        let currency = amount.must_text("currency", 1, 16)?;
        for mut from in amount.objects("from")? {
            from.must_text("account", 1, 32)?;
            from.must_int("amount", 1)?;
            from.end()?;
        }
        amount.end()?;
        for mut goods in fields.objects("goods_detail")? {
            goods.must_text("merchant_goods_id", 1, 32)?;
            goods.text("wechatpay_goods_id", 1, 32)?;
            goods.text("goods_name", 1, 256)?;
            goods.must_int("unit_price", 0)?;
            goods.must_int("refund_amount", 1)?;
            goods.must_int("refund_quantity", 1)?;
            goods.end()?;
        }
        fields.end()?;

        if transaction_id.is_none() && out_trade_no.is_none() {
            return Err(ApiError::param("/transaction_id", "与 out_trade_no 二选一"));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte);
        if !out_refund_no.bytes().all(known) {
            return Err(ApiError::param("/out_refund_no", "只能是数字、字母和 _-|*@"));
        }
        if currency != "CNY" {
            return Err(ApiError::param("/amount/currency", "只支持 CNY"));
        }
        if let Some(url) = &notify_url {
            check_notify_url("/notify_url", url)?;
        }
        Ok(Self { transaction_id, out_trade_no, out_refund_no, notify_url, refund, total })
    }
}

impl Books {
    /// Accepts a refund, or shows the one that is there. `true` with a new one.
    pub(super) fn refund(&mut self, body: &[u8], now: i64) -> Result<(Value, bool, String), ApiError> {
        let wanted = Wanted::read(body)?;
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(known) = self.find_refund(&wanted.out_refund_no) {
            return if known.asked == asked {
                Ok((known.shown(), false, wanted.out_refund_no))
            } else {
                Err(ApiError::invalid("商户退款单号重复，且请求参数与首次请求不一致"))
            };
        }
        let by_transaction = wanted.transaction_id.as_deref().map(|id| self.transaction_order(id));
        let out_trade_no = match (by_transaction, &wanted.out_trade_no) {
            (Some(None), _) => return Err(ApiError::nothing_there("订单不存在")),
            (Some(Some(found)), Some(named)) if found != named => {
                return Err(ApiError::invalid("transaction_id 与 out_trade_no 不一致"));
            }
            (Some(Some(found)), _) => found.to_owned(),
            (None, Some(named)) => named.clone(),
            (None, None) => return Err(ApiError::param("/transaction_id", "与 out_trade_no 二选一")),
        };
        let order = self.order(&out_trade_no).ok_or_else(|| ApiError::nothing_there("订单不存在"))?;
        let payment = order.payment.as_ref().ok_or_else(|| ApiError::invalid("订单未支付"))?;
        let transaction_id = payment.transaction_id.clone();
        if wanted.total != order.total {
            return Err(ApiError::invalid("订单金额不一致"));
        }
        let standing = order.refunds.iter().filter(|refund| refund.status != RefundStatus::Closed);
        let before: i64 = standing.map(|refund| refund.refund).sum();
        if wanted.refund > order.total - before {
            return Err(ApiError::invalid("退款金额大于可退金额"));
        }
        if order.refunds.len() >= REFUNDS_MAX {
            return Err(ApiError::invalid("一笔订单最多退款 50 次"));
        }
        if now - payment.at > YEAR {
            return Err(ApiError::invalid("订单支付已超过一年"));
        }
        if order.refunds.last().is_some_and(|last| now - last.created < BETWEEN_MIN) {
            return Err(ApiError::frequency());
        }
        let refund = Refund {
            asked,
            refund_id: self.number("50300002042", now, 10),
            out_refund_no: wanted.out_refund_no.clone(),
            transaction_id,
            out_trade_no: out_trade_no.clone(),
            notify_url: wanted.notify_url,
            total: wanted.total,
            refund: wanted.refund,
            created: now,
            ended: None,
            status: RefundStatus::Processing,
        };
        let shown = refund.shown();
        self.by_refund.insert(wanted.out_refund_no.clone(), out_trade_no.clone());
        if let Some(order) = self.order_mut(&out_trade_no) {
            order.refunds.push(refund);
        }
        Ok((shown, true, wanted.out_refund_no))
    }

    fn find_refund(&self, out_refund_no: &str) -> Option<&Refund> {
        let order = self.order(self.by_refund.get(out_refund_no)?)?;
        order.refunds.iter().find(|refund| refund.out_refund_no == out_refund_no)
    }

    pub(super) fn query_refund(&self, out_refund_no: &str) -> Result<Value, ApiError> {
        let refund = self.find_refund(out_refund_no);
        refund.map(Refund::shown).ok_or_else(|| ApiError::nothing_there("退款单不存在"))
    }

    /// Ends a refund. `Ok(None)`: nobody wants to be told. `Err(Some(status))`: it has ended already, like this.
    pub(super) fn resolve(
        &mut self,
        out_refund_no: &str,
        status: RefundStatus,
        mchid: &str,
        now: i64,
    ) -> Result<Option<Event>, Option<RefundStatus>> {
        let out_trade_no = self.by_refund.get(out_refund_no).cloned().ok_or(None)?;
        let order = self.order_mut(&out_trade_no).ok_or(None)?;
        let refund =
            order.refunds.iter_mut().find(|refund| refund.out_refund_no == out_refund_no).ok_or(None)?;
        if matches!(refund.status, RefundStatus::Success | RefundStatus::Closed) {
            return Err(Some(refund.status));
        }
        refund.status = status;
        refund.ended = Some(now).filter(|_| status != RefundStatus::Processing);
        let kind = match status {
            RefundStatus::Processing => return Ok(None),
            RefundStatus::Success => "REFUND.SUCCESS",
            RefundStatus::Closed => "REFUND.CLOSED",
            RefundStatus::Abnormal => "REFUND.ABNORMAL",
        };
        let content = refund.notice(mchid);
        let url = refund.notify_url.clone();
        if status == RefundStatus::Success {
            order.state = TradeState::Refund;
        }
        Ok(url.map(|url| Event::new(kind, &out_trade_no, url, now, content)))
    }

    /// Whether a refund is still under way, so that its timer has something to end.
    pub(super) fn processing(&self, out_refund_no: &str) -> bool {
        self.find_refund(out_refund_no).is_some_and(|refund| refund.status == RefundStatus::Processing)
    }
}
