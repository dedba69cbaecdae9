//! Is this order as v2's documentation allows it, and how does v2 show one?
use std::net::IpAddr;

use serde_json::Value;

use super::errors::Failure;
use super::params::Params;
use super::sign::SignType;
use super::xml::Fields;
use crate::clock::{beijing_digits, parse_beijing};
use crate::faults::Api;
use crate::wechat::credentials::Credentials;
use crate::wechat::form;
use crate::wechat::orders::{Order, TradeType, Wish};

/// Between `time_start` and `time_expire`, microseconds.
const LIFE_MIN: i64 = 300_000_000;

/// Reads a create call.
pub(super) fn read(
    mut params: Params,
    sign_type: SignType,
    credentials: &Credentials,
) -> Result<Wish, Failure> {
    let asked = params.lasting();
    let appid = params.common()?;
    let device = params.text("device_info", 32)?;
    let description = params.must("body", 127)?;
    params.text("detail", 6_000)?;
    let attach = params.text("attach", 127)?;
    let out_trade_no = params.must("out_trade_no", 32)?;
    let fee_type = params.text("fee_type", 16)?;
    let total = params.must_fen("total_fee")?;
    let address = params.must("spbill_create_ip", 64)?;
    let started = time(&mut params, "time_start")?;
    let time_expire = time(&mut params, "time_expire")?;
    params.text("goods_tag", 32)?;
    let notify_url = params.must("notify_url", 256)?;
    let trade_type = match params.must("trade_type", 16)?.as_str() {
        "NATIVE" => TradeType::Native,
        "JSAPI" => TradeType::Jsapi,
        "MWEB" => TradeType::Mweb,
        _ => return Err(Failure::param("trade_type", "应为 NATIVE、JSAPI 或 MWEB")),
    };
    let product = params.text("product_id", 32)?;
    one_of(&mut params, "limit_pay", &["no_credit"])?;
    let openid = params.text("openid", 128)?;
    one_of(&mut params, "receipt", &["Y"])?;
    one_of(&mut params, "profit_sharing", &["Y", "N"])?;
    let scene = params.text("scene_info", 256)?;
    params.end()?;

    if !credentials.bound(&appid) {
        return Err(Failure::business("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"));
    }
    if !form::order_number(&out_trade_no) {
        return Err(Failure::param("out_trade_no", "只能是数字、字母和 _-|*"));
    }
    if fee_type.is_some_and(|currency| currency != "CNY") {
        return Err(Failure::param("fee_type", "只支持 CNY"));
    }
    if !form::notify_url(&notify_url) {
        return Err(Failure::param("notify_url", "应为不带参数的 http(s) 地址"));
    }
    let address: IpAddr = address.parse().map_err(|_| Failure::param("spbill_create_ip", "不是 IP 地址"))?;
    if let (Some(from), Some(until)) = (started, time_expire)
        && until - from < LIFE_MIN
    {
        return Err(Failure::param("time_expire", "最短失效时间间隔大于五分钟"));
    }
    match trade_type {
        TradeType::Native if product.is_none() => return Err(Failure::missing("product_id")),
        TradeType::Jsapi => {
            let openid = openid.as_deref().ok_or_else(|| Failure::missing("openid"))?;
            if !form::openid(openid) {
                return Err(Failure::param("openid", "无效的 openid"));
            }
        }
        TradeType::Mweb => {
            if address.is_loopback() {
                return Err(Failure::param("spbill_create_ip", "应为用户的真实地址"));
            }
            check_h5(scene.as_deref())?;
        }
        TradeType::Native => {}
    }
    Ok(Wish {
        api: Api::V2,
        sign_type: Some(sign_type),
        openid: openid.filter(|_| trade_type == TradeType::Jsapi),
        trade_type,
        appid,
        out_trade_no,
        description,
        attach,
        notify_url,
        total,
        time_expire,
        device,
        asked,
    })
}

fn one_of(params: &mut Params, name: &str, known: &[&str]) -> Result<(), Failure> {
    match params.text(name, 32)? {
        Some(value) if !known.contains(&value.as_str()) => Err(Failure::param(name, "取值有误")),
        _ => Ok(()),
    }
}

/// `yyyyMMddHHmmss` in Beijing.
fn time(params: &mut Params, name: &str) -> Result<Option<i64>, Failure> {
    let text = params.text(name, 14)?;
    text.map(|text| {
        parse_beijing("%Y%m%d%H%M%S", &text).ok_or_else(|| Failure::param(name, "应为 yyyyMMddHHmmss"))
    })
    .transpose()
}

/// `{"h5_info": {"type": "Wap", "wap_url": …, "wap_name": …}}`, or an app's `type` with its name and its id.
fn check_h5(scene: Option<&str>) -> Result<(), Failure> {
    let scene = scene.ok_or_else(|| Failure::missing("scene_info"))?;
    let bad = |issue| Failure::param("scene_info", issue);
    let scene: Value = serde_json::from_str(scene).map_err(|_| bad("不是 JSON"))?;
    let h5 = &scene["h5_info"];
    let named = |name: &str| h5[name].as_str().is_some_and(|value| !value.is_empty());
    let enough = match h5["type"].as_str() {
        Some("Wap") => named("wap_url") && named("wap_name"),
        Some("IOS") => named("app_name") && named("bundle_id"),
        Some("Android") => named("app_name") && named("package_name"),
        _ => return Err(bad("h5_info.type 应为 Wap、IOS 或 Android")),
    };
    if enough { Ok(()) } else { Err(bad("h5_info 不完整")) }
}

/// What a create call answers; `base` is where the simulator is, for whoever follows a link.
pub(super) fn made(order: &Order, base: &str) -> Fields {
    let mut fields: Fields = vec![
        ("trade_type".into(), order.trade_type().name().into()),
        ("prepay_id".into(), order.prepay_id().into()),
    ];
    match order.trade_type() {
        TradeType::Native => fields.push(("code_url".into(), order.code_url())),
        TradeType::Mweb => fields.push(("mweb_url".into(), order.h5_url(base))),
        TradeType::Jsapi => {}
    }
    fields
}

/// What a query answers.
pub(super) fn shown(order: &Order) -> Fields {
    let mut fields: Fields = vec![
        ("trade_state".into(), order.state.name().into()),
        ("trade_state_desc".into(), order.state.described().into()),
    ];
    if order.payment.is_some() {
        fields.extend(paid(order));
    } else {
        fields.push(("out_trade_no".into(), order.out_trade_no().into()));
        fields.push(("total_fee".into(), order.total().to_string()));
        fields.extend(order.device().map(|device| ("device_info".into(), device.into())));
    }
    fields
}

/// What is said of a payment, in queries and notifications.
pub(super) fn paid(order: &Order) -> Fields {
    let Some(payment) = &order.payment else { return Fields::new() };
    let total = order.total().to_string();
    let mut fields: Fields = vec![
        ("openid".into(), payment.openid.clone()),
        ("is_subscribe".into(), "N".into()),
        ("trade_type".into(), order.trade_type().name().into()),
        ("bank_type".into(), "OTHERS".into()),
        ("total_fee".into(), total.clone()),
        ("fee_type".into(), "CNY".into()),
        ("cash_fee".into(), total),
        ("transaction_id".into(), payment.transaction_id.clone()),
        ("out_trade_no".into(), order.out_trade_no().into()),
        ("attach".into(), order.attach().unwrap_or_default().into()),
        ("time_end".into(), beijing_digits(payment.at)),
    ];
    fields.extend(order.device().map(|device| ("device_info".into(), device.into())));
    fields
}
