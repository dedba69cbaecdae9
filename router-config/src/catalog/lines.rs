//! One model a line, as JSON: how is it written, and is it right?
//!
//! Prices are text, never numbers: a JSON number becomes a float in most hands. What is read here is checked, so that
//! nobody behind this door meets a negative price or a tier out of order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use units::{Tokens, decimal};

use super::{CatalogModel, Cost, CostTier, Figures, OffPeak, UtcWindow};
use crate::{Capability, Currency, MicroPerMillion, Modality, ModelKind, names::check_name, price};

/// No model takes more.
const TOKENS_MAX: u64 = 1_000_000_000;

macro_rules! with_figures {
    ($(#[$attr:meta])* struct $name:ident { before { $($before:ident: $bt:ty),* } after { $($(#[$fa:meta])* $after:ident: $at:ty),* } }) => {
        $(#[$attr])*
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($before: $bt,)*
            input: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            cached_input: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            cache_write: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            cache_write_1h: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            cache_write_12h: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            output: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            reasoning: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            audio_input: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            audio_output: Option<String>,
            $($(#[$fa])* $after: $at,)*
        }

        impl $name {
            fn figures(&self) -> Result<Figures, String> {
                let optional = |name: &str, text: &Option<String>| {
                    text.as_deref().map(|text| figure(name, text)).transpose()
                };
                Ok(Figures {
                    input: figure("input", &self.input)?,
                    output: optional("output", &self.output)?,
                    cached_input: optional("cached_input", &self.cached_input)?,
                    cache_write: optional("cache_write", &self.cache_write)?,
                    cache_write_1h: optional("cache_write_1h", &self.cache_write_1h)?,
                    cache_write_12h: optional("cache_write_12h", &self.cache_write_12h)?,
                    reasoning: optional("reasoning", &self.reasoning)?,
                    audio_input: optional("audio_input", &self.audio_input)?,
                    audio_output: optional("audio_output", &self.audio_output)?,
                })
            }

            /// The figures, with what stands before and behind them.
            fn of(figures: &Figures, ($($before,)* $($after,)*): ($($bt,)* $($at,)*)) -> Self {
                Self {
                    $($before,)*
                    input: shown(figures.input),
                    cached_input: figures.cached_input.map(shown),
                    cache_write: figures.cache_write.map(shown),
                    cache_write_1h: figures.cache_write_1h.map(shown),
                    cache_write_12h: figures.cache_write_12h.map(shown),
                    output: figures.output.map(shown),
                    reasoning: figures.reasoning.map(shown),
                    audio_input: figures.audio_input.map(shown),
                    audio_output: figures.audio_output.map(shown),
                    $($after,)*
                }
            }
        }
    };
}

with_figures! { struct RawFigures { before {} after {} } }
with_figures! { struct RawTier { before { over_input: u64 } after {} } }
with_figures! { struct RawOffPeak { before {} after { windows_utc: Vec<RawWindow> } } }
with_figures! {
    struct RawCost {
        before { currency: Currency, source: String }
        after {
            #[serde(default, skip_serializing_if = "Vec::is_empty")] tiers: Vec<RawTier>,
            #[serde(default, skip_serializing_if = "Option::is_none")] off_peak: Option<RawOffPeak>,
            #[serde(default, skip_serializing_if = "Option::is_none")] batch: Option<RawFigures>,
            #[serde(default, skip_serializing_if = "Option::is_none")] flex: Option<RawFigures>,
            #[serde(default, skip_serializing_if = "Option::is_none")] priority: Option<RawFigures>
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    days: Vec<u8>,
    hours: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    id: String,
    #[serde(default, skip_serializing_if = "is_false")]
    prefix: bool,
    kind: ModelKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    #[serde(rename = "in")]
    takes: Vec<Modality>,
    #[serde(rename = "out")]
    gives: Vec<Modality>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    caps: Vec<Capability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<RawCost>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<RawCost>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    source: String,
}

/// Reads one line about a model of `provider`.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(provider: &str, line: &str) -> Result<CatalogModel, String> {
    let raw: RawModel = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let of = |wrong: String| format!("`{}`: {wrong}", raw.id);
    check_name(&raw.id)?;
    let tokens = |name: &str, count: Option<u64>| match count {
        Some(count) if count == 0 || count > TOKENS_MAX => Err(of(format!("{name} cannot be {count}"))),
        count => Ok(count.map(Tokens)),
    };
    if let Some(day) = &raw.retires
        && !is_day(day)
    {
        return Err(of(format!("`{day}` is no day like 2027-01-14")));
    }
    Ok(CatalogModel {
        provider: provider.to_owned(),
        prefix: raw.prefix,
        kind: raw.kind,
        input_max: tokens("input_max", raw.input_max)?,
        output_max: tokens("output_max", raw.output_max)?,
        dimensions: raw.dimensions,
        takes: raw.takes.iter().copied().collect(),
        gives: raw.gives.iter().copied().collect(),
        caps: raw.caps.iter().copied().collect(),
        cost: raw.cost.as_ref().map(cost).transpose().map_err(of)?,
        also: raw.also.iter().map(cost).collect::<Result<_, _>>().map_err(of)?,
        retires: raw.retires.clone(),
        note: raw.note.clone(),
        source: raw.source.clone(),
        id: raw.id,
    })
}

/// The line about a model, without its end.
pub(super) fn write(model: &CatalogModel) -> String {
    let raw = RawModel {
        id: model.id.clone(),
        prefix: model.prefix,
        kind: model.kind,
        input_max: model.input_max.map(|tokens| tokens.0),
        output_max: model.output_max.map(|tokens| tokens.0),
        dimensions: model.dimensions,
        takes: list(&model.takes),
        gives: list(&model.gives),
        caps: list(&model.caps),
        cost: model.cost.as_ref().map(raw_cost),
        also: model.also.iter().map(raw_cost).collect(),
        retires: model.retires.clone(),
        note: model.note.clone(),
        source: model.source.clone(),
    };
    // Cannot fail: plain data.
    serde_json::to_string(&raw).unwrap_or_default()
}

fn list<T: Copy>(set: &BTreeSet<T>) -> Vec<T> {
    set.iter().copied().collect()
}

fn cost(raw: &RawCost) -> Result<Cost, String> {
    let tier =
        |tier: &RawTier| Ok(CostTier { over_input: Tokens(tier.over_input), figures: tier.figures()? });
    let tiers: Vec<CostTier> = raw.tiers.iter().map(tier).collect::<Result<_, String>>()?;
    if !tiers.windows(2).all(|pair| pair[0].over_input < pair[1].over_input) {
        return Err("tiers ascend by `over_input`".to_owned());
    }
    let off_peak = |raw: &RawOffPeak| {
        let windows = raw.windows_utc.iter().map(window).collect::<Result<Vec<_>, String>>()?;
        if windows.is_empty() {
            return Err("off_peak without windows never is".to_owned());
        }
        Ok(OffPeak { figures: raw.figures()?, windows_utc: windows })
    };
    let figures = |raw: &Option<RawFigures>| raw.as_ref().map(RawFigures::figures).transpose();
    Ok(Cost {
        currency: raw.currency,
        source: raw.source.clone(),
        base: raw.figures()?,
        tiers,
        off_peak: raw.off_peak.as_ref().map(off_peak).transpose()?,
        batch: figures(&raw.batch)?,
        flex: figures(&raw.flex)?,
        priority: figures(&raw.priority)?,
    })
}

fn raw_cost(cost: &Cost) -> RawCost {
    let off_peak = |off_peak: &OffPeak| {
        let window = |window: &UtcWindow| RawWindow {
            days: window.days.clone(),
            hours: window.hours.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to))).collect(),
        };
        RawOffPeak::of(&off_peak.figures, (off_peak.windows_utc.iter().map(window).collect(),))
    };
    let figures = |figures: &Option<Figures>| figures.as_ref().map(|figures| RawFigures::of(figures, ()));
    let tier = |tier: &CostTier| RawTier::of(&tier.figures, (tier.over_input.0,));
    let rest = (
        cost.currency,
        cost.source.clone(),
        cost.tiers.iter().map(tier).collect(),
        cost.off_peak.as_ref().map(off_peak),
        figures(&cost.batch),
        figures(&cost.flex),
        figures(&cost.priority),
    );
    RawCost::of(&cost.base, rest)
}

fn window(raw: &RawWindow) -> Result<UtcWindow, String> {
    let wrong = || "a window has days from 1 to 7 and hours like `04:00-06:00`".to_owned();
    let span = |text: &String| {
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
        if to != 0 && to <= from { Err(wrong()) } else { Ok((from, to)) }
    };
    let good_days = raw.days.windows(2).all(|pair| pair[0] < pair[1])
        && !raw.days.is_empty()
        && raw.days.iter().all(|day| (1..=7).contains(day));
    if !good_days || raw.hours.is_empty() {
        return Err(wrong());
    }
    Ok(UtcWindow { days: raw.days.clone(), hours: raw.hours.iter().map(span).collect::<Result<_, _>>()? })
}

/// Minutes after midnight of `04:30`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `2027-01-14`
pub(super) fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |text: &str, digits: usize, most: u16| {
        text.len() == digits
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u16>().is_ok_and(|number| (1..=most).contains(&number))
    };
    matches!(parts[..], [year, month, day] if number(year, 4, 9_999) && number(month, 2, 12) && number(day, 2, 31))
}

