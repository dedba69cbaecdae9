//! Where do figures come from, and as of when? A price without a date says nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lines::is_day;

/// Where figures come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// In words.
    pub what: String,
    /// As of which year, month or day: `2026`, `2026-11`, `2026-11-21`.
    pub as_of: String,
}

/// Reads the sources, by id.
///
/// # Errors
/// What is wrong with them, in words.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Source>, String> {
    let sources: BTreeMap<String, Source> =
        toml::from_str(text).map_err(|error| format!("sources.toml: {error}"))?;
    for (id, source) in &sources {
        let dated = [source.as_of.clone(), format!("{}-01", source.as_of), format!("{}-01-01", source.as_of)];
        if !dated.iter().any(|text| is_day(text)) {
            return Err(format!("sources.toml: `{id}` has no date like 2026, 2026-11 or 2026-11-21"));
        }
    }
    Ok(sources)
}
