//! How much must be set aside so that whatever a call comes to is covered?

use units::{NanoCny, Rates, Usage};

use crate::ledger::{HoldQuote, TokenLeg, Weights};

/// What a call may come to at most, as input and output: input may turn out to be cached or newly cached, whichever is
/// dearest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    input: i128,
    output: i128,
}

/// What one token of each class counts for: nano-yuan, or thousandths of a bought token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values([i64; 4]);

impl From<&Rates> for Values {
    fn from(rates: &Rates) -> Self {
        Self([rates.input, rates.cached_input, rates.cache_write, rates.output].map(units::Rate::get))
    }
}

impl From<&Weights> for Values {
    fn from(weights: &Weights) -> Self {
        Self(weights.by_class())
    }
}

impl Bound {
    pub(super) fn of(usage: &Usage) -> Self {
        Self { input: i128::from(usage.prompt().0), output: i128::from(usage.output.0) }
    }

    /// The most that what no leg covers can count for.
    ///
    /// A leg that leaves a token uncovered is used up but for less than that token's weight. What it covered counts for
    /// at least its thousandths times the least that a thousandth can count for.
    pub(super) fn uncovered(&self, values: Values, legs: &[TokenLeg]) -> Option<i64> {
        let dearest_input = values.0[..3].iter().copied().max().unwrap_or(0);
        let whole = self
            .input
            .checked_mul(i128::from(dearest_input))?
            .checked_add(self.output.checked_mul(i128::from(values.0[3]))?)?;
        let covered: i128 = legs.iter().map(|leg| least_covered(values, leg)).sum();
        i64::try_from((whole - covered).max(0)).ok()
    }

    /// The money for what the legs may not cover; nothing where the last leg covers whatever is left.
    pub(super) fn money(&self, rates: &Rates, legs: &[TokenLeg]) -> Option<NanoCny> {
        if let Some((last, before)) = legs.split_last()
            && self.uncovered(Values::from(&last.weights), before)? <= last.milli
        {
            return Some(NanoCny::ZERO);
        }
        self.uncovered(Values::from(rates), legs).map(NanoCny::new)
    }
}

/// What must be set aside in money, whichever of the quote's tiers the prompt turns out to reach.
pub(super) fn money_of(bound: &Bound, quote: &HoldQuote, legs: &[TokenLeg]) -> Option<NanoCny> {
    quote.tables().try_fold(NanoCny::ZERO, |most, rates| Some(most.max(bound.money(rates, legs)?)))
}

/// What a leg that is used up has covered at the least.
fn least_covered(values: Values, leg: &TokenLeg) -> i128 {
    let weights = leg.weights.by_class();
    let Some(heaviest) = weights.iter().copied().max() else { return 0 };
    let used = i128::from(leg.milli.saturating_sub(heaviest.saturating_sub(1)).max(0));
    let classes = weights.iter().zip(values.0).filter(|(weight, _)| **weight > 0);
    classes.map(|(&weight, value)| used * i128::from(value) / i128::from(weight)).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use units::{Rate, Tokens};

    use super::*;
    use crate::ledger::{Asset, split_charge};

    fn rates(of: [i64; 4]) -> Rates {
        let [input, cached_input, cache_write, output] = of.map(|rate| Rate::new(rate).unwrap());
        Rates { input, cached_input, cache_write, output }
    }

    fn leg(milli: i64, weights: [i64; 4]) -> TokenLeg {
        let [input, cached_input, cache_write, output] = weights;
        let weights = Weights { input, cached_input, cache_write, output };
        TokenLeg { asset: Asset::Tokens("t".to_owned()), milli, weights }
    }

    fn used(input: u64, cached: u64, written: u64, output: u64) -> Usage {
        Usage {
            input: Tokens(input),
            cached_input: Tokens(cached),
            cache_write: Tokens(written),
            output: Tokens(output),
            ..Usage::default()
        }
    }

    #[test]
    fn without_tokens_the_whole_ceiling_is_money_and_with_enough_of_them_none_is() {
        let bound = Bound::of(&used(100, 0, 0, 50));
        let rates = rates([2, 1, 3, 8]);
        assert_eq!(bound.money(&rates, &[]).unwrap().get(), 100 * 3 + 50 * 8, "input may be newly cached");
        let enough = leg(150_000, [1_000; 4]);
        assert_eq!(bound.money(&rates, &[enough]), Some(NanoCny::ZERO));
        assert!(bound.money(&rates, &[leg(149_999, [1_000; 4])]).unwrap().get() > 0);
        let two = [leg(100_000, [1_000; 4]), leg(51_000, [1_000; 4])];
        assert_eq!(bound.money(&rates, &two), Some(NanoCny::ZERO));
    }

    #[test]
    fn a_bound_beyond_the_ledgers_range_is_none() {
        assert_eq!(Bound::of(&used(u64::MAX, 0, 0, 0)).money(&rates([i64::MAX; 4]), &[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever a call comes to within its bound, the legs and the money that were set aside pay for it.
        #[test]
        fn what_is_set_aside_pays_for_whatever_comes(
            input in 0..400_u64, output in 0..400_u64,
            parts in prop::array::uniform4(0..=100_u64),
            rate in prop::array::uniform4(0..50_i64),
            legs in prop::collection::vec((1..200_000_i64, prop::array::uniform4(0..4_000_i64)), 0..4),
        ) {
            let (rates, legs): (_, Vec<_>) = (rates(rate), legs.into_iter().map(|(milli, w)| leg(milli, w)).collect());
            let money = Bound::of(&used(input, 0, 0, output)).money(&rates, &legs).unwrap();
            // Some mix of the bound: input in three classes, output.
            let sum = (parts[0] + parts[1] + parts[2]).max(1);
            let share = |part: u64| input * part / sum;
            let mix = used(share(parts[0]), share(parts[1]), share(parts[2]), output * parts[3] / 100);
            let split = split_charge(&mix, &rates, &legs).unwrap();
            prop_assert!(split.money <= money, "{mix:?} takes {} of {money}", split.money);
        }
    }
}
