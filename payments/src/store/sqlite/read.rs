//! What stands in the books? Read-only, beside the writer.

use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::{AccountId, OrderId, RefundBatchId, RefundId, RequestId};

use super::{Store, SubmitError, sql, write};
use crate::{
    ledger::{
        Account, ApiKey, Asset, Command, Entry, Hold, Lot, Order, RefundBatch, RefundItem,
        Refusal, Wallet,
    },
    store::Outcome,
};

/// A page of a list.
const PAGE: usize = 200;

/// One balance and the lots it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The numbers.
    pub wallet: Wallet,
    /// Every lot there ever was, oldest first.
    pub lots: Vec<Lot>,
}

/// The sum of one book's movements in one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialBalanceLine {
    /// Which book.
    pub book: String,
    /// Of what.
    pub asset: String,
    /// Sum of the debits, in the asset's unit.
    pub debit: i64,
    /// Sum of the credits.
    pub credit: i64,
}

/// What is wrong with the books, in words; empty when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings(pub Vec<String>);

impl Store {
    /// An account.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read; so for every reading below.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, SubmitError> {
        let query = format!("SELECT {} FROM account WHERE id = ?1", sql::ACCOUNT);
        self.read(move |db| one(db, &query, [id.to_string()], sql::account)).await
    }

    /// The accounts, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn accounts(&self) -> Result<Vec<Account>, SubmitError> {
        let query = format!("SELECT {} FROM account ORDER BY id LIMIT {PAGE}", sql::ACCOUNT);
        self.read(move |db| many(db, &query, [], sql::account)).await
    }

    /// The key with this digest.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn key_by_digest(&self, digest: String) -> Result<Option<ApiKey>, SubmitError> {
        self.read(move |db| one(db, "SELECT body FROM api_key WHERE digest = ?1", [digest], sql::key)).await
    }

    /// Every key that is not revoked.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn live_keys(&self) -> Result<Vec<ApiKey>, SubmitError> {
        self.read(|db| many(db, "SELECT body FROM api_key WHERE revoked_at IS NULL", [], sql::key)).await
    }

    /// An account's balances with their lots.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn balances(&self, account: AccountId) -> Result<Vec<Balance>, SubmitError> {
        self.read(move |db| {
            let id = account.to_string();
            let wallets = many(
                db,
                &format!("SELECT {} FROM wallet WHERE account = ?1 ORDER BY asset", sql::WALLET),
                [&id],
                sql::wallet,
            )?;
            let lots = format!(
                "SELECT {} FROM lot WHERE account = ?1 AND asset = ?2 ORDER BY created_at, id",
                sql::LOT
            );
            wallets
                .into_iter()
                .map(|wallet| {
                    let lots = many(db, &lots, [&id, &wallet.asset.to_string()], sql::lot)?;
                    Ok(Balance { wallet, lots })
                })
                .collect()
        })
        .await
    }

    /// The assets an account has a balance of.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn assets(&self, account: AccountId) -> Result<Vec<Asset>, SubmitError> {
        self.read(move |db| {
            many(db, "SELECT asset FROM wallet WHERE account = ?1", [account.to_string()], |row| {
                sql::text(row, 0)
            })
        })
        .await
    }

    /// A hold.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn hold(&self, id: RequestId) -> Result<Option<Hold>, SubmitError> {
        let query = format!("SELECT {} FROM hold WHERE id = ?1", sql::HOLD);
        self.read(move |db| one(db, &query, [id.to_string()], sql::hold)).await
    }

    /// Every open hold of a run before `epoch`.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orphaned_holds(&self, epoch: i64) -> Result<Vec<Hold>, SubmitError> {
        let query = format!("SELECT {} FROM hold WHERE state = 'open' AND epoch < ?1", sql::HOLD);
        self.read(move |db| many(db, &query, [epoch], sql::hold)).await
    }

    /// How many holds are open.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_holds(&self) -> Result<i64, SubmitError> {
        self.read(|db| db.query_row("SELECT count(*) FROM hold WHERE state = 'open'", [], |row| row.get(0)))
            .await
    }

    /// A receipt, as it was written.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn receipt(&self, id: RequestId, account: AccountId) -> Result<Option<String>, SubmitError> {
        self.read(move |db| {
            let query = "SELECT body FROM receipts.receipt WHERE id = ?1 AND account = ?2";
            one(db, query, [id.to_string(), account.to_string()], |row| row.get(0))
        })
        .await
    }

    /// An order.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, SubmitError> {
        self.read(move |db| one(db, "SELECT body FROM pay_order WHERE id = ?1", [id.to_string()], sql::order))
            .await
    }

    /// An account's orders, newest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn orders_of(&self, account: AccountId) -> Result<Vec<Order>, SubmitError> {
        let query = format!("SELECT body FROM pay_order WHERE account = ?1 ORDER BY id DESC LIMIT {PAGE}");
        self.read(move |db| many(db, &query, [account.to_string()], sql::order)).await
    }

    /// Orders whose payment is awaited, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn unpaid_orders(&self) -> Result<Vec<Order>, SubmitError> {
        self.read(|db| {
            many(
                db,
                "SELECT body FROM pay_order WHERE state IN ('created', 'pending') ORDER BY id",
                [],
                sql::order,
            )
        })
        .await
    }

    /// A request to refund with its items.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refund(
        &self,
        id: RefundBatchId,
    ) -> Result<Option<(RefundBatch, Vec<RefundItem>)>, SubmitError> {
        self.read(move |db| {
            let id = id.to_string();
            let Some(batch) = one(db, "SELECT body FROM refund_batch WHERE id = ?1", [&id], sql::batch)?
            else {
                return Ok(None);
            };
            let items =
                many(db, "SELECT body FROM refund_item WHERE batch = ?1 ORDER BY id", [&id], sql::item)?;
            Ok(Some((batch, items)))
        })
        .await
    }

    /// An account's requests to refund, newest first, with their items.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refunds_of(
        &self,
        account: AccountId,
    ) -> Result<Vec<(RefundBatch, Vec<RefundItem>)>, SubmitError> {
        self.read(move |db| {
            let query =
                format!("SELECT body FROM refund_batch WHERE account = ?1 ORDER BY id DESC LIMIT {PAGE}");
            many(db, &query, [account.to_string()], sql::batch)?
                .into_iter()
                .map(|batch| {
                    let of = "SELECT body FROM refund_item WHERE batch = ?1 ORDER BY id";
                    let items = many(db, of, [batch.id.to_string()], sql::item)?;
                    Ok((batch, items))
                })
                .collect()
        })
        .await
    }

    /// A refund item.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn refund_item(&self, id: RefundId) -> Result<Option<RefundItem>, SubmitError> {
        self.read(move |db| {
            one(db, "SELECT body FROM refund_item WHERE id = ?1", [id.to_string()], sql::item)
        })
        .await
    }

    /// Refund items that are not at an end, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_refund_items(&self) -> Result<Vec<RefundItem>, SubmitError> {
        self.read(|db| {
            let query = "SELECT body FROM refund_item WHERE state IN ('queued', 'sent', 'processing', 'abnormal') ORDER BY id";
            many(db, query, [], sql::item)
        })
        .await
    }

    /// What a command would be answered if it had been asked before; `None` if it was not.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn answered(&self, command: &Command) -> Result<Option<Outcome>, SubmitError> {
        let (key, asked) = (command.key.clone(), command.payload_hash());
        self.read(move |db| {
            one(db, "SELECT payload_hash, outcome FROM command WHERE key = ?1", [key], |row| {
                let same = row.get::<_, [u8; 32]>(0)? == asked;
                if same { sql::json(row, 1) } else { Ok(Err(Refusal::KeyReused)) }
            })
        })
        .await
    }

    /// An account's journal lines, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn entries_of(&self, account: AccountId) -> Result<Vec<Entry>, SubmitError> {
        self.read(move |db| {
            let query = format!("SELECT {ENTRY} FROM entry WHERE account = ?1 ORDER BY seq");
            many(db, &query, [account.to_string()], |row| entry(row).map(|(_, _, entry)| entry))
        })
        .await
    }

    /// Debits and credits by book and asset.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn trial_balance(&self) -> Result<Vec<TrialBalanceLine>, SubmitError> {
        self.read(trial_balance).await
    }

    /// Looks at every row for what must never be.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn verify(&self) -> Result<Findings, SubmitError> {
        self.read(verify).await
    }
}

