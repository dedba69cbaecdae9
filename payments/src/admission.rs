//! Admission: may this call go upstream? Decided in memory, in microseconds, before the ledger has written anything.
//!
//! For each balance that was asked for there are two numbers: what the store last committed as available, and what was
//! taken here and is not committed yet. Their difference is what may be taken. The store alone moves the first, in the
//! order of its commits, so the difference is never above the truth of a store that this process alone writes. Where
//! other processes write it too ([`Admission::shared`]), a taking that is not small beside what is left has to be
//! committed before it counts.

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
/// Accounts kept in each part. Beyond it those of whom nothing is taken are forgotten, and asked for again.
const ACCOUNTS_MAX: usize = 8_192;
/// In a shared store a taking may run ahead of its commit where this many times its amount is left.
const AHEAD_FACTOR: i64 = 20;
/// And while all that runs ahead is at most this part of the balance: a quarter.
const AHEAD_PART: i64 = 4;

/// An account's list of token balances is looked up anew when one of its group may have got another.
const GROUPS: usize = 1_024;

type Shard = HashMap<AccountId, Vec<Standing>>;

#[derive(Debug)]
struct Standing {
    asset: Asset,
    /// Available, as last committed.
    committed: i64,
    /// Taken here, not committed yet.
    taken: i64,
}

impl Standing {
    const fn available(&self) -> i64 {
        self.committed.saturating_sub(self.taken)
    }

    /// Whether `amount` is so small beside what is left, with all that is not committed yet, that it will be there when
    /// it is committed, whoever else writes the store meanwhile.
    const fn covers_ahead(&self, amount: i64) -> bool {
        self.available() >= amount.saturating_mul(AHEAD_FACTOR)
            && self.taken.saturating_add(amount) <= self.committed / AHEAD_PART
    }
}

/// The available amounts.
#[derive(Debug, Default)]
pub struct Admission {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    shared: bool,
    budgets: Budgets,
    strangers: Strangers,
}

/// How often a token balance was committed that had not been brought in, for accounts in so many groups.
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
    /// Taken here, but others write the store too and this is not small beside what is left: it counts once committed.
    OnceCommitted,
    /// Not taken: this much is available.
    Only(i64),
    /// The balance has not been brought in yet.
    Unknown,
}

/// What [`Admission::take_up_to`] took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// In the asset's unit.
    pub amount: i64,
    /// It counts once committed: see [`Taken::OnceCommitted`].
    pub once_committed: bool,
}

impl Admission {
    /// For a store that other processes write too.
    pub fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    /// Whether other processes write the store too.
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

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
        let Some(standing) = find(&mut shard, account, asset) else { return Taken::Unknown };
        let available = standing.available();
        if available < amount {
            return Taken::Only(available);
        }
        let once_committed = self.shared && amount > 0 && !standing.covers_ahead(amount);
        standing.taken += amount;
        if once_committed { Taken::OnceCommitted } else { Taken::Yes }
    }

    /// Takes as much of `wanted` as there is; nothing if the balance has not been brought in.
    pub fn take_up_to(&self, account: AccountId, asset: &Asset, wanted: i64) -> Part {
        let mut shard = self.shard(account);
        let Some(standing) = find(&mut shard, account, asset) else { return Part::default() };
        let amount = wanted.min(standing.available()).max(0);
        let once_committed = self.shared && amount > 0 && !standing.covers_ahead(amount);
        standing.taken += amount;
        Part { amount, once_committed }
    }

    /// Takes as much of `wanted` as there is without waiting for a commit: what is taken here will be there. Where
    /// others write the store too, that is all of it or nothing.
    pub fn take_at_once(&self, account: AccountId, asset: &Asset, wanted: i64) -> i64 {
        let mut shard = self.shard(account);
        let Some(standing) = find(&mut shard, account, asset) else { return 0 };
        if self.shared && !standing.covers_ahead(wanted) {
            return 0;
        }
        let taken = wanted.min(standing.available()).max(0);
        standing.taken += taken;
        taken
    }

    /// Gives back what was taken and will not be asked of the store.
    pub fn give_back(&self, account: AccountId, asset: &Asset, amount: i64) {
        if let Some(standing) = find(&mut self.shard(account), account, asset) {
            standing.taken -= amount;
        }
    }

    /// What is available, if the balance was brought in.
    pub fn available(&self, account: AccountId, asset: &Asset) -> Option<i64> {
        find(&mut self.shard(account), account, asset).map(|standing| standing.available())
    }

    /// Brings a balance in as committed, or anew.
    pub(crate) fn load(&self, account: AccountId, asset: &Asset, committed: i64) {
        let mut shard = self.shard(account);
        if let Some(standing) = find(&mut shard, account, asset) {
            standing.committed = committed;
            return;
        }
        if shard.len() >= ACCOUNTS_MAX && !shard.contains_key(&account) {
            shard.retain(|_, standings| standings.iter().any(|standing| standing.taken != 0));
        }
        let standing = Standing { asset: asset.clone(), committed, taken: 0 };
        shard.entry(account).or_default().push(standing);
    }

    /// A balance as it was committed; one that was never brought in is left out.
    pub(crate) fn committed(&self, account: AccountId, asset: &Asset, committed: i64) {
        match find(&mut self.shard(account), account, asset) {
            Some(standing) => standing.committed = committed,
            None if *asset == Asset::Cny => {}
            None => drop(self.group(account).fetch_add(1, Ordering::AcqRel)),
        }
    }
}

