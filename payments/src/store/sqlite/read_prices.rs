//! What do prices and rates of exchange say?

use units::Timestamp;

use super::{Store, SubmitError, read::{many, one}, sql};
use crate::ledger::{FxPair, FxRate, PriceAssignment, PriceList, PriceVersion};

/// A version without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceVersionHead {
    /// Of which list.
    pub list: String,
    /// Which.
    pub number: i64,
    /// From when on it counts.
    pub valid_from: Timestamp,
}

impl Store {
    /// Every price list, by name.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read; so for every reading below.
    pub async fn price_lists(&self) -> Result<Vec<PriceList>, SubmitError> {
        self.read(|db| many(db, "SELECT body FROM price_list ORDER BY name", [], |row| sql::json(row, 0))).await
    }

    /// Every published version of every list, without what they say.
    ///
    /// # Errors
    /// See [`Store::price_lists`].
    pub async fn price_version_heads(&self) -> Result<Vec<PriceVersionHead>, SubmitError> {
        let query = "SELECT list, number, valid_from FROM price_version ORDER BY list, number";
        self.read(move |db| {
            many(db, query, [], |row| {
                let (list, number, valid_from) = (row.get(0)?, row.get(1)?, Timestamp(row.get(2)?));
                Ok(PriceVersionHead { list, number, valid_from })
            })
        })
        .await
    }

    /// One published version.
    ///
    /// # Errors
    /// See [`Store::price_lists`].
    pub async fn price_version(&self, list: String, number: i64) -> Result<Option<PriceVersion>, SubmitError> {
        let query = "SELECT body FROM price_version WHERE list = ?1 AND number = ?2";
        self.read(move |db| one(db, query, (list, number), |row| sql::json(row, 0))).await
    }

    /// Every account that was ever assigned a list.
    ///
    /// # Errors
    /// See [`Store::price_lists`].
    pub async fn price_assignments(&self) -> Result<Vec<PriceAssignment>, SubmitError> {
        let query = "SELECT body FROM price_assignment ORDER BY account";
        self.read(move |db| many(db, query, [], |row| sql::json(row, 0))).await
    }

    /// What counts for every pair of currencies.
    ///
    /// # Errors
    /// See [`Store::price_lists`].
    pub async fn fx_pairs(&self) -> Result<Vec<FxPair>, SubmitError> {
        self.read(|db| many(db, "SELECT body FROM fx_pair ORDER BY pair", [], |row| sql::json(row, 0))).await
    }

    /// The last `limit` rates of a pair, the latest first.
    ///
    /// # Errors
    /// See [`Store::price_lists`].
    pub async fn fx_rates(&self, pair: String, limit: u32) -> Result<Vec<FxRate>, SubmitError> {
        let query = "SELECT body FROM fx_rate WHERE pair = ?1 ORDER BY number DESC LIMIT ?2";
        self.read(move |db| many(db, query, (pair, limit), |row| sql::json(row, 0))).await
    }
}
