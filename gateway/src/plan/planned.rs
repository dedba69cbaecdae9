//! The decision.

use std::sync::Arc;

use payments::prices::{PriceError, Quote};
use router_config::{Route, Target};
use units::{Timestamp, Tokens};

use super::{
    Snapshot,
    spoken::{Unspoken, spoken},
};
use crate::chat::{Call, Spoken, Trail};

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
    /// Whom to ask, in this order, and in which words: those in good health first, the others after them.
    pub targets: Vec<Candidate>,
    /// Upper bound of the output, all `n` answers of it.
    pub output_bound: Tokens,
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

/// Who is well, as far as this process knows.
pub trait Health: Send + Sync + std::fmt::Debug {
    /// False while a target rests after a failure.
    fn is_well(&self, target: &Target) -> bool;
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

/// Decides who serves `call`, at which price of the instant `now`, and how much is to be set aside for it.
///
/// # Errors
/// [`PlanError`].
pub fn plan(
    call: Call,
    snapshot: &Snapshot,
    health: &dyn Health,
    now: Timestamp,
) -> Result<Planned, PlanError> {
    // A name longer than any of ours is not worth comparing.
    let near = |model: &str| if model.len() <= 128 { snapshot.nearest(model) } else { Vec::new() };
    let Some(model) = snapshot.table.models.get(&call.model) else {
        return Err(PlanError::UnknownModel { nearest: near(&call.model), model: call.model });
    };
    call.seen.note(&model.id);
    let route = snapshot.table.routes.get(&model.id).ok_or_else(|| PlanError::NoRoute(model.id.clone()))?;
    let quote = snapshot.prices.quote(call.caller.account, &model.id, now, call.input_bound);
    let quote = quote.map_err(|reason| PlanError::PriceUnavailable { model: call.model.clone(), reason })?;
    let each = call.output_max.unwrap_or_else(|| model.output_max.min(route.hold_output_tokens));
    let output_bound = Tokens(each.0.saturating_mul(u64::from(call.n)));
    let output_cap = call.output_max.is_none().then_some(each);
    let mut unspoken = None;
    let mut candidates = Vec::with_capacity(route.targets.len());
    for target in &route.targets {
        match spoken(&call, model, &target.provider) {
            Ok(spoken) => candidates.push(Candidate { target: target.clone(), spoken }),
            Err(why) => unspoken = unspoken.or(Some(why)),
        }
    }
    if let (true, Some(why)) = (candidates.is_empty(), unspoken) {
        return Err(PlanError::Unspoken(why));
    }
    let (mut targets, resting): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| health.is_well(&candidate.target));
    targets.extend(resting);
    Ok(Planned { route: Arc::clone(route), quote, targets, output_bound, output_cap, call })
}
