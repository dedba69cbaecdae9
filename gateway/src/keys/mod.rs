//! Keys: whose key is this, and how fast may it go?
//!
//! Knows keys by their digest only. Speaks to a [`KeySource`] for keys this process has not heard of yet; what it
//! learns it hands on as an [`Authed`] request.

mod digest;
mod gcra;
mod layer;
mod pace;
mod secret;
mod source;
mod table;

pub use digest::{KeyDigest, digest};
pub use gcra::Gcra;
pub use layer::{Auth, AuthLayer, Authed};
pub use pace::Paces;
pub use secret::fresh_secret;
pub use source::{KeySource, Later, SourceDown};
pub use table::{AuthError, KeyRecord, KeyTable, Keys};
