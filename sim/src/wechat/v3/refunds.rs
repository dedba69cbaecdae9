//! Is this refund as the documentation allows it, and how does v3 show one?
use serde_json::{Value, json};

use super::errors::ApiError;
use super::fields::Fields;
use super::orders::check_notify_url;
use crate::clock::beijing;
use crate::faults::Api;
use crate::wechat::form;
use crate::wechat::refunds::{Refund, RefundWish};

/// Reads the body of a refund call.
pub(super) fn read(body: &[u8]) -> Result<RefundWish, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let transaction_id = fields.text("transaction_id", 1, 32)?;
    let out_trade_no = fields.text("out_trade_no", 6, 32)?;
    let out_refund_no = fields.must_text("out_refund_no", 1, 64)?;
    let reason = fields.text("reason", 1, 80)?;
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
    if !form::refund_number(&out_refund_no) {
        return Err(ApiError::param("/out_refund_no", "只能是数字、字母和 _-|*@"));
    }
    if currency != "CNY" {
        return Err(ApiError::param("/amount/currency", "只支持 CNY"));
    }
    if let Some(url) = &notify_url {
        check_notify_url(url)?;
    }
    Ok(RefundWish {
        api: Api::V3,
        appid: None,
        transaction_id,
        out_trade_no,
        out_refund_no,
        reason,
        notify_url,
        refund,
        total,
        asked: serde_json::from_slice(body).unwrap_or_default(),
    })
}

/// As answers show it.
pub(super) fn shown(refund: &Refund) -> Value {
    let (total, sum) = (refund.total(), refund.refund());
    let mut shown = json!({
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no(),
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": beijing(refund.created),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": total, "refund": sum, "payer_total": total, "payer_refund": sum,
            "settlement_refund": sum, "settlement_total": total, "discount_refund": 0, "currency": "CNY",
        },
        "promotion_detail": [],
    });
    if let Some(at) = refund.success() {
        shown["success_time"] = beijing(at).into();
    }
    shown
}

/// As notifications show it: another name for the status, neither appid nor currency.
pub(in crate::wechat) fn notice(refund: &Refund, mchid: &str) -> Value {
    let (total, sum) = (refund.total(), refund.refund());
    let mut notice = json!({
        "mchid": mchid,
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no(),
        "refund_status": refund.status,
        "user_received_account": "支付用户零钱",
        "amount": {"total": total, "refund": sum, "payer_total": total, "payer_refund": sum},
    });
    if let Some(at) = refund.success() {
        notice["success_time"] = beijing(at).into();
    }
    notice
}
