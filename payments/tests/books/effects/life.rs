//! A process's life over a disk that may fail, and what the next process makes of what is left.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use payments::{
    admission::Admission,
    journal::{Files, Journal, Mark, Tail},
    ledger::{HoldState, Refusal, Reply},
    reconcile::recover,
    store::{StateHash, Store, StoreSettings, Submission, SubmitError},
};
use tempfile::TempDir;
use testbed::{Disk, disk::images::Image};
use units::{Clock, RequestId};

use super::scenario::{Act, Scenario, in_epoch, of_call};
use crate::support::ManualClock;

/// The journal's files on a disk that may fail.
#[derive(Debug)]
struct On(Arc<Disk>);

impl Files for On {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Tail>> {
        Ok(Box::new(self.0.create(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
}

/// A folder on a disk that may fail.
pub(super) struct Place {
    pub(super) disk: Arc<Disk>,
    folder: TempDir,
}

/// A process: its store and its journal.
pub(super) struct Process {
    pub(super) store: Store,
    journal: Arc<Journal>,
    marks: HashMap<RequestId, Mark>,
}

impl Place {
    /// With these files in it.
    pub(super) fn with(image: &Image) -> Self {
        let folder = tempfile::tempdir().unwrap();
        image.lay_down(folder.path()).unwrap();
        Self { disk: Disk::watch(folder.path()), folder }
    }

    /// What is in it; nobody may be at work there.
    pub(super) fn image(&self) -> Image {
        Image::of(self.folder.path(), &["lock"]).unwrap()
    }

    /// A process begins here.
    pub(super) fn open(&self) -> Result<Process, String> {
        let folder = self.folder.path();
        let files = Arc::new(On(self.disk.clone()));
        let (journal, marks) =
            Journal::open_on(files, &folder.join("journal")).map_err(|error| error.to_string())?;
        let journal = Arc::new(journal);
        let admission = Arc::new(Admission::default());
        let settings = StoreSettings { folder: folder.to_owned(), admission, journal: journal.clone() };
        let store = Store::open(settings).map_err(|error| error.to_string())?;
        Ok(Process { store, journal, marks })
    }
}

/// Empty books of this program's schema.
pub(super) async fn empty_books() -> Image {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { disk: Disk::watch(folder.path()), folder };
    place.open().unwrap().store.close().await;
    place.image()
}

impl Process {
    pub(super) async fn recover(&self, clock: &dyn Clock) -> Result<usize, SubmitError> {
        recover(&self.store, &self.marks, &self.journal, clock).await
    }

    /// Takes one step; false if the process could not.
    async fn takes(&mut self, place: &Place, scenario: &Scenario, index: usize, act: &Act) -> bool {
        match act {
            Act::Ask { command, receipt, call } => {
                let mut command = command.clone();
                in_epoch(&mut command, self.store.epoch());
                let submission =
                    Submission { command: *command, taken: Vec::new(), receipt: receipt.clone() };
                let outcome = match self.store.submit_with(submission).await {
                    Ok(reply) => Ok(reply),
                    Err(SubmitError::Refused(refusal)) => Err(refusal),
                    Err(SubmitError::Stopped(_) | SubmitError::Busy) => return false,
                };
                // A call's row says which run of the process it is of, and who ended it.
                if call.is_some() || matches!(outcome, Ok(Reply::Hold(_))) {
                    assert!(outcome.is_ok(), "{act:?}: {outcome:?}");
                } else {
                    assert_eq!(Some(&outcome), scenario.outcomes[index].as_ref(), "{act:?}");
                }
                true
            }
            // That a word could not be written stops no call: its end in the ledger follows.
            Act::Note(call, mark) => self.journal.note(*call, mark).is_ok() || self.store.is_running(),
            Act::Restart => {
                self.store.clone().close().await;
                let Ok(next) = place.open() else { return false };
                let clock = ManualClock::at(scenario.end());
                *self = next;
                self.recover(&*clock).await.is_ok()
            }
        }
    }

    /// Lives the scenario from step `from` on; how many steps are done when the disk fails it, or it is over.
    pub(super) async fn lives(&mut self, place: &Place, scenario: &Scenario, from: usize) -> usize {
        for (index, act) in scenario.acts.iter().enumerate().skip(from) {
            if !self.takes(place, scenario, index, act).await {
                return index;
            }
            place.disk.mark((index + 1) as u64);
        }
        scenario.acts.len()
    }

    /// Is gone: nothing of it is open any more.
    pub(super) async fn ends(self) {
        self.store.close().await;
    }
}

/// The next process over what is left: everything acknowledged is there, what was not is there whole or not at all,
/// recovery leaves no call open, and again changes nothing. Says how far the books are, and what they come to then.
pub(super) async fn begins_again(
    place: &Place,
    scenario: &Scenario,
    done: usize,
) -> (Process, usize, StateHash) {
    place.disk.works();
    let clock = ManualClock::at(scenario.end());
    let process = place.open().expect("what is left opens");
    let found = process.store.state_hash().await.unwrap();
    let after = (done + 1).min(scenario.acts.len());
    let there = [done, after].into_iter().find(|steps| scenario.hashes[*steps] == found);
    let there = there.unwrap_or_else(|| {
        panic!("after {done} steps, {:?} is on its way; found {found:?}", scenario.acts.get(done))
    });
    process.recover(&*clock).await.unwrap();
    assert_eq!(process.store.verify().await.unwrap().0, Vec::<String>::new());
    assert_eq!(process.store.open_holds().await.unwrap(), 0);
    let recovered = process.store.state_hash().await.unwrap();
    assert_eq!(process.recover(&*clock).await.unwrap(), 0);
    assert_eq!(process.store.state_hash().await.unwrap(), recovered, "recovery again changes nothing");
    (process, there, recovered)
}

/// Everything acknowledged is answered as before, and the rest of the scenario leads to where it leads without a crash.
pub(super) async fn goes_on(mut process: Process, place: &Place, scenario: &Scenario, there: usize) {
    let before = process.store.state_hash().await.unwrap();
    let mut waiting = Vec::new();
    for (act, outcome) in scenario.acts.iter().zip(&scenario.outcomes).take(there) {
        if let (Act::Ask { command, call: None, .. }, Some(outcome)) = (act, outcome)
            && !command.remembered_by_its_row()
        {
            let slot = process.store.slot().await.unwrap();
            waiting.push((act, outcome, slot.send((**command).clone().into())));
        }
    }
    for (act, outcome, answer) in waiting {
        let answer = answer.committed().await.map_err(|error| match error {
            SubmitError::Refused(refusal) => refusal,
            other => panic!("{other}"),
        });
        if !matches!(outcome, Err(Refusal::NotPositive)) {
            assert_eq!(&answer, outcome, "asked again: {act:?}");
        }
    }
    assert_eq!(process.store.state_hash().await.unwrap(), before, "asking again changes nothing");

    let mut cut_short = Vec::new();
    for call in scenario.all_calls() {
        let steps = scenario.steps_of(call);
        if steps.first().is_some_and(|first| *first < there)
            && steps.last().is_some_and(|last| *last >= there)
        {
            cut_short.push(call);
        }
    }
    for call in &cut_short {
        let ended = process.store.hold(*call).await.unwrap().unwrap();
        let expected = scenario.memory.rows().hold(*call).unwrap();
        if ended.state == HoldState::Released && expected.state == HoldState::Settled {
            // It was never sent: whoever asked calls again, under a number of its own.
            let again = RequestId::new(scenario.end());
            for index in scenario.steps_of(*call) {
                let act = of_call(&scenario.acts[index], again);
                assert!(process.takes(place, scenario, index, &act).await);
            }
        } else {
            assert_eq!((ended.cost, ended.overrun), (expected.cost, expected.overrun), "{ended:?}");
        }
    }
    for (index, act) in scenario.acts.iter().enumerate().skip(there) {
        let of_ended = |call: &RequestId| cut_short.contains(call);
        let skipped = match act {
            Act::Ask { call, .. } => call.as_ref().is_some_and(of_ended),
            Act::Note(call, _) => of_ended(call),
            Act::Restart => false,
        };
        if !skipped {
            assert!(process.takes(place, scenario, index, act).await, "{act:?}");
        }
    }
    let (found, expected) = (process.store.state_hash().await.unwrap(), scenario.hashes.last().unwrap());
    // What says when and by whom a call was ended is another's; what it cost is not.
    let same = |table: &str| !["hold", "wallet", "entry", "command"].contains(&table);
    let rest =
        |hash: &StateHash| hash.tables.iter().filter(|(table, ..)| same(table)).cloned().collect::<Vec<_>>();
    assert_eq!(rest(&found), rest(expected));
    for balance in process.store.balances(scenario.account).await.unwrap() {
        let expected = scenario.memory.rows().wallet(scenario.account, &balance.wallet.asset);
        let found = (balance.wallet.posted, balance.wallet.held);
        assert_eq!(found, (expected.posted, expected.held), "{}", expected.asset);
    }
    assert_eq!(process.store.verify().await.unwrap().0, Vec::<String>::new());
    process.ends().await;
}
