//! A clock that only moves when it is told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use units::{Clock, Timestamp, Wake};

#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    asleep: Arc<Asleep>,
    /// So many wait for an answer that comes without the clock.
    waiting: AtomicUsize,
}

/// Who sleeps until when.
#[derive(Debug)]
struct Asleep {
    until: Mutex<BTreeMap<Timestamp, usize>>,
    changed: watch::Sender<()>,
}

struct Sleeper(Arc<Asleep>, Timestamp);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut until = self.0.until.lock().unwrap();
        if let Some(count) = until.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                until.remove(&self.1);
            }
        }
    }
}

impl ManualClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        let asleep = Arc::new(Asleep { until: Mutex::default(), changed: watch::Sender::new(()) });
        Arc::new(Self { now: watch::Sender::new(now), asleep, waiting: AtomicUsize::new(0) })
    }

    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = now.after(by));
    }

    pub fn move_to(&self, at: Timestamp) {
        self.now.send_modify(|now| *now = at.max(*now));
    }

    /// Until when the first of those who sleep does.
    fn next_waking(&self) -> Option<Timestamp> {
        let now = self.now();
        let until = self.asleep.until.lock().unwrap();
        until.range(now.after(Duration::from_micros(1))..).next().map(|(at, _)| *at)
    }

    /// Waits until somebody sleeps; until when the first of them does.
    pub async fn first_sleeper(&self) -> Timestamp {
        let mut changed = self.asleep.changed.subscribe();
        loop {
            if let Some(at) = self.next_waking() {
                return at;
            }
            changed.changed().await.unwrap();
        }
    }

    /// Somebody waits for an answer: [`Self::run_until`] does not move on.
    pub fn begins_to_wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// They have it.
    pub fn has_waited(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Moves to where the next sleeper wakes, again and again, until `done` says so.
    pub async fn run_until(&self, mut done: impl AsyncFnMut() -> bool) {
        let limit = self.now().after(Duration::from_secs(7 * 24 * 3600));
        while !done().await {
            if self.waiting.load(Ordering::SeqCst) == 0
                && let Some(at) = self.next_waking()
            {
                assert!(at < limit, "a week has passed and it has not come about");
                self.move_to(at);
            }
            // Whoever woke, or has not gone to sleep yet, has something to do now.
            tokio::task::yield_now().await;
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> Wake {
        let mut moved = self.now.subscribe();
        let asleep = self.asleep.clone();
        Box::pin(async move {
            *asleep.until.lock().unwrap().entry(at).or_default() += 1;
            asleep.changed.send_replace(());
            let sleeper = Sleeper(asleep, at);
            if moved.wait_for(|now| *now >= at).await.is_err() {
                std::future::pending::<()>().await;
            }
            drop(sleeper);
        })
    }
}
