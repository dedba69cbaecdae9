//! What does the kernel count of a process and of the machine? Linux's `/proc`; elsewhere nothing is told.

use std::{fs, process::Command};

use serde::Serialize;

/// Processor time a process used so far, in ticks, its finished threads included.
pub fn cpu_ticks(pid: u32) -> Option<u64> {
    stat_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn stat_ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may hold blanks and parentheses; user and system time are fields 14 and 15.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The most memory a process ever had resident, in KiB.
pub fn peak_rss_kib(pid: u32) -> Option<u64> {
    status_kib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// The memory a process has resident now, in KiB.
pub fn rss_kib(pid: u32) -> Option<u64> {
    status_kib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
}

/// Bytes that this process has made the kernel send to a disk, sooner or later.
pub fn written_bytes() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// Processor time that the calling thread used so far, in nanoseconds.
pub fn own_thread_nanos() -> Option<u64> {
    first_number(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

/// Processor time that this process's running threads of that name used so far, in nanoseconds. The kernel keeps the
/// first fifteen bytes of a name.
pub fn thread_nanos(name: &str) -> Option<u64> {
    let mut sum = None;
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).ok();
        if read("comm").is_some_and(|comm| comm.trim_end() == name) {
            sum = Some(sum.unwrap_or(0) + read("schedstat").as_deref().and_then(first_number)?);
        }
    }
    sum
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn status_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Ticks of all processors since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachineTicks {
    /// All of them.
    pub all: u64,
    /// Spent on processes and the kernel.
    pub busy: u64,
    /// Wanted here and spent on somebody else's virtual machine.
    pub stolen: u64,
}

impl MachineTicks {
    /// What was counted until now.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guests' time is in user already.
        let fields: Vec<u64> =
            line.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, stolen] = fields.try_into().ok()?;
        let busy = user + nice + system + irq + softirq;
        Some(Self { all: busy + idle + iowait + stolen, busy, stolen })
    }
}

/// Ticks in a second: what `getconf CLK_TCK` says, and 100 (what Linux has on every usual platform) where it says nothing.
pub async fn ticks_per_second() -> u64 {
    let asked = tokio::task::spawn_blocking(|| Command::new("getconf").arg("CLK_TCK").output()).await;
    let said = asked.ok().and_then(|asked| String::from_utf8(asked.ok()?.stdout).ok()?.trim().parse().ok());
    said.filter(|&ticks| ticks > 0).unwrap_or(100)
}

/// The machine, as far as figures depend on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors this process may use.
    pub cores: usize,
    /// What they are.
    pub cpu_model: Option<String>,
}

impl Machine {
    /// This one.
    pub fn read() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: fs::read_to_string("/proc/cpuinfo").ok().as_deref().and_then(cpu_model),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let (_, model) = cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "4711 (toll (gate) x) S 1 4711 4711 0 -1 4194560 901 0 0 0 123 45 7 8 20 0 5 0 99 1 2";
        assert_eq!(stat_ticks(stat), Some(168));
        assert_eq!(stat_ticks("4711 (tollgate) S 1"), None);
        assert_eq!(stat_ticks(""), None);
    }

    #[test]
    fn peak_memory_is_read_in_kib() {
        let status = "Name:\ttollgate\nVmHWM:\t   20480 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(status_kib(status, "VmHWM:"), Some(20_480));
        assert_eq!(status_kib(status, "VmSwap:"), None);
    }

    #[test]
    fn the_machine_is_busy_idle_or_elsewhere() {
        let stat = "cpu  10 1 5 80 2 1 1 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(MachineTicks::parse(stat), Some(MachineTicks { all: 103, busy: 18, stolen: 3 }));
        assert_eq!(MachineTicks::parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2\n").as_deref(), Some("A CPU @ 2"));
    }
}
