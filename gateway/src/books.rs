//! Books: how are they opened, whichever engine keeps them?
//!
//! In the folder itself, or on a PostgreSQL server with the folder beside it: the journal of open calls and this node's
//! name stand in the folder either way, which belongs to one process at a time. Knows `settings` and `payments`.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use payments::{
    admission::Admission,
    journal::{Journal, Mark},
    store::{BooksReader, FolderLock, OpenError, PostgresSettings, Store, StoreSettings},
};
use units::RequestId;

use crate::{admin::secret_file, settings};

/// The books and what stands before them.
#[derive(Debug)]
pub struct Books {
    /// The store.
    pub store: Store,
    /// What may be taken.
    pub admission: Arc<Admission>,
    /// What open calls have used.
    pub journal: Arc<Journal>,
    /// What the journal said of calls of earlier runs.
    pub marks: HashMap<RequestId, Mark>,
    /// The folder, where the store does not lock it itself; to be dropped after the store is closed.
    pub lock: Option<FolderLock>,
}

/// True if the books did not open because another process has them.
pub fn in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse(_)))
}

/// Opens the books and begins a new epoch.
///
/// # Errors
/// Whatever keeps them shut; see [`in_use`].
pub async fn open(wanted: &settings::StoreSettings) -> anyhow::Result<Books> {
    let folder = wanted.path.clone();
    std::fs::create_dir_all(&folder).with_context(|| format!("the store's folder {}", folder.display()))?;
    let Some(url) = &wanted.url else {
        // The store's lock comes before the journal: a second process must not touch its files.
        if payments::store::is_in_use(&folder)? {
            return Err(OpenError::InUse(folder).into());
        }
        let (journal, marks) = Journal::open(&folder.join("journal")).context("the journal")?;
        let (admission, journal) = (Arc::new(Admission::default()), Arc::new(journal));
        let opened = StoreSettings { folder, admission: admission.clone(), journal: journal.clone() };
        let store = tokio::task::spawn_blocking(move || Store::open(opened)).await??;
        return Ok(Books { store, admission, journal, marks, lock: None });
    };
    let lock = FolderLock::take(&folder)?;
    let (journal, marks) = Journal::open(&folder.join("journal")).context("the journal")?;
    let (admission, journal) = (Arc::new(Admission::shared()), Arc::new(journal));
    // One folder, one process, one name: its next run may end the lease of this one.
    let node = secret_file(&folder.join("node"), "node").context("this node's name")?;
    let opened = PostgresSettings {
        url: url.expose().to_owned(),
        node,
        admission: admission.clone(),
        journal: journal.clone(),
    };
    let store = Store::open_postgres(opened).await?;
    Ok(Books { store, admission, journal, marks, lock: Some(lock) })
}

/// Reads the books where they are, beside whoever has them open.
///
/// # Errors
/// If there are none, or of another schema.
pub async fn reader(wanted: &settings::StoreSettings) -> anyhow::Result<BooksReader> {
    Ok(match &wanted.url {
        None => BooksReader::of_folder(&wanted.path)?,
        Some(url) => BooksReader::of_postgres(url.expose()).await?,
    })
}
