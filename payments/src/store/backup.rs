//! Copies of the books in a folder, taken while they are written and verified before they are called copies.
//!
//! A backup is a folder like the store's own: the two files as one instant left each, what the journal said of open
//! calls before that instant, the secret that API keys are digested with, and a word on what all of it comes to.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    examine::{ExamineError, Examined, examine_folder},
    read::LaneSeen,
    sqlite::{OpenError, read_only},
};

/// What the word on a backup is called.
const MANIFEST: &str = "backup.json";
/// The files of the store's folder that a backup holds beside the books; where there are any.
const BESIDE: [&str; 1] = ["key_secret"];

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the books come to.
    pub state_hash: String,
    /// Each table and how many rows it has.
    pub rows: Vec<(String, u64)>,
    /// Each lane of the journal and the end of its chain.
    pub lanes: Vec<LaneSeen>,
    /// The last run that had written.
    pub epoch: i64,
    /// Calls that were open.
    pub open_holds: i64,
}

impl Manifest {
    fn of(seen: &Examined) -> Self {
        Self {
            state_hash: seen.state.hex(),
            rows: seen.state.tables.iter().map(|(table, rows, _)| ((*table).to_owned(), *rows)).collect(),
            lanes: seen.lanes.clone(),
            epoch: seen.epoch,
            open_holds: seen.open_holds,
        }
    }
}

/// Why there is no copy. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already: nothing is overwritten.
    #[error("{} is there already: name a place where nothing is", .0.display())]
    Exists(PathBuf),
    /// The books cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The books, or their copy, cannot be looked at.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was copied does not hold.
    #[error("the books in {} do not hold: {}", folder.display(), findings.join("; "))]
    Unsound {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        findings: Vec<String>,
    },
    /// It is not what it says it is.
    #[error("{} is no whole backup: {what}", folder.display())]
    NotWhole {
        /// Where.
        folder: PathBuf,
        /// What contradicts.
        what: String,
    },
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |source| BackupError::File { path: path.to_owned(), source }
}

/// Copies the books in `folder` to the new folder `out`, whether or not a process serves from them, verifies the copy,
/// and only then gives it its name. Keeps its thread busy.
///
/// # Errors
/// [`BackupError`]; then there is nothing at `out`.
pub fn back_up(folder: &Path, out: &Path) -> Result<Examined, BackupError> {
    if out.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(out.to_owned()));
    }
    let books = read_only(folder)?;
    let draft = Draft::beside(out)?;
    // The journal first: what it says of a call that ends meanwhile is out of date but true, while a mark that is gone
    // because its call ended behind the instant of the copy would be missing.
    copy_journal(folder, &draft.0)?;
    for (schema, file) in [("main", "ledger.db"), ("receipts", "receipts.db")] {
        let path = draft.0.join(file);
        // One read transaction, beside the writer: the file as one instant left it.
        books.execute(&format!("VACUUM {schema} INTO ?1"), [path.to_string_lossy()])?;
    }
    for name in BESIDE {
        copy_if_there(&folder.join(name), &draft.0.join(name))?;
    }
    let seen = examined(&draft.0)?;
    let manifest = draft.0.join(MANIFEST);
    let text = serde_json::to_string_pretty(&Manifest::of(&seen)).map_err(io::Error::other);
    text.and_then(|text| fs::write(&manifest, text + "\n")).map_err(at(&manifest))?;
    draft.finish(out)?;
    Ok(seen)
}

/// Looks at a backup as at any books, and holds it to its own word.
///
/// # Errors
/// [`BackupError`].
pub fn examine_backup(folder: &Path) -> Result<Examined, BackupError> {
    let manifest = manifest(folder)?;
    let seen = examine_folder(folder)?;
    let found = Manifest::of(&seen);
    if seen.findings.0.is_empty() && found != manifest {
        let what = format!("it says {} and comes to {}", manifest.state_hash, found.state_hash);
        return Err(BackupError::NotWhole { folder: folder.to_owned(), what });
    }
    Ok(seen)
}

/// Puts a backup into the folder `to`, which is empty or not there, and verifies what it put before it stands there.
/// The next run counts a new epoch there, so that the calls that were open are ended as those of a run that died.
///
/// # Errors
/// [`BackupError`]; then `to` is as it was.
pub fn restore(from: &Path, to: &Path) -> Result<Examined, BackupError> {
    let occupied = match fs::read_dir(to) {
        Ok(mut inside) => inside.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(at(to)(error)),
    };
    if occupied {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let expected = manifest(from)?;
    let draft = Draft::beside(to)?;
    copy_journal(from, &draft.0)?;
    for name in ["ledger.db", "receipts.db"] {
        let (source, target) = (from.join(name), draft.0.join(name));
        fs::copy(&source, &target).map_err(at(&source))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).map_err(at(&target))?;
    }
    for name in BESIDE {
        copy_if_there(&from.join(name), &draft.0.join(name))?;
    }
    let seen = examined(&draft.0)?;
    let found = Manifest::of(&seen);
    if found != expected {
        let what = format!("it says {} and comes to {}", expected.state_hash, found.state_hash);
        return Err(BackupError::NotWhole { folder: from.to_owned(), what });
    }
    draft.finish(to)?;
    Ok(seen)
}

fn manifest(folder: &Path) -> Result<Manifest, BackupError> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    serde_json::from_str(&text).map_err(|error| BackupError::NotWhole {
        folder: folder.to_owned(),
        what: format!("{MANIFEST}: {error}"),
    })
}

fn examined(folder: &Path) -> Result<Examined, BackupError> {
    let seen = examine_folder(folder)?;
    if seen.findings.0.is_empty() {
        return Ok(seen);
    }
    Err(BackupError::Unsound { folder: folder.to_owned(), findings: seen.findings.0 })
}

fn copy_journal(from: &Path, to: &Path) -> Result<(), BackupError> {
    let (from, to) = (from.join("journal"), to.join("journal"));
    DirBuilder::new().mode(0o700).create(&to).map_err(at(&to))?;
    let files = match fs::read_dir(&from) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(&from)(error)),
    };
    for file in files {
        let file = file.map_err(at(&from))?;
        copy_if_there(&file.path(), &to.join(file.file_name()))?;
    }
    Ok(())
}

/// A file of the journal is gone as soon as its calls have ended.
fn copy_if_there(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(from)(error)),
    }
}

/// A folder that is being filled, beside the place it is meant for; removed unless it is finished.
struct Draft(PathBuf);

impl Draft {
    fn beside(place: &Path) -> Result<Self, BackupError> {
        let name = place.file_name().ok_or_else(|| BackupError::Exists(place.to_owned()))?;
        let parent = parent(place);
        fs::create_dir_all(parent).map_err(at(parent))?;
        let draft = parent.join(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        // What this number left half-done in an earlier life.
        let _ = fs::remove_dir_all(&draft);
        DirBuilder::new().mode(0o700).create(&draft).map_err(at(&draft))?;
        Ok(Self(draft))
    }

    /// On disk in full, and then under its name.
    fn finish(self, place: &Path) -> Result<(), BackupError> {
        sync(&self.0).map_err(at(&self.0))?;
        // An empty folder gives way to another; anything else does not.
        fs::rename(&self.0, place).map_err(at(place))?;
        let parent = parent(place);
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(at(parent))?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already when it was finished.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn parent(place: &Path) -> &Path {
    place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_dir() { sync(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}
