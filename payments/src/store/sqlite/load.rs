//! Which rows do these commands name? Each is fetched by its key.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use units::AccountId;

use super::sql;
use crate::{
    ledger::{Asset, Command, Needs, RowOp, Rows, Wallet},
    store::batch::Remembered,
};

/// Fetches what `needs` names.
pub(super) fn rows(db: &Connection, needs: &Needs, into: &mut Rows) -> rusqlite::Result<()> {
    let mut each = Fetch { db, into };
    for id in &needs.accounts {
        each.one(
            &format!("SELECT {} FROM account WHERE id = ?1", sql::ACCOUNT),
            &[&id.to_string()],
            |row| sql::account(row).map(RowOp::Account),
        )?;
    }
    for id in &needs.keys {
        each.one("SELECT body FROM api_key WHERE id = ?1", &[&id.to_string()], |row| {
            sql::key(row).map(RowOp::Key)
        })?;
    }
    for digest in &needs.digests {
        each.one("SELECT body FROM api_key WHERE digest = ?1", &[digest], |row| {
            sql::key(row).map(RowOp::Key)
        })?;
    }
    for ((account, asset), with_lots) in &needs.wallets {
        let (account, asset) = (account.to_string(), asset.to_string());
        each.one(
            &format!("SELECT {} FROM wallet WHERE account = ?1 AND asset = ?2", sql::WALLET),
            &[&account, &asset],
            |row| sql::wallet(row).map(RowOp::Wallet),
        )?;
        if *with_lots {
            each.all(
                &format!("SELECT {} FROM lot WHERE account = ?1 AND asset = ?2 AND rem > 0", sql::LOT),
                &[&account, &asset],
                |row| sql::lot(row).map(RowOp::Lot),
            )?;
        }
    }
    for id in &needs.holds {
        each.one(&format!("SELECT {} FROM hold WHERE id = ?1", sql::HOLD), &[&id.to_string()], |row| {
            sql::hold(row).map(|hold| RowOp::Hold(Box::new(hold)))
        })?;
    }
    for id in &needs.orders {
        each.order("SELECT body FROM pay_order WHERE id = ?1", &id.to_string())?;
        each.one(
            &format!("SELECT {} FROM lot WHERE id = ?1", sql::LOT),
            &[&format!("pay:{}", id.bare())],
            |row| sql::lot(row).map(RowOp::Lot),
        )?;
    }
    for number in &needs.transactions {
        each.order("SELECT body FROM pay_order WHERE transaction_id = ?1", number)?;
    }
    for id in &needs.batches {
        let id = id.to_string();
        each.one("SELECT body FROM refund_batch WHERE id = ?1", &[&id], |row| {
            sql::batch(row).map(RowOp::Batch)
        })?;
        each.all("SELECT body FROM refund_item WHERE batch = ?1", &[&id], |row| {
            sql::item(row).map(RowOp::Item)
        })?;
        let lots: Vec<String> = each.into.items.values().map(|item| item.lot.clone()).collect();
        for lot in lots {
            each.one(&format!("SELECT {} FROM lot WHERE id = ?1", sql::LOT), &[&lot], |row| {
                sql::lot(row).map(RowOp::Lot)
            })?;
        }
    }
    for name in &needs.price_lists {
        each.one("SELECT body FROM price_list WHERE name = ?1", &[name], |row| sql::json(row, 0).map(RowOp::PriceList))?;
    }
    for account in &needs.price_assignments {
        each.one("SELECT body FROM price_assignment WHERE account = ?1", &[&account.to_string()], |row| {
            sql::json(row, 0).map(RowOp::PriceAssignment)
        })?;
    }
    for pair in &needs.fx_pairs {
        each.one("SELECT body FROM fx_pair WHERE pair = ?1", &[pair], |row| sql::json(row, 0).map(RowOp::FxPair))?;
    }
    for id in &needs.notices {
        each.one(
            "SELECT id, merchant, subject, result, detail, at FROM notice WHERE id = ?1",
            &[id],
            |row| sql::notice(row).map(RowOp::Notice),
        )?;
    }
    Ok(())
}

struct Fetch<'a> {
    db: &'a Connection,
    into: &'a mut Rows,
}

impl Fetch<'_> {
    fn one(
        &mut self,
        query: &str,
        params: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<RowOp>,
    ) -> rusqlite::Result<()> {
        self.all(query, params, read)
    }

    fn all(
        &mut self,
        query: &str,
        params: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<RowOp>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(query)?;
        let mut found = statement.query(params)?;
        while let Some(row) = found.next()? {
            self.into.put(&read(row)?);
        }
        Ok(())
    }

    fn order(&mut self, query: &str, param: &str) -> rusqlite::Result<()> {
        self.all(query, &[&param], |row| sql::order(row).map(|order| RowOp::Order(Box::new(order))))
    }
}

/// One balance as committed.
pub(super) fn wallet(db: &Connection, account: AccountId, asset: &Asset) -> rusqlite::Result<Option<Wallet>> {
    let query = format!("SELECT {} FROM wallet WHERE account = ?1 AND asset = ?2", sql::WALLET);
    db.prepare_cached(&query)?.query_row([account.to_string(), asset.to_string()], sql::wallet).optional()
}

/// What was answered to these commands' keys before.
pub(super) fn remembered(
    db: &Connection,
    commands: &[&Command],
) -> rusqlite::Result<HashMap<String, Remembered>> {
    let mut known = HashMap::new();
    let mut statement = db.prepare_cached("SELECT payload_hash, outcome FROM command WHERE key = ?1")?;
    for command in commands.iter().filter(|command| !command.remembered_by_its_row()) {
        let found = statement
            .query_row([&command.key], |row| {
                Ok(Remembered { payload_hash: row.get(0)?, outcome: sql::json(row, 1)? })
            })
            .optional()?;
        known.extend(found.map(|remembered| (command.key.clone(), remembered)));
    }
    Ok(known)
}
