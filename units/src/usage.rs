//! What did a call use, and what does that cost? Counts by class, disjoint, so that their sum is the whole.

use serde::{Deserialize, Serialize};

use crate::{NanoCny, Overflow, Rate, Tokens};

/// Tokens of one call by class of price. The classes are disjoint: a cached token is not counted in `input` again,
/// whatever the provider's own convention was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Usage {
    /// Fresh input.
    pub input: Tokens,
    /// Input read from the provider's cache.
    pub cached_input: Tokens,
    /// Input written to the provider's cache.
    pub cache_write: Tokens,
    /// Output, reasoning included.
    pub output: Tokens,
    /// How much of `output` was reasoning: shown, not charged a second time.
    pub reasoning: Tokens,
    /// How much of the input was sound: shown, not charged a second time.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub audio_input: Tokens,
    /// How much of the input was pictures.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub image_input: Tokens,
    /// How much of `output` was sound.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub audio_output: Tokens,
}

impl Usage {
    /// All input, as the OpenAI wire counts it.
    #[must_use]
    pub const fn prompt(&self) -> Tokens {
        self.input.saturating_plus(self.cached_input).saturating_plus(self.cache_write)
    }

    /// Input and output together.
    #[must_use]
    pub const fn total(&self) -> Tokens {
        self.prompt().saturating_plus(self.output)
    }

    /// The charged classes in the order in which a token balance pays for them.
    pub fn charged(&self, rates: &Rates) -> [(Tokens, Rate); 4] {
        [
            (self.input, rates.input),
            (self.cached_input, rates.cached_input),
            (self.cache_write, rates.cache_write),
            (self.output, rates.output),
        ]
    }
}

/// What one token of each class costs the customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rates {
    /// Fresh input.
    pub input: Rate,
    /// Input read from the provider's cache.
    pub cached_input: Rate,
    /// Input written to the provider's cache.
    pub cache_write: Rate,
    /// Output, reasoning included.
    pub output: Rate,
}

impl Rates {
    /// What `usage` costs, exactly.
    ///
    /// # Errors
    /// [`Overflow`] if the cost exceeds a ledger amount.
    pub fn charge(&self, usage: &Usage) -> Result<NanoCny, Overflow> {
        usage
            .charged(self)
            .into_iter()
            .try_fold(NanoCny::ZERO, |sum, (tokens, rate)| sum.plus(rate.charge(tokens)?))
    }

    /// The dearest rate an input token can meet: what a ceiling is reckoned with.
    pub fn dearest_input(&self) -> Rate {
        self.input.max(self.cached_input).max(self.cache_write)
    }
}
