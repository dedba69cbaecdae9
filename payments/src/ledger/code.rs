//! Credit codes: who holds one has money coming that nobody paid. The code itself is never kept, only its digest.

use serde::{Deserialize, Serialize};
use units::{AccountId, Livemode, NanoCny, Timestamp};

/// A code as it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCode {
    /// SHA-256 of the code, in lower-case hex: a code must have enough chance in it not to be guessed.
    pub digest: String,
    /// Its last characters, enough to recognise it by.
    pub hint: String,
    /// What it gives.
    pub amount: NanoCny,
    /// How long what it gives lasts, in seconds; without end where absent.
    pub lifetime_s: Option<i64>,
    /// Until when it can be redeemed.
    pub valid_until: Option<Timestamp>,
    /// How many accounts may redeem it.
    pub uses: i64,
    /// What it is part of: an account redeems one code of a campaign.
    pub campaign: String,
    /// Which kind of account may redeem it.
    pub livemode: Livemode,
}

/// A code in the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditCode {
    /// What it gives, and to how many.
    pub terms: NewCode,
    /// How often it was redeemed.
    pub used: i64,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is void.
    pub voided_at: Option<Timestamp>,
}

/// The lot that a campaign gives an account: there is one, so it is given once.
pub(crate) fn campaign_lot(campaign: &str, account: AccountId) -> String {
    format!("campaign:{campaign}:{account}")
}
