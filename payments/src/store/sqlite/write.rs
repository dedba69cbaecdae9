//! What changed: each row once, each line of the journal, one link of the chain.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest, Sha256};
use units::Timestamp;

use super::{Receipt, micros, sql};
use crate::{
    ledger::{
        Account, ApiKey, Command, Entry, Hold, Lot, Notice, Order, RefundBatch, RefundItem,
        RowOp, Wallet,
    },
    store::Applied,
};

/// The end of the hash chain so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Number of the last batch.
    pub(super) batch: i64,
    /// Number of the last entry.
    pub(super) seq: i64,
    /// Its hash.
    pub(super) hash: [u8; 32],
}

pub(super) fn last_link(db: &Connection) -> rusqlite::Result<Link> {
    let seq = db.query_row("SELECT coalesce(max(seq), 0) FROM entry", [], |row| row.get(0))?;
    let mut statement = db.prepare("SELECT batch, hash FROM chain ORDER BY batch DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Link { batch: row.get(0)?, seq, hash: row.get(1)? }),
        None => Ok(Link { seq, ..Link::default() }),
    }
}

/// Writes a batch's changes; the new end of the chain.
pub(super) fn batch(
    tx: &Transaction<'_>,
    link: &Link,
    commands: &[&Command],
    applied: &[Applied],
) -> rusqlite::Result<Link> {
    let mut last: BTreeMap<(u8, String), &RowOp> = BTreeMap::new();
    let mut entries: Vec<&Entry> = Vec::new();
    for op in applied.iter().flat_map(|applied| &applied.ops) {
        match op {
            RowOp::Entry(entry) => entries.push(entry),
            // A row changed by several commands of the batch is written once, as the last left it.
            row => drop(last.insert(place(row), row)),
        }
    }
    for row in last.values() {
        put(tx, row)?;
    }
    for (command, applied) in commands.iter().zip(applied) {
        remember(tx, command, applied)?;
    }
    let Some(at) = commands.last().map(|command| command.at) else { return Ok(link.clone()) };
    journal(tx, link, &entries, at)
}

/// Rows are written in this order, parents before children.
fn place(row: &RowOp) -> (u8, String) {
    match row {
        RowOp::Account(row) => (0, row.id.to_string()),
        RowOp::Key(row) => (1, row.id.to_string()),
        RowOp::Wallet(row) => (2, format!("{}/{}", row.account, row.asset)),
        RowOp::Lot(row) => (3, row.id.clone()),
        RowOp::Hold(row) => (4, row.id.to_string()),
        RowOp::Order(row) => (5, row.id.to_string()),
        RowOp::Notice(row) => (6, row.id.clone()),
        RowOp::Batch(row) => (7, row.id.to_string()),
        RowOp::Item(row) => (8, row.id.to_string()),
        RowOp::PriceList(row) => (9, row.name.clone()),
        RowOp::PriceVersion(row) => (9, row.id()),
        RowOp::PriceAssignment(row) => (9, row.account.to_string()),
        RowOp::FxPair(row) => (11, row.pair.clone()),
        RowOp::FxRate(row) => (12, row.id.clone()),
        RowOp::Terms(row) => (10, row.id.clone()),
        RowOp::Entry(row) => (11, row.tx.clone()),
    }
}

fn put(tx: &Transaction<'_>, row: &RowOp) -> rusqlite::Result<()> {
    match row {
        RowOp::Account(row) => put_account(tx, row),
        RowOp::Key(row) => put_key(tx, row),
        RowOp::Wallet(row) => put_wallet(tx, row),
        RowOp::Lot(row) => put_lot(tx, row),
        RowOp::Hold(row) => put_hold(tx, row),
        RowOp::Order(row) => put_order(tx, row),
        RowOp::Notice(row) => put_notice(tx, row),
        RowOp::Batch(row) => put_batch(tx, row),
        RowOp::Item(row) => put_item(tx, row),
        RowOp::PriceList(row) => put_body(tx, "price_list (name, body)", "(name)", &row.name, row),
        RowOp::PriceVersion(row) => tx
            .prepare_cached("INSERT INTO price_version (list, number, valid_from, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![row.list, row.number, micros(row.valid_from), sql::to_json(row)?])
            .map(drop),
        RowOp::PriceAssignment(row) => {
            put_body(tx, "price_assignment (account, body)", "(account)", &row.account.to_string(), row)
        }
        RowOp::FxPair(row) => put_body(tx, "fx_pair (pair, body)", "(pair)", &row.pair, row),
        RowOp::FxRate(row) => tx
            .prepare_cached("INSERT INTO fx_rate (pair, number, body) VALUES (?1, ?2, ?3)")?
            .execute(params![row.pair, row.number, sql::to_json(row)?])
            .map(drop),
        RowOp::Entry(_) | RowOp::Terms(_) => Ok(()),
    }
}

fn put_account(tx: &Transaction<'_>, row: &Account) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO account (id, livemode, name, role, stopped, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, stopped = excluded.stopped",
    )?
    .execute(params![
        row.id.to_string(),
        row.livemode.as_str(),
        row.name,
        row.role.as_str(),
        row.stopped,
        micros(row.created_at)
    ])
    .map(drop)
}