fn figure(name: &str, text: &str) -> Result<MicroPerMillion, String> {
    price::parse_cost(text).map_err(|error| format!("{name} {text:?}: {error}"))
}

/// The price as it is written.
pub(super) fn shown(price: MicroPerMillion) -> String {
    decimal::format(price.0, 6, 0)
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"m","kind":"chat","input_max":10,"in":["text"],"out":["text"],"caps":["tools"],"cost":{"currency":"USD","source":"s","input":"2","cached_input":"0.2","output":"8","tiers":[{"over_input":5,"input":"4","output":"16"}],"off_peak":{"input":"1","output":"4","windows_utc":[{"days":[1,7],"hours":["22:00-00:00"]}]}},"retires":"2027-01-14","source":"s"}"#;

    #[test]
    fn a_line_is_written_as_it_was_read() {
        let model = read("p", GOOD).unwrap();
        assert_eq!(write(&model), GOOD);
        let cost = model.cost.unwrap();
        assert_eq!(cost.base.cached_input, Some(MicroPerMillion(200_000)));
        assert_eq!(cost.off_peak.unwrap().windows_utc[0].hours, [(1_320, 0)]);
    }

    #[test]
    fn a_line_that_could_be_misread_is_refused() {
        for (from, to, said) in [
            (r#""2""#, "2", "expected a string"),
            (r#""2""#, r#""-2""#, "never negative"),
            (r#""2""#, r#""2e-6""#, "not a decimal"),
            (r#""2""#, r#""0.0000001""#, "more than 6 decimals"),
            (r#""2""#, r#""100001""#, "cannot be meant"),
            (r#""tools""#, r#""tolls""#, "unknown variant `tolls`"),
            (r#""caps""#, r#""cap""#, "unknown field `cap`"),
            (r#""over_input":5"#, r#""over_input":5,"above":1"#, "unknown field `above`"),
            (r#"5,"input":"4","output":"16"}"#, r#"5,"input":"4"},{"over_input":5,"input":"4"}"#, "ascend"),
            ("22:00-00:00", "22:00-21:00", "hours like"),
            ("22:00-00:00", "24:00-00:00", "hours like"),
            ("[1,7]", "[0]", "days from 1 to 7"),
            ("2027-01-14", "soon", "no day"),
            (r#""input_max":10"#, r#""input_max":0"#, "cannot be 0"),
            (r#""id":"m""#, r#""id":"a b""#, "may not stand in a name"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let refused = read("p", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(refused.contains(said), "{to}: {refused}");
        }
    }
}
