//! When is this process asked to end?

use tokio::signal::unix::{SignalKind, signal};

/// Resolves on SIGINT or SIGTERM.
pub(super) async fn asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
