//! By how much may an account's open calls come to more than is set aside for them?
//!
//! A stream may begin on less than it can come to, because its hold is extended while it runs. If the balance does not
//! allow an extension the stream is not cut, and what it costs beyond its hold is our loss: so all of an account's open
//! calls together may exceed their holds by so much and no more. Kept in memory, by each node for its own calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use units::AccountId;

/// What open calls may come to beyond their holds, by account.
#[derive(Debug, Clone)]
pub(super) struct Exposure {
    cap: i64,
    open: Arc<Mutex<HashMap<AccountId, i64>>>,
}

/// One call's share of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Exposed {
    account: AccountId,
    amount: i64,
    of: Exposure,
}

impl Exposure {
    /// At most `cap` nano-yuan an account.
    pub(super) fn new(cap: i64) -> Self {
        Self { cap, open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, i64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call exceed its hold by `amount`, if that much is left.
    pub(super) fn take(&self, account: AccountId, amount: i64) -> Option<Exposed> {
        if amount > 0 {
            let mut open = self.open();
            let sum = open.get(&account).copied().unwrap_or(0).checked_add(amount)?;
            if sum > self.cap {
                return None;
            }
            open.insert(account, sum);
        }
        Some(Exposed { account, amount: amount.max(0), of: self.clone() })
    }

    fn give(&self, account: AccountId, amount: i64) {
        let mut open = self.open();
        if let Some(sum) = open.get_mut(&account) {
            *sum -= amount;
            if *sum <= 0 {
                open.remove(&account);
            }
        }
    }
}

impl Exposed {
    /// The hold was raised by so much.
    pub(super) fn shrink(&mut self, by: i64) {
        let by = by.min(self.amount).max(0);
        self.amount -= by;
        if by > 0 {
            self.of.give(self.account, by);
        }
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        let left = self.amount;
        self.shrink(left);
    }
}

#[cfg(test)]
mod tests {
    use units::Timestamp;

    use super::*;

    #[test]
    fn open_calls_share_the_cap_and_ended_ones_give_their_share_back() {
        let exposure = Exposure::new(10);
        let (one, other) = (AccountId::new(Timestamp(0)), AccountId::new(Timestamp(0)));
        let mut first = exposure.take(one, 6).unwrap();
        assert!(exposure.take(one, 5).is_none());
        assert!(exposure.take(other, 10).is_some(), "each account has its own");
        first.shrink(2);
        let second = exposure.take(one, 6).unwrap();
        drop(first);
        assert!(exposure.take(one, 5).is_none());
        drop(second);
        assert!(exposure.take(one, 10).is_some());
        assert!(exposure.open().is_empty(), "nothing is kept of accounts without calls");
        assert!(exposure.take(one, i64::MAX).is_none());
    }
}
