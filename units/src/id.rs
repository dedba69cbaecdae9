//! Who or what is meant? Ids that sort by time, say what they name and fit WeChat Pay's 32 characters.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Timestamp;

/// Crockford's base 32: no I, L, O or U, so that an id survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 128 bits in groups of five.
const LENGTH: usize = 26;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters")]
pub struct BadId {
    /// What the id should have begun with.
    pub prefix: &'static str,
}

fn encode(id: Uuid) -> String {
    let bits = id.as_u128();
    (0..LENGTH)
        .map(|i| {
            let group = (bits >> (5 * (LENGTH - 1 - i))) & 31;
            char::from(ALPHABET[group as usize])
        })
        .collect()
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH {
        return None;
    }
    let mut bits: u128 = 0;
    for (i, byte) in text.bytes().enumerate() {
        let group = ALPHABET.iter().position(|&c| c == byte.to_ascii_uppercase())? as u128;
        if i == 0 && group > 7 {
            return None;
        }
        bits = (bits << 5) | group;
    }
    Some(Uuid::from_u128(bits))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: UUIDv7 of `at` with fresh random bits.
            pub fn new(at: Timestamp) -> Self {
                let micros = u64::try_from(at.0).unwrap_or(0);
                let nanos = ((micros % 1_000_000) * 1_000) as u32;
                let stamp = uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos);
                Self(Uuid::new_v7(stamp))
            }

            /// The id's 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The 26 characters without the prefix: the form WeChat Pay is given.
            pub fn bare(&self) -> String {
                encode(self.0)
            }

            /// Reads the form that [`Self::bare`] writes.
            ///
            /// # Errors
            /// [`BadId`].
            pub fn from_bare(text: &str) -> Result<Self, BadId> {
                decode(text).map(Self).ok_or(BadId { prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(s: &str) -> Result<Self, BadId> {
                let bare = s.strip_prefix(concat!($prefix, "_")).ok_or(BadId { prefix: $prefix })?;
                Self::from_bare(bare)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One call by a client, its hold and its receipt.
    RequestId = "req";
    /// One top-up order; its bare form is the `out_trade_no`.
    OrderId = "ord";
    /// One item of a refund; its bare form is the `out_refund_no`.
    RefundId = "rfd";
    /// One request to refund, made of items.
    RefundBatchId = "rfb";
    /// Who pays.
    AccountId = "acct";
    /// One API key of an account.
    KeyId = "key";
}

impl KeyId {
    /// The key that is made with an order and ends with it: it has the order's number.
    #[must_use]
    pub const fn of_order(order: OrderId) -> Self {
        Self(order.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let early = OrderId::new(Timestamp::from_secs(1_700_000_000));
        let late = OrderId::new(Timestamp::from_secs(1_700_000_001));
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(OrderId::from_bare(&early.bare()), Ok(early));
        assert!(early.bare().len() <= 32, "fits out_trade_no");
        assert!("acct_0".parse::<OrderId>().is_err());
        assert!(format!("ord_{}", "Z".repeat(26)).parse::<OrderId>().is_err(), "more than 128 bits");
    }
}
