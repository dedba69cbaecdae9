//! What has a merchant been issued, and which keys does WeChat Pay itself hold?
use std::fmt;
use std::io;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::random;

/// Everything that the two sides of this simulated contract know, in one place: the product takes the merchant's
/// private key and the platform's public key, the simulator the others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Merchant number, ten digits.
    pub mchid: String,
    /// Official account or Mini Program: `wx` and 16 hexadecimal digits.
    pub appid: String,
    /// Serial of the merchant's certificate: 40 hexadecimal digits, upper case.
    pub merchant_serial: String,
    /// The merchant's RSA key, PKCS#8.
    pub merchant_private_key_pem: String,
    /// Its public half, SPKI.
    pub merchant_public_key_pem: String,
    /// Encrypts notifications: 32 ASCII characters.
    pub api_v3_key: String,
    /// Names the platform's key: `PUB_KEY_ID_` and digits.
    pub platform_key_id: String,
    /// WeChat Pay's own RSA key, PKCS#8; in the real world nobody else has it.
    pub platform_private_key_pem: String,
    /// Its public half, SPKI; verifies answers and notifications.
    pub platform_public_key_pem: String,
}

impl Credentials {
    /// Makes up a merchant, with fresh 2048-bit keys for both sides.
    ///
    /// # Panics
    /// If the system cannot make RSA keys at all.
    #[expect(
        clippy::expect_used,
        reason = "needs nothing but random numbers; without them there is no simulator"
    )]
    pub fn generate() -> Self {
        let (merchant_private_key_pem, merchant_public_key_pem) = key_pair().expect("an RSA key can be made");
        let (platform_private_key_pem, platform_public_key_pem) = key_pair().expect("an RSA key can be made");
        Self {
            mchid: format!("1900{}", random::digits(6)),
            appid: format!("wx{}", random::hex_upper(16).to_ascii_lowercase()),
            merchant_serial: random::hex_upper(40),
            merchant_private_key_pem,
            merchant_public_key_pem,
            api_v3_key: random::alnum(32),
            platform_key_id: format!("PUB_KEY_ID_{}", random::digits(30)),
            platform_private_key_pem,
            platform_public_key_pem,
        }
    }
}

/// Shows what is public; of secrets only that they are there.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("mchid", &self.mchid)
            .field("appid", &self.appid)
            .field("merchant_serial", &self.merchant_serial)
            .field("merchant_private_key_pem", &"[secret]")
            .field("api_v3_key", &"[secret]")
            .field("platform_key_id", &self.platform_key_id)
            .field("platform_private_key_pem", &"[secret]")
            .finish_non_exhaustive()
    }
}

/// A fresh private key and its public half, as PEM.
fn key_pair() -> io::Result<(String, String)> {
    let unspecified = |_| io::Error::other("RSA");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(unspecified)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(unspecified)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(unspecified)?;
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref())))
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let credentials = Credentials::generate();
        let shown = format!("{credentials:?}");
        assert!(shown.contains(&credentials.mchid));
        assert!(!shown.contains(&credentials.api_v3_key));
        assert!(!shown.contains("BEGIN"));
        let kept = serde_json::to_string(&credentials).unwrap();
        assert_eq!(serde_json::from_str::<Credentials>(&kept).unwrap(), credentials);
    }
}
