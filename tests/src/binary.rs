//! Which `tollgate` is tested? The one beside these tests, built by the same profile.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, ensure};

/// Names another binary to be tested, such as a release build.
const OTHER: &str = "TOLLGATE_BIN";
/// What the binary is built from: a change in these folders makes it old.
const SOURCES: [&str; 7] =
    ["units", "router-config", "payments", "gateway", "sim", "dashboards/src", "load-tests/src"];

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The binary. Built now if it is not there or older than its sources; test processes wait for one another.
///
/// # Panics
/// If it cannot be built: nothing could be tested.
pub fn tollgate() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| find().unwrap_or_else(|error| panic!("no tollgate to test: {error:#}")))
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(other) = crate::asked(OTHER) {
        return fs::canonicalize(&other).with_context(|| format!("{OTHER}={other}"));
    }
    let own = std::env::current_exe()?;
    // target/PROFILE/deps/journeys-0123456789abcdef
    let deps = own.ancestors().find(|folder| folder.ends_with("deps"));
    let folder = deps.and_then(Path::parent).context("these tests do not lie in a target folder")?;
    let profile =
        folder.file_name().and_then(|name| name.to_str()).context("a profile's folder has a name")?;
    let binary = folder.join(format!("tollgate{}", std::env::consts::EXE_SUFFIX));
    // Locked while one of many test processes builds, and written when it has: its age is that of the last look.
    let stamp = folder.join("tollgate.looked-at");
    let lock = File::options().create(true).append(true).open(&stamp)?;
    lock.lock()?;
    if !binary.exists() || changed()? > lock.metadata()?.modified()? || lock.metadata()?.len() == 0 {
        let profile = if profile == "debug" { "dev" } else { profile };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "gateway", "--bin", "tollgate", "--profile", profile])
            .current_dir(workspace())
            .status()?;
        ensure!(built.success(), "cargo build: {built}");
        fs::write(&stamp, "built\n")?;
    }
    Ok(binary)
}

/// When the sources were last changed.
fn changed() -> anyhow::Result<SystemTime> {
    let mut changed = SystemTime::UNIX_EPOCH;
    for folder in SOURCES {
        changed = changed.max(latest(&workspace().join(folder))?);
    }
    Ok(changed)
}

/// When anything in a folder was last changed.
fn latest(folder: &Path) -> anyhow::Result<SystemTime> {
    let mut changed = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            changed = changed.max(latest(&entry.path())?);
        } else {
            changed = changed.max(about.modified()?);
        }
    }
    Ok(changed)
}
