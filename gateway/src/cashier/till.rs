//! The meter's till, over the ledger.

use payments::{
    holds::{AdmitError, HoldRequest, Holds, OpenHold},
    ledger::HoldQuote,
    store::{Receipt, SubmitError},
};
use units::{Livemode, NanoCny, Timestamp, Usage};

use super::views;
use crate::{
    chat::Outcome,
    meter::{BudgetSpent, Hold, HoldAsk, HoldLost, Later, Refusal, Settled, Till},
};

/// Holds and settles in the ledger.
#[derive(Debug, Clone)]
pub struct LedgerTill {
    holds: Holds,
    clock: std::sync::Arc<dyn units::Clock>,
}

impl LedgerTill {
    /// Over these balances.
    pub fn new(holds: Holds, clock: std::sync::Arc<dyn units::Clock>) -> Self {
        Self { holds, clock }
    }
}

impl Till for LedgerTill {
    fn admit(&self, ask: HoldAsk) -> Later<'_, Result<Box<dyn Hold>, Refusal>> {
        Box::pin(async move {
            let model_livemode = ask.livemode;
            let quote = HoldQuote {
                price_version: ask.quote.price_version.clone(),
                fx_id: ask.quote.fx_id.clone(),
                rates: ask.quote.rates,
                input_estimate: ask.input_estimate,
                window: ask.quote.window.clone(),
                tiers: ask.quote.tiers.clone(),
                price_percent: ask.quote.price_percent,
            };
            let bound = Usage { input: ask.input_bound, output: ask.output_bound, ..Usage::default() };
            let request = HoldRequest {
                id: ask.request,
                account: ask.account,
                key: ask.key,
                money_only: ask.money_only,
                livemode: ask.livemode,
                model: ask.model.clone(),
                quote,
                bound,
                // The upstream is told to stop at the bound.
                most: bound,
            };
            let hold = self.holds.admit(request).await.map_err(|error| refusal(error, model_livemode))?;
            let opened_at = self.clock.now();
            Ok(Box::new(LedgerHold { hold, ask, opened_at, clock: self.clock.clone() }) as Box<dyn Hold>)
        })
    }
}

fn refusal(error: AdmitError, model: Livemode) -> Refusal {
    match error {
        AdmitError::Insufficient { available, required, held } => {
            let whole = available.plus(held).unwrap_or(available);
            if whole >= required {
                Refusal::TooMuchInFlight { held }
            } else {
                Refusal::InsufficientFunds { available, required }
            }
        }
        AdmitError::OverBudget(over) => Refusal::OverBudget(Box::new(BudgetSpent {
            whose: if over.key.is_some() { "key" } else { "account" },
            period: over.period.as_str(),
            limit: over.limit,
            spent: over.spent,
            reserved: over.reserved,
            required: over.required,
            resets_at: over.resets_at,
        })),
        AdmitError::Inactive => Refusal::AccountInactive,
        AdmitError::Livemode(account) => Refusal::LivemodeMismatch { account, model },
        AdmitError::OutOfRange => Refusal::OutOfRange,
        AdmitError::Store(SubmitError::Busy) => Refusal::Busy,
        AdmitError::Store(error) => Refusal::Unavailable(error.to_string()),
    }
}

#[derive(Debug)]
struct LedgerHold {
    hold: OpenHold,
    ask: HoldAsk,
    opened_at: Timestamp,
    clock: std::sync::Arc<dyn units::Clock>,
}

impl Hold for LedgerHold {
    fn durable(&mut self) -> Later<'_, Result<(), HoldLost>> {
        Box::pin(async move { self.hold.durable().await.map_err(|error| HoldLost(error.to_string())) })
    }

    fn amount(&self) -> NanoCny {
        self.hold.money()
    }

    fn extend(&mut self, usage_bound: Usage) {
        self.hold.extend(&usage_bound);
    }

    fn progress(&mut self, usage: Usage) {
        self.hold.progress(usage);
    }

    fn settle(self: Box<Self>, outcome: Outcome) -> Settled {
        let Self { hold, ask, opened_at, clock } = *self;
        let ended_at = clock.now();
        let used = outcome.usage.map(|usage| (usage, outcome.estimated));
        let held = hold.money();
        let charged = hold.settle(used, |charged| Receipt {
            id: ask.request,
            account: ask.account,
            at: ended_at,
            body: views::receipt(&ask, &outcome, held, charged, opened_at, ended_at),
        });
        Settled { cost: charged.cost, balance: charged.available }
    }
}
