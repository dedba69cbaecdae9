//! Budgets in memory: does a key's or an account's budget allow this call? Decided before the ledger has written
//! anything, by the same reckoning.
//!
//! Each budget that was asked for is kept with what was counted against it, calls on their way to the ledger included.
//! What ends here is sent to the ledger before anything is set aside anew, and the ledger works in that order, so that on
//! one node it agrees with what was admitted here. Where several nodes write, its word is the last.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use units::{AccountId, KeyId, NanoCny, Timestamp};

use crate::ledger::{Budget, BudgetShare, OverBudget};

const SHARDS: usize = 16;
/// Beyond so many accounts of a shard, those without an open call are forgotten and looked up anew when they are back.
const ACCOUNTS_MAX: usize = 8_192;

/// What one account's budgets say.
#[derive(Debug, Default)]
struct Known {
    /// Whose were looked up, found or not.
    owners: HashSet<Option<KeyId>>,
    budgets: Vec<Budget>,
    /// Calls that count against them and have not ended.
    open: usize,
}

/// The budgets that were asked for.
#[derive(Debug, Default)]
pub struct Budgets {
    shards: [Mutex<HashMap<AccountId, Known>>; SHARDS],
    hasher: RandomState,
}

impl Budgets {
    fn shard(&self, account: AccountId) -> MutexGuard<'_, HashMap<AccountId, Known>> {
        let index = (self.hasher.hash_one(account) as usize) % SHARDS;
        // Nothing panics while a shard is locked; were it so, the counts would still be whole.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose budgets have to be looked up before a call with this key: the account's, the key's.
    pub fn unknown(&self, account: AccountId, key: KeyId) -> Vec<Option<KeyId>> {
        let shard = self.shard(account);
        let known = shard.get(&account);
        let has = |owner: &Option<KeyId>| known.is_some_and(|known| known.owners.contains(owner));
        [None, Some(key)].into_iter().filter(|owner| !has(owner)).collect()
    }

    /// Brings an owner's budgets in as committed. Those that are there already are left alone: they know of calls that
    /// are not committed yet.
    pub fn load(&self, account: AccountId, owner: Option<KeyId>, budgets: Vec<Budget>) {
        let mut shard = self.shard(account);
        if shard.len() >= ACCOUNTS_MAX && !shard.contains_key(&account) {
            shard.retain(|_, known| known.open > 0);
        }
        let known = shard.entry(account).or_default();
        if known.owners.insert(owner) {
            known.budgets.extend(budgets);
        }
    }

    /// Sets `amount` aside in every budget that a call with this key counts against, or in none.
    ///
    /// # Errors
    /// [`OverBudget`] of the first that does not allow it.
    pub fn take(
        &self,
        account: AccountId,
        key: KeyId,
        at: Timestamp,
        amount: NanoCny,
    ) -> Result<Vec<BudgetShare>, Box<OverBudget>> {
        let mut shard = self.shard(account);
        let Some(known) = shard.get_mut(&account) else { return Ok(Vec::new()) };
        let own = |budget: &&mut Budget| budget.key.is_none_or(|of| of == key);
        let mut shares = Vec::new();
        for budget in known.budgets.iter_mut().filter(own) {
            *budget = budget.at(at);
            let share = budget.share();
            if budget.room(share.window) < amount.get() {
                return Err(Box::new(budget.over(share.window, amount)));
            }
            shares.push(share);
        }
        for share in &shares {
            reserve(known, share, amount);
        }
        known.open += usize::from(!shares.is_empty());
        Ok(shares)
    }

    /// Sets more aside for a call, if all its budgets allow it.
    pub fn extend(&self, account: AccountId, shares: &[BudgetShare], more: NanoCny) -> bool {
        let mut shard = self.shard(account);
        let Some(known) = shard.get_mut(&account) else { return true };
        if room(known, shares) < more.get() {
            return false;
        }
        shares.iter().for_each(|share| reserve(known, share, more));
        true
    }

    /// Sets as much of `wanted` aside for a call as all its budgets allow.
    pub fn extend_up_to(&self, account: AccountId, shares: &[BudgetShare], wanted: i64) -> i64 {
        let mut shard = self.shard(account);
        let Some(known) = shard.get_mut(&account) else { return wanted };
        let allowed = wanted.min(room(known, shares)).max(0);
        shares.iter().for_each(|share| reserve(known, share, NanoCny::new(allowed)));
        allowed
    }

    /// Gives part of what was set aside for a call back.
    pub fn give_back(&self, account: AccountId, shares: &[BudgetShare], amount: NanoCny) {
        self.settle(account, shares, amount, NanoCny::ZERO, false);
    }

    /// A call has ended that had set `reserved` aside and cost `spent`. To be said when the ledger has been told.
    pub fn end(&self, account: AccountId, shares: &[BudgetShare], reserved: NanoCny, spent: NanoCny) {
        self.settle(account, shares, reserved, spent, true);
    }

    fn settle(
        &self,
        account: AccountId,
        shares: &[BudgetShare],
        reserved: NanoCny,
        spent: NanoCny,
        ended: bool,
    ) {
        if shares.is_empty() {
            return;
        }
        let mut shard = self.shard(account);
        let Some(known) = shard.get_mut(&account) else { return };
        for share in shares {
            if let Some(budget) = known.budgets.iter_mut().find(|budget| budget.is_of(share)) {
                budget.end(share.window, reserved, spent);
            }
        }
        known.open = known.open.saturating_sub(usize::from(ended));
    }

    /// A budget as committed: its limit counts from now on, and what was spent elsewhere.
    pub fn committed(&self, row: &Budget) {
        let mut shard = self.shard(row.account);
        let Some(known) = shard.get_mut(&row.account).filter(|known| known.owners.contains(&row.key)) else {
            return;
        };
        let own = |budget: &&mut Budget| budget.key == row.key && budget.period == row.period;
        match known.budgets.iter_mut().find(own) {
            None => known.budgets.push(row.clone()),
            Some(budget) => {
                budget.limit = row.limit;
                budget.set_at = row.set_at;
                if row.now.window > budget.now.window {
                    budget.past = Some(budget.now);
                    budget.now = row.now;
                } else if row.now.window == budget.now.window {
                    budget.now.spent = budget.now.spent.max(row.now.spent);
                }
            }
        }
    }

    /// Forgets what is known of an account's budgets: they are looked up anew.
    pub fn forget(&self, account: AccountId) {
        self.shard(account).remove(&account);
    }
}

fn room(known: &Known, shares: &[BudgetShare]) -> i64 {
    let of = |share: &BudgetShare| {
        known.budgets.iter().find(|budget| budget.is_of(share)).map(|budget| budget.room(share.window))
    };
    shares.iter().filter_map(of).min().unwrap_or(i64::MAX)
}

/// Sets aside what was found to fit.
fn reserve(known: &mut Known, share: &BudgetShare, amount: NanoCny) {
    if let Some(budget) = known.budgets.iter_mut().find(|budget| budget.is_of(share)) {
        let fits = budget.reserve(share.window, amount);
        debug_assert!(fits.is_ok(), "room was looked at before");
    }
}
