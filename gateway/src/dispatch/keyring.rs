//! Which of a provider's keys is shown, and which rest?
//!
//! A key that is too fast rests for the model it was too fast with; one that is refused, or whose account is empty, is
//! parked for all of them, until a call on trial shows that it is well again. Keys take turns.

use std::{collections::HashMap, time::Duration};

use router_config::{Provider, SecretRef};
use units::{Timestamp, Tokens};

use crate::provider::{Allowance, Allowances};

/// The first rest of a key that was too fast and was not told for how long; doubled each time.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest of them.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// Until a parked key is tried again; doubled each time.
const PARKED: Duration = Duration::from_secs(60);
/// The longest of them.
const PARKED_MAX: Duration = Duration::from_secs(900);
/// More models than any provider has; beyond it their rests are forgotten.
const MODELS_MAX: usize = 1_000;

/// Why a key is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// It is refused.
    Refused,
    /// Its account there is empty.
    OutOfFunds,
}

impl Parking {
    /// As metrics and operators are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "key_refused",
            Self::OutOfFunds => "out_of_funds",
        }
    }
}

/// A key that a call may be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyPass {
    /// Its place among the provider's keys.
    pub place: usize,
    /// Whether it is parked, and this is to see whether it is well again.
    pub trial: bool,
}

/// Why no key can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// All are parked; for want of money, where that is so of the last.
    Parked(Parking),
    /// All that are not parked are too fast until then.
    TooFast(Timestamp),
    /// Those that are left were tried for this call already.
    Tried,
}

#[derive(Debug, Default)]
struct Key {
    /// As the file names it, or nothing where a provider needs none.
    name: String,
    parked: Option<Parked>,
    by_model: HashMap<String, Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Parked {
    why: Parking,
    since: Timestamp,
    /// When a trial is due.
    until: Timestamp,
    times: u32,
    trial: bool,
}

/// How fast a key has been with a model.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Timestamp,
    /// 429s since the last answer.
    times: u32,
    /// What is left, and until when that is known.
    requests: Option<(u64, Timestamp)>,
    tokens: Option<(u64, Timestamp)>,
}

impl Rest {
    const NONE: Self = Self { until: Timestamp(0), times: 0, requests: None, tokens: None };

    /// When a call of so many tokens may come; `None` where it may now.
    fn shut(&self, now: Timestamp, tokens: Tokens) -> Option<Timestamp> {
        let short = |left: Option<(u64, Timestamp)>, needed: u64| {
            left.filter(|(left, until)| now < *until && *left < needed).map(|(_, until)| until)
        };
        let told = (now < self.until).then_some(self.until);
        [told, short(self.requests, 1), short(self.tokens, tokens.0)].into_iter().flatten().max()
    }
}

/// What is to be told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// As the file names it; empty where the provider needs none.
    pub name: String,
    /// Why it is parked, since when, and when it is tried again.
    pub parked: Option<(Parking, Timestamp, Timestamp)>,
    /// Models it is too fast with, and until when.
    pub too_fast: Vec<(String, Timestamp)>,
}

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Keyring {
    /// As the table names them; none where the provider needs none.
    refs: Vec<SecretRef>,
    keys: Vec<Key>,
    next: usize,
}

fn names(provider: &Provider) -> Vec<String> {
    if provider.api_keys.is_empty() {
        // Without a key it can be too fast, and out of money, all the same.
        return vec![String::new()];
    }
    provider.api_keys.iter().map(ToString::to_string).collect()
}

impl Keyring {
    pub(super) fn new(provider: &Provider) -> Self {
        let keys = names(provider).into_iter().map(|name| Key { name, ..Key::default() }).collect();
        Self { refs: provider.api_keys.clone(), keys, next: 0 }
    }

    /// Takes over which keys there are now; what is known of those that stay is kept.
    pub(super) fn follow(&mut self, provider: &Provider) {
        if self.refs == provider.api_keys {
            return;
        }
        self.refs.clone_from(&provider.api_keys);
        let wanted = names(provider);
        let mut known: HashMap<String, Key> =
            self.keys.drain(..).map(|key| (key.name.clone(), key)).collect();
        let key = |name: String| known.remove(&name).unwrap_or_else(|| Key { name, ..Key::default() });
        self.keys = wanted.into_iter().map(key).collect();
    }

