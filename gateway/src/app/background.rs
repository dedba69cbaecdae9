//! What goes on beside the calls: holds that nobody else would end, and the file that may change.

use std::{collections::HashMap, sync::Arc, time::Duration};

use payments::{journal::Journal, reconcile, store::Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::Clock;

use crate::reload::{Reloader, Watcher};

/// How often calls are looked for that should have ended.
const OVERDUE_EVERY: Duration = Duration::from_secs(600);

/// How often calls of nodes that died are looked for, where several share the books.
const ORPHANS_EVERY: Duration = Duration::from_secs(30);

/// Now and then ends the holds of runs that died elsewhere: what their journals knew stands on their disks.
pub(super) async fn end_orphans(
    store: Store,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let nothing_known = HashMap::new();
    let mut next = clock.now().after(ORPHANS_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(next) => {}
        }
        next = clock.now().after(ORPHANS_EVERY);
        match reconcile::recover(&store, &nothing_known, &journal, &*clock).await {
            Ok(0) => {}
            Ok(ended) => tracing::warn!(holds = ended, "calls of a node that is gone were settled"),
            Err(error) => tracing::warn!(%error, "orphaned holds cannot be looked for"),
        }
    }
}

/// Now and then ends the holds of calls that should have ended long ago.
pub(super) async fn end_overdue(
    store: Store,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut next = clock.now().after(OVERDUE_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(next) => {}
        }
        next = clock.now().after(OVERDUE_EVERY);
        match reconcile::end_overdue(&store, &journal, &*clock).await {
            Ok(0) => {}
            Ok(ended) => {
                tracing::error!(holds = ended, "calls ran past their deadline; their holds were settled")
            }
            Err(error) => tracing::warn!(%error, "overdue holds cannot be looked for"),
        }
    }
}

/// Watches the configuration. Where the system does not let us, it is read when somebody asks.
pub(super) fn watch(reloader: Reloader, background: &TaskTracker, stop: &CancellationToken) {
    match Watcher::new(reloader) {
        Ok(watcher) => {
            let stop = stop.clone();
            background.spawn(async move { watcher.run(stop).await });
        }
        Err(error) => tracing::warn!(%error, "the configuration is not watched"),
    }
}
