//! Who serves a model, and which calls? The rules of routes and of their targets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use units::{Livemode, Tokens};

use super::{model, provider::TIMEOUT_MS_MAX, unknown};
use crate::{
    Catalog, ChargedAs, Condition, FailureClass, Hedge, KeyPath, Model, Problems, Provider, RawHedge,
    RawRoute, RawTables, RawTarget, RawTargetTable, Route, RouteCache, Strategy, Target, WhenShort, is_word,
    names::check_name,
};

/// More attempts than this only multiply an outage.
const ATTEMPTS_MAX: u32 = 10;
/// Attempts where a route does not say how many: each target once, and so many at least.
const ATTEMPTS: u32 = 3;
/// A target that costs us ten times what customers pay is a mistake in the file.
const COST_PERCENT_MAX: u32 = 1_000;
/// More cheaper models than anybody has.
const DOWNGRADES_MAX: usize = 8;
/// Output held for a call that names no limit, unless the route says otherwise.
const HOLD_OUTPUT_TOKENS: u64 = 4_096;

/// Checks the routes of one model against each other, in the order in which they are tried.
pub(super) fn agree(routes: &[&Served], problems: &mut Problems) {
    let Some(first) = routes.first() else { return };
    for (n, route) in routes.iter().enumerate().skip(1) {
        let earlier = &routes[..n];
        if route.livemode != first.livemode {
            let what = format!(
                "`{}` is {} here and {} in {}: a model never mixes real and simulated money",
                route.model, route.livemode, first.livemode, first.path
            );
            problems.add(route.path.key("targets"), what);
        }
        if let Some(twin) = earlier.iter().find(|other| other.name.is_some() && other.name == route.name) {
            problems.add(route.path.key("name"), format!("{} has this name already", twin.path));
        }
        // One that callers ask for by name is reached all the same.
        if let Some(all) = earlier.iter().find(|other| other.when.is_empty()).filter(|_| route.name.is_none())
        {
            problems.add_with_help(
                route.path.key("model"),
                format!("{} serves every call for `{}`: this route is never reached", all.path, route.model),
                "give the earlier one a `when`, or put it last",
            );
        }
    }
}

/// A route whose model has not been built yet.
pub(super) struct Served {
    pub(super) path: KeyPath,
    pub(super) model: String,
    pub(super) livemode: Livemode,
    name: Option<String>,
    when: Condition,
    strategy: Strategy,
    when_short: WhenShort,
    pub(super) targets: Vec<Target>,
    pub(super) hold_output_tokens: Tokens,
    attempts_max: u32,
    fail_over_on: BTreeSet<FailureClass>,
    total_max: Duration,
    hedge: Option<Hedge>,
    continue_streams: bool,
    downgrade_to: Vec<String>,
    charged_as: ChargedAs,
    cost_percent_max: Option<u32>,
    cache: Option<RouteCache>,
}

impl Served {
    pub(super) fn finished(&self, model: Arc<Model>) -> Route {
        Route {
            model,
            name: self.name.clone(),
            when: self.when.clone(),
            strategy: self.strategy,
            when_short: self.when_short,
            targets: self.targets.clone(),
            hold_output_tokens: self.hold_output_tokens,
            attempts_max: self.attempts_max,
            fail_over_on: self.fail_over_on.clone(),
            total_max: self.total_max,
            hedge: self.hedge,
            continue_streams: self.continue_streams,
            downgrade_to: self.downgrade_to.clone(),
            charged_as: self.charged_as,
            cost_percent_max: self.cost_percent_max,
            cache: self.cache,
        }
    }
}

/// What routes and models look each other up in: names from the file, so that a broken provider is not also unknown.
pub(super) struct Tables<'a> {
    pub(super) raw: &'a RawTables,
    pub(super) providers: &'a BTreeMap<String, Arc<Provider>>,
    pub(super) catalog: &'a Catalog,
}

