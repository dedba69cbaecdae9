//! Is this really the merchant, and how does the merchant know that it is really us?
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::errors::ApiError;
use crate::random;

const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// How far a request's clock may be off, seconds.
const SKEW_S_MAX: u64 = 300;

/// WeChat Pay's keys, ready for use.
pub(crate) struct Platform {
    pub(crate) credentials: Credentials,
    own: KeyPair,
    merchant: UnparsedPublicKey<Vec<u8>>,
    sealing: LessSafeKey,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// The four headers that prove where a message comes from.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
    pub(crate) signature: String,
    pub(crate) serial: String,
}

impl Proof {
    pub(crate) fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("wechatpay-timestamp", &self.timestamp),
            ("wechatpay-nonce", &self.nonce),
            ("wechatpay-signature", &self.signature),
            ("wechatpay-serial", &self.serial),
        ]
    }

    /// Spoils the signature so that it is still base64 of the right length.
    pub(crate) fn spoil(&mut self) {
        let first = if self.signature.starts_with('A') { "B" } else { "A" };
        self.signature.replace_range(..1, first);
    }

    /// Makes the signature one of those by which WeChat Pay finds out who does not look at signatures.
    pub(crate) fn probe(&mut self) {
        let probe = format!("WECHATPAY/SIGNTEST/{}", &self.signature);
        self.signature = probe;
    }
}

impl Platform {
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub(crate) fn new(credentials: Credentials) -> io::Result<Self> {
        let bad =
            |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("wechat credentials: {what}"));
        let own = PrivatePkcs8KeyDer::from_pem_slice(credentials.platform_private_key_pem.as_bytes())
            .map_err(|_| bad("platform_private_key_pem is not PEM of PKCS#8"))?;
        let own = KeyPair::from_pkcs8(own.secret_pkcs8_der())
            .map_err(|_| bad("platform_private_key_pem is not an RSA key"))?;
        let merchant =
            SubjectPublicKeyInfoDer::from_pem_slice(credentials.merchant_public_key_pem.as_bytes())
                .map_err(|_| bad("merchant_public_key_pem is not PEM of SPKI"))?;
        let merchant = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, merchant.as_ref().to_vec());
        let sealing = UnboundKey::new(&AES_256_GCM, credentials.api_v3_key.as_bytes())
            .map_err(|_| bad("api_v3_key is not 32 bytes"))?;
        Ok(Self { own, merchant, sealing: LessSafeKey::new(sealing), credentials })
    }

    /// Signs a body as of a time (seconds since the epoch).
    pub(crate) fn sign(&self, at_seconds: i64, body: &[u8]) -> Proof {
        let timestamp = at_seconds.to_string();
        let nonce = random::alnum(32);
        let mut message = format!("{timestamp}\n{nonce}\n").into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        let mut signature = vec![0; self.own.public_modulus_len()];
        if self.own.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).is_err() {
            // Goes out as it is; whoever verifies will refuse it.
            tracing::error!("sim: signing failed");
        }
        let serial = self.credentials.platform_key_id.clone();
        Proof { timestamp, nonce, signature: STANDARD.encode(signature), serial }
    }

    /// Encrypts a notification's content: the `resource` of its envelope.
    pub(crate) fn seal(&self, original_type: &str, content: &Value) -> Value {
        let nonce = random::alnum(12);
        let mut sealed = content.to_string().into_bytes();
        let once = Nonce::try_assume_unique_for_key(nonce.as_bytes());
        let aad = Aad::from(original_type.as_bytes());
        let done = once.and_then(|once| self.sealing.seal_in_place_append_tag(once, aad, &mut sealed));
        if done.is_err() {
            tracing::error!("sim: sealing failed");
            sealed.clear();
        }
        json!({
            "original_type": original_type,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": STANDARD.encode(sealed),
            "associated_data": original_type,
            "nonce": nonce,
        })
    }

    /// Checks who sends a request, and that it arrived as it was signed.
    ///
    /// # Errors
    /// 400 for headers that are missing or name another key, 401 for everything about the signature.
    pub(super) fn verify(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
        body: &[u8],
        now_seconds: i64,
    ) -> Result<(), ApiError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header("accept").is_empty() {
            return Err(ApiError::param("Accept", "缺少 Accept"));
        }
        if header("user-agent").is_empty() {
            return Err(ApiError::param("User-Agent", "缺少 User-Agent"));
        }
        if method == Method::POST && !header(header::CONTENT_TYPE.as_str()).starts_with("application/json") {
            return Err(ApiError::param("Content-Type", "应为 application/json"));
        }
        if header("wechatpay-serial") != self.credentials.platform_key_id {
            return Err(ApiError::param("Wechatpay-Serial", "与微信支付公钥 ID 不一致"));
        }
        let signed = Signed::parse(header(header::AUTHORIZATION.as_str())).map_err(ApiError::sign)?;
        if signed.mchid != self.credentials.mchid {
            return Err(ApiError::sign("商户号不存在"));
        }
        if signed.serial_no != self.credentials.merchant_serial {
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
        let mut message = format!("{method}\n{path_and_query}\n{timestamp}\n{nonce}\n").into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        let signature = STANDARD.decode(signed.signature).map_err(|_| ApiError::sign("签名不是 base64"))?;
        self.merchant.verify(&message, &signature).map_err(|_| ApiError::sign("验签失败"))
    }
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
