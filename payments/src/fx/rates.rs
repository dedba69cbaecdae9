//! What is known of each pair, and asking anew.

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use units::{Clock, Timestamp};

use super::source::{FxSource, Said, ask};
use crate::{
    ledger::{AcceptedRate, Actor, Body, Command, FxPair, FxRate, Reply, is_near},
    store::{Store, SubmitError},
    transport::Transport,
};

/// After a failure nobody is asked for this long: a source that is down is not made worse.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// A rate is asked for again up to a tenth of the cache's time late, so that many processes do not ask at once.
const JITTER_PARTS: u32 = 10;

/// A currency pair such as `USD/CNY`.
pub type Pair = String;

/// What [`RateLog::write`] gives back.
pub type Writing<'a> = Pin<Box<dyn Future<Output = Result<Reply, SubmitError>> + Send + 'a>>;

/// Where rates are written down before they are used.
pub trait RateLog: Send + Sync + std::fmt::Debug {
    /// Carries out a command and waits until it is durable.
    fn write(&self, command: Command) -> Writing<'_>;
}

impl RateLog for Store {
    fn write(&self, command: Command) -> Writing<'_> {
        Box::pin(self.submit(command))
    }
}

/// Why there is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FxError {
    /// Nobody is configured to say.
    #[error("no FX source for {0}, and no rate is pinned")]
    NoSource(Pair),
    /// Nobody answered well.
    #[error("no rate for {pair}: {reason}")]
    Unavailable {
        /// Which pair.
        pair: Pair,
        /// What went wrong last.
        reason: String,
    },
    /// What is known is too old.
    #[error("the last rate for {pair}, {id}, is {} minutes old: {reason}", .age.as_secs() / 60)]
    Stale {
        /// Which pair.
        pair: Pair,
        /// Which row.
        id: String,
        /// How old it is.
        age: Duration,
        /// What went wrong last.
        reason: String,
    },
}

/// A rate that may be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxNow {
    /// The row.
    pub rate: FxRate,
    /// Until when, if nothing newer comes; `None` for a pinned one without an end.
    pub good_until: Option<Timestamp>,
}

/// How rates are kept.
#[derive(Debug, Clone)]
pub struct FxSettings {
    /// Who is asked, in order, by pair.
    pub sources: HashMap<Pair, Vec<FxSource>>,
    /// How long a rate is used before it is asked for again.
    pub cache: Duration,
    /// How old a rate may grow when nobody answers.
    pub max_stale: Duration,
    /// How long one source may take.
    pub patience: Duration,
}

/// The rates.
#[derive(Debug, Clone)]
pub struct Fx {
    settings: Arc<FxSettings>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    log: Arc<dyn RateLog>,
    pairs: Arc<Mutex<HashMap<Pair, State>>>,
    jitter: RandomState,
}

#[derive(Debug)]
struct State {
    known: FxPair,
    /// When asking failed last, and why.
    failed: Option<(Timestamp, String)>,
    /// By source: a rate too far from the last accepted one, and since when it is said.
    doubted: HashMap<String, (i64, Timestamp)>,
    /// One asks at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl State {
    fn of(pair: &str) -> Self {
        let known = FxPair::unknown(pair.to_owned());
        Self { known, failed: None, doubted: HashMap::new(), turn: Arc::default() }
    }
}

impl Fx {
    /// Asks nobody yet.
    pub fn new(
        settings: FxSettings,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        log: Arc<dyn RateLog>,
    ) -> Self {
        let (settings, pairs) = (Arc::new(settings), Arc::default());
        Self { settings, transport, clock, log, pairs, jitter: RandomState::new() }
    }

    /// Takes over what the ledger knows: after a restart, a pin, or another process's answer.
    pub fn learn(&self, row: FxPair) {
        let mut pairs = self.pairs();
        let state = pairs.entry(row.pair.clone()).or_insert_with_key(|pair| State::of(pair));
        let number = |pair: &FxPair| pair.accepted.as_ref().map_or(0, |rate| rate.number);
        let accepted =
            if number(&row) >= number(&state.known) { row.accepted } else { state.known.accepted.take() };
        state.known = FxPair { accepted, ..row };
    }

