//! What does a bought token pay for? Which models, and how many thousandths each class of token burns.
//!
//! The terms are frozen when tokens are sold: a later price list changes what new tokens cost, never what old ones buy.

use serde::{Deserialize, Serialize};
use units::{Percent, Rates, Timestamp};

use super::{Asset, tokens::weight_milli};

/// Thousandths of a bought token that one token of each class burns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Weights {
    /// Fresh input.
    pub input: i64,
    /// Input read from the upstream's cache.
    pub cached_input: i64,
    /// Input written to the upstream's cache.
    pub cache_write: i64,
    /// Output, reasoning included.
    pub output: i64,
}

impl Weights {
    /// Every token burns one.
    pub const PLAIN: Self = Self { input: 1_000, cached_input: 1_000, cache_write: 1_000, output: 1_000 };

    /// One bought token is one token of fresh input; the others burn it in proportion to their prices, rounded up, so
    /// that tokens never pay less than money would.
    pub fn of_rates(rates: &Rates) -> Self {
        let weight = |rate| weight_milli(rate, rates.input);
        Self {
            input: 1_000,
            cached_input: weight(rates.cached_input),
            cache_write: weight(rates.cache_write),
            output: weight(rates.output),
        }
    }

    /// The share of each, rounded down to the thousandth of a token.
    #[must_use]
    pub fn at_percent(&self, share: Percent) -> Self {
        let of = |weight| share.of_rounded_down(weight);
        Self {
            input: of(self.input),
            cached_input: of(self.cached_input),
            cache_write: of(self.cache_write),
            output: of(self.output),
        }
    }

    /// In the order in which a usage's classes are charged.
    pub const fn by_class(&self) -> [i64; 4] {
        [self.input, self.cached_input, self.cache_write, self.output]
    }
}

/// What the tokens of one kind of balance buy. Immutable; the balance's asset is `TOK:<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenTerms {
    /// Its name.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// The models it pays for.
    pub models: Vec<String>,
    /// What each class burns.
    pub weights: Weights,
    /// Since when.
    pub created_at: Timestamp,
}

impl TokenTerms {
    /// Tokens of one model, as an order of kind `tokens` sells them at these rates. Equal weights share one balance.
    pub fn of_model(model: &str, rates: &Rates, at: Timestamp) -> Self {
        let weights = Weights::of_rates(rates);
        let id = format!("{model}~{}-{}-{}", weights.cached_input, weights.cache_write, weights.output);
        Self { id, title: model.to_owned(), models: vec![model.to_owned()], weights, created_at: at }
    }

    /// The balance such tokens lie in.
    pub fn asset(&self) -> Asset {
        Asset::Tokens(self.id.clone())
    }

    /// True where such tokens may pay for `model`.
    pub fn pays_for(&self, model: &str) -> bool {
        self.models.iter().any(|named| named == model)
    }
}
