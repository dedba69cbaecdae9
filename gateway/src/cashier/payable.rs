//! What a payer gets for an order that waits for its payment.

use payments::{
    ledger::{Order, OrderState, PayWay, Prepay},
    topup::Merchant,
};
use serde_json::{Value, json};

use super::Cashier;

/// The members of a top-up by which it is paid: `code_url` and `qr_svg`, `prepay` (with `mini_program`) or `h5_url`. All of
/// them are null once it cannot be paid any more.
pub(super) fn put(cashier: &Cashier, order: &Order, shown: &mut Value) {
    let waits = order.state == OrderState::Pending;
    let merchant = cashier.topups.merchants().get(&order.merchant).filter(|_| waits);
    let merchant = merchant.as_deref();
    let prepay = order.prepay.as_ref().filter(|_| waits);
    shown["prepay"] = merchant.map_or(Value::Null, |merchant| call_up(merchant, order));
    shown["mini_program"] =
        merchant.filter(|_| prepay.is_some()).map_or(Value::Null, |merchant| mini_program(merchant, order));
    shown["h5_url"] = match prepay {
        Some(Prepay::Page { h5_url }) => page(h5_url, order.pay_by.return_url.as_deref()).into(),
        _ => Value::Null,
    };
}

/// The members that `wx.chooseWXPay` and `wx.requestPayment` take. A Mini Program knows its own app.
fn call_up(merchant: &Merchant, order: &Order) -> Value {
    let Some(call) = merchant.call_up(order) else { return Value::Null };
    let mut shown = json!({
        "timeStamp": call.timestamp,
        "nonceStr": call.nonce,
        "package": call.package,
        "signType": call.sign_type,
        "paySign": call.pay_sign,
    });
    if order.pay_by.way == PayWay::Jsapi {
        shown["appId"] = json!(order.appid);
    }
    shown
}

/// Where in the Mini Program it is paid.
fn mini_program(merchant: &Merchant, order: &Order) -> Value {
    if order.pay_by.way != PayWay::MiniProgram {
        return Value::Null;
    }
    let path = merchant.mini_program_page.as_ref().map(|page| format!("{page}?order={}", order.id));
    json!({"appid": order.appid, "path": path})
}

/// The page, which leads back to `return_url` afterwards. Source: WeChat Pay API v3, H5 orders, `redirect_url`.
fn page(h5_url: &str, return_url: Option<&str>) -> String {
    let Some(return_url) = return_url else { return h5_url.to_owned() };
    let encoded: String = url::form_urlencoded::byte_serialize(return_url.as_bytes()).collect();
    let joint = if h5_url.contains('?') { '&' } else { '?' };
    format!("{h5_url}{joint}redirect_url={encoded}")
}
