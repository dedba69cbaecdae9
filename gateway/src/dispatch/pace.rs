//! How long do first bytes take? A mean by region for the choice of the fastest, and the slowest of twenty for hedging.

use std::time::Duration;

use units::Timestamp;

/// Regions whose paces a target remembers; callers of any other are in none.
const REGIONS_MAX: usize = 16;
/// A pace that nobody has measured for so long is not known any more.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Of a new measurement, one part in so many counts.
const PARTS: u64 = 5;
/// So many measurements are kept.
const KEPT: usize = 64;
/// Fewer say nothing of the slowest of twenty.
const ENOUGH: usize = 20;

/// The first bytes of one target.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// By region; an empty name is none.
    means: Vec<Mean>,
    /// The last of streams, and of answers in one piece.
    lately: [Lately; 2],
}

/// An exponentially weighted mean.
#[derive(Debug)]
struct Mean {
    region: String,
    us: u64,
    at: Timestamp,
}

/// A ring of measurements.
#[derive(Debug, Default)]
struct Lately {
    measured: Vec<(u64, Timestamp)>,
    next: usize,
}

impl Paces {
    /// A first byte came after `took`, of a stream or of an answer in one piece, for a caller of this region.
    pub(super) fn add(&mut self, stream: bool, region: Option<&str>, took: Duration, now: Timestamp) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / PARTS);
        if let Some(lately) = self.lately.get_mut(usize::from(stream)) {
            match lately.measured.get_mut(lately.next) {
                Some(place) => *place = (us, now),
                None => lately.measured.push((us, now)),
            }
            lately.next = (lately.next + 1) % KEPT;
        }
        // An answer in one piece takes as long as it is long: it says nothing of how fast the target is.
        if stream {
            self.mean(region.unwrap_or_default(), us, now);
        }
    }

    fn mean(&mut self, region: &str, us: u64, now: Timestamp) {
        let known = self.means.iter().any(|mean| mean.region == region);
        let region = if known || self.means.len() < REGIONS_MAX { region } else { "" };
        match self.means.iter_mut().find(|mean| mean.region == region) {
            Some(mean) if now < mean.at.after(MAX_AGE) => {
                mean.us = (mean.us / PARTS * (PARTS - 1)).saturating_add(us / PARTS);
                mean.at = now;
            }
            Some(mean) => (mean.us, mean.at) = (us, now),
            None => self.means.push(Mean { region: region.to_owned(), us, at: now }),
        }
    }

    /// The mean of streams for callers of a region, in microseconds; of those of no region where it has none.
    pub(super) fn first_byte_us(&self, region: Option<&str>, now: Timestamp) -> Option<u64> {
        let of = |region: &str| self.means.iter().find(|mean| mean.region == region);
        let mean = of(region.unwrap_or_default()).or_else(|| of(""))?;
        (now < mean.at.after(MAX_AGE)).then_some(mean.us)
    }

    /// What nineteen of twenty have taken at most; `None` where too few were measured lately.
    pub(super) fn slowest_of_twenty(&self, stream: bool, now: Timestamp) -> Option<Duration> {
        let lately = self.lately.get(usize::from(stream))?;
        let fresh = lately.measured.iter().filter(|(_, at)| now < at.after(MAX_AGE));
        let mut sorted: Vec<u64> = fresh.map(|(us, _)| *us).collect();
        sorted.sort_unstable();
        let place = (sorted.len() * 19).div_ceil(20).checked_sub(1).filter(|_| sorted.len() >= ENOUGH)?;
        sorted.get(place).map(|us| Duration::from_micros(*us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    #[test]
    fn the_slowest_of_twenty_is_known_after_twenty_and_forgotten_after_five_minutes() {
        let mut paces = Paces::default();
        for n in 1..=19 {
            paces.add(true, None, Duration::from_millis(n), at(0));
        }
        assert_eq!(paces.slowest_of_twenty(true, at(0)), None);
        paces.add(true, None, Duration::from_secs(60), at(0));
        assert_eq!(paces.slowest_of_twenty(true, at(0)), Some(Duration::from_millis(19)));
        assert_eq!(paces.slowest_of_twenty(false, at(0)), None, "streams say nothing of whole answers");
        assert_eq!(paces.slowest_of_twenty(true, at(300)), None);
        for _ in 0..100 {
            paces.add(true, None, Duration::from_millis(7), at(300));
        }
        assert_eq!(paces.slowest_of_twenty(true, at(300)), Some(Duration::from_millis(7)), "the last count");
    }

    #[test]
    fn a_region_has_a_pace_of_its_own_and_whole_answers_none() {
        let mut paces = Paces::default();
        paces.add(false, None, Duration::from_secs(9), at(0));
        assert_eq!(paces.first_byte_us(None, at(0)), None);
        paces.add(true, None, Duration::from_micros(500), at(0));
        paces.add(true, Some("hk"), Duration::from_micros(50), at(0));
        assert_eq!(paces.first_byte_us(Some("hk"), at(0)), Some(50));
        assert_eq!(paces.first_byte_us(Some("de"), at(0)), Some(500));
        paces.add(true, Some("hk"), Duration::from_micros(100), at(0));
        assert_eq!(paces.first_byte_us(Some("hk"), at(0)), Some(60), "a fifth of the new one");
        assert_eq!(paces.first_byte_us(Some("hk"), at(300)), None);
    }
}
