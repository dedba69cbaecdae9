//! What does a token cost, and how many are there?

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{NanoCny, Overflow, decimal};

/// A count of model tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl Tokens {
    /// True where there are none.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub const fn is_none(&self) -> bool {
        self.0 == 0
    }

    /// The sum, held at the largest count there is.
    #[must_use]
    pub const fn saturating_plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nano-yuan per token. A price of 0.01 yuan per million tokens is a rate of 10, so a price of two (even three)
/// decimals per million is exact, and so is every charge made from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(i64);

impl Rate {
    /// # Errors
    /// [`Overflow`] if negative: a price never pays the customer.
    pub const fn new(nano_per_token: i64) -> Result<Self, Overflow> {
        if nano_per_token < 0 { Err(Overflow) } else { Ok(Self(nano_per_token)) }
    }

    /// From a price in fen per million tokens: exact.
    ///
    /// # Errors
    /// [`Overflow`] if negative or too large.
    pub const fn from_fen_per_million(fen: i64) -> Result<Self, Overflow> {
        match fen.checked_mul(10) {
            Some(nano) => Self::new(nano),
            None => Err(Overflow),
        }
    }

    /// Nano-yuan per token.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// What `tokens` cost at this rate, exactly.
    ///
    /// # Errors
    /// [`Overflow`] if the cost exceeds a ledger amount.
    pub fn charge(self, tokens: Tokens) -> Result<NanoCny, Overflow> {
        let exact = i128::from(self.0) * i128::from(tokens.0);
        i64::try_from(exact).map(NanoCny::new).map_err(|_| Overflow)
    }

    /// How many whole tokens `amount` buys; `None` at a rate of zero, which buys without end.
    pub fn tokens_for(self, amount: NanoCny) -> Option<Tokens> {
        let amount = u64::try_from(amount.get()).unwrap_or(0);
        amount.checked_div(self.0.unsigned_abs()).map(Tokens)
    }
}

impl fmt::Display for Rate {
    /// Yuan per million tokens, with two decimals or, where the list has them, three.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format(self.0, 3, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MONEY.md section 6, the worked example.
    #[test]
    fn a_charge_is_exact() {
        let rate = |fen| Rate::from_fen_per_million(fen).unwrap();
        let cost = [(rate(1781), 234), (rate(178), 1_000), (rate(7123), 567)]
            .into_iter()
            .try_fold(NanoCny::ZERO, |sum, (rate, n)| sum.plus(rate.charge(Tokens(n))?))
            .unwrap();
        assert_eq!(cost.to_string(), "0.04633495");
    }

    #[test]
    fn refuses_what_does_not_fit_instead_of_wrapping() {
        assert_eq!(Rate::new(-1), Err(Overflow));
        assert_eq!(Rate::new(i64::MAX).unwrap().charge(Tokens(2)), Err(Overflow));
        assert_eq!(Rate::new(1).unwrap().charge(Tokens(u64::MAX)), Err(Overflow));
    }

    #[test]
    fn shows_yuan_per_million() {
        assert_eq!(Rate::from_fen_per_million(1781).unwrap().to_string(), "17.81");
        assert_eq!(Rate::new(7).unwrap().to_string(), "0.007");
        assert_eq!(Rate::new(0).unwrap().tokens_for(NanoCny::from_yuan(1)), None);
        assert_eq!(Rate::new(2_000).unwrap().tokens_for(NanoCny::from_yuan(10)), Some(Tokens(5_000_000)));
    }
}
