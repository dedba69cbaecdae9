//! Who is asking.

use units::{AccountId, KeyId, Livemode};

/// The owner of the key a call came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// Whether the account's money is real.
    pub livemode: Livemode,
    /// How fast this key may go.
    pub limits: KeyLimits,
    /// True for a key that spends money only, not tokens bought.
    pub money_only: bool,
}

/// A key's own limits; `None` means the table's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls in flight at once.
    pub concurrency_max: Option<u32>,
}
