//! How is a merchant of v2 told? A payment in signed XML; a refund in XML that only the key's owner can read, and that
//! nobody has signed.
use aws_lc_rs::cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sign::{self, SignType};
use super::xml::{self, Fields};
use super::{orders, refunds};
use crate::clock::beijing_spaced;
use crate::faults::Fault;
use crate::random;
use crate::wechat::credentials::Credentials;
use crate::wechat::orders::Order;
use crate::wechat::refunds::Refund;

/// What is said of a payment, beside the signature.
pub(in crate::wechat) fn payment(order: &Order, mchid: &str) -> Fields {
    let mut fields: Fields = vec![
        ("return_code".into(), "SUCCESS".into()),
        ("result_code".into(), "SUCCESS".into()),
        ("appid".into(), order.appid().into()),
        ("mch_id".into(), mchid.into()),
    ];
    // Some notifications of MD5 name no type; those of HMAC-SHA256 do.
    if order.sign_type() == SignType::HmacSha256 {
        fields.push(("sign_type".into(), order.sign_type().name().into()));
    }
    fields.extend(orders::paid(order).into_iter().filter(|(_, value)| !value.is_empty()));
    fields
}

/// What is said of a refund, before it is sealed.
pub(in crate::wechat) fn refund(refund: &Refund) -> Fields {
    let (total, sum) = (refund.total().to_string(), refund.refund().to_string());
    let mut fields: Fields = vec![
        ("out_refund_no".into(), refund.out_refund_no().into()),
        ("out_trade_no".into(), refund.out_trade_no.clone()),
        ("refund_account".into(), "REFUND_SOURCE_RECHARGE_FUNDS".into()),
        ("refund_fee".into(), sum.clone()),
        ("refund_id".into(), refund.refund_id.clone()),
        ("refund_recv_accout".into(), "支付用户零钱".into()),
        ("refund_request_source".into(), "API".into()),
        ("refund_status".into(), refunds::state(refund.status).into()),
        ("settlement_refund_fee".into(), sum),
        ("settlement_total_fee".into(), total.clone()),
        ("total_fee".into(), total),
        ("transaction_id".into(), refund.transaction_id.clone()),
    ];
    fields.extend(refund.success().map(|at| ("success_time".into(), beijing_spaced(at))));
    fields
}

fn set(fields: &mut Fields, name: &str, value: String) {
    if let Some((_, place)) = fields.iter_mut().find(|(known, _)| known == name) {
        *place = value;
    }
}

/// Puts a fault of the content into it.
fn spoil(fields: &mut Fields, fault: Option<&Fault>) {
    match fault {
        Some(Fault::WrongAmount { total }) => set(fields, "total_fee", total.to_string()),
        Some(Fault::WrongMchid {}) => set(fields, "mch_id", "1900000001".into()),
        Some(Fault::WrongAppid {}) => set(fields, "appid", "wx0000000000000000".into()),
        Some(Fault::WrongCurrency {}) => set(fields, "fee_type", "USD".into()),
        Some(Fault::UnknownOrder {}) => {
            set(fields, "out_trade_no", format!("UNKNOWN{}", random::digits(12)));
        }
        _ => {}
    }
}

/// The body that tells of a payment, freshly signed.
pub(in crate::wechat) fn payment_body(
    content: &Fields,
    sign_type: SignType,
    key: &str,
    fault: Option<&Fault>,
) -> Vec<u8> {
    let mut fields = content.clone();
    fields.push(("nonce_str".into(), random::alnum(32)));
    spoil(&mut fields, fault);
    let sign_type =
        if matches!(fault, Some(Fault::WrongSignType {})) { sign_type.other() } else { sign_type };
    if matches!(fault, Some(Fault::WrongSignType {})) {
        fields.retain(|(name, _)| name != "sign_type");
    }
    let mut signature = sign::sign(&fields, key, sign_type);
    if matches!(fault, Some(Fault::BadSignature { .. })) {
        sign::spoil(&mut signature);
    }
    fields.push(("sign".into(), signature));
    body(&fields, fault)
}

/// The body that tells of a refund, freshly sealed.
pub(in crate::wechat) fn refund_body(
    content: &Fields,
    appid: &str,
    credentials: &Credentials,
    fault: Option<&Fault>,
) -> Vec<u8> {
    let mut inside = content.clone();
    spoil(&mut inside, fault);
    let mut sealed = seal(xml::written("root", &inside), &credentials.api_v2_key);
    if matches!(fault, Some(Fault::BadSignature { .. })) {
        // There is no signature; what is not of this key cannot be read.
        sealed = seal(xml::written("root", &inside), "another key");
    }
    let mut fields: Fields = vec![
        ("return_code".into(), "SUCCESS".into()),
        ("appid".into(), appid.into()),
        ("mch_id".into(), credentials.mchid.clone()),
        ("nonce_str".into(), random::alnum(32)),
        ("req_info".into(), STANDARD.encode(sealed)),
    ];
    spoil(&mut fields, fault);
    body(&fields, fault)
}

fn body(fields: &Fields, fault: Option<&Fault>) -> Vec<u8> {
    let text = xml::written("xml", fields);
    let text = if matches!(fault, Some(Fault::Doctype {})) {
        format!("<!DOCTYPE xml [<!ENTITY xxe SYSTEM \"http://127.0.0.1:9/xxe\">]>{text}")
    } else {
        text
    };
    text.into_bytes()
}

/// AES-256 in ECB with PKCS#7, as the documentation has it.
fn seal(text: String, key: &str) -> Vec<u8> {
    let mut sealed = text.into_bytes();
    let key = UnboundCipherKey::new(&AES_256, sign::sealing_key(key).as_bytes());
    let done = key.and_then(PaddedBlockEncryptingKey::ecb_pkcs7).and_then(|key| key.encrypt(&mut sealed));
    if done.is_err() {
        tracing::error!("sim: sealing failed");
        sealed.clear();
    }
    sealed
}

/// Whether a merchant has said that it took a notification: this word and no other.
pub(in crate::wechat) fn taken(status: u16, reply: &[u8]) -> bool {
    status == 200
        && reply.starts_with(b"<xml>")
        && xml::read(reply, "xml").is_ok_and(|fields| {
            fields.iter().any(|(name, value)| name == "return_code" && value == "SUCCESS")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_counts_as_taken() {
        let good = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";
        assert!(taken(200, good.as_bytes()));
        assert!(taken(200, b"<xml><return_code>SUCCESS</return_code></xml>"));
        for (status, bad) in [
            (204, good.to_owned()),
            (500, good.to_owned()),
            (200, good.replace("SUCCESS", "FAIL")),
            (200, good.replace("SUCCESS", "success")),
            (200, format!(" {good}")),
            (200, format!("{good}x")),
            (200, "SUCCESS".to_owned()),
            (200, String::new()),
        ] {
            assert!(!taken(status, bad.as_bytes()), "{status} {bad}");
        }
    }
}
