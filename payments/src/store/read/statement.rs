//! What did a balance come to at an instant, and which lines led from one instant to another?
//!
//! Every line says what its balance came to, so a balance at any instant is one look-up in the index of the journal, and
//! so are the opening and the closing balance of a statement. A page reads its own lines and no others, however long the
//! history. Sums by kind and by book read every line of the period: they are reckoned when they are asked for, since
//! keeping them ready would cost each call two more row writes.

use std::{fmt, str::FromStr};

use units::{AccountId, RequestId, Timestamp};

use super::select;
use crate::{
    ledger::{Asset, Book, Entry, EntryKind},
    store::{
        Store, SubmitError,
        query::{Query, ReadError},
        tables::{ENTRY, JournalLine},
        value::Value,
    },
};

/// The most lines of a page.
pub const STATEMENT_LINES_MAX: usize = 1_000;

/// Lines of one instant and those behind it that are looked at for a call's own: many calls may end at once, and a clock
/// that went back puts a line behind its time.
const CALL_LINES_MAX: usize = 500;

/// A period: from an instant on, up to another one and not including it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: Timestamp,
    to: Timestamp,
}

/// A period that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the period ends before it begins")]
pub struct EndsBeforeItBegins;

impl Period {
    /// All there is.
    pub const ALL: Self = Self { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

    /// From `from` on, before `to`. Where they are the same nothing lies in it.
    ///
    /// # Errors
    /// [`EndsBeforeItBegins`].
    pub const fn new(from: Timestamp, to: Timestamp) -> Result<Self, EndsBeforeItBegins> {
        if to.0 < from.0 { Err(EndsBeforeItBegins) } else { Ok(Self { from, to }) }
    }

    /// Its first instant.
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// The first instant after it.
    pub const fn to(self) -> Timestamp {
        self.to
    }
}

/// Where a line stands in its balance. Written as `at.n`, to be handed back for the page behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePlace {
    /// When it was written.
    pub at: Timestamp,
    /// Its number in the balance.
    pub n: i64,
}

/// A text that is no [`LinePlace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that a page of a statement gave")]
pub struct NoLinePlace;

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.0, self.n)
    }
}

impl FromStr for LinePlace {
    type Err = NoLinePlace;

    fn from_str(text: &str) -> Result<Self, NoLinePlace> {
        let (at, n) = text.split_once('.').ok_or(NoLinePlace)?;
        let place = Self {
            at: Timestamp(at.parse().map_err(|_| NoLinePlace)?),
            n: n.parse().map_err(|_| NoLinePlace)?,
        };
        // One place, one text.
        if place.to_string() == text { Ok(place) } else { Err(NoLinePlace) }
    }
}

/// Which lines come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The oldest.
    #[default]
    OldestFirst,
    /// The newest.
    NewestFirst,
}

/// Which page of which statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementWish {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: Asset,
    /// From when to when.
    pub period: Period,
    /// Which lines come first.
    pub direction: Direction,
    /// The last line of the page before.
    pub after: Option<LinePlace>,
    /// How many lines, from 1 to [`STATEMENT_LINES_MAX`].
    pub lines: usize,
}

/// A page of a statement. Amounts are in the asset's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What the balance was before the period.
    pub opening: i64,
    /// What it was at its end.
    pub closing: i64,
    /// How many lines the period has.
    pub count: i64,
    /// The page's lines.
    pub lines: Vec<Entry>,
    /// Where the next page goes on, if there is one.
    pub next: Option<LinePlace>,
}

/// What one kind of line moved in a period, in the asset's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSum {
    /// Which kind.
    pub kind: EntryKind,
    /// How many lines.
    pub lines: i64,
    /// By how much they raised the balance.
    pub inflow: i128,
    /// By how much they lowered it.
    pub outflow: i128,
}

/// What went through one book in a period, in the asset's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookSum {
    /// Which book.
    pub book: Book,
    /// The debits.
    pub debit: i128,
    /// The credits.
    pub credit: i128,
}

