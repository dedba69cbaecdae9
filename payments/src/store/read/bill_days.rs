//! Days laid beside the channel's bill, and what they are laid beside.

use std::collections::{BTreeMap, BTreeSet};

use units::{NanoCny, OrderId, RefundId, Timestamp};

use super::{Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{BillDay, BillDifference, Order, RefundItem, RowOp, SuspensePayment},
    store::{
        Store, SubmitError,
        query::{Query, ReadError},
        tables::{BILL_DAY, BILL_DIFFERENCE, PAY_ORDER, REFUND_ITEM, SUSPENSE, Table},
        value::{Broken, Cells, Value},
    },
};

reader!(day, BILL_DAY, BillDay, BillDay);
reader!(difference, BILL_DIFFERENCE, Difference, BillDifference);
reader!(order, PAY_ORDER, Order, Order);
reader!(item, REFUND_ITEM, Item, RefundItem);
reader!(aside, SUSPENSE, Suspense, SuspensePayment);

/// Keys of one statement.
const TOGETHER: usize = 200;
/// An order is paid within this much of its making, with room: it ends after two hours at most.
const PAID_WITHIN: i64 = 2 * 86_400 * 1_000_000;
/// A refund is sent within this much of its request, with room: it may wait for the merchant's balance.
const SENT_WITHIN: i64 = 31 * 86_400 * 1_000_000;
/// Differences of one list.
const LIST: usize = 5_000;

/// What a bill names, and which time it is of.
#[derive(Debug, Default)]
pub(crate) struct BillNames {
    pub(crate) orders: Vec<OrderId>,
    pub(crate) refunds: Vec<RefundId>,
    pub(crate) transactions: Vec<String>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// Our side of a day.
#[derive(Debug, Default)]
pub(crate) struct OurSide {
    /// What the bill names, and what may have been paid in its time.
    pub(crate) orders: BTreeMap<OrderId, Order>,
    /// What the journal has taken in for each of them.
    pub(crate) booked: BTreeMap<OrderId, NanoCny>,
    /// What the bill names, and what may have been accepted in its time; their orders are among `orders`.
    pub(crate) items: BTreeMap<RefundId, RefundItem>,
    /// Payments that were put aside, by the channel's number.
    pub(crate) aside: BTreeMap<String, SuspensePayment>,
}

/// Rows by keys, some at a time.
fn by_keys<T>(
    db: &mut dyn Query,
    table: &Table,
    column: &str,
    keys: &[String],
    read: impl Fn(&mut Cells<'_>) -> Result<T, Broken> + Copy,
) -> Result<Vec<T>, ReadError> {
    let mut rows = Vec::new();
    for some in keys.chunks(TOGETHER) {
        let query = format!("{} WHERE {column} IN ({})", select(table), places(some.len()));
        let params: Vec<Value> = some.iter().map(|key| key.as_str().into()).collect();
        rows.extend(db.many(&query, &params, read)?);
    }
    Ok(rows)
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

fn words<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

impl Store {
    /// A day of a merchant number.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn bill_day(&self, mchid: String, date: String) -> Result<Option<BillDay>, SubmitError> {
        let query = format!("{} WHERE mchid = ?1 AND day = ?2", select(&BILL_DAY));
        self.read(move |db| db.one(&query, &[mchid.into(), date.into()], day)).await
    }

    /// The days of every merchant number from one to another, both included, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn bill_days(&self, from: String, to: String) -> Result<Vec<BillDay>, SubmitError> {
        let query = format!("{} WHERE day >= ?1 AND day <= ?2 ORDER BY day, mchid", select(&BILL_DAY));
        self.read(move |db| db.many(&query, &[from.into(), to.into()], day)).await
    }

    /// What did not agree on a day, in the order of the ids.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn bill_differences(
        &self,
        mchid: String,
        date: String,
    ) -> Result<Vec<BillDifference>, SubmitError> {
        let query = format!("{} WHERE mchid = ?1 AND day = ?2 ORDER BY id", select(&BILL_DIFFERENCE));
        self.read(move |db| db.many(&query, &[mchid.into(), date.into()], difference)).await
    }

