//! Where keys come from that the table does not hold yet.

use std::{future::Future, pin::Pin};

use super::{KeyDigest, KeyRecord};

/// A boxed future that may be sent between threads.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store of keys as this room sees it; asked once per unknown key and then not again for a moment.
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// The key with this digest, if there is one, revoked or not.
    fn lookup(&self, digest: &KeyDigest) -> Later<'_, Result<Option<KeyRecord>, SourceDown>>;
}

/// The store could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key store is unavailable: {0}")]
pub struct SourceDown(pub String);
