//! Do the books hold? Each rule is a question whose answers are culprits; the chain is reckoned again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::AccountId;

use super::select;
use crate::{
    ledger::{Asset, Book},
    store::{
        Store, SubmitError,
        held::{self, Held},
        query::{Query, ReadError},
        tables::{CHAIN, ENTRY, JournalLine, canonical},
        value::{Cells, Value},
    },
};

/// What is wrong with the books, in words; empty when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings(pub Vec<String>);

/// A lane of the journal and its chain, walked to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSeen {
    /// Which.
    pub lane: i64,
    /// Links that hold.
    pub links: i64,
    /// Lines they cover.
    pub lines: i64,
    /// The last link's hash, in lower-case hex: what a copy elsewhere can be held against.
    pub hash: String,
}

/// Culprits that are named for each rule: whoever mends the first hundred looks again.
const CULPRITS: usize = 100;

/// Lines of the journal read at a time: memory does not grow with history.
const LINES: i64 = 4_096;

impl Store {
    /// Looks at every row for what must never be.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn verify(&self) -> Result<Findings, SubmitError> {
        Ok(self.read(examine).await?.0)
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
        "the journal gives the balance and what is being refunded",
        // In halves: a balance and what is on its way back may come to more than 64 bits together. Their sums are equal where
        // the lower halves differ by whole upper ones, and the upper ones by no more than those.
        "WITH moves AS (
             SELECT account, asset,
                    CASE WHEN credit LIKE 'w:%' AND credit <> 'w:debt' THEN amount ELSE 0 END
                        - CASE WHEN debit LIKE 'w:%' AND debit <> 'w:debt' THEN amount ELSE 0 END AS amount
             FROM entry WHERE account <> ''),
         moved AS (
             SELECT account, asset, CAST(sum(amount >> 32) AS BIGINT) AS high,
                    CAST(sum(amount & 4294967295) AS BIGINT) AS low
             FROM moves GROUP BY account, asset),
         refunding AS (
             SELECT account, asset, CAST(sum(refunding >> 32) AS BIGINT) AS high,
                    CAST(sum(refunding & 4294967295) AS BIGINT) AS low
             FROM lot GROUP BY account, asset),
         off AS (
             SELECT w.account, w.asset,
                    (w.posted >> 32) + coalesce(r.high, 0) - coalesce(m.high, 0) AS high,
                    (w.posted & 4294967295) + coalesce(r.low, 0) - coalesce(m.low, 0) AS low
             FROM wallet w
             LEFT JOIN moved m ON m.account = w.account AND m.asset = w.asset
             LEFT JOIN refunding r ON r.account = w.account AND r.asset = w.asset)
         SELECT account || ' ' || asset FROM off WHERE (low & 4294967295) <> 0 OR high + (low >> 32) <> 0",
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
        "what was used of a bonus is what calls took of it and was not charged as a debt",
        "WITH moved AS (
             SELECT lot, sum(CASE WHEN kind = 'settle' THEN amount ELSE -amount END) AS amount FROM entry
             WHERE kind = 'settle' AND debit = 'w:bonus' OR kind = 'charge_correction' AND credit = 'w:bonus' OR kind = 'bonus_owed'
             GROUP BY lot)
         SELECT l.id FROM lot l LEFT JOIN moved m ON m.lot = l.id WHERE l.class = 'bonus' AND l.consumed <> coalesce(m.amount, 0)",
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
    (
        "each line of a balance is the next one and says what the balance came to",
        "WITH walked AS (
             SELECT account, asset, n, balance, lag(n) OVER balance_lines AS earlier, lag(balance) OVER balance_lines AS stood,
                    CASE WHEN credit IN ({spendable}) THEN amount ELSE 0 END
                        - CASE WHEN debit IN ({spendable}) THEN amount ELSE 0 END AS moved
             FROM entry WHERE account > '' WINDOW balance_lines AS (PARTITION BY account, asset ORDER BY at, n))
         SELECT account || ' ' || asset || ' line ' || n FROM walked
         WHERE n <> coalesce(earlier, 0) + 1 OR balance <> coalesce(stood, 0) + moved",
    ),
    (
        "what came in with a lot is what is left of it and where the rest went",
        "SELECT id FROM lot WHERE orig <> rem + consumed + refunding + refunded + expired + voided
             OR rem < 0 OR consumed < 0 OR refunding < 0 OR refunded < 0 OR expired < 0 OR voided < 0",
    ),
    (
        "what an order gave back is what the journal says, and its state says so",
        "WITH back AS (
             SELECT pay_order, sum(amount) AS amount FROM entry
             WHERE pay_order IS NOT NULL AND kind IN ('refund_done', 'ext_refund', 'manual_payout')
                 AND credit IN ('wx:clearing', 'payout') AND debit <> 'suspense' GROUP BY pay_order),
         due AS (SELECT id, state, amount_fen, refunded_fen, amount_fen * 10000000 AS whole FROM pay_order)
         SELECT d.id FROM due d LEFT JOIN back b ON b.pay_order = d.id
         WHERE d.refunded_fen * 10000000 <> CASE WHEN coalesce(b.amount, 0) < d.whole THEN coalesce(b.amount, 0) ELSE d.whole END
             OR (d.state = 'refunded') <> (d.refunded_fen = d.amount_fen)
             OR (d.state = 'partially_refunded') <> (d.refunded_fen > 0 AND d.refunded_fen < d.amount_fen)",
    ),
    (
        "a day of a bill counts the differences that are open",
        "WITH counted AS (
             SELECT mchid, day, count(*) AS open FROM bill_difference WHERE state = 'open' GROUP BY mchid, day)
         SELECT d.mchid || ' ' || d.day FROM bill_day d LEFT JOIN counted c ON c.mchid = d.mchid AND c.day = d.day
         WHERE d.open <> coalesce(c.open, 0) OR (d.open > 0 AND d.state <> 'differs')
         UNION ALL
         SELECT c.mchid || ' ' || c.day FROM counted c LEFT JOIN bill_day d ON d.mchid = c.mchid AND d.day = c.day
         WHERE d.day IS NULL",
    ),
];

