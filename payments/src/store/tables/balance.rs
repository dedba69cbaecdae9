//! Balances, the lots they are made of, and what token balances pay for.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{Lot, RowOp, TokenTerms, Wallet},
    store::value::Value,
};

/// Balances. What is held of one stands nowhere but in its holds: see [`crate::store::held`].
pub(crate) static WALLET: Table = Table {
    name: "wallet",
    columns: &[
        kept("account", Kind::Text),
        kept("asset", Kind::Text),
        changing("posted", Kind::Int),
        changing("lines", Kind::Int),
        changing("moved_at", Kind::Int),
    ],
    key: &["account", "asset"],
    row: Some(|cells| {
        Ok(RowOp::Wallet(Wallet {
            account: cells.word()?,
            asset: cells.word()?,
            posted: cells.int()?,
            held: 0,
            lines: cells.int()?,
            moved_at: cells.time()?,
        }))
    }),
};

pub(super) fn wallet_columns(row: &Wallet) -> Vec<Value> {
    vec![
        Value::word(row.account),
        Value::word(&row.asset),
        row.posted.into(),
        row.lines.into(),
        row.moved_at.into(),
    ]
}

/// Lots.
pub(crate) static LOT: Table = Table {
    name: "lot",
    columns: &[
        kept("account", Kind::Text),
        kept("id", Kind::Text),
        kept("asset", Kind::Text),
        kept("class", Kind::Text),
        kept("pay_order", Kind::Text),
        kept("orig", Kind::Int),
        changing("rem", Kind::Int),
        changing("consumed", Kind::Int),
        changing("refunding", Kind::Int),
        changing("refunded", Kind::Int),
        changing("expired", Kind::Int),
        changing("voided", Kind::Int),
        kept("paid_fen", Kind::Int),
        changing("refunded_fen", Kind::Int),
        changing("refunds", Kind::Int),
        kept("created_at", Kind::Int),
        changing("expires_at", Kind::Int),
    ],
    key: &["id", "account"],
    row: Some(|cells| {
        Ok(RowOp::Lot(Lot {
            account: cells.word()?,
            id: cells.text()?,
            asset: cells.word()?,
            class: cells.word()?,
            order: cells.maybe_word()?,
            orig: cells.int()?,
            rem: cells.int()?,
            consumed: cells.int()?,
            refunding: cells.int()?,
            refunded: cells.int()?,
            expired: cells.int()?,
            voided: cells.int()?,
            paid_fen: cells.fen()?,
            refunded_fen: cells.fen()?,
            refunds: cells.int()?,
            created_at: cells.time()?,
            expires_at: cells.maybe_time()?,
        }))
    }),
};

pub(super) fn lot_columns(row: &Lot) -> Vec<Value> {
    vec![
        Value::word(row.account),
        row.id.as_str().into(),
        Value::word(&row.asset),
        row.class.as_str().into(),
        Value::maybe_word(row.order),
        row.orig.into(),
        row.rem.into(),
        row.consumed.into(),
        row.refunding.into(),
        row.refunded.into(),
        row.expired.into(),
        row.voided.into(),
        row.paid_fen.get().into(),
        row.refunded_fen.get().into(),
        row.refunds.into(),
        row.created_at.into(),
        row.expires_at.into(),
    ]
}

/// Terms of token balances. Never changed.
pub(crate) static TERMS: Table = Table {
    name: "token_terms",
    columns: &[kept("id", Kind::Text), kept("body", Kind::Text)],
    key: &["id"],
    row: Some(|cells| {
        let _id = cells.text()?;
        cells.json().map(RowOp::Terms)
    }),
};

pub(super) fn terms_columns(row: &TokenTerms) -> Vec<Value> {
    vec![row.id.as_str().into(), Value::json(row)]
}
