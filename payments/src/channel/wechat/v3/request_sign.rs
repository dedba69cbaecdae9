//! What stands in the Authorization header of a request?

use aws_lc_rs::{error::Unspecified, rand};

use super::Credentials;

/// The signature suite, as it is named on the wire.
pub(super) const SUITE: &str = "WECHATPAY2-SHA256-RSA2048";
/// 32 characters: each takes five random bits, without bias.
const NONCE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The crypto library could not sign or draw random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request could not be signed")]
pub struct SignError;

impl From<Unspecified> for SignError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A fresh nonce: 32 ASCII letters and digits, 160 random bits. It is randomness in the signed text and nothing more;
/// numbers, not nonces, make a request repeatable.
///
/// # Errors
/// [`SignError`] if the system has no random bytes.
pub fn nonce() -> Result<String, SignError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)?;
    Ok(bytes.iter().map(|b| char::from(NONCE_ALPHABET[usize::from(b & 31)])).collect())
}

/// The Authorization header of one request: the merchant's signature over method, `path_and_query` exactly as it is
/// sent, `timestamp` (seconds since the epoch), `nonce` and the body as it is sent, each ended by a newline.
///
/// Source: WeChat Pay API v3, interface rules, section on generating the signature.
///
/// # Errors
/// [`SignError`] if the crypto library fails.
pub fn authorization(
    credentials: &Credentials,
    method: &http::Method,
    path_and_query: &str,
    timestamp: i64,
    nonce: &str,
    body: &[u8],
) -> Result<String, SignError> {
    let mut message = format!("{method}\n{path_and_query}\n{timestamp}\n{nonce}\n").into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    let signature = credentials.sign(&message)?;
    let (mchid, serial) = (credentials.mchid(), credentials.merchant_serial());
    Ok(format!(
        "{SUITE} mchid=\"{mchid}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",serial_no=\"{serial}\",signature=\"{signature}\""
    ))
}

/// The signature that a page or a Mini Program calls a payment up with: over app, time, nonce and package, each ended by
/// a newline.
///
/// Source: WeChat Pay API v3, calling up the payment of JSAPI and Mini Program orders.
///
/// # Errors
/// [`SignError`] if the crypto library fails.
pub fn call_up(
    credentials: &Credentials,
    appid: &str,
    timestamp: &str,
    nonce: &str,
    package: &str,
) -> Result<String, SignError> {
    Ok(credentials.sign(format!("{appid}\n{timestamp}\n{nonce}\n{package}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_nonce_is_32_letters_and_digits_and_never_the_same() {
        let (one, other) = (super::nonce().unwrap(), super::nonce().unwrap());
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
    }
}
