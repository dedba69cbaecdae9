//! Does this signature belong to these fields?

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

/// The HMAC-SHA256 signature of `fields` under the merchant's APIv2 `key`: 64 hexadecimal digits, upper case.
///
/// Empty values and `sign` itself take no part. The rest stands in byte order of the names, unescaped and untrimmed;
/// the key is appended as a last field and is the HMAC's key as well.
/// Source: WeChat Pay API v2, interface rules, section on the signature algorithm.
pub fn sign(fields: &BTreeMap<String, String>, key: &str) -> String {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    // Fed in pieces, so that the key is never copied into a string of ours.
    for (name, value) in fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty()) {
        mac.update(name.as_bytes());
        mac.update(b"=");
        mac.update(value.as_bytes());
        mac.update(b"&");
    }
    mac.update(b"key=");
    mac.update(key.as_bytes());
    base16ct::upper::encode_string(mac.sign().as_ref())
}

/// Whether `received` is the signature of `fields` under `key`; compared in constant time. Give it every field that
/// arrived, also those nobody has heard of: they are signed too.
pub fn verify(fields: &BTreeMap<String, String>, key: &str, received: &str) -> bool {
    sign(fields, key).as_bytes().ct_eq(received.as_bytes()).into()
}