    /// The next key for a call of about so many tokens to `model`, other than those `tried`. One that is due for a trial
    /// comes first, or it would stay parked as long as another is well.
    pub(super) fn pick(
        &mut self,
        model: &str,
        tokens: Tokens,
        tried: &[usize],
        now: Timestamp,
    ) -> Result<KeyPass, NoKey> {
        let count = self.keys.len().max(1);
        let in_turn = || (0..count).map(|step| (self.next + step) % count).filter(|it| !tried.contains(it));
        let due = |key: &Key| key.parked.is_some_and(|parked| !parked.trial && now >= parked.until);
        let shut = |key: &Key| key.by_model.get(model).and_then(|rest| rest.shut(now, tokens));
        let key = |place: usize| self.keys.get(place);
        let trial = in_turn().find(|place| key(*place).is_some_and(|key| due(key) && shut(key).is_none()));
        let well = |place: &usize| key(*place).is_some_and(|key| key.parked.is_none() && shut(key).is_none());
        let Some(place) = trial.or_else(|| in_turn().find(well)) else {
            let left = || in_turn().filter_map(key);
            let soonest = left().filter(|key| key.parked.is_none()).filter_map(shut).min();
            return Err(match (soonest, self.parked()) {
                (Some(until), _) => NoKey::TooFast(until),
                (None, Some(why)) => NoKey::Parked(why),
                (None, None) => NoKey::Tried,
            });
        };
        self.next = (place + 1) % count;
        if let Some(parked) = self.keys.get_mut(place).and_then(|key| key.parked.as_mut()) {
            parked.trial = true;
        }
        Ok(KeyPass { place, trial: trial.is_some() })
    }

    /// Why no call to `model` could be made now; `None` where one could. Says nothing of tokens.
    pub(super) fn lacks(&self, model: &str, now: Timestamp) -> Option<NoKey> {
        let rest = |key: &Key| key.by_model.get(model).and_then(|rest| rest.shut(now, Tokens(0)));
        let has_one = self.keys.iter().any(|key| {
            let due = key.parked.is_none_or(|parked| !parked.trial && now >= parked.until);
            due && rest(key).is_none()
        });
        if has_one {
            return None;
        }
        Some(self.parked().map_or_else(
            || NoKey::TooFast(self.keys.iter().filter_map(rest).min().unwrap_or(now)),
            NoKey::Parked,
        ))
    }

    /// Why all keys are parked, if they are: for want of money if one is.
    pub(super) fn parked(&self) -> Option<Parking> {
        let mut worst = Some(Parking::Refused).filter(|_| !self.keys.is_empty());
        for key in &self.keys {
            match key.parked {
                None => return None,
                Some(Parked { why: Parking::OutOfFunds, .. }) => worst = Some(Parking::OutOfFunds),
                Some(_) => {}
            }
        }
        worst
    }

    fn rest(&mut self, place: usize, model: &str) -> Option<&mut Rest> {
        let key = self.keys.get_mut(place)?;
        if key.by_model.len() >= MODELS_MAX && !key.by_model.contains_key(model) {
            key.by_model.clear();
        }
        Some(key.by_model.entry(model.to_owned()).or_insert(Rest::NONE))
    }

    /// The key was taken: what it was parked for is over, if this was to see that. True if it was parked.
    pub(super) fn answered(&mut self, pass: KeyPass, model: &str) -> bool {
        let Some(key) = self.keys.get_mut(pass.place) else { return false };
        if let Some(rest) = key.by_model.get_mut(model) {
            (rest.until, rest.times) = (Timestamp(0), 0);
        }
        pass.trial && key.parked.take().is_some()
    }

    /// What the upstream says is left for it.
    pub(super) fn told(&mut self, place: usize, model: &str, left: Allowances, now: Timestamp) {
        if left == Allowances::default() {
            return;
        }
        let Some(rest) = self.rest(place, model) else { return };
        let known = |left: Option<Allowance>| left.map(|left| (left.left, now.after(left.reset)));
        (rest.requests, rest.tokens) = (known(left.requests), known(left.tokens));
    }

