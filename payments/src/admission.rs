//! Admission: may this call go upstream? Decided in memory, in microseconds, before the ledger has written anything.
//!
//! For each balance that was asked for there is one number, `available`. It is lowered when something is taken and
//! raised only by what the store has committed, so it is never above the truth, and what is admitted here the ledger
//! will not refuse. The writer alone brings balances in ([`Admission::load`]) and moves them ([`Admission::adjust`]),
//! in the order of its commits.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use units::AccountId;

use crate::{budgets::Budgets, ledger::Asset};

/// Locks are spread over this many parts, so that callers of different accounts do not wait for each other.
const SHARDS: usize = 16;

/// An account's list of token balances is looked up anew when one of its group may have got another.
const GROUPS: usize = 1_024;

type Shard = HashMap<AccountId, Vec<(Asset, i64)>>;

/// The available amounts.
#[derive(Debug, Default)]
pub struct Admission {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    budgets: Budgets,
    strangers: Strangers,
}

/// How often a token balance moved that had not been brought in, for accounts in so many groups.
#[derive(Debug)]
struct Strangers([AtomicU64; GROUPS]);

impl Default for Strangers {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; GROUPS])
    }
}

/// What [`Admission::take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Taken.
    Yes,
    /// Not taken: this much is available.
    Only(i64),
    /// The balance has not been brought in yet.
    Unknown,
}

impl Admission {
    fn shard(&self, account: AccountId) -> MutexGuard<'_, Shard> {
        let index = (self.hasher.hash_one(account) as usize) % SHARDS;
        // Nothing panics while a shard is locked; were it so, the numbers would still be whole.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What budgets allow, decided in memory likewise.
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Changes when a token balance of the account may have come into being: a list of them made before is old then.
    pub fn strangers(&self, account: AccountId) -> u64 {
        self.group(account).load(Ordering::Acquire)
    }

    fn group(&self, account: AccountId) -> &AtomicU64 {
        &self.strangers.0[(self.hasher.hash_one(account) as usize) % GROUPS]
    }

    /// Takes `amount` if that much is available.
    pub fn take(&self, account: AccountId, asset: &Asset, amount: i64) -> Taken {
        let mut shard = self.shard(account);
        match find(&mut shard, account, asset) {
            None => Taken::Unknown,
            Some(available) if *available < amount => Taken::Only(*available),
            Some(available) => {
                *available -= amount;
                Taken::Yes
            }
        }
    }

    /// Takes as much of `wanted` as there is; `None` if the balance has not been brought in.
    pub fn take_up_to(&self, account: AccountId, asset: &Asset, wanted: i64) -> Option<i64> {
        let mut shard = self.shard(account);
        let available = find(&mut shard, account, asset)?;
        let taken = wanted.min(*available).max(0);
        *available -= taken;
        Some(taken)
    }

    /// What is available, if the balance was brought in.
    pub fn available(&self, account: AccountId, asset: &Asset) -> Option<i64> {
        find(&mut self.shard(account), account, asset).copied()
    }

    /// Brings a balance in as committed. One that is there already is left alone: it knows of takings that are not
    /// committed yet.
    pub fn load(&self, account: AccountId, asset: &Asset, available: i64) {
        let mut shard = self.shard(account);
        if find(&mut shard, account, asset).is_none() {
            shard.entry(account).or_default().push((asset.clone(), available));
        }
    }

    /// Moves a balance by what was committed; one that was never brought in needs no moving.
    pub fn adjust(&self, account: AccountId, asset: &Asset, by: i64) {
        match find(&mut self.shard(account), account, asset) {
            Some(available) => *available += by,
            None if *asset == Asset::Cny => {}
            None => drop(self.group(account).fetch_add(1, Ordering::AcqRel)),
        }
    }
}

fn find<'a>(shard: &'a mut Shard, account: AccountId, asset: &Asset) -> Option<&'a mut i64> {
    shard.get_mut(&account)?.iter_mut().find(|(own, _)| own == asset).map(|(_, available)| available)
}
