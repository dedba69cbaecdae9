//! Saying that everything listens, and where: a file that another process waits for.

use std::{io, path::Path};

use serde_json::Value;

/// Writes `says` to `path` so that a reader sees all of it or nothing.
pub(super) fn write(path: &Path, says: &Value) -> io::Result<()> {
    let draft = path.with_extension("tmp");
    std::fs::write(&draft, says.to_string())?;
    std::fs::rename(draft, path)
}
