//! Do the books hold? Each rule is a question whose answers are culprits; the chain is reckoned again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{nothing_to_read, select};
use crate::ledger::RowOp;
use crate::store::{
    Store, SubmitError,
    query::{Query, ReadError},
    tables::{CHAIN, ENTRY, HOLD, JournalLine, canonical},
    value::{Cells, Value},
};

/// What is wrong with the books, in words; empty when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings(pub Vec<String>);

/// Lines of the journal read at a time: memory does not grow with history.
const LINES: i64 = 4_096;

impl Store {
    /// Looks at every row for what must never be.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn verify(&self) -> Result<Findings, SubmitError> {
        self.read(verify).await
    }
}

/// Each query finds what contradicts one rule; its first column names the culprit. The tests break each once. Sums are
/// made once per table and joined: a subquery per row would read the journal again for each call.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "a balance is the sum of its lots",
        "WITH lots AS (SELECT account, asset, sum(rem) AS rem FROM lot WHERE rem > 0 GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w LEFT JOIN lots l ON l.account = w.account AND l.asset = w.asset
         WHERE w.posted <> coalesce(l.rem, 0)",
    ),
    (
        "what is held is the sum of the open holds",
        "WITH sums AS (SELECT account, sum(money) AS amount FROM hold WHERE state IN ('open', 'orphan') GROUP BY account)
         SELECT w.account || ' ' || w.asset FROM wallet w LEFT JOIN sums s ON s.account = w.account
         WHERE w.asset = 'CNY' AND w.held <> coalesce(s.amount, 0)",
    ),
    (
        "what is held in tokens is the sum of the open holds",
        "WITH sums AS (SELECT account, sum(tokens_milli) AS amount FROM hold WHERE state IN ('open', 'orphan') GROUP BY account),
         balances AS (SELECT account, sum(held) AS amount FROM wallet WHERE asset <> 'CNY' GROUP BY account)
         SELECT a.id FROM account a LEFT JOIN sums s ON s.account = a.id LEFT JOIN balances b ON b.account = a.id
         WHERE coalesce(s.amount, 0) <> coalesce(b.amount, 0)",
    ),
    (
        "the journal gives the balance and what is being refunded",
        "WITH moved AS (
             SELECT account, asset,
                    sum(CASE WHEN credit LIKE 'w:%' AND credit <> 'w:debt' THEN amount ELSE 0 END
                        - CASE WHEN debit LIKE 'w:%' AND debit <> 'w:debt' THEN amount ELSE 0 END) AS amount
             FROM entry WHERE account <> '' GROUP BY account, asset),
         refunding AS (SELECT account, asset, sum(refunding) AS amount FROM lot GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w
         LEFT JOIN moved m ON m.account = w.account AND m.asset = w.asset
         LEFT JOIN refunding r ON r.account = w.account AND r.asset = w.asset
         WHERE w.posted + coalesce(r.amount, 0) <> coalesce(m.amount, 0)",
    ),
    (
        "the last line of the journal says what the balance is",
        "WITH counted AS (SELECT account, asset, count(*) AS lines, max(n) AS last FROM entry WHERE account <> '' GROUP BY account, asset)
         SELECT w.account || ' ' || w.asset FROM wallet w
         LEFT JOIN counted c ON c.account = w.account AND c.asset = w.asset
         LEFT JOIN entry e ON e.account = w.account AND e.asset = w.asset AND e.at = w.moved_at AND e.n = w.lines
         WHERE w.lines <> coalesce(c.lines, 0) OR w.lines <> coalesce(c.last, 0) OR w.posted <> coalesce(e.balance, 0)",
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
             SELECT id, amount_fen,
                    CASE WHEN state IN ('paid', 'partially_refunded', 'refunded') THEN 1 ELSE 0 END AS paid FROM pay_order)
         SELECT d.id FROM due d LEFT JOIN credits c ON c.pay_order = d.id
         WHERE coalesce(c.times, 0) <> d.paid OR coalesce(c.amount, 0) <> d.paid * d.amount_fen * 10000000",
    ),
    (
        "what an account owes is what the journal says",
        "WITH owed AS (
             SELECT account, sum(CASE WHEN debit = 'w:debt' THEN amount ELSE -amount END) AS amount
             FROM entry WHERE debit = 'w:debt' OR credit = 'w:debt' GROUP BY account)
         SELECT a.id FROM account a LEFT JOIN owed o ON o.account = a.id WHERE a.debt <> coalesce(o.amount, 0)",
    ),
    (
        "what lies in suspense is what was put aside",
        "WITH moved AS (
             SELECT coalesce(sum(CASE WHEN credit = 'suspense' THEN amount ELSE -amount END), 0) AS amount
             FROM entry WHERE debit = 'suspense' OR credit = 'suspense'),
         aside AS (
             SELECT coalesce(sum(amount_fen), 0) AS fen FROM suspense_payment WHERE state IN ('open', 'refunding'))
         SELECT 'suspense' FROM moved m CROSS JOIN aside a WHERE m.amount <> a.fen * 10000000",
    ),
    (
        "no payment gives back more than came in",
        "SELECT id FROM lot WHERE asset = 'CNY' AND class = 'paid' AND refunded + refunding + consumed + rem > paid_fen * 10000000",
    ),
];

