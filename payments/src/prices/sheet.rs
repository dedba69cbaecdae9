//! A price list as checked: nothing here can hold a price that could not be charged.

use std::{collections::BTreeMap, fmt};

use units::{Tokens, decimal};

use super::{
    CNY, Card, Document, Figure, Figures, RawModel, RawTier, RawWindow, Schedule, Tier, Window, convert,
    schedule::{same_tiers, zone},
};

/// Prices above this, per million tokens, are taken for a slip of the pen.
const HIGHEST_MICRO: i64 = 100_000_000_000;
/// A markup beyond ten times the price is one as well.
const MARKUP_BPS_MAX: i64 = 100_000;
/// Longer names are no models.
const NAME_MAX: usize = 128;
/// More tiers or windows than this are no price list.
const PARTS_MAX: usize = 24;

/// Everything that is wrong with a document, in its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SheetProblems(pub Vec<String>);

impl fmt::Display for SheetProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// One model's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the figures are in.
    pub currency: String,
    /// What is put on top, in hundredths of a per cent.
    pub markup_bps: i64,
    /// Outside every window.
    pub card: Card<Figures>,
    /// Windows, if there are any.
    pub schedule: Option<Schedule<Figures>>,
}

/// A checked price list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Decimals of its prices in yuan per million tokens: 2 or 3.
    pub scale: u32,
    /// By the model's name.
    pub models: BTreeMap<String, Row>,
}

impl Sheet {
    /// Checks a document.
    ///
    /// # Errors
    /// [`SheetProblems`] with everything that is wrong, each naming its place.
    pub fn check(document: &Document) -> Result<Self, SheetProblems> {
        let mut check = Check { scale: document.scale, problems: Vec::new() };
        if !(2..=3).contains(&document.scale) {
            return Err(SheetProblems(vec!["scale: 2 or 3 decimals".to_owned()]));
        }
        if document.models.is_empty() {
            check.wrong("models", "a list without a model sells nothing");
        }
        let mut models = BTreeMap::new();
        for (name, raw) in &document.models {
            if let Some(row) = check.row(name, raw) {
                models.insert(name.clone(), row);
            }
        }
        let Check { problems, .. } = check;
        if problems.is_empty() {
            Ok(Self { scale: document.scale, models })
        } else {
            Err(SheetProblems(problems))
        }
    }

    /// Checks the text of a document.
    ///
    /// # Errors
    /// As [`Sheet::check`]; one problem where the text is none.
    pub fn read(text: &str) -> Result<Self, SheetProblems> {
        Self::check(&Document::read_json(text).map_err(|error| SheetProblems(vec![error]))?)
    }

    /// The currencies that must be converted.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        let all: std::collections::BTreeSet<&str> = self
            .models
            .values()
            .map(|row| row.currency.as_str())
            .filter(|currency| *currency != CNY)
            .collect();
        all.into_iter()
    }
}

struct Check {
    scale: u32,
    problems: Vec<String>,
}

impl Check {
    fn wrong(&mut self, place: &str, what: impl fmt::Display) {
        self.problems.push(format!("{place}: {what}"));
    }

