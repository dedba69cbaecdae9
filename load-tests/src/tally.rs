//! Figures of many calls: distributions, counts, processor time.

use std::{
    collections::BTreeMap,
    ops::{Add, Sub},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::answer::Answer;

/// The longest time that is told apart from longer ones: a minute, in µs.
const LONGEST_US: u64 = 60_000_000;
/// A percentile with fewer samples above it is a matter of chance.
const SAMPLES_ABOVE_MIN: u64 = 10;

/// A distribution of durations from 1 µs to 60 s, three digits.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    #[expect(clippy::expect_used, reason = "the bounds are constants that a test has tried")]
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds of a histogram"))
    }

    /// One more; what is shorter or longer than can be told counts as the shortest or longest.
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        self.0.saturating_record(micros.clamp(1, LONGEST_US));
    }

    /// All of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Panics only for values beyond the bounds, which are the same.
        self.0 += &other.0;
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time, in µs, that `percent` of all do not exceed; 0 if there are none.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.value_at_percentile(percent) }
    }

    /// Whether so many lie above a percentile that it means something.
    pub(crate) fn is_meaningful(&self, percent: f64) -> bool {
        let above = self.count() as f64 * (100.0 - percent) / 100.0;
        above + 1e-6 >= SAMPLES_ABOVE_MIN as f64
    }
}

/// How long calls took, seen three ways.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    /// From the intended send time to the last byte.
    pub(crate) total: Times,
    /// From the intended send time to the first byte of the body.
    pub(crate) first_byte: Times,
    /// From when the call was really sent to its last byte: what a closed loop would have told.
    pub(crate) from_send: Times,
}

/// Processor time in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cpu {
    pub(crate) gateway: u64,
    pub(crate) sim: u64,
    pub(crate) generator: u64,
}

impl Cpu {
    /// Of all three.
    pub(crate) fn all(self) -> u64 {
        self.gateway + self.sim + self.generator
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            gateway: self.gateway + other.gateway,
            sim: self.sim + other.sim,
            generator: self.generator + other.generator,
        }
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            gateway: self.gateway.saturating_sub(other.gateway),
            sim: self.sim.saturating_sub(other.sim),
            generator: self.generator.saturating_sub(other.generator),
        }
    }
}

