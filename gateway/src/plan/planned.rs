//! The decision.

use std::{collections::BTreeSet, sync::Arc};

use payments::prices::{PriceError, Quote, tier_for};
use router_config::{
    ChargedAs, Circumstances, Modality, NoRoute, Route, Routes, Standing, Strategy, Target, Unfit, WhenShort,
    order,
};
use units::{NanoCny, Timestamp, Tokens, Usage};

use super::{
    Snapshot,
    ceiling::{affordable, ceiling},
    cost::{OUTPUT_EXPECTED, cost},
    spoken::{Unspoken, spoken},
};
use crate::chat::{Call, Decision, Endpoint, Passed, Skipped, SoFar, Spoken, Trail, Wishes};

/// An answer is not cut shorter than this for money: it would say nothing, and be paid for all the same.
pub const CLAMPED_MIN: Tokens = Tokens(64);
/// Names offered for one that is unknown.
const SUGGESTIONS_MAX: usize = 3;

/// A call with everything decided that can be decided without asking anybody.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The call.
    pub call: Call,
    /// How its model is served.
    pub route: Arc<Route>,
    /// What a token costs.
    pub quote: Quote,
    /// Whom to ask, in this order, and in which words: as the route prefers, those in good health before the others.
    pub targets: Vec<Candidate>,
    /// Upper bound of the output, all `n` answers of it.
    pub output_bound: Tokens,
    /// Where the caller is, if anybody knows.
    pub region: Option<String>,
    /// The model by whose price it is charged, where that is not the one that serves it.
    pub charged: Option<String>,
    /// Whether it is only for a call that the plan before it does not cover: the caller allowed something cheaper, and
    /// nothing else.
    pub only_when_short: bool,
    /// Routes of the model that the call did not fit.
    pub passed: Vec<Passed>,
    /// Targets that are not asked, or last, and why.
    pub skipped: Vec<Skipped>,
    /// What the upstream is told: for each answer. `None` where the client named a maximum, and there is money for it.
    pub output_cap: Option<Tokens>,
    /// The same call for other models that the caller allows, in the order in which they are tried.
    pub instead: Vec<Self>,
    /// What was said already, where it is for the rest of an answer that broke off.
    pub so_far: Option<Arc<SoFar>>,
}

impl Planned {
    /// Why it is served as it is.
    pub fn decision(&self) -> Decision {
        Decision {
            route: self.route.name.clone(),
            strategy: self.route.strategy.as_str(),
            passed: self.passed.clone(),
            skipped: self.skipped.clone(),
        }
    }
}

/// A target that can take a call.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Whom to ask.
    pub target: Target,
    /// In which words.
    pub spoken: Spoken,
    /// What the call would cost us there, about, in nano-yuan; known where its route needs it.
    pub cost: Option<i64>,
}

impl Candidate {
    /// What it would cost us, or nothing where that is not known.
    pub fn cost_or_nothing(&self) -> u64 {
        self.cost.and_then(|cost| u64::try_from(cost).ok()).unwrap_or(0)
    }
}

/// A planned call whose ceiling is set aside.
#[derive(Debug, Clone)]
pub struct Covered {
    /// The plan.
    pub planned: Arc<Planned>,
    /// Where attempts are written down.
    pub trail: Trail,
}

/// How targets are, as far as this process knows.
pub trait Health: Send + Sync + std::fmt::Debug {
    /// Why a target is to be asked last now, in one word; `None` where it is well.
    fn trouble(&self, target: &Target) -> Option<&'static str>;

    /// How long the first byte of its streams has taken lately for callers of a region, in microseconds; `None` where none
    /// was asked for lately.
    fn first_byte_us(&self, target: &Target, region: Option<&str>) -> Option<u64>;

    /// Calls that it is answering.
    fn in_flight(&self, target: &Target) -> u32;
}