/// A period's sums: `opening` + every inflow - every outflow = `closing`, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementSums {
    /// What the balance was before the period.
    pub opening: i64,
    /// What it was at its end.
    pub closing: i64,
    /// By kind of line.
    pub kinds: Vec<KindSum>,
    /// By book.
    pub books: Vec<BookSum>,
}

impl Store {
    /// What an account could spend or set aside of an asset once everything up to `at`, that instant included, was
    /// written; in the asset's unit.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn balance_at(
        &self,
        account: AccountId,
        asset: Asset,
        at: Timestamp,
    ) -> Result<i64, SubmitError> {
        let after = Timestamp(at.0.saturating_add(1));
        Ok(self.read(move |db| last_before(db, account, &asset, after)).await?.balance)
    }

    /// A page of a statement.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn statement(&self, wish: StatementWish) -> Result<Statement, SubmitError> {
        self.read(move |db| statement(db, &wish)).await
    }

    /// The lines that the end of a call wrote into one of its account's balances, if they are among the first
    /// [`CALL_LINES_MAX`] from that instant on. What was corrected later stands in its hold.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn lines_of_call(
        &self,
        account: AccountId,
        asset: Asset,
        call: RequestId,
        ended_at: Timestamp,
    ) -> Result<Vec<Entry>, SubmitError> {
        let query = format!(
            "{} WHERE account = ?1 AND asset = ?2 AND at >= ?3 ORDER BY at, n LIMIT {CALL_LINES_MAX}",
            select(&ENTRY)
        );
        let params = [Value::word(account), Value::word(&asset), ended_at.into()];
        self.read(move |db| {
            let rows = db.rows(&query, &params)?;
            let mut lines = Vec::new();
            for row in &rows {
                let line = JournalLine::read(row)?.entry;
                if line.hold == Some(call) && line.kind != EntryKind::ChargeCorrection {
                    lines.push(line);
                }
            }
            Ok(lines)
        })
        .await
    }

    /// The sums of a whole period. Reads every line of it.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn statement_sums(
        &self,
        account: AccountId,
        asset: Asset,
        period: Period,
    ) -> Result<StatementSums, SubmitError> {
        self.read(move |db| sums(db, account, &asset, period)).await
    }
}

/// How a balance stood: what it came to, after how many lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) n: i64,
    pub(super) balance: i64,
}

fn last_before(
    db: &mut dyn Query,
    account: AccountId,
    asset: &Asset,
    before: Timestamp,
) -> Result<Standing, ReadError> {
    let query = "SELECT n, balance FROM entry WHERE account = ?1 AND asset = ?2 AND at < ?3
                 ORDER BY at DESC, n DESC LIMIT 1";
    let params = [Value::word(account), Value::word(asset), before.into()];
    let found = db.one(query, &params, |cells| Ok(Standing { n: cells.int()?, balance: cells.int()? }))?;
    Ok(found.unwrap_or_default())
}