fn find<'a>(shard: &'a mut Shard, account: AccountId, asset: &Asset) -> Option<&'a mut Standing> {
    shard.get_mut(&account)?.iter_mut().find(|standing| standing.asset == *asset)
}

#[cfg(test)]
mod tests {
    use units::Timestamp;

    use super::*;

    #[test]
    fn memory_is_bounded_and_never_forgets_what_is_taken() {
        let admission = Admission::default();
        let accounts: Vec<AccountId> =
            (0..SHARDS * ACCOUNTS_MAX + 5_000).map(|_| AccountId::new(Timestamp(1))).collect();
        for account in &accounts {
            admission.load(*account, &Asset::Cny, 100);
            if *account == accounts[0] {
                assert_eq!(admission.take(*account, &Asset::Cny, 60), Taken::Yes);
            }
        }
        let kept: usize = admission.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * ACCOUNTS_MAX, "{kept}");
        assert_eq!(admission.available(accounts[0], &Asset::Cny), Some(40), "somebody's call is open");
    }

    #[test]
    fn where_others_write_too_only_a_small_taking_runs_ahead_of_its_commit() {
        let account = AccountId::new(Timestamp(1));
        let admission = Admission::shared();
        admission.load(account, &Asset::Cny, 100);
        assert_eq!(admission.take(account, &Asset::Cny, 5), Taken::Yes);
        assert_eq!(
            admission.take(account, &Asset::Cny, 5),
            Taken::OnceCommitted,
            "95 is less than 20 times 5"
        );
        assert_eq!(admission.take(account, &Asset::Cny, 91), Taken::Only(90));
        admission.committed(account, &Asset::Cny, 40);
        admission.give_back(account, &Asset::Cny, 10);
        assert_eq!(admission.available(account, &Asset::Cny), Some(40), "somebody else spent the rest");
        let all = Part { amount: 40, once_committed: true };
        assert_eq!(admission.take_up_to(account, &Asset::Cny, 50), all, "tokens as well as money");
    }

    #[test]
    fn where_others_write_too_small_takings_run_ahead_for_a_quarter_of_the_balance_together() {
        let account = AccountId::new(Timestamp(1));
        let admission = Admission::shared();
        admission.load(account, &Asset::Cny, 1_000);
        let ahead = (0..).take_while(|_| admission.take(account, &Asset::Cny, 10) == Taken::Yes).count();
        assert_eq!(ahead, 25);
        admission.give_back(account, &Asset::Cny, 100);
        assert_eq!(admission.take(account, &Asset::Cny, 10), Taken::Yes, "what was committed makes room");
    }
}
