//! LiteLLM's price map: one object, by the model's name; prices are for one token, in US dollars.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use units::Tokens;

use super::{BadImport, Imported, Said, exact};
use crate::{Capability, Catalog, Figures, MicroPerMillion, Modality, ModelKind};

type Entry<'t> = BTreeMap<String, &'t RawValue>;

/// Where a price of a row is kept.
type Field = fn(&mut Row) -> &mut Option<MicroPerMillion>;

/// The prices of one row, by their names; a suffix makes them those of a tier or a service.
const CLASSES: [(&str, Field); 9] = [
    ("input_cost_per_token", |row| &mut row.input),
    ("output_cost_per_token", |row| &mut row.output),
    ("cache_read_input_token_cost", |row| &mut row.cached_input),
    ("cache_creation_input_token_cost", |row| &mut row.cache_write),
    ("cache_creation_input_token_cost_above_1hr", |row| &mut row.cache_write_1h),
    ("output_cost_per_reasoning_token", |row| &mut row.reasoning),
    ("input_cost_per_audio_token", |row| &mut row.audio_input),
    ("output_cost_per_audio_token", |row| &mut row.audio_output),
    ("cache_creation_input_token_cost_above_12hr", |row| &mut row.cache_write_12h),
];

/// Figures of which none need be there.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) input: Option<MicroPerMillion>,
    pub(super) output: Option<MicroPerMillion>,
    pub(super) cached_input: Option<MicroPerMillion>,
    pub(super) cache_write: Option<MicroPerMillion>,
    pub(super) cache_write_1h: Option<MicroPerMillion>,
    pub(super) cache_write_12h: Option<MicroPerMillion>,
    pub(super) reasoning: Option<MicroPerMillion>,
    pub(super) audio_input: Option<MicroPerMillion>,
    pub(super) audio_output: Option<MicroPerMillion>,
}

impl Row {
    /// The figures, where there is a price of input. An embedding's output costs nothing, and says nothing.
    pub(super) fn figures(&self, kind: ModelKind) -> Option<Figures> {
        let output = self.output.filter(|output| kind != ModelKind::Embedding || output.0 > 0);
        Some(Figures {
            input: self.input?,
            output,
            cached_input: self.cached_input,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            cache_write_12h: self.cache_write_12h,
            reasoning: self.reasoning,
            audio_input: self.audio_input,
            audio_output: self.audio_output,
        })
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        let Self { input, output, cached_input, cache_write, .. } = self;
        [input, output, cached_input, cache_write].into_iter().all(Option::is_none)
    }
}

/// Reads the whole map.
pub(super) fn read(text: &str, catalog: &Catalog) -> Result<Imported, BadImport> {
    let entries: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| BadImport::of(&error))?;
    let mut imported = Imported::default();
    for (name, raw) in entries.iter().filter(|(name, _)| *name != "sample_spec") {
        let Ok(entry) = serde_json::from_str::<Entry<'_>>(raw.get()) else {
            imported.not_understood.insert(name.clone(), "it is not an object".to_owned());
            continue;
        };
        let Some(theirs) = text_of(&entry, "litellm_provider") else {
            imported.not_understood.insert(name.clone(), "it names no `litellm_provider`".to_owned());
            continue;
        };
        let ours = catalog.providers().find(|facts| facts.import.litellm.contains(&theirs));
        let Some(facts) = ours else {
            Imported::count(&mut imported.other_providers, &theirs);
            continue;
        };
        let id = name.strip_prefix(&theirs).and_then(|rest| rest.strip_prefix('/'));
        let id = id.or_else(|| name.strip_prefix(&facts.id)?.strip_prefix('/')).unwrap_or(name);
        let said = said(name, &entry, &mut imported.other_prices);
        imported.note(name, &facts.id, id, said);
    }
    Ok(imported)
}

