//! What share of a whole?

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Rate, Rates};

/// A share in whole hundredths: nothing at 0, all of it at 100, and never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Percent(u8);

/// A number that is no [`Percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("from 0 to 100 per cent")]
pub struct NoPercent;

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// # Errors
    /// [`NoPercent`] above 100.
    pub fn new(hundredths: u64) -> Result<Self, NoPercent> {
        u8::try_from(hundredths).ok().filter(|share| *share <= 100).map(Self).ok_or(NoPercent)
    }

    /// Hundredths.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The share of `amount`, which is not negative, rounded down to its unit.
    pub fn of_rounded_down(self, amount: i64) -> i64 {
        // A share is not larger than the whole, so it fits.
        i64::try_from(i128::from(amount) * i128::from(self.0) / 100).unwrap_or(amount)
    }
}

impl TryFrom<u64> for Percent {
    type Error = NoPercent;

    fn try_from(hundredths: u64) -> Result<Self, NoPercent> {
        Self::new(hundredths)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Rates {
    /// The share of each rate, rounded down to the nano-yuan per token: never more than the share of the price.
    #[must_use]
    pub fn at_percent(&self, share: Percent) -> Self {
        let of = |rate: Rate| Rate::new(share.of_rounded_down(rate.get())).unwrap_or(rate);
        Self {
            input: of(self.input),
            cached_input: of(self.cached_input),
            cache_write: of(self.cache_write),
            output: of(self.output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_whole() {
        let of = |share, amount| Percent::new(share).unwrap().of_rounded_down(amount);
        assert_eq!((of(0, 999), of(100, 999), of(10, 2_005)), (0, 999, 200));
        assert_eq!((of(99, 1), of(100, i64::MAX), of(50, i64::MAX)), (0, i64::MAX, i64::MAX / 2));
        assert_eq!(Percent::new(101), Err(NoPercent));
        assert_eq!(Percent::new(356), Err(NoPercent), "what would wrap is refused");
        let read = |number: u64| {
            Percent::deserialize(serde::de::value::U64Deserializer::<serde::de::value::Error>::new(number))
        };
        assert_eq!(read(10), Ok(Percent(10)));
        assert!(read(101).is_err(), "nor is it read");
    }
}
