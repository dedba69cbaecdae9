//! How do balances in tokens pay for a call?
//!
//! Each leg of a hold burns by its own weights, in thousandths of a token, one leg after the other and in each the
//! classes in their order. A token that no leg covers whole is charged in money at the quoted rate.

use units::{NanoCny, Overflow, Rate, Rates, Tokens, Usage};

use super::TokenLeg;

/// Thousandths of a bought token that one token at `rate` burns, where fresh input costs `input`.
pub fn weight_milli(rate: Rate, input: Rate) -> i64 {
    if input.get() == 0 {
        return 1_000;
    }
    let exact = i128::from(rate.get()) * 1_000;
    let input = i128::from(input.get());
    i64::try_from((exact + input - 1) / input).unwrap_or(i64::MAX)
}

/// What a usage takes of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What each leg burns, in thousandths.
    pub legs: Vec<i64>,
    /// What is left to be paid in money.
    pub money: NanoCny,
}

impl Split {
    /// Thousandths burnt in all.
    pub fn tokens_milli(&self) -> i64 {
        self.legs.iter().sum()
    }
}

/// Splits `usage` over the legs and money.
///
/// # Errors
/// [`Overflow`] if an amount does not fit the ledger.
pub fn split_charge(usage: &Usage, rates: &Rates, legs: &[TokenLeg]) -> Result<Split, Overflow> {
    let charged = usage.charged(rates);
    let mut counts = [0_i64; 4];
    for (count, (tokens, _)) in counts.iter_mut().zip(charged) {
        *count = i64::try_from(tokens.0).map_err(|_| Overflow)?;
    }
    let mut burnt = Vec::with_capacity(legs.len());
    for leg in legs {
        let mut left = leg.milli;
        for (count, weight) in counts.iter_mut().zip(leg.weights.by_class()) {
            let covered = left.checked_div(weight).map_or(*count, |most| most.min(*count));
            *count -= covered;
            left -= covered.checked_mul(weight).ok_or(Overflow)?;
        }
        burnt.push(leg.milli - left);
    }
    let money = counts.into_iter().zip(charged).try_fold(NanoCny::ZERO, |sum, (count, (_, rate))| {
        sum.plus(rate.charge(Tokens(u64::try_from(count).map_err(|_| Overflow)?))?)
    })?;
    Ok(Split { legs: burnt, money })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Asset, Weights};

    fn rates() -> Rates {
        let rate = |nano| Rate::new(nano).unwrap();
        Rates { input: rate(2_000), cached_input: rate(500), cache_write: rate(2_000), output: rate(8_001) }
    }

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage {
            input: Tokens(input),
            cached_input: Tokens(cached),
            output: Tokens(output),
            ..Usage::default()
        }
    }

    fn leg(milli: i64, weights: Weights) -> TokenLeg {
        TokenLeg { asset: Asset::Tokens("t".to_owned()), milli, weights }
    }

    fn split(usage: Usage, rates: &Rates, legs: &[TokenLeg]) -> (Vec<i64>, i64) {
        let split = split_charge(&usage, rates, legs).unwrap();
        (split.legs, split.money.get())
    }

    #[test]
    fn a_token_balance_pays_first_and_money_pays_for_whole_tokens_that_are_left() {
        let legs = [leg(20_000, Weights::of_rates(&rates()))];
        // 10 input burn 10,000; 4 cached burn 1,000; an output token burns 4,001 (rounded up).
        assert_eq!(split(usage(10, 4, 2), &rates(), &legs), (vec![19_002], 0));
        let (burnt, money) = split(usage(10, 4, 3), &rates(), &legs);
        assert_eq!((burnt, money), (vec![19_002], 8_001), "998 thousandths cannot pay for an output token");
        assert_eq!(split(usage(3, 0, 0), &rates(), &[]), (vec![], 6_000));
    }

    #[test]
    fn a_package_a_model_balance_and_money_pay_one_after_the_other_each_by_its_own_weights() {
        let package = leg(5_500, Weights { output: 3_000, cached_input: 100, ..Weights::PLAIN });
        let bought = leg(9_000, Weights::of_rates(&rates()));
        // The package: 2 input, 10 cached, and 2,500 are left, too few for an output token at 3,000. The balance: 2 output
        // at 4,001 each, 998 are left. Money: the third.
        assert_eq!(split(usage(2, 10, 3), &rates(), &[package, bought]), (vec![3_000, 8_002], 8_001));
    }

    #[test]
    fn free_models_burn_tokens_one_to_one_and_what_burns_nothing_is_covered_by_any_balance() {
        let free = Rates::default();
        let legs = [leg(4_000, Weights::of_rates(&free))];
        assert_eq!(split(usage(3, 0, 2), &free, &legs), (vec![4_000], 0));
        let no_cache = Weights { cached_input: 0, ..Weights::PLAIN };
        assert_eq!(split(usage(1, 7, 0), &rates(), &[leg(1_001, no_cache)]), (vec![1_000], 0));
        assert_eq!(split(usage(1, 7, 0), &rates(), &[leg(1, no_cache)]), (vec![0], 2_000));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let legs = [leg(i64::MAX, Weights { input: i64::MAX, ..Weights::PLAIN })];
        assert!(split_charge(&usage(u64::MAX, 0, 0), &rates(), &legs).is_err());
        assert!(split_charge(&usage(0, 0, 1 << 62), &rates(), &[]).is_err());
    }
}