    fn row(&mut self, name: &str, raw: &RawModel) -> Option<Row> {
        let place = format!("models.{name}");
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(|b| b.is_ascii_graphic()) {
            self.wrong(&place, "a model's name is 1 to 128 printable ASCII characters without spaces");
        }
        if raw.currency.len() != 3 || !raw.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            self.wrong(&format!("{place}.currency"), "a currency is three capital letters such as `USD`");
            return None;
        }
        let markup_bps = match raw.markup_percent.as_deref().map_or(Ok(0), |text| decimal::parse(text, 2)) {
            Ok(bps @ 0..=MARKUP_BPS_MAX) => bps,
            Ok(_) => {
                self.wrong(&format!("{place}.markup_percent"), "from 0 to 1000 per cent");
                return None;
            }
            Err(error) => {
                self.wrong(&format!("{place}.markup_percent"), error);
                return None;
            }
        };
        // What is taken as it stands must be expressible; what is converted or marked up is rounded.
        let exact = raw.currency == CNY && markup_bps == 0;
        let card = self.card(&place, raw.figure(), &raw.tiers, exact);
        let schedule = match &raw.off_peak {
            None => Some(None),
            Some(off_peak) => {
                let place = format!("{place}.off_peak");
                self.schedule(&place, &off_peak.zone, &off_peak.windows, card.as_ref(), exact).map(Some)
            }
        };
        Some(Row { currency: raw.currency.clone(), markup_bps, card: card?, schedule: schedule? })
    }

    fn schedule(
        &mut self,
        place: &str,
        zone_name: &str,
        raw: &[RawWindow],
        card: Option<&Card<Figures>>,
        exact: bool,
    ) -> Option<Schedule<Figures>> {
        let zone = zone(zone_name).map_err(|error| self.wrong(&format!("{place}.zone"), error)).ok();
        if raw.is_empty() || raw.len() > PARTS_MAX {
            self.wrong(&format!("{place}.windows"), format_args!("1 to {PARTS_MAX} windows"));
        }
        let mut windows: Vec<Window<Figures>> = Vec::new();
        let mut whole = true;
        for (i, raw) in raw.iter().enumerate() {
            let place = format!("{place}.windows[{i}]");
            let Some(window) = self.window(&place, raw, exact) else {
                whole = false;
                continue;
            };
            if card.is_some_and(|card| !same_tiers(card, &window.card)) {
                self.wrong(&place, "its tiers must begin at the same sizes as the row's");
            }
            for other in &windows {
                if other.name == window.name {
                    self.wrong(&format!("{place}.name"), format_args!("`{}` stands twice", window.name));
                }
                if window.overlaps(other) {
                    self.wrong(
                        &place,
                        format_args!(
                            "`{}` ({}) overlaps `{}` ({})",
                            window.name,
                            window.when(),
                            other.name,
                            other.when()
                        ),
                    );
                }
            }
            windows.push(window);
        }
        let zone = zone.filter(|_| whole)?;
        Some(Schedule { zone_name: zone_name.to_owned(), zone, windows })
    }

    fn window(&mut self, place: &str, raw: &RawWindow, exact: bool) -> Option<Window<Figures>> {
        if raw.name.trim().is_empty() || raw.name.len() > NAME_MAX {
            self.wrong(&format!("{place}.name"), "1 to 128 characters");
        }
        let days = match &raw.days {
            None => Ok(super::Days::ALL),
            Some(names) => super::Days::of(names.iter().map(String::as_str)),
        };
        let days = days.map_err(|error| self.wrong(&format!("{place}.days"), error)).ok();
        let mut time = |key: &str, text: &str| {
            text.parse().map_err(|error: super::BadWindow| self.wrong(&format!("{place}.{key}"), error)).ok()
        };
        let (from, to) = (time("from", &raw.from), time("to", &raw.to));
        if from.is_some() && from == to {
            self.wrong(&format!("{place}.to"), "ends when it begins; a whole day is `00:00` to `24:00`");
        }
        let card = self.card(place, raw.figure(), &raw.tiers, exact);
        Some(Window { name: raw.name.clone(), days: days?, from: from?, to: to?, card: card? })
    }

    fn card(
        &mut self,
        place: &str,
        base: Figure<'_>,
        tiers: &[RawTier],
        exact: bool,
    ) -> Option<Card<Figures>> {
        let base = self.figures(place, base, exact);
        if tiers.len() > PARTS_MAX {
            self.wrong(&format!("{place}.tiers"), format_args!("{PARTS_MAX} tiers at most"));
        }
        let mut read = Vec::new();
        let mut above = 0;
        for (i, tier) in tiers.iter().enumerate() {
            let place = format!("{place}.tiers[{i}]");
            if tier.above <= above {
                self.wrong(&format!("{place}.above"), format_args!("more than {above}, since tiers ascend"));
            }
            above = tier.above;
            read.push(
                self.figures(&place, tier.figure(), exact)
                    .map(|prices| Tier { above: Tokens(above), prices }),
            );
        }
        Some(Card { base: base?, tiers: read.into_iter().collect::<Option<_>>()? })
    }

    fn figures(&mut self, place: &str, raw: Figure<'_>, exact: bool) -> Option<Figures> {
        let input = self.price(&format!("{place}.input"), raw.input, exact);
        // What is left out is as fresh input; what is wrong with that is said once.
        let mut class = |key: &str, text: &str| {
            if text == raw.input { input } else { self.price(&format!("{place}.{key}"), text, exact) }
        };
        let (cached_input, cache_write) =
            (class("cached_input", raw.cached_input), class("cache_write", raw.cache_write));
        let output = self.price(&format!("{place}.output"), raw.output, exact);
        let figures = Figures {
            input: input?,
            cached_input: cached_input?,
            cache_write: cache_write?,
            output: output?,
        };
        if figures.cached_input > figures.input {
            self.wrong(&format!("{place}.cached_input"), "cached input may not cost more than fresh input");
        }
        Some(figures)
    }

    fn price(&mut self, place: &str, text: &str, exact: bool) -> Option<i64> {
        let micro = match decimal::parse(text, 6) {
            Ok(micro @ 0..=HIGHEST_MICRO) => micro,
            Ok(micro) if micro < 0 => {
                self.wrong(place, "a price is never negative");
                return None;
            }
            Ok(_) => {
                self.wrong(place, "more than 100,000 per million tokens cannot be meant");
                return None;
            }
            Err(error) => {
                self.wrong(place, error);
                return None;
            }
        };
        let scale = self.scale;
        if exact
            && convert(micro, 1_000_000, 0, scale).map_or(true, |price| price.rate.get() * 1_000 != micro)
        {
            self.wrong(place, format_args!("{text} yuan has more than the {scale} decimals of this list"));
            return None;
        }
        Some(micro)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(models: serde_json::Value) -> Document {
        serde_json::from_value(serde_json::json!({ "models": models })).unwrap()
    }

    fn problems(models: serde_json::Value) -> String {
        Sheet::check(&document(models)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_costs_as_much_as_fresh_input() {
        let sheet =
            Sheet::check(&document(serde_json::json!({"m": {"input": "2", "output": "8.00"}}))).unwrap();
        let row = &sheet.models["m"];
        assert_eq!((row.currency.as_str(), row.markup_bps, sheet.scale), ("CNY", 0, 2));
        let base = row.card.base;
        assert_eq!(
            [base.input, base.cached_input, base.cache_write, base.output],
            [2_000_000, 2_000_000, 2_000_000, 8_000_000]
        );
        assert_eq!(sheet.foreign().count(), 0);
    }

    #[test]
    fn a_price_that_could_not_be_charged_exactly_is_refused_with_its_place() {
        for (model, expected) in [
            (
                serde_json::json!({"input": "2.005", "output": "8"}),
                "models.m.input: 2.005 yuan has more than the 2 decimals of this list",
            ),
            (serde_json::json!({"input": "-2", "output": "8"}), "models.m.input: a price is never negative"),
            (
                serde_json::json!({"input": "2", "output": "1e3"}),
                "models.m.output: not a decimal number like 12.34",
            ),
            (
                serde_json::json!({"input": "2", "output": "100001"}),
                "models.m.output: more than 100,000 per million tokens cannot be meant",
            ),
            (
                serde_json::json!({"input": "2", "cached_input": "3", "output": "8"}),
                "models.m.cached_input: cached input may not cost more than fresh input",
            ),
            (
                serde_json::json!({"currency": "usd", "input": "2", "output": "8"}),
                "models.m.currency: a currency is three capital letters such as `USD`",
            ),
            (
                serde_json::json!({"currency": "USD", "input": "0.0000001", "output": "8"}),
                "models.m.input: more than 6 decimals",
            ),
            (
                serde_json::json!({"input": "2", "output": "8", "markup_percent": "-1"}),
                "models.m.markup_percent: from 0 to 1000 per cent",
            ),
            (
                serde_json::json!({"input": "2", "output": "8", "markup_percent": "1.005"}),
                "models.m.markup_percent: more than 2 decimals",
            ),
            (
                serde_json::json!({"input": "2", "output": "8", "tiers": [{"above": 5, "input": "3", "output": "9"}, {"above": 5, "input": "4", "output": "9"}]}),
                "models.m.tiers[1].above: more than 5, since tiers ascend",
            ),
        ] {
            assert_eq!(problems(serde_json::json!({ "m": model })), expected);
        }
        let marked_up = serde_json::json!({"m": {"input": "2.005", "output": "8", "markup_percent": "10"}});
        assert!(Sheet::check(&document(marked_up)).is_ok(), "what is marked up is rounded");
        assert_eq!(problems(serde_json::json!({})), "models: a list without a model sells nothing");
        let scale =
            Document { scale: 4, ..document(serde_json::json!({"m": {"input": "2", "output": "8"}})) };
        assert_eq!(Sheet::check(&scale).unwrap_err().to_string(), "scale: 2 or 3 decimals");
        let unknown = r#"{"models": {"m": {"input": "2", "outptu": "8", "output": "8"}}}"#;
        assert!(Sheet::read(unknown).unwrap_err().to_string().contains("outptu"));
        let two = problems(
            serde_json::json!({"a": {"input": "x", "output": "8"}, "b": {"input": "2", "output": "y"}}),
        );
        assert!(two.contains("models.a.input") && two.contains("models.b.output"), "all at once: {two}");
    }

    #[test]
    fn windows_that_overlap_or_leave_a_size_without_a_price_are_refused() {
        let windows = |windows: serde_json::Value| {
            problems(serde_json::json!({"m": {
                "input": "2", "output": "8",
                "tiers": [{"above": 100, "input": "4", "output": "9"}],
                "off_peak": {"zone": "Asia/Shanghai", "windows": windows},
            }}))
        };
        let window = |name: &str, from: &str, to: &str, above: u64| {
            serde_json::json!({"name": name, "days": ["fri"], "from": from, "to": to, "input": "1", "output": "4",
                "tiers": [{"above": above, "input": "2", "output": "5"}]})
        };
        let overlap = windows(
            serde_json::json!([window("night", "22:00", "08:00", 100), {"name": "sat", "days": ["sat"], "from": "07:59",
            "to": "09:00", "input": "1", "output": "4", "tiers": [{"above": 100, "input": "2", "output": "5"}]}]),
        );
        assert_eq!(
            overlap,
            "models.m.off_peak.windows[1]: `sat` (sat 07:59-09:00) overlaps `night` (fri 22:00-08:00)"
        );
        let sizes = windows(serde_json::json!([window("night", "22:00", "08:00", 99)]));
        assert!(sizes.ends_with("its tiers must begin at the same sizes as the row's"), "{sizes}");
        let empty = windows(serde_json::json!([window("night", "22:00", "22:00", 100)]));
        assert!(empty.contains("ends when it begins"), "{empty}");
        assert!(windows(serde_json::json!([])).contains("1 to 24 windows"));
    }
}
