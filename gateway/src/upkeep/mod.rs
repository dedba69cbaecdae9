//! Upkeep: are providers there, and how much money have we with them?
//!
//! Asked in the background, never on the way of a call. What comes of it goes to `dispatch`'s health: a key whose account
//! is empty is parked before a call finds out, one that has money again is tried, and so is a target that rests after
//! failures when its provider answers.

mod balance;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use router_config::Provider;
use tokio_util::sync::CancellationToken;
use units::{Clock, Timestamp};

use self::balance::Balance;
use crate::{
    dispatch::{Parking, TargetHealth},
    plan::Snapshots,
    provider::Upstreams,
    telemetry::Metrics,
};

/// How often it is seen whether anything is due.
const TICK: Duration = Duration::from_secs(1);
/// How often a balance is asked for: sooner than a parked key is tried again, which a call would lose time with.
const BALANCE_EVERY: Duration = Duration::from_secs(30);

/// What upkeep works with.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// Which providers there are.
    pub snapshots: Snapshots,
    /// How they are reached.
    pub upstreams: Arc<ArcSwap<Upstreams>>,
    /// What is known of them.
    pub health: Arc<TargetHealth>,
    /// What is counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What is due when, and which accounts are known to be low.
#[derive(Debug, Default)]
struct Diary {
    balance: HashMap<String, Timestamp>,
    probe: HashMap<String, Timestamp>,
    low: HashSet<(String, usize)>,
}

impl Diary {
    /// Whether it is due by now; if so, it is next after `every`.
    fn due(of: &mut HashMap<String, Timestamp>, id: &str, every: Duration, now: Timestamp) -> bool {
        let due = of.get(id).is_none_or(|at| *at <= now);
        if due {
            of.insert(id.to_owned(), now.after(every));
        }
        due
    }
}

impl Upkeep {
    /// Goes on until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut diary = Diary::default();
        loop {
            let next = self.clock.now().after(TICK);
            let round = self.round(&mut diary);
            tokio::select! {
                () = stop.cancelled() => return,
                () = round => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    async fn round(&self, diary: &mut Diary) {
        let (table, now) = (Arc::clone(&self.snapshots.load().table), self.clock.now());
        let mut balances = Vec::new();
        let mut probes = Vec::new();
        for provider in table.providers.values() {
            let id = &provider.id;
            if provider.quirks.balance_path.is_some()
                && Diary::due(&mut diary.balance, id, BALANCE_EVERY, now)
            {
                let keys = 0..provider.api_keys.len().max(1);
                balances.extend(keys.map(|key| (provider, key)));
            }
            if let Some(every) = provider.probe_every
                && self.health.is_troubled(id)
                && Diary::due(&mut diary.probe, id, every, now)
            {
                probes.push(provider);
            }
        }
        let asking = join_all(balances.iter().map(|(provider, key)| self.balance(provider, *key)));
        let probing = join_all(probes.into_iter().map(|provider| self.probe(provider)));
        let (told, _) = futures_util::join!(asking, probing);
        for ((provider, key), told) in balances.iter().zip(told) {
            if let Some(balance) = told {
                self.heed(provider, *key, &balance, &mut diary.low);
            }
        }
    }

    /// What the provider says of the account of the key at this place; `None`, with a word in the log, where it says nothing
    /// that is understood.
    async fn balance(&self, provider: &Provider, key: usize) -> Option<Balance> {
        let upstream = self.upstreams.load().get(&provider.id).cloned()?;
        match upstream.balance(key).await {
            Ok(body) => {
                let balance = Balance::read(&body);
                if balance.is_none() {
                    tracing::warn!(provider = provider.id, "what it says of our balance is not understood");
                }
                balance
            }
            Err(fault) => {
                let message = fault.message;
                tracing::info!(provider = provider.id, message, "the balance could not be asked for");
                None
            }
        }
    }

    fn heed(&self, provider: &Provider, key: usize, balance: &Balance, low: &mut HashSet<(String, usize)>) {
        let (id, name) = (provider.id.as_str(), provider.api_keys.get(key).map(ToString::to_string));
        let name = name.unwrap_or_default();
        for (currency, micro) in &balance.left {
            // A float, as Prometheus has them; nothing is decided by it.
            let gauge = &self.metrics.upstream_balance;
            gauge.with_label_values(&[id, &name, currency]).set(*micro as f64 / 1e6);
        }
        if balance.is_available {
            self.health.try_key_now(id, key, Parking::OutOfFunds);
        } else if self.health.park(provider, key, Parking::OutOfFunds) {
            self.alarm(id, Parking::OutOfFunds.as_str());
            tracing::error!(provider = id, key = name, "an operator must act: our account there is empty");
        }
        let Some(alert) = provider.balance_alert_micro else { return };
        let at = (id.to_owned(), key);
        if !balance.is_below(alert) {
            low.remove(&at);
        } else if low.insert(at) {
            self.alarm(id, "balance_low");
            tracing::error!(provider = id, key = name, left = ?balance.left, "an operator must act: our balance is low");
        }
    }

    fn alarm(&self, provider: &str, reason: &str) {
        self.metrics.upstream_alarms_total.with_label_values(&[provider, reason]).inc();
    }

    async fn probe(&self, provider: &Provider) {
        let Some(upstream) = self.upstreams.load().get(&provider.id).cloned() else { return };
        match upstream.models(0).await {
            Ok(_) => {
                tracing::info!(
                    provider = provider.id,
                    "a provider answers: what rests after failures is tried"
                );
                self.health.try_targets_now(&provider.id);
            }
            Err(fault) => {
                let message = fault.message;
                tracing::info!(provider = provider.id, message, "a provider does not answer yet");
            }
        }
    }
}
