//! Each key's two limits, kept for as long as they could matter.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use units::{KeyId, Tokens};

use super::gcra::Gcra;
use crate::chat::{Caller, KeyLimits, Kind, Reservation, Standing, TokenPace, TooFast};

/// Keys kept at once. One that falls out starts afresh, with a full minute.
const KEYS_MAX: u64 = 100_000;
/// After this long without a request every limit is whole again, so nothing is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(180);
/// No client is told to wait longer: some SDKs obey any figure.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

type Requests = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

#[derive(Debug)]
struct Pace {
    per_minute: (u32, u64),
    requests: Requests,
    tokens: Gcra,
}

impl Pace {
    fn new(per_minute: (u32, u64)) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute.0).unwrap_or(NonZeroU32::MIN));
        let requests = DefaultDirectRateLimiter::direct(quota).with_middleware();
        Self { per_minute, requests, tokens: Gcra::new(per_minute.1) }
    }
}

/// What a key that has no limits of its own may do; asked at each call, so that it may change.
type Defaults = Arc<dyn Fn() -> (u32, u64) + Send + Sync>;

/// How fast each key goes.
#[derive(Clone)]
pub struct Paces {
    by_key: moka::sync::Cache<KeyId, Arc<Pace>>,
    defaults: Defaults,
    epoch: Instant,
}

impl std::fmt::Debug for Paces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paces").field("keys", &self.by_key.entry_count()).finish_non_exhaustive()
    }
}

impl Paces {
    /// `defaults` gives requests and tokens per minute of a key that has no figures of its own.
    pub fn new(defaults: impl Fn() -> (u32, u64) + Send + Sync + 'static) -> Self {
        let by_key = moka::sync::Cache::builder().max_capacity(KEYS_MAX).time_to_idle(IDLE_MAX).build();
        Self { by_key, defaults: Arc::new(defaults), epoch: Instant::now() }
    }

    fn pace(&self, key: KeyId, limits: &KeyLimits) -> Arc<Pace> {
        let (requests, tokens) = (self.defaults)();
        let wanted =
            (limits.requests_per_minute.unwrap_or(requests), limits.tokens_per_minute.unwrap_or(tokens));
        let pace = self.by_key.get_with(key, || Arc::new(Pace::new(wanted)));
        if pace.per_minute == wanted {
            return pace;
        }
        let changed = Arc::new(Pace::new(wanted));
        self.by_key.insert(key, Arc::clone(&changed));
        changed
    }

    fn now(&self) -> i64 {
        i64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(i64::MAX / 4)
    }

    /// Counts one request.
    ///
    /// # Errors
    /// [`TooFast`] when the key has used up its minute.
    pub fn request(&self, caller: &Caller) -> Result<Standing, TooFast> {
        let pace = self.pace(caller.key, &caller.limits);
        let limit = u64::from(pace.per_minute.0.max(1));
        let standing = |remaining: u64| {
            let used = u32::try_from(limit.saturating_sub(remaining)).unwrap_or(u32::MAX);
            let each = Duration::from_secs(60) / u32::try_from(limit).unwrap_or(u32::MAX).max(1);
            Standing { limit, remaining, reset: each.saturating_mul(used) }
        };
        match pace.requests.check() {
            Ok(state) => Ok(standing(u64::from(state.remaining_burst_capacity()))),
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                let retry_after = wait.min(RETRY_AFTER_MAX);
                Err(TooFast { kind: Kind::Requests, standing: standing(0), retry_after })
            }
        }
    }
}

impl TokenPace for Paces {
    fn take(&self, caller: &Caller, estimate: Tokens) -> Result<Reservation, TooFast> {
        let pace = self.pace(caller.key, &caller.limits);
        pace.tokens.take(self.now(), estimate.0).map_err(|(wait, standing)| {
            let retry_after = wait.min(RETRY_AFTER_MAX);
            TooFast { kind: Kind::Tokens, standing, retry_after }
        })
    }

    fn correct(&self, caller: &Caller, taken: u64, used: Tokens) {
        self.pace(caller.key, &caller.limits).tokens.correct(self.now(), taken, used.0);
    }
}