fn put_key(tx: &Transaction<'_>, row: &ApiKey) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO api_key (id, account, digest, body, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body, revoked_at = excluded.revoked_at",
    )?
    .execute(params![
        row.id.to_string(),
        row.account.to_string(),
        row.digest,
        sql::to_json(row)?,
        row.revoked_at.map(micros)
    ])
    .map(drop)
}

fn put_wallet(tx: &Transaction<'_>, row: &Wallet) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO wallet (account, asset, posted, held, version) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account, asset) DO UPDATE SET posted = excluded.posted, held = excluded.held, version = excluded.version",
    )?
    .execute(params![row.account.to_string(), row.asset.to_string(), row.posted, row.held, row.version])
    .map(drop)
}

fn put_lot(tx: &Transaction<'_>, row: &Lot) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO lot (id, account, asset, class, pay_order, orig, rem, consumed, refunding, refunded, expired, voided,
                          paid_fen, refunded_fen, refunds, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (id) DO UPDATE SET rem = excluded.rem, consumed = excluded.consumed, refunding = excluded.refunding,
             refunded = excluded.refunded, expired = excluded.expired, voided = excluded.voided,
             refunded_fen = excluded.refunded_fen, refunds = excluded.refunds",
    )?
    .execute(params![
        row.id,
        row.account.to_string(),
        row.asset.to_string(),
        row.class.as_str(),
        row.order.map(|order| order.to_string()),
        row.orig,
        row.rem,
        row.consumed,
        row.refunding,
        row.refunded,
        row.expired,
        row.voided,
        row.paid_fen.get(),
        row.refunded_fen.get(),
        row.refunds,
        micros(row.created_at),
        row.expires_at.map(micros)
    ])
    .map(drop)
}

fn put_hold(tx: &Transaction<'_>, row: &Hold) -> rusqlite::Result<()> {
    let usage = row.usage.as_ref().map(sql::to_json).transpose()?;
    tx.prepare_cached(
        "INSERT INTO hold (id, account, api_key, state, model, money, tokens_milli, quote, epoch, opened_at, ended_at, cost,
                           cost_tokens_milli, overrun, usage, estimated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, money = excluded.money, ended_at = excluded.ended_at,
             cost = excluded.cost, cost_tokens_milli = excluded.cost_tokens_milli, overrun = excluded.overrun,
             usage = excluded.usage, estimated = excluded.estimated",
    )?
    .execute(params![
        row.id.to_string(),
        row.account.to_string(),
        row.key.to_string(),
        row.state.as_str(),
        row.model,
        row.money.get(),
        row.tokens_milli,
        sql::to_json(&row.quote)?,
        row.epoch,
        micros(row.opened_at),
        row.ended_at.map(micros),
        row.cost.get(),
        row.cost_tokens_milli,
        row.overrun.get(),
        usage,
        row.estimated
    ])
    .map(drop)
}

fn put_order(tx: &Transaction<'_>, row: &Order) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO pay_order (id, account, state, amount_fen, refunded_fen, transaction_id, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, refunded_fen = excluded.refunded_fen,
             transaction_id = excluded.transaction_id, body = excluded.body",
    )?
    .execute(params![
        row.id.to_string(),
        row.account.to_string(),
        row.state.as_str(),
        row.amount.get(),
        row.refunded.get(),
        row.transaction_id,
        sql::to_json(row)?
    ])
    .map(drop)
}

fn put_notice(tx: &Transaction<'_>, row: &Notice) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO notice (id, merchant, subject, result, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO NOTHING",
    )?
    .execute(params![row.id, row.merchant, row.subject, row.result.as_str(), row.detail, micros(row.at)])
    .map(drop)
}