    /// It was too fast, and is to come back after so long, if that was said.
    pub(super) fn too_fast(&mut self, place: usize, model: &str, wait: Option<Duration>, now: Timestamp) {
        let Some(rest) = self.rest(place, model) else { return };
        let doubled = BACK_OFF.saturating_mul(1 << rest.times.min(5)).min(BACK_OFF_MAX);
        rest.times = rest.times.saturating_add(1);
        rest.until = rest.until.max(now.after(wait.unwrap_or(doubled)));
    }

    /// It is parked, or goes on being parked. True if it was not before.
    pub(super) fn park(&mut self, place: usize, why: Parking, now: Timestamp) -> bool {
        let Some(key) = self.keys.get_mut(place) else { return false };
        let (since, times) = key.parked.map_or((now, 0), |parked| (parked.since, parked.times));
        let wait = PARKED.saturating_mul(1 << times.min(4)).min(PARKED_MAX);
        let news = key.parked.is_none();
        key.parked =
            Some(Parked { why, since, until: now.after(wait), times: times.saturating_add(1), trial: false });
        news
    }

    /// A trial was given up before anything was known.
    pub(super) fn left(&mut self, pass: KeyPass) {
        if let Some(parked) = self.keys.get_mut(pass.place).and_then(|key| key.parked.as_mut())
            && pass.trial
        {
            parked.trial = false;
        }
    }

    /// Parked keys are to be tried at once: somebody has paid, or changed something. `why` says which, or all.
    pub(super) fn try_now(&mut self, place: Option<usize>, why: Option<Parking>, now: Timestamp) {
        for (n, key) in self.keys.iter_mut().enumerate() {
            if let Some(parked) = key.parked.as_mut()
                && place.is_none_or(|place| place == n)
                && why.is_none_or(|why| why == parked.why)
            {
                parked.until = now;
            }
        }
    }

    /// What the file calls it.
    pub(super) fn name(&self, place: usize) -> &str {
        self.keys.get(place).map_or("", |key| &key.name)
    }

