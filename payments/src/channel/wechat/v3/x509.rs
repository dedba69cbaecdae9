//! What does a certificate say?

use rustls_pki_types::{CertificateDer, pem::PemObject};
use units::Timestamp;
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

use super::credentials::{CredentialsError, wrong};

/// Whether two serials are the same number, however many zeros are written in front.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    one.trim_start_matches('0').eq_ignore_ascii_case(other.trim_start_matches('0'))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Good for nothing: made for this test, and its key thrown away.
    const BEGINS_WITH_A_SET_BIT: &str = "-----BEGIN CERTIFICATE-----
MIIBXDCCAQOgAwIBAgIEAPEyqjAKBggqhkjOPQQDAjAMMQowCAYDVQQDDAF0MB4X
DTI2MTEyODEzMzQ1OVoXDTM2MTEyNTEzMzQ1OVowDDEKMAgGA1UEAwwBdDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABKa6TNObvhz2Lpr+Dg4whjwJq1GNCEP0cVZe
FqzO1bz3OMqN7CSRaDMCLPW0K0eyebOPi8lP2Js0GFjpQkZ6/s6jUzBRMB0GA1Ud
DgQWBBTMlQQ1R77L52kcQtf5BvG5hpcxIjAfBgNVHSMEGDAWgBTMlQQ1R77L52kc
Qtf5BvG5hpcxIjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIHdi
L9ABe0LgGEu7fIeqF82XPmBfyKtfnpDQhUIDbCiSAiBgrohmnr1SMkLQUcpjbUap
i6PCH4SewT6vsuThhXRpXQ==
-----END CERTIFICATE-----
";

    #[test]
    fn a_serial_is_written_as_people_write_it() {
        let read = X509::read("certificate", BEGINS_WITH_A_SET_BIT).unwrap();
        assert_eq!(read.serial, "F132AA", "without the byte that keeps it from being negative");
        assert!(is_same_number("F132AA", "00f132aa") && !is_same_number("F132AA", "F132A"));
        assert!(read.validity.0 < read.validity.1);
    }
}
