//! Packages: so many tokens of these models for so much. Versions never change; a new one takes the place of the last.

use serde::{Deserialize, Serialize};
use units::{Fen, Timestamp};

use super::{Asset, TokenTerms, Weights};

/// One version of a package, as it is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageOffer {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Its version, from 1 without a gap.
    pub version: i64,
    /// What people call it.
    pub title: String,
    /// What it costs.
    pub price: Fen,
    /// How many tokens it holds, whole.
    pub tokens: i64,
    /// The models it pays for.
    pub models: Vec<String>,
    /// What each class of token burns.
    pub weights: Weights,
}

impl PackageOffer {
    /// The name of its balance. No model's own tokens are called so: their names have a `~`.
    fn balance(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// The balance its tokens lie in.
    pub fn asset(&self) -> Asset {
        Asset::Tokens(self.balance())
    }

    /// What its tokens pay for.
    pub fn terms(&self, at: Timestamp) -> TokenTerms {
        TokenTerms {
            id: self.balance(),
            title: self.title.clone(),
            models: self.models.clone(),
            weights: self.weights,
            created_at: at,
        }
    }
}

/// A version of a package in the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// What it offers. Never changes.
    pub offer: PackageOffer,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is not sold any more. What was sold stays good.
    pub retired_at: Option<Timestamp>,
}
