//! Has a file changed? Watches the folders of all that was read, and asks for another reading when something settles.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{
    Reloader, Trigger,
    places::Places,
    settle::{Touch, settled},
};
use crate::settings::LookedInto;

/// Touches that wait to be looked at. One that finds no place changes nothing: a reading is due anyway.
const TOUCHES_MAX: usize = 1_024;

/// Watches what a [`Reloader`] reads.
pub struct Watcher {
    reloader: Reloader,
    look_out: LookOut,
    touches: Receiver<Touch>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("watched", &self.look_out.watched).finish_non_exhaustive()
    }
}

/// The folders that are watched.
struct LookOut {
    system: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    places: Arc<Mutex<Places>>,
}

impl Watcher {
    /// Watches from now on. What happened since the file was read at the start is seen by [`run`](Self::run).
    ///
    /// # Errors
    /// If the system watches nothing for us.
    pub fn new(reloader: Reloader) -> notify::Result<Self> {
        let (tell, touches) = mpsc::channel(TOUCHES_MAX);
        let places = Arc::new(Mutex::new(Places::default()));
        let system = notify::recommended_watcher({
            let places = Arc::clone(&places);
            move |event: notify::Result<Event>| heard(event, &places, &tell)
        })?;
        let mut look_out = LookOut { system, watched: BTreeSet::new(), places };
        look_out.look_into(&reloader.looked_into().borrow());
        Ok(Self { reloader, look_out, touches })
    }

    /// Asks for a reading whenever something has settled, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { reloader, mut look_out, mut touches } = self;
        let mut looked_into = reloader.looked_into();
        // Between the start and the first watch nobody looked.
        reloader.reload(Trigger::File).await;
        loop {
            let settled = settled(&mut touches);
            tokio::pin!(settled);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    settled = &mut settled => match settled {
                        Some(()) => break,
                        None => return,
                    },
                    // It was read, by whomever: links may lead elsewhere now.
                    changed = looked_into.changed() => if changed.is_err() { return },
                }
                // A folder that is watched only now may have changed before that.
                if look_out.look_into(&looked_into.borrow_and_update().clone()) {
                    reloader.reload(Trigger::File).await;
                }
            }
            reloader.reload(Trigger::File).await;
        }
    }
}

impl LookOut {
    /// Watches what a reading depends on, and nothing else; whether a folder is new.
    fn look_into(&mut self, looked_into: &LookedInto) -> bool {
        let places = Places::of(looked_into);
        let wanted: BTreeSet<PathBuf> = places.folders().map(Path::to_owned).collect();
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
        for gone in self.watched.difference(&wanted) {
            // A folder that is no more is watched no more, which is no error.
            let _ = self.system.unwatch(gone);
        }
        self.watched.retain(|folder| wanted.contains(folder));
        let mut new = false;
        for folder in wanted {
            if self.watched.contains(&folder) {
                continue;
            }
            match self.system.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    new = true;
                    self.watched.insert(folder);
                }
                Err(error) => tracing::warn!(
                    folder = %folder.display(), %error,
                    "not watched: SIGHUP or POST /admin/v1/config:reload has the configuration read again"
                ),
            }
        }
        new
    }
}

/// What the system tells us, on a thread of its own.
fn heard(event: notify::Result<Event>, places: &Mutex<Places>, tell: &Sender<Touch>) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(%error, "changes of the configuration may go unseen");
            return;
        }
    };
    let Some(touch) = touch_of(event.kind) else { return };
    let concerns = || {
        let places = places.lock().unwrap_or_else(PoisonError::into_inner);
        event.paths.iter().any(|path| places.concern(path))
    };
    // Where events were lost, any of them may have been ours.
    if (event.need_rescan() || concerns())
        && let Err(TrySendError::Full(_)) = tell.try_send(touch)
    {
        tracing::debug!("many changes at once; they are read as one");
    }
}

/// Our own reading is an event too, and of no interest.
const fn touch_of(kind: EventKind) -> Option<Touch> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Touch::Done),
        EventKind::Access(_) => None,
        // Only Linux tells of closing; elsewhere what was written is taken for done.
        EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => Some(Touch::Written),
        _ => Some(Touch::Done),
    }
}
