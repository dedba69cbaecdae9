//! Shared: what do several nodes count together, and what do they do when they cannot?
//!
//! One script is one decision about all limits of a call, in one round trip. The time is Redis's own: the clocks of nodes
//! differ, and half a second of difference is a hundredth of a minute already. A call in flight is a lease that its
//! node renews; the leases of a node that died end by themselves. The keys hold ids and numbers, and all of them expire.
//!
//! No call waits for a Redis that does not answer: the first that had to sends all others to what this process knows by
//! itself, of which each node keeps its share, until the [`Worker`] finds Redis again.

mod metrics; // what is seen of it
mod worker; // what goes on beside the calls

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{RedisResult, Script};
use tokio::sync::mpsc;

pub use self::{metrics::LimitMetrics, worker::Worker};
use super::{claim::Claim, local::Refused};
use crate::{
    chat::{Kind, Standing},
    redis_link::{RedisLink, answered},
};

/// How long a lease lasts that nobody renews: what a node that died keeps from the others.
const LEASE: Duration = Duration::from_secs(30);
/// Ends that wait to be written. Beyond it they are lost: tokens then count for what was thought, and leases end by
/// themselves.
const ENDS_MAX: usize = 65_536;
/// Before every key. The braces keep all of them on one node of a cluster, so that one script may touch them.
const PREFIX: &str = "tollgate:{limits}";

/// The limits that several nodes count together.
#[derive(Clone)]
pub struct Shared(Arc<Room>);

struct Room {
    link: RedisLink,
    take: Script,
    /// How long a call waits for an answer.
    patience: Duration,
    /// This process, among the nodes.
    node: String,
    /// When it came back, in the room's own time; 0 where it was never away.
    back_at: AtomicU64,
    was_away: AtomicBool,
    /// How many nodes there were when it was last known.
    nodes: AtomicU32,
    leases: Mutex<HashMap<u64, Vec<String>>>,
    next_lease: AtomicU64,
    ends: mpsc::Sender<Vec<End>>,
    metrics: LimitMetrics,
}

/// What one claim comes to in Redis when it ends.
#[derive(Debug)]
struct End {
    key: String,
    kind: &'static str,
    /// Of a lease its name, of a minute its slot.
    name: String,
    taken: u64,
    used: u64,
}

/// What was taken in Redis, or would have been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    number: u64,
    /// The slot its minutes were taken in; `None` where they were counted here alone.
    slot: Option<u64>,
}

