//! FX: what is a foreign currency worth in yuan now, and who says so?
//!
//! A rate comes from a configured HTTP source (or is pinned by the operator), is kept five minutes, and is used for a
//! bounded time beyond that when the source is silent. There is no default rate: without one, prices in that currency
//! are unavailable. Touches `units` and a [`Transport`] it is given.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use moka::ops::compute::Op;
#[expect(
    clippy::disallowed_types,
    reason = "a rate is a decimal on the wire; it leaves this room as an integer"
)]
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use units::{Clock, Timestamp};

use crate::transport::Transport;

/// How far a new rate may lie from the last accepted one without being confirmed, in thousandths.
const JUMP_PER_MILLE: i128 = 30;

/// Where a rate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxSource {
    /// What people call it.
    pub name: String,
    /// Answers JSON to a GET.
    pub url: String,
    /// JSON pointer to the rate: a number, or a decimal string.
    pub pointer: String,
}

/// A currency pair such as `USD/CNY`.
pub type Pair = String;

/// One accepted rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxRate {
    /// What a quote refers to it by: pair, figure and source.
    pub id: String,
    /// Which pair.
    pub pair: Pair,
    /// Yuan per unit, in millionths.
    pub micro: i64,
    /// Who says so.
    pub source: String,
    /// When it was asked for.
    pub fetched_at: Timestamp,
}

/// Why there is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FxError {
    /// Nobody is configured to say.
    #[error("no FX source for {0}")]
    NoSource(Pair),
    /// Nobody answered well, and what is known is too old.
    #[error("no fresh rate for {pair}: {reason}")]
    Unavailable {
        /// Which pair.
        pair: Pair,
        /// What went wrong last.
        reason: String,
    },
}

/// How rates are kept.
#[derive(Debug, Clone)]
pub struct FxSettings {
    /// Who is asked, in order, by pair.
    pub sources: HashMap<Pair, Vec<FxSource>>,
    /// Rates the operator fixed, in millionths: they count before any source.
    pub pinned: HashMap<Pair, i64>,
    /// How long a rate is used before it is asked for again.
    pub cache: Duration,
    /// How old a rate may grow when nobody answers.
    pub max_stale: Duration,
}

/// The rates.
#[derive(Debug, Clone)]
pub struct Fx {
    settings: Arc<FxSettings>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// One question at a time per pair; an answer counts for [`FxSettings::cache`].
    fresh: moka::future::Cache<Pair, Arc<FxRate>>,
    accepted: Arc<Mutex<HashMap<Pair, Arc<FxRate>>>>,
    /// Rates too far from the last accepted one: which, and since when they are seen.
    doubted: Arc<Mutex<HashMap<Pair, (i64, Timestamp)>>>,
}

impl Fx {
    /// Asks nobody yet.
    pub fn new(settings: FxSettings, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        let fresh = moka::future::Cache::builder().max_capacity(64).time_to_live(settings.cache).build();
        Self {
            settings: Arc::new(settings),
            transport,
            clock,
            fresh,
            accepted: Arc::default(),
            doubted: Arc::default(),
        }
    }

    /// The pair's rate: pinned, kept, asked for, or the last accepted one while it is not too old.
    ///
    /// # Errors
    /// [`FxError`] if there is none.
    pub async fn rate(&self, pair: &str) -> Result<Arc<FxRate>, FxError> {
        if let Some(&micro) = self.settings.pinned.get(pair) {
            return Ok(Arc::new(self.row(pair, micro, "pinned")));
        }
        // The cache counts in the machine's time; what counts for us is our clock, which may be moved.
        let old = |kept: &Arc<FxRate>| self.clock.now().since(kept.fetched_at) >= self.settings.cache;
        let forget_old = |entry: Option<moka::Entry<Pair, Arc<FxRate>>>| {
            let old = entry.is_some_and(|entry| old(entry.value()));
            std::future::ready(if old { Op::Remove } else { Op::Nop })
        };
        self.fresh.entry_by_ref(pair).and_compute_with(forget_old).await;
        let fetched = self.fresh.try_get_with(pair.to_owned(), self.fetch(pair)).await;
        fetched.or_else(|error| {
            let last = self
                .last(pair)
                .filter(|rate| self.clock.now().since(rate.fetched_at) <= self.settings.max_stale);
            last.ok_or_else(|| (*error).clone())
        })
    }

