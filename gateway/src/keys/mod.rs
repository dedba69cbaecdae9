//! Keys: whose key is this?
//!
//! Knows keys by their digest only. Speaks to a [`KeySource`] for keys this process has not heard of yet, and to
//! [`Limits`](crate::limits::Limits), which turn away who is too fast; what it learns it hands on as an [`Authed`] request.

mod digest;
mod layer;
mod secret;
mod source;
mod table;

pub use digest::{KeyDigest, digest};
pub use layer::{Auth, AuthLayer, Authed};
pub use secret::fresh_secret;
pub use source::{KeySource, Later, SourceDown};
pub use table::{AuthError, KeyRecord, KeyTable, Keys};