/// What a plan depends on beside the call and the snapshot.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The time.
    pub now: Timestamp,
    /// How targets are.
    pub health: &'a dyn Health,
    /// Where callers are who do not say it.
    pub region: Option<&'a str>,
    /// The seed of what is left to chance.
    pub seed: u64,
    /// Whether costs are to be reckoned also where nothing depends on them: somebody wants to know why.
    pub explains: bool,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No model of that name, for this caller.
    #[error("{}", unknown(.model, .nearest))]
    UnknownModel {
        /// The name.
        model: String,
        /// What may have been meant.
        nearest: Vec<String>,
    },
    /// It may cost more than the caller allows.
    #[error("{}", too_dear(.model, *.ceiling, *.max, *.output_fits))]
    TooDear {
        /// The model that comes nearest.
        model: String,
        /// What the call may cost.
        ceiling: NanoCny,
        /// What it is allowed to.
        max: NanoCny,
        /// An answer of so many tokens would fit.
        output_fits: Option<Tokens>,
    },
    /// It has no price now.
    #[error(
        "The model `{model}` cannot be priced at the moment: {reason}. Nothing was charged; try again soon."
    )]
    PriceUnavailable {
        /// The model.
        model: String,
        /// Why.
        reason: PriceError,
    },
    /// Nobody who serves the model can be asked this.
    #[error("{0}")]
    Unspoken(Unspoken),
    /// It is not served to a call like this one.
    #[error("The model `{model}` is not available for this call: {why}.")]
    NoneFits {
        /// The model.
        model: String,
        /// What about the call does not fit.
        why: String,
    },
    /// Nobody serves it at a cost that its route allows, at the moment.
    #[error(
        "The model `{0}` is too dear for us at all of its providers at the moment. Nothing was charged; try again later."
    )]
    AllTooDear(String),
    /// The table has a model that nobody serves: a broken snapshot.
    #[error("The model `{0}` has no route.")]
    NoRoute(String),
}

fn too_dear(model: &str, ceiling: NanoCny, max: NanoCny, output_fits: Option<Tokens>) -> String {
    let what = format!(
        "This request may cost up to {ceiling} yuan with `{model}`, more than the {max} yuan of `x-tollgate-max-cost-cny`."
    );
    match output_fits {
        Some(output) => format!("{what} With `max_tokens` of {} or less it would fit.", output.0),
        None => format!("{what} The prompt alone costs more."),
    }
}

fn unknown(model: &str, nearest: &[String]) -> String {
    let hint = match nearest {
        [] => "`GET /v1/models` lists all there are.".to_owned(),
        names => {
            format!("Did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "))
        }
    };
    format!("The model `{model}` does not exist or you do not have access to it. {hint}")
}

impl Snapshot {
    /// Names like `model`, nearest first.
    pub fn nearest(&self, model: &str) -> Vec<String> {
        let wanted = model.to_lowercase();
        let mut near: Vec<(usize, &String)> = self
            .table
            .models
            .keys()
            .filter_map(|name| {
                let known = name.to_lowercase();
                let mistyped = strsim::damerau_levenshtein(&wanted, &known);
                let holds = wanted.len().min(known.len()) >= 3
                    && (known.contains(&wanted) || wanted.contains(&known));
                (holds || mistyped * 3 <= known.chars().count()).then_some((mistyped, name))
            })
            .collect();
        near.sort();
        near.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name.clone()).collect()
    }
}

/// Decides who serves `call`, at which price of the `moment`, and how much is to be set aside for it. Of the models that
/// the caller names, those that have a plan stay, in their order.
///
/// # Errors
/// [`PlanError`]: of the first model, or of the one that is nearest to the caller's maximum.
pub fn plan(mut call: Call, snapshot: &Snapshot, moment: &Moment<'_>) -> Result<Planned, PlanError> {
    let instead = std::mem::take(&mut call.instead);
    if instead.is_empty() && !call.wishes.downgrade {
        return plan_one(call, snapshot, moment, None);
    }
    let (mut plans, mut failed): (Vec<Planned>, Option<PlanError>) = (Vec::new(), None);
    // Its route's cheaper models come after those that the caller named itself.
    let cheaper = if call.wishes.downgrade { cheaper(&call, snapshot, moment) } else { Vec::new() };
    let named = std::iter::once(call.model.clone()).chain(instead).map(|name| (name, false));
    for (name, only_when_short) in named.chain(cheaper.into_iter().map(|name| (name, true))) {
        // By whose price it is charged, the route of the model that was asked for says.
        let requested = plans.first().filter(|first| first.route.charged_as == ChargedAs::Requested);
        match plan_one(Call { model: name, ..call.clone() }, snapshot, moment, requested) {
            // Two names may mean one model.
            Ok(plan) if plans.iter().any(|other| Arc::ptr_eq(&other.route, &plan.route)) => {}
            Ok(plan) => plans.push(Planned { only_when_short, ..plan }),
            Err(error) => failed = Some(failed.map_or_else(|| error.clone(), |first| nearer(first, &error))),
        }
    }
    let mut plans = plans.into_iter();
    match (plans.next(), failed) {
        (Some(first), _) => {
            call.seen.note(&first.route.model.id);
            Ok(Planned { instead: plans.collect(), ..first })
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(PlanError::NoRoute(call.model)),
    }
}

/// The one whose ceiling is lower, where both are about money; else the first.
fn nearer(first: PlanError, other: &PlanError) -> PlanError {
    match (&first, other) {
        (PlanError::TooDear { ceiling: mine, .. }, PlanError::TooDear { ceiling: theirs, .. })
            if theirs < mine =>
        {
            other.clone()
        }
        _ => first,
    }
}

/// The cheaper models that the route of the model that was asked for has.
fn cheaper(call: &Call, snapshot: &Snapshot, moment: &Moment<'_>) -> Vec<String> {
    let (key, modalities) = (call.caller.key.to_string(), modalities(call));
    let circumstances = circumstances(call, &call.wishes, &key, &modalities, snapshot, moment);
    let model = snapshot.table.meant(&call.model, &circumstances);
    let picked =
        snapshot.table.routes.get(model).map(|it| it.pick(&circumstances, call.wishes.route.as_deref()));
    picked.and_then(Result::ok).map(|(route, _)| route.downgrade_to.clone()).unwrap_or_default()
}

fn circumstances<'a>(
    call: &Call,
    wishes: &'a Wishes,
    key: &'a str,
    modalities: &'a BTreeSet<Modality>,
    snapshot: &'a Snapshot,
    moment: &Moment<'a>,
) -> Circumstances<'a> {
    Circumstances {
        key,
        tier: snapshot.prices.list_of(call.caller.account),
        tags: &wishes.tags,
        task: wishes.task.as_deref(),
        modalities,
        region: wishes.region.as_deref().or(moment.region),
        input_tokens: call.input_estimate.0,
        now: moment.now,
    }
}