    /// What nobody has explained yet, oldest day first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_bill_differences(&self) -> Result<Vec<BillDifference>, SubmitError> {
        let query =
            format!("{} WHERE state = 'open' ORDER BY day, id LIMIT {LIST}", select(&BILL_DIFFERENCE));
        self.read(move |db| db.many(&query, &[], difference)).await
    }

    /// One difference.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn bill_difference(&self, id: String) -> Result<Option<BillDifference>, SubmitError> {
        let query = format!("{} WHERE id = ?1", select(&BILL_DIFFERENCE));
        self.read(move |db| db.one(&query, &[id.into()], difference)).await
    }

    /// The first order there ever was, if there is one.
    pub(crate) async fn first_order(&self) -> Result<Option<Order>, SubmitError> {
        let query = format!("{} ORDER BY id LIMIT 1", select(&PAY_ORDER));
        self.read(move |db| db.one(&query, &[], order)).await
    }

    /// Which of these keys commands were answered under.
    pub(crate) async fn answered_keys(&self, keys: Vec<String>) -> Result<BTreeSet<String>, SubmitError> {
        self.read(move |db| {
            let mut found = BTreeSet::new();
            for some in keys.chunks(TOGETHER) {
                let query = format!("SELECT key FROM command WHERE key IN ({})", places(some.len()));
                let params: Vec<Value> = some.iter().map(|key| key.as_str().into()).collect();
                found.extend(db.many(&query, &params, |cells| cells.text())?);
            }
            Ok(found)
        })
        .await
    }

    /// Our side of what a bill tells, on one snapshot.
    pub(crate) async fn our_side(&self, names: BillNames) -> Result<OurSide, SubmitError> {
        self.read(move |db| our_side(db, &names)).await
    }
}

fn our_side(db: &mut dyn Query, names: &BillNames) -> Result<OurSide, ReadError> {
    let mut ours = OurSide::default();
    let put = |ours: &mut OurSide, orders: Vec<Order>| {
        ours.orders.extend(orders.into_iter().map(|order| (order.id, order)));
    };
    // Ids sort by the time of their making.
    let made = |from: i64| OrderId::new(Timestamp(names.from.0.saturating_sub(from)));
    let range = format!(
        "{} WHERE id >= ?1 AND id <= ?2 AND state IN ('paid', 'partially_refunded', 'refunded')",
        select(&PAY_ORDER)
    );
    let until = Value::word(OrderId::new(names.to));
    put(&mut ours, db.many(&range, &[Value::word(made(PAID_WITHIN)), until], order)?);
    put(&mut ours, by_keys(db, &PAY_ORDER, "id", &words(&names.orders), order)?);

    let sent = RefundId::new(Timestamp(names.from.0.saturating_sub(SENT_WITHIN)));
    let range = format!("{} WHERE id >= ?1 AND id <= ?2", select(&REFUND_ITEM));
    let until = Value::word(RefundId::new(names.to));
    let items = db.many(&range, &[Value::word(sent), until], item)?;
    let named = by_keys(db, &REFUND_ITEM, "id", &words(&names.refunds), item)?;
    ours.items.extend(items.into_iter().chain(named).map(|item| (item.id, item)));
    let further: BTreeSet<OrderId> = ours.items.values().map(|item| item.order).collect();
    let further = words(further.iter().filter(|id| !ours.orders.contains_key(id)));
    put(&mut ours, by_keys(db, &PAY_ORDER, "id", &further, order)?);

    let aside = by_keys(db, &SUSPENSE, "transaction_id", &names.transactions, aside)?;
    ours.aside.extend(aside.into_iter().map(|payment| (payment.transaction_id.clone(), payment)));
    for some in words(ours.orders.keys()).chunks(TOGETHER) {
        let query = format!(
            "SELECT pay_order, CAST(sum(amount) AS BIGINT) FROM entry
             WHERE kind = 'pay_credit' AND pay_order IN ({}) GROUP BY pay_order",
            places(some.len())
        );
        let params: Vec<Value> = some.iter().map(|key| key.as_str().into()).collect();
        let sums = db.many(&query, &params, |cells| Ok((cells.word()?, NanoCny::new(cells.int()?))))?;
        ours.booked.extend(sums);
    }
    Ok(ours)
}