    /// Every pair that is configured, or of which something is known.
    pub fn pairs_known(&self) -> Vec<Pair> {
        let known = self.pairs();
        let all: std::collections::BTreeSet<&Pair> =
            self.settings.sources.keys().chain(known.keys()).collect();
        all.into_iter().cloned().collect()
    }

    /// What is known of a pair, and what went wrong when it was last asked for.
    pub fn known(&self, pair: &str) -> (FxPair, Option<String>) {
        let pairs = self.pairs();
        let unknown = || (FxPair::unknown(pair.to_owned()), None);
        pairs.get(pair).map_or_else(unknown, |state| {
            (state.known.clone(), state.failed.as_ref().map(|(_, reason)| reason.clone()))
        })
    }

    /// The rate that may be used now: pinned, or accepted and not too old. Never waits.
    ///
    /// # Errors
    /// [`FxError`] if there is none.
    pub fn now(&self, pair: &str) -> Result<FxNow, FxError> {
        let FxNow { rate, good_until } = self.latest(pair)?;
        let now = self.clock.now();
        if !rate.pinned && good_until.is_some_and(|until| now > until) {
            let reason = self.known(pair).1.unwrap_or_default();
            let (pair, age) = (pair.to_owned(), now.since(rate.fetched_at));
            return Err(FxError::Stale { pair, id: rate.id, age, reason });
        }
        Ok(FxNow { rate, good_until })
    }

    /// The rate that counts, and until when it may be used, which may be over. Never waits.
    ///
    /// # Errors
    /// [`FxError`] if nothing is known.
    pub fn latest(&self, pair: &str) -> Result<FxNow, FxError> {
        let (known, failed) = self.known(pair);
        if let Some(rate) = known.pinned_at(self.clock.now()) {
            return Ok(FxNow { rate: rate.clone(), good_until: rate.until });
        }
        let reason = failed.unwrap_or_else(|| "nobody was asked yet".to_owned());
        let pair = pair.to_owned();
        let Some(rate) = known.accepted else {
            let asked = self.settings.sources.get(&pair).is_some_and(|sources| !sources.is_empty());
            return Err(if asked { FxError::Unavailable { pair, reason } } else { FxError::NoSource(pair) });
        };
        let good_until = Some(rate.fetched_at.after(self.settings.max_stale));
        Ok(FxNow { rate, good_until })
    }

    /// Asks the sources if it is time to, one caller at a time; whoever comes second finds the answer of the first. A
    /// failure counts for half a minute. While a rate is pinned nobody is asked.
    pub async fn refresh(&self, pair: &str) {
        let turn = {
            let mut pairs = self.pairs();
            pairs.entry(pair.to_owned()).or_insert_with_key(|pair| State::of(pair)).turn.clone()
        };
        let _turn = turn.lock().await;
        if !self.is_due(pair) {
            return;
        }
        let fetched = self.fetch(pair).await;
        let now = self.clock.now();
        let mut pairs = self.pairs();
        let Some(state) = pairs.get_mut(pair) else { return };
        match fetched {
            Ok(rate) => {
                state.failed = None;
                state.doubted.clear();
                state.known.rates = state.known.rates.max(rate.number);
                state.known.accepted = Some(rate);
            }
            Err(reason) => {
                tracing::warn!(pair, reason, "no FX rate was accepted");
                state.failed = Some((now, reason));
            }
        }
    }

    /// The rate that may be used now, after asking for it if that is due.
    ///
    /// # Errors
    /// [`FxError`] if there is none.
    pub async fn refreshed(&self, pair: &str) -> Result<FxNow, FxError> {
        self.refresh(pair).await;
        self.now(pair)
    }