fn said(name: &str, entry: &Entry<'_>, others: &mut BTreeMap<String, usize>) -> Result<Said, String> {
    let kind = match text_of(entry, "mode").as_deref() {
        Some("chat") => ModelKind::Chat,
        Some("responses") => ModelKind::Responses,
        Some("completion") => ModelKind::Completion,
        Some("embedding") => ModelKind::Embedding,
        Some(mode) => return Err(format!("its mode is `{mode}`, which is not served here")),
        None => return Err("it names no `mode`".to_owned()),
    };
    let mut rows = Rows::default();
    for (key, raw) in entry.iter().filter(|(key, _)| key.contains("cost") || key.contains("pricing")) {
        if raw.get() == "null" || key == "tiered_pricing" {
            continue;
        }
        match rows.place(key) {
            Some(place) => *place = Some(exact::per_token(raw).map_err(|wrong| format!("`{key}` {wrong}"))?),
            None => Imported::count(others, key),
        }
    }
    if let Some(tiers) = entry.get("tiered_pricing").filter(|raw| raw.get() != "null") {
        rows.tiered(tiers)?;
    }
    let mut tiers = BTreeMap::new();
    let output = rows.base.output;
    for (above, row) in rows.tiers.iter_mut().filter(|(_, row)| !row.is_empty()) {
        row.output = row.output.or(output);
        let figures =
            row.figures(kind).ok_or_else(|| format!("above {above} tokens it names no price of input"))?;
        tiers.insert(*above, figures);
    }
    let tokens = |key: &str| entry.get(key).and_then(|raw| exact::count(raw)).filter(|n| *n > 0).map(Tokens);
    let yes = |key: &str| entry.get(key).is_some_and(|raw| raw.get() == "true");
    Ok(Said {
        kind: Some(kind),
        prefix: name.starts_with("ft:"),
        input_max: tokens("max_input_tokens").or_else(|| tokens("max_tokens")),
        output_max: tokens("max_output_tokens").filter(|_| kind != ModelKind::Embedding),
        dimensions: tokens("output_vector_size").and_then(|size| u32::try_from(size.0).ok()),
        takes: chosen(
            [
                ("supports_vision", Modality::Image),
                ("supports_audio_input", Modality::Audio),
                ("supports_video_input", Modality::Video),
                ("supports_pdf_input", Modality::Pdf),
            ],
            yes,
        )
        .chain([Modality::Text])
        .collect(),
        gives: match kind {
            ModelKind::Embedding => [Modality::Vector].into(),
            _ => chosen([("supports_audio_output", Modality::Audio)], yes).chain([Modality::Text]).collect(),
        },
        caps: chosen(
            [
                ("supports_function_calling", Capability::Tools),
                ("supports_parallel_function_calling", Capability::ParallelTools),
                ("supports_tool_choice", Capability::ToolChoice),
                ("supports_response_schema", Capability::JsonSchema),
                ("supports_reasoning", Capability::Reasoning),
                ("supports_prompt_caching", Capability::PromptCache),
                ("supports_web_search", Capability::WebSearch),
                ("supports_assistant_prefill", Capability::Prefill),
            ],
            yes,
        )
        .collect(),
        base: rows.base.figures(kind),
        tiers,
        batch: rows.batch.figures(kind),
        flex: rows.flex.figures(kind),
        priority: rows.priority.figures(kind),
        retires: text_of(entry, "deprecation_date"),
    })
}

#[derive(Debug, Default)]
struct Rows {
    base: Row,
    batch: Row,
    flex: Row,
    priority: Row,
    tiers: BTreeMap<u64, Row>,
}

impl Rows {
    /// Where the price of this name belongs.
    fn place(&mut self, key: &str) -> Option<&mut Option<MicroPerMillion>> {
        // One class is the beginning of another: the longest is meant.
        let fitting = CLASSES.iter().filter(|(class, _)| key.starts_with(class));
        let (class, field) = fitting.max_by_key(|(class, _)| class.len())?;
        let row = match &key[class.len()..] {
            "" => &mut self.base,
            "_batches" => &mut self.batch,
            "_flex" => &mut self.flex,
            "_priority" => &mut self.priority,
            suffix => {
                let thousands = suffix.strip_prefix("_above_")?.strip_suffix("k_tokens")?;
                let thousands: u64 = thousands.parse().ok().filter(|n| (1..=100_000).contains(n))?;
                self.tiers.entry(thousands * 1_000).or_default()
            }
        };
        Some(field(row))
    }

    /// A list of tiers, each with its range; the first is the base.
    fn tiered(&mut self, raw: &RawValue) -> Result<(), String> {
        let wrong = || "`tiered_pricing` is not a list of prices by `range`".to_owned();
        let list: Vec<Entry<'_>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        for tier in list {
            let range = tier.get("range").ok_or_else(wrong)?;
            let range: Vec<&RawValue> = serde_json::from_str(range.get()).map_err(|_| wrong())?;
            let above = range.first().and_then(|raw| exact::count(raw)).ok_or_else(wrong)?;
            let row = if above == 0 { &mut self.base } else { self.tiers.entry(above).or_default() };
            for (key, raw) in tier.iter().filter(|(key, _)| *key != "range") {
                let Some((_, field)) = CLASSES.iter().find(|(class, _)| class == key) else { continue };
                *field(row) = Some(exact::per_token(raw).map_err(|wrong| format!("`{key}` {wrong}"))?);
            }
        }
        Ok(())
    }
}

fn chosen<T: Copy, const N: usize>(
    words: [(&'static str, T); N],
    yes: impl Fn(&str) -> bool,
) -> impl Iterator<Item = T> {
    words.into_iter().filter(move |(word, _)| yes(word)).map(|(_, chosen)| chosen)
}

fn text_of(entry: &Entry<'_>, key: &str) -> Option<String> {
    serde_json::from_str(entry.get(key)?.get()).ok()
}