/// What became of the calls of one or more slices.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Calls there were to be.
    pub(crate) planned: u64,
    /// Calls that left.
    pub(crate) sent: u64,
    /// Calls that did not leave, because too many were in flight.
    pub(crate) dropped: u64,
    /// Calls with a whole answer; only their times are in `latency`.
    pub(crate) answered: u64,
    /// Calls without one, by what went wrong.
    pub(crate) errors: BTreeMap<String, u64>,
    /// How long after its intended time each call left.
    pub(crate) lag: Times,
    /// How long answers took.
    pub(crate) latency: Latency,
    /// From the first call's intended time to one interval after the last one left.
    pub(crate) sending: Duration,
    /// Tokens asked with, by answered calls.
    pub(crate) prompt_tokens: u64,
    /// Tokens answered with.
    pub(crate) completion_tokens: u64,
    /// Answers that told a cost.
    pub(crate) with_cost: u64,
    /// The sum of these costs in nano-yuan.
    pub(crate) cost: i128,
    /// Processor time meanwhile.
    pub(crate) cpu: Cpu,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            planned: 0,
            sent: 0,
            dropped: 0,
            answered: 0,
            errors: BTreeMap::new(),
            lag: Times::new(),
            latency: Latency { total: Times::new(), first_byte: Times::new(), from_send: Times::new() },
            sending: Duration::ZERO,
            prompt_tokens: 0,
            completion_tokens: 0,
            with_cost: 0,
            cost: 0,
            cpu: Cpu::default(),
        }
    }

    /// A call failed.
    pub(crate) fn failed(&mut self, why: String) {
        *self.errors.entry(why).or_default() += 1;
    }

    /// What an answer says of itself.
    pub(crate) fn answered(&mut self, answer: Answer) {
        self.answered += 1;
        self.prompt_tokens += answer.prompt_tokens;
        self.completion_tokens += answer.completion_tokens;
        if let Some(cost) = answer.cost {
            self.with_cost += 1;
            self.cost += i128::from(cost);
        }
    }

    /// All of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.answered += other.answered;
        for (why, count) in &other.errors {
            *self.errors.entry(why.clone()).or_default() += count;
        }
        self.lag.merge(&other.lag);
        self.latency.total.merge(&other.latency.total);
        self.latency.first_byte.merge(&other.latency.first_byte);
        self.latency.from_send.merge(&other.latency.from_send);
        self.sending += other.sending;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.with_cost += other.with_cost;
        self.cost += other.cost;
        self.cpu = self.cpu + other.cpu;
    }

    /// Calls that really left, per second.
    pub(crate) fn achieved_per_second(&self) -> f64 {
        let seconds = self.sending.as_secs_f64();
        if seconds > 0.0 { self.sent as f64 / seconds } else { 0.0 }
    }

    /// Calls that failed.
    pub(crate) fn failures(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// How late calls may leave at p99, in µs, for the figures to mean anything.
const LAG_P99_US_MAX: u64 = 5_000;
/// The least share of the rate that has to be achieved, in percent.
const ACHIEVED_PERCENT_MIN: f64 = 99.0;
/// The most calls that may fail, in percent: the figures know nothing of those.
const FAILED_PERCENT_MAX: f64 = 1.0;

/// Why these figures say nothing; empty if they do.
pub(crate) fn doubts(name: &str, rate: u32, tally: &Tally) -> Vec<String> {
    let mut doubts = Vec::new();
    let lag = tally.lag.percentile(99.0);
    if lag > LAG_P99_US_MAX {
        doubts.push(format!("{name}: calls left {lag} µs late at p99, {LAG_P99_US_MAX} µs are allowed"));
    }
    let achieved = tally.achieved_per_second();
    if achieved < f64::from(rate) * ACHIEVED_PERCENT_MIN / 100.0 {
        let dropped = match tally.dropped {
            0 => String::new(),
            dropped => format!("; {dropped} were dropped because too many were unanswered"),
        };
        doubts.push(format!("{name}: {achieved:.1} calls a second left, of {rate} that were to{dropped}"));
    }
    if tally.failures() as f64 > tally.planned as f64 * FAILED_PERCENT_MAX / 100.0 {
        doubts.push(format!("{name}: {} of {} calls failed", tally.failures(), tally.planned));
    }
    if tally.answered == 0 {
        doubts.push(format!("{name}: not one call was answered"));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(calls: u64) -> Tally {
        let mut tally = Tally::new();
        (tally.planned, tally.sent, tally.answered) = (calls, calls, calls);
        tally.sending = Duration::from_millis(calls * 10);
        for _ in 0..calls {
            tally.lag.record(Duration::from_micros(100));
            tally.latency.total.record(Duration::from_millis(2));
        }
        tally
    }

    #[test]
    fn times_are_kept_to_three_digits_and_within_bounds() {
        let mut times = Times::new();
        assert_eq!(times.percentile(50.0), 0);
        for micros in [0, 1, 2_000, 59_000_000, 600_000_000] {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!((times.count(), times.percentile(0.0), times.percentile(50.0)), (5, 1, 2_000));
        assert!(times.percentile(100.0) >= 60_000_000);
    }

    #[test]
    fn a_percentile_needs_ten_samples_above_it() {
        assert!(good(1_000).lag.is_meaningful(99.0));
        assert!(!good(999).lag.is_meaningful(99.0));
        assert!(good(20).lag.is_meaningful(50.0));
    }

    #[test]
    fn nobody_doubts_a_run_on_time() {
        assert_eq!(doubts("direct", 100, &good(100)), [""; 0]);
    }

    #[test]
    fn a_late_slow_or_failing_run_is_doubted() {
        let mut late = good(100);
        late.lag.record(Duration::from_millis(9));
        late.lag.record(Duration::from_millis(9));
        assert!(doubts("direct", 100, &late)[0].contains("late at p99"));

        let slow = Tally { sending: Duration::from_millis(1_011), ..good(100) };
        assert!(doubts("direct", 100, &slow)[0].contains("98.9 calls a second left, of 100"));

        let full = Tally { sent: 90, dropped: 10, ..good(100) };
        assert!(
            doubts("gateway", 100, &full)[0].ends_with("10 were dropped because too many were unanswered")
        );

        let mut failing = good(100);
        failing.failed("HTTP 503".to_owned());
        assert_eq!(doubts("direct", 100, &failing), [""; 0], "one in a hundred is borne");
        failing.failed("timeout".to_owned());
        assert_eq!(doubts("direct", 100, &failing), ["direct: 2 of 100 calls failed"]);

        assert!(!doubts("direct", 100, &Tally::new()).is_empty());
    }

    #[test]
    fn tallies_add_up() {
        let mut all = good(10);
        all.answered(Answer { prompt_tokens: 9, completion_tokens: 2, cost: Some(13_000) });
        all.merge(&all.clone());
        assert_eq!(
            (all.planned, all.answered, all.prompt_tokens, all.cost, all.with_cost),
            (20, 22, 18, 26_000, 2)
        );
        assert_eq!(all.latency.total.count(), 20);
        assert_eq!(all.sending, Duration::from_millis(200));
    }
}
