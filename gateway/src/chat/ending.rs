//! How a call ended, and which attempts led there: what a receipt tells.

use serde::{Deserialize, Serialize};
use units::Usage;

use super::Decision;

/// The way a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The upstream finished its answer.
    Finished,
    /// The upstream broke off after some of the answer.
    BrokeOff,
    /// The client went away.
    HungUp,
    /// No upstream produced anything.
    Failed,
}

/// What is settled: what was used, and why we believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The tokens to be charged; `None` when nothing was produced and the hold is released whole.
    pub usage: Option<Usage>,
    /// True when the upstream gave no usage and we reckoned it.
    pub estimated: bool,
    /// How it ended.
    pub ending: Ending,
    /// Every attempt, in order; the last one is the one delivered, and before it whoever broke off and was continued.
    pub attempts: Vec<Attempt>,
    /// Why it was served as it was.
    pub decision: Decision,
}

/// One try at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The provider's id.
    pub provider: String,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// How it went.
    pub result: AttemptResult,
    /// The upstream's HTTP status, if it answered.
    pub status: Option<u16>,
    /// From sending to the first byte of an answer or to the failure, in milliseconds.
    pub first_byte_ms: u64,
    /// Whether it was asked to go on with what an attempt before it had begun to answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// How one attempt went; also the `result` label of the attempts metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// Answered.
    Ok,
    /// 429 by the upstream.
    RateLimited,
    /// Our key is refused there.
    AuthFailed,
    /// Our account there is out of money.
    OutOfFunds,
    /// 5xx.
    ServerError,
    /// No connection.
    Unreachable,
    /// Too slow.
    TimedOut,
    /// An answer that is not one: HTML, an error in a 200, an empty stream, a broken JSON.
    Malformed,
    /// The upstream refuses this very request (400, 404, 422).
    Refused,
    /// Another, asked beside it, answered sooner: it was not waited for. What it cost is ours.
    Outpaced,
    /// It answered, and broke off before its end. What came until then was delivered.
    BrokeOff,
}