/// It does not answer, or not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Counts in the Redis at `url`, which is not asked yet. A call waits for it no longer than `patience`. The worker has
    /// to run beside it.
    ///
    /// # Errors
    /// If `url` is none.
    pub fn open(url: &str, patience: Duration, metrics: LimitMetrics) -> RedisResult<(Self, Worker)> {
        let (ends, queue) = mpsc::channel(ENDS_MAX);
        let room = Room {
            link: RedisLink::open(url)?,
            take: Script::new(include_str!("take.lua")),
            patience,
            node: format!("{:016x}", fastrand::u64(..)),
            back_at: AtomicU64::new(0),
            was_away: AtomicBool::new(false),
            nodes: AtomicU32::new(1),
            leases: Mutex::default(),
            next_lease: AtomicU64::new(0),
            ends,
            metrics,
        };
        let shared = Self(Arc::new(room));
        Ok((shared.clone(), Worker::new(shared, queue)))
    }

    /// Whether it is asked.
    pub fn is_up(&self) -> bool {
        self.0.link.is_up()
    }

    /// How many nodes there were when it was last known, this one included.
    pub fn nodes(&self) -> u32 {
        self.0.nodes.load(Ordering::Acquire).max(1)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<u64, Vec<String>>> {
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it came back at `now`, if it was away within the last minute: what was let through meanwhile is not known to it.
    pub(super) fn is_new_to_the_last_minute(&self, now: u64) -> bool {
        if self.0.was_away.swap(false, Ordering::AcqRel) {
            self.0.back_at.store(now.max(1), Ordering::Release);
        }
        let back_at = self.0.back_at.load(Ordering::Acquire);
        back_at > 0 && now < back_at.saturating_add((super::minute::SLOTS + 1) * super::minute::SLOT_MS)
    }

    /// Takes all claims or none.
    pub(super) async fn take(
        &self,
        claims: &[Claim],
    ) -> Result<Result<(Vec<Standing>, Lease), Refused>, Away> {
        let room = &*self.0;
        let number = room.next_lease.fetch_add(1, Ordering::Relaxed);
        let mut asked = room.take.prepare_invoke();
        asked.arg(self.lease_name(number)).arg(millis(LEASE));
        for claim in claims {
            let kind = if claim.kind() == Kind::Concurrency { "c" } else { "m" };
            asked.key(key(claim)).arg(kind).arg(claim.limit).arg(claim.capped(claim.limit));
        }
        let mut redis = room.link.connection();
        let said = answered(room.patience, asked.invoke_async::<Vec<i64>>(&mut redis)).await;
        let said = said.map_err(|why| self.lost(&why.to_string()))?;
        let Some((granted, slot, each)) = read(&said, claims) else {
            return Err(self.lost("not what a script of ours answers"));
        };
        if granted {
            self.register(number, claims);
            let standings = each.iter().map(|(standing, _)| *standing).collect();
            return Ok(Ok((standings, Lease { number, slot: Some(slot) })));
        }
        let refused = each.iter().enumerate().filter_map(|(claim, (standing, wait))| {
            Some(Refused { claim, standing: *standing, wait: (*wait)? })
        });
        // One that waits longest; nobody refuses without a reason.
        refused
            .max_by_key(|refused| refused.wait)
            .map(Err)
            .ok_or_else(|| self.lost("a refusal without a reason"))
    }

    /// A lease on what was counted here alone, for when it is there again.
    pub(super) fn without(&self, claims: &[Claim]) -> Lease {
        self.0.metrics.counted_alone();
        let number = self.0.next_lease.fetch_add(1, Ordering::Relaxed);
        self.register(number, claims);
        Lease { number, slot: None }
    }

    /// Only calls in flight are renewed.
    fn register(&self, number: u64, claims: &[Claim]) {
        let keys: Vec<String> = (claims.iter())
            .filter(|claim| claim.kind() == Kind::Concurrency && claim.amount > 0)
            .map(key)
            .collect();
        if !keys.is_empty() {
            self.leases().insert(number, keys);
        }
    }

    /// Ends what was taken; `used` says of each how much of it was.
    pub(super) fn end(&self, lease: Lease, taken: &[Claim], used: impl Fn(&Claim) -> u64) {
        self.leases().remove(&lease.number);
        let ends: Vec<End> =
            taken.iter().filter_map(|claim| self.end_of(lease, claim, used(claim))).collect();
        if !ends.is_empty() && self.0.ends.try_send(ends).is_err() {
            self.0.metrics.end_lost();
        }
    }

    fn end_of(&self, lease: Lease, claim: &Claim, used: u64) -> Option<End> {
        let (key, taken) = (key(claim), claim.amount);
        if claim.kind() == Kind::Concurrency {
            return Some(End { key, kind: "c", name: self.lease_name(lease.number), taken, used: 0 });
        }
        let slot = lease.slot.filter(|_| taken != used)?;
        Some(End { key, kind: "m", name: slot.to_string(), taken, used })
    }

    fn lease_name(&self, number: u64) -> String {
        format!("{}:{number}", self.0.node)
    }

    fn lost(&self, why: &str) -> Away {
        if self.0.link.lost() {
            self.0.metrics.is_up(false);
            tracing::warn!(why, nodes = self.nodes(), "limits: Redis is away; each node keeps its share");
        }
        Away
    }

    fn found(&self, nodes: u32) {
        self.0.nodes.store(nodes, Ordering::Release);
        if !self.is_up() {
            self.0.was_away.store(self.0.metrics.is_known(), Ordering::Release);
            self.0.metrics.is_up(true);
            self.0.link.found();
            tracing::info!(nodes, "limits: counted together in Redis");
        }
    }
}

/// Where the count of a limit stands.
fn key(claim: &Claim) -> String {
    let (subject, kind) = &claim.whose;
    format!("{PREFIX}:{}:{subject}:{}", subject.scope().as_str(), kind.as_str())
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

/// A standing, and how long to wait where it refuses.
type Said = (Standing, Option<Duration>);

/// Whether it was granted, the slot, and what is said of each claim.
fn read(said: &[i64], claims: &[Claim]) -> Option<(bool, u64, Vec<Said>)> {
    let (&[granted, slot], each) = said.split_first_chunk()?;
    if each.len() != claims.len() * 3 {
        return None;
    }
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    let each = claims.iter().zip(each.as_chunks().0).map(|(claim, &[remaining, reset, wait])| {
        let reset = Duration::from_millis(whole(reset));
        let standing = Standing { limit: claim.limit, remaining: whole(remaining), reset };
        (standing, u64::try_from(wait).ok().map(Duration::from_millis))
    });
    Some((granted == 1, whole(slot), each.collect()))
}
