//! Orders, refunds and answered commands.

use std::{collections::HashMap, fmt};

use units::{AccountId, OrderId, RefundBatchId, RefundId, Timestamp};

use super::{PAGE, Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{Command, Order, RefundBatch, RefundItem, Refusal, RowOp},
    store::{
        Outcome, Store, SubmitError,
        query::{Query, ReadError},
        tables::{PAY_ORDER, REFUND_BATCH, REFUND_ITEM, Table, read_remembered},
        value::{Broken, Cells, Value},
    },
};

reader!(order, PAY_ORDER, Order, Order);
reader!(batch, REFUND_BATCH, Batch, RefundBatch);
reader!(item, REFUND_ITEM, Item, RefundItem);

/// A request to refund with its items.
type Refund = (RefundBatch, Vec<RefundItem>);

fn with_items(db: &mut dyn Query, batch: RefundBatch) -> Result<Refund, ReadError> {
    let items = format!("{} WHERE batch = ?1 ORDER BY id", select(&REFUND_ITEM));
    let items = db.many(&items, &[Value::word(batch.id)], item)?;
    Ok((batch, items))
}

/// What reads the rows of an account from its newest or from one on, and one more than wanted: whether there is a next page.
/// Ids begin with the time, so their order is that of their making.
fn a_page(table: &Table, after: bool, rows: usize) -> String {
    let older = if after { " AND id < ?2" } else { "" };
    format!("{} WHERE account = ?1{older} ORDER BY id DESC LIMIT {}", select(table), rows.min(PAGE) + 1)
}

fn named<Id: fmt::Display>(account: AccountId, after: Option<Id>) -> Vec<Value> {
    std::iter::once(Value::word(account)).chain(after.map(Value::word)).collect()
}

/// A page without what was read beyond it, and whether there was something.
fn cut<T>(mut found: Vec<T>, rows: usize) -> (Vec<T>, bool) {
    let rows = rows.min(PAGE);
    let more = found.len() > rows;
    found.truncate(rows);
    (found, more)
}

