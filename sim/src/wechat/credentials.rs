//! What has a merchant been issued, and which keys does WeChat Pay itself hold?
use std::fmt;
use std::io;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::random;
use crate::x509::{self, Purpose, Says, TENPAY, fresh_key, pem};

/// Everything that the two sides of this simulated contract know, in one place: the product takes the merchant's
/// private key and the platform's public key, the simulator the others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Merchant number, ten digits.
    pub mchid: String,
    /// Official account: `wx` and 16 hexadecimal digits.
    pub appid: String,
    /// The Mini Program that is bound to the same merchant number; empty if there is none.
    #[serde(default)]
    pub mini_program_appid: String,
    /// Serial of the merchant's certificate: 40 hexadecimal digits, upper case.
    pub merchant_serial: String,
    /// The merchant's RSA key, PKCS#8.
    pub merchant_private_key_pem: String,
    /// Its public half, SPKI.
    pub merchant_public_key_pem: String,
    /// The certificate over that key, with that serial; empty in what older simulators have written.
    #[serde(default)]
    pub merchant_certificate_pem: String,
    /// Signs all of API v2: 32 ASCII characters. Empty where v2 was never set up: then no v2 call is taken.
    #[serde(default)]
    pub api_v2_key: String,
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
        let made = Self {
            mchid: format!("1900{}", random::digits(6)),
            appid: format!("wx{}", random::hex_upper(16).to_ascii_lowercase()),
            mini_program_appid: String::new(),
            merchant_serial: random::serial(),
            merchant_private_key_pem,
            merchant_public_key_pem,
            merchant_certificate_pem: String::new(),
            api_v2_key: String::new(),
            api_v3_key: random::alnum(32),
            platform_key_id: format!("PUB_KEY_ID_{}", random::digits(30)),
            platform_private_key_pem,
            platform_public_key_pem,
        };
        made.completed().expect("the keys that were just made can be read")
    }

    /// Adds what an older simulator did not issue yet: the APIv2 key, the Mini Program, the merchant's certificate.
    /// What is there already stays as it is.
    ///
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub fn completed(mut self) -> io::Result<Self> {
        if self.mini_program_appid.is_empty() {
            self.mini_program_appid = format!("wx{}", random::hex_upper(16).to_ascii_lowercase());
        }
        if self.api_v2_key.is_empty() {
            self.api_v2_key = random::alnum(32);
        }
        if self.merchant_certificate_pem.is_empty() {
            let says = Says {
                serial: &self.merchant_serial,
                issuer: TENPAY,
                subject: &self.mchid,
                from: CERTIFIED_FROM,
                until: CERTIFIED_UNTIL,
                is_for: Purpose::Key,
            };
            let merchant = read_key(&self.merchant_private_key_pem, "merchant_private_key_pem")?;
            let platform = read_key(&self.platform_private_key_pem, "platform_private_key_pem")?;
            self.merchant_certificate_pem = pem("CERTIFICATE", &x509::made(&says, &merchant, &platform)?);
        }
        Ok(self)
    }

    /// Whether orders may be made for this app.
    pub(super) fn bound(&self, appid: &str) -> bool {
        !appid.is_empty() && (appid == self.appid || appid == self.mini_program_appid)
    }
}

/// Shows what is public; of secrets only that they are there.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("mchid", &self.mchid)
            .field("appid", &self.appid)
            .field("mini_program_appid", &self.mini_program_appid)
            .field("merchant_serial", &self.merchant_serial)
            .field("merchant_private_key_pem", &"[secret]")
            .field("api_v2_key", &"[secret]")
            .field("api_v3_key", &"[secret]")
            .field("platform_key_id", &self.platform_key_id)
            .field("platform_private_key_pem", &"[secret]")
            .finish_non_exhaustive()
    }
}

/// 2025-01-01 and 2045-01-01, microseconds: a merchant's certificate outlives every test that moves the clock.
pub(crate) const CERTIFIED_FROM: i64 = 1_735_689_600_000_000;
pub(crate) const CERTIFIED_UNTIL: i64 = 2_366_841_600_000_000;

/// Reads an RSA key out of PEM of PKCS#8.
pub(crate) fn read_key(pem: &str, what: &str) -> io::Result<KeyPair> {
    let bad = || {
        let what = format!("{what} is not PEM of an RSA key in PKCS#8");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    };
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| bad())?;
    KeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| bad())
}

/// A fresh private key and its public half, as PEM.
fn key_pair() -> io::Result<(String, String)> {
    let unspecified = |_| io::Error::other("RSA");
    let pair = fresh_key()?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(unspecified)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(unspecified)?;
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let credentials = Credentials::generate();
        let shown = format!("{credentials:?}");
        assert!(shown.contains(&credentials.mchid));
        assert!(!shown.contains(&credentials.api_v3_key) && !shown.contains(&credentials.api_v2_key));
        assert!(!shown.contains("BEGIN"));
        let kept = serde_json::to_string(&credentials).unwrap();
        assert_eq!(serde_json::from_str::<Credentials>(&kept).unwrap(), credentials);
    }

    #[test]
    fn credentials_of_an_older_simulator_are_completed_and_keep_what_they_have() {
        let credentials = Credentials::generate();
        let mut older = serde_json::to_value(&credentials).unwrap();
        for later in ["mini_program_appid", "api_v2_key", "merchant_certificate_pem"] {
            older.as_object_mut().unwrap().remove(later);
        }
        let older: Credentials = serde_json::from_value(older).unwrap();
        assert!(older.api_v2_key.is_empty() && !older.bound(""));
        let completed = older.completed().unwrap();
        assert_eq!(completed.api_v2_key.len(), 32);
        assert_eq!(completed.merchant_certificate_pem, credentials.merchant_certificate_pem);
        assert_eq!(completed.clone().completed().unwrap(), completed);
    }
}