pub(super) fn statement(db: &mut dyn Query, wish: &StatementWish) -> Result<Statement, ReadError> {
    let Period { from, to } = wish.period;
    let opening = last_before(db, wish.account, &wish.asset, from)?;
    let closing = last_before(db, wish.account, &wish.asset, to)?;
    // Lines are numbered from 1, so that no line stands at 0: both bounds of the period are places themselves.
    let (begin, end) = (LinePlace { at: from, n: 0 }, LinePlace { at: to, n: 0 });
    let (begin, end, order) = match wish.direction {
        Direction::OldestFirst => (wish.after.map_or(begin, |after| after.max(begin)), end, ""),
        Direction::NewestFirst => (begin, wish.after.map_or(end, |after| after.min(end)), " DESC"),
    };
    let wanted = wish.lines.clamp(1, STATEMENT_LINES_MAX);
    let query = format!(
        "{} WHERE account = ?1 AND asset = ?2 AND (at, n) > (?3, ?4) AND (at, n) < (?5, ?6)
         ORDER BY at{order}, n{order} LIMIT {}",
        select(&ENTRY),
        wanted + 1
    );
    let params = [
        Value::word(wish.account),
        Value::word(&wish.asset),
        begin.at.into(),
        begin.n.into(),
        end.at.into(),
        end.n.into(),
    ];
    let rows = db.rows(&query, &params)?;
    let mut lines: Vec<Entry> =
        rows.iter().map(|row| JournalLine::read(row).map(|line| line.entry)).collect::<Result<_, _>>()?;
    let more = lines.len() > wanted;
    lines.truncate(wanted);
    let next = lines.last().filter(|_| more).map(|last| LinePlace { at: last.at, n: last.n });
    Ok(Statement {
        opening: opening.balance,
        closing: closing.balance,
        count: closing.n - opening.n,
        lines,
        next,
    })
}

