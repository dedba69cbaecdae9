//! Do books hold that nobody need have open? Everything is looked at from one snapshot, and nothing is written.

use std::path::Path;

use super::{
    canonical::{StateHash, state_hash},
    postgres::{self, OpenError as PostgresError},
    query::{Query, ReadError},
    read::{Findings, LaneSeen, examine},
    sqlite::{self, OpenError},
    tables::RECEIPT,
};

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// What is wrong, if anything is.
    pub findings: Findings,
    /// What the books come to, with every table and how many rows it has.
    pub state: StateHash,
    /// Each lane of the journal and its chain.
    pub lanes: Vec<LaneSeen>,
    /// The last run that wrote.
    pub epoch: i64,
    /// Calls that have not ended.
    pub open_holds: i64,
    /// Receipts beside the books.
    pub receipts: i64,
}

/// Why books could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The folder cannot be read as books.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// They could not be read to the end.
    #[error("the ledger cannot be read: {0}")]
    Read(String),
}

impl From<ReadError> for ExamineError {
    fn from(error: ReadError) -> Self {
        Self::Read(error.to_string())
    }
}

/// Looks at the books in a folder, whether or not a process serves from it. Keeps its thread busy.
///
/// # Errors
/// [`ExamineError`].
pub fn examine_folder(folder: &Path) -> Result<Examined, ExamineError> {
    let connection = sqlite::read_only(folder)?;
    sqlite::on_snapshot(&connection, whole).map_err(ExamineError::from)
}

/// Looks at the books in a PostgreSQL database, whoever writes them.
///
/// # Errors
/// [`ExamineError`].
pub async fn examine_postgres(url: &str) -> Result<Examined, ExamineError> {
    let readers = postgres::readers_of(url).await?;
    Ok(postgres::Readers::read(readers, whole).await?)
}

pub(super) fn whole(db: &mut dyn Query) -> Result<Examined, ReadError> {
    let (findings, lanes) = examine(db)?;
    let number = |db: &mut dyn Query, sql: &str| -> Result<i64, ReadError> {
        Ok(db.one(sql, &[], |cells| cells.int())?.unwrap_or(0))
    };
    Ok(Examined {
        findings,
        lanes,
        state: state_hash(db)?,
        epoch: number(db, "SELECT value FROM meta WHERE name = 'epoch'")?,
        open_holds: number(db, "SELECT count(*) FROM hold WHERE ended_at IS NULL")?,
        receipts: number(db, &format!("SELECT count(*) FROM {}", RECEIPT.name))?,
    })
}
