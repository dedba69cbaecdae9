//! Is this really the merchant, and did the request arrive as it was signed?
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, header};

use super::errors::ApiError;
use crate::wechat::Asked;
use crate::wechat::platform::{Platform, Signer};

const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// How far a request's clock may be off, seconds.
const SKEW_S_MAX: u64 = 300;

/// The merchant number under which a request says that it was signed.
///
/// # Errors
/// 400 for headers that are missing, 401 where there is no such number to be read.
pub(super) fn claimed<'a>(asked: &'a Asked<'_>) -> Result<&'a str, ApiError> {
    if asked.header("accept").is_empty() {
        return Err(ApiError::param("Accept", "缺少 Accept"));
    }
    if asked.header("user-agent").is_empty() {
        return Err(ApiError::param("User-Agent", "缺少 User-Agent"));
    }
    if asked.method == Method::POST
        && !asked.header(header::CONTENT_TYPE.as_str()).starts_with("application/json")
    {
        return Err(ApiError::param("Content-Type", "应为 application/json"));
    }
    Ok(Signed::parse(asked.header(header::AUTHORIZATION.as_str())).map_err(ApiError::sign)?.mchid)
}

/// Checks who sends a request, and finds the key that the answer is to be signed with.
///
/// # Errors
/// 400 for a key of ours that we do not have, 401 for everything about the signature.
pub(super) fn verify(platform: &Platform, asked: &Asked<'_>, now_seconds: i64) -> Result<Signer, ApiError> {
    let signer = platform
        .asked_for(asked.header("wechatpay-serial"))
        .ok_or_else(|| ApiError::param("Wechatpay-Serial", "与微信支付公钥 ID 不一致"))?;
    let signed = Signed::parse(asked.header(header::AUTHORIZATION.as_str())).map_err(ApiError::sign)?;
    if signed.serial_no != platform.credentials.merchant_serial {
        return Err(ApiError::sign("商户证书序列号有误"));
    }
    let timestamp: i64 = signed.timestamp.parse().map_err(|_| ApiError::sign("时间戳应为秒"))?;
    if timestamp.abs_diff(now_seconds) > SKEW_S_MAX {
        return Err(ApiError::sign("时间戳与当前时间相差超过五分钟"));
    }
    if !matches!(signed.nonce_str.len(), 1..=32) {
        return Err(ApiError::sign("随机串应为 1 到 32 个字符"));
    }
    let (nonce, timestamp) = (signed.nonce_str, signed.timestamp);
    let path_and_query = asked.uri.path_and_query().map_or(asked.uri.path(), |it| it.as_str());
    let mut message = format!("{}\n{path_and_query}\n{timestamp}\n{nonce}\n", asked.method).into_bytes();
    message.extend_from_slice(asked.body);
    message.push(b'\n');
    let signature = STANDARD.decode(signed.signature).map_err(|_| ApiError::sign("签名不是 base64"))?;
    platform.merchant.verify(&message, &signature).map_err(|_| ApiError::sign("验签失败"))?;
    Ok(signer)
}

/// The items of an `Authorization` header.
#[derive(Debug, Default)]
struct Signed<'a> {
    mchid: &'a str,
    nonce_str: &'a str,
    timestamp: &'a str,
    serial_no: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Result<Self, &'static str> {
        let (scheme, items) = header.split_once(' ').ok_or("缺少 Authorization")?;
        if scheme != SCHEME {
            return Err("认证类型不支持");
        }
        let mut signed = Self::default();
        for item in items.split(',') {
            let (name, value) = item.trim().split_once('=').ok_or("Authorization 格式有误")?;
            let value =
                value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).filter(|it| !it.is_empty());
            let place = match name {
                "mchid" => &mut signed.mchid,
                "nonce_str" => &mut signed.nonce_str,
                "timestamp" => &mut signed.timestamp,
                "serial_no" => &mut signed.serial_no,
                "signature" => &mut signed.signature,
                _ => return Err("Authorization 含未知项"),
            };
            if !place.is_empty() {
                return Err("Authorization 含重复项");
            }
            *place = value.ok_or("Authorization 格式有误")?;
        }
        let all = [signed.mchid, signed.nonce_str, signed.timestamp, signed.serial_no, signed.signature];
        if all.into_iter().any(str::is_empty) { Err("Authorization 缺少必填项") } else { Ok(signed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_has_five_items_in_any_order_and_no_others() {
        let good =
            r#"WECHATPAY2-SHA256-RSA2048 signature="s=",mchid="1",serial_no="2",timestamp="3",nonce_str="4""#;
        let signed = Signed::parse(good).unwrap();
        assert_eq!((signed.mchid, signed.signature), ("1", "s="));
        for bad in [
            "",
            &good.replace("WECHATPAY2", "WECHATPAY3"),
            &good.replace("mchid", "merchant"),
            &good.replace(",mchid=\"1\"", ""),
            &good.replace("serial_no", "mchid"),
            &good.replace('"', ""),
        ] {
            assert!(Signed::parse(bad).is_err(), "{bad}");
        }
    }
}
