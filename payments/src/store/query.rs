//! Reading, whatever the engine: statements with `?1`, `?2`... in, rows out, all of one reading from one snapshot.

use super::value::{Broken, Cells, Value};

/// The store cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The engine failed.
    #[error("{0}")]
    Engine(String),
    /// A row is not what this program writes.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Somewhere to read from: one snapshot of the books.
pub(crate) trait Query {
    /// The rows of a statement.
    ///
    /// # Errors
    /// [`ReadError`].
    fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, ReadError>;

    /// Says that what follows joins whole tables, whatever the engine believes of their sizes.
    ///
    /// # Errors
    /// [`ReadError`].
    fn joins_whole_tables(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
}

impl dyn Query + '_ {
    /// Each row as `read` reads it.
    pub(super) fn many<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: impl Fn(&mut Cells<'_>) -> Result<T, Broken>,
    ) -> Result<Vec<T>, ReadError> {
        let rows = self.rows(sql, params)?;
        rows.iter().map(|row| read(&mut Cells::new(row)).map_err(ReadError::from)).collect()
    }

    /// The first row, if there is one.
    pub(super) fn one<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: impl Fn(&mut Cells<'_>) -> Result<T, Broken>,
    ) -> Result<Option<T>, ReadError> {
        let rows = self.rows(sql, params)?;
        rows.first().map(|row| read(&mut Cells::new(row)).map_err(ReadError::from)).transpose()
    }
}
