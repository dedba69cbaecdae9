//! What stands in the books? Read-only, beside the writer; written once for every engine.

mod accounts;
mod bill_days;
mod books;
mod budgets;
mod calls;
mod export;
mod gates;
mod offers;
mod orders;
mod prices;
mod rehearsal;
mod statement;
mod verify;
#[cfg(test)]
pub(super) mod watched;

use super::{tables::Table, value::Broken};

pub(crate) use self::bill_days::{BillNames, OurSide};
pub(super) use self::verify::examine;
pub use self::{
    accounts::Balance,
    books::TrialBalanceLine,
    budgets::TokenBalance,
    export::{BooksReader, ExportPage, ExportPlace},
    prices::PriceVersionHead,
    statement::{
        BookSum, Direction, EndsBeforeItBegins, KindSum, LinePlace, NoLinePlace, Period, STATEMENT_LINES_MAX,
        Statement, StatementSums, StatementWish,
    },
    verify::{Findings, LaneSeen},
};

/// A page of a list.
const PAGE: usize = 200;

/// `SELECT <all columns> FROM <table>`, to be continued.
fn select(table: &Table) -> String {
    format!("SELECT {} FROM {}", table.column_list(), table.name)
}

/// Makes a reader of one kind of row out of its table's.
macro_rules! reader {
    ($name:ident, $table:expr, $variant:ident, $row:ty) => {
        fn $name(cells: &mut Cells<'_>) -> Result<$row, Broken> {
            let read = $table.row.ok_or_else(nothing_to_read)?;
            match read(cells)? {
                RowOp::$variant(row) => Ok(Unboxed::<$row>::unboxed(row)),
                other => Err(Broken { column: 0, what: format!("another kind of row: {other:?}") }),
            }
        }
    };
}
use reader;

fn nothing_to_read() -> Broken {
    Broken { column: 0, what: "the table is not read back".to_owned() }
}

/// A boxed row, or a row, out of its box.
trait Unboxed<T> {
    fn unboxed(self) -> T;
}

impl<T> Unboxed<T> for T {
    fn unboxed(self) -> T {
        self
    }
}

impl<T> Unboxed<T> for Box<T> {
    fn unboxed(self) -> T {
        *self
    }
}