impl Tables<'_> {
    pub(super) fn route(&self, path: &KeyPath, raw: &RawRoute, problems: &mut Problems) -> Option<Served> {
        let before = problems.len();
        let model = self.raw.models.iter().find(|model| model.id == raw.model);
        if model.is_none() {
            let known = self.raw.models.iter().map(|model| model.id.as_str());
            unknown("model", &path.key("model"), &raw.model, known, problems);
        }
        if raw.attempts_max.is_some_and(|attempts| attempts == 0 || attempts > ATTEMPTS_MAX) {
            problems.add(path.key("attempts_max"), format!("must be from 1 to {ATTEMPTS_MAX}"));
        }
        if raw.total_ms_max == 0 || raw.total_ms_max > TIMEOUT_MS_MAX {
            let what = format!("must be from 1 to {TIMEOUT_MS_MAX} milliseconds (a day)");
            problems.add(path.key("total_ms_max"), what);
        }
        self.cheaper(path, raw, problems);
        if raw.cost_percent_max.is_some_and(|percent| percent == 0 || percent > COST_PERCENT_MAX) {
            problems.add(path.key("cost_percent_max"), format!("must be from 1 to {COST_PERCENT_MAX}"));
        }
        let hedge =
            raw.hedge.as_ref().and_then(|hedge| check_hedge(&path.key("hedge"), hedge, raw, problems));
        if let Some(name) = &raw.name
            && !is_word(name)
        {
            problems
                .add(path.key("name"), "a word of 1 to 64 letters, digits, `-`, `_`, `.` or `:` stands here");
        }
        let when = raw.when.check(&path.key("when"), problems);
        let cache = raw.cache.as_ref().and_then(|cache| cache.check(&path.key("cache"), problems));
        let targets = self.targets(&path.key("targets"), raw, problems);
        if raw.continue_streams
            && !targets.is_empty()
            && !targets.iter().any(|target| target.prefill().is_some())
        {
            let what = "none of the route's targets can be given the beginning of an answer";
            let help = "leave it out, or write `quirks.prefill` of a provider that can";
            problems.add_with_help(path.key("continue_streams"), what, help);
        }
        let facts = targets.first().and_then(|target| target.facts.as_deref());
        let output_max = model.and_then(|model| model::output_max(model, facts)).unwrap_or(u64::MAX);
        if let Some(hold) = raw.hold_output_tokens
            && !(1..=output_max).contains(&hold)
        {
            let what = format!("must be from 1 to the model's `output_max`, {output_max}");
            problems.add(path.key("hold_output_tokens"), what);
        }
        if problems.len() > before {
            return None;
        }
        Some(Served {
            path: path.clone(),
            model: raw.model.clone(),
            livemode: targets.first()?.provider.livemode,
            name: raw.name.clone(),
            when,
            strategy: raw.strategy,
            when_short: raw.when_short,
            targets,
            hold_output_tokens: Tokens(raw.hold_output_tokens.unwrap_or(HOLD_OUTPUT_TOKENS.min(output_max))),
            attempts_max: raw.attempts_max.unwrap_or_else(|| {
                u32::try_from(raw.targets.len()).unwrap_or(ATTEMPTS_MAX).clamp(ATTEMPTS, ATTEMPTS_MAX)
            }),
            fail_over_on: raw
                .fail_over_on
                .as_ref()
                .map_or_else(FailureClass::unless_said, |classes| classes.iter().copied().collect()),
            total_max: Duration::from_millis(raw.total_ms_max),
            hedge,
            continue_streams: raw.continue_streams,
            downgrade_to: raw.downgrade_to.clone(),
            charged_as: raw.charged_as,
            cost_percent_max: raw.cost_percent_max,
            cache,
        })
    }

    /// The models that a call which is not covered may be served by.
    fn cheaper(&self, path: &KeyPath, raw: &RawRoute, problems: &mut Problems) {
        let path = path.key("downgrade_to");
        if raw.downgrade_to.len() > DOWNGRADES_MAX {
            problems.add(path.clone(), format!("more than {DOWNGRADES_MAX} models"));
        }
        for (i, name) in raw.downgrade_to.iter().enumerate() {
            let path = path.index(i);
            if *name == raw.model {
                problems.add(path, "this is the route's own model");
            } else if !self.raw.models.iter().any(|model| model.id == *name) {
                let known = self.raw.models.iter().map(|model| model.id.as_str());
                unknown("model", &path, name, known, problems);
            }
        }
        if !raw.downgrade_to.is_empty() && raw.charged_as == ChargedAs::Requested {
            problems.add_with_help(
                path,
                "a cheaper model does not help who is charged by the price of the one that was asked for",
                "write charged_as = \"serving\", or leave it out",
            );
        }
    }

    fn targets(&self, path: &KeyPath, raw: &RawRoute, problems: &mut Problems) -> Vec<Target> {
        if raw.targets.is_empty() {
            problems.add_with_help(
                path.clone(),
                "a route needs at least one target",
                "write targets = [\"provider/upstream-model-name\"]",
            );
        }
        let mut seen = BTreeSet::new();
        let mut first_mode: Option<(&str, Livemode)> = None;
        let mut targets = Vec::new();
        let written: Vec<RawTargetTable> = raw.targets.iter().map(RawTarget::written_out).collect();
        if !written.is_empty() && written.iter().all(|target| target.weight == 0) {
            problems.add_with_help(
                path.clone(),
                "every target has a weight of 0: nobody would be asked first",
                "give one of them a weight of 1",
            );
        }
        for (i, target) in written.into_iter().enumerate() {
            let RawTargetTable { to: text, weight, priority, when } = target;
            let path = path.index(i);
            let when = when.check(&path.key("when"), problems);
            if !seen.insert(text.clone()) {
                problems.add(path, format!("`{text}` is already a target of this route"));
                continue;
            }
            let Some((provider, upstream_model)) = text.split_once('/') else {
                let what =
                    format!("`{text}` names no model: a target is written `provider/upstream-model-name`");
                problems.add(path, what);
                continue;
            };
            problems.catch(path.clone(), check_name(upstream_model));
            let Some(named) = self.raw.providers.iter().find(|known| known.id == provider) else {
                let known = self.raw.providers.iter().map(|known| known.id.as_str());
                unknown("provider", &path, provider, known, problems);
                continue;
            };
            match first_mode {
                Some((first, mode)) if mode != named.livemode => {
                    let what = format!(
                        "`{provider}` is {}, but `{first}` is {mode}: a route never mixes real and simulated money",
                        named.livemode
                    );
                    problems.add(path.clone(), what);
                }
                Some(_) => {}
                None => first_mode = Some((named.id.as_str(), named.livemode)),
            }
            if let Some(provider) = self.providers.get(provider) {
                let facts = self.catalog.model(&provider.kind, upstream_model).cloned();
                let (provider, upstream_model) = (Arc::clone(provider), upstream_model.to_owned());
                let needs = match (raw.strategy, &raw.hedge) {
                    (Strategy::Cheapest, _) => {
                        Some(("the route takes the cheapest", "choose another strategy"))
                    }
                    (_, Some(_)) => Some(("the route's `hedge` is bounded by cost", "leave `hedge` out")),
                    _ => raw
                        .cost_percent_max
                        .map(|_| ("the route has a `cost_percent_max`", "leave `cost_percent_max` out")),
                };
                if let Some((why, help)) = needs
                    && facts.as_ref().and_then(|facts| facts.cost_in(provider.region)).is_none()
                {
                    problems.add_with_help(
                        path,
                        format!("what `{text}` costs us is not known, and {why}"),
                        format!("{help}, or say its cost in a catalog file"),
                    );
                    continue;
                }
                targets.push(Target { provider, upstream_model, facts, weight, priority, when });
            }
        }
        targets
    }
}

fn check_hedge(path: &KeyPath, raw: &RawHedge, route: &RawRoute, problems: &mut Problems) -> Option<Hedge> {
    let before = problems.len();
    if route.targets.len() < 2 {
        problems.add(path.clone(), "the route has one target only: there is no second to ask");
    }
    if raw.cost_percent_max == 0 || raw.cost_percent_max > 100 {
        problems.add(path.key("cost_percent_max"), "must be from 1 to 100");
    }
    if raw.after_ms.is_some_and(|ms| ms == 0 || ms > route.total_ms_max) {
        let what = format!("must be from 1 to the route's `total_ms_max`, {}", route.total_ms_max);
        problems.add(path.key("after_ms"), what);
    }
    let after = raw.after_ms.map(Duration::from_millis);
    (problems.len() == before).then_some(Hedge { after, cost_percent_max: raw.cost_percent_max })
}
