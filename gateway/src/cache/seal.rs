//! What an answer looks like outside of this process: to be read, and changed, by nobody who has not the secret.
//!
//! A byte that says which form it is, the nonce (12 bytes), and AES-256-GCM of the answer with its tag (16 bytes) at the end.
//! An answer holds a usage, which is charged: whoever can write where it lies must not be able to make one, nor to lay
//! one under another key.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::Mac;

use super::{CacheKey, key::mac};

/// Which form it is. Another one whenever what is written changes, or what its reader makes of it.
const FORM: u8 = 1;

/// Seals answers, and opens what was sealed with the same secret.
#[derive(Clone)]
pub(super) struct Seal(Arc<[u8]>);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    pub(super) const fn new(secret: Arc<[u8]>) -> Self {
        Self(secret)
    }

    /// Seals what is to lie under `key`; none if the library cannot.
    pub(super) fn close(&self, key: CacheKey, plain: Vec<u8>) -> Option<Vec<u8>> {
        let mut sealed = plain;
        let nonce = self.of(key)?.seal_in_place_append_tag(bound_to(key), &mut sealed).ok()?;
        Some([&[FORM][..], nonce.as_ref(), &sealed].concat())
    }

    /// What was sealed to lie under `key`; none if it was not, or not in this form, or is not as it was.
    pub(super) fn open(&self, key: CacheKey, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (&mut form, rest) = sealed.split_first_mut()?;
        if form != FORM {
            return None;
        }
        let (nonce, rest) = rest.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.of(key)?.open_in_place(nonce, bound_to(key), rest).ok()?;
        Some(plain.to_vec())
    }

    /// A key of AES for each key of the cache: nonces are drawn, and of those a single one would allow only 2^32 (NIST SP
    /// 800-38D, 8.3), which busy nodes write in weeks.
    fn of(&self, key: CacheKey) -> Option<RandomizedNonceKey> {
        let mut mac = mac(&self.0);
        mac.update(&key.0);
        RandomizedNonceKey::new(&AES_256_GCM, &mac.finalize().into_bytes()).ok()
    }
}

/// What is authenticated beside the answer: its form, and where it lies.
fn bound_to(key: CacheKey) -> Aad<Vec<u8>> {
    Aad::from([&[FORM], &key.0[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CacheKey = CacheKey([7; 32]);

    fn seal(secret: &[u8]) -> Seal {
        Seal::new(secret.into())
    }

    #[test]
    fn what_was_sealed_is_read_again_and_never_looks_the_same() {
        let one = seal(b"secret").close(KEY, b"an answer".to_vec()).unwrap();
        let other = seal(b"secret").close(KEY, b"an answer".to_vec()).unwrap();
        assert_ne!(one, other);
        assert_eq!(one.len(), 1 + NONCE_LEN + b"an answer".len() + 16);
        for sealed in [one, other] {
            assert_eq!(seal(b"secret").open(KEY, sealed).unwrap(), b"an answer");
        }
    }

    #[test]
    fn no_bit_of_it_may_change_and_no_byte_be_missing_or_added() {
        let seal = seal(b"secret");
        let sealed = seal.close(KEY, b"an answer".to_vec()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal.open(KEY, bent), None, "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert_eq!(seal.open(KEY, sealed[..end].to_vec()), None, "cut at {end}");
        }
        assert_eq!(seal.open(KEY, [&sealed[..], &[0]].concat()), None);
    }

    #[test]
    fn it_opens_under_its_own_key_and_secret_only() {
        let sealed = seal(b"secret").close(KEY, b"an answer".to_vec()).unwrap();
        assert_eq!(seal(b"secret").open(CacheKey([8; 32]), sealed.clone()), None);
        assert_eq!(seal(b"another").open(KEY, sealed), None);
    }
}
