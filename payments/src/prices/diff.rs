//! What does one version say otherwise than another?

use std::collections::{BTreeMap, BTreeSet, HashMap};

use units::{Rate, Rates};

use super::{Card, Figures, FxInForce, Offer, Row, Schedule, Sheet, convert::convert};

/// One price that moved, appeared or went away, in nano-yuan per token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it stands: `base`, `above 128000`, `night`, `night above 128000`.
    pub place: String,
    /// Class of token.
    pub class: &'static str,
    /// What it was; `None` where there was none, or no rate to reckon it by.
    pub old: Option<Rate>,
    /// What it will be.
    pub new: Option<Rate>,
    /// How far it moves, in hundredths of a per cent of the old, rounded half away from zero; `None` where the old is
    /// zero or unknown.
    pub bps: Option<i64>,
}

/// What becomes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDiff {
    /// Which.
    pub model: String,
    /// Prices that move.
    pub changes: Vec<Change>,
    /// What else moves, old and new, in words: currency, markup, source figures, zone and times of windows.
    pub terms: Vec<(String, String)>,
}

/// What one version says otherwise than another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Models that were not there.
    pub added: Vec<String>,
    /// Models that will not be there.
    pub removed: Vec<String>,
    /// Models that change.
    pub changed: Vec<ModelDiff>,
}

