//! Price lists, their versions, who buys by which, and rates of exchange.

use units::Timestamp;

use super::{Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{FxPair, FxRate, PriceAssignment, PriceList, PriceVersion, RowOp},
    store::{
        Store, SubmitError,
        tables::{FX_PAIR, FX_RATE, PRICE_ASSIGNMENT, PRICE_LIST, PRICE_VERSION},
        value::{Broken, Cells},
    },
};

reader!(price_list, PRICE_LIST, PriceList, PriceList);
reader!(price_version, PRICE_VERSION, PriceVersion, PriceVersion);
reader!(price_assignment, PRICE_ASSIGNMENT, PriceAssignment, PriceAssignment);
reader!(fx_pair, FX_PAIR, FxPair, FxPair);
reader!(fx_rate, FX_RATE, FxRate, FxRate);

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
    /// See [`Store::account`].
    pub async fn price_lists(&self) -> Result<Vec<PriceList>, SubmitError> {
        let query = format!("{} ORDER BY name", select(&PRICE_LIST));
        self.read(move |db| db.many(&query, &[], price_list)).await
    }

    /// Every published version of every list, without what they say.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn price_version_heads(&self) -> Result<Vec<PriceVersionHead>, SubmitError> {
        let query = "SELECT list, number, valid_from FROM price_version ORDER BY list, number";
        let head = |cells: &mut Cells<'_>| {
            Ok(PriceVersionHead { list: cells.text()?, number: cells.int()?, valid_from: cells.time()? })
        };
        self.read(move |db| db.many(query, &[], head)).await
    }

    /// One published version.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn price_version(
        &self,
        list: String,
        number: i64,
    ) -> Result<Option<PriceVersion>, SubmitError> {
        let query = format!("{} WHERE list = ?1 AND number = ?2", select(&PRICE_VERSION));
        self.read(move |db| db.one(&query, &[list.into(), number.into()], price_version)).await
    }

    /// Every account that was ever assigned a list.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn price_assignments(&self) -> Result<Vec<PriceAssignment>, SubmitError> {
        let query = format!("{} ORDER BY account", select(&PRICE_ASSIGNMENT));
        self.read(move |db| db.many(&query, &[], price_assignment)).await
    }

    /// What counts for every pair of currencies.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn fx_pairs(&self) -> Result<Vec<FxPair>, SubmitError> {
        let query = format!("{} ORDER BY pair", select(&FX_PAIR));
        self.read(move |db| db.many(&query, &[], fx_pair)).await
    }

    /// The last `limit` rates of a pair, the latest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn fx_rates(&self, pair: String, limit: u32) -> Result<Vec<FxRate>, SubmitError> {
        let query = format!("{} WHERE pair = ?1 ORDER BY number DESC LIMIT {limit}", select(&FX_RATE));
        self.read(move |db| db.many(&query, &[pair.into()], fx_rate)).await
    }

    /// The rate that a quote names.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn fx_rate(&self, id: &str) -> Result<Option<FxRate>, SubmitError> {
        let place = id.rsplit_once(':').and_then(|(pair, number)| Some((pair, number.parse::<i64>().ok()?)));
        let Some((pair, number)) = place else { return Ok(None) };
        let params = [pair.into(), number.into()];
        let query = format!("{} WHERE pair = ?1 AND number = ?2", select(&FX_RATE));
        self.read(move |db| db.one(&query, &params, fx_rate)).await
    }
}