impl Store {
    /// An order.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&PAY_ORDER));
        self.read(move |db| db.one(&query, &[Value::word(id)], order)).await
    }

    /// An account's orders, newest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orders_of(&self, account: AccountId) -> Result<Vec<Order>, SubmitError> {
        let query = format!("{} WHERE account = ?1 ORDER BY id DESC LIMIT {PAGE}", select(&PAY_ORDER));
        self.read(move |db| db.many(&query, &[Value::word(account)], order)).await
    }

    /// A page of an account's orders, newest first: `rows` of those made before `after`, of 200 at most, and whether
    /// there are more.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orders_page(
        &self,
        account: AccountId,
        after: Option<OrderId>,
        rows: usize,
    ) -> Result<(Vec<Order>, bool), SubmitError> {
        let query = a_page(&PAY_ORDER, after.is_some(), rows);
        self.read(move |db| Ok(cut(db.many(&query, &named(account, after), order)?, rows))).await
    }

    /// Orders whose payment is awaited, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn unpaid_orders(&self) -> Result<Vec<Order>, SubmitError> {
        let query = format!("{} WHERE state IN ('created', 'pending') ORDER BY id", select(&PAY_ORDER));
        self.read(move |db| db.many(&query, &[], order)).await
    }

    /// Orders that wait for a person, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orders_in_review(&self) -> Result<Vec<Order>, SubmitError> {
        let query = format!("{} WHERE state = 'review' ORDER BY id LIMIT {PAGE}", select(&PAY_ORDER));
        self.read(move |db| db.many(&query, &[], order)).await
    }

    /// A request to refund with its items.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refund(&self, id: RefundBatchId) -> Result<Option<Refund>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&REFUND_BATCH));
        self.read(move |db| {
            let found = db.one(&query, &[Value::word(id)], batch)?;
            found.map(|found| with_items(db, found)).transpose()
        })
        .await
    }

    /// An account's requests to refund, newest first, with their items.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refunds_of(&self, account: AccountId) -> Result<Vec<Refund>, SubmitError> {
        let query = format!("{} WHERE account = ?1 ORDER BY id DESC LIMIT {PAGE}", select(&REFUND_BATCH));
        self.read(move |db| {
            let found = db.many(&query, &[Value::word(account)], batch)?;
            found.into_iter().map(|found| with_items(db, found)).collect()
        })
        .await
    }

    /// A page of an account's requests to refund, newest first, with their items: `rows` of those made before `after`, of
    /// 200 at most, and whether there are more.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refunds_page(
        &self,
        account: AccountId,
        after: Option<RefundBatchId>,
        rows: usize,
    ) -> Result<(Vec<Refund>, bool), SubmitError> {
        let query = a_page(&REFUND_BATCH, after.is_some(), rows);
        self.read(move |db| {
            let (found, more) = cut(db.many(&query, &named(account, after), batch)?, rows);
            let found: Result<Vec<_>, _> = found.into_iter().map(|found| with_items(db, found)).collect();
            Ok((found?, more))
        })
        .await
    }

    /// A refund item.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refund_item(&self, id: RefundId) -> Result<Option<RefundItem>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&REFUND_ITEM));
        self.read(move |db| db.one(&query, &[Value::word(id)], item)).await
    }

    /// Refund items that are not at an end, oldest first; not those that wait for an operator to agree.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_refund_items(&self) -> Result<Vec<RefundItem>, SubmitError> {
        let open = "state NOT IN ('success', 'closed', 'refused', 'cancelled')";
        let waits = "state = 'queued' AND EXISTS (SELECT 1 FROM refund_batch b WHERE b.id = refund_item.batch
                     AND b.account = refund_item.account AND b.state = 'waiting')";
        let query = format!("{} WHERE {open} AND NOT ({waits}) ORDER BY id", select(&REFUND_ITEM));
        self.read(move |db| db.many(&query, &[], item)).await
    }

    /// When each payment of an account was last asked to be refunded.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refunds_sent(&self, account: AccountId) -> Result<HashMap<OrderId, Timestamp>, SubmitError> {
        let of_account = "batch IN (SELECT id FROM refund_batch WHERE account = ?1)";
        let query = format!("{} WHERE {of_account}", select(&REFUND_ITEM));
        let items = self.read(move |db| db.many(&query, &[Value::word(account)], item)).await?;
        let mut sent = HashMap::new();
        for (order, at) in items.iter().filter_map(|item| Some((item.order, item.sent_at?))) {
            let last = sent.entry(order).or_insert(at);
            *last = at.max(*last);
        }
        Ok(sent)
    }

    /// Requests to refund that are not at an end, oldest first, with their items.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_refunds(&self) -> Result<Vec<Refund>, SubmitError> {
        let open = "state NOT IN ('success', 'closed', 'refused', 'cancelled')";
        let query = format!(
            "{} WHERE id IN (SELECT batch FROM refund_item WHERE {open}) ORDER BY id LIMIT {PAGE}",
            select(&REFUND_BATCH)
        );
        self.read(move |db| {
            let found = db.many(&query, &[], batch)?;
            found.into_iter().map(|found| with_items(db, found)).collect()
        })
        .await
    }

    /// True where a command of this key was carried out, or refused for good.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn knows_key(&self, key: String) -> Result<bool, SubmitError> {
        let query = "SELECT key FROM command WHERE key = ?1";
        self.read(move |db| Ok(db.one(query, &[key.into()], |cells| cells.text())?.is_some())).await
    }

    /// What a command would be answered if it had been asked before; `None` if it was not.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn answered(&self, command: &Command) -> Result<Option<Outcome>, SubmitError> {
        let (key, asked) = (command.key.clone(), command.payload_hash());
        let query = "SELECT payload_hash, outcome FROM command WHERE key = ?1";
        let found = self.read(move |db| db.one(query, &[key.into()], read_remembered)).await?;
        Ok(found.map(
            |earlier| {
                if earlier.payload_hash == asked { earlier.outcome } else { Err(Refusal::KeyReused) }
            },
        ))
    }
}
