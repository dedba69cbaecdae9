//! Where keys come from that this process has not seen: the books.

use payments::{ledger::ApiKey, store::Store};

use crate::{
    chat::KeyLimits,
    keys::{KeyDigest, KeyRecord, KeySource, Later, SourceDown},
};

/// The keys in the store.
#[derive(Debug, Clone)]
pub struct StoredKeys(pub Store);

impl StoredKeys {
    /// Every key that is not revoked, by digest.
    ///
    /// # Errors
    /// [`SourceDown`] if the store cannot be read.
    pub async fn all(&self) -> Result<Vec<(KeyDigest, KeyRecord)>, SourceDown> {
        let keys = self.0.live_keys().await.map_err(|error| SourceDown(error.to_string()))?;
        Ok(keys.into_iter().filter_map(|key| Some((digest_of(&key)?, record(key)))).collect())
    }
}

impl KeySource for StoredKeys {
    fn lookup(&self, digest: &KeyDigest) -> Later<'_, Result<Option<KeyRecord>, SourceDown>> {
        let digest = base16ct::lower::encode_string(&digest.0);
        Box::pin(async move {
            let found = self.0.key_by_digest(digest).await.map_err(|error| SourceDown(error.to_string()))?;
            Ok(found.map(record))
        })
    }
}

fn digest_of(key: &ApiKey) -> Option<KeyDigest> {
    let mut digest = [0; 32];
    base16ct::lower::decode(&key.digest, &mut digest).ok()?;
    Some(KeyDigest(digest))
}

fn record(key: ApiKey) -> KeyRecord {
    KeyRecord {
        key: key.id,
        account: key.account,
        livemode: key.livemode,
        name: key.name,
        limits: KeyLimits {
            requests_per_minute: key.requests_per_minute,
            tokens_per_minute: key.tokens_per_minute,
            concurrency_max: key.concurrency_max,
        },
        revoked: key.revoked_at.is_some(),
        expires_at: key.expires_at,
        temporary: key.grant.is_some(),
    }
}
