//! A disk that fails when a test says so, under SQLite and under files that a test's own code writes.
//!
//! Everything that changes a watched folder is an effect with a number: a write, a flush, a truncation, a file made or
//! removed. [`Disk::fails_at`] names the first effect that does not happen; what was done before it stays, as it does
//! when a process is killed. SQLite comes here by a VFS that this module makes the process's default, so that the
//! product opens its files as it always does. Files outside of watched folders pass through.
//!
//! [`Disk::record`] keeps every effect with its bytes, for [`images`]: what a power cut may leave of them.

pub mod images;
mod vfs;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is dead: this effect does not happen, nor any after it.
    Dies,
    /// As before, but half of a write gets through.
    Tears,
    /// There is no room: from here on nothing can be written; what is there can be read, flushed and removed.
    Fills,
}

/// What changes a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A file is made.
    Create(PathBuf),
    /// Bytes are written at an offset.
    Write(PathBuf, u64, Vec<u8>),
    /// A file gets this length.
    Truncate(PathBuf, u64),
    /// What was written to a file is kept, whatever happens.
    Sync(PathBuf),
    /// A file is removed.
    Delete(PathBuf),
    /// Something was acknowledged: the test's own number.
    Mark(u64),
}

/// The kind of an effect, and of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Create,
    Write(u64, &'a [u8]),
    Truncate(u64),
    Sync,
    Delete,
}

/// What becomes of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Happens,
    /// The first half of it, then nothing.
    Half,
    Dead,
    Full,
}

/// A watched folder.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    effects: u64,
    fails: Option<(u64, Fault)>,
    failed: bool,
    kinds: Vec<(char, PathBuf)>,
    log: Option<Vec<Effect>>,
}

static WATCHED: Mutex<Vec<Weak<Disk>>> = Mutex::new(Vec::new());

/// The disk that a path lies on.
pub(crate) fn disk_of(path: &Path) -> Option<Arc<Disk>> {
    let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.iter().filter_map(Weak::upgrade).find(|disk| path.starts_with(&disk.folder))
}

impl Disk {
    /// Watches what changes in `folder` from now on, for as long as this lives.
    ///
    /// # Panics
    /// If there is no such folder.
    pub fn watch(folder: &Path) -> Arc<Self> {
        vfs::install();
        let folder = folder.canonicalize().expect("a folder");
        let disk = Arc::new(Self { folder, state: Mutex::default() });
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|disk| disk.strong_count() > 0);
        watched.push(Arc::downgrade(&disk));
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from nothing again, and fails at effect number `effect`, the first being 1; what failed works again.
    pub fn fails_at(&self, effect: u64, fault: Fault) {
        *self.state() = State { fails: Some((effect, fault)), ..State::default() };
    }

    /// Counts from nothing again; nothing fails.
    pub fn works(&self) {
        *self.state() = State::default();
    }

    /// True once it has failed.
    pub fn failed(&self) -> bool {
        self.state().failed
    }

    /// How many effects there were since it was last said how it fails.
    pub fn effects(&self) -> u64 {
        self.state().effects
    }

    /// The numbers of the effects at which a kill leaves something that one before it does not, for whoever takes
    /// SQLite at its word that half a transaction in its log is none: of writes to one file without anything in between,
    /// the first two, one of the middle and the last two; and everything else.
    pub fn turning_points(&self) -> Vec<u64> {
        let kinds = std::mem::take(&mut self.state().kinds);
        let mut points = Vec::new();
        let mut begin = 0;
        while begin < kinds.len() {
            let run = kinds[begin..].iter().take_while(|kind| **kind == kinds[begin]).count();
            let chosen = [0, 1, run / 2, run.saturating_sub(2), run - 1];
            let in_run = (0..run).filter(|index| kinds[begin].0 != 'w' || chosen.contains(index));
            points.extend(in_run.map(|index| (begin + index + 1) as u64));
            begin += run;
        }
        points
    }

    /// Keeps every effect from now on.
    pub fn record(&self) {
        self.state().log = Some(Vec::new());
    }

    /// Notes among the recorded effects that something was acknowledged.
    pub fn mark(&self, number: u64) {
        if let Some(log) = &mut self.state().log {
            log.push(Effect::Mark(number));
        }
    }

    /// What was recorded, with paths as they are below the folder.
    pub fn recorded(&self) -> Vec<Effect> {
        self.state().log.take().unwrap_or_default()
    }

    /// Whether an effect happens.
    pub(crate) fn meets(&self, path: &Path, change: Change<'_>) -> Verdict {
        let mut state = self.state();
        state.effects += 1;
        let verdict = match state.fails {
            Some((at, fault)) if state.effects >= at => {
                let needs_room = matches!(change, Change::Create | Change::Write(..));
                let first = state.effects == at;
                match fault {
                    Fault::Tears if first && matches!(change, Change::Write(..)) => Verdict::Half,
                    Fault::Dies | Fault::Tears => Verdict::Dead,
                    Fault::Fills if needs_room => Verdict::Full,
                    Fault::Fills => Verdict::Happens,
                }
            }
            _ => Verdict::Happens,
        };
        state.failed |= verdict != Verdict::Happens;
        let name = path.strip_prefix(&self.folder).unwrap_or(path).to_owned();
        if state.fails.is_none() {
            let kind = match change {
                Change::Create => 'c',
                Change::Write(..) => 'w',
                Change::Truncate(_) => 't',
                Change::Sync => 's',
                Change::Delete => 'd',
            };
            state.kinds.push((kind, name.clone()));
        }
        if let Some(log) = &mut state.log {
            log.push(match change {
                Change::Create => Effect::Create(name),
                Change::Write(at, bytes) => Effect::Write(name, at, bytes.to_vec()),
                Change::Truncate(size) => Effect::Truncate(name, size),
                Change::Sync => Effect::Sync(name),
                Change::Delete => Effect::Delete(name),
            });
        }
        verdict
    }

    /// Makes a file for appending.
    ///
    /// # Errors
    /// If the disk has failed, or the file is there.
    pub fn create(self: &Arc<Self>, path: &Path) -> io::Result<Appending> {
        self.may(path, Change::Create)?;
        let file = File::options().create_new(true).append(true).open(path)?;
        Ok(Appending { disk: self.clone(), path: path.canonicalize()?, file, end: 0 })
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If the disk has failed, or there is none.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.may(path, Change::Delete)?;
        fs::remove_file(path)
    }

    fn may(&self, path: &Path, change: Change<'_>) -> io::Result<()> {
        let in_folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        let path =
            in_folder.zip(path.file_name()).map_or(path.to_owned(), |(folder, name)| folder.join(name));
        match self.meets(&path, change) {
            Verdict::Happens => Ok(()),
            Verdict::Full => Err(io::ErrorKind::StorageFull.into()),
            Verdict::Half | Verdict::Dead => Err(io::Error::other("the process is dead")),
        }
    }
}

/// A file on a watched disk that grows at its end.
#[derive(Debug)]
pub struct Appending {
    disk: Arc<Disk>,
    path: PathBuf,
    file: File,
    end: u64,
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk.meets(&self.path, Change::Write(self.end, bytes)) {
            Verdict::Happens => self.file.write_all(bytes)?,
            Verdict::Full => return Err(io::ErrorKind::StorageFull.into()),
            Verdict::Half => {
                self.file.write_all(&bytes[..bytes.len() / 2])?;
                return Err(io::Error::other("the process is dead"));
            }
            Verdict::Dead => return Err(io::Error::other("the process is dead")),
        }
        self.end += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