const ENTRY: &str = "seq, batch, tx, kind, debit, credit, asset, amount, account, lot, hold, pay_order, at";

fn entry(row: &Row<'_>) -> rusqlite::Result<(i64, i64, Entry)> {
    let id = |column| -> rusqlite::Result<Option<String>> { row.get(column) };
    let parsed = Entry {
        tx: row.get(2)?,
        kind: sql::text(row, 3)?,
        debit: sql::text(row, 4)?,
        credit: sql::text(row, 5)?,
        asset: sql::text(row, 6)?,
        amount: row.get(7)?,
        account: id(8)?.and_then(|text| text.parse().ok()),
        lot: id(9)?,
        hold: id(10)?.and_then(|text| text.parse().ok()),
        order: id(11)?.and_then(|text| text.parse().ok()),
        at: units::Timestamp(row.get(12)?),
    };
    Ok((row.get(0)?, row.get(1)?, parsed))
}

pub(super) fn one<T, P: Params>(
    db: &Connection,
    query: &str,
    params: P,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    db.prepare_cached(query)?.query_row(params, read).optional()
}

pub(super) fn many<T, P: Params>(
    db: &Connection,
    query: &str,
    params: P,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(query)?.query_map(params, read)?.collect()
}

fn trial_balance(db: &Connection) -> rusqlite::Result<Vec<TrialBalanceLine>> {
    let fits = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    let line = |(book, asset, debit, credit)| TrialBalanceLine {
        book,
        asset,
        debit: fits(debit),
        credit: fits(credit),
    };
    Ok(books(db)?.into_iter().map(line).collect())
}

