//! Price lists, their versions, who buys by which, and rates of exchange.

use std::collections::BTreeSet;

use units::{OrderId, RequestId, Timestamp};

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

/// Rows that are looked through at a time for the rates they name.
const ROWS: usize = 4_096;

/// Every id of this kind that was made at this millisecond or later is greater: its first ten characters are the time.
fn since(id: impl std::fmt::Display) -> String {
    let mut text = id.to_string();
    text.truncate(text.find('_').map_or(0, |end| end + 1) + 10);
    text
}

/// What stands behind each `"fx_id":"` of a JSON text.
fn ids_in(body: &str) -> impl Iterator<Item = &str> {
    body.split("\"fx_id\":\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(id, _)| id)
}

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

    /// The first `limit` rates of a pair behind a number, the oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub(crate) async fn fx_rates_after(
        &self,
        pair: String,
        number: i64,
        limit: usize,
    ) -> Result<Vec<FxRate>, SubmitError> {
        let query =
            format!("{} WHERE pair = ?1 AND number > ?2 ORDER BY number LIMIT {limit}", select(&FX_RATE));
        self.read(move |db| db.many(&query, &[pair.into(), number.into()], fx_rate)).await
    }

    /// Which rates calls and orders of this time name, and every version of a price list.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub(crate) async fn fx_named(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeSet<String>, SubmitError> {
        self.read(move |db| {
            let mut named = BTreeSet::new();
            for version in db.many(&select(&PRICE_VERSION), &[], price_version)? {
                named.extend(version.fx.into_iter().map(|noted| noted.id));
            }
            let calls = (since(RequestId::new(from)), since(RequestId::new(to)));
            let orders = (since(OrderId::new(from)), since(OrderId::new(to)));
            for (table, column, (mut after, end)) in [("hold", "quote", calls), ("pay_order", "body", orders)] {
                // What names one says so in these words; the rest need not come here.
                let query = format!(
                    "SELECT id, {column} FROM {table} WHERE id > ?1 AND id < ?2 AND {column} LIKE '%\"fx_id\":\"%'
                     ORDER BY id LIMIT {ROWS}"
                );
                loop {
                    let params = [after.clone().into(), end.clone().into()];
                    let page = db.many(&query, &params, |cells| Ok((cells.text()?, cells.text()?)))?;
                    let Some((last, _)) = page.last() else { break };
                    after.clone_from(last);
                    named.extend(page.iter().flat_map(|(_, body)| ids_in(body)).map(str::to_owned));
                }
            }
            Ok(named)
        })
        .await
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
