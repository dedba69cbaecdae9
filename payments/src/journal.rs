//! Journal: what was used by calls whose end is not in the ledger yet?
//!
//! Plain `write()` appends to a file, microseconds each: a mark survives `kill -9` (not a power cut, where the hold's
//! row and an estimate remain). The final mark of a call is written before its last byte is forwarded, so that a crash
//! charges neither less nor more than the client saw. Files whose calls have all ended in the ledger are deleted.
//! Marks stand on the disk of the node that wrote them. Where several nodes share a database, the latest progress of open
//! calls is handed to the writer as well, which carries it there about once a second: when a node is gone with its disk,
//! whoever ends its calls charges by that, less than was delivered by what the last second brought, never more.
//! Opening changes nothing: the first mark makes the file, so that a second process that is about to be turned away at
//! the store's lock does not touch the files of the first.
//!
//! A record is `length: u32 LE, CRC-32 of the body: u32 LE, body: JSON`. Reading stops at the first record that does
//! not hold: only the tail can be torn, and nothing behind it was acknowledged.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use units::{RequestId, Usage};

use crate::ledger::SettleEnd;

/// A file is left for the next one when it has grown to this size.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// No record is larger.
const RECORD_BYTES_MAX: u32 = 64 * 1024;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// So much so far; our reckoning.
    Progress(Usage),
    /// This is how it ended.
    End(SettleEnd),
}

#[derive(Serialize, Deserialize)]
struct Record {
    hold: RequestId,
    mark: Mark,
}

/// How the journal changes what is on the disk: the seam at which the disk is another's, one that fails for instance.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a file; what is written to it goes to its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one; whatever the disk says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Tail>>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that grows at its end.
pub trait Tail: Write + fmt::Debug + Send {}

impl<T: Write + fmt::Debug + Send> Tail for T {}

/// The disk as the operating system has it.
#[derive(Debug)]
struct OnDisk;

impl Files for OnDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Tail>> {
        Ok(Box::new(File::options().create_new(true).append(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The files and which calls they still speak for.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    files: Arc<dyn Files>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The file being written, once there is something to write.
    file: Option<Box<dyn Tail>>,
    number: u64,
    bytes: u64,
    /// Which file has a call's latest mark.
    latest: HashMap<RequestId, u64>,
    /// How many calls' latest marks each file has.
    live: HashMap<u64, usize>,
    /// Files of earlier runs that speak for no call.
    done: Vec<u64>,
    /// Progress that was not handed on yet, by open call; none is kept where nobody else could use it.
    fresh: Option<HashMap<RequestId, Usage>>,
}

impl Journal {
    /// Opens the journal in `folder` and reads what earlier runs left: each call's last word.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(folder: &Path) -> io::Result<(Self, HashMap<RequestId, Mark>)> {
        Self::open_on(Arc::new(OnDisk), folder)
    }

    /// The same on a disk of the caller's.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open_on(files: Arc<dyn Files>, folder: &Path) -> io::Result<(Self, HashMap<RequestId, Mark>)> {
        fs::create_dir_all(folder)?;
        let mut numbers: Vec<u64> = Vec::new();
        for file in fs::read_dir(folder)? {
            let name = file?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let mut marks: HashMap<RequestId, Mark> = HashMap::new();
        let (mut latest, mut live) = (HashMap::new(), HashMap::new());
        for &number in &numbers {
            for record in read_records(&path_of(folder, number))? {
                // An end is the last word, whatever a late progress mark says.
                if matches!((marks.get(&record.hold), &record.mark), (Some(Mark::End(_)), Mark::Progress(_)))
                {
                    continue;
                }
                marks.insert(record.hold, record.mark);
                latest.insert(record.hold, number);
            }
        }
        for &number in latest.values() {
            *live.entry(number).or_default() += 1;
        }
        let number = numbers.last().map_or(1, |last| last + 1);
        numbers.retain(|old| !live.contains_key(old));
        let fresh = None;
        let state = Mutex::new(State { file: None, number, bytes: 0, latest, live, done: numbers, fresh });
        Ok((Self { folder: folder.to_owned(), files, state }, marks))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a mark. One `write()`.
    ///
    /// # Errors
    /// If the disk refuses; the ledger's own row still follows.
    pub fn note(&self, hold: RequestId, mark: &Mark) -> io::Result<()> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            hold: RequestId,
            mark: &'a Mark,
        }
        let mut bytes = vec![0; 8];
        serde_json::to_writer(&mut bytes, &Borrowed { hold, mark })?;
        let (head, body) = bytes.split_at_mut(8);
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());

        let mut state = self.state();
        match (&mut state.fresh, mark) {
            (Some(fresh), Mark::Progress(usage)) => drop(fresh.insert(hold, *usage)),
            (Some(fresh), Mark::End(_)) => drop(fresh.remove(&hold)),
            (None, _) => {}
        }
        if state.bytes >= FILE_BYTES_MAX {
            self.turn_over(&mut state);
        }
        let file = match state.file.take() {
            Some(file) => file,
            None => self.begin(&mut state)?,
        };
        let file = state.file.insert(file);
        if let Err(error) = file.write_all(&bytes) {
            // Half a record would hide every later one of the file: those go to the next.
            self.turn_over(&mut state);
            return Err(error);
        }
        state.bytes += bytes.len() as u64;
        let number = state.number;
        if let Some(before) = state.latest.insert(hold, number) {
            if before == number {
                return Ok(());
            }
            self.leave(&mut state, before);
        }
        *state.live.entry(number).or_default() += 1;
        Ok(())
    }

