//! How many tokens does a balance buy? A view of money and token balances, per model and mix; nothing is ever converted
//! by it, and figures of different models are alternatives, not addends.

use std::str::FromStr;

use units::{NanoCny, Rate, Rates};

use crate::ledger::{TokenTerms, Weights};

/// No class has a larger share: what is reckoned from shares must not leave the range of its arithmetic.
const SHARE_MAX: u32 = 1_000_000;

/// How tokens are spread over the classes of price: so many of each, of as many as all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    shares: [u32; 4],
}

/// Why a text is no mix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMix {
    /// Not `class:share`.
    #[error("`{0}` is not a class and its share, such as `input:70`")]
    Syntax(String),
    /// No class of price.
    #[error("`{0}` is no class of tokens: input, cached, cache_write and output are")]
    Class(String),
    /// A class twice.
    #[error("`{0}` stands there twice")]
    Twice(String),
    /// Not a share.
    #[error("the share of `{0}` is a whole number from 0 to {SHARE_MAX}")]
    Share(String),
    /// Nothing of anything.
    #[error("every share is 0")]
    Nothing,
}

impl Default for Mix {
    /// Three tokens of fresh input for each of output.
    fn default() -> Self {
        Self { shares: [75, 0, 0, 25] }
    }
}

impl Mix {
    /// The classes, as they are written, in the order of the shares.
    pub const CLASSES: [&'static str; 4] = ["input", "cached", "cache_write", "output"];

    /// Shares of fresh input, cached input, input written to the cache, output.
    ///
    /// # Errors
    /// [`BadMix::Share`], [`BadMix::Nothing`].
    pub fn new(shares: [u32; 4]) -> Result<Self, BadMix> {
        for (class, share) in Self::CLASSES.iter().zip(shares) {
            if share > SHARE_MAX {
                return Err(BadMix::Share((*class).to_owned()));
            }
        }
        if shares == [0; 4] { Err(BadMix::Nothing) } else { Ok(Self { shares }) }
    }

    /// The shares, in the order of [`Mix::CLASSES`].
    pub const fn shares(&self) -> [u32; 4] {
        self.shares
    }

    /// How many tokens of the mix `amount` pays for where one token of each class takes `values` of it, rounded down;
    /// `None` where the mix takes nothing, so that there is no end to them.
    fn bought_with(&self, amount: i64, values: [i64; 4]) -> Option<u128> {
        let amount = u128::try_from(amount).unwrap_or(0);
        let whole: u128 = self.shares.into_iter().map(u128::from).sum();
        let takes: u128 = (self.shares.into_iter().zip(values))
            .map(|(share, value)| u128::from(share) * u128::try_from(value).unwrap_or(0))
            .sum();
        (amount * whole).checked_div(takes)
    }
}

impl FromStr for Mix {
    type Err = BadMix;

    /// Reads `input:70,cached:10,output:20`; a class that is not named has no share.
    fn from_str(text: &str) -> Result<Self, BadMix> {
        let mut shares: [Option<u32>; 4] = [None; 4];
        for part in text.split(',') {
            let (class, share) = part.split_once(':').ok_or_else(|| BadMix::Syntax(part.to_owned()))?;
            let place = Self::CLASSES.iter().position(|known| *known == class);
            let place = place.ok_or_else(|| BadMix::Class(class.to_owned()))?;
            let digits = !share.is_empty() && share.bytes().all(|byte| byte.is_ascii_digit());
            let share = share.parse().ok().filter(|_| digits);
            let share = share.ok_or_else(|| BadMix::Share(class.to_owned()))?;
            if shares[place].replace(share).is_some() {
                return Err(BadMix::Twice(class.to_owned()));
            }
        }
        Self::new(shares.map(|share| share.unwrap_or(0)))
    }
}

/// A token balance: what may be set aside of it, in thousandths, and what its tokens pay for, where that was frozen.
#[derive(Debug, Clone)]
pub struct TokensHeld<'a> {
    /// Its name: that of its terms, or the model it is named after.
    pub name: &'a str,
    /// What its tokens pay for; balances older than terms have none.
    pub terms: Option<&'a TokenTerms>,
    /// Thousandths of a token that no open hold has.
    pub available: i64,
}

/// How many tokens one balance buys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bought {
    /// So many, rounded down.
    Tokens(u128),
    /// Without end: the mix takes nothing of this balance.
    Endless,
    /// Nobody knows: the model has no price now.
    NoPrice,
}

/// What one balance adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The token balance; money where absent.
    pub balance: Option<String>,
    /// How many tokens it buys.
    pub bought: Bought,
}

