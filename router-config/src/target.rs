//! How is a target written? As a name alone, or as a table with more.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::RawCondition;

/// One place that serves a model.
#[derive(Clone, JsonSchema)]
#[schemars(untagged)]
pub enum RawTarget {
    /// `"provider/the provider's name for the model"`.
    Name(String),
    /// The same, with what is particular about it.
    Table(Box<RawTargetTable>),
}

/// A target with more than a name.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTargetTable {
    /// `"provider/the provider's name for the model"`.
    pub to: String,
    /// Its share among targets of its priority; one of 0 is asked when all others have failed.
    #[serde(default = "one")]
    pub weight: u32,
    /// Lower is asked first.
    #[serde(default)]
    pub priority: u32,
    /// Which calls it is for: all where absent.
    #[serde(default)]
    pub when: RawCondition,
}

const fn one() -> u32 {
    1
}

impl RawTarget {
    /// As a table.
    pub(crate) fn written_out(&self) -> RawTargetTable {
        match self {
            Self::Name(to) => {
                RawTargetTable { to: to.clone(), weight: 1, priority: 0, when: RawCondition::default() }
            }
            Self::Table(table) => RawTargetTable::clone(table),
        }
    }
}

impl<'de> Deserialize<'de> for RawTarget {
    /// By hand, so that a key that is wrong is named: of an untagged enum serde only says that nothing fits.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawTarget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`provider/model` or a table with that as `to`")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawTarget, E> {
                Ok(RawTarget::Name(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTarget, A::Error> {
                RawTargetTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| RawTarget::Table(Box::new(table)))
            }
        }
        from.deserialize_any(Either)
    }
}
