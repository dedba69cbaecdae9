//! When is this process asked to end, or to read its configuration again?

use tokio::signal::unix::{SignalKind, signal};

use crate::reload::{Reloader, Trigger};

/// Resolves on SIGINT or SIGTERM.
pub(super) async fn asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Reads the configuration again on each SIGHUP, for as long as it is awaited.
pub(super) async fn reload_when_asked(
    reloader: Option<&Reloader>,
) -> std::io::Result<std::convert::Infallible> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        if let Some(reloader) = reloader {
            reloader.reload(Trigger::Signal).await;
        }
    }
}