/// The plan of one model; charged as `requested`, where that is given.
fn plan_one(
    mut call: Call,
    snapshot: &Snapshot,
    moment: &Moment<'_>,
    requested: Option<&Planned>,
) -> Result<Planned, PlanError> {
    let Moment { now, health, .. } = *moment;
    // A name longer than any of ours is not worth comparing.
    let near = |model: &str| if model.len() <= 128 { snapshot.nearest(model) } else { Vec::new() };
    let (key, modalities) = (call.caller.key.to_string(), modalities(&call));
    let wishes = call.wishes.clone();
    let circumstances = circumstances(&call, &wishes, &key, &modalities, snapshot, moment);
    let meant = snapshot.table.meant(&call.model, &circumstances);
    if meant != call.model {
        call.model = meant.to_owned();
    }
    let Some(model) = snapshot.table.models.get(&call.model) else {
        return Err(PlanError::UnknownModel { nearest: near(&call.model), model: call.model });
    };
    call.seen.note(&model.id);
    let routes = snapshot.table.routes.get(&model.id).ok_or_else(|| PlanError::NoRoute(model.id.clone()))?;
    let (route, passed) = routes.pick(&circumstances, wishes.route.as_deref()).map_err(|passed| {
        PlanError::NoneFits { model: model.id.clone(), why: why_none(&passed, wishes.route.as_deref()) }
    })?;
    let quote = match requested {
        Some(requested) => requested.quote.clone(),
        None => {
            let quote = snapshot.prices.quote(call.caller.account, &model.id, now, call.input_bound);
            quote.map_err(|reason| PlanError::PriceUnavailable { model: call.model.clone(), reason })?
        }
    };
    let charged = requested.map(|requested| requested.route.model.id.clone());
    let each = call.output_max.unwrap_or_else(|| model.output_max.min(route.hold_output_tokens));
    let all = |each: Tokens| Tokens(each.0.saturating_mul(u64::from(call.n)));
    let (mut output_bound, mut output_cap) = (all(each), call.output_max.is_none().then_some(each));
    if let Some(max) = wishes.max_cost {
        // What cannot be expressed is refused where it would be set aside.
        let most = ceiling(&quote, call.input_bound, output_bound).unwrap_or(max);
        if most > max {
            let fits = affordable(&quote, call.input_bound, max)
                .map(|output| Tokens(output.0 / u64::from(call.n.max(1))));
            match fits.filter(|fits| route.when_short == WhenShort::Clamp && *fits >= CLAMPED_MIN) {
                Some(fits) => (output_bound, output_cap) = (all(fits), Some(fits)),
                None => {
                    let (model, ceiling) = (model.id.clone(), most);
                    let output_fits = fits.filter(|fits| fits.0 > 0);
                    return Err(PlanError::TooDear { model, ceiling, max, output_fits });
                }
            }
        }
    }
    let passed = passed.iter().map(|none| passed_over(routes, none)).collect();
    let (mut unspoken, mut unfit, mut dear, mut skipped) = (None, None, false, Vec::new());
    let mut candidates = Vec::with_capacity(route.targets.len());
    let mut standings = Vec::with_capacity(route.targets.len());
    for target in &route.targets {
        if let Err(why) = target.when.fits(&circumstances) {
            skipped.push(skip(target, why.as_str()));
            unfit = unfit.or(Some(why));
            continue;
        }
        match spoken(&call, model, &target.provider) {
            Ok(spoken) => {
                let knows = |strategy| route.strategy == strategy;
                let (input, region) = (call.input_estimate, circumstances.region);
                let cost = || cost(target, &snapshot.prices, input, output_bound, now);
                let needs_cost = moment.explains
                    || knows(Strategy::Cheapest)
                    || route.hedge.is_some()
                    || route.cost_percent_max.is_some();
                let cost = needs_cost.then(cost).flatten();
                if is_too_dear(cost, route, &quote, &call, output_bound) {
                    skipped.push(skip(target, "cost"));
                    dear = true;
                    continue;
                }
                standings.push(Standing {
                    priority: target.priority,
                    weight: target.weight,
                    cost,
                    first_byte_us: knows(Strategy::Fastest)
                        .then(|| health.first_byte_us(target, region))
                        .flatten(),
                    in_flight: if knows(Strategy::LeastBusy) { health.in_flight(target) } else { 0 },
                });
                candidates.push(Candidate { target: target.clone(), spoken, cost });
            }
            Err(why) => {
                skipped.push(skip(target, "inexpressible"));
                unspoken = unspoken.or(Some(why));
            }
        }
    }
    if candidates.is_empty() {
        return Err(match (unspoken, unfit) {
            (Some(why), _) => PlanError::Unspoken(why),
            (None, Some(why)) => PlanError::NoneFits {
                model: model.id.clone(),
                why: format!("its targets are for other `{why}`"),
            },
            (None, None) if dear => PlanError::AllTooDear(model.id.clone()),
            (None, None) => PlanError::NoRoute(model.id.clone()),
        });
    }
    let mut chance = fastrand::Rng::with_seed(moment.seed);
    let order = order(route.strategy, &standings, |below| chance.u64(..below));
    let in_order = order.into_iter().filter_map(|place| candidates.get(place).cloned());
    let (mut targets, mut troubled) = (Vec::with_capacity(candidates.len()), Vec::new());
    for candidate in in_order {
        match health.trouble(&candidate.target) {
            None => targets.push(candidate),
            Some(why) => {
                skipped.push(skip(&candidate.target, why));
                troubled.push(candidate);
            }
        }
    }
    targets.extend(troubled);
    let region = circumstances.region.map(str::to_owned);
    let (route, instead) = (Arc::clone(route), Vec::new());
    Ok(Planned {
        route,
        quote,
        targets,
        output_bound,
        region,
        charged,
        only_when_short: false,
        passed,
        skipped,
        output_cap,
        instead,
        so_far: None,
        call,
    })
}

