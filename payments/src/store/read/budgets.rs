//! Budgets, temporary grants, and what token balances pay for.

use units::{AccountId, KeyId, OrderId};

use super::{Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{Asset, Budget, Grant, GrantStanding, RowOp, TokenTerms},
    store::{
        Store, SubmitError,
        tables::{BUDGET, GRANT, STANDING, TERMS, key_word},
        value::{Broken, Cells, Value},
    },
};

reader!(budget, BUDGET, Budget, Budget);
reader!(grant, GRANT, Grant, Grant);
reader!(standing, STANDING, Standing, GrantStanding);
reader!(terms, TERMS, Terms, TokenTerms);

/// A token balance with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBalance {
    /// Which.
    pub asset: Asset,
    /// What its tokens pay for; balances older than terms have none.
    pub terms: Option<TokenTerms>,
}

impl Store {
    /// The budgets of one owner: a key, or the account itself.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn budgets(&self, account: AccountId, key: Option<KeyId>) -> Result<Vec<Budget>, SubmitError> {
        let query = format!("{} WHERE account = ?1 AND api_key = ?2 ORDER BY period", select(&BUDGET));
        self.read(move |db| db.many(&query, &[Value::word(account), key_word(key)], budget)).await
    }

    /// The temporary grant on an order.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn grant(&self, order: OrderId) -> Result<Option<Grant>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&GRANT));
        self.read(move |db| db.one(&query, &[Value::word(order)], grant)).await
    }

    /// An account's temporary grants, newest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn grants_of(&self, account: AccountId) -> Result<Vec<Grant>, SubmitError> {
        let query = format!("{} WHERE account = ?1 ORDER BY id DESC LIMIT {}", select(&GRANT), super::PAGE);
        self.read(move |db| db.many(&query, &[Value::word(account)], grant)).await
    }

    /// Temporary grants about which something is left to be done, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn unresolved_grants(&self) -> Result<Vec<Grant>, SubmitError> {
        let query = format!("{} WHERE resolved_at IS NULL ORDER BY id", select(&GRANT));
        self.read(move |db| db.many(&query, &[], grant)).await
    }

    /// What an account's grants and payments so far say about the next grant.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn grant_standing(&self, account: AccountId) -> Result<GrantStanding, SubmitError> {
        let query = format!("{} WHERE account = ?1", select(&STANDING));
        let found = self.read(move |db| db.one(&query, &[Value::word(account)], standing)).await?;
        Ok(found.unwrap_or(GrantStanding::new(account)))
    }

    /// What the tokens of a kind of balance buy.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn terms(&self, id: String) -> Result<Option<TokenTerms>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&TERMS));
        self.read(move |db| db.one(&query, &[id.into()], terms)).await
    }

    /// An account's token balances with something in them: those whose tokens end first, then the oldest, before the
    /// others, which is the order in which they pay.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn token_balances(&self, account: AccountId) -> Result<Vec<TokenBalance>, SubmitError> {
        self.read(move |db| {
            let query =
                "SELECT asset FROM lot WHERE account = ?1 AND asset <> 'CNY' AND rem > 0 GROUP BY asset
                         ORDER BY min(coalesce(expires_at, 9223372036854775807)), min(created_at), asset";
            let assets: Vec<Asset> = db.many(query, &[Value::word(account)], |cells| cells.word())?;
            let by_id = format!("{} WHERE id = ?1", select(&TERMS));
            let mut balances = Vec::with_capacity(assets.len());
            for asset in assets {
                let Asset::Tokens(id) = &asset else { continue };
                let terms = db.one(&by_id, &[id.as_str().into()], terms)?;
                balances.push(TokenBalance { asset, terms });
            }
            Ok(balances)
        })
        .await
    }
}
