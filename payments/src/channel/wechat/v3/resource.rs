//! What does an encrypted resource say?

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::Credentials;

/// The only algorithm there is, by its name on the wire.
const ALGORITHM: &str = "AEAD_AES_256_GCM";
/// Bytes of the tag at the end of the ciphertext.
const TAG_BYTES: usize = 16;

/// An encrypted resource as it arrives. Source: WeChat Pay API v3, section on decrypting notices.
#[derive(Debug, Clone, Deserialize)]
pub struct Resource {
    /// Name of the cipher.
    pub algorithm: String,
    /// Base64 of the ciphertext and its tag.
    pub ciphertext: String,
    /// Authenticated with the ciphertext; absent means empty.
    #[serde(default)]
    pub associated_data: String,
    /// Twelve bytes of ASCII.
    pub nonce: String,
}

/// Why a resource cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// Another cipher than AES-256-GCM.
    #[error("unsupported algorithm")]
    UnsupportedAlgorithm,
    /// The nonce is not twelve bytes long.
    #[error("the nonce is not 12 bytes")]
    NonceLength,
    /// The ciphertext is not strict base64.
    #[error("the ciphertext is not base64")]
    Base64,
    /// The ciphertext is shorter than its tag.
    #[error("the ciphertext is shorter than its tag")]
    TooShort,
    /// None of our keys opens it. Mostly the APIv3 key was changed in the console and not here.
    #[error("no APIv3 key of ours opens it")]
    NotAuthentic,
    /// The plaintext is not UTF-8.
    #[error("the plaintext is not UTF-8")]
    NotUtf8,
}

/// Decrypts a resource with the current APIv3 key, else with the one before. Verify the signature first.
///
/// # Errors
/// [`ResourceError`].
pub fn open(credentials: &Credentials, resource: &Resource) -> Result<String, ResourceError> {
    if resource.algorithm != ALGORITHM {
        return Err(ResourceError::UnsupportedAlgorithm);
    }
    let nonce: [u8; NONCE_LEN] =
        resource.nonce.as_bytes().try_into().map_err(|_| ResourceError::NonceLength)?;
    let ciphertext = STANDARD.decode(&resource.ciphertext).map_err(|_| ResourceError::Base64)?;
    if ciphertext.len() < TAG_BYTES {
        return Err(ResourceError::TooShort);
    }
    for key in credentials.resource_keys() {
        let mut opened = ciphertext.clone(); // a failed attempt leaves nothing of use behind
        let aad = Aad::from(&resource.associated_data);
        if let Ok(plaintext) = key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut opened) {
            return String::from_utf8(plaintext.to_vec()).map_err(|_| ResourceError::NotUtf8);
        }
    }
    Err(ResourceError::NotAuthentic)
}
