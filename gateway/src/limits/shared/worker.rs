//! What goes on beside the calls: ends are written, leases renewed, and a Redis that was away is looked for.

use std::time::Duration;

use redis::Script;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{End, LEASE, PREFIX, Shared, millis};
use crate::redis_link::{PATIENCE, Unanswered, answered};

/// Between two renewals; several may fail before a lease ends.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long a node counts as one that says nothing.
const NODE: Duration = Duration::from_secs(15);
/// Ends of calls that are written together.
const ENDS_AT_ONCE: usize = 64;
/// Leases that are renewed together: scripts are short, so that calls do not wait for them.
const LEASES_AT_ONCE: usize = 500;

/// Has to run for as long as calls are counted; ends what it was told of before it stops.
#[derive(Debug)]
pub struct Worker {
    shared: Shared,
    ends: mpsc::Receiver<Vec<End>>,
    end: Script,
    renew: Script,
}

impl Worker {
    pub(super) fn new(shared: Shared, ends: mpsc::Receiver<Vec<End>>) -> Self {
        let (end, renew) = (Script::new(include_str!("end.lua")), Script::new(include_str!("renew.lua")));
        Self { shared, ends, end, renew }
    }

    /// Looks for Redis once: so that the first call finds it, where it is there.
    pub async fn begin(&mut self) {
        self.look().await;
        if !self.shared.is_up() {
            self.shared.0.metrics.is_up(false);
        }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut batch, mut next) = (Vec::new(), Instant::now());
        loop {
            // One after the other: a lease that has ended is never renewed after its end was written.
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next) => {
                    self.look().await;
                    next = self.shared.0.link.next_look(RENEW_EVERY);
                }
                () = self.shared.0.link.until_lost() => next = self.shared.0.link.next_look(RENEW_EVERY),
                _ = self.ends.recv_many(&mut batch, ENDS_AT_ONCE) => self.write(&mut batch).await,
            }
        }
        while let Ok(end) = self.ends.try_recv() {
            batch.push(end);
            if batch.len() == ENDS_AT_ONCE {
                self.write(&mut batch).await;
            }
        }
        self.write(&mut batch).await;
        let mut redis = self.shared.0.link.connection();
        let gone = redis::cmd("ZREM").arg(nodes_key()).arg(&self.shared.0.node).to_owned();
        let _ = answered(PATIENCE, gone.query_async::<i64>(&mut redis)).await;
    }

    /// Says that this node is there, and renews what it has in flight.
    async fn look(&mut self) {
        match self.renewed().await {
            Ok(nodes) => self.shared.found(nodes),
            Err(why) => {
                self.shared.lost(&why.to_string());
            }
        }
    }

    async fn renewed(&self) -> Result<u32, Unanswered> {
        let room = &*self.shared.0;
        let leases: Vec<(String, String)> = (self.shared.leases().iter())
            .flat_map(|(number, keys)| keys.iter().map(|key| (key.clone(), self.shared.lease_name(*number))))
            .collect();
        let mut nodes = 1;
        // At least once, to say that this node is there.
        let chunks = leases.chunks(LEASES_AT_ONCE).chain(leases.is_empty().then_some(&leases[..]));
        for chunk in chunks {
            let mut asked = self.renew.prepare_invoke();
            asked.key(nodes_key()).arg(&room.node).arg(millis(NODE)).arg(millis(LEASE));
            for (key, name) in chunk {
                asked.key(key).arg(name);
            }
            let mut redis = room.link.connection();
            nodes = answered(PATIENCE, asked.invoke_async::<u32>(&mut redis)).await?;
        }
        Ok(nodes)
    }

    /// Writes how calls ended. While Redis is away there is nothing to put right: what it knew is gone, or will be soon.
    async fn write(&mut self, batch: &mut Vec<Vec<End>>) {
        let ends: Vec<End> = batch.drain(..).flatten().collect();
        if ends.is_empty() || !self.shared.is_up() {
            return;
        }
        let mut asked = self.end.prepare_invoke();
        for End { key, kind, name, taken, used } in &ends {
            asked.key(key).arg(kind).arg(name).arg(taken).arg(used);
        }
        let mut redis = self.shared.0.link.connection();
        if let Err(why) = answered(PATIENCE, asked.invoke_async::<i64>(&mut redis)).await {
            self.shared.lost(&why.to_string());
        }
    }
}

fn nodes_key() -> String {
    format!("{PREFIX}:nodes")
}