pub(super) fn sums(
    db: &mut dyn Query,
    account: AccountId,
    asset: &Asset,
    period: Period,
) -> Result<StatementSums, ReadError> {
    let Period { from, to } = period;
    let opening = last_before(db, account, asset, from)?.balance;
    let closing = last_before(db, account, asset, to)?.balance;
    // The halves of each amount apart, so that neither engine's sum leaves its range.
    let query = "SELECT kind, debit, credit, count(*),
                        CAST(sum(amount >> 32) AS BIGINT), CAST(sum(amount & 4294967295) AS BIGINT)
                 FROM entry WHERE account = ?1 AND asset = ?2 AND at >= ?3 AND at < ?4
                 GROUP BY kind, debit, credit ORDER BY kind, debit, credit";
    let params = [Value::word(account), Value::word(asset), from.into(), to.into()];
    let groups: Vec<(EntryKind, Book, Book, i64, i128)> = db.many(query, &params, |cells| {
        let (kind, debit, credit, lines) = (cells.word()?, cells.word()?, cells.word()?, cells.int()?);
        let amount = (i128::from(cells.int()?) << 32) + i128::from(cells.int()?);
        Ok((kind, debit, credit, lines, amount))
    })?;
    let mut kinds: Vec<KindSum> = Vec::new();
    let mut books: Vec<BookSum> = Vec::new();
    for (kind, debit, credit, lines, amount) in groups {
        if kinds.last().is_none_or(|last| last.kind != kind) {
            kinds.push(KindSum { kind, lines: 0, inflow: 0, outflow: 0 });
        }
        if let Some(sum) = kinds.last_mut() {
            sum.lines += lines;
            match (debit.is_spendable(), credit.is_spendable()) {
                (false, true) => sum.inflow += amount,
                (true, false) => sum.outflow += amount,
                _ => {}
            }
        }
        for (book, debit, credit) in [(debit, amount, 0), (credit, 0, amount)] {
            match books.iter_mut().find(|sum| sum.book == book) {
                Some(sum) => {
                    sum.debit += debit;
                    sum.credit += credit;
                }
                None => books.push(BookSum { book, debit, credit }),
            }
        }
    }
    books.sort_by_key(|sum| sum.book);
    Ok(StatementSums { opening, closing, kinds, books })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::read::watched::{Books, LINES_OF_HOT, hot_account};

    /// A page reads its own lines, one to see whether there is more, and the ends of the period.
    const BESIDES: usize = 3;

    fn wish(direction: Direction, period: Period, after: Option<LinePlace>, lines: usize) -> StatementWish {
        StatementWish { account: hot_account(), asset: Asset::Cny, period, direction, after, lines }
    }

    #[test]
    fn two_hundred_thousand_lines_change_nothing_about_what_a_page_reads() {
        let mut books = Books::of_200_000_lines();
        for at in [0, 1, 77_777, LINES_OF_HOT / 2, LINES_OF_HOT, i64::MAX] {
            let standing =
                last_before(&mut books.watched(), hot_account(), &Asset::Cny, Timestamp(at)).unwrap();
            assert_eq!(standing, books.standing_before(at), "at {at}");
        }
        books.assert_bounded("balance", 1);
        let whole = Period::new(Timestamp(0), Timestamp(i64::MAX)).unwrap();
        let month = Period::new(Timestamp(LINES_OF_HOT / 3), Timestamp(LINES_OF_HOT / 2)).unwrap();
        for direction in [Direction::OldestFirst, Direction::NewestFirst] {
            for period in [whole, month, Period::ALL] {
                for after in [None, Some(LinePlace { at: Timestamp(LINES_OF_HOT / 2 - 9), n: i64::MAX })] {
                    let page = statement(&mut books.watched(), &wish(direction, period, after, 50)).unwrap();
                    assert!(page.lines.len() <= 50);
                    books.assert_bounded("page", 50 + BESIDES);
                }
            }
        }
    }

    #[test]
    fn pages_in_either_direction_are_the_whole_period_and_lead_from_opening_to_closing() {
        let mut books = Books::of_lines(1_000);
        // Several lines stand at one instant: pages and periods part them where they may.
        for (from, to) in [(0, i64::MAX), (100, 900), (101, 102), (500, 500), (999_999, i64::MAX)] {
            let period = Period::new(Timestamp(from), Timestamp(to)).unwrap();
            let expected: Vec<Entry> = books.lines_within(period);
            let sums = sums(&mut books.watched(), hot_account(), &Asset::Cny, period).unwrap();
            let moved: i128 = sums.kinds.iter().map(|sum| sum.inflow - sum.outflow).sum();
            assert_eq!(i128::from(sums.opening) + moved, i128::from(sums.closing), "{from}..{to}");
            for (direction, size) in
                [(Direction::OldestFirst, 7), (Direction::NewestFirst, 7), (Direction::OldestFirst, 1_000)]
            {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page =
                        statement(&mut books.watched(), &wish(direction, period, after, size)).unwrap();
                    assert_eq!((page.opening, page.closing), (sums.opening, sums.closing));
                    assert_eq!(page.count, expected.len() as i64);
                    found.extend(page.lines);
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                if direction == Direction::NewestFirst {
                    found.reverse();
                }
                assert_eq!(found, expected, "{from}..{to} {direction:?} by {size}");
            }
        }
    }

    #[test]
    fn sums_are_exact_beyond_the_range_of_an_amount() {
        let mut books = Books::new();
        let most = i64::MAX - 1;
        let turns = [(EntryKind::PayCredit, most), (EntryKind::Settle, -most)];
        books.write(turns.iter().cycle().take(10).copied());
        let sums = sums(&mut books.watched(), hot_account(), &Asset::Cny, Period::ALL).unwrap();
        let five = i128::from(most) * 5;
        let of = |kind| sums.kinds.iter().find(|sum| sum.kind == kind).unwrap();
        assert_eq!((of(EntryKind::PayCredit).inflow, of(EntryKind::Settle).outflow), (five, five));
        let paid = sums.books.iter().find(|sum| sum.book == Book::WalletPaid).unwrap();
        assert_eq!((paid.credit, paid.debit, sums.opening, sums.closing), (five, five, 0, 0));
        assert_eq!(Asset::Cny.text(five), "46116860184.27387903");
    }

    #[test]
    fn a_cursor_is_what_a_page_gave_and_nothing_else() {
        let place = LinePlace { at: Timestamp(1_760_000_000_000_000), n: 12 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "1", "1.", ".1", "1.2.3", "+1.2", "01.2", "a.b", "99999999999999999999.1"] {
            assert_eq!(bad.parse::<LinePlace>(), Err(NoLinePlace), "{bad:?}");
        }
        assert_eq!(Period::new(Timestamp(2), Timestamp(1)), Err(EndsBeforeItBegins));
    }
}