    /// Makes the file; a number that is taken is passed over.
    fn begin(&self, state: &mut State) -> io::Result<Box<dyn Tail>> {
        for old in std::mem::take(&mut state.done) {
            // A file that stays costs space, not money: the next start tries again.
            let _ = self.files.remove(&path_of(&self.folder, old));
        }
        loop {
            match self.files.create(&path_of(&self.folder, state.number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => state.number += 1,
                other => return other,
            }
        }
    }

    /// The next mark goes to another file.
    fn turn_over(&self, state: &mut State) {
        let old = state.number;
        state.number += 1;
        state.bytes = 0;
        state.file = None;
        self.drop_if_done(state, old);
    }

    /// Keeps the latest progress of open calls for [`Self::take_fresh`] from now on.
    pub(crate) fn hand_on(&self) {
        self.state().fresh.get_or_insert_default();
    }

    /// The latest progress of each call that made some since this was last asked.
    pub(crate) fn take_fresh(&self) -> Vec<(RequestId, Usage)> {
        self.state().fresh.as_mut().map(|fresh| fresh.drain().collect()).unwrap_or_default()
    }

    /// The call's end is in the ledger: its marks are no longer needed.
    pub fn forget(&self, hold: RequestId) {
        let mut state = self.state();
        if let Some(fresh) = &mut state.fresh {
            fresh.remove(&hold);
        }
        if let Some(number) = state.latest.remove(&hold) {
            self.leave(&mut state, number);
        }
    }

    /// The last word on a call of this run, if it said one.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn last(&self, hold: RequestId) -> io::Result<Option<Mark>> {
        let state = self.state();
        let Some(number) = state.latest.get(&hold) else { return Ok(None) };
        let records = read_records(&path_of(&self.folder, *number))?;
        let marks = || records.iter().rev().filter(|record| record.hold == hold).map(|record| &record.mark);
        // An end is the last word, whatever a late progress mark says.
        let end = marks().find(|mark| matches!(mark, Mark::End(_)));
        Ok(end.or_else(|| marks().next()).cloned())
    }

    /// How many calls the journal speaks for.
    pub fn open_calls(&self) -> usize {
        self.state().latest.len()
    }

    fn leave(&self, state: &mut State, number: u64) {
        if let Some(count) = state.live.get_mut(&number) {
            *count = count.saturating_sub(1);
        }
        self.drop_if_done(state, number);
    }

    fn drop_if_done(&self, state: &mut State, number: u64) {
        if number != state.number && state.live.get(&number).is_none_or(|count| *count == 0) {
            state.live.remove(&number);
            // A file that stays costs space, not money: the next start tries again.
            let _ = self.files.remove(&path_of(&self.folder, number));
        }
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

fn read_records(path: &Path) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while let Some((record, after)) = read_record(rest) {
        records.push(record);
        rest = after;
    }
    if !rest.is_empty() {
        tracing::warn!(file = %path.display(), bytes = rest.len(), "the journal's tail is torn; what is before it holds");
    }
    Ok(records)
}

fn read_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length as usize)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some((serde_json::from_slice(body).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use units::{Timestamp, Tokens};

    use super::*;

    fn used(output: u64) -> Mark {
        Mark::Progress(Usage { output: Tokens(output), ..Usage::default() })
    }

    #[test]
    fn the_last_word_on_each_call_is_found_again_and_a_torn_tail_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (RequestId::new(Timestamp(1)), RequestId::new(Timestamp(2)));
        let (journal, found) = Journal::open(folder.path()).unwrap();
        assert!(found.is_empty());
        journal.note(first, &used(1)).unwrap();
        journal.note(second, &used(5)).unwrap();
        journal.note(first, &Mark::End(SettleEnd::Release)).unwrap();
        journal.note(first, &used(9)).unwrap();
        drop(journal);
        let torn = folder.path().join("00000001.log");
        File::options()
            .append(true)
            .open(&torn)
            .unwrap()
            .write_all(&[40, 0, 0, 0, 1, 2, 3, 4, b'{'])
            .unwrap();

        let (journal, found) = Journal::open(folder.path()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[&first], Mark::End(SettleEnd::Release));
        assert_eq!(found[&second], used(5));
        journal.forget(first);
        assert!(torn.exists(), "it still speaks for the second call");
        journal.forget(second);
        assert!(!torn.exists());
    }

    #[test]
    fn what_is_handed_on_is_the_latest_of_each_open_call_once() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, third] = [1, 2, 3].map(|at| RequestId::new(Timestamp(at)));
        let (journal, _) = Journal::open(folder.path()).unwrap();
        journal.note(first, &used(1)).unwrap();
        assert_eq!(journal.take_fresh(), [], "nobody else could use it");
        journal.hand_on();
        for (call, output) in [(first, 2), (first, 3), (second, 7), (third, 9)] {
            journal.note(call, &used(output)).unwrap();
        }
        journal.note(second, &Mark::End(SettleEnd::Release)).unwrap();
        journal.forget(third);
        assert_eq!(journal.take_fresh(), [(first, Usage { output: Tokens(3), ..Usage::default() })]);
        assert_eq!(journal.take_fresh(), []);
    }
}