/// Book, asset, debits, credits. SQLite's `sum` fails beyond `i64`, so the halves of each amount are summed apart.
fn books(db: &Connection) -> rusqlite::Result<Vec<(String, String, i128, i128)>> {
    let query = "SELECT book, asset, sum(debit >> 32), sum(debit & 4294967295), sum(credit >> 32), sum(credit & 4294967295)
                 FROM (
                     SELECT debit AS book, asset, amount AS debit, 0 AS credit FROM entry
                     UNION ALL SELECT credit, asset, 0, amount FROM entry)
                 GROUP BY book, asset ORDER BY asset, book";
    many(db, query, [], |row| {
        let whole = |high, low| -> rusqlite::Result<i128> {
            Ok((i128::from(row.get::<_, i64>(high)?) << 32) + i128::from(row.get::<_, i64>(low)?))
        };
        Ok((row.get(0)?, row.get(1)?, whole(2, 3)?, whole(4, 5)?))
    })
}

/// Each query finds what contradicts one rule; its first column names the culprit. `tests/verify.rs` breaks each once.
/// Sums are made once per table and joined: a subquery per row would read the journal again for each call.
const RULES: &[(&str, &str)] = &[
    (
        "a balance is the sum of its lots",
        "WITH lots AS (SELECT account, asset, sum(rem) AS rem FROM lot WHERE rem > 0 GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w LEFT JOIN lots l ON l.account = w.account AND l.asset = w.asset
         WHERE w.posted <> coalesce(l.rem, 0)",
    ),
    (
        "what is held is the sum of the open holds",
        "WITH held AS (
             SELECT account, 'CNY' AS asset, money AS amount FROM hold WHERE state = 'open'
             UNION ALL SELECT account, 'TOK:' || model, tokens_milli FROM hold WHERE state = 'open'),
         sums AS (SELECT account, asset, sum(amount) AS amount FROM held GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w LEFT JOIN sums s ON s.account = w.account AND s.asset = w.asset
         WHERE w.held <> coalesce(s.amount, 0)",
    ),
    (
        "the journal gives the balance and what is being refunded",
        "WITH moved AS (
             SELECT account, asset,
                    sum(CASE WHEN credit LIKE 'w:%' THEN amount ELSE 0 END - CASE WHEN debit LIKE 'w:%' THEN amount ELSE 0 END)
                        AS amount
             FROM entry WHERE account IS NOT NULL GROUP BY account, asset),
         refunding AS (SELECT account, asset, sum(refunding) AS amount FROM lot GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w
         LEFT JOIN moved m ON m.account = w.account AND m.asset = w.asset
         LEFT JOIN refunding r ON r.account = w.account AND r.asset = w.asset
         WHERE w.posted + coalesce(r.amount, 0) <> coalesce(m.amount, 0)",
    ),
    (
        "what calls cost is what was taken for them",
        "WITH taken AS (
             SELECT hold, sum(amount) AS amount FROM entry
             WHERE hold IS NOT NULL AND asset = 'CNY' AND kind = 'settle' GROUP BY hold)
         SELECT h.id FROM hold h JOIN account a ON a.id = h.account LEFT JOIN taken t ON t.hold = h.id
         WHERE a.role = 'customer' AND h.cost <> coalesce(t.amount, 0)",
    ),
    (
        "a paid order has exactly one credit of its amount",
        "WITH credits AS (
             SELECT pay_order, count(*) AS times, sum(amount) AS amount FROM entry
             WHERE pay_order IS NOT NULL AND kind = 'pay_credit' GROUP BY pay_order),
         due AS (
             SELECT id, amount_fen, state IN ('paid', 'partially_refunded', 'refunded') AS paid FROM pay_order)
         SELECT d.id FROM due d LEFT JOIN credits c ON c.pay_order = d.id
         WHERE coalesce(c.times, 0) <> d.paid OR coalesce(c.amount, 0) <> d.paid * d.amount_fen * 10000000",
    ),
    (
        "no payment gives back more than came in",
        "SELECT id FROM lot WHERE asset = 'CNY' AND class = 'paid' AND refunded + refunding + consumed + rem > paid_fen * 10000000",
    ),
];