/// Looks at everything; says what is wrong, and which lanes were walked.
pub(in crate::store) fn examine(db: &mut dyn Query) -> Result<(Findings, Vec<LaneSeen>), ReadError> {
    db.joins_whole_tables()?;
    let mut findings = Vec::new();
    for (rule, query) in RULES {
        for culprit in db.many(&asked(query), &[], |cells| cells.text())? {
            findings.push(format!("{rule}: not so for {culprit}"));
        }
    }
    verify_held(db, &mut findings)?;
    // That debits equal credits needs no look: each line of the journal is both, of one amount.
    let lanes = verify_chain(db, &mut findings)?;
    Ok((Findings(findings), lanes))
}

/// A rule's query with the books that make up a balance filled in.
fn asked(query: &str) -> String {
    let spendable: Vec<String> =
        Book::ALL.iter().filter(|book| book.is_spendable()).map(|book| format!("'{book}'")).collect();
    format!("{} LIMIT {CULPRITS}", query.replace("{spendable}", &spendable.join(", ")))
}

/// No open hold was promised what is not there: what those of a balance set aside together is at most what is posted. That
/// it is their sum needs no look, since no row says it beside them; that a hold's own sum of tokens is its legs' does.
fn verify_held(db: &mut dyn Query, findings: &mut Vec<String>) -> Result<(), ReadError> {
    let mut held = Held::default();
    for row in db.rows(&held::sums_of_all(), &[])? {
        held.add(&row)?;
    }
    let uneven = held.uneven.iter().take(CULPRITS);
    findings.extend(uneven.map(|account| {
        format!("the tokens that a hold sets aside are those of its legs: not so for {account}")
    }));
    let posted = "SELECT account, asset, posted FROM wallet
                  WHERE account IN (SELECT account FROM hold WHERE state IN ('open', 'orphan'))";
    let posted = db.many(posted, &[], |cells| Ok(((cells.word()?, cells.word()?), cells.int()?)))?;
    let posted: BTreeMap<(AccountId, Asset), i64> = posted.into_iter().collect();
    let there = |balance| i128::from(posted.get(balance).copied().unwrap_or(0));
    let wrong = held.sums.iter().filter(|(balance, sum)| **sum < 0 || **sum > there(balance));
    findings.extend(wrong.take(CULPRITS).map(|((account, asset), _)| {
        format!("no more is held of a balance than is posted: not so for {account} {asset}")
    }));
    Ok(())
}

