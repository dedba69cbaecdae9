//! When is a second target asked beside the first, before that one has failed?

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// What a route says of asking a second target beside a slow first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHedge {
    /// Milliseconds without an answer after which the next target is asked too. Where absent, as long as 95 of a hundred
    /// first bytes of that target have taken lately; nobody is asked beside it while that is not known.
    pub after_ms: Option<u64>,
    /// What the second attempts may cost us, as a share of what the route's calls cost us: 1 to 100.
    pub cost_percent_max: u32,
}

/// When a second target is asked beside the first. Whoever answers first is taken; what the other costs is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// The silence after which it is; as long as 95 of a hundred first bytes have taken where absent.
    pub after: Option<Duration>,
    /// Of what the route's calls cost us, so many hundredths may go to second attempts.
    pub cost_percent_max: u32,
}
