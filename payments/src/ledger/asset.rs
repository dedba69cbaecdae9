//! What a balance is made of.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Money, or prepaid tokens of one model. Amounts of an asset are `i64`: nano-yuan for money, thousandths of a token
/// for tokens (so that integer weights per class of token stay exact).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asset {
    /// Yuan, in nano-yuan.
    Cny,
    /// Tokens of the named model, in thousandths of an input token.
    Tokens(String),
}

impl Asset {
    /// An amount, or a sum of amounts, as people read it: yuan, or tokens with three decimals.
    pub fn text(&self, units: impl Into<i128>) -> String {
        match self {
            Self::Cny => units::decimal::format(units, 9, 2),
            Self::Tokens(_) => units::decimal::format(units, 3, 3),
        }
    }
}

/// A text that names no asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no asset: `CNY` or `TOK:<model>`")]
pub struct UnknownAsset(pub String);

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cny => f.write_str("CNY"),
            Self::Tokens(model) => write!(f, "TOK:{model}"),
        }
    }
}

impl FromStr for Asset {
    type Err = UnknownAsset;

    fn from_str(s: &str) -> Result<Self, UnknownAsset> {
        match s.split_once(':') {
            None if s == "CNY" => Ok(Self::Cny),
            Some(("TOK", model)) if !model.is_empty() => Ok(Self::Tokens(model.to_owned())),
            _ => Err(UnknownAsset(s.to_owned())),
        }
    }
}

impl Serialize for Asset {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
