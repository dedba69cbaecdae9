//! API v2: XML, signed with a shared key.
//!
//! Only the signature stands here so far, and only with HMAC-SHA256: MD5 is never offered, so no order can be
//! downgraded to it. Messages, notices and refunds of v2 come later; new orders use [`v3`](super::v3).

mod sign; // the signature over a message's fields

pub use sign::{sign, verify};
