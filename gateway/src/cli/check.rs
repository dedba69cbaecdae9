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
    Ok(Exit::Ok)
}

/// `config schema`
pub(super) fn schema() -> Result<Exit, Failed> {
    println!("{:#}", settings::schema());
    Ok(Exit::Ok)
}
