//! Who sends notifications that are not genuine, and are any more of theirs looked at?
//!
//! Telling a forgery costs a look at its signature. Whoever sends nothing else has one of theirs looked at each second, so that
//! a sender who shares an address with them is still heard: what is refused comes again, and orders are asked for all the same.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use units::Timestamp;

/// So many forgeries of one source are looked at in a minute.
const FAILURES_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Beyond them, one notification is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sources that are remembered.
const SOURCES_MAX: u64 = 10_000;
/// Bits of an IPv6 address that one sender usually has to itself are not told apart.
const IPV6_NETWORK: u128 = !0 << 64;

/// What each source sent lately. Clones share it.
#[derive(Debug, Clone)]
pub struct Sources(Cache<IpAddr, Arc<Mutex<Source>>>);

#[derive(Debug)]
struct Source {
    since: Timestamp,
    failures: u32,
    looked_at: Timestamp,
}

impl Default for Sources {
    fn default() -> Self {
        Self(Cache::new(SOURCES_MAX))
    }
}

impl Sources {
    /// Whether a notification from there is looked at. The machine itself always is: a proxy whose word does not count stands
    /// for everybody.
    pub(super) fn is_heard(&self, from: IpAddr, now: Timestamp) -> bool {
        let Some(source) = self.0.get(&network(from)).filter(|_| !from.is_loopback()) else { return true };
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(source.since) >= MINUTE || source.failures < FAILURES_MAX {
            return true;
        }
        let looks = now.since(source.looked_at) >= LOOK_EVERY;
        if looks {
            source.looked_at = now;
        }
        looks
    }

    /// A notification from there was not genuine; how many that makes within a minute.
    pub(super) fn failed(&self, from: IpAddr, now: Timestamp) -> u32 {
        let new = || Arc::new(Mutex::new(Source { since: now, failures: 0, looked_at: now }));
        let source = self.0.get_with(network(from), new);
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(source.since) >= MINUTE {
            *source = Source { since: now, failures: 0, looked_at: now };
        }
        source.failures = source.failures.saturating_add(1);
        source.failures
    }
}

/// True for those of a source's failures that are worth a line in the log, which a flood must not fill: the first ten, and
/// the one that makes it too many.
pub(super) const fn is_told(failures: u32) -> bool {
    failures <= 10 || failures == FAILURES_MAX
}

fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & IPV6_NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn at(ms: u64) -> Timestamp {
        NOW.after(Duration::from_millis(ms))
    }

    #[test]
    fn who_sends_only_forgeries_is_heard_once_a_second_until_the_minute_is_over() {
        let (sources, forger) = (Sources::default(), "203.0.113.7".parse().unwrap());
        for n in 1..=FAILURES_MAX {
            assert!(sources.is_heard(forger, NOW));
            assert_eq!(sources.failed(forger, NOW), n);
        }
        assert!(!sources.is_heard(forger, at(999)));
        assert!(sources.is_heard(forger, at(1_000)));
        assert!(!sources.is_heard(forger, at(1_500)));
        assert!(sources.is_heard("203.0.113.8".parse().unwrap(), at(1_500)), "another is not touched");
        assert!(sources.is_heard(forger, at(60_000)));
        assert_eq!(sources.failed(forger, at(60_000)), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_the_machine_itself_is_always_heard() {
        let sources = Sources::default();
        for n in 0..u128::from(FAILURES_MAX) {
            sources.failed(Ipv6Addr::from((0x2001_0db8 << 96) | n).into(), NOW);
            sources.failed("::1".parse().unwrap(), NOW);
        }
        assert!(!sources.is_heard("2001:db8::ffff".parse().unwrap(), at(1)));
        assert!(sources.is_heard("2001:db8:0:1::1".parse().unwrap(), at(1)));
        assert!(sources.is_heard("::1".parse().unwrap(), at(1)));
    }
}