    fn pairs(&self) -> MutexGuard<'_, HashMap<Pair, State>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, pair: &str) -> bool {
        let now = self.clock.now();
        let pairs = self.pairs();
        let Some(state) = pairs.get(pair) else { return true };
        if state.known.pinned_at(now).is_some() {
            return false;
        }
        if state.failed.as_ref().is_some_and(|(at, _)| now.since(*at) < RETRY_AFTER) {
            return false;
        }
        state.known.accepted.as_ref().is_none_or(|rate| {
            let most = u64::try_from((self.settings.cache / JITTER_PARTS).as_millis()).unwrap_or(0);
            let late = self.jitter.hash_one((pair, rate.number)) % (most + 1);
            now.since(rate.fetched_at) >= self.settings.cache + Duration::from_millis(late)
        })
    }

    async fn fetch(&self, pair: &str) -> Result<FxRate, String> {
        let sources = self.settings.sources.get(pair).filter(|sources| !sources.is_empty());
        let sources = sources.ok_or("no source is configured")?;
        let last = self.known(pair).0.accepted;
        let mut reasons = Vec::new();
        let mut said: Vec<(&str, i64)> = Vec::new();
        for source in sources {
            let fetched_at = self.clock.now();
            let patience = self.settings.patience;
            let Said { rate_micro, observed_at } = match ask(source, &*self.transport, &*self.clock, patience)
                .await
            {
                Ok(said) => said,
                Err(error) => {
                    tracing::warn!(pair, source = source.name, %error, "an FX source did not answer well");
                    reasons.push(format!("{}: {error}", source.name));
                    continue;
                }
            };
            // The first rate of all has nothing to be laid against but a second word, where somebody could give one.
            let plausible =
                last.as_ref().map_or(sources.len() == 1, |last| is_near(last.rate_micro, rate_micro));
            let agreeing = said.iter().find(|(_, other)| is_near(*other, rate_micro));
            let confirmed_by = match agreeing {
                _ if plausible => None,
                Some((name, _)) => Some((*name).to_owned()),
                None => self.stays(pair, source, rate_micro).then(|| "a second reading".to_owned()),
            };
            if plausible || confirmed_by.is_some() {
                let rate = AcceptedRate {
                    pair: pair.to_owned(),
                    rate_micro,
                    source: source.name.clone(),
                    observed_at,
                    fetched_at,
                    confirmed_by,
                };
                return self.write_down(rate).await;
            }
            reasons.push(match &last {
                Some(last) => format!(
                    "{}: {rate_micro} millionths is more than 3 % off {}, and nobody confirms it",
                    source.name, last.id
                ),
                None => format!("{}: {rate_micro} millionths, and nobody confirms it", source.name),
            });
            said.push((&source.name, rate_micro));
        }
        Err(reasons.join("; "))
    }

    /// A rate that jumped is believed once its source has said it for as long as a rate is kept: nobody else may be
    /// there to confirm it.
    fn stays(&self, pair: &str, source: &FxSource, rate_micro: i64) -> bool {
        let now = self.clock.now();
        let mut pairs = self.pairs();
        let Some(state) = pairs.get_mut(pair) else { return false };
        match state.doubted.get(&source.name) {
            Some(&(seen, since)) if is_near(seen, rate_micro) => now.since(since) >= self.settings.cache,
            _ => {
                state.doubted.insert(source.name.clone(), (rate_micro, now));
                false
            }
        }
    }

    async fn write_down(&self, rate: AcceptedRate) -> Result<FxRate, String> {
        let command = Command {
            key: format!("fx:{}:{}", rate.pair, rate.fetched_at.0),
            actor: Actor::system("fx"),
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::AcceptRate(rate),
        };
        match self.log.write(command).await {
            Ok(Reply::FxRate(rate)) => Ok(*rate),
            Ok(_) => Err("the ledger gave another answer".to_owned()),
            Err(error) => Err(format!("the ledger did not take it: {error}")),
        }
    }
}
