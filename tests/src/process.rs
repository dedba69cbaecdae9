//! How is a `tollgate` started, watched and ended?
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::tollgate;
use crate::wait::PATIENCE;

/// Between two looks at a file or a process.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a process may take to end when it is asked to, before it is made to.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// How much of its log a failed test shows, bytes.
const SHOWN: usize = 6_000;

/// A command line of `tollgate`, with nothing of this environment but what is needed to run at all.
pub fn command(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(tollgate());
    command.args(args).current_dir(dir).env_clear().env("HOME", dir).env("TMPDIR", dir).stdin(Stdio::null());
    command
}

/// Runs `tollgate` to its end.
///
/// # Panics
/// If it cannot be started.
pub fn run(args: &[&str], dir: &Path) -> Ran {
    Ran(command(args, dir).output().unwrap_or_else(|error| panic!("tollgate {args:?}: {error}")))
}

/// What a command did.
#[derive(Debug)]
pub struct Ran(Output);

impl Ran {
    /// Its exit code; -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }
    /// What it said.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }
    /// What it complained of.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
    /// What it said, if it ended well.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code(), 0, "{}{}", self.stdout(), self.stderr());
        self.stdout()
    }
}

/// A running `tollgate`. Dropped, it is asked to end and then made to; a failing test shows its log.
#[derive(Debug)]
pub struct Process {
    child: Child,
    what: String,
    log: PathBuf,
    out: PathBuf,
}

impl Process {
    /// Starts it in `dir`, where `name.log` and `name.out` take what it writes.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, args: &[&str], dir: &Path) -> Self {
        let (log, out) = (dir.join(format!("{name}.log")), dir.join(format!("{name}.out")));
        let append = |path: &Path| File::options().create(true).append(true).open(path).expect("a log file");
        let what = format!("tollgate {}", args.join(" "));
        let child = command(args, dir).stdout(append(&out)).stderr(append(&log)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { child, what, log, out }
    }

    /// Waits until it says that it is ready, and reads what it says.
    ///
    /// # Panics
    /// If it ends before, or does not get there in time.
    pub async fn ready(&mut self, file: &Path) -> Value {
        let begun = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(file) {
                // Written atomically: what is there is whole.
                return serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("ready file: {error}: {text}"));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended before it was ready: {status}\n{}", self.what, self.logged());
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not get ready\n{}", self.what, self.logged());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills it as a power cut would: nothing of it runs any more when this returns.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_end();
        self.ended()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not within the [`PATIENCE`] of a test.
    pub fn ended(&mut self) -> ExitStatus {
        let ended = self.ended_within(PATIENCE);
        ended.unwrap_or_else(|| panic!("{} does not end\n{}", self.what, self.logged()))
    }

    /// What it wrote on standard output so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The end of what it logged so far.
    pub fn logged(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN)..]).into_owned()
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        // The shell's own `kill`: std sends SIGKILL only.
        let pid = self.child.id().to_string();
        let _ =
            Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &pid]).stderr(Stdio::null()).status();
    }

    fn ended_within(&mut self, max: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                _ if begun.elapsed() >= max => return None,
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of `{}` ---\n{}", self.what, self.logged());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_end();
            if self.ended_within(ENDING_MAX).is_none() {
                self.kill9();
            }
        }
    }
}
