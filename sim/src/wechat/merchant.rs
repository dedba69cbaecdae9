//! Who is a merchant to WeChat Pay? Keys, and one set of books for both APIs.
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::credentials::Credentials;
use super::orders::Books;
use super::platform::Platform;
use super::v3::Link;
use crate::random;

/// A merchant number with everything that belongs to it.
pub(crate) struct Merchant {
    pub(crate) platform: Platform,
    /// The certificate that the merchant shows over TLS, DER; nothing where it was never issued one.
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// The key that v2's sandbox signs with.
    pub(super) sandbox_key: String,
    books: Mutex<Books>,
    links: Mutex<Vec<Link>>,
}

/// Shows no key.
impl std::fmt::Debug for Merchant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merchant").field("platform", &self.platform).finish_non_exhaustive()
    }
}

impl Merchant {
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub(super) fn new(credentials: Credentials) -> io::Result<Self> {
        let books = Mutex::new(Books::of(&credentials.mchid));
        let certificate =
            CertificateDer::from_pem_slice(credentials.merchant_certificate_pem.as_bytes()).ok();
        Ok(Self {
            platform: Platform::new(credentials)?,
            certificate,
            sandbox_key: random::hex_upper(32).to_ascii_lowercase(),
            books,
            links: Mutex::default(),
        })
    }

    pub(crate) fn mchid(&self) -> &str {
        &self.platform.credentials.mchid
    }

    /// The merchant's books. Never held across an await.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
