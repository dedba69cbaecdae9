//! Cache: has this very call been answered already?
//!
//! Keeps whole answers of routes that allow it, and gives them again to the account that paid for them. Knows calls, plans and
//! the chunks of answers, and nothing of money: the meter asks here before it asks upstream, and charges what is given by the
//! route's own rule. Where answers are kept is behind [`Shelf`]: in this process, and where several nodes share them, in a
//! Redis behind it.

mod entry;
mod key;
mod local;
mod metrics;
mod recording;
mod repeatable;
mod seal;
mod shared;
mod written;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use units::Clock;

pub(crate) use self::written::read_and_read_again;
pub use self::{
    entry::Entry,
    key::{CacheKey, CacheSecret},
    local::LocalShelf,
    metrics::CacheMetrics,
    recording::Recording,
    shared::{SharedCacheMetrics, SharedShelf, Worker},
};
use crate::{
    chat::{CacheWish, Call},
    plan::Planned,
};

/// A boxed future that may be sent between threads.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where answers are kept. What it does not have, or cannot say, is not there: nothing depends on it.
pub trait Shelf: Send + Sync + std::fmt::Debug {
    /// Its name in metrics.
    fn place(&self) -> &'static str;

    /// What is kept under a key, be it out of date.
    fn get(&self, key: CacheKey) -> Later<'_, Option<Arc<Entry>>>;

    /// Keeps an answer for about so long. Never waits.
    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration);
}

/// How much the clocks of two nodes may differ: what is from further ahead was not given yet.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);

/// What is known of a call before anybody is asked.
#[derive(Debug)]
pub enum Recall {
    /// Its route keeps nothing, and the caller said nothing of it.
    Off,
    /// Nothing is kept of this call.
    Bypass,
    /// It was not answered yet, or too long ago: the answer may be kept here.
    Miss(Place),
    /// It was answered.
    Hit(Arc<Entry>),
}

/// What an answer says of it: `x-tollgate-cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSaid {
    /// It was answered before.
    Hit,
    /// It was not, and may be kept now.
    Miss,
    /// Nothing is kept of such a call.
    Bypass,
}

impl CacheSaid {
    /// Its word in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl Recall {
    /// What the answer says of it; nothing where the route has no cache and nobody asked.
    pub const fn said(&self) -> Option<CacheSaid> {
        match self {
            Self::Off => None,
            Self::Bypass => Some(CacheSaid::Bypass),
            Self::Miss(_) => Some(CacheSaid::Miss),
            Self::Hit(_) => Some(CacheSaid::Hit),
        }
    }
}

/// Where an answer would be kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    key: CacheKey,
    ttl: Duration,
}

/// Looks calls up, and keeps what they were answered.
#[derive(Debug, Clone)]
pub struct Cache {
    shelves: Arc<[Arc<dyn Shelf>]>,
    secret: CacheSecret,
    clock: Arc<dyn Clock>,
    entry_bytes_max: usize,
    metrics: CacheMetrics,
}

impl Cache {
    /// Keeps answers of at most `entry_bytes_max` bytes on `shelves`, the nearest first, under keys that only who has `secret`
    /// can make.
    pub fn new(
        shelves: Vec<Arc<dyn Shelf>>,
        secret: CacheSecret,
        clock: Arc<dyn Clock>,
        entry_bytes_max: u64,
        metrics: CacheMetrics,
    ) -> Self {
        let entry_bytes_max = usize::try_from(entry_bytes_max).unwrap_or(usize::MAX);
        Self { shelves: shelves.into(), secret, clock, entry_bytes_max, metrics }
    }

    /// Looks a planned call up.
    pub async fn recall(&self, planned: &Planned) -> Recall {
        let recall = self.look_up(planned).await;
        if let Some(said) = recall.said() {
            self.metrics.count(&planned.route.model.id, said);
        }
        recall
    }

    async fn look_up(&self, planned: &Planned) -> Recall {
        let call = &planned.call;
        let Some(rule) = planned.route.cache else {
            return if call.wishes.cache.is_some() { Recall::Bypass } else { Recall::Off };
        };
        if !may_be_kept(call, rule.any) {
            return Recall::Bypass;
        }
        let Some(key) = self.secret.key(planned) else { return Recall::Bypass };
        match self.find(key, rule.ttl, call.stream).await {
            Some(entry) => Recall::Hit(entry),
            None => Recall::Miss(Place { key, ttl: rule.ttl }),
        }
    }

    /// Looks on one shelf after the other, and lays what it finds on those that stand before it.
    async fn find(&self, key: CacheKey, ttl: Duration, streams: bool) -> Option<Arc<Entry>> {
        let now = self.clock.now();
        // The rule of this moment counts, not that of the moment in which it was kept.
        let is_good = |entry: &Arc<Entry>| {
            now.since(entry.at) < ttl && entry.at.since(now) <= CLOCKS_APART_MAX && entry.streams == streams
        };
        for (nearer, shelf) in self.shelves.iter().enumerate() {
            let Some(entry) = shelf.get(key).await.filter(is_good) else { continue };
            let rest = ttl.saturating_sub(now.since(entry.at));
            self.shelves.iter().take(nearer).for_each(|shelf| shelf.put(key, Arc::clone(&entry), rest));
            self.metrics.found(Some(shelf.place()));
            return Some(entry);
        }
        self.metrics.found(None);
        None
    }

    fn keep(&self, place: Place, entry: Entry) {
        let entry = Arc::new(entry);
        self.shelves.iter().for_each(|shelf| shelf.put(place.key, Arc::clone(&entry), place.ttl));
    }

    /// Begins to note an answer that may be kept.
    pub fn record(&self, place: Place, streams: bool) -> Recording {
        Recording::new(self.clone(), place, streams)
    }
}

fn may_be_kept(call: &Call, any: bool) -> bool {
    match call.wishes.cache {
        Some(CacheWish::Skip) => false,
        Some(CacheWish::Use) => true,
        None => any || repeatable::is_repeatable(call),
    }
}