fn verify(db: &Connection) -> rusqlite::Result<Findings> {
    // One snapshot for all the rules: the writer goes on meanwhile.
    let db = db.unchecked_transaction()?;
    let mut findings = Vec::new();
    for (rule, query) in RULES {
        for culprit in many(&db, query, [], |row| row.get::<_, String>(0))? {
            findings.push(format!("{rule}: not so for {culprit}"));
        }
    }
    // That debits equal credits needs no look: each line of the journal is both, of one amount.
    verify_chain(&db, &mut findings)?;
    Ok(Findings(findings))
}

fn verify_chain(db: &Connection, findings: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut links = db.prepare("SELECT batch, entries, prev, hash FROM chain ORDER BY batch")?;
    let mut lines = db.prepare(&format!("SELECT {ENTRY} FROM entry ORDER BY seq"))?;
    let mut lines = lines.query_map([], entry)?;
    let mut links = links.query([])?;
    let (mut last, mut expected_seq, mut expected_batch) = ([0_u8; 32], 1_i64, 1_i64);
    while let Some(link) = links.next()? {
        let (batch, entries): (i64, i64) = (link.get(0)?, link.get(1)?);
        let (prev, hash): ([u8; 32], [u8; 32]) = (link.get(2)?, link.get(3)?);
        let mut reckoned = Sha256::new_with_prefix(last);
        let mut whole = batch == expected_batch && prev == last;
        for _ in 0..entries {
            let Some(line) = lines.next() else {
                whole = false;
                break;
            };
            let (seq, of_batch, entry) = line?;
            whole &= seq == expected_seq && of_batch == batch;
            expected_seq += 1;
            reckoned.update(write::canonical(seq, &entry));
        }
        let reckoned: [u8; 32] = reckoned.finalize().into();
        if !whole || reckoned != hash {
            findings.push(format!("the chain breaks at batch {batch}"));
            return Ok(());
        }
        last = hash;
        expected_batch += 1;
    }
    if lines.next().is_some() {
        findings.push("the journal has lines that no link of the chain covers".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_reads_the_journal_once_per_row() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate_ledger(&mut db).unwrap();
        for (rule, query) in RULES {
            let plan =
                many(&db, &format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get::<_, String>(3)).unwrap();
            let plan = plan.join("\n");
            assert!(!plan.contains("CORRELATED"), "{rule}:\n{plan}");
            let scans =
                plan.lines().filter(|line| line.contains("SCAN") && !line.contains("AUTOMATIC")).count();
            assert!(scans <= 5, "{rule}:\n{plan}");
        }
    }
}
