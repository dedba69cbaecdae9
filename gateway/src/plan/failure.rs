//! How does a route speak of what came of an attempt?

use router_config::FailureClass;

use crate::chat::AttemptResult;

/// The class of failures that a result is in; `None` for those that are none, and for a refusal, of which the reason has to
/// be known.
pub const fn failure_class(result: AttemptResult) -> Option<FailureClass> {
    match result {
        AttemptResult::RateLimited => Some(FailureClass::RateLimited),
        AttemptResult::AuthFailed => Some(FailureClass::AuthFailed),
        AttemptResult::OutOfFunds => Some(FailureClass::OutOfFunds),
        AttemptResult::ServerError => Some(FailureClass::ServerError),
        AttemptResult::Unreachable => Some(FailureClass::Unreachable),
        AttemptResult::TimedOut => Some(FailureClass::TimedOut),
        AttemptResult::Malformed => Some(FailureClass::Malformed),
        AttemptResult::Refused | AttemptResult::Ok | AttemptResult::Outpaced | AttemptResult::BrokeOff => {
            None
        }
    }
}
