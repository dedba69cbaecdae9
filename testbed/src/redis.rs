//! A Redis of a test's own, which it may kill and start again.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/redis.sh");
/// Between two looks at whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long it may take to start on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Redis on a port of the loopback address, with nothing on a disk. Gone when dropped, and with this process.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    keeper: Option<Child>,
}

impl Redis {
    /// Starts one; ready when this returns.
    ///
    /// # Panics
    /// If Redis is not installed, naming the package, or does not start.
    pub fn start() -> Self {
        loop {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let port = free.local_addr().expect("a port").port();
            drop(free);
            let mut redis = Self { port, keeper: None };
            // Between the two lines above another may have taken the port.
            if redis.starts() {
                return redis;
            }
        }
    }

    /// Where it is reached; the same after a restart.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it: what it knew is gone.
    pub fn kill9(&mut self) {
        let mut keeper = self.keeper.take().expect("a server that runs");
        drop(keeper.stdin.take());
        keeper.wait().expect("its end");
    }

    /// Starts it again, empty.
    ///
    /// # Panics
    /// If it runs already, or does not get ready.
    pub fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "it runs");
        assert!(self.starts(), "Redis does not start again on port {}", self.port);
    }

    fn starts(&mut self) -> bool {
        let mut command = Command::new("sh");
        command.arg(SCRIPT).arg("run").arg(self.port.to_string());
        let mut keeper =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sh");
        let mut said = keeper.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = said.read_to_string(&mut text);
            text
        });
        let begun = Instant::now();
        loop {
            if self.answers() {
                self.keeper = Some(keeper);
                return true;
            }
            if keeper.try_wait().expect("its state").is_some() || begun.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        drop(keeper.stdin.take());
        let _ = keeper.wait();
        let log = log.join().unwrap_or_default();
        assert!(log.contains("in use"), "Redis does not get ready: {log}");
        false
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        let mut said = [0; 5];
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut said).is_ok() && &said == b"+PONG"
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_answers_is_killed_and_answers_again() {
        let mut redis = Redis::start();
        assert!(redis.answers());
        redis.kill9();
        assert!(!redis.answers());
        redis.start_again();
        assert!(redis.answers());
    }
}