/// Whether a call would cost us more at a target than its route allows of what its customer pays. Unknown is too dear.
fn is_too_dear(cost: Option<i64>, route: &Route, quote: &Quote, call: &Call, output: Tokens) -> bool {
    let Some(percent) = route.cost_percent_max else { return false };
    let usage =
        Usage { input: call.input_estimate, output: output.min(Tokens(OUTPUT_EXPECTED)), ..Usage::default() };
    let tier = tier_for(&quote.tiers, usage.prompt());
    let rates = tier.map_or(&quote.rates, |tier| &tier.prices);
    let paid = rates.charge(&usage).map_or(0, NanoCny::get);
    cost.is_none_or(|cost| i128::from(cost) * 100 > i128::from(paid) * i128::from(percent))
}

fn skip(target: &Target, why: &str) -> Skipped {
    Skipped { target: format!("{}/{}", target.provider.id, target.upstream_model), why: why.to_owned() }
}

fn passed_over(routes: &Routes, none: &NoRoute<'_>) -> Passed {
    let place = || routes.0.iter().position(|route| std::ptr::eq(route.as_ref(), none.route));
    Passed {
        route: none.route.name.clone().unwrap_or_else(|| (place().map_or(0, |place| place + 1)).to_string()),
        why: none.why.map_or("name", Unfit::as_str).to_owned(),
    }
}

/// What the call holds, and what it wants.
fn modalities(call: &Call) -> BTreeSet<Modality> {
    let wants = if call.endpoint == Endpoint::Embeddings { Modality::Vector } else { Modality::Text };
    [Some(wants), call.has_pictures.then_some(Modality::Image)].into_iter().flatten().collect()
}

fn why_none(passed: &[NoRoute<'_>], wanted: Option<&str>) -> String {
    let others: BTreeSet<&str> = passed.iter().filter_map(|none| Some(none.why?.as_str())).collect();
    let others: Vec<String> = others.into_iter().map(|clause| format!("`{clause}`")).collect();
    match (wanted, others.as_slice()) {
        (Some(name), []) => format!("it has no route called `{name}`"),
        (_, clauses) => format!("its routes are for other {}", clauses.join(" and ")),
    }
}
