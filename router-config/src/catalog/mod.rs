//! What is known of providers and their models, before anybody has configured anything?
//!
//! The files stand in `catalog/` beside this crate's sources and are part of the program: a TOML file for each provider
//! ([`ProviderFacts`]), one model a line beside it ([`CatalogModel`]), and where all that comes from ([`Source`]). Prices are
//! our cost, dated, and a proposal: what a customer pays is published elsewhere. A price that is not there is unknown, and
//! never free. Lines of an operator's own may stand over those that are built in ([`Catalog::with_overlay`]).

mod facts;
mod lines;
mod model;
mod overlay;
mod source;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

pub use self::{
    facts::{ImportNames, OtherRegion, ProviderFacts},
    model::{CatalogModel, Cost, CostTier, Figures, OffPeak, UtcWindow},
    overlay::{BadOverlay, OverlayFile, overlay_lines},
    source::Source,
};

/// The kind that nothing is known of.
pub const ANY_KIND: &str = "openai-compatible";

macro_rules! files {
    ($($id:literal $($models:literal)?,)+) => {
        /// The files, by the provider's id: what is known of it, and its models.
        const FILES: &[(&str, &str, &str)] = &[$((
            $id,
            include_str!(concat!("../../catalog/", $id, ".toml")),
            concat!($(include_str!(concat!("../../catalog/", $models, ".jsonl")))?),
        )),+];
    };
}

files! {
    "openai" "openai", "azure" "azure", "anthropic" "anthropic", "gemini" "gemini", "mistral" "mistral",
    "deepseek" "deepseek", "dashscope" "dashscope", "dashscope-cn" "dashscope-cn", "moonshot" "moonshot", "zai" "zai",
    "bigmodel" "bigmodel", "minimax" "minimax", "volcengine" "volcengine", "tencent" "tencent", "hunyuan",
    "siliconflow" "siliconflow", "siliconflow-cn" "siliconflow-cn", "groq" "groq", "together" "together",
    "fireworks" "fireworks", "xai" "xai", "openrouter" "openrouter", "cohere" "cohere", "cerebras" "cerebras",
    "perplexity" "perplexity", "deepinfra" "deepinfra", "novita" "novita", "sambanova" "sambanova", "voyage" "voyage",
    "vllm", "ollama", "llama-cpp", "lm-studio", "openai-compatible",
}

/// Models by what their provider calls them.
type Models = BTreeMap<String, Arc<CatalogModel>>;

/// Everything that is known.
#[derive(Debug, Clone)]
pub struct Catalog {
    shelves: BTreeMap<String, Arc<Shelf>>,
    /// By provider: what stands over the shelves.
    overlay: BTreeMap<String, Models>,
    sources: BTreeMap<String, Source>,
}

/// A provider and its models, which are read when they are first asked for.
#[derive(Debug)]
struct Shelf {
    facts: Arc<ProviderFacts>,
    text: &'static str,
    models: OnceLock<Models>,
}

impl Shelf {
    fn models(&self) -> &Models {
        // A test reads every line: what is built in is right.
        let read = || models(&self.facts.id, self.text);
        self.models.get_or_init(|| read().unwrap_or_else(|wrong| panic!("the built-in catalog: {wrong}")))
    }
}

/// What is known without being told. Providers are read when it is first asked for, models when they are.
pub fn catalog() -> &'static Arc<Catalog> {
    static BUILT_IN: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
        Arc::new(Catalog::built_in().unwrap_or_else(|wrong| panic!("the built-in catalog: {wrong}")))
    });
    &BUILT_IN
}

/// Reads the models of a provider, one a line.
fn models(provider: &str, text: &str) -> Result<Models, String> {
    let mut models = Models::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{provider}.jsonl:{}", number + 1);
        let model = lines::read(provider, line).map_err(|wrong| format!("{}: {wrong}", place()))?;
        let id = model.id.clone();
        if models.insert(id.clone(), Arc::new(model)).is_some() {
            return Err(format!("{}: `{id}` stands here twice", place()));
        }
    }
    Ok(models)
}

impl Catalog {
    fn built_in() -> Result<Self, String> {
        let shelf = |(id, facts, text): &(&str, &str, &'static str)| {
            let facts = Arc::new(ProviderFacts::read(id, facts)?);
            Ok(((*id).to_owned(), Arc::new(Shelf { facts, text, models: OnceLock::new() })))
        };
        Ok(Self {
            shelves: FILES.iter().map(shelf).collect::<Result<_, String>>()?,
            overlay: BTreeMap::new(),
            sources: source::read(include_str!("../../catalog/sources.toml"))?,
        })
    }

    /// A provider by the word for it in a file, its id or another name.
    pub fn provider(&self, kind: &str) -> Option<&Arc<ProviderFacts>> {
        let alias = || self.providers().find(|facts| facts.aliases.iter().any(|alias| alias == kind));
        self.shelves.get(kind).map(|shelf| &shelf.facts).or_else(alias)
    }

    /// Every provider, by id.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderFacts>> + Clone {
        self.shelves.values().map(|shelf| &shelf.facts)
    }

    /// The model that this provider calls so: by its name, or else by the longest beginning that is listed as one.
    pub fn model(&self, provider: &str, upstream_model: &str) -> Option<&Arc<CatalogModel>> {
        let (over, under) = self.of(provider)?;
        let exact = over.and_then(|models| models.get(upstream_model)).or_else(|| under.get(upstream_model));
        let fits = |model: &&Arc<CatalogModel>| model.prefix && upstream_model.starts_with(&model.id);
        let both = || over.into_iter().chain([under]).flat_map(BTreeMap::values).filter(fits);
        // The first of equals is the overlay's.
        exact.or_else(|| {
            both().reduce(|best, model| if model.id.len() > best.id.len() { model } else { best })
        })
    }

    /// The models of a provider, by what it calls them.
    pub fn models_of(&self, provider: &str) -> Vec<&Arc<CatalogModel>> {
        let Some((over, under)) = self.of(provider) else { return Vec::new() };
        let mut models: BTreeMap<&String, &Arc<CatalogModel>> = under.iter().collect();
        models.extend(over.into_iter().flatten());
        models.into_values().collect()
    }

    /// Every model, by provider and by what it calls them.
    pub fn models(&self) -> impl Iterator<Item = &Arc<CatalogModel>> {
        self.shelves.keys().flat_map(|provider| self.models_of(provider))
    }

    /// Where a figure comes from.
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.sources.get(id)
    }

    fn of(&self, provider: &str) -> Option<(Option<&Models>, &Models)> {
        let shelf = self.shelves.get(&self.provider(provider)?.id)?;
        Some((self.overlay.get(&shelf.facts.id), shelf.models()))
    }
}

/// Every word that `providers[].kind` may be.
pub(crate) fn kinds() -> Vec<String> {
    let ids = FILES.iter().map(|(id, ..)| (*id).to_owned());
    let aliases = catalog().providers().flat_map(|facts| facts.aliases.iter().cloned());
    ids.chain(aliases).collect()
}

#[cfg(test)]
mod tests;
