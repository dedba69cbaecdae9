//! The decision.

use std::{collections::BTreeSet, sync::Arc};

use payments::prices::{PriceError, Quote};
use router_config::{Circumstances, Modality, Route, Standing, Strategy, Target, order};
use units::{Timestamp, Tokens};

use super::{
    Snapshot,
    cost::cost,
    spoken::{Unspoken, spoken},
};
use crate::chat::{Call, Endpoint, Spoken, Trail};

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
    /// What the upstream is told when the client named no maximum: for each answer.
    pub output_cap: Option<Tokens>,
}

/// A target that can take a call.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Whom to ask.
    pub target: Target,
    /// In which words.
    pub spoken: Spoken,
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
    /// False while a target rests after a failure.
    fn is_well(&self, target: &Target) -> bool;

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
    /// The table has a model that nobody serves: a broken snapshot.
    #[error("The model `{0}` has no route.")]
    NoRoute(String),
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

/// Decides who serves `call`, at which price of the `moment`, and how much is to be set aside for it.
///
/// # Errors
/// [`PlanError`].
pub fn plan(mut call: Call, snapshot: &Snapshot, moment: &Moment<'_>) -> Result<Planned, PlanError> {
    let Moment { now, health, .. } = *moment;
    // A name longer than any of ours is not worth comparing.
    let near = |model: &str| if model.len() <= 128 { snapshot.nearest(model) } else { Vec::new() };
    let (key, modalities) = (call.caller.key.to_string(), modalities(&call));
    let wishes = call.wishes.clone();
    let circumstances = Circumstances {
        key: &key,
        tier: snapshot.prices.list_of(call.caller.account),
        tags: &wishes.tags,
        task: wishes.task.as_deref(),
        modalities: &modalities,
        region: wishes.region.as_deref().or(moment.region),
        input_tokens: call.input_estimate.0,
        now,
    };
    let meant = snapshot.table.meant(&call.model, &circumstances);
    if meant != call.model {
        call.model = meant.to_owned();
    }
    let Some(model) = snapshot.table.models.get(&call.model) else {
        return Err(PlanError::UnknownModel { nearest: near(&call.model), model: call.model });
    };
    call.seen.note(&model.id);
    let routes = snapshot.table.routes.get(&model.id).ok_or_else(|| PlanError::NoRoute(model.id.clone()))?;
    let route = routes.pick(&circumstances, wishes.route.as_deref()).map_err(|passed| {
        PlanError::NoneFits { model: model.id.clone(), why: why_none(&passed, wishes.route.as_deref()) }
    })?;
    let quote = snapshot.prices.quote(call.caller.account, &model.id, now, call.input_bound);
    let quote = quote.map_err(|reason| PlanError::PriceUnavailable { model: call.model.clone(), reason })?;
    let each = call.output_max.unwrap_or_else(|| model.output_max.min(route.hold_output_tokens));
    let output_bound = Tokens(each.0.saturating_mul(u64::from(call.n)));
    let output_cap = call.output_max.is_none().then_some(each);
    let (mut unspoken, mut unfit) = (None, None);
    let mut candidates = Vec::with_capacity(route.targets.len());
    let mut standings = Vec::with_capacity(route.targets.len());
    for target in &route.targets {
        if let Err(why) = target.when.fits(&circumstances) {
            unfit = unfit.or(Some(why));
            continue;
        }
        match spoken(&call, model, &target.provider) {
            Ok(spoken) => {
                let knows = |strategy| route.strategy == strategy;
                let (input, region) = (call.input_estimate, circumstances.region);
                let cost = || cost(target, &snapshot.prices, input, output_bound, now);
                standings.push(Standing {
                    priority: target.priority,
                    weight: target.weight,
                    cost: knows(Strategy::Cheapest).then(cost).flatten(),
                    first_byte_us: knows(Strategy::Fastest)
                        .then(|| health.first_byte_us(target, region))
                        .flatten(),
                    in_flight: if knows(Strategy::LeastBusy) { health.in_flight(target) } else { 0 },
                });
                candidates.push(Candidate { target: target.clone(), spoken });
            }
            Err(why) => unspoken = unspoken.or(Some(why)),
        }
    }
    if candidates.is_empty() {
        return Err(match (unspoken, unfit) {
            (Some(why), _) => PlanError::Unspoken(why),
            (None, Some(why)) => PlanError::NoneFits {
                model: model.id.clone(),
                why: format!("its targets are for other `{why}`"),
            },
            (None, None) => PlanError::NoRoute(model.id.clone()),
        });
    }
    let mut chance = fastrand::Rng::with_seed(moment.seed);
    let order = order(route.strategy, &standings, |below| chance.u64(..below));
    let in_order = order.into_iter().filter_map(|place| candidates.get(place).cloned());
    let (mut targets, resting): (Vec<_>, Vec<_>) =
        in_order.partition(|candidate| health.is_well(&candidate.target));
    targets.extend(resting);
    let region = circumstances.region.map(str::to_owned);
    Ok(Planned { route: Arc::clone(route), quote, targets, output_bound, region, output_cap, call })
}

/// What the call holds, and what it wants.
fn modalities(call: &Call) -> BTreeSet<Modality> {
    let wants = if call.endpoint == Endpoint::Embeddings { Modality::Vector } else { Modality::Text };
    [Some(wants), call.has_pictures.then_some(Modality::Image)].into_iter().flatten().collect()
}

fn why_none(passed: &[router_config::NoRoute<'_>], wanted: Option<&str>) -> String {
    let others: BTreeSet<&str> = passed.iter().filter_map(|none| Some(none.why?.as_str())).collect();
    let others: Vec<String> = others.into_iter().map(|clause| format!("`{clause}`")).collect();
    match (wanted, others.as_slice()) {
        (Some(name), []) => format!("it has no route called `{name}`"),
        (_, clauses) => format!("its routes are for other {}", clauses.join(" and ")),
    }
}
