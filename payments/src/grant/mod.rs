//! Grant: how much may be used while a payment is on its way?
//!
//! The rule, pure: a small cap, larger once somebody has paid, never more than the order. Speaks to nobody; the ledger
//! commands that open, convert and revoke a grant belong here when they come.

use units::NanoCny;

/// What an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantCaps {
    /// For an account that has never paid.
    pub newcomer: NanoCny,
    /// For one that has.
    pub returning: NanoCny,
}

impl Default for GrantCaps {
    /// One yuan, five after a first paid order.
    fn default() -> Self {
        Self { newcomer: NanoCny::from_yuan(1), returning: NanoCny::from_yuan(5) }
    }
}

impl GrantCaps {
    /// The most that may be granted while an order of `order` is being paid.
    pub fn amount(&self, order: NanoCny, has_paid_before: bool) -> NanoCny {
        order.min(if has_paid_before { self.returning } else { self.newcomer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_small_and_never_more_than_the_order() {
        let caps = GrantCaps::default();
        assert_eq!(caps.amount(NanoCny::from_yuan(50), false), NanoCny::from_yuan(1));
        assert_eq!(caps.amount(NanoCny::from_yuan(50), true), NanoCny::from_yuan(5));
        assert_eq!(caps.amount(NanoCny::new(7), true), NanoCny::new(7));
    }
}
