//! Is this money real?

use serde::{Deserialize, Serialize};

/// Whether an account, key, order or entry belongs to real trade or to the simulator.
///
/// The two never mix: simulated money cannot pay for a live provider, nor the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Livemode {
    /// Real money, real providers.
    Live,
    /// The simulator's money.
    Demo,
}

/// A word that is neither `live` nor `demo`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `live` nor `demo`")]
pub struct UnknownLivemode(pub String);

impl Livemode {
    /// `live` or `demo`, as it stands in keys and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Demo => "demo",
        }
    }
}

impl std::fmt::Display for Livemode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Livemode {
    type Err = UnknownLivemode;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "live" => Ok(Self::Live),
            "demo" => Ok(Self::Demo),
            other => Err(UnknownLivemode(other.to_owned())),
        }
    }
}
