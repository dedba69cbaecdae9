//! A frozen price: what may a call come to, and what does it cost once its size is known?

use units::{Rates, Tokens, Usage};

use super::HoldQuote;
use crate::prices::{Tier, tier_for};

impl HoldQuote {
    /// The rates that `usage` is charged at: those of the tier its prompt reached. Nothing but what was frozen counts.
    pub fn rates_for(&self, usage: &Usage) -> &Rates {
        self.tier_for(usage).map_or(&self.rates, |tier| &tier.prices)
    }

    /// The size above which the tier of `usage` begins; `None` for the base.
    pub fn tier_above(&self, usage: &Usage) -> Option<Tokens> {
        self.tier_for(usage).map(|tier| tier.above)
    }

    fn tier_for(&self, usage: &Usage) -> Option<&Tier<Rates>> {
        tier_for(&self.tiers, usage.prompt())
    }

    /// Every table of rates by which the call may be charged: whoever sets aside the most that any of them comes to has
    /// set aside enough.
    pub fn tables(&self) -> impl Iterator<Item = &Rates> {
        std::iter::once(&self.rates).chain(self.tiers.iter().map(|tier| &tier.prices))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use units::Rate;

    use super::*;

    fn quote(figures: &[[i64; 4]]) -> HoldQuote {
        let rates = |[input, cached_input, cache_write, output]: [i64; 4]| {
            let rate = |nano| Rate::new(nano).unwrap();
            Rates {
                input: rate(input),
                cached_input: rate(cached_input),
                cache_write: rate(cache_write),
                output: rate(output),
            }
        };
        let tiers = figures.iter().enumerate().skip(1);
        HoldQuote {
            price_version: "standard:1".to_owned(),
            fx_id: None,
            rates: rates(figures[0]),
            input_estimate: Tokens(0),
            window: None,
            tiers: tiers
                .map(|(i, figures)| Tier { above: Tokens(i as u64 * 100), prices: rates(*figures) })
                .collect(),
            price_percent: None,
        }
    }

    fn any_figures() -> impl Strategy<Value = Vec<[i64; 4]>> {
        prop::collection::vec([0..5_000_i64, 0..5_000, 0..5_000, 0..5_000], 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a call uses within its bound, it costs no more than what was set aside for it.
        #[test]
        fn no_call_within_its_bound_costs_more_than_its_ceiling(
            figures in any_figures(), bound in (0..400_u64, 0..400_u64), split in (0..100_u64, 0..100_u64, 0..100_u64, 0..=100_u64),
        ) {
            let quote = quote(&figures);
            let limit = Usage { input: Tokens(bound.0), output: Tokens(bound.1), ..Usage::default() };
            let whole = split.0 + split.1 + split.2 + 1;
            let of = |part: u64| Tokens(bound.0 * part / whole);
            let usage = Usage {
                input: of(split.0),
                cached_input: of(split.1),
                cache_write: of(split.2),
                output: Tokens(bound.1 * split.3 / 100),
                ..Usage::default()
            };
            let ceiling = |rates: &Rates| {
                let prompt = rates.dearest_input().charge(limit.prompt()).unwrap();
                prompt.plus(rates.output.charge(limit.output).unwrap()).unwrap()
            };
            let held = quote.tables().map(ceiling).max().unwrap();
            prop_assert!(quote.rates_for(&usage).charge(&usage).unwrap() <= held);
        }
    }
}
