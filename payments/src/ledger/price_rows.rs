//! Price lists and rates of exchange, as they stand in every store.

use serde::{Deserialize, Serialize};
use units::{AccountId, Timestamp};

/// A named price list: how many versions it has, and the draft of the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// Its name.
    pub name: String,
    /// The number of its last published version; 0 before the first.
    pub versions: i64,
    /// What may be published next.
    pub draft: Option<PriceDraft>,
}

/// What may be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceDraft {
    /// A [`Document`](crate::prices::Document) in its canonical form.
    pub document: String,
    /// SHA-256 of it, in lower-case hex.
    pub source_hash: String,
    /// Who saved it.
    pub author: String,
    /// When.
    pub saved_at: Timestamp,
}

/// One published version. Immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceVersion {
    /// Of which list.
    pub list: String,
    /// Which: 1 is the first.
    pub number: i64,
    /// From when on it counts.
    pub valid_from: Timestamp,
    /// When it was published.
    pub published_at: Timestamp,
    /// By whom.
    pub author: String,
    /// Why.
    pub reason: Option<String>,
    /// SHA-256 of the document, in lower-case hex.
    pub source_hash: String,
    /// The rates that its foreign prices came to when it was published. Quotes are made with the rate of their own
    /// moment, and name it.
    pub fx: Vec<FxNoted>,
    /// A [`Document`](crate::prices::Document) in its canonical form.
    pub document: String,
}

impl PriceVersion {
    /// The row's key: `standard:3`.
    pub fn id(&self) -> String {
        crate::prices::version_name(&self.list, self.number)
    }
}

/// A rate beside a published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FxNoted {
    /// Which pair.
    pub pair: String,
    /// Which row.
    pub id: String,
    /// Yuan per unit, in millionths.
    pub rate_micro: i64,
}

/// The list an account buys by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceAssignment {
    /// Which account.
    pub account: AccountId,
    /// Which list; the default one where absent.
    pub list: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: Option<String>,
}

/// One rate of exchange, accepted from a source or pinned by a person. Immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FxRate {
    /// What quotes name it by: `USD/CNY:17`.
    pub id: String,
    /// Which pair.
    pub pair: String,
    /// Which of its rates: 1 is the first.
    pub number: i64,
    /// Yuan per unit, in millionths.
    pub rate_micro: i64,
    /// Who says so: a source's name, or `pinned`.
    pub source: String,
    /// When the source observed it, if it says.
    pub observed_at: Option<Timestamp>,
    /// When it was asked for: its age counts from here.
    pub fetched_at: Timestamp,
    /// Who else says so, where it jumped.
    pub confirmed_by: Option<String>,
    /// True where a person fixed it.
    pub pinned: bool,
    /// When a pinned one ends by itself.
    pub until: Option<Timestamp>,
    /// Who wrote it down.
    pub author: String,
    /// Why, where a person did.
    pub reason: Option<String>,
}

/// What counts for a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FxPair {
    /// Which: `USD/CNY` is yuan per dollar.
    pub pair: String,
    /// How many rates were written down.
    pub rates: i64,
    /// The last that was accepted from a source.
    pub accepted: Option<FxRate>,
    /// The one that is pinned now.
    pub pinned: Option<FxRate>,
    /// Up to this number, only rates are left that something names, or that a person pinned.
    #[serde(default)]
    pub pruned: i64,
}

impl FxPair {
    /// A pair of which nothing is known.
    pub const fn unknown(pair: String) -> Self {
        Self { pair, rates: 0, accepted: None, pinned: None, pruned: 0 }
    }

    /// The pinned rate, unless it has ended.
    pub fn pinned_at(&self, at: Timestamp) -> Option<&FxRate> {
        self.pinned.as_ref().filter(|rate| rate.until.is_none_or(|until| at < until))
    }

    /// What counts at an instant, however old it is.
    pub fn at(&self, at: Timestamp) -> Option<&FxRate> {
        self.pinned_at(at).or(self.accepted.as_ref())
    }
}
