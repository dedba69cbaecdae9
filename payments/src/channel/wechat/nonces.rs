//! Which nonces were used within a day? Evidence for whoever looks into a dispute, and never a test of anything: a genuine
//! notification that comes again may have an old nonce or a new one, and is answered by what its payment says.

use std::{
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    time::Duration,
};

use moka::sync::Cache;
use units::Timestamp;

/// For so long a nonce is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// Of more than these the longest unused are forgotten sooner: a busy day has more queries than anybody looks into.
const NONCES_MAX: u64 = 100_000;

/// A nonce that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceSeen {
    /// When first.
    pub at: Timestamp,
    /// Whether we made it; otherwise it came with a genuine notification.
    pub made_by_us: bool,
    /// In what: a request's method and path, `paySign`, or the event's id.
    pub about: String,
    /// How often it was seen.
    pub times: u32,
}

#[derive(Debug)]
struct Kept {
    at: Timestamp,
    made_by_us: bool,
    about: String,
    times: AtomicU32,
}

/// The nonces of one client. Clones share them.
#[derive(Debug, Clone)]
pub struct Nonces(Cache<String, Arc<Kept>>);

impl Default for Nonces {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(NONCES_MAX).time_to_live(REMEMBERED).build())
    }
}

impl Nonces {
    /// We signed something with it.
    pub(super) fn made(&self, nonce: &str, about: String, at: Timestamp) {
        self.saw(nonce, true, about, at);
    }

    /// A genuine notification has it.
    pub(super) fn heard(&self, nonce: &str, about: &str, at: Timestamp) {
        self.saw(nonce, false, about.to_owned(), at);
    }

    fn saw(&self, nonce: &str, made_by_us: bool, about: String, at: Timestamp) {
        let kept = self
            .0
            .entry_by_ref(nonce)
            .or_insert_with(|| Arc::new(Kept { at, made_by_us, about, times: AtomicU32::new(0) }));
        kept.value().times.fetch_add(1, Ordering::Relaxed);
    }

    /// What is known of a nonce at `now`.
    pub fn find(&self, nonce: &str, now: Timestamp) -> Option<NonceSeen> {
        let kept = self.0.get(nonce).filter(|kept| now.since(kept.at) < REMEMBERED)?;
        Some(NonceSeen {
            at: kept.at,
            made_by_us: kept.made_by_us,
            about: kept.about.clone(),
            times: kept.times.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_evidence_for_a_day_and_counts_how_often_it_came() {
        let (nonces, at) = (Nonces::default(), Timestamp::from_secs(1_000));
        nonces.made("n1", "GET /v3/x".to_owned(), at);
        nonces.heard("n2", "EV-1", at);
        nonces.heard("n2", "EV-1", at.after(Duration::from_secs(15)));
        let seen = nonces.find("n2", at.after(Duration::from_secs(86_399))).unwrap();
        assert_eq!((seen.at, seen.made_by_us, seen.times), (at, false, 2));
        assert!(nonces.find("n1", at).unwrap().made_by_us);
        assert_eq!(nonces.find("n1", at.after(REMEMBERED)), None);
        assert_eq!(nonces.find("n3", at), None);
    }
}
