//! Accounts, keys and balances.

use units::{AccountId, KeyId};

use super::{PAGE, Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{Account, ApiKey, Asset, Lot, RowOp, Wallet},
    store::{
        Store, SubmitError, held,
        query::{Query, ReadError},
        tables::{ACCOUNT, API_KEY, LOT, WALLET},
        value::{Broken, Cells, Value},
    },
};

reader!(account, ACCOUNT, Account, Account);
reader!(key, API_KEY, Key, ApiKey);
reader!(wallet, WALLET, Wallet, Wallet);
reader!(lot, LOT, Lot, Lot);

/// One balance and the lots it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The numbers.
    pub wallet: Wallet,
    /// Every lot there ever was, oldest first.
    pub lots: Vec<Lot>,
}

/// An account's balances, with what its open holds set aside of each.
fn balances(db: &mut dyn Query, account: AccountId, query: &str) -> Result<Vec<Wallet>, ReadError> {
    let held = held::of_account(db, account)?;
    let mut wallets = db.many(query, &[Value::word(account)], wallet)?;
    wallets.iter_mut().try_for_each(|wallet| held.fill(wallet))?;
    Ok(wallets)
}

impl Store {
    /// An account.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read; so for every reading below.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&ACCOUNT));
        self.read(move |db| db.one(&query, &[Value::word(id)], account)).await
    }

    /// A page of the accounts, oldest first, after the one that is named.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn accounts(&self, after: Option<AccountId>) -> Result<Vec<Account>, SubmitError> {
        let query = format!("{} WHERE id > ?1 ORDER BY id LIMIT {PAGE}", select(&ACCOUNT));
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        self.read(move |db| db.many(&query, &[after.into()], account)).await
    }

    /// The key with this digest.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn key_by_digest(&self, digest: String) -> Result<Option<ApiKey>, SubmitError> {
        let query = format!("{} WHERE digest = ?1", select(&API_KEY));
        self.read(move |db| db.one(&query, &[digest.into()], key)).await
    }

    /// A key.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn key(&self, id: KeyId) -> Result<Option<ApiKey>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&API_KEY));
        self.read(move |db| db.one(&query, &[Value::word(id)], key)).await
    }

    /// Every key that is not revoked.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn live_keys(&self) -> Result<Vec<ApiKey>, SubmitError> {
        let query = format!("{} WHERE revoked_at IS NULL", select(&API_KEY));
        self.read(move |db| db.many(&query, &[], key)).await
    }

    /// An account's balances with their lots.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn balances(&self, account: AccountId) -> Result<Vec<Balance>, SubmitError> {
        self.read(move |db| {
            let id = Value::word(account);
            let wallets = format!("{} WHERE account = ?1 ORDER BY asset", select(&WALLET));
            let lots = format!("{} WHERE account = ?1 ORDER BY created_at, id", select(&LOT));
            let wallets = balances(db, account, &wallets)?;
            let lots = db.many(&lots, &[id], lot)?;
            let with_lots = |wallet: Wallet| {
                let lots = lots.iter().filter(|lot| lot.asset == wallet.asset).cloned().collect();
                Balance { wallet, lots }
            };
            Ok(wallets.into_iter().map(with_lots).collect())
        })
        .await
    }

    /// An account's balances, without their lots.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn wallets(&self, account: AccountId) -> Result<Vec<Wallet>, SubmitError> {
        let query = format!("{} WHERE account = ?1 ORDER BY asset", select(&WALLET));
        self.read(move |db| balances(db, account, &query)).await
    }

    /// The assets an account has a balance of.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn assets(&self, account: AccountId) -> Result<Vec<Asset>, SubmitError> {
        self.read(move |db| {
            let query = "SELECT asset FROM wallet WHERE account = ?1 ORDER BY asset";
            db.many(query, &[Value::word(account)], |cells| cells.word())
        })
        .await
    }
}
