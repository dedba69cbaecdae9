//! What do we ask a payer for, under API v2?

use serde::Serialize;

use super::{ApiV2Key, Fields, SignType, sign};
use crate::channel::{
    NewOrder, Way,
    wechat::{CallUp, beijing::Moment},
};

/// Under which application and with which signature an order was made. It keeps both: every further call about it, and
/// every notice, has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The application.
    pub appid: String,
    /// The signature.
    pub sign_type: SignType,
}

/// The channel's name of a way to pay. Source: WeChat Pay API v2, unified order, `trade_type`.
pub(super) const fn trade_type(way: &Way) -> &'static str {
    match way {
        Way::Native => "NATIVE",
        Way::InApp { .. } => "JSAPI",
        Way::H5 => "MWEB",
    }
}

/// Where a browser on a phone comes from. Source: WeChat Pay API v2, unified order, `scene_info`.
#[derive(Serialize)]
struct Scene<'a> {
    h5_info: Site<'a>,
}

#[derive(Serialize)]
struct Site<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    wap_url: String,
    wap_name: &'a str,
}

/// The elements of a new order, less those of every request.
///
/// The payer's address is required, whichever the way. What is sold has no number of its own but the order's. The site
/// of a browser is the one that notices arrive at, under the name of what is sold: both are frozen in the order, so a
/// repeat says the same.
///
/// # Errors
/// The element that cannot be written.
pub(super) fn fields(order: &NewOrder) -> Result<Fields, &'static str> {
    let mut fields = Fields::from_iter([
        ("body", order.description.as_str()),
        ("out_trade_no", &order.out_trade_no),
        ("notify_url", &order.notify_url),
        ("trade_type", trade_type(&order.way)),
        ("fee_type", "CNY"),
    ]);
    fields.set("total_fee", order.total.get().to_string());
    fields.set("spbill_create_ip", order.client_ip.as_deref().ok_or("spbill_create_ip")?);
    fields.set("time_expire", Moment::Plain.write(order.expires_at).ok_or("time_expire")?);
    fields.set_some("device_info", order.device_id.as_deref());
    match &order.way {
        Way::Native => fields.set("product_id", order.out_trade_no.as_str()),
        Way::InApp { openid } => fields.set("openid", openid.as_str()),
        Way::H5 => {
            let wap_url = site(&order.notify_url).ok_or("scene_info")?;
            let h5_info = Site { kind: "Wap", wap_url, wap_name: &order.description };
            let scene = serde_json::to_string(&Scene { h5_info }).map_err(|_| "scene_info")?;
            fields.set("scene_info", scene);
        }
    }
    Ok(fields)
}

/// Scheme and host of an address.
fn site(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    Some(format!("{}://{}", url.scheme_str()?, url.authority()?))
}

/// What a page or a Mini Program calls a payment up with: signed with the order's own application and signature.
///
/// Source: WeChat Pay API v2, calling up the payment.
pub fn call_up(terms: &Terms, prepay_id: &str, timestamp: i64, nonce: String, key: &ApiV2Key) -> CallUp {
    let (timestamp, package) = (timestamp.to_string(), format!("prepay_id={prepay_id}"));
    let sign_type = terms.sign_type.as_str();
    let fields = Fields::from_iter([
        ("appId", terms.appid.as_str()),
        ("timeStamp", &timestamp),
        ("nonceStr", &nonce),
        ("package", &package),
        ("signType", sign_type),
    ]);
    let pay_sign = sign(terms.sign_type, &fields, key);
    CallUp { timestamp, nonce, package, sign_type, pay_sign }
}
