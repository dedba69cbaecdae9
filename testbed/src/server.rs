//! A server of a test's own, which it may kill and start again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::script;

/// Between two looks at whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long it may take to start, recovery included, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// The disk, as in production: what was committed survives.
    Always,
    /// Nothing. Faster, and for servers that nobody kills.
    Never,
}

/// A running PostgreSQL in a folder of its own, on a socket in that folder. Gone when dropped.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    syncs: Syncs,
    child: Option<Child>,
    killed: bool,
}

impl Server {
    /// Makes a cluster and starts it; ready when this returns.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, naming the package, or does not start.
    pub fn start(syncs: Syncs) -> Self {
        let folder = tempfile::Builder::new().prefix("tollgate-pg-").tempdir().expect("a folder");
        script::done(script::postgres("init", folder.path()));
        let mut server = Self { folder, syncs, child: None, killed: false };
        server.start_again();
        server
    }

    /// Where its database `postgres` is reached; the same after a restart.
    pub fn url(&self) -> String {
        script::url(self.folder.path(), "postgres")
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// Kills it as a power cut of the process would: no shutdown, no checkpoint; sessions end where they stand.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("a server that runs");
        // Its sessions would answer until they notice that it is gone: they go with it.
        let sessions = children(child.id());
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
        if !sessions.is_empty() {
            let kill = ["-c", "kill -KILL \"$@\" 2>/dev/null || true", "sh"];
            let status = Command::new("sh").args(kill).args(sessions).status().expect("sh");
            assert!(status.success(), "kill");
        }
        self.killed = true;
    }

    /// Starts it over what is on the disk and waits until it has recovered.
    ///
    /// # Panics
    /// If it runs already, or does not get ready; with its log.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let mut command = script::postgres("run", self.folder.path());
        if self.syncs == Syncs::Never {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let copy = log.try_clone().expect("a log");
        // The script becomes the server, so that this child is the server itself.
        let child = command.stdout(Stdio::from(copy)).stderr(Stdio::from(log)).spawn().expect("sh");
        let begun = Instant::now();
        let child = self.child.insert(child);
        // Sessions of a server that was killed hold its shared memory for a moment longer; it refuses to start until
        // they have noticed.
        while !ready(self.folder.path(), child.id()) {
            let ended = child.try_wait().expect("its state");
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not get ready\n{}", log());
            if let Some(status) = ended {
                assert!(
                    log().contains("still in use"),
                    "PostgreSQL ended before it was ready: {status}\n{}",
                    log()
                );
                fs::write(self.folder.path().join("log"), "").expect("a log");
                std::thread::sleep(LOOK_EVERY);
                self.child = None;
                return self.start_again();
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.killed = false;
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

/// True once the server with this process id serves: the last line of its lock file says so, as `pg_ctl` reads it.
fn ready(folder: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its data is thrown away, so it need not be written: SIGQUIT is an immediate shutdown. std sends SIGKILL
            // only, which would leave its shared memory behind.
            let pid = child.id().to_string();
            let _ = Command::new("sh").args(["-c", "kill -QUIT \"$0\"", &pid]).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
        if self.killed {
            script::done(script::postgres("sweep", self.folder.path()));
        }
    }
}

/// The processes that this one has started, as far as the system tells.
fn children(of: u32) -> Vec<String> {
    let told = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    told.split_whitespace().map(str::to_owned).collect()
}
