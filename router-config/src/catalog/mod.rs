//! What is known of providers and their models, before anybody has configured anything?
//!
//! The files stand in `catalog/` beside this crate's sources and are part of the program: a TOML file for each provider
//! ([`ProviderFacts`]) and one model a line beside it ([`CatalogModel`]). Prices are our cost, dated, and a proposal: what
//! a customer pays is published elsewhere. A price that is not there is unknown, and never free.

mod facts;
mod model;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

pub use self::{
    facts::{ImportNames, OtherRegion, ProviderFacts},
    model::{CatalogModel, Cost, CostTier, Figures, OffPeak, UtcWindow},
};

/// The kind that nothing is known of.
pub const ANY_KIND: &str = "openai-compatible";

macro_rules! files {
    ($($id:literal)+) => {
        /// The files, by the provider's id.
        const FILES: &[(&str, &str)] =
            &[$(($id, include_str!(concat!("../../catalog/", $id, ".toml")))),+];
    };
}

files! {
    "openai" "azure" "anthropic" "gemini" "mistral" "deepseek" "dashscope" "dashscope-cn" "moonshot" "zai" "bigmodel" "minimax"
    "volcengine" "tencent" "hunyuan" "siliconflow" "siliconflow-cn" "groq" "together" "fireworks" "xai" "openrouter" "cohere"
    "cerebras" "perplexity" "deepinfra" "novita" "sambanova" "voyage" "vllm" "ollama" "llama-cpp" "lm-studio" "openai-compatible"
}

/// Everything that is known.
#[derive(Debug, Clone)]
pub struct Catalog {
    providers: BTreeMap<String, Arc<ProviderFacts>>,
}

/// What is known without being told: read when it is first asked for.
pub fn catalog() -> &'static Arc<Catalog> {
    static BUILT_IN: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
        // A test reads every file: what is built in is right.
        Arc::new(Catalog::built_in().unwrap_or_else(|wrong| panic!("the built-in catalog: {wrong}")))
    });
    &BUILT_IN
}

impl Catalog {
    fn built_in() -> Result<Self, String> {
        let facts = FILES.iter().map(|(id, text)| {
            let facts = ProviderFacts::read(id, text)?;
            Ok(((*id).to_owned(), Arc::new(facts)))
        });
        Ok(Self { providers: facts.collect::<Result<_, String>>()? })
    }

    /// A provider by the word for it in a file, its id or another name.
    pub fn provider(&self, kind: &str) -> Option<&Arc<ProviderFacts>> {
        let alias = || self.providers.values().find(|facts| facts.aliases.iter().any(|alias| alias == kind));
        self.providers.get(kind).or_else(alias)
    }

    /// Every provider, by id.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderFacts>> + Clone {
        self.providers.values()
    }
}

/// Every word that `providers[].kind` may be.
pub(crate) fn kinds() -> Vec<String> {
    let ids = FILES.iter().map(|(id, _)| (*id).to_owned());
    let aliases = catalog().providers().flat_map(|facts| facts.aliases.iter().cloned());
    ids.chain(aliases).collect()
}

#[cfg(test)]
mod tests;
