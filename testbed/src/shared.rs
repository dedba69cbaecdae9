//! Which server do the databases of one test run lie in, and who ends it?
//!
//! `scripts/test` starts one and names it in [`GIVEN`]. Without it the first test that needs one starts it. It belongs
//! to the whole run: where nextest gives each test a process, to nextest's, else to this process. A keeper ends it and
//! removes its folder as soon as that process is gone, however it went.

use std::{
    env,
    fs::{self, File},
    os::unix::process::{CommandExt, parent_id},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::script;

/// The URL of a server that somebody else started and will end. Tests make and drop databases on it.
pub const GIVEN: &str = "TOLLGATE_TEST_POSTGRES";
/// Between two looks at whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to start on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The URL of the run's server. It does not wait for its disk, and must not be killed: that is what
/// [`Server`](crate::Server) is for.
///
/// # Panics
/// If there is none and none can be started; where PostgreSQL is not installed, naming the package.
pub fn url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| asked(GIVEN).unwrap_or_else(of_this_run))
}

#[expect(clippy::disallowed_methods, reason = "the one place where this crate reads the environment")]
fn asked(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn of_this_run() -> String {
    let (run, whose) = match asked("NEXTEST_RUN_ID") {
        Some(run) => (run, parent_id()),
        None => (std::process::id().to_string(), std::process::id()),
    };
    started(&env::temp_dir().join(format!("tollgate-pg-{run}")), whose)
}

/// The URL of the server in `folder`; started now, for as long as the process `whose` runs, if it is not there.
#[expect(clippy::zombie_processes, reason = "the keeper outlives this process on purpose")]
fn started(folder: &Path, whose: u32) -> String {
    let begun = Instant::now();
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let says = folder.join("url");
    // Test processes wait for one another here, and all but the first find it running.
    let lock = File::create(folder.join("lock")).expect("a lock");
    lock.lock().expect("a lock");
    if !says.exists() {
        let said: PathBuf = folder.join("keeper.log");
        let log = File::create(&said).expect("a log");
        let mut keeper = script::postgres("keep", folder);
        keeper.arg(whose.to_string());
        // In a group of its own: it outlives this test, and a test that is made to end takes its own group with it.
        keeper.process_group(0).stdout(Stdio::null()).stderr(Stdio::from(log));
        let mut keeper = keeper.spawn().expect("sh");
        while !says.exists() {
            let ended = keeper.try_wait().expect("its state").is_some();
            if ended || begun.elapsed() > PATIENCE {
                let _ = keeper.kill();
                let _ = keeper.wait();
                let said = fs::read_to_string(&said).unwrap_or_default();
                let _ = fs::remove_dir_all(folder);
                panic!("no PostgreSQL: {said}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    fs::read_to_string(&says).expect("its URL").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_server_ends_with_the_run_it_was_started_for_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        // The server's user must be able to come in.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.path(), open).unwrap();
        let folder = place.path().join("run");
        let mut run = Command::new("sh").args(["-c", "read forever"]).stdin(Stdio::piped()).spawn().unwrap();
        let url = started(&folder, run.id());
        assert_eq!(started(&folder, run.id()), url, "the second who asks finds the first one's");
        let pid = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        run.kill().unwrap();
        run.wait().unwrap();
        let begun = Instant::now();
        let runs = || Command::new("ps").args(["-p", &pid]).stdout(Stdio::null()).status().unwrap().success();
        while folder.exists() || runs() {
            assert!(begun.elapsed() < PATIENCE, "{} is still there", folder.display());
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
