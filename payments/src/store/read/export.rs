//! The journal line by line, for whoever takes it elsewhere: a page a reading, in the order of the journal's index, so
//! that neither memory nor the time of a page grows with history.

use std::{path::Path, sync::Arc};

use units::AccountId;

use super::{select, statement::Period};
use crate::{
    ledger::Entry,
    store::{
        ExamineError, Store, SubmitError,
        handle::Readers,
        postgres,
        query::{Query, ReadError},
        sqlite,
        tables::{ENTRY, JournalLine},
        value::Value,
    },
};

/// Lines of a page.
const LINES: usize = 500;
/// Balances that one reading looks into, where most have nothing in the period.
const BALANCES: usize = 500;

/// Where an export goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPlace(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Behind a line: account, asset, at, n, lane.
    Line([Value; 5]),
    /// Behind all lines of a balance: account, asset.
    Balance([Value; 2]),
}

/// A page of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPage {
    /// Lines, by account, asset, and as they followed each other. There may be none although more follow.
    pub lines: Vec<Entry>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<ExportPlace>,
}

/// Books that are only read: beside whoever writes them, or at rest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BooksReader(Readers);

impl BooksReader {
    /// The books in a folder.
    ///
    /// # Errors
    /// [`ExamineError`] if there are none, or of another schema.
    pub fn of_folder(folder: &Path) -> Result<Self, ExamineError> {
        drop(sqlite::read_only(folder)?);
        Ok(Self(Readers::Sqlite(Arc::new(sqlite::Readers::new(folder.to_owned())))))
    }

    /// The books in a PostgreSQL database.
    ///
    /// # Errors
    /// [`ExamineError`] if there are none, or of another schema.
    pub async fn of_postgres(url: &str) -> Result<Self, ExamineError> {
        Ok(Self(Readers::Postgres(postgres::readers_of(url).await?)))
    }

    /// The lines of one account, or of all and of no customer, in a period: the page behind `after`.
    ///
    /// # Errors
    /// [`SubmitError`] if they cannot be read.
    pub async fn export(
        &self,
        account: Option<AccountId>,
        period: Period,
        after: Option<ExportPlace>,
    ) -> Result<ExportPage, SubmitError> {
        self.0.read(move |db| page(db, account, period, after)).await
    }
}

impl From<&Store> for BooksReader {
    fn from(store: &Store) -> Self {
        Self(store.readers.clone())
    }
}

pub(super) fn page(
    db: &mut dyn Query,
    account: Option<AccountId>,
    period: Period,
    after: Option<ExportPlace>,
) -> Result<ExportPage, ReadError> {
    let lines_of = select(&ENTRY);
    let mut lines = Vec::new();
    let whose = account.map(|account| account.to_string()).unwrap_or_default();
    let mut place = match after {
        Some(ExportPlace(place)) => place,
        // Lines of no customer have an empty account and come first; no asset is empty.
        None => Place::Balance([Value::Text(whose), Value::Text(String::new())]),
    };
    for _ in 0..BALANCES {
        let [account_, asset, at, n, lane] = match place {
            Place::Line(line) => line,
            Place::Balance(balance) => match next_balance(db, account.is_some(), &balance)? {
                None => return Ok(ExportPage { lines, next: None }),
                // No line has the number 0.
                Some([account, asset]) => {
                    [account, asset, period.from().into(), Value::Int(0), Value::Int(0)]
                }
            },
        };
        let wanted = LINES - lines.len();
        let query = format!(
            "{lines_of} WHERE account = ?1 AND asset = ?2 AND (at, n, lane) > (?3, ?4, ?5) AND at < ?6
             ORDER BY at, n, lane LIMIT {wanted}"
        );
        let params = [account_.clone(), asset.clone(), at, n, lane, period.to().into()];
        let rows = db.rows(&query, &params)?;
        let read = rows.len();
        let mut last = None;
        for row in rows {
            let line = JournalLine::read(&row)?;
            last = Some([Value::from(line.entry.at), line.entry.n.into(), line.lane.into()]);
            lines.push(line.entry);
        }
        place = match last {
            Some([at, n, lane]) if read == wanted => {
                let next = Some(ExportPlace(Place::Line([account_, asset, at, n, lane])));
                return Ok(ExportPage { lines, next });
            }
            _ => Place::Balance([account_, asset]),
        };
    }
    Ok(ExportPage { lines, next: Some(ExportPlace(place)) })
}

/// The balance that follows in the index: a look-up or two, however many lines the one before has. (Comparing the pair
/// at once would do in words; SQLite would then walk every line of the balance that is behind us.)
fn next_balance(
    db: &mut dyn Query,
    only_this_account: bool,
    [account, asset]: &[Value; 2],
) -> Result<Option<[Value; 2]>, ReadError> {
    let mut found = |condition: &str, params: &[Value]| {
        let query =
            format!("SELECT account, asset FROM entry WHERE {condition} ORDER BY account, asset LIMIT 1");
        db.one(&query, params, |cells| Ok([cells.text()?.into(), cells.text()?.into()]))
    };
    let same = found("account = ?1 AND asset > ?2", &[account.clone(), asset.clone()])?;
    if same.is_some() || only_this_account {
        return Ok(same);
    }
    found("account > ?1", std::slice::from_ref(account))
}

#[cfg(test)]
mod tests {
    use units::Timestamp;

    use super::*;
    use crate::store::read::watched::{Books, hot_account};

    #[test]
    fn an_export_reads_its_own_lines_and_one_look_up_a_balance() {
        let mut books = Books::of_200_000_lines();
        let instant = Period::new(Timestamp(500), Timestamp(501)).unwrap();
        let page = page(&mut books.watched(), None, instant, None).unwrap();
        assert_eq!((page.lines.len(), page.next), (50 + 3, None), "one line of each, three of the busiest");
        books.assert_bounded("export", 4);
    }

    #[test]
    fn the_pages_of_an_export_are_every_line_once() {
        let mut books = Books::of_lines(1_700);
        for account in [None, Some(hot_account())] {
            let period = Period::new(Timestamp(3), Timestamp(560)).unwrap();
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = page(&mut books.watched(), account, period, after).unwrap();
                assert!(page.lines.len() <= LINES);
                found.extend(page.lines);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, books.lines_within(period));
        }
    }
}
