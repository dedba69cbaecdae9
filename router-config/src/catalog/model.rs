//! What is known of a model: what it takes and gives, and what its provider asks for it.
//!
//! Prices here are our cost. What a customer pays stands in a price list.

use std::collections::BTreeSet;

use units::{Timestamp, Tokens};

use crate::{Capability, Currency, MicroPerMillion, Modality, ModelKind, Region};

/// What is known of a model at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogModel {
    /// The provider's id in the catalog.
    pub provider: String,
    /// What the provider calls it.
    pub id: String,
    /// Whether it is meant for every model whose name begins so, such as fine-tuned ones.
    pub prefix: bool,
    /// Which endpoints it answers at.
    pub kind: ModelKind,
    /// Tokens of the largest prompt.
    pub input_max: Option<Tokens>,
    /// Tokens of the largest answer.
    pub output_max: Option<Tokens>,
    /// Numbers of a vector that it gives.
    pub dimensions: Option<u32>,
    /// What it takes.
    pub takes: BTreeSet<Modality>,
    /// What it gives.
    pub gives: BTreeSet<Modality>,
    /// What it is said to be able to.
    pub caps: BTreeSet<Capability>,
    /// What the provider asks for it. `None` is unknown, which is not free.
    pub cost: Option<Cost>,
    /// The same in other currencies that the provider bills in, or somebody's conversion.
    pub also: Vec<Cost>,
    /// The day on which the provider shuts it down, `2027-01-14`, if it said so.
    pub retires: Option<String>,
    /// What a person should know.
    pub note: Option<String>,
    /// Where its facts come from: an id in the catalog's sources.
    pub source: String,
}

/// What a provider asks for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// What the figures are in.
    pub currency: Currency,
    /// Where they come from: an id in the catalog's sources.
    pub source: String,
    /// For prompts that reach no tier, outside of every window.
    pub base: Figures,
    /// For larger prompts, ascending.
    pub tiers: Vec<CostTier>,
    /// Parts of the week with figures of their own.
    pub off_peak: Option<OffPeak>,
    /// For calls that may take a day.
    pub batch: Option<Figures>,
    /// For calls that may wait.
    pub flex: Option<Figures>,
    /// For calls that may not.
    pub priority: Option<Figures>,
}

/// What a million tokens of each class cost. What is absent follows the rules of its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Fresh input.
    pub input: MicroPerMillion,
    /// Output. `None` where nothing is told of it, as for embeddings.
    pub output: Option<MicroPerMillion>,
    /// Input read from a cache.
    pub cached_input: Option<MicroPerMillion>,
    /// Input written to a cache that keeps it for some minutes.
    pub cache_write: Option<MicroPerMillion>,
    /// Input written to a cache that keeps it for an hour.
    pub cache_write_1h: Option<MicroPerMillion>,
    /// Input written to a cache that keeps it for twelve hours.
    pub cache_write_12h: Option<MicroPerMillion>,
    /// Output of a call that thinks.
    pub reasoning: Option<MicroPerMillion>,
    /// Input that is sound.
    pub audio_input: Option<MicroPerMillion>,
    /// Output that is sound.
    pub audio_output: Option<MicroPerMillion>,
}

impl Figures {
    /// Input read from a cache: as fresh input where nothing is told of it.
    pub fn cached_input_or_input(&self) -> MicroPerMillion {
        self.cached_input.unwrap_or(self.input)
    }

    /// Input written to a cache: as fresh input where nothing is told of it.
    pub fn cache_write_or_input(&self) -> MicroPerMillion {
        self.cache_write.unwrap_or(self.input)
    }

    /// Reasoning: as output where nothing is told of it.
    pub fn reasoning_or_output(&self) -> Option<MicroPerMillion> {
        self.reasoning.or(self.output)
    }
}

/// Figures from a size of prompt upwards. They count for every token of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostTier {
    /// For prompts of more than this many tokens.
    pub over_input: Tokens,
    /// What counts then.
    pub figures: Figures,
}

/// Parts of the week with figures of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffPeak {
    /// What counts then.
    pub figures: Figures,
    /// When, by the clock of UTC.
    pub windows_utc: Vec<UtcWindow>,
}

impl OffPeak {
    /// Whether `now` is within one of its windows.
    pub fn holds(&self, now: Timestamp) -> bool {
        let minutes = now.0.div_euclid(60_000_000);
        // The first of January 1970 was a Thursday, the fourth day of its week.
        let day = u8::try_from((minutes.div_euclid(1_440) + 3).rem_euclid(7) + 1).unwrap_or(1);
        let minute = minutes.rem_euclid(1_440);
        let within = |(from, to): &(u16, u16)| {
            let to = if *to == 0 { 1_440 } else { i64::from(*to) };
            (i64::from(*from)..to).contains(&minute)
        };
        self.windows_utc.iter().any(|window| window.days.contains(&day) && window.hours.iter().any(within))
    }
}

/// The same hours of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtcWindow {
    /// 1 is Monday, 7 is Sunday.
    pub days: Vec<u8>,
    /// Minutes after midnight at which each begins and ends; an end of 0 is the end of the day.
    pub hours: Vec<(u16, u16)>,
}

impl CatalogModel {
    /// Tokens of the largest prompt and its answer together, as far as that is known.
    pub fn context(&self) -> Option<Tokens> {
        self.input_max.map(|input| input.max(self.output_max.unwrap_or(Tokens(0))))
    }

    /// The line that says all this, without its end: JSON.
    pub fn line(&self) -> String {
        super::lines::write(self)
    }

    /// What an account on this side pays: yuan in mainland China where a price in yuan is known.
    pub fn cost_in(&self, region: Option<Region>) -> Option<&Cost> {
        let yuan = || self.also.iter().find(|cost| cost.currency == Currency::Cny);
        match region {
            Some(Region::Cn) => yuan().or(self.cost.as_ref()),
            _ => self.cost.as_ref(),
        }
    }
}
