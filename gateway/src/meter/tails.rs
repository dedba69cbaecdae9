//! What is left to do when the client is gone: the answer runs on for a while, unseen, so that its true usage is known.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::tab::Tab;
use crate::{chat::Ending, provider::Events};

/// For a stream whose answer is whole and whose usage is still to come.
const USAGE_MAX: Duration = Duration::from_secs(5);
/// To read a stream's last bytes, so that its connection can be used again.
const REST_MAX: Duration = Duration::from_secs(1);
/// Tails at once; beyond it, calls are settled by estimate.
const TAILS_MAX: usize = 512;

/// Where calls go whose clients have gone.
#[derive(Debug, Clone)]
pub struct Tails {
    tasks: TaskTracker,
    stop: CancellationToken,
    drain_max: Duration,
    room: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
}

/// One piece of work that runs on without its client.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tails {
    /// Tails run on `tasks` for at most `drain_max`, and end at once when `stop` is cancelled.
    pub fn new(tasks: TaskTracker, stop: CancellationToken, drain_max: Duration) -> Self {
        Self { tasks, stop, drain_max, room: Arc::new(Semaphore::new(TAILS_MAX)), running: Arc::default() }
    }

    /// Runs `work` where shutdown waits for it. Without a runtime, which is to say in its last moments, the work is
    /// dropped, and settles by that.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.running.fetch_add(1, Ordering::AcqRel);
            let running = Running(Arc::clone(&self.running));
            self.tasks.spawn(async move {
                let _running = running;
                work.await;
            });
        }
    }

    /// How much work runs on without its client.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Resolves to what `work` gives, or to nothing once it has taken too long or the process has to end.
    pub(super) async fn bounded<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = timeout(self.drain_max, work) => done.ok(),
            () = self.stop.cancelled() => None,
        }
    }

    /// Ends a stream that nobody reads any more.
    pub(super) fn finish(&self, mut events: Box<Events>, mut tab: Tab) {
        let closing_stops_cost = tab.trail().closing_stops_cost();
        let room = Arc::clone(&self.room).try_acquire_owned();
        let (Ok(room), false) = (room, closing_stops_cost && !events.is_answered()) else {
            drop(events); // closes the connection
            tab.close(Ending::HungUp);
            return;
        };
        let tails = self.clone();
        self.spawn(async move {
            let _room = room;
            let longest = if events.is_answered() { USAGE_MAX } else { tails.drain_max };
            let drain = async {
                while let Some(Ok(chunk)) = std::future::poll_fn(|cx| events.poll_chunk(cx)).await {
                    tab.count(&chunk, false);
                    if tab.is_overrun() {
                        break;
                    }
                }
            };
            tails.bounded(timeout(longest, drain)).await;
            drop(events);
            tab.close(Ending::HungUp);
        });
    }

    /// Reads what is left of a stream that has said all it had to say.
    pub(super) fn recycle(&self, events: Events) {
        if !events.is_exhausted() {
            self.spawn(async move {
                let _ = timeout(REST_MAX, events.rest()).await;
            });
        }
    }
}
