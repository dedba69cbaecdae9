//! Who are we to WeChat Pay, and whose signature do we believe?

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    error::Unspecified,
    rand::SystemRandom,
    rsa::{KeyPair, PublicKey},
    signature::{
        KeyPair as KeyPairTrait, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaParameters,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use units::Timestamp;
use zeroize::Zeroizing;

use super::x509::{X509, is_same_number};

/// What every id of a WeChat Pay public key begins with.
/// Source: WeChat Pay API v3, section on verifying with the WeChat Pay public key.
const PUBLIC_KEY_ID_PREFIX: &str = "PUB_KEY_ID_";
/// Bytes of an APIv3 key. Source: WeChat Pay API v3, section on decrypting notices.
const API_V3_KEY_BYTES: usize = 32;

/// The credentials as an operator writes them down. Secrets are wiped once [`Credentials::new`] has read them.
pub struct CredentialParts {
    /// Merchant number.
    pub mchid: String,
    /// Application the orders are made for.
    pub appid: String,
    /// Serial number of the *merchant's* certificate, as the console shows it.
    pub merchant_serial: String,
    /// The merchant's RSA private key, at least 2048 bits, PEM (PKCS#8 or PKCS#1).
    pub merchant_private_key_pem: String,
    /// The APIv3 key: 32 bytes.
    pub api_v3_key: String,
    /// The APIv3 key before the last change: notices on their way were still encrypted with it.
    pub previous_api_v3_key: Option<String>,
    /// Keys that may sign for WeChat Pay; during a change, the old and the new one.
    pub platform_keys: Vec<PlatformKeyPart>,
    /// Whether platform certificates are asked for as well; then no key need be at hand.
    pub download_certificates: bool,
}

/// One key that may sign for WeChat Pay, as an operator writes it down.
#[derive(Debug, Clone)]
pub enum PlatformKeyPart {
    /// A WeChat Pay public key.
    PublicKey {
        /// Its id: `PUB_KEY_ID_` and digits.
        id: String,
        /// The RSA key, PEM.
        pem: String,
    },
    /// A platform certificate, known by its own serial number and believed within its validity.
    Certificate {
        /// The X.509 certificate, PEM.
        pem: String,
    },
}

/// Credentials that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct CredentialsError {
    /// The part at fault, e.g. `platform_keys[1].pem`.
    pub field: String,
    /// What is wrong with it; never its value.
    pub problem: &'static str,
}

pub(super) fn wrong(field: impl Into<String>, problem: &'static str) -> CredentialsError {
    CredentialsError { field: field.into(), problem }
}

/// Everything a merchant signs, decrypts and verifies with. Keys are parsed once, and wiped by the crypto library when
/// this is dropped.
pub struct Credentials {
    mchid: String,
    appid: String,
    merchant_serial: String,
    merchant_key: KeyPair,
    resource_keys: Vec<LessSafeKey>,
    platform_keys: BTreeMap<String, PlatformKey>,
    asks_for: Option<String>,
    download_certificates: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("mchid", &self.mchid)
            .field("appid", &self.appid)
            .field("merchant_serial", &self.merchant_serial)
            .field("platform_keys", &self.platform_keys.keys())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads and checks every part.
    ///
    /// # Errors
    /// [`CredentialsError`] with the first part that cannot be used.
    pub fn new(parts: CredentialParts) -> Result<Self, CredentialsError> {
        let private_key_pem = Zeroizing::new(parts.merchant_private_key_pem);
        let current = Zeroizing::new(parts.api_v3_key);
        let previous = parts.previous_api_v3_key.map(Zeroizing::new);

        // These three stand inside quotes of the Authorization header.
        let names =
            [("mchid", &parts.mchid), ("appid", &parts.appid), ("merchant_serial", &parts.merchant_serial)];
        for (field, value) in names {
            if value.is_empty() || value.len() > 64 || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(wrong(field, "must be 1 to 64 ASCII letters and digits"));
            }
        }
        let merchant_key = private_key(&private_key_pem)?;
        let mut resource_keys = vec![resource_key("api_v3_key", &current)?];
        if let Some(previous) = &previous {
            resource_keys.push(resource_key("previous_api_v3_key", previous)?);
        }

