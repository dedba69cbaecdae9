//! What is shared with WeChat Pay under API v2?

use std::fmt;

use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// Characters of an APIv2 key. Source: WeChat Pay merchant console, API security.
const KEY_CHARACTERS: usize = 32;

/// A merchant's APIv2 key: whoever holds it can sign for the merchant and for WeChat Pay. Wiped when dropped.
pub struct ApiV2Key(Zeroizing<String>);

/// The key cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 ASCII letters and digits")]
pub struct ApiV2KeyError;

impl ApiV2Key {
    /// Takes the key over; what was handed in is wiped, also when it is refused.
    ///
    /// # Errors
    /// [`ApiV2KeyError`] if it is not 32 ASCII letters and digits.
    pub fn new(key: String) -> Result<Self, ApiV2KeyError> {
        let key = Zeroizing::new(key);
        let fits = key.len() == KEY_CHARACTERS && key.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits { Ok(Self(key)) } else { Err(ApiV2KeyError) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What refund notices are encrypted with: the 32 characters of this key's MD5, in lower case, as they stand.
    /// Source: WeChat Pay API v2, refund notice, section on decryption.
    pub(super) fn for_refund_notices(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(&Md5::digest(self.as_bytes())))
    }
}

impl fmt::Debug for ApiV2Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV2Key")
    }
}
