//! What does a certificate say?

use rustls_pki_types::{CertificateDer, pem::PemObject};
use units::Timestamp;
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

use super::credentials::{CredentialsError, wrong};

/// The parts of a certificate that are used here.
pub(super) struct X509 {
    /// Its number in upper-case hexadecimal digits, as `Wechatpay-Serial` and the console have it.
    pub(super) serial: String,
    /// From when until when it is good, both included.
    pub(super) validity: (Timestamp, Timestamp),
    /// The public key, DER.
    pub(super) spki: Vec<u8>,
}

impl X509 {
    /// Reads a PEM text; `field` is named in the error.
    pub(super) fn read(field: &str, pem: &str) -> Result<Self, CredentialsError> {
        let bad = |_| wrong(field, "not an X.509 certificate");
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| wrong(field, "not a certificate in PEM"))?;
        let certificate = Certificate::from_der(&der).map_err(bad)?;
        let tbs = certificate.tbs_certificate();
        let instant = |time: x509_cert::time::Time| {
            let secs = time.to_unix_duration().as_secs();
            Timestamp::from_secs(i64::try_from(secs).unwrap_or(0))
        };
        let number = tbs.serial_number();
        // A number whose first bit is set has a zero byte in front, which nobody writes down.
        let number = match number.as_bytes() {
            [0, rest @ ..] if !rest.is_empty() => rest,
            number => number,
        };
        Ok(Self {
            serial: base16ct::upper::encode_string(number),
            validity: (instant(tbs.validity().not_before), instant(tbs.validity().not_after)),
            spki: tbs.subject_public_key_info().to_der().map_err(bad)?,
        })
    }
}
