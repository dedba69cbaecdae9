//! What is known of a provider: address, key, wire, peculiarities. One TOML file each, in `catalog/`.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use crate::{Auth, Quirks, RawQuirks, Region, Wire};

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFacts {
    /// The word for it in the file, `kind`; the name of its file.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Other words for it.
    pub aliases: Vec<String>,
    /// Which wire it speaks.
    pub wire: Wire,
    /// How it is shown its key.
    pub auth: Auth,
    /// Where its API lives; `None` where every account has an address of its own.
    pub base_url: Option<String>,
    /// On which side it is, where there are two.
    pub region: Option<Region>,
    /// The other side.
    pub regions: BTreeMap<Region, OtherRegion>,
    /// How it cuts text into tokens, in words.
    pub tokenizer: Option<String>,
    /// What others call it.
    pub import: ImportNames,
    /// What is particular about it.
    pub quirks: Arc<Quirks>,
}

/// The other side of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherRegion {
    /// The same, at this address.
    Address(String),
    /// A provider of this catalog.
    Kind(String),
}

/// What other catalogs call a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportNames {
    /// In LiteLLM's price map, `litellm_provider`.
    pub litellm: Vec<String>,
    /// In models.dev's `api.json`, the provider's id.
    pub models_dev: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFacts {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    wire: Wire,
    auth: Option<String>,
    base_url: Option<String>,
    region: Option<Region>,
    #[serde(default)]
    regions: BTreeMap<Region, RawRegion>,
    tokenizer: Option<String>,
    #[serde(default)]
    import: ImportNames,
    #[serde(default)]
    quirks: RawQuirks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    base_url: Option<String>,
    kind: Option<String>,
}

impl ProviderFacts {
    /// Reads a provider's file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(id: &str, text: &str) -> Result<Self, String> {
        let raw: RawFacts = toml::from_str(text).map_err(|error| format!("{id}.toml: {error}"))?;
        let wrong = |what: &str| format!("{id}.toml: {what}");
        let auth = raw.auth.as_deref().unwrap_or("bearer").parse().map_err(|_| wrong("auth is no header"))?;
        let other = |(region, other): (Region, RawRegion)| {
            let other = match (other.base_url, other.kind) {
                (Some(address), None) => OtherRegion::Address(address),
                (None, Some(kind)) => OtherRegion::Kind(kind),
                _ => return Err(wrong("a region has either an address or a kind")),
            };
            Ok((region, other))
        };
        let mut quirks = Quirks::default();
        raw.quirks.put_over(&mut quirks);
        Ok(Self {
            id: id.to_owned(),
            name: raw.name,
            aliases: raw.aliases,
            wire: raw.wire,
            auth,
            base_url: raw.base_url,
            region: raw.region,
            regions: raw.regions.into_iter().map(other).collect::<Result<_, _>>()?,
            tokenizer: raw.tokenizer,
            import: raw.import,
            quirks: Arc::new(quirks),
        })
    }
}
