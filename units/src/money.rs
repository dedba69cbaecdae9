//! What is an amount? Nano-yuan inside, fen where WeChat Pay is spoken to; never a float, never a bare integer.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decimal::{self, DecimalError};

/// Nano-yuan in one fen.
const NANO_PER_FEN: i64 = 10_000_000;

/// Arithmetic left the range of a ledger amount. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("amount out of range")]
pub struct Overflow;

/// A billionth of a yuan: the ledger's only unit of money. Signed, because differences and corrections are.
///
/// JSON: a decimal string in yuan, e.g. `"12.34"` or `"0.000046335"`; never a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NanoCny(i64);

impl NanoCny {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From the ledger's integer.
    pub const fn new(nano: i64) -> Self {
        Self(nano)
    }

    /// The ledger's integer.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whole yuan.
    pub const fn from_yuan(yuan: i32) -> Self {
        Self(yuan as i64 * 1_000_000_000)
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`] beyond `i64`.
    pub const fn plus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_add(other.0) {
            Some(sum) => Ok(Self(sum)),
            None => Err(Overflow),
        }
    }

    /// The difference, which may be negative.
    ///
    /// # Errors
    /// [`Overflow`] beyond `i64`.
    pub const fn minus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Ok(Self(difference)),
            None => Err(Overflow),
        }
    }

    /// Whole fen in this amount, rounded towards negative infinity: what may leave as cash.
    pub const fn floor_fen(self) -> i64 {
        self.0.div_euclid(NANO_PER_FEN)
    }

    /// True below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl From<Fen> for NanoCny {
    /// Exact: 1 fen is 10,000,000 nano-yuan, and the constructor of [`Fen`] refuses what would not fit.
    fn from(fen: Fen) -> Self {
        Self(fen.0 * NANO_PER_FEN)
    }
}

impl fmt::Display for NanoCny {
    /// Yuan with at least two decimals and no further trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format(self.0, 9, 2))
    }
}

impl FromStr for NanoCny {
    type Err = DecimalError;

    /// Yuan as written, at most nine decimals.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        decimal::parse(s, 9).map(Self)
    }
}

/// A hundredth of a yuan: the unit of WeChat Pay's amounts. Never negative.
///
/// JSON: a decimal string in yuan with two decimals. Use [`Fen::get`] where a wire wants the integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fen(i64);

/// A payment or refund of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount must be at least 0.01 yuan")]
pub struct ZeroFen;

impl Fen {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount whose nano-yuan fit the ledger.
    pub const MAX: Self = Self(i64::MAX / NANO_PER_FEN);

    /// # Errors
    /// [`Overflow`] if negative or beyond [`Fen::MAX`].
    pub const fn new(fen: i64) -> Result<Self, Overflow> {
        if fen < 0 || fen > Self::MAX.0 { Err(Overflow) } else { Ok(Self(fen)) }
    }

    /// The integer a wire carries.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This amount if something is to be paid at all: WeChat Pay refuses zero.
    ///
    /// # Errors
    /// [`ZeroFen`].
    pub const fn at_least_one(self) -> Result<Self, ZeroFen> {
        if self.0 == 0 { Err(ZeroFen) } else { Ok(self) }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`] beyond [`Fen::MAX`].
    pub const fn plus(self, other: Self) -> Result<Self, Overflow> {
        Self::new(self.0 + other.0)
    }

    /// What is left after taking `other` away.
    ///
    /// # Errors
    /// [`Overflow`] if `other` is larger.
    pub const fn minus(self, other: Self) -> Result<Self, Overflow> {
        Self::new(self.0 - other.0)
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format(self.0, 2, 2))
    }
}

impl FromStr for Fen {
    type Err = DecimalError;

    /// Yuan as written, at most two decimals, not negative.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(decimal::parse(s, 2)?).map_err(|Overflow| DecimalError::Range)
    }
}

macro_rules! decimal_string_in_json {
    ($($amount:ty),*) => {$(
        impl Serialize for $amount {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
decimal_string_in_json!(NanoCny, Fen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fen_a_payment_can_carry_fits_the_ledger_exactly() {
        assert_eq!(NanoCny::from(Fen::MAX).floor_fen(), Fen::MAX.get());
        assert_eq!(Fen::new(Fen::MAX.get() + 1), Err(Overflow));
        assert_eq!(Fen::new(-1), Err(Overflow));
        assert_eq!(NanoCny::from(Fen::new(1).unwrap()).get(), 10_000_000);
    }

    #[test]
    fn leaving_as_cash_rounds_down() {
        assert_eq!(NanoCny::new(426_543_220_000).floor_fen(), 42_654);
        assert_eq!(NanoCny::new(-1).floor_fen(), -1);
    }

    #[test]
    fn reads_and_writes_yuan() {
        assert_eq!("12.34".parse::<Fen>().unwrap().get(), 1234);
        assert_eq!("12.345".parse::<Fen>(), Err(DecimalError::TooPrecise(2)));
        assert_eq!("-1".parse::<Fen>(), Err(DecimalError::Range));
        assert_eq!(NanoCny::new(46_334_950).to_string(), "0.04633495");
        assert_eq!(NanoCny::from_yuan(5).to_string(), "5.00");
    }
}
