//! Which keys count now? The table follows the store's, so that a revocation takes effect at once.

use std::sync::Arc;

use payments::store::Store;
use tokio_util::sync::CancellationToken;

use crate::{cashier::StoredKeys, keys::KeyTable};

/// Replaces `table` whenever a key was added or revoked, until `stop`.
pub async fn follow_keys(store: Store, table: Arc<KeyTable>, stop: CancellationToken) {
    let mut changed = store.keys_changed();
    let source = StoredKeys(store);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            seen = changed.changed() => if seen.is_err() { return },
        }
        match source.all().await {
            Ok(keys) => table.store(Arc::new(keys.into_iter().collect())),
            // The next change tries again; unknown keys are looked up one by one meanwhile.
            Err(error) => tracing::error!(%error, "the table of keys could not be renewed"),
        }
    }
}
