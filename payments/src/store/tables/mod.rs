//! Which tables are there, and how does a row of the ledger stand in one? Said once, for every engine.
//!
//! An engine makes its statements from a [`Table`]: what differs between SQLite and PostgreSQL is how rows travel, not
//! what they are. Every row of an account has the account in its key, so that the tables can be spread by it; ids come
//! first there, since they follow each other in time and so do the rows on disk.

mod account;
mod balance;
mod bill_day;
mod budget;
mod gate;
mod grant;
mod hold;
mod journal;
mod offer;
mod order;
mod prices;
mod receipt;
mod refund;

pub(crate) use self::{
    account::{ACCOUNT, API_KEY},
    balance::{LOT, TERMS, WALLET},
    bill_day::{BILL_DAY, BILL_DIFFERENCE},
    budget::{BUDGET, key_word},
    gate::GATE,
    grant::{GRANT, STANDING},
    hold::HOLD,
    journal::{CHAIN, COMMAND, ENTRY, JournalLine, Link, canonical, command_columns, read_remembered},
    offer::{CREDIT_CODE, PACKAGE},
    order::{NOTICE, PAY_ORDER, SUSPENSE},
    prices::{FX_PAIR, FX_RATE, PRICE_ASSIGNMENT, PRICE_LIST, PRICE_VERSION},
    receipt::RECEIPT,
    refund::{REFUND_BATCH, REFUND_ITEM},
};
use super::value::{Broken, Cells, Value};
use crate::ledger::RowOp;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`Value::Int`].
    Int,
    /// [`Value::Text`].
    Text,
    /// [`Value::Bytes`].
    Bytes,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// True where a later writing of the row may change it.
    pub(crate) changes: bool,
}

/// A column that keeps what it was first given.
const fn kept(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, changes: false }
}

/// A column that changes.
const fn changing(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, changes: true }
}

/// Reads a row of the ledger from its columns.
pub(crate) type ReadRow = fn(&mut Cells<'_>) -> Result<RowOp, Broken>;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its columns, in the order in which rows are read and written.
    pub(crate) columns: &'static [Column],
    /// The names of the key's columns.
    pub(crate) key: &'static [&'static str],
    /// A row of it, from its columns; `None` for tables that no decision reads.
    pub(crate) row: Option<ReadRow>,
}

