//! Which target first? What a route prefers, as a pure function of what is known of its targets at one moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a route prefers among targets of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The order in which they are written.
    #[default]
    Priority,
    /// Chance, by their weights.
    Weighted,
    /// What costs us least, as the catalog says; those of unknown cost last.
    Cheapest,
    /// Whose first byte comes soonest: the better of two drawn by weight goes first, so that not everybody runs to the
    /// same one; those of which nothing is known yet are tried.
    Fastest,
    /// Who has the fewest calls in flight, for its weight.
    LeastBusy,
}

impl Strategy {
    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::LeastBusy => "least_busy",
        }
    }
}

/// What becomes of a call whose ceiling the balance, a budget or the caller's own maximum does not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenShort {
    /// It is refused, and told what would do.
    #[default]
    Refuse,
    /// Its answer may be only as long as there is money for, which `x-tollgate-max-tokens` says.
    Clamp,
}

/// By whose price a call is charged that another model than the one it asked for has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargedAs {
    /// By that of the model that served it.
    #[default]
    Serving,
    /// By that of the model it asked for.
    Requested,
}

/// What is known of a target at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Lower comes first, whatever the strategy prefers.
    pub priority: u32,
    /// Its share, where shares matter.
    pub weight: u32,
    /// What the call would cost us there, in nano-yuan, or in any unit that all targets share; `None` where unknown.
    pub cost: Option<i64>,
    /// How long its first byte has taken lately, in microseconds; `None` where nobody has asked it lately.
    pub first_byte_us: Option<u64>,
    /// Calls that it is answering.
    pub in_flight: u32,
}

/// The order in which the targets are asked, as places in `targets`. Each is in it once. `draw(n)` draws a number below
/// `n`, which is never zero.
pub fn order(strategy: Strategy, targets: &[Standing], mut draw: impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..targets.len()).collect();
    places.sort_by_key(|place| targets[*place].priority);
    for group in places.chunk_by_mut(|a, b| targets[*a].priority == targets[*b].priority) {
        match strategy {
            Strategy::Priority => {}
            Strategy::Weighted => shuffle(group, targets, &mut draw),
            Strategy::Cheapest => group.sort_by_key(|place| targets[*place].cost.unwrap_or(i64::MAX)),
            Strategy::Fastest => {
                shuffle(group, targets, &mut draw);
                let pace = |place: &usize| targets[*place].first_byte_us.unwrap_or(0);
                // Two drawn by weight, the better of them first, and then all others from the fastest to the slowest.
                if let [first, second, ..] = group
                    && pace(second) < pace(first)
                {
                    std::mem::swap(first, second);
                }
                if let [_, rest @ ..] = group {
                    rest.sort_by_key(pace);
                }
            }
            Strategy::LeastBusy => {
                // Among those that are as busy as each other, chance decides.
                shuffle(group, targets, &mut draw);
                let load = |place: &usize| {
                    let target = &targets[*place];
                    (u64::from(target.in_flight) << 32) / u64::from(target.weight.max(1))
                };
                group.sort_by_key(load);
            }
        }
    }
    places
}

/// Draws them one after another, each by its share of the weights that are left.
fn shuffle(group: &mut [usize], targets: &[Standing], draw: &mut impl FnMut(u64) -> u64) {
    for begin in 0..group.len() {
        let rest = &mut group[begin..];
        let weight = |place: usize| u64::from(targets[place].weight);
        let total: u64 = rest.iter().map(|place| weight(*place)).sum();
        if total == 0 {
            return;
        }
        let mut left = draw(total);
        let drawn = rest.iter().position(|place| match left.checked_sub(weight(*place)) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        });
        // The others keep their order.
        rest[..=drawn.unwrap_or(0)].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn plain(weight: u32) -> Standing {
        Standing { weight, ..Standing::default() }
    }

    fn first(strategy: Strategy, targets: &[Standing], drawn: &[u64]) -> Vec<usize> {
        let mut drawn = drawn.iter().copied();
        order(strategy, targets, |below| drawn.next().unwrap_or(0).min(below - 1))
    }

    #[test]
    fn a_lower_priority_number_comes_first_whatever_is_preferred() {
        let dear = Standing { priority: 0, cost: Some(9), ..plain(1) };
        let cheap = Standing { priority: 1, cost: Some(1), ..plain(1) };
        for strategy in [
            Strategy::Priority,
            Strategy::Cheapest,
            Strategy::LeastBusy,
            Strategy::Fastest,
            Strategy::Weighted,
        ] {
            assert_eq!(first(strategy, &[cheap, dear, cheap], &[])[0], 1, "{strategy:?}");
        }
        assert_eq!(first(Strategy::Priority, &[cheap, dear, cheap], &[]), [1, 0, 2], "else as written");
    }

    #[test]
    fn weights_are_shares_and_a_weight_of_zero_is_asked_last() {
        let targets = [plain(3), plain(0), plain(1)];
        let mut times = [0; 3];
        for drawn in 0..4 {
            let order = first(Strategy::Weighted, &targets, &[drawn]);
            times[order[0]] += 1;
            assert_eq!(order[2], 1);
        }
        assert_eq!(times, [3, 0, 1]);
    }

    #[test]
    fn cheapest_is_our_cost_and_unknown_is_not_free() {
        let cost = |cost| Standing { cost, ..plain(1) };
        assert_eq!(
            first(Strategy::Cheapest, &[cost(None), cost(Some(5)), cost(Some(2)), cost(Some(5))], &[]),
            [2, 1, 3, 0]
        );
    }

    #[test]
    fn fastest_takes_the_better_of_two_and_tries_the_unknown() {
        let pace = |us| Standing { first_byte_us: us, ..plain(1) };
        let targets = [pace(Some(900)), pace(Some(100)), pace(Some(500))];
        assert_eq!(first(Strategy::Fastest, &targets, &[0, 1]), [2, 1, 0], "drawn: 900 and 500");
        assert_eq!(first(Strategy::Fastest, &targets, &[0, 0]), [1, 2, 0], "drawn: 900 and 100");
        assert_eq!(first(Strategy::Fastest, &[pace(Some(900)), pace(None)], &[]), [1, 0]);
    }

    #[test]
    fn least_busy_counts_calls_for_their_weight() {
        let busy = |in_flight, weight| Standing { in_flight, ..plain(weight) };
        assert_eq!(first(Strategy::LeastBusy, &[busy(3, 1), busy(4, 2), busy(9, 4)], &[]), [1, 2, 0]);
    }

    proptest! {
        #[test]
        fn everybody_is_asked_once(
            targets in prop::collection::vec((0..3_u32, 0..4_u32, prop::option::of(any::<i64>()), prop::option::of(any::<u64>()), any::<u32>()), 0..9),
            strategy in prop::sample::select(&[Strategy::Priority, Strategy::Weighted, Strategy::Cheapest, Strategy::Fastest, Strategy::LeastBusy][..]),
            seed in any::<u64>(),
        ) {
            let targets: Vec<_> = targets.into_iter().map(|(priority, weight, cost, first_byte_us, in_flight)| {
                Standing { priority, weight, cost, first_byte_us, in_flight }
            }).collect();
            let mut state = seed;
            let mut order = order(strategy, &targets, |below| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state % below
            });
            prop_assert!(order.windows(2).all(|pair| targets[pair[0]].priority <= targets[pair[1]].priority));
            order.sort_unstable();
            prop_assert_eq!(order, (0..targets.len()).collect::<Vec<_>>());
        }
    }
}
