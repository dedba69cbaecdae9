//! What would the catalog's costs be as a price list? They are carried over as they stand; what a list cannot say exactly is
//! left out, and said.

use std::collections::BTreeMap;

use payments::prices::{CNY, Document, RawModel, RawOffPeak, RawTier, RawWindow};
use router_config::{
    Cost, CostTier, Figures, MicroPerMillion, ModelKind, RouteTable, Target, UtcWindow, glob_matches,
};
use serde_json::{Value, json};
use units::decimal;

/// The most decimals of yuan that a price list has.
const SCALE_MAX: u32 = 3;
/// The days as a price list names them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A document, and what it does not say.
#[derive(Debug)]
pub(super) struct Drafted {
    /// What may be saved as a draft.
    pub(super) document: Document,
    /// The models whose rows come from the catalog.
    taken: Vec<String>,
    /// The models that were left out, and why.
    left_out: BTreeMap<String, String>,
    /// What the rows do not say, by model.
    not_said: BTreeMap<String, Vec<String>>,
}

impl Drafted {
    /// Whether no row comes from the catalog.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// How it is shown.
    pub(super) fn view(&self) -> Value {
        let left_out = self.left_out.iter().map(|(model, why)| json!({"model": model, "why": why}));
        let not_said = self
            .not_said
            .iter()
            .flat_map(|(model, what)| what.iter().map(move |what| json!({"model": model, "what": what})));
        json!({
            "from_catalog": self.taken,
            "left_out": left_out.collect::<Vec<_>>(),
            "not_said": not_said.collect::<Vec<_>>(),
        })
    }
}

/// Puts the costs of the configured models that fit one of `wanted` (all, where there is none) in the place of what `base`
/// says of them. What it says of others stays.
pub(super) fn from_catalog(
    table: &RouteTable,
    base: Document,
    markup_percent: Option<&str>,
    wanted: &[String],
) -> Drafted {
    let mut drafted =
        Drafted { document: base, taken: Vec::new(), left_out: BTreeMap::new(), not_said: BTreeMap::new() };
    let fits = |name: &str| wanted.is_empty() || wanted.iter().any(|pattern| glob_matches(pattern, name));
    for (name, routes) in table.routes.iter().filter(|(name, _)| fits(name)) {
        // What the first route asks first is what most calls cost.
        let Some((route, first)) = routes.0.first().and_then(|route| Some((route, route.targets.first()?)))
        else {
            continue;
        };
        match row(first, route.model.kind, markup_percent) {
            Ok((row, mut not_said)) => {
                let dearer = routes.targets().skip(1).filter_map(|other| dearer(first, other));
                not_said.extend(dearer);
                if !not_said.is_empty() {
                    drafted.not_said.insert(name.clone(), not_said);
                }
                if needs_all_decimals(&row, drafted.document.scale) {
                    drafted.document.scale = SCALE_MAX;
                }
                drafted.document.models.insert(name.clone(), row);
                drafted.taken.push(name.clone());
            }
            Err(why) => {
                drafted.left_out.insert(name.clone(), why);
            }
        }
    }
    drafted
}

/// The row of a model, and what it does not say; or why there is none.
fn row(
    target: &Target,
    kind: ModelKind,
    markup_percent: Option<&str>,
) -> Result<(RawModel, Vec<String>), String> {
    let named = format!("{}/{}", target.provider.id, target.upstream_model);
    let facts = target.facts.as_ref().ok_or_else(|| format!("the catalog does not know `{named}`"))?;
    let cost = facts
        .cost_in(target.provider.region)
        .ok_or_else(|| format!("what `{named}` costs is not known: unknown is not free"))?;
    let card = |figures: &Figures| Card::of(figures, kind);
    let base = card(&cost.base)?;
    let tiers = cost.tiers.iter().map(|tier| Ok(base_tier(tier, card(&tier.figures)?)));
    let tiers = tiers.collect::<Result<Vec<_>, String>>()?;
    let off_peak = match &cost.off_peak {
        None => None,
        Some(_) if !tiers.is_empty() => {
            return Err(
                "it has hours and sizes of prompt with prices of their own, and how they meet is not said"
                    .into(),
            );
        }
        Some(off_peak) => {
            let card = card(&off_peak.figures)?;
            let windows = windows(&off_peak.windows_utc, &card);
            Some(RawOffPeak { zone: "UTC".to_owned(), windows })
        }
    };
    let Card { input, cached_input, cache_write, output } = base;
    let row = RawModel {
        currency: cost.currency.to_string(),
        markup_percent: markup_percent.map(str::to_owned),
        input,
        cached_input,
        cache_write,
        output,
        tiers,
        off_peak,
    };
    // What is converted or marked up is rounded anyhow, and the list says by how much.
    if row.currency == CNY && row.markup_percent.is_none() {
        let fine = texts(&row).find(|text| decimals(text) > SCALE_MAX as usize);
        if let Some(fine) = fine {
            return Err(format!(
                "{fine} yuan has more than the {SCALE_MAX} decimals of a price list, and is not rounded without a markup"
            ));
        }
    }
    Ok((row, not_said(cost)))
}

/// Four figures of a row, as text.
struct Card {
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
}

impl Card {
    fn of(figures: &Figures, kind: ModelKind) -> Result<Self, String> {
        let output = match figures.output {
            Some(output) => output,
            None if kind == ModelKind::Embedding => MicroPerMillion(0),
            None => return Err("what its output costs is not known: unknown is not free".to_owned()),
        };
        if let Some(reasoning) = figures.reasoning.filter(|reasoning| *reasoning != output) {
            return Err(format!(
                "the output of calls that think costs {} instead of {}: a list has one price for both, so write it",
                text(reasoning),
                text(output)
            ));
        }
        if figures.cached_input_or_input() > figures.input {
            return Err("reading its cache costs more than reading afresh".to_owned());
        }
        Ok(Self {
            input: text(figures.input),
            cached_input: figures.cached_input.map(text),
            cache_write: figures.cache_write.map(text),
            output: text(output),
        })
    }
}

