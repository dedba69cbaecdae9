//! Does this signature belong to these fields?

use std::fmt;

use aws_lc_rs::hmac;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq;

use super::{ApiV2Key, Fields};

/// How the messages of an order are signed. An order keeps the one it was made with: a message about it that is
/// signed with the other one is not believed, however well it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignType {
    /// The older one, and what a message means that names none. Only for merchants that cannot do without it.
    Md5,
    /// The one to use.
    HmacSha256,
}

impl SignType {
    /// Reads the name that stands in `sign_type`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::HmacSha256].into_iter().find(|known| known.as_str() == name)
    }

    /// The name that stands in `sign_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// The one whose signatures are as long as `signature`: notices do not always name theirs.
    pub const fn of_length(signature: &str) -> Option<Self> {
        match signature.len() {
            32 => Some(Self::Md5),
            64 => Some(Self::HmacSha256),
            _ => None,
        }
    }
}

impl fmt::Display for SignType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The signature of `fields` under `key`: hexadecimal, upper case.
///
/// Empty values and `sign` itself take no part; everything else does, also what nobody has heard of. It stands in byte
/// order of the names, unescaped and untrimmed, with the key appended as a last field. HMAC has the key as its own key
/// as well. Source: WeChat Pay API v2, interface rules, section on the signature algorithm.
pub fn sign(sign_type: SignType, fields: &Fields, key: &ApiV2Key) -> String {
    match sign_type {
        SignType::Md5 => {
            let mut digest = Md5::new(); // wiped when dropped
            feed(fields, key, |piece| digest.update(piece));
            base16ct::upper::encode_string(&digest.finalize())
        }
        SignType::HmacSha256 => {
            let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
            feed(fields, key, |piece| mac.update(piece));
            base16ct::upper::encode_string(mac.sign().as_ref())
        }
    }
}

/// Whether `signature` is the one of `fields` under `key`; compared in constant time. Give it every field that arrived.
pub fn verify(sign_type: SignType, fields: &Fields, key: &ApiV2Key, signature: &str) -> bool {
    sign(sign_type, fields, key).as_bytes().ct_eq(signature.as_bytes()).into()
}

/// The text to be signed, in pieces, so that the key is never copied into a string of ours.
fn feed(fields: &Fields, key: &ApiV2Key, mut update: impl FnMut(&[u8])) {
    for (name, value) in fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty()) {
        update(name.as_bytes());
        update(b"=");
        update(value.as_bytes());
        update(b"&");
    }
    update(b"key=");
    update(key.as_bytes());
}
