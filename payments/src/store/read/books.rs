//! The journal and its sums.

use serde::{Deserialize, Serialize};
use units::AccountId;

use super::select;
use crate::{
    ledger::{Asset, Entry},
    store::{
        Store, SubmitError,
        query::{Query, ReadError},
        tables::{ENTRY, JournalLine},
        value::Value,
    },
};

/// The sum of one book's movements in one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialBalanceLine {
    /// Which book.
    pub book: String,
    /// Of what.
    pub asset: Asset,
    /// Sum of the debits, in the asset's unit: exact, also beyond the range of an amount.
    pub debit: i128,
    /// Sum of the credits.
    pub credit: i128,
}

impl Store {
    /// An account's journal lines, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn entries_of(&self, account: AccountId) -> Result<Vec<Entry>, SubmitError> {
        let query = format!("{} WHERE account = ?1 ORDER BY at, lane, seq", select(&ENTRY));
        self.read(move |db| {
            let rows = db.rows(&query, &[Value::word(account)])?;
            let lines = rows.iter().map(|row| JournalLine::read(row).map(|line| line.entry));
            Ok(lines.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Debits and credits by book and asset.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn trial_balance(&self) -> Result<Vec<TrialBalanceLine>, SubmitError> {
        self.read(trial_balance).await
    }
}

/// SQLite's `sum` fails beyond `i64` and PostgreSQL's grows out of it, so the halves of each amount are summed apart.
fn trial_balance(db: &mut dyn Query) -> Result<Vec<TrialBalanceLine>, ReadError> {
    let query = "SELECT book, asset,
                        CAST(sum(debit >> 32) AS BIGINT), CAST(sum(debit & 4294967295) AS BIGINT),
                        CAST(sum(credit >> 32) AS BIGINT), CAST(sum(credit & 4294967295) AS BIGINT)
                 FROM (
                     SELECT debit AS book, asset, amount AS debit, 0 AS credit FROM entry
                     UNION ALL SELECT credit, asset, 0, amount FROM entry) AS sides
                 GROUP BY book, asset ORDER BY asset, book";
    let whole = |high: i64, low: i64| (i128::from(high) << 32) + i128::from(low);
    db.many(query, &[], |cells| {
        Ok(TrialBalanceLine {
            book: cells.text()?,
            asset: cells.word()?,
            debit: whole(cells.int()?, cells.int()?),
            credit: whole(cells.int()?, cells.int()?),
        })
    })
}