    /// The last accepted rate, however old.
    pub fn last(&self, pair: &str) -> Option<Arc<FxRate>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(pair).cloned()
    }

    fn row(&self, pair: &str, micro: i64, source: &str) -> FxRate {
        FxRate {
            id: format!("{pair}={}.{:06}@{source}", micro / 1_000_000, micro % 1_000_000),
            pair: pair.to_owned(),
            micro,
            source: source.to_owned(),
            fetched_at: self.clock.now(),
        }
    }

    async fn fetch(&self, pair: &str) -> Result<Arc<FxRate>, FxError> {
        let sources = self.settings.sources.get(pair).filter(|sources| !sources.is_empty());
        let sources = sources.ok_or_else(|| FxError::NoSource(pair.to_owned()))?;
        let mut reason = String::new();
        let mut unconfirmed: Option<i64> = None;
        for source in sources {
            let micro = match self.ask(source).await {
                Ok(micro) => micro,
                Err(error) => {
                    tracing::warn!(pair, source = source.name, %error, "an FX source did not answer well");
                    reason = format!("{}: {error}", source.name);
                    continue;
                }
            };
            let plausible = self.last(pair).is_none_or(|last| near(last.micro, micro));
            let confirmed = unconfirmed.is_some_and(|other| near(other, micro));
            if plausible || confirmed || self.stays(pair, micro) {
                self.doubted.lock().unwrap_or_else(PoisonError::into_inner).remove(pair);
                let rate = Arc::new(self.row(pair, micro, &source.name));
                self.accepted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(pair.to_owned(), rate.clone());
                return Ok(rate);
            }
            reason =
                format!("{}: {micro} millionths is more than 3 % off, and nobody confirms it", source.name);
            unconfirmed = Some(micro);
        }
        Err(FxError::Unavailable { pair: pair.to_owned(), reason })
    }

    /// A rate that jumped is believed once it has stayed where it is for as long as a rate is kept: nobody else may
    /// be there to confirm it.
    fn stays(&self, pair: &str, micro: i64) -> bool {
        let now = self.clock.now();
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        match doubted.get(pair) {
            Some(&(seen, since)) if near(seen, micro) => now.since(since) >= self.settings.cache,
            _ => {
                doubted.insert(pair.to_owned(), (micro, now));
                false
            }
        }
    }

    async fn ask(&self, source: &FxSource) -> Result<i64, String> {
        let request = http::Request::get(&source.url).header(http::header::ACCEPT, "application/json");
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.transport.send(request).await.map_err(|error| error.to_string())?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("HTTP {}", answer.status().as_u16()));
        }
        let body: serde_json::Value =
            serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        let figure = body.pointer(&source.pointer).ok_or_else(|| format!("nothing at {}", source.pointer))?;
        let text = match figure {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(format!("{} is not a number", source.pointer)),
        };
        parse_micro(&text).ok_or_else(|| format!("{text:?} is not a rate"))
    }
}

/// A positive decimal, rounded half up to millionths.
#[expect(clippy::disallowed_types, reason = "a rate is a decimal on the wire")]
pub fn parse_micro(text: &str) -> Option<i64> {
    let rate: Decimal = text.parse().ok()?;
    let micro = rate
        .checked_mul(Decimal::from(1_000_000))?
        .round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    micro.to_i64().filter(|micro| *micro > 0)
}

fn near(last: i64, new: i64) -> bool {
    (i128::from(new) - i128::from(last)).abs() * 1_000 <= i128::from(last) * JUMP_PER_MILLE
}
