//! What is WeChat Pay telling us unasked?
//!
//! A payment notice is signed with the shared key. Nothing in it is new: one that was recorded can be played again, and
//! only the payment's number tells a repeat from a second payment. A refund notice is not signed at all, see
//! [`refund_hint`](super::refund_hint).

use super::{
    ApiV2Key, Fields, SignType, XmlError,
    refund_hint::HintError,
    sign,
    wire::{self, required},
    xml,
};
use crate::channel::{Notice, TradeState};

/// The root of what is sent either way.
pub(super) const ROOT: &str = "xml";
const SUCCESS: &str = "SUCCESS";
const FAIL: &str = "FAIL";

/// A payment notice whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says, not yet compared with anything of ours. Its event's id names the payment: API v2 has no other.
    pub notice: Notice,
    /// What it was signed with. A notice about an order that was made with the other one is to be refused with
    /// [`NoticeRefused::WrongSignType`], or whoever can forge the weaker one forges them all.
    pub sign_type: SignType,
    /// Its nonce, which tells nothing: a repeat has another one.
    pub nonce: Option<String>,
}

/// Why a notice is not acted upon. The status of the reply is 200 all the same; its body is [`failure`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeRefused {
    /// Not the XML that is documented.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The sender itself says that it failed; nobody signs that.
    #[error("the notice says that it failed")]
    ReturnCode,
    /// No signature, or an empty one.
    #[error("no sign")]
    MissingSign,
    /// Signed in a way nobody knows, or in another way than the order's.
    #[error("not the order's way of signing")]
    WrongSignType,
    /// The signature does not belong to these fields.
    #[error("the signature does not hold")]
    BadSignature,
    /// Signed, but the amount is not written as amounts are.
    #[error("total_fee is no amount")]
    BadAmount,
    /// A refund notice that our key does not open.
    #[error(transparent)]
    Hint(#[from] HintError),
    /// Not the shape that is documented.
    #[error("malformed: {0}")]
    Malformed(String),
}

impl NoticeRefused {
    /// The reason as a metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ReturnCode => "return_code_fail",
            Self::MissingSign => "missing_sign",
            Self::WrongSignType => "sign_type_mismatch",
            Self::BadSignature => "bad_signature",
            Self::BadAmount => "bad_amount",
            Self::Hint(_) => "decrypt_failed",
            Self::Xml(XmlError::Doctype) => "doctype",
            Self::Xml(_) | Self::Malformed(_) => "malformed",
        }
    }

    /// The reason as the sender is told it: enough to look for a fault, too little to look for a key.
    pub const fn told(&self) -> &'static str {
        match self {
            Self::Xml(_) => "bad xml",
            Self::ReturnCode => "return_code FAIL",
            Self::MissingSign | Self::WrongSignType | Self::BadSignature => "sign error",
            Self::BadAmount => "bad amount",
            Self::Hint(_) | Self::Malformed(_) => "bad notice",
        }
    }
}

/// The body of a reply that ends the repeats; the status is 200.
/// Source: WeChat Pay API v2, payment notice and refund notice.
pub const SUCCESS_REPLY: &str =
    "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";

/// The body of a reply after which the notice comes again; the status is 200 as well. `reason` is for people.
pub fn failure(reason: &str) -> String {
    let reply = Fields::from_iter([("return_code", FAIL), ("return_msg", reason)]);
    // A reason that XML cannot carry is left out.
    xml::write(&reply, ROOT)
        .unwrap_or_else(|_| format!("<xml><return_code><![CDATA[{FAIL}]]></return_code></xml>"))
}

/// Whether the envelope speaks of a success. Only then is there more in it.
pub(super) fn opened(body: &[u8]) -> Result<Fields, NoticeRefused> {
    let fields = xml::read(body, ROOT)?;
    match fields.get("return_code") {
        Some(SUCCESS) => Ok(fields),
        Some(FAIL) => Err(NoticeRefused::ReturnCode),
        _ => Err(NoticeRefused::Malformed("return_code is neither SUCCESS nor FAIL".to_owned())),
    }
}

/// Verifies, then reads.
pub(super) fn read(key: &ApiV2Key, body: &[u8]) -> Result<Signed, NoticeRefused> {
    let fields = opened(body)?;
    let sign_type = verified(&fields, key)?;
    let bad = NoticeRefused::Malformed;
    let paid = match required(&fields, "result_code").map_err(bad)? {
        SUCCESS => true,
        FAIL => false,
        _ => return Err(bad("result_code is neither SUCCESS nor FAIL".to_owned())),
    };
    // Whatever was paid has an amount; what was not may name one.
    let total = fields.get("total_fee");
    if (paid || total.is_some()) && total.and_then(wire::fen).is_none() {
        return Err(NoticeRefused::BadAmount);
    }
    let state = if paid { TradeState::Success } else { TradeState::PayError };
    let trade = wire::trade(&fields, state).map_err(bad)?;
    let event_id = if paid {
        format!("v2:{}:{}", trade.mchid, required(&fields, "transaction_id").map_err(bad)?)
    } else {
        let code = fields.get("err_code").unwrap_or(FAIL);
        format!("v2:{}:{}:{code}", trade.mchid, trade.out_trade_no)
    };
    let nonce = fields.get("nonce_str").map(str::to_owned);
    Ok(Signed { notice: Notice::Paid { event_id, trade }, sign_type, nonce })
}

/// The algorithm is told by the signature's length; what the notice says of it must agree.
fn verified(fields: &Fields, key: &ApiV2Key) -> Result<SignType, NoticeRefused> {
    let signature = fields.get("sign").ok_or(NoticeRefused::MissingSign)?;
    let sign_type = SignType::of_length(signature).ok_or(NoticeRefused::BadSignature)?;
    if fields.get("sign_type").is_some_and(|named| SignType::from_name(named) != Some(sign_type)) {
        return Err(NoticeRefused::WrongSignType);
    }
    let holds = sign::verify(sign_type, fields, key, signature);
    if holds { Ok(sign_type) } else { Err(NoticeRefused::BadSignature) }
}