impl Diff {
    /// True where both say the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Lays `new` against `old`, both reckoned with the same rates of exchange, so that only what the lists say makes a
/// difference. Nothing is in force yet where `old` is `None`.
pub fn diff(old: Option<&Sheet>, new: &Sheet, fx: &HashMap<String, std::sync::Arc<FxInForce>>) -> Diff {
    let nothing = Sheet { scale: new.scale, models: BTreeMap::new() };
    let old = old.unwrap_or(&nothing);
    let only_in = |one: &Sheet, other: &Sheet| {
        one.models.keys().filter(|model| !other.models.contains_key(*model)).cloned().collect()
    };
    let changed = old.models.iter().filter_map(|(model, was)| {
        let will_be = new.models.get(model)?;
        let prices = |row: &Row, scale| lines(row, scale, fx);
        let changes = changes(&prices(was, old.scale), &prices(will_be, new.scale));
        let terms = terms(was, will_be);
        let same = changes.is_empty() && terms.is_empty();
        (!same).then(|| ModelDiff { model: model.clone(), changes, terms })
    });
    Diff { added: only_in(new, old), removed: only_in(old, new), changed: changed.collect() }
}

/// Every price of a row by place and class; the rank keeps base before tiers, and both before windows.
type Lines = BTreeMap<(usize, u64, String, &'static str), Option<Rate>>;

fn lines(row: &Row, scale: u32, fx: &HashMap<String, std::sync::Arc<FxInForce>>) -> Lines {
    let rate_micro = match fx.get(&row.currency) {
        _ if row.currency == super::CNY => Some(1_000_000),
        known => known.map(|fx| fx.rate_micro),
    };
    let mut lines = Lines::new();
    each_place(&row.card, row.schedule.as_ref(), |rank, above, place, figures: &Figures| {
        for (class, source) in figures.classes() {
            let rate = rate_micro.and_then(|micro| convert(source, micro, row.markup_bps, scale).ok());
            lines.insert((rank, above, place.clone(), class), rate.map(|rounded| rounded.rate));
        }
    });
    lines
}

/// Calls `each` for every place of a row: rank, size of prompt, name, prices.
pub(super) fn each_place<P>(
    card: &Card<P>,
    schedule: Option<&Schedule<P>>,
    mut each: impl FnMut(usize, u64, String, &P),
) {
    for (above, prices) in card.iter() {
        let place = above.map_or_else(|| "base".to_owned(), |above| format!("above {above}"));
        each(0, above.map_or(0, |above| above.0), place, prices);
    }
    for (rank, window) in schedule.into_iter().flat_map(|schedule| &schedule.windows).enumerate() {
        for (above, prices) in window.card.iter() {
            let name = &window.name;
            let place = above.map_or_else(|| name.clone(), |above| format!("{name} above {above}"));
            each(rank + 1, above.map_or(0, |above| above.0), place, prices);
        }
    }
}

impl Offer {
    /// Every price of the offer with its place, as [`Change::place`] names it.
    pub fn places(&self) -> Vec<(String, Rates)> {
        let mut places = Vec::new();
        each_place(&self.card, self.schedule.as_ref(), |_, _, place, rates| places.push((place, *rates)));
        places
    }
}

fn changes(old: &Lines, new: &Lines) -> Vec<Change> {
    // Windows are told apart by their names, wherever they stand.
    let by_place = |lines: &Lines| -> BTreeMap<(String, &'static str), Option<Rate>> {
        lines.iter().map(|((_, _, place, class), rate)| ((place.clone(), *class), *rate)).collect()
    };
    let (was, will_be) = (by_place(old), by_place(new));
    let mut seen = BTreeSet::new();
    let in_order = new.keys().chain(old.keys()).map(|(_, _, place, class)| (place.clone(), *class));
    in_order
        .filter(|key| seen.insert(key.clone()))
        .filter_map(|key| {
            let (old, new) = (was.get(&key).copied(), will_be.get(&key).copied());
            let (place, class) = key;
            (old != new).then(|| {
                let (old, new) = (old.flatten(), new.flatten());
                Change { place, class, old, new, bps: moved_bps(old, new) }
            })
        })
        .collect()
}

fn moved_bps(old: Option<Rate>, new: Option<Rate>) -> Option<i64> {
    let (old, new) = (i128::from(old?.get()), i128::from(new?.get()));
    let twice = (new - old) * 20_000;
    let half_away = if twice < 0 { twice - old } else { twice + old };
    i64::try_from(half_away.checked_div(old * 2)?).ok()
}

fn terms(old: &Row, new: &Row) -> Vec<(String, String)> {
    let source = |row: &Row| {
        let markup = units::decimal::format(row.markup_bps, 2, 0);
        let mut words = vec![format!("in {}, {markup} % on top", row.currency)];
        // What is in yuan shows itself in the prices.
        if row.currency != super::CNY {
            each_place(&row.card, row.schedule.as_ref(), |_, _, place, figures| {
                let figure = |micro| units::decimal::format(micro, 6, 2);
                let classes = figures.classes().map(|(class, micro)| format!("{class} {}", figure(micro)));
                words.push(format!("{place}: {}", classes.join(", ")));
            });
        }
        words
    };
    let windows = |row: &Row| match &row.schedule {
        None => vec!["no windows".to_owned()],
        Some(schedule) => {
            let zone = &schedule.zone_name;
            schedule
                .windows
                .iter()
                .map(|window| format!("{}: {} {zone}", window.name, window.when()))
                .collect()
        }
    };
    [(source(old), source(new)), (windows(old), windows(new))]
        .into_iter()
        .filter(|(old, new)| old != new)
        .map(|(old, new)| (old.join("; "), new.join("; ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sheet(text: &str) -> Sheet {
        Sheet::read(text).unwrap()
    }

    #[test]
    fn what_is_added_removed_and_moved_is_told_with_per_cent() {
        let old = sheet(
            r#"{"models": {"gone": {"input": "1", "output": "1"}, "kept": {"input": "1", "output": "1"},
                "moved": {"input": "2.00", "cached_input": "0", "cache_write": "3", "output": "8.00"}}}"#,
        );
        let new = sheet(
            r#"{"models": {"come": {"input": "1", "output": "1"}, "kept": {"input": "1.00", "output": "1"},
                "moved": {"input": "1.50", "cached_input": "0.10", "cache_write": "3", "output": "8.01",
                          "tiers": [{"above": 100, "input": "4", "output": "16"}]}}}"#,
        );
        let diff = diff(Some(&old), &new, &HashMap::new());
        assert_eq!(
            (diff.added.as_slice(), diff.removed.as_slice()),
            (&["come".to_owned()][..], &["gone".to_owned()][..])
        );
        let [moved] = diff.changed.as_slice() else { panic!("{diff:?}") };
        let told: Vec<_> = moved
            .changes
            .iter()
            .map(|it| (it.place.as_str(), it.class, it.new.map(|rate| rate.to_string()), it.bps))
            .collect();
        let new = |text: &str| Some(text.to_owned());
        assert_eq!(
            told[..3],
            [
                ("base", "cached_input", new("0.10"), None),
                ("base", "input", new("1.50"), Some(-2_500)),
                ("base", "output", new("8.01"), Some(13)),
            ]
        );
        assert!(told[3..].iter().all(|line| line.0 == "above 100") && told.len() == 7, "{told:?}");
        assert_eq!(moved.terms, Vec::new());
    }

