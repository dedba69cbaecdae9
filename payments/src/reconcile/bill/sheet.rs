//! Which value stands in which column, and do the totals hold?

use units::{Fen, NanoCny, decimal};

use super::{BillError, RowFault, SetAside};

/// Decimals of a fee; no amount in a bill has more.
const DECIMALS: u32 = 5;
/// Nano-yuan in one unit of the fifth decimal.
const NANO: i64 = 10_000;

/// A bill's lines, not yet looked into.
pub(super) struct Sheet<'a> {
    columns: Vec<&'a str>,
    rows: Vec<(usize, &'a str)>,
    totals: Vec<(&'a str, &'a str)>,
}

/// The values of a row.
pub(super) struct Cells<'a> {
    columns: &'a [&'a str],
    values: Vec<&'a str>,
}

/// Whether a first line names all of these columns. They are known by name, never by place: old merchants have others
/// than new ones, and new ones are added.
pub(super) fn is_named(header: &str, columns: &[&str]) -> bool {
    let header = names(header);
    columns.iter().all(|column| header.contains(column))
}

/// The names in a line without values; the unit behind some of them is not part of the name.
fn names(line: &str) -> Vec<&str> {
    line.split(',').map(|name| name.trim_end_matches("(元)").trim_end_matches("（元）")).collect()
}

/// The values of a line: each has a backtick before it, and commas between them. They are neither quoted nor escaped,
/// so only comma and backtick together part them.
fn values(line: &str) -> Option<Vec<&str>> {
    Some(line.strip_prefix('`')?.split(",`").collect())
}

impl<'a> Sheet<'a> {
    /// Parts a file whose totals begin with the name `first_total`.
    pub(super) fn read(text: &'a str, first_total: &str) -> Result<Self, BillError> {
        let mut lines = text.lines().zip(1..);
        let columns = names(lines.next().ok_or(BillError::Empty)?.0);
        let mut rows = Vec::new();
        let totals = loop {
            let (line, number) = lines.next().ok_or(BillError::MissingTotals)?;
            if line.split(',').next() == Some(first_total) {
                break names(line);
            }
            rows.push((number, line));
        };
        let (line, _) = lines.next().ok_or(BillError::MissingTotals)?;
        let sums = values(line).filter(|sums| sums.len() == totals.len()).ok_or(BillError::MissingTotals)?;
        if lines.any(|(line, _)| !line.is_empty()) {
            return Err(BillError::AfterTotals);
        }
        Ok(Self { columns, rows, totals: totals.into_iter().zip(sums).collect() })
    }

    /// Reads every row, and sets aside those that do not fit.
    pub(super) fn rows<T>(
        &self,
        read: impl Fn(&Cells<'_>) -> Result<T, RowFault>,
    ) -> (Vec<T>, Vec<SetAside>) {
        let (mut rows, mut set_aside) = (Vec::new(), Vec::new());
        for (line, text) in &self.rows {
            match self.cells(text).and_then(|cells| read(&cells)) {
                Ok(row) => rows.push(row),
                Err(fault) => set_aside.push(SetAside { line: *line, fault, text: (*text).to_owned() }),
            }
        }
        (rows, set_aside)
    }

    fn cells(&self, line: &'a str) -> Result<Cells<'_>, RowFault> {
        let fits = values(line).filter(|values| values.len() == self.columns.len());
        Ok(Cells { columns: &self.columns, values: fits.ok_or(RowFault::Columns)? })
    }

    /// Whether the total `name` is `rows`; how many they are may be printed with a decimal.
    pub(super) fn check_count(&self, name: &str, rows: usize) -> Result<(), BillError> {
        let told = self.total(name).map(|told| decimal::parse(told, 0).ok());
        agrees(name, told, i64::try_from(rows).ok())
    }

    /// Whether the total `name`, where there is one, is `sum` units of the fifth decimal of a yuan; `None` is a sum
    /// beyond all numbers.
    pub(super) fn check_sum(&self, name: &str, sum: Option<i64>) -> Result<(), BillError> {
        let told = self.total(name).map(|told| decimal::parse(told, DECIMALS).ok());
        agrees(name, told, sum)
    }

    /// The sum of a column in units of the fifth decimal of a yuan; only for sheets of which no row was set aside.
    pub(super) fn sum(&self, column: &'static str) -> Option<i64> {
        self.rows
            .iter()
            .try_fold(0_i64, |sum, (_, line)| sum.checked_add(self.cells(line).ok()?.fifths(column).ok()?))
    }

    /// Whether there is such a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains(&column)
    }

    /// How many rows there are, those that do not fit among them.
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    fn total(&self, name: &str) -> Option<&'a str> {
        self.totals.iter().find(|(total, _)| *total == name).map(|(_, told)| *told)
    }
}

/// A total that is not printed need not agree.
fn agrees(name: &str, told: Option<Option<i64>>, counted: Option<i64>) -> Result<(), BillError> {
    match told {
        Some(told) if told.is_none() || told != counted => Err(BillError::Total(name.to_owned())),
        _ => Ok(()),
    }
}

impl Cells<'_> {
    /// The value in a column; `None` if there is no such column.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        self.values.get(at).copied()
    }

    /// A text that must be there.
    pub(super) fn text(&self, column: &'static str) -> Result<String, RowFault> {
        let value = self.get(column).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or(RowFault::Value(column))
    }

    /// An amount in yuan that is a whole number of fen and not negative.
    pub(super) fn fen(&self, column: &'static str) -> Result<Fen, RowFault> {
        self.get(column).and_then(|value| value.parse().ok()).ok_or(RowFault::Value(column))
    }

    /// A fee in yuan, negative where it is given back.
    pub(super) fn fee(&self, column: &'static str) -> Result<NanoCny, RowFault> {
        let nano = self.fifths(column)?.checked_mul(NANO);
        nano.map(NanoCny::new).ok_or(RowFault::Value(column))
    }

    fn fifths(&self, column: &'static str) -> Result<i64, RowFault> {
        self.get(column).and_then(|value| decimal::parse(value, DECIMALS).ok()).ok_or(RowFault::Value(column))
    }
}
