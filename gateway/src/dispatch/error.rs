//! Why nobody answered.

use std::time::Duration;

use crate::{chat::AttemptResult, provider::Refused};

/// No target has an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The request itself is at fault; every other provider would say the same.
    #[error("{provider} refused the request: {}", .refused.message)]
    Refused {
        /// Who said so.
        provider: String,
        /// What it said.
        refused: Box<Refused>,
    },
    /// Every attempt failed.
    #[error("{}", exhausted(.results))]
    Exhausted {
        /// How each attempt went, in order.
        results: Vec<AttemptResult>,
        /// The shortest rest an upstream asked for.
        retry_after: Option<Duration>,
    },
}

fn exhausted(results: &[AttemptResult]) -> String {
    let words: Vec<&str> = results.iter().map(|result| in_words(*result)).collect();
    match words.as_slice() {
        [] => "No provider of this model can be asked at the moment.".to_owned(),
        [one] => format!("The provider of this model {one}. Nothing was charged."),
        many => format!(
            "None of the {} providers tried has an answer (in order: {}). Nothing was charged.",
            many.len(),
            many.join("; ")
        ),
    }
}

const fn in_words(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Ok | AttemptResult::Outpaced | AttemptResult::BrokeOff => "answered",
        AttemptResult::RateLimited => "is at the rate limit of our account there",
        AttemptResult::AuthFailed | AttemptResult::OutOfFunds => "does not serve our account right now",
        AttemptResult::ServerError => "reported an internal error",
        AttemptResult::Unreachable => "could not be reached",
        AttemptResult::TimedOut => "did not answer in time",
        AttemptResult::Malformed => "sent something that is not an answer",
        AttemptResult::Refused => "does not offer the model right now",
    }
}
