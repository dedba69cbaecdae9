//! Is the file right?

use std::path::Path;

use super::{Exit, Failed};
use crate::settings::{self, Settings};

/// Reads the settings, or says all that is wrong with them.
pub(super) fn load(file: &Path) -> Result<Settings, Failed> {
    Settings::load(file).map_err(|errors| Failed { exit: Exit::Invalid, error: anyhow::anyhow!("{errors}") })
}

/// `check-config`
pub(super) fn check(file: &Path) -> Result<Exit, Failed> {
    let settings = load(file)?;
    println!(
        "{}: ok: {} providers, {} models, {} routes, {} merchants",
        file.display(),
        settings.table.providers.len(),
        settings.table.models.len(),
        settings.table.routes.len(),
        settings.payments.merchants.len(),
    );
    if settings.limits.redis.is_some() {
        let share = settings.table.limits.nodes.map_or_else(
            || "by as many nodes as were last seen; `limits.nodes` may say how many there are".to_owned(),
            |nodes| format!("by {nodes}, as `limits.nodes` says"),
        );
        println!("limits are counted in Redis, and while it is away divided {share}");
    }
    let waiting = settings.table.models.values().filter(|model| model.price.is_none());
    let waiting: Vec<&str> = waiting.map(|model| model.id.as_str()).collect();
    if !waiting.is_empty() {
        println!(
            "without a price here, so sold only once a price list has them: {} — see `tollgate prices draft \
             --from-catalog`",
            waiting.join(", ")
        );
    }
    Ok(Exit::Ok)
}

/// `config schema`
pub(super) fn schema() -> Result<Exit, Failed> {
    println!("{:#}", settings::schema());
    Ok(Exit::Ok)
}
