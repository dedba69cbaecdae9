//! How does a merchant know that it is really us? Our keys: a public key with an id, and certificates that come and go.
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::credentials::{Credentials, read_key};
use crate::clock::{beijing, rfc3339};
use crate::random;
use crate::x509::{self, Purpose, Says, TENPAY, fresh_key, pem};

const DAY: i64 = 24 * 3_600_000_000;
/// How long a certificate is good for.
const LIFE: i64 = 5 * 365 * DAY;
/// Certificates held at once.
const CERTIFICATES_MAX: usize = 16;

/// WeChat Pay's keys for one merchant, ready for use.
pub(crate) struct Platform {
    pub(crate) credentials: Credentials,
    own: Arc<KeyPair>,
    pub(super) merchant: UnparsedPublicKey<Vec<u8>>,
    sealing: LessSafeKey,
    ring: Mutex<Ring>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// The certificates, oldest first.
struct Ring {
    certificates: Vec<Certificate>,
    /// Place of the one that signs; none while the merchant has the public key only.
    in_use: Option<usize>,
    /// How many of a hundred notifications are signed with the public key's other half.
    public_key_percent: u8,
}

struct Certificate {
    serial: String,
    key: Arc<KeyPair>,
    pem: String,
    from: i64,
    until: i64,
}

/// What is to happen to the certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Turn {
    /// Another certificate stands in the list and signs nothing yet.
    Issue,
    /// The newest certificate signs from now on.
    UseNewest,
    /// Both at once, without a word before.
    Rotate,
    /// Those that do not sign leave the list.
    Retire,
    /// There are no certificates any more, only the public key.
    None,
}

/// A key that signs, and the name by which a verifier finds the other half.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    serial: String,
    key: Arc<KeyPair>,
}

/// What proves where a message comes from, told in five headers.
#[derive(Debug)]
pub(super) struct Proof {
    timestamp: String,
    nonce: String,
    signature: String,
    serial: String,
}

impl Proof {
    /// The type is always named: a client of other people's (`wechatpayv3`) takes no answer without it.
    pub(super) fn headers(&self) -> [(&'static str, &str); 5] {
        [
            ("wechatpay-timestamp", &self.timestamp),
            ("wechatpay-nonce", &self.nonce),
            ("wechatpay-signature", &self.signature),
            ("wechatpay-serial", &self.serial),
            ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048"),
        ]
    }

    /// Spoils the signature so that it is still base64 of the right length.
    pub(super) fn spoil(&mut self) {
        let first = if self.signature.starts_with('A') { "B" } else { "A" };
        self.signature.replace_range(..1, first);
    }

    /// Makes the signature one of those by which WeChat Pay finds out who does not look at signatures.
    pub(super) fn probe(&mut self) {
        let probe = format!("WECHATPAY/SIGNTEST/{}", &self.signature);
        self.signature = probe;
    }
}

impl Signer {
    /// Signs a body as of a time (seconds since the epoch).
    pub(super) fn sign(&self, at_seconds: i64, body: &[u8]) -> Proof {
        let timestamp = at_seconds.to_string();
        let nonce = random::alnum(32);
        let mut message = format!("{timestamp}\n{nonce}\n").into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        let mut signature = vec![0; self.key.public_modulus_len()];
        if self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).is_err() {
            // Goes out as it is; whoever verifies will refuse it.
            tracing::error!("sim: signing failed");
        }
        Proof { timestamp, nonce, signature: STANDARD.encode(signature), serial: self.serial.clone() }
    }
}

