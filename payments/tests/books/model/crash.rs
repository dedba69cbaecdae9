//! The files as a crash leaves them: 23 and 24. What SIGKILL and a power cut leave is shown with real ones elsewhere; this
//! is every instant that copying the files of a running store happens to catch.

use std::{fs, path::Path};

use payments::{
    reconcile::recover,
    store::{Store, memory::MemoryStore},
};

use super::world::World;
use crate::support::{ManualClock, START, settings};

/// 23: what was acknowledged is there, and nothing is there by half. `prefixes` says what the books come to after each
/// number of commands.
pub fn n23_acknowledged_is_there(
    acknowledged: usize,
    prefixes: &[String],
    found: &str,
) -> Result<(), String> {
    match prefixes.iter().rposition(|hash| hash == found) {
        Some(there) if there >= acknowledged => Ok(()),
        Some(there) => Err(format!("invariant 23: {acknowledged} were acknowledged, {there} are there")),
        None => Err("invariant 23: something is there by half".to_owned()),
    }
}

/// 24: recovering again, also after a crash of recovery, comes to the same.
pub fn n24_recovery_is_idempotent(once: &str, again: &str) -> Result<(), String> {
    if once == again { Ok(()) } else { Err(format!("invariant 24: {once} became {again}")) }
}

/// The files but for the lock and what is shared in memory. The database before its log: what the log has counts.
fn image(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut files: Vec<_> = fs::read_dir(from).unwrap().map(|file| file.unwrap()).collect();
    files.sort_by_key(|file| file.file_name());
    for file in files {
        let name = file.file_name();
        if file.file_type().unwrap().is_dir() {
            image(&file.path(), &to.join(&name));
        } else if name != "lock" && !name.to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(&name)).unwrap();
        }
    }
}

/// Opens what is there and ends what was open; what the books come to then. An image of the middle goes to `midway`.
async fn recovered(folder: &Path, midway: Option<&Path>) -> String {
    let (settings, marks) = settings(folder);
    let journal = settings.journal.clone();
    let store = Store::open(settings).unwrap();
    let clock = ManualClock::at(START.after(std::time::Duration::from_secs(10_000_000)));
    if let Some(midway) = midway {
        let recovering = recover(&store, &marks, &journal, &*clock);
        tokio::pin!(recovering);
        for _ in 0..3 {
            if futures_util::poll!(&mut recovering).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        image(folder, midway);
        // Given up here: what it had asked for may still be written, as before a kill.
    } else {
        recover(&store, &marks, &journal, &*clock).await.unwrap();
        assert_eq!(store.open_holds().await.unwrap(), 0);
    }
    store.flushed().await.unwrap();
    let hash = store.state_hash().await.unwrap().hex();
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    store.close().await;
    hash
}

/// What a test may spoil.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoiled {
    Nothing,
    /// The files are older than the last acknowledgement.
    OldFiles,
    /// A command gets in between two recoveries.
    BetweenRecoveries,
}

/// Carries `acknowledged` commands out, has more under way, and takes the files as they are.
pub async fn crashed(world: &World, acknowledged: usize, spoiled: Spoiled) -> Result<(), String> {
    let folders = tempfile::tempdir().unwrap();
    let at = |name: &str| folders.path().join(name);
    let under_way = 12.min(world.log.len() - acknowledged);
    let mut memory = MemoryStore::default();
    let mut prefixes = vec![memory.state_hash().hex()];
    for said in &world.log[..acknowledged + under_way] {
        memory.submit(&said.command);
        prefixes.push(memory.state_hash().hex());
    }
    fs::create_dir(at("live")).unwrap();
    let store = Store::open(settings(&at("live")).0).unwrap();
    for chunk in world.log[..acknowledged].chunks(40) {
        let mut waiting = Vec::new();
        for said in chunk {
            waiting.push(store.slot().await.unwrap().send(said.command.clone().into()));
        }
        for waiting in waiting {
            // Refusals are acknowledgements too.
            let _ = waiting.committed().await;
        }
        if spoiled == Spoiled::OldFiles && !at("image").exists() {
            image(&at("live"), &at("image"));
        }
    }
    let mut waiting = Vec::new();
    for said in &world.log[acknowledged..acknowledged + under_way] {
        waiting.push(store.slot().await.unwrap().send(said.command.clone().into()));
    }
    if spoiled != Spoiled::OldFiles {
        image(&at("live"), &at("image"));
    }
    drop(waiting);
    store.close().await;

    image(&at("image"), &at("looked_at"));
    let store = Store::open(settings(&at("looked_at")).0).unwrap();
    let found = store.state_hash().await.unwrap().hex();
    store.close().await;
    n23_acknowledged_is_there(acknowledged, &prefixes, &found)?;

    image(&at("image"), &at("crashing"));
    recovered(&at("crashing"), Some(&at("midway"))).await;
    let once = recovered(&at("image"), None).await;
    if spoiled == Spoiled::BetweenRecoveries {
        let store = Store::open(settings(&at("image")).0).unwrap();
        let (said, stray) = (world.log[0].command.clone(), "stray".to_owned());
        let _ = store.submit(payments::ledger::Command { key: stray, ..said }).await;
        store.close().await;
    }
    n24_recovery_is_idempotent(&once, &recovered(&at("image"), None).await)?;
    n24_recovery_is_idempotent(&once, &recovered(&at("midway"), None).await)?;
    n24_recovery_is_idempotent(&once, &recovered(&at("crashing"), None).await)
}
