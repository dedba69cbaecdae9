//! What was taken from the limits of a call, to be given back or put right when it ends.

use units::Tokens;

use super::{Limits, claim::Claim, shared::Lease};
use crate::chat::Kind;

/// Leave to go on. Ends by [`settle`](Self::settle) or [`cancel`](Self::cancel); dropped, the call is over and counts for
/// what was thought of it.
#[derive(Debug)]
pub struct Permit {
    limits: Limits,
    /// With the amounts that were taken.
    taken: Vec<Claim>,
    /// When, in the room's own time.
    at: u64,
    /// Where several nodes count together.
    lease: Option<Lease>,
}

impl Permit {
    pub(super) const fn new(limits: Limits, taken: Vec<Claim>, at: u64, lease: Option<Lease>) -> Self {
        Self { limits, taken, at, lease }
    }

    /// The call has ended and used so many tokens.
    pub fn settle(mut self, used: Tokens) {
        self.end(|claim| match claim.kind() {
            Kind::Tokens => used.0,
            Kind::Requests | Kind::Concurrency => claim.amount,
        });
    }

    /// There was no call: everything is given back, the request too.
    pub fn cancel(mut self) {
        self.end(|_| 0);
    }

    fn end(&mut self, used: impl Fn(&Claim) -> u64) {
        let taken = std::mem::take(&mut self.taken);
        if !taken.is_empty() {
            self.limits.end(&taken, self.at, self.lease, used);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(|claim| claim.amount);
    }
}