impl Platform {
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub(super) fn new(credentials: Credentials) -> io::Result<Self> {
        let bad =
            |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("wechat credentials: {what}"));
        let own = read_key(&credentials.platform_private_key_pem, "platform_private_key_pem")?;
        let merchant =
            SubjectPublicKeyInfoDer::from_pem_slice(credentials.merchant_public_key_pem.as_bytes())
                .map_err(|_| bad("merchant_public_key_pem is not PEM of SPKI"))?;
        let merchant = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, merchant.as_ref().to_vec());
        let sealing = UnboundKey::new(&AES_256_GCM, credentials.api_v3_key.as_bytes())
            .map_err(|_| bad("api_v3_key is not 32 bytes"))?;
        let ring = Mutex::new(Ring { certificates: Vec::new(), in_use: None, public_key_percent: 100 });
        Ok(Self { own: Arc::new(own), merchant, sealing: LessSafeKey::new(sealing), credentials, ring })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn public_key(&self) -> Signer {
        Signer { serial: self.credentials.platform_key_id.clone(), key: Arc::clone(&self.own) }
    }

    /// Which key signs an answer: the one that the request names in `Wechatpay-Serial`. Who names none verifies with
    /// certificates, if there are any.
    pub(super) fn asked_for(&self, serial: &str) -> Option<Signer> {
        if serial == self.credentials.platform_key_id {
            return Some(self.public_key());
        }
        let ring = self.ring();
        let named = ring.certificates.iter().find(|certificate| certificate.serial == serial);
        let usual = || ring.certificates.get(ring.in_use?).filter(|_| serial.is_empty());
        named.or_else(usual).map(Certificate::signer)
    }

    /// Which key signs the next notification.
    pub(super) fn of_chance(&self) -> Signer {
        let ring = self.ring();
        let certificate = ring.in_use.and_then(|place| ring.certificates.get(place));
        match certificate {
            Some(certificate) if random::percent() >= ring.public_key_percent => certificate.signer(),
            _ => self.public_key(),
        }
    }

    /// Moves from certificate to certificate, or between them and the public key, while everything runs.
    ///
    /// # Errors
    /// In words, if there is no certificate to use or no room for another.
    pub(crate) fn turn(&self, turn: Option<Turn>, percent: Option<u8>, now: i64) -> Result<(), String> {
        // Outside the lock: finding a key takes its time.
        let fresh = match turn {
            Some(Turn::Issue | Turn::Rotate) => {
                Some(self.certified(now).map_err(|error| format!("no certificate: {error}"))?)
            }
            _ => None,
        };
        let mut ring = self.ring();
        if let Some(certificate) = fresh {
            if ring.certificates.len() >= CERTIFICATES_MAX {
                return Err(format!("there are {CERTIFICATES_MAX} certificates already"));
            }
            ring.certificates.push(certificate);
        }
        match turn {
            Some(Turn::UseNewest | Turn::Rotate) => {
                ring.in_use = ring.certificates.len().checked_sub(1);
                if ring.in_use.is_none() {
                    return Err("there is no certificate to use".into());
                }
            }
            Some(Turn::Retire) => {
                let kept = ring.in_use.map(|place| ring.certificates.remove(place));
                ring.certificates = kept.into_iter().collect();
                ring.in_use = ring.in_use.map(|_| 0);
            }
            Some(Turn::None) => {
                ring.certificates.clear();
                ring.in_use = None;
            }
            Some(Turn::Issue) | None => {}
        }
        if let Some(percent) = percent {
            ring.public_key_percent = percent;
        }
        Ok(())
    }

    fn certified(&self, now: i64) -> io::Result<Certificate> {
        let key = fresh_key()?;
        let serial = random::serial();
        // Whole seconds, and since yesterday: the merchant's clock may be a little behind.
        let from = now - now.rem_euclid(1_000_000) - DAY;
        let until = from + LIFE;
        let subject = "Simulated Tenpay.com sign";
        let says = Says { serial: &serial, issuer: TENPAY, subject, from, until, is_for: Purpose::Key };
        let pem = pem("CERTIFICATE", &x509::made(&says, &key, &self.own)?);
        Ok(Certificate { serial, key: Arc::new(key), pem, from, until })
    }

    /// The list of `GET /v3/certificates`, each sealed; `None` for a merchant who has the public key only.
    pub(super) fn certificates(&self) -> Option<Value> {
        let listed: Vec<Value> = self
            .ring()
            .certificates
            .iter()
            .map(|certificate| {
                let mut sealed = self.sealed("certificate", certificate.pem.as_bytes());
                // The content is no notification's, so there is no type to name.
                if let Some(sealed) = sealed.as_object_mut() {
                    sealed.remove("original_type");
                }
                json!({
                    "serial_no": certificate.serial,
                    "effective_time": beijing(certificate.from),
                    "expire_time": beijing(certificate.until),
                    "encrypt_certificate": sealed,
                })
            })
            .collect();
        if listed.is_empty() { None } else { Some(json!({"data": listed})) }
    }

    /// For the controls.
    pub(crate) fn shown(&self) -> Value {
        let ring = self.ring();
        let in_use = ring.in_use.and_then(|place| ring.certificates.get(place));
        json!({
            "mchid": self.credentials.mchid,
            "public_key_id": self.credentials.platform_key_id,
            "public_key_percent": ring.public_key_percent,
            "in_use": in_use.map(|certificate| &certificate.serial),
            "certificates": ring.certificates.iter().map(|certificate| json!({
                "serial_no": certificate.serial,
                "effective_time": rfc3339(certificate.from),
                "expire_time": rfc3339(certificate.until),
                "pem": certificate.pem,
            })).collect::<Vec<_>>(),
        })
    }

    /// Encrypts a notification's content: the `resource` of its envelope.
    pub(super) fn seal(&self, original_type: &str, content: &Value) -> Value {
        self.sealed(original_type, content.to_string().as_bytes())
    }

    fn sealed(&self, original_type: &str, content: &[u8]) -> Value {
        let nonce = random::alnum(12);
        let mut sealed = content.to_vec();
        let once = Nonce::try_assume_unique_for_key(nonce.as_bytes());
        let aad = Aad::from(original_type.as_bytes());
        let done = once.and_then(|once| self.sealing.seal_in_place_append_tag(once, aad, &mut sealed));
        if done.is_err() {
            tracing::error!("sim: sealing failed");
            sealed.clear();
        }
        json!({
            "original_type": original_type,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": STANDARD.encode(sealed),
            "associated_data": original_type,
            "nonce": nonce,
        })
    }
}

impl Certificate {
    fn signer(&self) -> Signer {
        Signer { serial: self.serial.clone(), key: Arc::clone(&self.key) }
    }
}
