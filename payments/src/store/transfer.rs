//! From a folder to a PostgreSQL server: the same books, to the last row, or nothing.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use tokio::runtime::Handle;

use super::{
    canonical::{Sum, pages, state_hash},
    examine::{Examined, whole},
    postgres::{OpenError as PostgresError, Target},
    query::{Query, ReadError},
    sqlite::{MOVED, OpenError, at_rest, on_snapshot},
    tables::{ALL, RECEIPT, Table},
};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The table that is being copied.
    pub table: &'static str,
    /// How many of its rows are there.
    pub rows: u64,
}

/// Why books were not moved. Nothing of them is at the target then, and the source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The source cannot be had.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The target cannot be had.
    #[error(transparent)]
    Target(#[from] PostgresError),
    /// There are books in the target, or somebody is at work there.
    #[error("the database is in use or holds rows already: name a fresh one")]
    NotEmpty,
    /// Something failed half-way.
    #[error("the books could not be copied: {0}")]
    Broken(String),
    /// What arrived is not what was sent.
    #[error("the copy comes to {copy}, the books to {source_hash}: nothing was kept")]
    Differs {
        /// The state hash of the source.
        source_hash: String,
        /// Of the copy.
        copy: String,
    },
    /// What arrived is what was sent, and does not hold.
    #[error("the books do not hold: {}", .0.join("; "))]
    Unsound(Vec<String>),
}

impl From<ReadError> for MoveError {
    fn from(error: ReadError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Moves the books in `folder` into the empty database at `url`: every table, the chain's links, the receipts, the
/// epoch. Then both are added up, and the copy is verified to the end of its chain, before anything of it is kept. The
/// folder's own files stay as they are, but no store opens there any more. `progress` hears of each page.
///
/// # Errors
/// [`MoveError`].
pub async fn move_to_postgres(
    folder: &Path,
    url: &str,
    progress: impl FnMut(Copied) + Send + 'static,
) -> Result<Examined, MoveError> {
    let (folder, url, runtime) = (folder.to_owned(), url.to_owned(), Handle::current());
    let moving = tokio::task::spawn_blocking(move || moved(&folder, &url, runtime, progress));
    moving.await.unwrap_or_else(|error| Err(MoveError::Broken(error.to_string())))
}

fn moved(
    folder: &Path,
    url: &str,
    runtime: Handle,
    mut progress: impl FnMut(Copied),
) -> Result<Examined, MoveError> {
    let books = at_rest(folder)?;
    let mut target = Target::begin(runtime, url)?.ok_or(MoveError::NotEmpty)?;
    let (expected, receipts) = on_snapshot(&books.connection, |db| {
        for table in ALL.iter().copied().chain([&RECEIPT]) {
            copy(db, &mut target, table, &mut progress)?;
        }
        let epoch = db.one("SELECT value FROM meta WHERE name = 'epoch'", &[], |cells| cells.int())?;
        target.begin_after(epoch.unwrap_or(0))?;
        Ok((state_hash(db)?, sum_of(db, &RECEIPT)?))
    })?;
    let found = whole(&mut target)?;
    if found.state != expected || sum_of(&mut target, &RECEIPT)? != receipts {
        return Err(MoveError::Differs { source_hash: expected.hex(), copy: found.state.hex() });
    }
    if !found.findings.0.is_empty() {
        return Err(MoveError::Unsound(found.findings.0));
    }
    // Before it counts: in between nobody may serve from the folder, and afterwards nobody should.
    let moved = folder.join(MOVED);
    mark(&moved).map_err(|error| MoveError::Broken(format!("{}: {error}", moved.display())))?;
    if let Err(error) = target.keep() {
        let _ = fs::remove_file(&moved);
        return Err(error.into());
    }
    Ok(found)
}

fn mark(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn copy(
    from: &mut dyn Query,
    to: &mut Target,
    table: &'static Table,
    progress: &mut impl FnMut(Copied),
) -> Result<(), ReadError> {
    let mut rows = 0;
    pages(from, table, |page| {
        to.put(table, page.to_vec())?;
        rows += page.len() as u64;
        progress(Copied { table: table.name, rows });
        Ok(())
    })
}

fn sum_of(db: &mut dyn Query, table: &'static Table) -> Result<(u64, String), ReadError> {
    let mut sum = Sum::default();
    pages(db, table, |page| {
        page.iter().for_each(|row| sum.add(table, row));
        Ok(())
    })?;
    let (_, rows, sum) = sum.of(table);
    Ok((rows, sum))
}
