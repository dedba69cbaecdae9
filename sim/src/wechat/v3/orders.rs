//! Is this order as the documentation allows it, and how does v3 show one?
use std::net::IpAddr;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::ApiError;
use super::fields::Fields;
use crate::clock::{beijing, parse_rfc3339};
use crate::faults::Api;
use crate::wechat::credentials::Credentials;
use crate::wechat::form;
use crate::wechat::orders::{Order, TradeType, Wish};

/// Reads the body of a create call.
pub(super) fn read(body: &[u8], trade_type: TradeType, credentials: &Credentials) -> Result<Wish, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let appid = fields.must_text("appid", 1, 32)?;
    let mchid = fields.must_text("mchid", 1, 32)?;
    let description = fields.must_text("description", 1, 127)?;
    let out_trade_no = fields.must_text("out_trade_no", 6, 32)?;
    let time_expire = fields.text("time_expire", 1, 64)?;
    let attach = fields.text("attach", 1, 128)?;
    let notify_url = fields.must_text("notify_url", 1, 255)?;
    fields.text("goods_tag", 1, 32)?;
    fields.allow("support_fapiao", Value::is_boolean)?;
    fields.allow("limit_pay", Value::is_array)?;
    let mut amount = fields.must_object("amount")?;
    let total = amount.must_int("total", 1)?;
    let currency = amount.text("currency", 1, 16)?;
    amount.end()?;
    let openid = if trade_type == TradeType::Jsapi {
        let mut payer = fields.must_object("payer")?;
        let openid = payer.must_text("openid", 1, 128)?;
        payer.end()?;
        Some(openid)
    } else {
        None
    };
    if let Some(detail) = fields.object("detail")? {
        read_detail(detail)?;
    }
    let scene = if trade_type == TradeType::Mweb {
        Some(fields.must_object("scene_info")?)
    } else {
        fields.object("scene_info")?
    };
    let device = scene.map(|scene| read_scene(scene, trade_type)).transpose()?.flatten();
    if let Some(mut settle) = fields.object("settle_info")? {
        settle.allow("profit_sharing", Value::is_boolean)?;
        settle.end()?;
    }
    fields.end()?;

    if mchid != credentials.mchid {
        return Err(ApiError::param("/mchid", "与签名的商户号不一致"));
    }
    if !credentials.bound(&appid) {
        let message = "appid 和 mchid 不匹配";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "APPID_MCHID_NOT_MATCH", message));
    }
    if !form::order_number(&out_trade_no) {
        return Err(ApiError::param("/out_trade_no", "只能是数字、字母和 _-|*"));
    }
    if currency.is_some_and(|currency| currency != "CNY") {
        return Err(ApiError::param("/amount/currency", "只支持 CNY"));
    }
    if openid.as_deref().is_some_and(|openid| !form::openid(openid)) {
        return Err(ApiError::param("/payer/openid", "无效的 openid"));
    }
    check_notify_url(&notify_url)?;
    let time_expire = match time_expire {
        None => None,
        Some(text) => {
            let at = parse_rfc3339(&text);
            Some(at.ok_or_else(|| ApiError::param("/time_expire", "应为 RFC 3339 格式"))?)
        }
    };
    Ok(Wish {
        api: Api::V3,
        sign_type: None,
        trade_type,
        appid,
        out_trade_no,
        description,
        attach,
        notify_url,
        total,
        time_expire,
        device,
        openid,
        asked: json!([trade_type, serde_json::from_slice::<Value>(body).unwrap_or_default()]),
    })
}

fn read_detail(mut detail: Fields) -> Result<(), ApiError> {
    detail.allow("cost_price", Value::is_u64)?;
    detail.text("invoice_id", 1, 32)?;
    for mut goods in detail.objects("goods_detail")? {
        goods.must_text("merchant_goods_id", 1, 32)?;
        goods.text("wechatpay_goods_id", 1, 32)?;
        goods.text("goods_name", 1, 256)?;
        goods.must_int("quantity", 1)?;
        goods.must_int("unit_price", 0)?;
        goods.end()?;
    }
    detail.end()
}

/// The device, if one is named.
fn read_scene(mut scene: Fields, trade_type: TradeType) -> Result<Option<String>, ApiError> {
    // Whoever sends a scene has to say where the payer is, whichever way is paid.
    let address = scene.must_text("payer_client_ip", 1, 45)?;
    let device = scene.text("device_id", 1, 32)?;
    if let Some(mut store) = scene.object("store_info")? {
        store.must_text("id", 1, 32)?;
        store.text("name", 1, 256)?;
        store.text("area_code", 1, 32)?;
        store.text("address", 1, 512)?;
        store.end()?;
    }
    if trade_type == TradeType::Mweb {
        let mut h5 = scene.must_object("h5_info")?;
        let kind = h5.must_text("type", 1, 32)?;
        for (name, max) in [("app_name", 64), ("app_url", 128), ("bundle_id", 128), ("package_name", 128)] {
            h5.text(name, 1, max)?;
        }
        h5.end()?;
        if !matches!(kind.as_str(), "iOS" | "Android" | "Wap") {
            return Err(ApiError::param("/scene_info/h5_info/type", "应为 iOS、Android 或 Wap"));
        }
    }
    scene.end()?;
    match address.parse::<IpAddr>() {
        Ok(address) if trade_type == TradeType::Mweb && address.is_loopback() => {
            Err(ApiError::param("/scene_info/payer_client_ip", "应为用户的真实地址"))
        }
        Ok(_) => Ok(device),
        Err(_) => Err(ApiError::param("/scene_info/payer_client_ip", "不是 IP 地址")),
    }
}

pub(super) fn check_notify_url(url: &str) -> Result<(), ApiError> {
    if form::notify_url(url) {
        Ok(())
    } else {
        Err(ApiError::param("/notify_url", "应为不带参数的 http(s) 地址"))
    }
}

/// What a create call answers; `base` is where the simulator is, for whoever follows a link.
pub(super) fn made(order: &Order, base: &str) -> Value {
    match order.trade_type() {
        TradeType::Native => json!({"code_url": order.code_url()}),
        TradeType::Jsapi => json!({"prepay_id": order.prepay_id()}),
        TradeType::Mweb => json!({"h5_url": order.h5_url(base)}),
    }
}

/// The transaction object of query answers and notifications.
pub(in crate::wechat) fn transaction(order: &Order, mchid: &str) -> Value {
    let mut shown = json!({
        "appid": order.appid(),
        "mchid": mchid,
        "out_trade_no": order.out_trade_no(),
        "trade_state": order.state,
        "trade_state_desc": order.state.described(),
        "amount": {"total": order.total(), "currency": "CNY"},
    });
    if let Some(attach) = order.attach() {
        shown["attach"] = attach.into();
    }
    if let Some(device) = order.device() {
        shown["scene_info"] = json!({"device_id": device});
    }
    if let Some(payment) = &order.payment {
        shown["transaction_id"] = payment.transaction_id.as_str().into();
        shown["trade_type"] = order.trade_type().name().into();
        shown["bank_type"] = "OTHERS".into();
        shown["success_time"] = beijing(payment.at).into();
        shown["payer"] = json!({"openid": payment.openid});
        shown["amount"] = json!({
            "total": order.total(), "payer_total": order.total(), "currency": "CNY", "payer_currency": "CNY",
        });
    }
    shown
}
