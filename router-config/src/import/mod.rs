//! What do others say of models and their costs, and how does that differ from our catalog? Only proposed, never applied.
//!
//! Two formats are read: LiteLLM's price map (`model_prices_and_context_window.json`) and models.dev's `api.json`. Both are in
//! US dollars, so they are laid against our figures in dollars; a price in yuan beside them stays as it is.

mod diff;
mod exact;
mod litellm;
mod models_dev;

use std::collections::{BTreeMap, BTreeSet};

use units::Tokens;

pub use self::diff::{Change, ImportDiff, Proposal, Value, diff};
use crate::{Capability, Catalog, Figures, Modality, ModelKind};

/// Whose format it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// LiteLLM's `model_prices_and_context_window.json`.
    Litellm,
    /// models.dev's `api.json`.
    ModelsDev,
}

impl ImportFormat {
    /// The word for it, which is also the id of the catalog's source.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Litellm => "litellm",
            Self::ModelsDev => "models.dev",
        }
    }
}

/// A file that is none of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct BadImport {
    /// Counted from one.
    pub line: usize,
    /// Counted from one.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl BadImport {
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default().to_owned();
        Self { line: error.line(), column: error.column(), what }
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Imported {
    /// By our provider and its name for the model.
    models: BTreeMap<(String, String), Said>,
    /// Everything that is named of our providers, understood or not.
    named: BTreeSet<(String, String)>,
    /// Names that were not understood, and why.
    pub not_understood: BTreeMap<String, String>,
    /// Entries of providers that this catalog does not have, counted by provider.
    pub other_providers: BTreeMap<String, usize>,
    /// Prices of kinds that a catalog has no place for, counted by their names.
    pub other_prices: BTreeMap<String, usize>,
}

/// What is said of a model. Nothing said is nothing known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    kind: Option<ModelKind>,
    prefix: bool,
    input_max: Option<Tokens>,
    output_max: Option<Tokens>,
    dimensions: Option<u32>,
    takes: BTreeSet<Modality>,
    gives: BTreeSet<Modality>,
    caps: BTreeSet<Capability>,
    base: Option<Figures>,
    tiers: BTreeMap<u64, Figures>,
    batch: Option<Figures>,
    flex: Option<Figures>,
    priority: Option<Figures>,
    retires: Option<String>,
}

/// Reads a file of one of the formats.
///
/// # Errors
/// [`BadImport`] where it is not JSON, or not of the format's outer shape. An entry that is not understood is reported in
/// [`Imported`] instead.
pub fn read(format: ImportFormat, text: &str, catalog: &Catalog) -> Result<Imported, BadImport> {
    match format {
        ImportFormat::Litellm => litellm::read(text, catalog),
        ImportFormat::ModelsDev => models_dev::read(text, catalog),
    }
}

impl Imported {
    /// Notes what is said of a model; a price of nothing is a placeholder as often as a gift.
    fn note(&mut self, name: &str, provider: &str, id: &str, said: Result<Said, String>) {
        let key = (provider.to_owned(), id.to_owned());
        self.named.insert(key.clone());
        let free = |said: &Said| {
            let zero =
                |figures: &Figures| figures.input.0 == 0 && figures.output.is_none_or(|output| output.0 == 0);
            said.base.as_ref().is_some_and(zero)
        };
        match said {
            Ok(said) if free(&said) => {
                let why = "it costs nothing, which is often a placeholder: write it by hand if it is free";
                self.not_understood.insert(name.to_owned(), why.to_owned());
            }
            Ok(said) => {
                self.models.insert(key, said);
            }
            Err(why) => {
                self.not_understood.insert(name.to_owned(), why);
            }
        }
    }

    fn count(map: &mut BTreeMap<String, usize>, name: &str) {
        *map.entry(name.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
