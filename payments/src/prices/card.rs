//! What a token costs by the prompt's size: a base, and tiers above it, each of them whole.

use serde::{Deserialize, Serialize};
use units::Tokens;

/// Prices from a size of prompt upwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier<P> {
    /// Counts for prompts of more than this many tokens.
    pub above: Tokens,
    /// What counts then, for every token of the call.
    pub prices: P,
}

/// Prices of one model by the prompt's size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card<P> {
    /// What counts where no tier does.
    pub base: P,
    /// Ascending by `above`.
    pub tiers: Vec<Tier<P>>,
}

impl<P> Card<P> {
    /// The prices for a prompt of this size, and the tier they stand in; `None` for the base.
    pub fn at(&self, prompt: Tokens) -> (&P, Option<Tokens>) {
        tier_for(&self.tiers, prompt).map_or((&self.base, None), |tier| (&tier.prices, Some(tier.above)))
    }

    /// Every price of the card with the tier it stands in.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Tokens>, &P)> {
        let tiers = self.tiers.iter().map(|tier| (Some(tier.above), &tier.prices));
        std::iter::once((None, &self.base)).chain(tiers)
    }

    /// The same card with every price converted.
    ///
    /// # Errors
    /// The first that `convert` makes.
    pub fn try_map<Q, E>(&self, convert: impl Fn(&P) -> Result<Q, E>) -> Result<Card<Q>, E> {
        let tiers = self.tiers.iter().map(|tier| {
            let prices = convert(&tier.prices)?;
            Ok(Tier { above: tier.above, prices })
        });
        Ok(Card { base: convert(&self.base)?, tiers: tiers.collect::<Result<_, E>>()? })
    }
}

/// The highest of `tiers` that a prompt of this size reaches.
pub fn tier_for<P>(tiers: &[Tier<P>], prompt: Tokens) -> Option<&Tier<P>> {
    tiers.iter().rev().find(|tier| prompt > tier.above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_begins_above_its_size_and_the_highest_that_is_reached_counts() {
        let tier = |above, prices| Tier { above: Tokens(above), prices };
        let card = Card { base: 'a', tiers: vec![tier(10, 'b'), tier(20, 'c')] };
        let at = |prompt| *card.at(Tokens(prompt)).0;
        assert_eq!([0, 10, 11, 20, 21, u64::MAX].map(at), ['a', 'a', 'b', 'b', 'c', 'c']);
        assert_eq!(card.at(Tokens(11)).1, Some(Tokens(10)));
    }
}
