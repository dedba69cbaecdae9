//! Which prices has rounding moved by more than one per cent?

use std::{collections::HashMap, sync::Arc};

use units::Rate;

use super::{CNY, FxInForce, Sheet, convert::convert, diff::each_place};

/// One price that is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundingRow {
    /// Which model.
    pub model: String,
    /// Where it stands in the row, as in [`Change::place`](super::Change::place).
    pub place: String,
    /// Class of token.
    pub class: &'static str,
    /// What is charged.
    pub rate: Rate,
    /// What it is before rounding, in yuan per million tokens, cut after nine decimals.
    pub exact: String,
    /// How far it is off, in hundredths of a per cent.
    pub off_bps: i64,
}

/// The prices that are off by more than one per cent, the worst first, and the models that cannot be reckoned for lack of
/// a rate of exchange.
pub fn rounding(sheet: &Sheet, fx: &HashMap<String, Arc<FxInForce>>) -> (Vec<RoundingRow>, Vec<String>) {
    let (mut rows, mut unknown) = (Vec::new(), Vec::new());
    for (model, row) in &sheet.models {
        let rate_micro = match fx.get(&row.currency) {
            _ if row.currency == CNY => 1_000_000,
            Some(fx) => fx.rate_micro,
            None => {
                unknown.push(model.clone());
                continue;
            }
        };
        each_place(&row.card, row.schedule.as_ref(), |_, _, place, figures| {
            for (class, source) in figures.classes() {
                let Ok(rounded) = convert(source, rate_micro, row.markup_bps, sheet.scale) else { continue };
                if rounded.is_off() {
                    rows.push(RoundingRow {
                        model: model.clone(),
                        place: place.clone(),
                        class,
                        rate: rounded.rate,
                        exact: rounded.exact_yuan_per_million(),
                        off_bps: rounded.off_bps().unwrap_or(i64::MAX),
                    });
                }
            }
        });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.off_bps));
    (rows, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheap_models_are_listed_and_a_list_with_three_decimals_helps() {
        let text = |scale| {
            format!(
                r#"{{"scale": {scale}, "models": {{
                "cheap": {{"currency": "USD", "input": "0.03", "cached_input": "0.001", "output": "10"}},
                "yen": {{"currency": "JPY", "input": "1", "output": "2"}},
                "yuan": {{"input": "0.01", "output": "0.02"}}}}}}"#
            )
        };
        let rate = FxInForce { id: "USD/CNY:1".to_owned(), rate_micro: 7_200_000, good_until: None };
        let fx = HashMap::from([("USD".to_owned(), Arc::new(rate))]);
        let (rows, unknown) = rounding(&Sheet::read(&text(2)).unwrap(), &fx);
        let told: Vec<_> =
            rows.iter().map(|row| (row.class, row.rate.to_string(), row.exact.as_str())).collect();
        assert_eq!(
            told,
            [
                ("cached_input", "0.01".to_owned(), "0.0072"),
                ("input", "0.22".to_owned(), "0.216"),
                ("cache_write", "0.22".to_owned(), "0.216"),
            ]
        );
        assert_eq!(unknown, ["yen"]);
        let (rows, _) = rounding(&Sheet::read(&text(3)).unwrap(), &fx);
        assert_eq!(rows.len(), 1, "0.0072 is still 0.007: {rows:?}");
    }
}