/// How many tokens of `mix` of `model` an account's balances buy: money at `rates` (absent where the model has no price
/// now), and each token balance that pays for the model at its own frozen weights. Each is rounded down, so that what is
/// shown can be had. Money comes last.
pub fn worth(
    mix: &Mix,
    model: &str,
    money: NanoCny,
    rates: Option<&Rates>,
    tokens: &[TokensHeld<'_>],
) -> Vec<Part> {
    let bought = |amount, values| mix.bought_with(amount, values).map_or(Bought::Endless, Bought::Tokens);
    let of_tokens = tokens.iter().filter_map(|held| {
        let weights = match held.terms {
            Some(terms) if terms.pays_for(model) => Some(terms.weights),
            None if held.name == model => rates.map(Weights::of_rates),
            _ => return None,
        };
        let bought = weights.map_or(Bought::NoPrice, |weights| bought(held.available, weights.by_class()));
        Some(Part { balance: Some(held.name.to_owned()), bought })
    });
    let of_money = rates.map_or(Bought::NoPrice, |rates| {
        let values = [rates.input, rates.cached_input, rates.cache_write, rates.output];
        bought(money.get(), values.map(Rate::get))
    });
    of_tokens.chain([Part { balance: None, bought: of_money }]).collect()
}

/// All balances together; one that nobody knows leaves the sum unknown, one without end leaves it without end.
pub fn sum(parts: &[Part]) -> Bought {
    parts.iter().fold(Bought::Tokens(0), |sum, part| match (sum, &part.bought) {
        (Bought::NoPrice, _) | (_, Bought::NoPrice) => Bought::NoPrice,
        (Bought::Endless, _) | (_, Bought::Endless) => Bought::Endless,
        (Bought::Tokens(sum), Bought::Tokens(more)) => Bought::Tokens(sum + more),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use units::{Timestamp, Tokens, Usage};

    use super::*;
    use crate::ledger::{Asset, TokenLeg, split_charge};

    fn rates(of: [i64; 4]) -> Rates {
        let [input, cached_input, cache_write, output] = of.map(|rate| Rate::new(rate).unwrap());
        Rates { input, cached_input, cache_write, output }
    }

    fn weights(of: [i64; 4]) -> Weights {
        let [input, cached_input, cache_write, output] = of;
        Weights { input, cached_input, cache_write, output }
    }

    fn terms(models: &[&str], of: [i64; 4]) -> TokenTerms {
        let models = models.iter().map(|&model| model.to_owned()).collect();
        let (id, title, weights) = ("group@1".to_owned(), "A group".to_owned(), weights(of));
        TokenTerms { id, title, models, weights, created_at: Timestamp(0) }
    }

    /// So many tokens of a mix, each class rounded down.
    fn used(mix: &Mix, tokens: u128) -> Usage {
        let whole: u128 = mix.shares().into_iter().map(u128::from).sum();
        let of =
            |place: usize| Tokens(u64::try_from(tokens * u128::from(mix.shares()[place]) / whole).unwrap());
        Usage { input: of(0), cached_input: of(1), cache_write: of(2), output: of(3), ..Usage::default() }
    }

    #[test]
    fn ten_yuan_are_so_many_tokens_of_a_mix_and_a_package_counts_for_its_models_only() {
        let mix: Mix = "input:70,cached:10,output:20".parse().unwrap();
        // A hundred tokens cost 70 x 2,000 + 10 x 500 + 20 x 8,000 = 305,000 nano-yuan.
        let prices = rates([2_000, 500, 2_000, 8_000]);
        let group = terms(&["a", "b"], [1_000, 100, 1_000, 3_000]);
        let held = TokensHeld { name: "group@1", terms: Some(&group), available: 1_000_000_000 };
        let of = |model: &str| {
            worth(&mix, model, NanoCny::from_yuan(10), Some(&prices), std::slice::from_ref(&held))
        };
        let money = Part { balance: None, bought: Bought::Tokens(3_278_688) };
        // A hundred tokens burn 70,000 + 1,000 + 60,000 thousandths.
        let package = Part { balance: Some("group@1".to_owned()), bought: Bought::Tokens(763_358) };
        assert_eq!(of("a"), [package, money.clone()]);
        assert_eq!(sum(&of("a")), Bought::Tokens(3_278_688 + 763_358));
        assert_eq!(of("c"), [money]);
    }

    #[test]
    fn what_has_no_price_is_neither_nothing_nor_guessed() {
        let group = terms(&["a"], [1_000; 4]);
        let tokens = [
            TokensHeld { name: "group@1", terms: Some(&group), available: 7_000 },
            TokensHeld { name: "a", terms: None, available: 7_000 },
        ];
        let parts = worth(&Mix::default(), "a", NanoCny::from_yuan(1), None, &tokens);
        let bought: Vec<&Bought> = parts.iter().map(|part| &part.bought).collect();
        assert_eq!(bought, [&Bought::Tokens(7), &Bought::NoPrice, &Bought::NoPrice]);
        assert_eq!(sum(&parts), Bought::NoPrice);
        let free = worth(&Mix::default(), "a", NanoCny::ZERO, Some(&rates([0; 4])), &[]);
        assert_eq!(sum(&free), Bought::Endless);
    }

    #[test]
    fn a_mix_is_whole_shares_of_known_classes() {
        assert_eq!("input:1".parse::<Mix>().unwrap().shares(), [1, 0, 0, 0]);
        assert_eq!("output:20,input:80".parse::<Mix>().unwrap().shares(), [80, 0, 0, 20]);
        for (text, why) in [
            ("", BadMix::Syntax(String::new())),
            ("input", BadMix::Syntax("input".to_owned())),
            ("input:1,", BadMix::Syntax(String::new())),
            ("tokens:1", BadMix::Class("tokens".to_owned())),
            ("input:1,input:2", BadMix::Twice("input".to_owned())),
            ("input:0,output:0", BadMix::Nothing),
            ("input:-1", BadMix::Share("input".to_owned())),
            ("input:+1", BadMix::Share("input".to_owned())),
            ("input:1.5", BadMix::Share("input".to_owned())),
            ("output:1000001", BadMix::Share("output".to_owned())),
            ("output:99999999999", BadMix::Share("output".to_owned())),
        ] {
            assert_eq!(text.parse::<Mix>(), Err(why), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is shown can be had: a call of so many tokens, spread so, is covered by the money, and one more whole round
        /// of the mix is not.
        #[test]
        fn money_pays_for_what_is_shown_and_not_for_a_round_more(
            shares in prop::array::uniform4(0..200_u32),
            rate in prop::array::uniform4(0..100_000_i64),
            money in 0..1_000_000_000_000_i64,
        ) {
            prop_assume!(shares != [0; 4]);
            let (mix, prices) = (Mix::new(shares).unwrap(), rates(rate));
            let parts = worth(&mix, "m", NanoCny::new(money), Some(&prices), &[]);
            let round: i64 = shares.iter().zip(rate).map(|(share, rate)| i64::from(*share) * rate).sum();
            match sum(&parts) {
                Bought::Endless => prop_assert_eq!(round, 0),
                Bought::NoPrice => prop_assert!(false, "it has a price"),
                Bought::Tokens(tokens) => {
                    let cost = prices.charge(&used(&mix, tokens)).unwrap();
                    prop_assert!(cost.get() <= money, "{} tokens cost {}", tokens, cost);
                    let whole: u128 = shares.iter().map(|&share| u128::from(share)).sum();
                    let more = prices.charge(&used(&mix, (tokens / whole + 1) * whole)).unwrap();
                    prop_assert!(more.get() > money, "a round more costs {}", more);
                }
            }
        }

        /// The same for a token balance: what is shown burns no more than there is.
        #[test]
        fn a_token_balance_covers_what_is_shown(
            shares in prop::array::uniform4(0..200_u32),
            weight in prop::array::uniform4(1..5_000_i64),
            available in 0..1_000_000_000_000_i64,
        ) {
            prop_assume!(shares != [0; 4]);
            let (mix, group) = (Mix::new(shares).unwrap(), terms(&["m"], weight));
            let held = TokensHeld { name: "group@1", terms: Some(&group), available };
            let parts = worth(&mix, "m", NanoCny::ZERO, None, &[held]);
            let Bought::Tokens(tokens) = parts[0].bought else { panic!("{parts:?}") };
            let leg = TokenLeg { asset: Asset::Tokens("t".to_owned()), milli: available, weights: weights(weight) };
            let dear = rates([1; 4]);
            let split = split_charge(&used(&mix, tokens), &dear, &[leg]).unwrap();
            prop_assert_eq!(split.money, NanoCny::ZERO);
        }

        /// Nothing overflows, however large.
        #[test]
        fn any_amount_at_any_rate_has_an_answer(
            shares in prop::array::uniform4(0..=SHARE_MAX),
            rate in prop::array::uniform4(0..=i64::MAX),
            money in any::<i64>(),
        ) {
            prop_assume!(shares != [0; 4]);
            worth(&Mix::new(shares).unwrap(), "m", NanoCny::new(money), Some(&rates(rate)), &[]);
        }
    }
}