fn base_tier(tier: &CostTier, card: Card) -> RawTier {
    let Card { input, cached_input, cache_write, output } = card;
    RawTier { above: tier.over_input.0, input, cached_input, cache_write, output }
}

fn windows(windows: &[UtcWindow], card: &Card) -> Vec<RawWindow> {
    let hours = windows.iter().flat_map(|window| window.hours.iter().map(move |hours| (window, *hours)));
    let window = |(window, (from, to)): (&UtcWindow, (u16, u16))| {
        let days: Vec<&str> = window
            .days
            .iter()
            .filter_map(|day| DAYS.get(usize::from(*day).checked_sub(1)?).copied())
            .collect();
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let to = if to == 0 { 24 * 60 } else { to };
        let span = match days[..] {
            [first, .., last] => format!("{first}-{last}"),
            [only] => only.to_owned(),
            [] => String::new(),
        };
        RawWindow {
            name: format!("off-peak {span} {}", clock(from)),
            days: Some(days.into_iter().map(str::to_owned).collect()),
            from: clock(from),
            to: clock(to),
            input: card.input.clone(),
            cached_input: card.cached_input.clone(),
            cache_write: card.cache_write.clone(),
            output: card.output.clone(),
            tiers: Vec::new(),
        }
    };
    hours.map(window).collect()
}

/// What a price list has no place for.
fn not_said(cost: &Cost) -> Vec<String> {
    let base = &cost.base;
    let mut not_said = Vec::new();
    let classes = [
        ("cache writes that last an hour", base.cache_write_1h),
        ("cache writes that last twelve hours", base.cache_write_12h),
        ("sound that goes in", base.audio_input),
        ("sound that comes out", base.audio_output),
    ];
    for (class, price) in classes {
        not_said.extend(price.map(|price| format!("{class}: {} {}", text(price), cost.currency)));
    }
    for (service, figures) in [("batch", &cost.batch), ("flex", &cost.flex), ("priority", &cost.priority)] {
        let figures = figures.as_ref();
        not_said.extend(figures.map(|figures| {
            let output = figures.output.map_or_else(|| "-".to_owned(), text);
            format!("service tier {service}: {} / {output} {}", text(figures.input), cost.currency)
        }));
    }
    if cost.off_peak.is_some() {
        not_said.push("holidays that count as off-peak all day".to_owned());
    }
    not_said
}

/// That another target of the route costs us more than the first, by which the row goes.
fn dearer(first: &Target, other: &Target) -> Option<String> {
    let cost = |target: &Target| target.facts.as_ref()?.cost_in(target.provider.region).cloned();
    let (mine, theirs) = (cost(first)?, cost(other)?);
    let dearer = mine.currency == theirs.currency
        && (theirs.base.input > mine.base.input || theirs.base.output > mine.base.output);
    dearer.then(|| {
        let output = theirs.base.output.map_or_else(|| "-".to_owned(), text);
        let (provider, model) = (&other.provider.id, &other.upstream_model);
        format!("`{provider}/{model}` costs more: {} / {output} {}", text(theirs.base.input), theirs.currency)
    })
}

/// Every figure of a row.
fn texts(row: &RawModel) -> impl Iterator<Item = &String> {
    let base = [&row.input, &row.output].into_iter().chain(&row.cached_input).chain(&row.cache_write);
    let tiers = row.tiers.iter().flat_map(|tier| {
        [&tier.input, &tier.output].into_iter().chain(&tier.cached_input).chain(&tier.cache_write)
    });
    let windows = row.off_peak.iter().flat_map(|off_peak| &off_peak.windows).flat_map(|window| {
        [&window.input, &window.output].into_iter().chain(&window.cached_input).chain(&window.cache_write)
    });
    base.chain(tiers).chain(windows)
}

/// Whether `scale` decimals of yuan would move a figure: one that has more once the markup is on top of it, or one of another
/// currency that is so small that rounding its yuan would be felt (half a fen of seven is 0.1 %).
#[expect(clippy::disallowed_types, reason = "figures as they are written in a list")]
fn needs_all_decimals(row: &RawModel, scale: u32) -> bool {
    use rust_decimal::Decimal;

    let number = |text: &str| text.parse::<Decimal>().unwrap_or_default();
    let percent = row.markup_percent.as_deref().unwrap_or("0");
    let factor = Decimal::ONE + number(percent) / Decimal::ONE_HUNDRED;
    texts(row).map(|text| number(text)).any(|figure| {
        if row.currency == CNY {
            (figure * factor).normalize().scale() > scale
        } else {
            !figure.is_zero() && figure < Decimal::ONE
        }
    })
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len())
}

fn text(price: MicroPerMillion) -> String {
    decimal::format(price.0, 6, 2)
}

/// A factor such as `1.25` as what is put on top in per cent; nothing for 1.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn markup(factor: &str) -> Result<Option<String>, String> {
    let wrong = || "a markup is a factor from 1 to 11 with at most 4 decimals, such as 1.25".to_owned();
    match decimal::parse(factor, 4) {
        Ok(10_000) => Ok(None),
        Ok(factor @ 10_001..=110_000) => Ok(Some(decimal::format(factor - 10_000, 2, 0))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