        let mut platform_keys = BTreeMap::new();
        let mut asks_for = None;
        for (i, part) in parts.platform_keys.iter().enumerate() {
            let (serial, key) = PlatformKey::read(&format!("platform_keys[{i}]"), part)?;
            if matches!(part, PlatformKeyPart::PublicKey { .. }) && asks_for.is_none() {
                asks_for = Some(serial.clone());
            }
            if platform_keys.insert(serial, key).is_some() {
                return Err(wrong(format!("platform_keys[{i}]"), "the same serial stands there twice"));
            }
        }
        if platform_keys.is_empty() && !parts.download_certificates {
            return Err(wrong("platform_keys", "without any, no answer and no notice could be believed"));
        }
        Ok(Self {
            mchid: parts.mchid,
            appid: parts.appid,
            merchant_serial: parts.merchant_serial,
            merchant_key,
            resource_keys,
            platform_keys,
            asks_for,
            download_certificates: parts.download_certificates,
        })
    }

    /// Merchant number.
    pub fn mchid(&self) -> &str {
        &self.mchid
    }

    /// Application the orders are made for.
    pub fn appid(&self) -> &str {
        &self.appid
    }

    /// Serial number of the merchant's certificate.
    pub fn merchant_serial(&self) -> &str {
        &self.merchant_serial
    }

    /// The public key we want answers to be signed with: the first that is configured. With certificates only, the
    /// platform chooses.
    pub(super) fn asks_for(&self) -> Option<&str> {
        self.asks_for.as_deref()
    }

    /// Whether platform certificates are asked for.
    pub(super) const fn downloads_certificates(&self) -> bool {
        self.download_certificates
    }

    /// What the merchant's own certificate says, if it belongs to this private key and serial.
    ///
    /// # Errors
    /// [`CredentialsError`] if it does not, or is none.
    pub fn fits(&self, certificate_pem: &str) -> Result<MerchantCertificate, CredentialsError> {
        let certificate = MerchantCertificate::read(certificate_pem, &self.merchant_key)?;
        if !is_same_number(&certificate.serial, &self.merchant_serial) {
            return Err(wrong("merchant_serial", "the certificate has another serial"));
        }
        Ok(certificate)
    }

    /// The platform's certificates among the keys that are configured, and until when each of them is good.
    pub fn platform_certificates(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.platform_keys.iter().filter_map(|(serial, key)| Some((serial.as_str(), key.validity?.1)))
    }

    /// Base64 of the merchant's RSA signature (PKCS#1 v1.5, SHA-256) over `message`. About a millisecond of CPU:
    /// short enough to be done where it is asked for.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, Unspecified> {
        let mut signature = vec![0; self.merchant_key.public_modulus_len()];
        self.merchant_key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
        Ok(STANDARD.encode(signature))
    }

    /// The key of exactly this serial; there is no other way to one, least of all trying them all.
    pub(super) fn platform_key(&self, serial: &str) -> Option<&PlatformKey> {
        self.platform_keys.get(serial)
    }

    /// Keys a resource may be encrypted with: the current one, then the one before.
    pub(super) fn resource_keys(&self) -> &[LessSafeKey] {
        &self.resource_keys
    }
}

/// The merchant's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantCertificate {
    /// Its number: upper-case hexadecimal digits.
    pub serial: String,
    /// It is good from then.
    pub from: Timestamp,
    /// And until then.
    pub until: Timestamp,
}

impl MerchantCertificate {
    /// What it says, if it belongs to this private key; both are PEM.
    ///
    /// # Errors
    /// [`CredentialsError`] if it does not, or if one of them is none.
    pub fn of(certificate_pem: &str, private_key_pem: &str) -> Result<Self, CredentialsError> {
        Self::read(certificate_pem, &private_key(private_key_pem)?)
    }

