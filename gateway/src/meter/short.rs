//! What is done about a call that money does not cover?

use router_config::WhenShort;
use units::{NanoCny, Tokens};

use super::Refusal;
use crate::plan::{CLAMPED_MIN, Planned, affordable};

/// A call that no model of those allowed could be paid for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("available {available} yuan, required {required} yuan with `{model}`")]
pub struct Short {
    /// What the account could still set aside.
    pub available: NanoCny,
    /// What the call needs with the cheapest of the models allowed.
    pub required: NanoCny,
    /// That model.
    pub model: String,
    /// So long an answer of it would be covered, where that is worth anything.
    pub output_fits: Option<Tokens>,
}

impl Short {
    /// Of a refused plan; `None` where it was not refused for lack of balance.
    pub(super) fn of(planned: &Planned, refusal: &Refusal) -> Option<Self> {
        let Refusal::InsufficientFunds { available, required } = *refusal else { return None };
        let fits = affordable(&planned.quote, planned.call.input_bound, available);
        let fits = fits.map(|output| Tokens(output.0 / u64::from(planned.call.n.max(1))));
        let model = planned.route.model.id.clone();
        Some(Self { available, required, model, output_fits: fits.filter(|output| *output >= CLAMPED_MIN) })
    }
}

/// The plan with an answer as short as what is left, where its route has that; `None` where that would be too short.
pub(super) fn clamped(planned: &Planned, refusal: &Refusal) -> Option<Planned> {
    if planned.route.when_short != WhenShort::Clamp {
        return None;
    }
    let (left, required) = match refusal {
        Refusal::InsufficientFunds { available, required } => (*available, *required),
        Refusal::OverBudget(budget) => {
            let used = budget.spent.plus(budget.reserved).ok()?;
            (budget.limit.minus(used).ok()?, budget.required)
        }
        _ => return None,
    };
    // By what is missing, not by what is left: tokens that were bought may cover a part.
    let missing = u64::try_from(required.minus(left).ok()?.get()).ok()?;
    let rates =
        std::iter::once(&planned.quote.rates).chain(planned.quote.tiers.iter().map(|tier| &tier.prices));
    let cheapest = rates.map(|rates| rates.output.get()).min().and_then(|nano| u64::try_from(nano).ok())?;
    let less = missing.div_ceil(cheapest.max(1));
    let each = Tokens(planned.output_bound.0.checked_sub(less)? / u64::from(planned.call.n.max(1)));
    (each >= CLAMPED_MIN).then(|| Planned {
        output_bound: Tokens(each.0.saturating_mul(u64::from(planned.call.n))),
        output_cap: Some(each),
        ..planned.clone()
    })
}