/// Walks each lane's chain from its first link, a few thousand lines at a time.
fn verify_chain(db: &mut dyn Query, findings: &mut Vec<String>) -> Result<Vec<LaneSeen>, ReadError> {
    let mut seen = Vec::new();
    let lanes =
        db.many("SELECT lane FROM chain UNION SELECT lane FROM entry ORDER BY 1", &[], |cells| cells.int())?;
    for lane in lanes {
        let (lane, finding) = verify_lane(db, lane)?;
        findings.extend(finding);
        seen.push(lane);
    }
    Ok(seen)
}

fn verify_lane(db: &mut dyn Query, lane: i64) -> Result<(LaneSeen, Option<String>), ReadError> {
    let links = format!("{} WHERE lane = ?1 AND batch > ?2 ORDER BY batch LIMIT {LINES}", select(&CHAIN));
    let mut lines = Lines { lane, last: 0, ahead: std::collections::VecDeque::new() };
    let (mut hash, mut batch, mut seq) = ([0_u8; 32], 0_i64, 0_i64);
    let seen = |hash: &[u8], links, lines| LaneSeen {
        lane,
        links,
        lines,
        hash: base16ct::lower::encode_string(hash),
    };
    loop {
        let page = db.rows(&links, &[lane.into(), batch.into()])?;
        if page.is_empty() {
            break;
        }
        for link in &page {
            let mut cells = Cells::new(link);
            let (_lane, number, form, _at) = (cells.int()?, cells.int()?, cells.int()?, cells.int()?);
            let (entries, prev, written) = (cells.int()?, cells.hash()?, cells.hash()?);
            let before = seq;
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
                return Ok((
                    seen(&hash, batch, before),
                    Some(format!("the chain breaks at batch {number} of lane {lane}")),
                ));
            }
            hash = written;
            batch = number;
        }
    }
    let uncovered = lines.next(db)?;
    let finding =
        uncovered.map(|_| format!("the journal has lines in lane {lane} that no link of the chain covers"));
    Ok((seen(&hash, batch, seq), finding))
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::store::{
        read::watched::Watched,
        scripted::Caller,
        sqlite::{books_in_memory, on_snapshot},
    };

    /// Books of one account with so many calls, and what looking at all of them took: each statement's steps, summed.
    fn steps_for(calls: usize) -> (i64, Vec<(String, i64)>) {
        let db = books_in_memory(&Caller::new().history(calls));
        let taken = RefCell::default();
        let (findings, lanes) = on_snapshot(&db, |_| examine(&mut Watched::new(&db, &taken))).unwrap();
        assert_eq!(findings.0, Vec::<String>::new());
        assert!(lanes[0].lines > calls as i64);
        let taken = taken.into_inner();
        let by_statement = taken.iter().map(|taken| (taken.sql.clone(), taken.steps)).collect();
        (taken.iter().map(|taken| taken.steps).sum(), by_statement)
    }

    #[test]
    fn no_rule_reads_the_journal_once_per_row() {
        let (few, _) = steps_for(1_000);
        let (many, statements) = steps_for(4_000);
        assert!(many < few * 5, "four times the calls took {few} and then {many} steps: {statements:#?}");
    }
}
