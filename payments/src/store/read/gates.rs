//! What keeps orders from being made.

use super::{Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{Gate, RowOp},
    store::{
        Store, SubmitError,
        tables::GATE,
        value::{Broken, Cells},
    },
};

reader!(gate, GATE, Gate, Gate);

impl Store {
    /// Those of these gates that somebody ever set.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn gates(&self, names: Vec<String>) -> Result<Vec<Gate>, SubmitError> {
        let query = format!("{} WHERE name = ?1", select(&GATE));
        self.read(move |db| {
            let mut found = Vec::new();
            for name in names {
                found.extend(db.one(&query, &[name.into()], gate)?);
            }
            Ok(found)
        })
        .await
    }

    /// The gates that are not wholly open, by name.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn closed_gates(&self) -> Result<Vec<Gate>, SubmitError> {
        let query = format!("{} WHERE state <> 'open' ORDER BY name LIMIT 1000", select(&GATE));
        self.read(move |db| db.many(&query, &[], gate)).await
    }
}
