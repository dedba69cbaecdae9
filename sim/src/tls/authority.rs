//! Who vouches for the simulator's TLS? An authority of its own: what trusts it, trusts nothing else by it.
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::random;
use crate::wechat::credentials::{CERTIFIED_FROM, CERTIFIED_UNTIL, read_key};
use crate::x509::{self, Purpose, Says, fresh_key, pem};

/// How it calls itself.
const NAME: &str = "Simulator's own root CA";

/// A certificate authority: made once, and kept by whoever wants its certificate to go on being good.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// What clients have to trust, PEM.
    pub certificate_pem: String,
    /// Its RSA key, PEM of PKCS#8.
    pub private_key_pem: String,
}

impl Authority {
    /// Makes one up, good from 2025 to 2045.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn generate() -> io::Result<Self> {
        let key = fresh_key()?;
        let serial = random::serial();
        let says = Says {
            serial: &serial,
            issuer: NAME,
            subject: NAME,
            from: CERTIFIED_FROM,
            until: CERTIFIED_UNTIL,
            is_for: Purpose::Authority,
        };
        let certificate = x509::made(&says, &key, &key)?;
        let private: Pkcs8V1Der<'_> = key.as_der().map_err(|_| io::Error::other("RSA"))?;
        Ok(Self {
            certificate_pem: pem("CERTIFICATE", &certificate),
            private_key_pem: pem("PRIVATE KEY", private.as_ref()),
        })
    }

    /// Whether both halves can be read and belong together.
    ///
    /// # Errors
    /// `InvalidInput` if not.
    pub(super) fn key(&self) -> io::Result<KeyPair> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let key = read_key(&self.private_key_pem, "the authority's key")?;
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|_| bad("the authority's certificate is not PEM"))?;
        let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
            aws_lc_rs::signature::KeyPair::public_key(&key).as_der().map_err(|_| io::Error::other("RSA"))?;
        let public: &[u8] = public.as_ref();
        if !certificate.windows(public.len()).any(|part| part == public) {
            return Err(bad("the authority's certificate is not over its key"));
        }
        Ok(key)
    }

    /// A certificate for a server on this machine, under an address of its own too, and the key.
    pub(super) fn server(
        &self,
        address: IpAddr,
    ) -> io::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let key = fresh_key()?;
        let serial = random::serial();
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), address];
        let says = Says {
            serial: &serial,
            issuer: NAME,
            subject: "Simulated WeChat Pay",
            from: CERTIFIED_FROM,
            until: CERTIFIED_UNTIL,
            is_for: Purpose::Server { names: &["localhost"], addresses: &addresses },
        };
        let certificate = x509::made(&says, &key, &self.key()?)?;
        let private: Pkcs8V1Der<'_> = key.as_der().map_err(|_| io::Error::other("RSA"))?;
        let private = PrivatePkcs8KeyDer::from(private.as_ref().to_vec());
        Ok((CertificateDer::from(certificate), private.into()))
    }
}

/// Shows no key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("private_key_pem", &"[secret]").finish_non_exhaustive()
    }
}