fn put_batch(tx: &Transaction<'_>, row: &RefundBatch) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO refund_batch (id, account, state, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body",
    )?
    .execute(params![row.id.to_string(), row.account.to_string(), row.state.as_str(), sql::to_json(row)?])
    .map(drop)
}

fn put_item(tx: &Transaction<'_>, row: &RefundItem) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO refund_item (id, batch, account, state, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body",
    )?
    .execute(params![
        row.id.to_string(),
        row.batch.to_string(),
        row.account.to_string(),
        row.state.as_str(),
        sql::to_json(row)?
    ])
    .map(drop)
}

fn put_body(
    tx: &Transaction<'_>,
    into: &str,
    key: &str,
    name: &str,
    row: &impl serde::Serialize,
) -> rusqlite::Result<()> {
    tx.prepare_cached(&format!(
        "INSERT INTO {into} VALUES (?1, ?2) ON CONFLICT {key} DO UPDATE SET body = excluded.body"
    ))?
    .execute(params![name, sql::to_json(row)?])
    .map(drop)
}

fn remember(tx: &Transaction<'_>, command: &Command, applied: &Applied) -> rusqlite::Result<()> {
    let Some(remembered) = &applied.remember else { return Ok(()) };
    let approver = command.approver.as_ref().map(|approver| approver.id.clone());
    tx.prepare_cached(
        "INSERT INTO command (key, payload_hash, outcome, actor, role, reason, approver, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        command.key,
        remembered.payload_hash,
        sql::to_json(&remembered.outcome)?,
        command.actor.id,
        command.actor.role.as_str(),
        command.reason,
        approver,
        micros(command.at)
    ])
    .map(drop)
}

fn journal(tx: &Transaction<'_>, link: &Link, entries: &[&Entry], at: Timestamp) -> rusqlite::Result<Link> {
    if entries.is_empty() {
        return Ok(link.clone());
    }
    let batch = link.batch + 1;
    let mut seq = link.seq;
    let mut hash = Sha256::new_with_prefix(link.hash);
    let mut insert = tx.prepare_cached(
        "INSERT INTO entry (seq, batch, tx, kind, debit, credit, asset, amount, account, lot, hold, pay_order, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for entry in entries {
        seq += 1;
        hash.update(canonical(seq, entry));
        insert.execute(params![
            seq,
            batch,
            entry.tx,
            entry.kind.as_str(),
            entry.debit.as_str(),
            entry.credit.as_str(),
            entry.asset.to_string(),
            entry.amount,
            entry.account.map(|id| id.to_string()),
            entry.lot,
            entry.hold.map(|id| id.to_string()),
            entry.order.map(|id| id.to_string()),
            micros(entry.at)
        ])?;
    }
    let hash: [u8; 32] = hash.finalize().into();
    tx.prepare_cached("INSERT INTO chain (batch, at, entries, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            batch,
            micros(at),
            i64::try_from(entries.len()).unwrap_or(i64::MAX),
            link.hash,
            hash
        ])?;
    Ok(Link { batch, seq, hash })
}

/// An entry's bytes in the chain: its fields in order, each ended by a zero byte, which none of them contains.
pub(super) fn canonical(seq: i64, entry: &Entry) -> Vec<u8> {
    let fields = [
        seq.to_string(),
        entry.tx.clone(),
        entry.kind.to_string(),
        entry.debit.to_string(),
        entry.credit.to_string(),
        entry.asset.to_string(),
        entry.amount.to_string(),
        entry.account.map(|id| id.to_string()).unwrap_or_default(),
        entry.lot.clone().unwrap_or_default(),
        entry.hold.map(|id| id.to_string()).unwrap_or_default(),
        entry.order.map(|id| id.to_string()).unwrap_or_default(),
        micros(entry.at).to_string(),
    ];
    fields.iter().flat_map(|field| field.bytes().chain(std::iter::once(0))).collect()
}

/// Writes receipts; the last word on a call counts.
pub(super) fn receipts(db: &mut Connection, receipts: &[&Receipt]) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    {
        let mut put = tx.prepare_cached(
            "INSERT INTO receipt (id, account, at, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )?;
        for receipt in receipts {
            put.execute(params![
                receipt.id.to_string(),
                receipt.account.to_string(),
                micros(receipt.at),
                receipt.body
            ])?;
        }
    }
    tx.commit()
}