    /// What is known of each.
    pub(super) fn states(&self, now: Timestamp) -> Vec<KeyState> {
        let state = |key: &Key| {
            let mut too_fast: Vec<(String, Timestamp)> = key
                .by_model
                .iter()
                .filter_map(|(model, rest)| Some((model.clone(), rest.shut(now, Tokens(0))?)))
                .collect();
            too_fast.sort();
            let parked = key.parked.map(|parked| (parked.why, parked.since, parked.until));
            KeyState { name: key.name.clone(), parked, too_fast }
        };
        self.keys.iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn provider(keys: &str) -> Arc<Provider> {
        let text = format!(
            "[[providers]]\nid = \"p\"\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:1\"\napi_keys = [{keys}]\n\
             [[models]]\nid = \"m\"\ncontext = 9\noutput_max = 9\n[[routes]]\nmodel = \"m\"\ntargets = [\"p/m\"]\n"
        );
        let raw: router_config::RawTables = toml::from_str(&text).unwrap();
        Arc::clone(&raw.validate().unwrap_or_else(|wrong| panic!("{wrong}")).providers["p"])
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    fn ring() -> Keyring {
        Keyring::new(&provider("\"env:A\", \"env:B\""))
    }

    fn pick(ring: &mut Keyring, tried: &[usize], secs: i64) -> Result<(usize, bool), NoKey> {
        ring.pick("m", Tokens(10), tried, at(secs)).map(|pass| (pass.place, pass.trial))
    }

    #[test]
    fn keys_take_turns_and_one_that_is_too_fast_rests_for_that_model_only() {
        let mut ring = ring();
        assert_eq!([pick(&mut ring, &[], 0), pick(&mut ring, &[], 0)], [Ok((0, false)), Ok((1, false))]);
        ring.too_fast(0, "m", Some(Duration::from_secs(20)), at(0));
        assert_eq!(pick(&mut ring, &[], 0), Ok((1, false)));
        assert_eq!(pick(&mut ring, &[1], 0), Err(NoKey::TooFast(at(20))));
        assert_eq!(ring.pick("other", Tokens(10), &[], at(0)), Ok(KeyPass { place: 0, trial: false }));
        assert_eq!(pick(&mut ring, &[1], 20), Ok((0, false)));
        assert_eq!(pick(&mut ring, &[0, 1], 20), Err(NoKey::Tried));
    }

    #[test]
    fn a_key_that_is_not_told_for_how_long_rests_twice_as_long_each_time() {
        let mut ring = ring();
        let mut waits = Vec::new();
        for _ in 0..7 {
            ring.too_fast(0, "m", None, at(0));
            ring.too_fast(1, "m", None, at(0));
            let Err(NoKey::TooFast(until)) = pick(&mut ring, &[], 0) else { panic!("it rests") };
            waits.push(until.since(at(0)).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        ring.answered(KeyPass { place: 0, trial: false }, "m");
        ring.too_fast(0, "m", None, at(0));
        assert_eq!(pick(&mut ring, &[1], 0), Err(NoKey::TooFast(at(1))), "an answer in between");
    }

    #[test]
    fn a_parked_key_is_tried_again_once_at_a_time_and_ever_more_rarely() {
        let mut ring = ring();
        assert!(ring.park(0, Parking::OutOfFunds, at(0)));
        assert_eq!(ring.parked(), None, "the other is well");
        assert_eq!(pick(&mut ring, &[], 59), Ok((1, false)));
        assert!(ring.park(1, Parking::Refused, at(0)));
        assert_eq!(ring.parked(), Some(Parking::OutOfFunds));
        assert_eq!(pick(&mut ring, &[], 59), Err(NoKey::Parked(Parking::OutOfFunds)));
        assert_eq!(ring.lacks("m", at(59)), Some(NoKey::Parked(Parking::OutOfFunds)));
        assert_eq!(ring.lacks("m", at(60)), None);
        assert_eq!(pick(&mut ring, &[], 60), Ok((0, true)));
        assert_eq!(pick(&mut ring, &[], 60), Ok((1, true)));
        assert_eq!(pick(&mut ring, &[], 60), Err(NoKey::Parked(Parking::OutOfFunds)), "both are being tried");
        assert!(!ring.park(0, Parking::OutOfFunds, at(60)), "no news");
        ring.left(KeyPass { place: 1, trial: true });
        assert_eq!(pick(&mut ring, &[], 61), Ok((1, true)));
        assert!(!ring.answered(KeyPass { place: 1, trial: false }, "m"), "that set out before it was parked");
        assert!(ring.answered(KeyPass { place: 1, trial: true }, "m"));
        assert_eq!(pick(&mut ring, &[], 179), Ok((1, false)));
        assert_eq!(pick(&mut ring, &[], 180), Ok((0, true)), "two minutes later, though another is well");
        ring.park(0, Parking::OutOfFunds, at(180));
        ring.try_now(None, Some(Parking::Refused), at(181));
        assert_eq!(pick(&mut ring, &[], 181), Ok((1, false)));
        ring.try_now(None, Some(Parking::OutOfFunds), at(181));
        assert_eq!(pick(&mut ring, &[], 181), Ok((0, true)), "somebody has paid");
    }

    #[test]
    fn what_is_left_is_respected_before_it_bites() {
        let mut ring = Keyring::new(&provider(""));
        let left = |requests, tokens| {
            let allowance = |left| Allowance { left, reset: Duration::from_secs(9) };
            Allowances { requests: Some(allowance(requests)), tokens: Some(allowance(tokens)) }
        };
        ring.told(0, "m", left(1, 10), at(0));
        assert_eq!(pick(&mut ring, &[], 0), Ok((0, false)));
        ring.told(0, "m", left(0, 10), at(0));
        assert_eq!(pick(&mut ring, &[], 8), Err(NoKey::TooFast(at(9))));
        ring.told(0, "m", left(1, 9), at(0));
        assert_eq!(pick(&mut ring, &[], 8), Err(NoKey::TooFast(at(9))), "ten tokens are asked for");
        ring.told(0, "m", Allowances::default(), at(8));
        assert_eq!(pick(&mut ring, &[], 8), Err(NoKey::TooFast(at(9))), "nothing said changes nothing");
        assert_eq!(pick(&mut ring, &[], 9), Ok((0, false)));
    }

    #[test]
    fn keys_that_stay_keep_what_is_known_of_them() {
        let mut ring = ring();
        ring.park(1, Parking::Refused, at(0));
        ring.follow(&provider("\"env:B\", \"env:C\""));
        let parked: Vec<_> =
            ring.states(at(0)).into_iter().map(|key| (key.name, key.parked.is_some())).collect();
        assert_eq!(parked, [("env:B".to_owned(), true), ("env:C".to_owned(), false)]);
    }
}
