//! Does the merchant's address answer a HEAD? No source knows of such a handshake; some merchants believe in it, so it is
//! here as a switch.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::state::World;

/// Failures after which an address is told nothing any more.
const FAILURES_MAX: u32 = 3;
/// Addresses remembered.
const ADDRESSES_MAX: usize = 10_000;

/// How an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Shaken,
    Failed(u32),
}

/// All addresses that were asked.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    standings: Mutex<BTreeMap<String, Standing>>,
}

impl Handshakes {
    fn standings(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the controls.
    pub(crate) fn shown(&self) -> Value {
        let standings = self.standings();
        let shown = standings.iter().map(|(url, standing)| match standing {
            Standing::Shaken => json!({"url": url, "failures": 0, "blacklisted": false}),
            Standing::Failed(failures) => {
                json!({"url": url, "failures": failures, "blacklisted": *failures >= FAILURES_MAX})
            }
        });
        shown.collect()
    }

    /// The addresses that did not answer as they must, and how often.
    pub(crate) fn failed(&self) -> Vec<(String, u32)> {
        let standings = self.standings();
        let failed = standings.iter().filter_map(|(url, standing)| match standing {
            Standing::Shaken => None,
            Standing::Failed(failures) => Some((url.clone(), *failures)),
        });
        failed.collect()
    }

    /// Begins anew with every address.
    pub(crate) fn forget(&self) {
        self.standings().clear();
    }
}

/// Shakes hands with an address, if that is asked for and was not done.
///
/// # Errors
/// In words, why nothing is to be sent there now.
pub(super) async fn shake(world: &World, url: &str) -> Result<(), String> {
    if !world.wechat.switches().head_handshake {
        return Ok(());
    }
    let handshakes = &world.wechat.handshakes;
    let before = handshakes.standings().get(url).copied();
    let failures = match before {
        Some(Standing::Shaken) => return Ok(()),
        Some(Standing::Failed(FAILURES_MAX..)) => return Err("blacklisted after three handshakes".into()),
        Some(Standing::Failed(failures)) => failures,
        None => 0,
    };
    let answered = tokio::select! {
        answered = world.postman.head(url).send() => answered,
        () = world.stop.cancelled() => return Err("the simulator stops".into()),
    };
    let good = answered.is_ok_and(|answer| {
        let length = answer.headers().get(header::CONTENT_LENGTH);
        answer.status() == StatusCode::OK && length.is_none_or(|length| length == "0")
    });
    let standing = if good { Standing::Shaken } else { Standing::Failed(failures + 1) };
    let mut standings = handshakes.standings();
    if before.is_some() || standings.len() < ADDRESSES_MAX {
        standings.insert(url.to_owned(), standing);
    }
    if good { Ok(()) } else { Err("the HEAD handshake failed".into()) }
}
