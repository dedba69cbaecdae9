//! What does an operator know better? Lines of an own folder, over those that are built in: checked whole or refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Catalog, CatalogModel, Models, Source, lines, models, source};

/// A file of an operator's folder: its name without the folder, and its text.
#[derive(Debug, Clone)]
pub struct OverlayFile {
    /// `PROVIDER.jsonl` or `sources.toml`.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Everything that is wrong with an operator's folder, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadOverlay(pub Vec<String>);

impl fmt::Display for BadOverlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Catalog {
    /// This catalog, with these lines over its own: a line counts instead of the built-in one about the same model.
    ///
    /// # Errors
    /// [`BadOverlay`]: then nothing of it counts.
    pub fn with_overlay(&self, files: &[OverlayFile]) -> Result<Self, BadOverlay> {
        let mut wrong = Vec::new();
        let mut with = self.clone();
        for file in files.iter().filter(|file| file.name == "sources.toml") {
            match source::read(&file.text) {
                Ok(sources) => with.sources.extend(sources),
                Err(error) => wrong.push(error),
            }
        }
        for file in files.iter().filter(|file| file.name != "sources.toml") {
            let Some(provider) = file.name.strip_suffix(".jsonl") else {
                wrong.push(format!("{}: a catalog has PROVIDER.jsonl and sources.toml", file.name));
                continue;
            };
            if !self.shelves.contains_key(provider) {
                let near = crate::nearest(provider, self.shelves.keys().map(String::as_str));
                let help = near.map_or(String::new(), |near| format!("; did you mean `{near}.jsonl`?"));
                wrong.push(format!("{}: no provider is called so{help}", file.name));
                continue;
            }
            match models(provider, &file.text) {
                Ok(models) => {
                    wrong.extend(with.unknown_sources(&models).map(|text| format!("{}: {text}", file.name)));
                    with.overlay.entry(provider.to_owned()).or_default().extend(models);
                }
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(with) } else { Err(BadOverlay(wrong)) }
    }

    /// Models that name a source which nothing is known of.
    pub(super) fn unknown_sources<'a>(&'a self, models: &'a Models) -> impl Iterator<Item = String> {
        models.values().flat_map(|model| {
            let costs = model.cost.iter().chain(&model.also).map(|cost| &cost.source);
            let named: BTreeSet<&String> = costs.chain([&model.source]).collect();
            let unknown = named.into_iter().filter(|source| !self.sources.contains_key(*source));
            unknown.map(|source| {
                format!("`{}` names the source `{source}`, which is not in sources.toml", model.id)
            })
        })
    }
}

/// Models and where they come from, as files of an operator's folder.
pub fn overlay_lines<'a>(
    models: impl IntoIterator<Item = &'a CatalogModel>,
    sources: &BTreeMap<String, Source>,
) -> Vec<OverlayFile> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for model in models {
        let text = files.entry(model.provider.as_str()).or_default();
        text.push_str(&lines::write(model));
        text.push('\n');
    }
    let lists =
        files.into_iter().map(|(provider, text)| OverlayFile { name: format!("{provider}.jsonl"), text });
    // Cannot fail: plain data, string keys.
    let text = toml::to_string(sources).unwrap_or_default();
    lists.chain([OverlayFile { name: "sources.toml".to_owned(), text }]).collect()
}
