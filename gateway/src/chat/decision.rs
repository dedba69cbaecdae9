//! Why a call was served as it was: what a plan decided, in a form that a receipt and a header can hold.

use std::fmt;

use serde::Serialize;

/// Of a header no more than this many targets are named.
const SHOWN_MAX: usize = 4;

/// What a plan decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What the route is called, if anything.
    pub route: Option<String>,
    /// What it prefers among its targets.
    pub strategy: &'static str,
    /// Routes that the call did not fit, by name or place, and what did not fit.
    pub passed: Vec<Passed>,
    /// Targets that were not asked first, or not at all, and why.
    pub skipped: Vec<Skipped>,
}

/// A route that a call does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Its name; its place among the model's routes, from 1 on, where it has none.
    pub route: String,
    /// The clause of its `when` that does not fit; `name` where another was asked for by name.
    pub why: String,
}

/// A target that a call leaves out, or puts last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// `provider/upstream-model-name`.
    pub target: String,
    /// The clause of its `when` that does not fit, how it is (`open`, `resting`, `rate_limited`, `key_refused`,
    /// `out_of_funds`), or `inexpressible` where its wire has no word for what is asked.
    pub why: String,
}

impl fmt::Display for Decision {
    /// `strategy=cheapest; route=careful; skipped=azure/gpt-4o (regions), b/m (open)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strategy={}", self.strategy)?;
        if let Some(route) = &self.route {
            write!(f, "; route={route}")?;
        }
        for (n, Skipped { target, why }) in self.skipped.iter().take(SHOWN_MAX).enumerate() {
            f.write_str(if n == 0 { "; skipped=" } else { ", " })?;
            write!(f, "{target} ({why})")?;
        }
        match self.skipped.len().checked_sub(SHOWN_MAX) {
            Some(more) if more > 0 => write!(f, ", and {more} more"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_a_few_targets_and_counts_the_rest() {
        let skipped = (0..6).map(|n| Skipped { target: format!("p/{n}"), why: "open".to_owned() }).collect();
        let strategy = "cheapest";
        let plain = Decision { strategy, ..Decision::default() };
        assert_eq!(plain.to_string(), "strategy=cheapest");
        let decision = Decision { route: Some("careful".to_owned()), strategy, skipped, passed: Vec::new() };
        assert_eq!(
            decision.to_string(),
            "strategy=cheapest; route=careful; skipped=p/0 (open), p/1 (open), p/2 (open), p/3 (open), and 2 more"
        );
    }
}
