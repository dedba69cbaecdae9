//! Did WeChat Pay write these bytes, and just now?

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use units::Timestamp;

use super::{Credentials, credentials::PlatformKey, request_sign::SUITE};
use crate::channel::VerifyError;

const TIMESTAMP: &str = "Wechatpay-Timestamp";
const NONCE: &str = "Wechatpay-Nonce";
const SIGNATURE: &str = "Wechatpay-Signature";
const SERIAL: &str = "Wechatpay-Serial";
const SIGNATURE_TYPE: &str = "Wechatpay-Signature-Type";
/// How every probe's signature begins. Source: WeChat Pay API v3, section on signature probe traffic.
const PROBE: &str = "WECHATPAY/SIGNTEST/";
/// From this many seconds on, either way, a message is too far from our clock.
/// Source: WeChat Pay API v3, section on verifying signatures (five minutes).
const SKEW_SECS_LIMIT: u64 = 300;

/// Checks the signature of an answer or a notice over `body` as it was received, byte for byte, also when empty.
///
/// The key is chosen by the serial in the headers and by nothing else, and a certificate must be within its validity
/// at `now`. A probe goes the same way as everything else; only the name of its refusal differs.
/// Source: WeChat Pay API v3, interface rules, section on verifying signatures.
///
/// # Errors
/// [`VerifyError`]: the first check that failed.
pub fn check(
    credentials: &Credentials,
    now: Timestamp,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), VerifyError> {
    check_by(now, headers, body, |serial| credentials.platform_key(serial))
}

/// The same, with whichever key stands under the serial.
pub(super) fn check_by<'a>(
    now: Timestamp,
    headers: &HeaderMap,
    body: &[u8],
    key_of: impl FnOnce(&str) -> Option<&'a PlatformKey>,
) -> Result<(), VerifyError> {
    let serial = required(headers, SERIAL)?;
    let signature = required(headers, SIGNATURE)?;
    let timestamp = required(headers, TIMESTAMP)?;
    let nonce = required(headers, NONCE)?;
    if headers.get(SIGNATURE_TYPE).is_some_and(|suite| suite != SUITE) {
        return Err(VerifyError::UnsupportedType);
    }

    let sent_at: i64 = timestamp.parse().map_err(|_| VerifyError::BadTimestamp)?;
    let skew_secs = now.secs().saturating_sub(sent_at);
    if skew_secs.unsigned_abs() >= SKEW_SECS_LIMIT {
        return Err(VerifyError::Stale { skew_secs });
    }

    let probe = signature.starts_with(PROBE);
    let key = match key_of(serial) {
        Some(key) if key.in_force(now) => key,
        // A probe may name a serial that nobody holds; that is no reason to look for a missing key.
        _ if probe => return Err(VerifyError::BadSignature { probe }),
        Some(_) => return Err(VerifyError::NotInForce(serial.to_owned())),
        None => return Err(VerifyError::UnknownSerial(serial.to_owned())),
    };
    let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
    let vouched = STANDARD.decode(signature).is_ok_and(|signature| key.vouches_for(&message, &signature));
    if vouched { Ok(()) } else { Err(VerifyError::BadSignature { probe }) }
}

fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, VerifyError> {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text.is_empty() { Err(VerifyError::MissingHeader(name)) } else { Ok(text) }
}
