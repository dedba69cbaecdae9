//! What may a call come to, and how much output does an amount pay for?

use payments::prices::Quote;
use units::{NanoCny, Rates, Tokens};

fn tables(quote: &Quote) -> impl Iterator<Item = &Rates> {
    std::iter::once(&quote.rates).chain(quote.tiers.iter().map(|tier| &tier.prices))
}

/// The most that a call of so many tokens may be charged; `None` beyond any amount. Token balances may cover some of it.
pub fn ceiling(quote: &Quote, input: Tokens, output: Tokens) -> Option<NanoCny> {
    let of = |rates: &Rates| {
        rates.dearest_input().charge(input).ok()?.plus(rates.output.charge(output).ok()?).ok()
    };
    tables(quote).try_fold(NanoCny::ZERO, |most, rates| Some(most.max(of(rates)?)))
}

/// The most output that a call with so much input may have if it is to cost no more than `money`; `None` where the input
/// alone costs more.
pub fn affordable(quote: &Quote, input: Tokens, money: NanoCny) -> Option<Tokens> {
    let of = |rates: &Rates| {
        let left = money
            .get()
            .checked_sub(rates.dearest_input().charge(input).ok()?.get())
            .filter(|left| *left >= 0)?;
        let output = left.checked_div(rates.output.get()).unwrap_or(i64::MAX);
        u64::try_from(output).ok()
    };
    tables(quote).try_fold(u64::MAX, |most, rates| Some(most.min(of(rates)?))).map(Tokens)
}

#[cfg(test)]
mod tests {
    use payments::prices::Tier;
    use proptest::prelude::*;
    use units::Rate;

    use super::*;

    fn rates(input: i64, output: i64) -> Rates {
        let rate = |nano| Rate::new(nano).unwrap();
        Rates { input: rate(input), cached_input: rate(0), cache_write: rate(input), output: rate(output) }
    }

    fn quote(base: (i64, i64), tier: (i64, i64)) -> Quote {
        Quote {
            price_version: "standard:1".to_owned(),
            fx_id: None,
            window: None,
            rates: rates(base.0, base.1),
            tiers: vec![Tier { above: Tokens(10), prices: rates(tier.0, tier.1) }],
            price_percent: None,
        }
    }

    #[test]
    fn the_dearest_table_decides() {
        let quote = quote((2, 3), (5, 1));
        assert_eq!(ceiling(&quote, Tokens(10), Tokens(10)).unwrap().get(), 60);
        assert_eq!(affordable(&quote, Tokens(10), NanoCny::new(60)), Some(Tokens(10)));
        assert_eq!(affordable(&quote, Tokens(10), NanoCny::new(49)), None);
    }

    proptest! {
        #[test]
        fn what_is_affordable_costs_no_more_and_one_token_more_would(
            base in (0..900_i64, 1..900_i64), tier in (0..900_i64, 1..900_i64), input in 0..5_000_u64, money in 0..9_000_000_i64,
        ) {
            let (quote, money) = (quote(base, tier), NanoCny::new(money));
            match affordable(&quote, Tokens(input), money) {
                Some(output) => {
                    prop_assert!(ceiling(&quote, Tokens(input), output).unwrap() <= money);
                    prop_assert!(ceiling(&quote, Tokens(input), Tokens(output.0 + 1)).unwrap() > money);
                }
                None => prop_assert!(ceiling(&quote, Tokens(input), Tokens(0)).unwrap() > money),
            }
        }
    }
}
