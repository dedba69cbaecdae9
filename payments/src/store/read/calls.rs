//! Calls: their holds and receipts.

use units::{AccountId, RequestId, Timestamp, Usage};

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

    /// What a call had used when its node last said so, if it is one of a node that may be gone with its disk.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn carried_progress(&self, id: RequestId) -> Result<Option<Usage>, SubmitError> {
        let query = "SELECT used FROM hold_progress WHERE id = ?1";
        self.read(move |db| db.one(query, &[Value::word(id)], |cells| cells.json())).await
    }

    /// Every hold that has not ended although its run is over; `epoch` is the run that asks.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orphaned_holds(&self, epoch: i64) -> Result<Vec<Hold>, SubmitError> {
        let (state, dead) = ("state IN ('open', 'orphan')", self.run_is_over());
        let query = format!("{} WHERE {state} AND {dead} ORDER BY id", select(&HOLD));
        self.read(move |db| db.many(&query, &[epoch.into()], hold)).await
    }

    /// The runs that share these books and are alive, this one among them.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn runs_alive(&self) -> Result<Vec<i64>, SubmitError> {
        let own = self.epoch();
        if !self.is_shared() {
            return Ok(vec![own]);
        }
        let query = "SELECT epoch FROM node_lease WHERE until > now() OR epoch = ?1 ORDER BY epoch";
        self.read(move |db| db.many(query, &[own.into()], |cells| cells.int())).await
    }

    /// Every hold that has not ended and whose deadline has passed at `at`.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn overdue_holds(&self, at: Timestamp) -> Result<Vec<Hold>, SubmitError> {
        let query =
            format!("{} WHERE state IN ('open', 'orphan') AND deadline <= ?1 ORDER BY id", select(&HOLD));
        self.read(move |db| db.many(&query, &[at.into()], hold)).await
    }

    /// How many holds are open.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_holds(&self) -> Result<i64, SubmitError> {
        let query = "SELECT count(*) FROM hold WHERE state IN ('open', 'orphan')";
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
