//! For tests: books in memory, and somebody who counts what reading them takes.

use std::cell::RefCell;

use rusqlite::{Connection, StatementStatus};
use units::{AccountId, Timestamp};

use crate::{
    ledger::{Asset, Book, Entry, EntryKind},
    store::{
        query::{Query, ReadError},
        read::statement::Period,
        sqlite::{bind, migrated_in_memory, value},
        tables::{ENTRY, Link},
        value::Value,
    },
};

/// How many of the lines belong to [`hot_account`], each at the instant that is its number divided by [`AT_ONCE`].
pub(super) const LINES_OF_HOT: i64 = 150_000;
/// Lines that stand at one instant.
const AT_ONCE: i64 = 3;

pub(super) fn hot_account() -> AccountId {
    AccountId::from_bare("00000000000000000000000001").unwrap()
}

/// What a statement took.
#[derive(Debug)]
pub(in crate::store) struct Taken {
    pub(in crate::store) sql: String,
    pub(super) plan: Vec<String>,
    pub(super) rows: usize,
    /// Steps of SQLite's machine: a measure of work that no clock disturbs.
    pub(in crate::store) steps: i64,
    /// Rows stepped over without an index.
    pub(super) scanned: i64,
    /// Sortings.
    pub(super) sorts: i64,
}

/// A connection that notes what each statement took.
pub(in crate::store) struct Watched<'a> {
    db: &'a Connection,
    taken: &'a RefCell<Vec<Taken>>,
}

impl<'a> Watched<'a> {
    pub(in crate::store) const fn new(db: &'a Connection, taken: &'a RefCell<Vec<Taken>>) -> Self {
        Self { db, taken }
    }
}

impl Query for Watched<'_> {
    fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, ReadError> {
        let mut explain = self.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        bind(&mut explain, params)?;
        let (mut plan, mut found) = (Vec::new(), explain.raw_query());
        while let Some(row) = found.next()? {
            plan.push(row.get::<_, String>(3)?);
        }
        let mut statement = self.db.prepare(sql)?;
        bind(&mut statement, params)?;
        let columns = statement.column_count();
        let mut rows = Vec::new();
        {
            let mut found = statement.raw_query();
            while let Some(row) = found.next()? {
                rows.push((0..columns).map(|column| value(row, column)).collect::<Result<_, _>>()?);
            }
        }
        self.taken.borrow_mut().push(Taken {
            sql: sql.to_owned(),
            plan,
            rows: rows.len(),
            steps: statement.get_status(StatementStatus::VmStep).into(),
            scanned: statement.get_status(StatementStatus::FullscanStep).into(),
            sorts: statement.get_status(StatementStatus::Sort).into(),
        });
        Ok(rows)
    }
}

/// A journal in memory, written line by line as the writer does; nothing but the journal.
pub(super) struct Books {
    db: Connection,
    lines: Vec<Entry>,
    taken: RefCell<Vec<Taken>>,
}

impl Books {
    pub(super) fn new() -> Self {
        Self { db: migrated_in_memory(), lines: Vec::new(), taken: RefCell::default() }
    }

    /// Most lines of one account, the others of many around it.
    pub(super) fn of_200_000_lines() -> Self {
        let books = Self::of_lines(LINES_OF_HOT);
        let others: Vec<AccountId> = (0..50).map(|_| AccountId::new(Timestamp::from_secs(1))).collect();
        let line = |number: i64| {
            let account = others[usize::try_from(number % 50).unwrap()];
            entry(account, EntryKind::PayCredit, 1, number / 50 + 1, number / 50 + 1)
        };
        let lines: Vec<Entry> = (0..50_000).map(line).collect();
        books.insert(&lines, LINES_OF_HOT);
        books
    }

    /// So many lines of [`hot_account`]: money comes in and goes out again.
    pub(super) fn of_lines(count: i64) -> Self {
        let mut books = Self::new();
        let turns = [
            (EntryKind::PayCredit, 1_000_000_007),
            (EntryKind::Settle, -999_999_937),
            (EntryKind::Settle, -3),
        ];
        books.write(turns.iter().cycle().take(usize::try_from(count).unwrap()).copied());
        books
    }

    /// Writes lines of [`hot_account`], each by so much.
    pub(super) fn write(&mut self, movements: impl Iterator<Item = (EntryKind, i64)>) {
        let mut balance = 0;
        let lines: Vec<Entry> = movements
            .zip(1..)
            .map(|((kind, movement), n)| {
                balance += movement;
                Entry {
                    balance,
                    at: Timestamp(n / AT_ONCE),
                    ..entry(hot_account(), kind, movement, n, balance)
                }
            })
            .collect();
        self.insert(&lines, 0);
        self.lines = lines;
    }

    fn insert(&self, lines: &[Entry], seq: i64) {
        let link = Link { batch: seq, seq, ..Link::default() };
        let (_, _, lines) = link.next(&lines.iter().collect::<Vec<_>>()).unwrap();
        let places: Vec<String> = (1..=ENTRY.columns.len()).map(|place| format!("?{place}")).collect();
        let insert = format!("INSERT INTO entry ({}) VALUES ({})", ENTRY.column_list(), places.join(", "));
        self.db.execute_batch("BEGIN").unwrap();
        {
            let mut insert = self.db.prepare(&insert).unwrap();
            for line in lines {
                bind(&mut insert, &line.columns()).unwrap();
                insert.raw_execute().unwrap();
            }
        }
        self.db.execute_batch("COMMIT").unwrap();
    }

    pub(super) fn watched(&mut self) -> Watched<'_> {
        Watched::new(&self.db, &self.taken)
    }

    pub(super) fn lines_within(&self, period: Period) -> Vec<Entry> {
        let within = |line: &&Entry| period.from() <= line.at && line.at < period.to();
        self.lines.iter().filter(within).cloned().collect()
    }

    pub(super) fn standing_before(&self, at: i64) -> super::statement::Standing {
        let last = self.lines.iter().rev().find(|line| line.at.0 < at);
        last.map_or_else(Default::default, |line| super::statement::Standing {
            n: line.n,
            balance: line.balance,
        })
    }

    /// Each statement since the last look used the journal's index alone, and no more than so many rows were read.
    pub(super) fn assert_bounded(&mut self, what: &str, rows_max: usize) {
        for taken in self.taken.take() {
            let searched = |step: &String| {
                step.starts_with("SEARCH entry USING ") && step.contains(" entry_by_balance (")
            };
            assert!(taken.plan.len() == 1 && taken.plan.iter().all(searched), "{what}: {taken:#?}");
            assert!(taken.rows <= rows_max && taken.scanned == 0 && taken.sorts == 0, "{what}: {taken:#?}");
            // About twenty columns a row, and what it takes to begin.
            let steps_max = 100 + 40 * i64::try_from(rows_max).unwrap();
            assert!(taken.steps < steps_max, "{what}: {taken:#?}");
        }
    }
}

fn entry(account: AccountId, kind: EntryKind, movement: i64, n: i64, balance: i64) -> Entry {
    let (debit, credit) = if movement > 0 {
        (Book::WechatClearing, Book::WalletPaid)
    } else {
        (Book::WalletPaid, Book::Revenue)
    };
    Entry {
        tx: format!("test:{n}"),
        kind,
        debit,
        credit,
        asset: Asset::Cny,
        amount: movement.abs(),
        account: Some(account),
        lot: None,
        hold: None,
        order: None,
        at: Timestamp(n),
        n,
        balance,
    }
}