    #[test]
    fn a_foreign_price_without_a_rate_is_told_by_its_source() {
        let row = |input| {
            sheet(&format!(
                r#"{{"models": {{"m": {{"currency": "USD", "input": "{input}", "output": "9"}}}}}}"#
            ))
        };
        let without = diff(Some(&row("2.5")), &row("3"), &HashMap::new());
        let [changed] = without.changed.as_slice() else { panic!("{without:?}") };
        assert!(changed.changes.is_empty(), "nothing can be reckoned");
        assert!(
            changed.terms[0].0.contains("input 2.50") && changed.terms[0].1.contains("input 3.00"),
            "{changed:?}"
        );
        let rate = FxInForce { id: "USD/CNY:1".to_owned(), rate_micro: 7_000_000, good_until: None };
        let fx = HashMap::from([("USD".to_owned(), std::sync::Arc::new(rate))]);
        let with = diff(Some(&row("2.5")), &row("3"), &fx);
        assert_eq!(with.changed[0].changes.len(), 3, "input, and what follows it: {with:?}");
        assert_eq!(with.changed[0].changes[0].bps, Some(2_000));
    }

    fn any_sheet() -> impl Strategy<Value = Sheet> {
        let fen = 0..10_000_i64;
        let row = (fen.clone(), fen, prop::option::of(1..3_u64)).prop_map(|(input, output, above)| {
            let figures = |n: i64| Figures {
                input: input * n * 10_000,
                cached_input: input * n * 10_000,
                cache_write: input * n * 10_000,
                output: output * n * 10_000,
            };
            let tiers = above
                .map(|above| super::super::Tier { above: units::Tokens(above * 100), prices: figures(2) });
            Row {
                currency: "CNY".to_owned(),
                markup_bps: 0,
                card: Card { base: figures(1), tiers: tiers.into_iter().collect() },
                schedule: None,
            }
        });
        prop::collection::btree_map("[a-d]", row, 0..4).prop_map(|models| Sheet { scale: 2, models })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whoever applies the changes to the old prices has the new ones; equal lists have none, and turned round every
        /// change is turned round.
        #[test]
        fn a_diff_is_the_way_from_old_to_new(old in any_sheet(), new in any_sheet()) {
            let fx = HashMap::new();
            prop_assert!(diff(Some(&old), &old, &fx).is_empty());
            let there = diff(Some(&old), &new, &fx);
            let back = diff(Some(&new), &old, &fx);
            prop_assert_eq!((&there.added, &there.removed), (&back.removed, &back.added));
            prop_assert_eq!(there.changed.len(), back.changed.len());
            for (model, was) in &old.models {
                let Some(will_be) = new.models.get(model) else {
                    prop_assert!(there.removed.contains(model));
                    continue;
                };
                let prices = |row: &Row| -> BTreeMap<(String, &'static str), Rate> {
                    lines(row, 2, &fx).into_iter().map(|((_, _, place, class), rate)| ((place, class), rate.unwrap())).collect()
                };
                let mut walked = prices(was);
                let told = there.changed.iter().find(|it| it.model == *model);
                for change in told.map_or(&[][..], |it| it.changes.as_slice()) {
                    let key = (change.place.clone(), change.class);
                    prop_assert_eq!(walked.get(&key).copied(), change.old);
                    prop_assert_ne!(change.old, change.new);
                    match change.new {
                        Some(rate) => drop(walked.insert(key, rate)),
                        None => drop(walked.remove(&key)),
                    }
                }
                prop_assert_eq!(walked, prices(will_be));
            }
        }
    }
}