fn verify(db: &mut dyn Query) -> Result<Findings, ReadError> {
    let mut findings = Vec::new();
    for (rule, query) in RULES {
        for culprit in db.many(query, &[], |cells| cells.text())? {
            findings.push(format!("{rule}: not so for {culprit}"));
        }
    }
    verify_legs(db, &mut findings)?;
    // That debits equal credits needs no look: each line of the journal is both, of one amount.
    verify_chain(db, &mut findings)?;
    Ok(Findings(findings))
}

/// Each token balance holds what the open holds' legs say: by balance, which their sum alone does not tell.
fn verify_legs(db: &mut dyn Query, findings: &mut Vec<String>) -> Result<(), ReadError> {
    let held = format!("{} WHERE state IN ('open', 'orphan') AND tokens_milli > 0", select(&HOLD));
    let mut sums: BTreeMap<(String, String), i128> = BTreeMap::new();
    for row in db.rows(&held, &[])? {
        let read = HOLD.row.ok_or_else(nothing_to_read)?;
        let RowOp::Hold(hold) = read(&mut Cells::new(&row))? else { continue };
        for leg in &hold.legs {
            let balance = (hold.account.to_string(), leg.asset.to_string());
            *sums.entry(balance).or_default() += i128::from(leg.milli);
        }
    }
    let wallets = "SELECT account, asset, held FROM wallet WHERE asset <> 'CNY' AND held <> 0";
    let wallets = db.many(wallets, &[], |cells| Ok((cells.text()?, cells.text()?, cells.int()?)))?;
    for (account, asset, held) in wallets {
        *sums.entry((account, asset)).or_default() -= i128::from(held);
    }
    let wrong = sums.into_iter().filter(|(_, left)| *left != 0);
    findings.extend(wrong.map(|((account, asset), _)| {
        format!("each token balance holds what the open holds' legs say: not so for {account} {asset}")
    }));
    Ok(())
}

/// Walks each lane's chain from its first link, a few thousand lines at a time.
fn verify_chain(db: &mut dyn Query, findings: &mut Vec<String>) -> Result<(), ReadError> {
    let lanes =
        db.many("SELECT lane FROM chain UNION SELECT lane FROM entry ORDER BY 1", &[], |cells| cells.int())?;
    for lane in lanes {
        if let Some(finding) = verify_lane(db, lane)? {
            findings.push(finding);
        }
    }
    Ok(())
}

fn verify_lane(db: &mut dyn Query, lane: i64) -> Result<Option<String>, ReadError> {
    let links = format!("{} WHERE lane = ?1 AND batch > ?2 ORDER BY batch LIMIT {LINES}", select(&CHAIN));
    let mut lines = Lines { lane, last: 0, ahead: std::collections::VecDeque::new() };
    let (mut hash, mut batch, mut seq) = ([0_u8; 32], 0_i64, 0_i64);
    loop {
        let page = db.rows(&links, &[lane.into(), batch.into()])?;
        if page.is_empty() {
            break;
        }
        for link in &page {
            let mut cells = Cells::new(link);
            let (_lane, number, form, _at) = (cells.int()?, cells.int()?, cells.int()?, cells.int()?);
            let (entries, prev, written) = (cells.int()?, cells.hash()?, cells.hash()?);
            let mut reckoned = Sha256::new_with_prefix(hash);
            let mut whole = number == batch + 1 && prev == hash;
            for _ in 0..entries {
                let Some(line) = lines.next(db)? else {
                    whole = false;
                    break;
                };
                seq += 1;
                whole &= line.seq == seq && line.batch == number;
                reckoned.update(canonical(form, line.seq, &line.entry));
            }
            let reckoned: [u8; 32] = reckoned.finalize().into();
            if !whole || reckoned != written {
                return Ok(Some(format!("the chain breaks at batch {number} of lane {lane}")));
            }
            hash = written;
            batch = number;
        }
    }
    Ok(lines
        .next(db)?
        .map(|_| format!("the journal has lines in lane {lane} that no link of the chain covers")))
}

/// A lane's lines in their order, a page at a time.
struct Lines {
    lane: i64,
    last: i64,
    ahead: std::collections::VecDeque<JournalLine>,
}

impl Lines {
    fn next(&mut self, db: &mut dyn Query) -> Result<Option<JournalLine>, ReadError> {
        if self.ahead.is_empty() {
            let query = format!("{} WHERE lane = ?1 AND seq > ?2 ORDER BY seq LIMIT {LINES}", select(&ENTRY));
            let page = db.rows(&query, &[Value::Int(self.lane), Value::Int(self.last)])?;
            for row in &page {
                self.ahead.push_back(JournalLine::read(row)?);
            }
            self.last = self.ahead.back().map_or(self.last, |line| line.seq);
        }
        Ok(self.ahead.pop_front())
    }
}
