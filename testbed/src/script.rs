//! How are PostgreSQL's programs found and started? `postgres.sh` knows, so that `scripts/test` can use it too.

use std::{
    path::Path,
    process::{Command, Stdio},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/postgres.sh");

/// The script with a verb and a folder; what it says goes to the test's own standard error unless it is sent elsewhere.
pub(crate) fn postgres(verb: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg(SCRIPT).arg(verb).arg(folder).stdin(Stdio::null());
    command
}

/// Runs it to its end.
///
/// # Panics
/// If it does not end well, with what it said: a test that needs PostgreSQL fails where there is none.
pub(crate) fn done(mut command: Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{}{command:?}: {}", String::from_utf8_lossy(&ran.stderr), ran.status);
}

/// The URL of the database `name` on the server whose socket is in `folder`.
pub(crate) fn url(folder: &Path, name: &str) -> String {
    format!("postgresql:///{name}?host={}&user=postgres", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_postgresql_is_told_which_package_to_install() {
        // Nothing of PostgreSQL's on the PATH; and no `ls`, so that the usual folders seem empty.
        let tools = tempfile::tempdir().unwrap();
        for tool in ["dirname", "basename", "id", "sort", "tail"] {
            let found = ["/usr/bin", "/bin"].into_iter().map(|folder| Path::new(folder).join(tool));
            let found = found.into_iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, tools.path().join(tool)).unwrap();
        }
        let mut command = Command::new("/bin/sh");
        command.arg(SCRIPT).arg("where").env("PATH", tools.path());
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success());
        assert!(said.contains("apt-get install postgresql"), "{said}");
    }
}
