//! What works in the background, until the test ends it.

use std::time::Duration;

use payments::refund::Refunds;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::World;

/// One of the product's tasks.
pub struct Running {
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Running {
    pub fn watch(world: &World) -> Self {
        let (stop, topups) = (CancellationToken::new(), world.topups.clone());
        let token = stop.clone();
        let task = TaskTracker::new().spawn(async move { topups.watch(token).await });
        Self { stop, task }
    }

    pub fn work(world: &World) -> Self {
        Self::refunds(world.refunds.clone())
    }

    pub fn refunds(refunds: Refunds) -> Self {
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = TaskTracker::new().spawn(async move { refunds.work(token).await });
        Self { stop, task }
    }

    pub async fn end(self, world: &World) {
        self.stop.cancel();
        // It may be in a pause between two calls.
        let mut task = self.task;
        while tokio::select! { done = &mut task => { done.unwrap(); false }, _ = world.clock.first_sleeper() => true }
        {
            world.clock.advance(Duration::from_millis(200));
        }
        world.assert_sound().await;
    }
}