    fn read(pem: &str, merchant_key: &KeyPair) -> Result<Self, CredentialsError> {
        const FIELD: &str = "certificate";
        let X509 { serial, validity: (from, until), spki } = X509::read(FIELD, pem)?;
        let key = PublicKey::from_der(&spki).map_err(|_| wrong(FIELD, "not of an RSA key"))?;
        if key.as_ref() != KeyPairTrait::public_key(merchant_key).as_ref() {
            return Err(wrong(FIELD, "it belongs to another private key"));
        }
        Ok(Self { serial, from, until })
    }
}

/// A key that may sign for WeChat Pay.
pub(super) struct PlatformKey {
    key: ParsedPublicKey,
    modulus_bytes: usize,
    validity: Option<(Timestamp, Timestamp)>,
}

impl PlatformKey {
    /// The serial it is known by, and the key.
    pub(super) fn read(field: &str, part: &PlatformKeyPart) -> Result<(String, Self), CredentialsError> {
        match part {
            PlatformKeyPart::PublicKey { id, pem } => {
                let number = id.strip_prefix(PUBLIC_KEY_ID_PREFIX).unwrap_or_default();
                if number.is_empty() || !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return Err(wrong(format!("{field}.id"), "must be PUB_KEY_ID_ and digits"));
                }
                let field = format!("{field}.pem");
                let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
                    .map_err(|_| wrong(&field, "not a public key in PEM"))?;
                Ok((id.clone(), Self::from_der(&field, &spki, None)?))
            }
            PlatformKeyPart::Certificate { pem } => {
                let field = format!("{field}.pem");
                let X509 { serial, validity, spki } = X509::read(&field, pem)?;
                Ok((serial, Self::from_der(&field, &spki, Some(validity))?))
            }
        }
    }

    fn from_der(
        field: &str,
        der: &[u8],
        validity: Option<(Timestamp, Timestamp)>,
    ) -> Result<Self, CredentialsError> {
        let rsa = PublicKey::from_der(der).map_err(|_| wrong(field, "not an RSA public key"))?;
        let bits = RsaParameters::public_modulus_len(rsa.as_ref())
            .map_err(|Unspecified| wrong(field, "not an RSA public key"))?;
        if bits < RSA_PKCS1_2048_8192_SHA256.min_modulus_len() {
            return Err(wrong(field, "shorter than 2048 bits"));
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.as_ref())
            .map_err(|_| wrong(field, "not an RSA public key"))?;
        Ok(Self { key, modulus_bytes: bits.div_ceil(8) as usize, validity })
    }

    /// Whether it may sign at `now`; a bare public key always may.
    pub(super) fn in_force(&self, now: Timestamp) -> bool {
        self.validity.is_none_or(|(from, until)| from <= now && now <= until)
    }

    /// Whether `signature` (PKCS#1 v1.5, SHA-256, exactly as long as the modulus) belongs to `message`.
    pub(super) fn vouches_for(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.modulus_bytes && self.key.verify_sig(message, signature).is_ok()
    }
}

fn private_key(pem: &str) -> Result<KeyPair, CredentialsError> {
    const FIELD: &str = "merchant_private_key_pem";
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| wrong(FIELD, "not a private key in PEM"))?;
    match &*der {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(wrong(FIELD, "not an RSA key")),
    }
    .map_err(|_| wrong(FIELD, "not an RSA key of 2048 bits or more"))
}

fn resource_key(field: &str, key: &str) -> Result<LessSafeKey, CredentialsError> {
    if key.len() != API_V3_KEY_BYTES {
        return Err(wrong(field, "must be 32 bytes"));
    }
    UnboundKey::new(&AES_256_GCM, key.as_bytes())
        .map(LessSafeKey::new)
        .map_err(|Unspecified| wrong(field, "must be 32 bytes"))
}
