//! What do we ask a payer for, under API v2?

use std::net::IpAddr;

use serde::Serialize;
use units::{Fen, Timestamp};

use super::{ApiV2Key, Fields, SignType, sign};
use crate::channel::wechat::beijing::Moment;

/// Under which application and with which signature an order was made. It keeps both: every further call about it, and
/// every notice, has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The application.
    pub appid: String,
    /// The signature.
    pub sign_type: SignType,
}

/// An order to be paid. Repeating it with identical values is harmless and gives a fresh way to pay; with other values
/// it is refused, so the caller stores it before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnifiedOrder {
    /// How it is paid.
    pub trade: TradeKind,
    /// Our number: 6 to 32 digits, ASCII letters, `_`, `-`, `|` or `*`, used once per merchant number.
    pub out_trade_no: String,
    /// What the payer reads, at most 127 bytes.
    pub body: String,
    /// What is to be paid; the channel refuses zero.
    pub total: Fen,
    /// The payer's address; for [`TradeKind::Native`] whoever asked for the code.
    pub client_ip: IpAddr,
    /// Where the notice is to arrive: absolute, without a query, at most 256 characters.
    pub notify_url: String,
    /// The last moment at which it can be paid, five minutes from now or later; sent in whole seconds, rounded down.
    pub expires_at: Timestamp,
    /// The till or device that asked, at most 32 characters; left out when absent.
    pub device_info: Option<String>,
}

/// How an order is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TradeKind {
    /// By scanning a code.
    Native {
        /// The merchant's own number of what is sold, at most 32 characters.
        product_id: String,
    },
    /// Inside WeChat: on a page of an official account, or in a Mini Program.
    Jsapi {
        /// The payer under the order's application.
        openid: String,
    },
    /// From a browser on a phone, which changes over to WeChat.
    H5(H5Scene),
}

impl TradeKind {
    /// The channel's name of it. Source: WeChat Pay API v2, unified order, `trade_type`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Native { .. } => "NATIVE",
            Self::Jsapi { .. } => "JSAPI",
            Self::H5(_) => "MWEB",
        }
    }
}

/// Where the browser comes from. Source: WeChat Pay API v2, unified order, `scene_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum H5Scene {
    /// A site.
    Wap {
        /// Its address.
        wap_url: String,
        /// Its name.
        wap_name: String,
    },
    /// An application on iOS.
    #[serde(rename = "IOS")]
    Ios {
        /// Its name.
        app_name: String,
        /// Its bundle.
        bundle_id: String,
    },
    /// An application on Android.
    Android {
        /// Its name.
        app_name: String,
        /// Its package.
        package_name: String,
    },
}

#[derive(Serialize)]
struct SceneInfo<'a> {
    h5_info: &'a H5Scene,
}

impl UnifiedOrder {
    /// The elements of the request, less those of every request. The error names the one that cannot be written.
    pub(super) fn fields(&self) -> Result<Fields, &'static str> {
        let mut fields = Fields::from_iter([
            ("body", self.body.as_str()),
            ("out_trade_no", &self.out_trade_no),
            ("notify_url", &self.notify_url),
            ("trade_type", self.trade.as_str()),
            ("fee_type", "CNY"),
        ]);
        fields.set("total_fee", self.total.get().to_string());
        fields.set("spbill_create_ip", self.client_ip.to_string());
        fields.set("time_expire", Moment::Plain.write(self.expires_at).ok_or("time_expire")?);
        fields.set_some("device_info", self.device_info.as_deref());
        match &self.trade {
            TradeKind::Native { product_id } => fields.set("product_id", product_id.as_str()),
            TradeKind::Jsapi { openid } => fields.set("openid", openid.as_str()),
            TradeKind::H5(h5_info) => {
                let scene = serde_json::to_string(&SceneInfo { h5_info }).map_err(|_| "scene_info")?;
                fields.set("scene_info", scene);
            }
        }
        Ok(fields)
    }
}

/// An order the channel has taken in, and the way to pay it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// To be shown as a QR code; good for two hours, or until the same order is made again.
    Native {
        /// The text of the code.
        code_url: String,
    },
    /// To be handed to the page or the Mini Program, see [`Channel::call_up`](super::Channel::call_up); good for two
    /// hours.
    Jsapi {
        /// The channel's number of the attempt.
        prepay_id: String,
    },
    /// To be opened by the browser; good for five minutes. `&redirect_url=` and an encoded address bring it back.
    H5 {
        /// The address.
        mweb_url: String,
    },
}

/// What a page or Mini Program calls WeChat up with; the names are those of the call. A Mini Program leaves out the
/// application, which is signed all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallUp {
    /// `appId`
    pub app_id: String,
    /// `timeStamp`: seconds since the epoch, as text.
    pub time_stamp: String,
    /// `nonceStr`
    pub nonce_str: String,
    /// `package`
    pub package: String,
    /// `signType`: the order's.
    pub sign_type: SignType,
    /// `paySign`
    pub pay_sign: String,
}

impl CallUp {
    /// Signs a call with the order's own application and signature.
    /// Source: WeChat Pay API v2, calling up the payment.
    pub fn new(terms: &Terms, prepay_id: &str, timestamp: i64, nonce: String, key: &ApiV2Key) -> Self {
        let (time_stamp, package) = (timestamp.to_string(), format!("prepay_id={prepay_id}"));
        let fields = Fields::from_iter([
            ("appId", terms.appid.as_str()),
            ("timeStamp", &time_stamp),
            ("nonceStr", &nonce),
            ("package", &package),
            ("signType", terms.sign_type.as_str()),
        ]);
        let pay_sign = sign(terms.sign_type, &fields, key);
        Self {
            app_id: terms.appid.clone(),
            time_stamp,
            nonce_str: nonce,
            package,
            sign_type: terms.sign_type,
            pay_sign,
        }
    }
}