impl Table {
    /// The columns' names, for a SELECT.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The key's values of a row of this table.
    pub(crate) fn key_of(&self, row: &[Value]) -> Vec<Value> {
        let columns = self.columns.iter().zip(row);
        columns
            .filter(|(column, _)| self.key.contains(&column.name))
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// True where a command may change a row without naming the account it belongs to, so that no account's lock covers
    /// it: such rows are locked themselves where others write too.
    pub(crate) fn stands_alone(&self) -> bool {
        let of_account = self.columns.iter().any(|column| column.name == "account");
        let changes = self.columns.iter().any(|column| column.changes);
        changes && (!of_account || ["pay_order", "refund_batch"].contains(&self.name))
    }

    /// A row of the ledger from this table's columns.
    pub(crate) fn read(&self, row: &[Value]) -> Result<RowOp, Broken> {
        let read =
            self.row.ok_or_else(|| Broken { column: 0, what: "the table is not read back".to_owned() })?;
        read(&mut Cells::new(row))
    }
}

/// Every table that belongs to the state of the books, parents before children: the order in which rows are written,
/// copied and hashed.
pub(crate) static ALL: &[&Table] = &[
    &ACCOUNT,
    &API_KEY,
    &TERMS,
    &WALLET,
    &LOT,
    &HOLD,
    &BUDGET,
    &PAY_ORDER,
    &GRANT,
    &STANDING,
    &NOTICE,
    &GATE,
    &REFUND_BATCH,
    &REFUND_ITEM,
    &SUSPENSE,
    &PACKAGE,
    &CREDIT_CODE,
    &BILL_DAY,
    &BILL_DIFFERENCE,
    &PRICE_LIST,
    &PRICE_VERSION,
    &PRICE_ASSIGNMENT,
    &FX_PAIR,
    &FX_RATE,
    &COMMAND,
    &ENTRY,
    &CHAIN,
];

/// Where a row lies: rows of one place are one row, the last writing counts. Sorted as they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is the key of the row it is named after")]
pub(crate) enum Place<'a> {
    Account(units::AccountId),
    Key(units::KeyId),
    Terms(&'a str),
    Wallet(units::AccountId, &'a crate::ledger::Asset),
    Lot(units::AccountId, &'a str),
    Hold(units::AccountId, units::RequestId),
    Order(units::OrderId),
    Notice(&'a str),
    Gate(String),
    Batch(units::RefundBatchId),
    Item(units::RefundId),
    Suspense(&'a str),
    Package(&'a str, i64),
    Code(&'a str),
    PriceList(&'a str),
    Budget(units::AccountId, Option<units::KeyId>, crate::ledger::BudgetPeriod),
    Grant(units::OrderId),
    Standing(units::AccountId),
    PriceVersion(&'a str, i64),
    PriceAssignment(units::AccountId),
    FxPair(&'a str),
    FxRate(&'a str, i64),
    BillDay(&'a str, &'a str),
    Difference(&'a str),
}

/// The place of a row; `None` for a line of the journal, which is always one more, and for what no row says.
pub(crate) fn place(op: &RowOp) -> Option<Place<'_>> {
    Some(match op {
        RowOp::Account(row) => Place::Account(row.id),
        RowOp::Key(row) => Place::Key(row.id),
        RowOp::Terms(row) => Place::Terms(&row.id),
        RowOp::Wallet(row) => Place::Wallet(row.account, &row.asset),
        RowOp::Lot(row) => Place::Lot(row.account, &row.id),
        RowOp::Hold(row) => Place::Hold(row.account, row.id),
        RowOp::Order(row) => Place::Order(row.id),
        RowOp::Notice(row) => Place::Notice(&row.id),
        RowOp::Gate(row) => Place::Gate(crate::ledger::Gate::name(row.scope, &row.id)),
        RowOp::Batch(row) => Place::Batch(row.id),
        RowOp::Item(row) => Place::Item(row.id),
        RowOp::Suspense(row) => Place::Suspense(&row.transaction_id),
        RowOp::Package(row) => Place::Package(&row.offer.id, row.offer.version),
        RowOp::Code(row) => Place::Code(&row.terms.digest),
        RowOp::Budget(row) => Place::Budget(row.account, row.key, row.period),
        RowOp::Grant(row) => Place::Grant(row.order),
        RowOp::Standing(row) => Place::Standing(row.account),
        RowOp::PriceList(row) => Place::PriceList(&row.name),
        RowOp::PriceVersion(row) => Place::PriceVersion(&row.list, row.number),
        RowOp::PriceAssignment(row) => Place::PriceAssignment(row.account),
        RowOp::FxPair(row) => Place::FxPair(&row.pair),
        RowOp::FxRate(row) => Place::FxRate(&row.pair, row.number),
        RowOp::FxGone { pair, number } => Place::FxRate(pair, *number),
        RowOp::BillDay(row) => Place::BillDay(&row.mchid, &row.day),
        RowOp::Difference(row) => Place::Difference(&row.id),
        RowOp::Entry(_) | RowOp::Held(_) => return None,
    })
}

/// The row that goes, if it is one that does: its table and its key.
pub(crate) fn gone(op: &RowOp) -> Option<(&'static Table, Vec<Value>)> {
    match op {
        RowOp::FxGone { pair, number } => Some((&FX_RATE, vec![pair.as_str().into(), (*number).into()])),
        _ => None,
    }
}

/// A row's table and its columns there; `None` for a line of the journal, which gets its number first, for a row that
/// goes, and for what no row says.
pub(crate) fn columns_of(op: &RowOp) -> Option<(&'static Table, Vec<Value>)> {
    Some(match op {
        RowOp::Account(row) => (&ACCOUNT, account::account_columns(row)),
        RowOp::Key(row) => (&API_KEY, account::key_columns(row)),
        RowOp::Terms(row) => (&TERMS, balance::terms_columns(row)),
        RowOp::Wallet(row) => (&WALLET, balance::wallet_columns(row)),
        RowOp::Lot(row) => (&LOT, balance::lot_columns(row)),
        RowOp::Hold(row) => (&HOLD, hold::columns(row)),
        RowOp::Budget(row) => (&BUDGET, budget::columns(row)),
        RowOp::Grant(row) => (&GRANT, grant::grant_columns(row)),
        RowOp::Standing(row) => (&STANDING, grant::standing_columns(row)),
        RowOp::Order(row) => (&PAY_ORDER, order::order_columns(row)),
        RowOp::Notice(row) => (&NOTICE, order::notice_columns(row)),
        RowOp::Gate(row) => (&GATE, gate::columns(row)),
        RowOp::Batch(row) => (&REFUND_BATCH, refund::batch_columns(row)),
        RowOp::Item(row) => (&REFUND_ITEM, refund::item_columns(row)),
        RowOp::Suspense(row) => (&SUSPENSE, order::suspense_columns(row)),
        RowOp::Package(row) => (&PACKAGE, offer::package_columns(row)),
        RowOp::Code(row) => (&CREDIT_CODE, offer::code_columns(row)),
        RowOp::PriceList(row) => (&PRICE_LIST, prices::price_list_columns(row)),
        RowOp::PriceVersion(row) => (&PRICE_VERSION, prices::price_version_columns(row)),
        RowOp::PriceAssignment(row) => (&PRICE_ASSIGNMENT, prices::price_assignment_columns(row)),
        RowOp::FxPair(row) => (&FX_PAIR, prices::fx_pair_columns(row)),
        RowOp::FxRate(row) => (&FX_RATE, prices::fx_rate_columns(row)),
        RowOp::BillDay(row) => (&BILL_DAY, bill_day::day_columns(row)),
        RowOp::Difference(row) => (&BILL_DIFFERENCE, bill_day::difference_columns(row)),
        RowOp::Entry(_) | RowOp::Held(_) | RowOp::FxGone { .. } => return None,
    })
}
