//! Rows to columns and back.

use std::str::FromStr;

use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use units::{Fen, NanoCny, Timestamp};

use crate::ledger::{Account, ApiKey, Hold, Lot, Notice, Order, RefundBatch, RefundItem, Wallet};

pub(super) const ACCOUNT: &str = "id, livemode, name, role, stopped, created_at";
pub(super) const WALLET: &str = "account, asset, posted, held, version";
pub(super) const LOT: &str = "id, account, asset, class, pay_order, orig, rem, consumed, refunding, refunded, expired, \
                              voided, paid_fen, refunded_fen, refunds, created_at, expires_at";
pub(super) const HOLD: &str = "id, account, api_key, state, model, money, tokens_milli, quote, epoch, opened_at, ended_at, \
                               cost, cost_tokens_milli, overrun, usage, estimated";

/// A column's text as whatever it names.
pub(super) fn text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| broken(column, &format!("{text:?}: {error}")))
}

fn optional_text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
        Ok(None)
    } else {
        text(row, column).map(Some)
    }
}

/// A column's JSON as whatever it holds.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| broken(column, &error.to_string()))
}

fn broken(column: usize, what: &str) -> rusqlite::Error {
    let error: Box<dyn std::error::Error + Send + Sync> = what.to_owned().into();
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}

/// Plain data as JSON.
pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn fen(row: &Row<'_>, column: usize) -> rusqlite::Result<Fen> {
    Fen::new(row.get(column)?).map_err(|error| broken(column, &error.to_string()))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: text(row, 0)?,
        livemode: text(row, 1)?,
        name: row.get(2)?,
        role: text(row, 3)?,
        stopped: row.get(4)?,
        stop_reason: None,
        flag: None,
        debt: NanoCny::ZERO,
        closed_at: None,
        created_at: Timestamp(row.get(5)?),
    })
}

pub(super) fn wallet(row: &Row<'_>) -> rusqlite::Result<Wallet> {
    Ok(Wallet {
        account: text(row, 0)?,
        asset: text(row, 1)?,
        posted: row.get(2)?,
        held: row.get(3)?,
        version: row.get(4)?,
    })
}

pub(super) fn lot(row: &Row<'_>) -> rusqlite::Result<Lot> {
    Ok(Lot {
        id: row.get(0)?,
        account: text(row, 1)?,
        asset: text(row, 2)?,
        class: text(row, 3)?,
        order: optional_text(row, 4)?,
        orig: row.get(5)?,
        rem: row.get(6)?,
        consumed: row.get(7)?,
        refunding: row.get(8)?,
        refunded: row.get(9)?,
        expired: row.get(10)?,
        voided: row.get(11)?,
        paid_fen: fen(row, 12)?,
        refunded_fen: fen(row, 13)?,
        refunds: row.get(14)?,
        created_at: Timestamp(row.get(15)?),
        expires_at: time(row, 16)?,
    })
}

pub(super) fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let usage = match row.get_ref(14)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(json(row, 14)?),
    };
    Ok(Hold {
        id: text(row, 0)?,
        account: text(row, 1)?,
        key: text(row, 2)?,
        state: text(row, 3)?,
        model: row.get(4)?,
        money: NanoCny::new(row.get(5)?),
        tokens_milli: row.get(6)?,
        quote: json(row, 7)?,
        epoch: row.get(8)?,
        opened_at: Timestamp(row.get(9)?),
        ended_at: time(row, 10)?,
        cost: NanoCny::new(row.get(11)?),
        cost_tokens_milli: row.get(12)?,
        overrun: NanoCny::new(row.get(13)?),
        usage,
        estimated: row.get(15)?,
    })
}

pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    json(row, 0)
}

pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    json(row, 0)
}

pub(super) fn batch(row: &Row<'_>) -> rusqlite::Result<RefundBatch> {
    json(row, 0)
}

pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<RefundItem> {
    json(row, 0)
}

pub(super) fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        id: row.get(0)?,
        merchant: row.get(1)?,
        subject: row.get(2)?,
        result: text(row, 3)?,
        detail: row.get(4)?,
        at: Timestamp(row.get(5)?),
    })
}
