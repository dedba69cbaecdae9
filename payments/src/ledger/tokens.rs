//! How does a balance in tokens pay for a call?
//!
//! A bought token is one token of fresh input. The other classes burn it by integer weights in thousandths, reckoned
//! from the quoted rates and rounded up, so that a token balance never pays less than the same call costs in money.
//! A token that the balance cannot cover whole is charged in money at the quoted rate.

use units::{NanoCny, Overflow, Rate, Rates, Tokens, Usage};

/// Thousandths of a bought token that one token at `rate` burns, where fresh input costs `input`.
pub fn weight_milli(rate: Rate, input: Rate) -> i64 {
    if input.get() == 0 {
        return 1_000;
    }
    let exact = i128::from(rate.get()) * 1_000;
    let input = i128::from(input.get());
    i64::try_from((exact + input - 1) / input).unwrap_or(i64::MAX)
}

/// What `usage` burns of a token balance of `budget_milli`, and what is left to be paid in money.
///
/// # Errors
/// [`Overflow`] if an amount does not fit the ledger.
pub fn split_charge(usage: &Usage, rates: &Rates, budget_milli: i64) -> Result<(i64, NanoCny), Overflow> {
    let mut left = budget_milli;
    let mut money = NanoCny::ZERO;
    for (tokens, rate) in usage.charged(rates) {
        let weight = weight_milli(rate, rates.input);
        let count = i64::try_from(tokens.0).map_err(|_| Overflow)?;
        let covered = if weight == 0 { count } else { count.min(left / weight) };
        left -= covered.checked_mul(weight).ok_or(Overflow)?;
        money = money.plus(rate.charge(Tokens(u64::try_from(count - covered).map_err(|_| Overflow)?))?)?;
    }
    Ok((budget_milli - left, money))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_token_balance_pays_first_and_money_pays_for_whole_tokens_that_are_left() {
        // 10 input burn 10,000; 4 cached burn 1,000; an output token burns 4,001 (rounded up).
        assert_eq!(split_charge(&usage(10, 4, 2), &rates(), 20_000), Ok((19_002, NanoCny::ZERO)));
        let (burnt, money) = split_charge(&usage(10, 4, 3), &rates(), 20_000).unwrap();
        assert_eq!((burnt, money.get()), (19_002, 8_001), "998 thousandths cannot pay for an output token");
        assert_eq!(split_charge(&usage(3, 0, 0), &rates(), 0), Ok((0, NanoCny::new(6_000))));
    }

    #[test]
    fn free_models_burn_tokens_one_to_one() {
        assert_eq!(split_charge(&usage(3, 0, 2), &Rates::default(), 4_000), Ok((4_000, NanoCny::ZERO)));
    }
}
