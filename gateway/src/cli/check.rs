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
    if !settings.amiss.is_empty() {
        return Err(Failed { exit: Exit::Invalid, error: anyhow::anyhow!("{}", settings.amiss) });
    }
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
    if settings.cache.redis.is_some() {
        println!("{}", shared_answers(&settings));
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

/// Who is given the answers that are kept in Redis.
fn shared_answers(settings: &Settings) -> &'static str {
    if settings.table.routes.values().flat_map(|routes| &routes.0).all(|route| route.cache.is_none()) {
        "answers would be shared in Redis, but no route has a `cache`"
    } else if settings.server.key_secret.is_none() {
        "answers are kept in Redis too, and shared with nobody: other nodes read them where `server.key_secret` is the same"
    } else {
        "answers are kept in Redis too, and shared with nodes that have the same `server.key_secret`"
    }
}

/// `config schema`
pub(super) fn schema() -> Result<Exit, Failed> {
    println!("{:#}", settings::schema());
    Ok(Exit::Ok)
}
