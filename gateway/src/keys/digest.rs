//! What is kept of a key.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// HMAC-SHA256 of the key's SHA-256 under the server's secret: enough to recognise a key, not to make one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// The digest of a key as its owner writes it.
///
/// Keys are 256 random bits, so a slow hash would add nothing; the inner SHA-256 lets stores that kept that be imported.
pub fn digest(secret: &[u8], key: &str) -> KeyDigest {
    // HMAC takes keys of any length, so the error cannot happen; an all-zero digest would match no key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return KeyDigest([0; 32]) };
    mac.update(&Sha256::digest(key.as_bytes()));
    KeyDigest(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_key_and_secret_and_hides_in_logs() {
        let one = digest(b"secret", "sk-1");
        assert_eq!(one, digest(b"secret", "sk-1"));
        assert_ne!(one, digest(b"secret", "sk-2"));
        assert_ne!(one, digest(b"other", "sk-1"));
        assert!(format!("{one:?}").len() < 20);
    }
}
