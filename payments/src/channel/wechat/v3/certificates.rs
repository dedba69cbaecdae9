//! Which platform certificates were downloaded, and when are they asked for again?
//!
//! What is kept is public. It stands in memory only: a process that starts asks for it, and so does whoever meets a
//! serial that nobody here has heard of, but once a minute at most.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::HeaderMap;
use serde::Deserialize;
use units::Timestamp;

use super::{
    Credentials, PlatformKeyPart,
    credentials::PlatformKey,
    resource::{self, Resource, ResourceError},
    verify,
    x509::is_same_number,
};
use crate::channel::VerifyError;

/// How long a list is good for. WeChat Pay wants it asked for within twelve hours.
/// Source: WeChat Pay API v3, downloading platform certificates.
const FRESH: Duration = Duration::from_secs(11 * 3600);
/// When to try again after a failure.
const AGAIN: Duration = Duration::from_secs(300);
/// Unknown serials make us ask no more often, however many there are.
const EVERY: Duration = Duration::from_secs(60);

/// Downloaded certificates by their serials.
pub(super) type Ring = BTreeMap<String, Arc<PlatformKey>>;

/// The downloaded certificates of one merchant. Whoever verifies something takes them as they are when it begins.
#[derive(Default)]
pub(super) struct Certificates {
    ring: ArcSwap<Ring>,
    asked: Mutex<Asked>,
    /// Held by the one who asks.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificates").field(&self.ring.load().keys()).finish()
    }
}

#[derive(Default)]
struct Asked {
    /// When somebody last met a serial that made us ask.
    looked_at: Option<Timestamp>,
    /// When it is time for the next list.
    due: Option<Timestamp>,
    /// The last list.
    last: Ring,
}

/// What a merchant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloaded {
    /// Certificates of these serials.
    Certificates(Vec<String>),
    /// None: WeChat Pay signs with its public key for this merchant.
    PublicKeyOnly,
}

impl Certificates {
    /// As they are now.
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Whether it is time to ask again. A clock that was put back is no reason to wait.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.due.is_none_or(|due| due <= now || due > now.after(FRESH))
    }

    /// Somebody asks at `now`.
    pub(super) fn asked(&self, now: Timestamp) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.due = Some(now.after(AGAIN));
    }

    /// Whether an unknown serial is reason enough to ask at `now`; if so, that is what is done from now on. Lists that
    /// were asked for because it was time do not count: a certificate may come into use right after one.
    pub(super) fn may_look(&self, now: Timestamp) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = asked.looked_at.is_none_or(|at| at.after(EVERY) <= now || at > now);
        if may {
            asked.looked_at = Some(now);
        }
        may
    }

    /// There was an answer: what it says, if it says anything, replaces what was there. A certificate that is gone from
    /// the list stays until the next one, so that what it signed a moment ago is still believed.
    pub(super) fn keep(&self, list: Option<Ring>, now: Timestamp) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.due = Some(now.after(FRESH));
        if let Some(list) = list {
            let mut ring = std::mem::replace(&mut asked.last, list.clone());
            ring.extend(list);
            self.ring.store(Arc::new(ring));
        }
    }
}

/// An answer. Source: WeChat Pay API v3, downloading platform certificates.
#[derive(Deserialize)]
struct Listed {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    serial_no: String,
    encrypt_certificate: Resource,
}

/// Why a list of certificates is not believed. Nothing of it is kept then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not the shape that is documented.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A certificate cannot be decrypted.
    #[error("a certificate of the list cannot be read: {0}")]
    Sealed(#[from] ResourceError),
    /// A certificate is none, or has another number than the list says.
    #[error("the certificate {serial}: {problem}")]
    Certificate {
        /// As the list says.
        serial: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Signed by nobody whom we know or who stands in it.
    #[error("its signature does not hold: {0}")]
    Unverified(#[from] VerifyError),
}

/// Reads a list of certificates, and believes it if it is signed by one that we hold, or by one of its own: that these
/// are WeChat Pay's is vouched for by the APIv3 key they are encrypted with, which nobody else has.
///
/// # Errors
/// [`ListError`]: the first check that failed.
pub(super) fn read(
    credentials: &Credentials,
    held: &Ring,
    now: Timestamp,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Ring, ListError> {
    let listed: Listed =
        serde_json::from_slice(body).map_err(|error| ListError::Malformed(error.to_string()))?;
    let mut ring = Ring::new();
    for Entry { serial_no, encrypt_certificate } in listed.data {
        let bad = |problem| ListError::Certificate { serial: serial_no.clone(), problem };
        let pem = resource::open(credentials, &encrypt_certificate)?;
        let (serial, key) = PlatformKey::read("certificate", &PlatformKeyPart::Certificate { pem })
            .map_err(|error| bad(error.problem))?;
        if !is_same_number(&serial, &serial_no) {
            return Err(bad("its own serial is another"));
        }
        ring.insert(serial_no.to_ascii_uppercase(), Arc::new(key));
    }
    verify::check_by(now, headers, body, |serial| {
        let known = credentials.platform_key(serial);
        known.or_else(|| held.get(serial).or_else(|| ring.get(serial)).map(|key| &**key))
    })?;
    Ok(ring)
}
