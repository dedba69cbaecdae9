//! Calls: their holds and receipts.

use units::{AccountId, RequestId};

use super::{Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{Hold, RowOp},
    store::{
        Store, SubmitError,
        tables::HOLD,
        value::{Broken, Cells, Value},
    },
};

reader!(hold, HOLD, Hold, Hold);

impl Store {
    /// A hold.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn hold(&self, id: RequestId) -> Result<Option<Hold>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&HOLD));
        self.read(move |db| db.one(&query, &[Value::word(id)], hold)).await
    }

    /// Every open hold of a run before `epoch`.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orphaned_holds(&self, epoch: i64) -> Result<Vec<Hold>, SubmitError> {
        let query = format!("{} WHERE state = 'open' AND epoch < ?1 ORDER BY id", select(&HOLD));
        self.read(move |db| db.many(&query, &[epoch.into()], hold)).await
    }

    /// How many holds are open.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_holds(&self) -> Result<i64, SubmitError> {
        let query = "SELECT count(*) FROM hold WHERE state = 'open'";
        let found = self.read(move |db| db.one(query, &[], |cells| cells.int())).await?;
        Ok(found.unwrap_or(0))
    }

    /// A receipt, as it was written.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn receipt(&self, id: RequestId, account: AccountId) -> Result<Option<String>, SubmitError> {
        let query = "SELECT body FROM receipt WHERE id = ?1 AND account = ?2";
        self.read(move |db| db.one(query, &[Value::word(id), Value::word(account)], |cells| cells.text()))
            .await
    }
}
