//! Orders, the notifications about them, and payments that agree with none.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Notice, Order, RowOp, SuspensePayment},
    store::value::Value,
};

/// Orders.
pub(crate) static PAY_ORDER: Table = Table {
    name: "pay_order",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        changing("state", Kind::Text),
        changing("amount_fen", Kind::Int),
        changing("refunded_fen", Kind::Int),
        changing("transaction_id", Kind::Text),
        changing("body", Kind::Text),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        let (_account, _id, _state) = (cells.text()?, cells.text()?, cells.text()?);
        let (_amount, _refunded, _transaction) = (cells.int()?, cells.int()?, cells.maybe_text()?);
        cells.json().map(|order| RowOp::Order(Box::new(order)))
    }),
};

pub(super) fn order_columns(row: &Order) -> Vec<Value> {
    vec![
        Value::word(row.account),
        Value::word(row.id),
        row.state.as_str().into(),
        row.amount.get().into(),
        row.refunded.get().into(),
        row.transaction_id.clone().into(),
        Value::json(row),
    ]
}

/// Verified notifications, by WeChat Pay's event id.
pub(crate) static NOTICE: Table = Table {
    name: "notice",
    columns: &[
        kept("id", Kind::Text),
        kept("merchant", Kind::Text),
        kept("subject", Kind::Text),
        kept("result", Kind::Text),
        kept("detail", Kind::Text),
        kept("at", Kind::Int),
    ],
    key: &["id"],
    row: Some(|cells| {
        Ok(RowOp::Notice(Notice {
            id: cells.text()?,
            merchant: cells.text()?,
            subject: cells.text()?,
            result: cells.word()?,
            detail: cells.maybe_text()?,
            at: cells.time()?,
        }))
    }),
};

pub(super) fn notice_columns(row: &Notice) -> Vec<Value> {
    vec![
        row.id.as_str().into(),
        row.merchant.as_str().into(),
        row.subject.as_str().into(),
        row.result.as_str().into(),
        row.detail.clone().into(),
        row.at.into(),
    ]
}

/// Payments that were put aside, by WeChat Pay's number.
pub(crate) static SUSPENSE: Table = Table {
    name: "suspense_payment",
    columns: &[
        kept("transaction_id", Kind::Text),
        changing("state", Kind::Text),
        kept("amount_fen", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["transaction_id"],
    row: Some(|cells| {
        let (_id, _state, _amount) = (cells.text()?, cells.text()?, cells.int()?);
        cells.json().map(RowOp::Suspense)
    }),
};

pub(super) fn suspense_columns(row: &SuspensePayment) -> Vec<Value> {
    vec![
        row.transaction_id.as_str().into(),
        row.state.as_str().into(),
        row.amount.get().into(),
        Value::json(row),
    ]
}
