//! Would WeChat open its cashier for this page? A page inside WeChat, or a Mini Program, hands over a `prepay_id` and the
//! merchant's signature; both APIs sign it in their own way.
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::merchant::Merchant;
use super::v2::xml::Fields;
use super::v2::{SignType, genuine};
use crate::faults::Api;
use crate::state::World;

/// How old a call-up may be, seconds.
const AGE_S_MAX: u64 = 600;

/// What a page hands over; of a Mini Program, WeChat itself knows the `appId`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CallUp {
    pub(crate) app_id: String,
    pub(crate) time_stamp: String,
    pub(crate) nonce_str: String,
    pub(crate) package: String,
    pub(crate) sign_type: String,
    pub(crate) pay_sign: String,
}

/// The order that would be shown to the payer.
///
/// # Errors
/// In the words that the payer would read.
pub(crate) fn call_up(world: &World, asked: &CallUp) -> Result<(Arc<Merchant>, String), &'static str> {
    let now = world.now();
    let prepay_id = asked.package.strip_prefix("prepay_id=").ok_or("package 格式错误")?;
    let stamp: i64 = asked.time_stamp.parse().map_err(|_| "timeStamp 应为秒")?;
    if asked.time_stamp.len() != 10 || stamp.abs_diff(now.div_euclid(1_000_000)) > AGE_S_MAX {
        return Err("timeStamp 已过期");
    }
    if !matches!(asked.nonce_str.len(), 1..=32) {
        return Err("nonceStr 应为 1 到 32 个字符");
    }
    for merchant in world.wechat.merchants() {
        let books = merchant.books();
        let Some(order) = books.called_up(prepay_id, now) else { continue };
        if order.appid() != asked.app_id {
            return Err("appId 与下单时不一致");
        }
        let genuine = match (order.api(), asked.sign_type.as_str()) {
            (Api::V3, "RSA") => signed_v3(&merchant, asked),
            (Api::V2, name) if SignType::named(name) == Some(order.sign_type()) => {
                signed_v2(&merchant, asked, order.sign_type())
            }
            _ => return Err("signType 与下单时不一致"),
        };
        if !genuine {
            return Err("支付验证签名失败");
        }
        let number = order.out_trade_no().to_owned();
        drop(books);
        return Ok((merchant, number));
    }
    Err("prepay_id 无效或已过期")
}

fn signed_v3(merchant: &Merchant, asked: &CallUp) -> bool {
    let CallUp { app_id, time_stamp, nonce_str, package, pay_sign, .. } = asked;
    let message = format!("{app_id}\n{time_stamp}\n{nonce_str}\n{package}\n");
    STANDARD
        .decode(pay_sign)
        .is_ok_and(|signature| merchant.platform.merchant.verify(message.as_bytes(), &signature).is_ok())
}

fn signed_v2(merchant: &Merchant, asked: &CallUp, sign_type: SignType) -> bool {
    let fields: Fields = [
        ("appId", &asked.app_id),
        ("timeStamp", &asked.time_stamp),
        ("nonceStr", &asked.nonce_str),
        ("package", &asked.package),
        ("signType", &asked.sign_type),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .to_vec();
    genuine(&fields, &merchant.platform.credentials.api_v2_key, sign_type, &asked.pay_sign)
}
