//! Is this refund as v2's documentation allows it, and how does v2 show one?
use super::errors::Failure;
use super::params::Params;
use super::xml::Fields;
use crate::clock::beijing_spaced;
use crate::faults::{Api, RefundStatus};
use crate::wechat::credentials::Credentials;
use crate::wechat::form;
use crate::wechat::orders::Order;
use crate::wechat::refunds::{Refund, RefundWish};

/// Refunds that one answer shows.
const SHOWN_MAX: usize = 10;

/// Reads a refund call.
pub(super) fn read(mut params: Params, credentials: &Credentials) -> Result<RefundWish, Failure> {
    let asked = params.lasting();
    let appid = params.common()?;
    let transaction_id = params.text("transaction_id", 32)?;
    let out_trade_no = params.text("out_trade_no", 32)?;
    let out_refund_no = params.must("out_refund_no", 64)?;
    let total = params.must_fen("total_fee")?;
    let refund = params.must_fen("refund_fee")?;
    let currency = params.text("refund_fee_type", 8)?;
    let reason = params.text("refund_desc", 80)?;
    let account = params.text("refund_account", 30)?;
    let notify_url = params.text("notify_url", 256)?;
    // Once every refund had to name who asks for it; `wechatpy` and `tenpay` still do.
    params.text("op_user_id", 32)?;
    params.end()?;
    if !credentials.bound(&appid) {
        return Err(Failure::business("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"));
    }
    if transaction_id.is_none() && out_trade_no.is_none() {
        return Err(Failure::missing("transaction_id"));
    }
    if !form::refund_number(&out_refund_no) {
        return Err(Failure::param("out_refund_no", "只能是数字、字母和 _-|*@"));
    }
    if currency.is_some_and(|currency| currency != "CNY") {
        return Err(Failure::param("refund_fee_type", "只支持 CNY"));
    }
    let known = ["REFUND_SOURCE_UNSETTLED_FUNDS", "REFUND_SOURCE_RECHARGE_FUNDS"];
    if account.is_some_and(|account| !known.contains(&account.as_str())) {
        return Err(Failure::param("refund_account", "取值有误"));
    }
    if notify_url.as_deref().is_some_and(|url| !form::notify_url(url)) {
        return Err(Failure::param("notify_url", "应为不带参数的 http(s) 地址"));
    }
    Ok(RefundWish {
        api: Api::V2,
        appid: Some(appid),
        // The transaction wins where both are named.
        out_trade_no: out_trade_no.filter(|_| transaction_id.is_none()),
        transaction_id,
        out_refund_no,
        reason,
        notify_url,
        refund,
        total,
        asked,
    })
}

/// That a refund was accepted.
pub(super) fn accepted(refund: &Refund) -> Fields {
    vec![
        ("transaction_id".into(), refund.transaction_id.clone()),
        ("out_trade_no".into(), refund.out_trade_no.clone()),
        ("out_refund_no".into(), refund.out_refund_no().into()),
        ("refund_id".into(), refund.refund_id.clone()),
        ("refund_fee".into(), refund.refund().to_string()),
        ("total_fee".into(), refund.total().to_string()),
        ("cash_fee".into(), refund.total().to_string()),
        ("cash_refund_fee".into(), refund.refund().to_string()),
        ("coupon_refund_fee".into(), "0".into()),
        ("coupon_refund_count".into(), "0".into()),
    ]
}

/// v2's names of the states.
pub(super) fn state(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
        RefundStatus::Closed => "REFUNDCLOSE",
        RefundStatus::Abnormal => "CHANGE",
    }
}

/// The answer to a query: those refunds of an order, each with a number at the end of its fields' names.
pub(super) fn listed(order: &Order, refunds: &[&Refund], offset: usize) -> Fields {
    let shown = refunds.iter().skip(offset).take(SHOWN_MAX);
    let mut fields: Fields = vec![
        (
            "transaction_id".into(),
            order.payment.as_ref().map(|payment| payment.transaction_id.clone()).unwrap_or_default(),
        ),
        ("out_trade_no".into(), order.out_trade_no().into()),
        ("total_fee".into(), order.total().to_string()),
        ("cash_fee".into(), order.total().to_string()),
        ("total_refund_count".into(), refunds.len().to_string()),
        ("refund_count".into(), shown.len().to_string()),
    ];
    for (n, refund) in shown.enumerate() {
        fields.extend([
            (format!("out_refund_no_{n}"), refund.out_refund_no().to_owned()),
            (format!("refund_id_{n}"), refund.refund_id.clone()),
            (format!("refund_channel_{n}"), "ORIGINAL".to_owned()),
            (format!("refund_fee_{n}"), refund.refund().to_string()),
            (format!("refund_status_{n}"), state(refund.status).to_owned()),
            (format!("refund_recv_accout_{n}"), "支付用户零钱".to_owned()),
        ]);
        fields.extend(refund.success().map(|at| (format!("refund_success_time_{n}"), beijing_spaced(at))));
    }
    fields
}
