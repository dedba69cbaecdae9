//! From headers to a caller.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderMap, header};
use tokio::sync::Semaphore;
use units::{AccountId, Clock, KeyId, Livemode, Timestamp};

use super::{KeyDigest, KeySource, SourceDown, digest};
use crate::{
    chat::{Caller, KeyLimits},
    limits::Limits,
};

/// How long an answer of the source is believed. Short, so that a key created or revoked elsewhere counts at once.
const LOOKUP_TTL: Duration = Duration::from_secs(1);
/// Unknown digests remembered at once.
const LOOKUPS_MAX: u64 = 10_000;
/// Lookups at once: a flood of made-up keys must not become a flood of queries.
const LOOKUPS_AT_ONCE: usize = 16;
/// Longer texts are not keys.
const KEY_MAX_BYTES: usize = 256;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub key: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// Whether the account's money is real.
    pub livemode: Livemode,
    /// What its owner calls it.
    pub name: String,
    /// How fast it may go.
    pub limits: KeyLimits,
    /// Whether it was revoked. Calls in flight survive that, new ones do not.
    pub revoked: bool,
    /// From when on it is refused, if it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// True for the key of a temporary grant, which spends money only.
    pub temporary: bool,
}

/// All keys, replaced whole when they change.
pub type KeyTable = ArcSwap<HashMap<KeyDigest, KeyRecord>>;

/// Why a request has no caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No header holds a key.
    #[error("No API key was given. Send it as `Authorization: Bearer YOUR_KEY`.")]
    Missing,
    /// Something stands where a key should, and is not one.
    #[error("The Authorization header holds no API key. Send it as `Authorization: Bearer YOUR_KEY`.")]
    Malformed,
    /// White space in the key: a copy and paste error.
    #[error(
        "The API key holds white space or a line break. It was probably copied with one; remove it and try again."
    )]
    StrayWhitespace,
    /// The key is revoked.
    #[error("This API key was revoked. Create a new one, or ask whoever administers the account.")]
    Revoked,
    /// The key was made for a while, and that is over.
    #[error("This API key was temporary and its time is over. Use a lasting key of the account.")]
    Over,
    /// Nobody's key.
    #[error("Incorrect API key provided. Check that it is complete and that it belongs to this server.")]
    Unknown,
    /// Whether it is a key cannot be told at the moment.
    #[error(transparent)]
    Unavailable(#[from] SourceDown),
}

/// Recognises keys.
#[derive(Clone)]
pub struct Keys {
    table: Arc<KeyTable>,
    secret: Arc<[u8]>,
    source: Arc<dyn KeySource>,
    lookups: moka::future::Cache<KeyDigest, Option<KeyRecord>>,
    at_once: Arc<Semaphore>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("known", &self.table.load().len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// `secret` is the server's, the one the digests in `table` were made with.
    pub fn new(
        table: Arc<KeyTable>,
        secret: &[u8],
        source: Arc<dyn KeySource>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lookups =
            moka::future::Cache::builder().max_capacity(LOOKUPS_MAX).time_to_live(LOOKUP_TTL).build();
        let at_once = Arc::new(Semaphore::new(LOOKUPS_AT_ONCE));
        Self { table, secret: secret.into(), source, lookups, at_once, limits, clock }
    }

    /// How far their owners may go.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Who sends this.
    ///
    /// # Errors
    /// [`AuthError`], whose text tells the client what to do.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let digest = digest(&self.secret, key_in(headers)?);
        let now = self.clock.now();
        let known = self.table.load().get(&digest).map(|record| caller(record, now));
        match known {
            Some(known) => known,
            None => {
                let found = self.look_up(digest).await?;
                found.as_ref().map_or(Err(AuthError::Unknown), |record| caller(record, now))
            }
        }
    }

    async fn look_up(&self, digest: KeyDigest) -> Result<Option<KeyRecord>, SourceDown> {
        let ask = async {
            let closed = |_| SourceDown("shutting down".into());
            let _turn = self.at_once.acquire().await.map_err(closed)?;
            self.source.lookup(&digest).await
        };
        let found = self.lookups.try_get_with(digest, ask).await;
        found.map_err(|e: Arc<SourceDown>| SourceDown::clone(&e))
    }
}

fn caller(record: &KeyRecord, now: Timestamp) -> Result<Caller, AuthError> {
    if record.expires_at.is_some_and(|end| end <= now) {
        return Err(AuthError::Over);
    }
    if record.revoked {
        return Err(AuthError::Revoked);
    }
    let KeyRecord { key, account, livemode, limits, temporary, .. } = *record;
    Ok(Caller { account, key, livemode, limits, money_only: temporary })
}

/// The key's text: `Authorization: Bearer`, or the header that clients of Azure or Anthropic send it in.
fn key_in(headers: &HeaderMap) -> Result<&str, AuthError> {
    let (text, bearer) = if let Some(value) = headers.get(header::AUTHORIZATION) {
        (value, true)
    } else {
        let value = headers.get("api-key").or_else(|| headers.get("x-api-key"));
        (value.ok_or(AuthError::Missing)?, false)
    };
    let text = text.to_str().map_err(|_| AuthError::Malformed)?;
    let key = if bearer {
        let (scheme, key) = text.split_once(' ').ok_or(AuthError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Malformed);
        }
        key
    } else {
        text
    };
    if key.trim().is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(if key.trim().is_empty() { AuthError::Missing } else { AuthError::Unknown });
    }
    if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(AuthError::StrayWhitespace);
    }
    Ok(key)
}
