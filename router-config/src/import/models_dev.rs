//! models.dev's `api.json`: providers by id, each with its models; prices are for a million tokens, in US dollars.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use super::{BadImport, Imported, Said, exact, litellm::Row};
use crate::{Capability, Catalog, MicroPerMillion, Modality, ModelKind};

/// A provider, as far as it matters here.
#[derive(Deserialize)]
struct Provider<'t> {
    #[serde(borrow, default)]
    models: BTreeMap<String, &'t RawValue>,
}

/// A model, as far as it matters here. What else is said of it is passed over.
#[derive(Deserialize)]
struct Model<'t> {
    #[serde(borrow)]
    cost: Option<BTreeMap<String, &'t RawValue>>,
    #[serde(borrow)]
    limit: Option<Limit<'t>>,
    modalities: Option<Modalities>,
    #[serde(default)]
    tool_call: bool,
    #[serde(default)]
    reasoning: bool,
    #[serde(default)]
    structured_output: bool,
}

#[derive(Deserialize)]
struct Limit<'t> {
    #[serde(borrow)]
    context: Option<&'t RawValue>,
    #[serde(borrow)]
    input: Option<&'t RawValue>,
    #[serde(borrow)]
    output: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct Modalities {
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    output: Vec<String>,
}

/// Reads the whole file.
pub(super) fn read(text: &str, catalog: &Catalog) -> Result<Imported, BadImport> {
    let providers: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| BadImport::of(&error))?;
    let mut imported = Imported::default();
    for (theirs, raw) in providers {
        let Ok(provider) = serde_json::from_str::<Provider<'_>>(raw.get()) else {
            imported.not_understood.insert(theirs, "it is not a provider with `models`".to_owned());
            continue;
        };
        let ours = catalog.providers().find(|facts| facts.import.models_dev.contains(&theirs));
        let Some(facts) = ours else {
            *imported.other_providers.entry(theirs).or_default() += provider.models.len();
            continue;
        };
        for (id, raw) in provider.models {
            let name = format!("{theirs}/{id}");
            let model = serde_json::from_str::<Model<'_>>(raw.get());
            let model = model.map_err(|error| format!("it is not a model: {error}"));
            let known = catalog.model(&facts.id, &id).filter(|known| known.id == id).map(|known| known.kind);
            let said = model.and_then(|model| said(&id, &model, known, &mut imported.other_prices));
            imported.note(&name, &facts.id, &id, said);
        }
    }
    Ok(imported)
}

fn said(
    id: &str,
    model: &Model<'_>,
    known: Option<ModelKind>,
    others: &mut BTreeMap<String, usize>,
) -> Result<Said, String> {
    // The format has no word for it, and calls an embedding's output text.
    let guess = if id.contains("embed") { ModelKind::Embedding } else { ModelKind::Chat };
    let kind = known.unwrap_or(guess);
    let mut base = Row::default();
    let mut tiers = BTreeMap::new();
    for (key, raw) in model.cost.iter().flatten().filter(|(_, raw)| raw.get() != "null") {
        match key.as_str() {
            "context_over_200k" => {
                tiers.insert(200_000, row(key, raw, others)?);
            }
            "tiers" => sized(raw, &mut tiers, others)?,
            _ => price(&mut base, key, raw, others)?,
        }
    }
    let mut figures = BTreeMap::new();
    for (above, mut row) in tiers {
        row.output = row.output.or(base.output);
        let row =
            row.figures(kind).ok_or_else(|| format!("above {above} tokens it names no price of input"))?;
        figures.insert(above, row);
    }
    let limit = model.limit.as_ref();
    let tokens = |raw: Option<&RawValue>| raw.and_then(exact::count).filter(|n| *n > 0).map(Tokens);
    let list = |words: &[String]| words.iter().filter_map(|word| modality(word)).collect();
    let modalities = model.modalities.as_ref();
    let caps = [
        (model.tool_call, Capability::Tools),
        (model.reasoning, Capability::Reasoning),
        (model.structured_output, Capability::JsonSchema),
        (base.cached_input.is_some(), Capability::PromptCache),
    ];
    Ok(Said {
        kind: Some(kind),
        prefix: false,
        input_max: tokens(limit.and_then(|limit| limit.input)).or_else(|| tokens(limit?.context)),
        output_max: tokens(limit.and_then(|limit| limit.output)).filter(|_| kind != ModelKind::Embedding),
        dimensions: None,
        takes: modalities.map_or_else(|| [Modality::Text].into(), |said| list(&said.input)),
        gives: match kind {
            ModelKind::Embedding => [Modality::Vector].into(),
            _ => modalities.map_or_else(|| [Modality::Text].into(), |said| list(&said.output)),
        },
        caps: caps.into_iter().filter(|(yes, _)| *yes).map(|(_, cap)| cap).collect(),
        base: base.figures(kind),
        tiers: figures,
        batch: None,
        flex: None,
        priority: None,
        retires: None,
    })
}

fn row(name: &str, raw: &RawValue, others: &mut BTreeMap<String, usize>) -> Result<Row, String> {
    let prices: BTreeMap<String, &RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| format!("`{name}` is not an object"))?;
    let mut row = Row::default();
    for (key, raw) in prices.iter().filter(|(key, raw)| *key != "tier" && raw.get() != "null") {
        price(&mut row, key, raw, others)?;
    }
    Ok(row)
}

/// A list of rows, each with the size of prompt from which it counts.
fn sized(
    raw: &RawValue,
    tiers: &mut BTreeMap<u64, Row>,
    others: &mut BTreeMap<String, usize>,
) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Sized<'t> {
        #[serde(borrow)]
        tier: Option<Tier<'t>>,
    }
    #[derive(Deserialize)]
    struct Tier<'t> {
        r#type: Option<String>,
        #[serde(borrow)]
        size: &'t RawValue,
    }
    let wrong = || "`tiers` is not a list of prices with the size of prompt each counts from".to_owned();
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    for raw in list {
        let sized: Sized<'_> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        let tier = sized.tier.filter(|tier| tier.r#type.as_deref().is_none_or(|kind| kind == "context"));
        let above = tier.and_then(|tier| exact::count(tier.size)).ok_or_else(wrong)?;
        tiers.insert(above, row("tiers", raw, others)?);
    }
    Ok(())
}

fn price(
    row: &mut Row,
    key: &str,
    raw: &RawValue,
    others: &mut BTreeMap<String, usize>,
) -> Result<(), String> {
    let place: &mut Option<MicroPerMillion> = match key {
        "input" => &mut row.input,
        "output" => &mut row.output,
        "cache_read" => &mut row.cached_input,
        "cache_write" => &mut row.cache_write,
        "reasoning" => &mut row.reasoning,
        "input_audio" => &mut row.audio_input,
        "output_audio" => &mut row.audio_output,
        other => {
            Imported::count(others, other);
            return Ok(());
        }
    };
    *place = Some(exact::per_million(raw).map_err(|wrong| format!("`{key}` {wrong}"))?);
    Ok(())
}

fn modality(word: &str) -> Option<Modality> {
    match word {
        "text" => Some(Modality::Text),
        "image" => Some(Modality::Image),
        "audio" => Some(Modality::Audio),
        "video" => Some(Modality::Video),
        "pdf" => Some(Modality::Pdf),
        _ => None,
    }
}
