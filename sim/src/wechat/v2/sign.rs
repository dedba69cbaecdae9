//! Who can have written this? Only somebody who knows the APIv2 key.
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::errors::Failure;
use super::xml::Fields;

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::wechat) enum SignType {
    #[default]
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
}

impl SignType {
    pub(in crate::wechat) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }

    pub(in crate::wechat) fn named(name: &str) -> Option<Self> {
        [Self::Md5, Self::HmacSha256].into_iter().find(|known| known.name() == name)
    }

    /// The one that it is not.
    pub(in crate::wechat) fn other(self) -> Self {
        match self {
            Self::Md5 => Self::HmacSha256,
            Self::HmacSha256 => Self::Md5,
        }
    }
}

/// The signature over all fields but `sign` and those that are empty.
pub(in crate::wechat) fn sign(fields: &Fields, key: &str, sign_type: SignType) -> String {
    let mut named: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, value)| *name != "sign" && !value.is_empty())
        .collect();
    named.sort_unstable();
    // Piece by piece: the key never becomes part of a text that stays behind in memory.
    let pieces = named.iter().flat_map(|(name, value)| [*name, "=", *value, "&"]).chain(["key=", key]);
    match sign_type {
        SignType::Md5 => {
            upper_hex(&pieces.fold(Md5::new(), |hash, piece| hash.chain_update(piece)).finalize())
        }
        SignType::HmacSha256 => {
            let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
            pieces.for_each(|piece| mac.update(piece.as_bytes()));
            upper_hex(mac.sign().as_ref())
        }
    }
}

/// Whether that is the signature; takes as long whatever is wrong with it.
pub(in crate::wechat) fn genuine(fields: &Fields, key: &str, sign_type: SignType, signature: &str) -> bool {
    // Without a key nobody can have signed anything.
    let expected = sign(fields, key, sign_type);
    !key.is_empty() && verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_ok()
}

/// Checks a request; how it was signed is how the answer will be.
pub(super) fn verified(fields: &Fields, key: &str) -> Result<SignType, Failure> {
    let of = |name: &str| {
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let failed = || Failure::transport("签名错误，请检查后再试");
    let sign_type = match of("sign_type") {
        "" => SignType::Md5,
        name => SignType::named(name).ok_or_else(failed)?,
    };
    if !genuine(fields, key, sign_type, of("sign")) {
        return Err(failed());
    }
    Ok(sign_type)
}

/// Spoils a signature so that it still looks like one.
pub(super) fn spoil(signature: &mut String) {
    let first = if signature.starts_with('A') { "B" } else { "A" };
    signature.replace_range(..1, first);
}

pub(in crate::wechat) fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The key of a refund's notification: 32 characters.
pub(in crate::wechat) fn sealing_key(key: &str) -> String {
    upper_hex(&Md5::digest(key.as_bytes())).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_has_the_published_signatures() {
        // The worked example of the official v2 page on signing.
        let fields: Fields = [
            ("appid", "wxd930ea5d5a258f4f"),
            ("mch_id", "10000100"),
            ("device_info", "1000"),
            ("body", "test"),
            ("nonce_str", "ibuaiVcKdpRxkhJA"),
            ("attach", ""),
            ("sign", "whatever"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let key = "192006250b4c09247ec02edce69f6a2d";
        assert_eq!(sign(&fields, key, SignType::Md5), "9A0A8659F005D6984697E2CA0A9CF3B7");
        assert_eq!(
            sign(&fields, key, SignType::HmacSha256),
            "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"
        );
        assert!(verified(&fields, key).is_err() && verified(&fields, "").is_err());
    }
}
