//! Others' files go in, proposals come out.

use super::*;
use crate::{CatalogModel, Currency, MicroPerMillion, catalog, overlay_lines};

const LITELLM: &str = include_str!("../../tests/import/litellm.json");
const MODELS_DEV: &str = include_str!("../../tests/import/models_dev.json");

fn found(format: ImportFormat, text: &str) -> (Imported, ImportDiff) {
    let imported = read(format, text, catalog()).unwrap();
    let found = diff(format, &imported, catalog(), "x@2026-12-01");
    (imported, found)
}

fn names(proposals: &[Proposal]) -> Vec<String> {
    proposals.iter().map(|p| format!("{}/{}", p.model.provider, p.model.id)).collect()
}

fn proposed<'d>(proposals: &'d [Proposal], id: &str) -> &'d CatalogModel {
    &proposals.iter().find(|proposal| proposal.model.id == id).unwrap().model
}

fn changes(proposal: &Proposal) -> Vec<String> {
    let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
    let line = |c: &Change| format!("{}: {} -> {} {:?}", c.what, shown(&c.old), shown(&c.new), c.bps());
    proposal.changes.iter().map(line).collect()
}

#[test]
fn litellms_map_is_read_exactly() {
    let (imported, found) = found(ImportFormat::Litellm, LITELLM);
    assert_eq!(names(&found.new), ["dashscope/qwen-plus-9", "openai/gpt-9-mini", "openai/text-embedding-9"]);
    let mini = proposed(&found.new, "gpt-9-mini");
    let cost = mini.cost.as_ref().unwrap();
    assert_eq!((cost.currency, cost.source.as_str()), (Currency::Usd, "x@2026-12-01"));
    assert_eq!(cost.base.input, MicroPerMillion(150_000));
    assert_eq!(cost.base.cached_input, Some(MicroPerMillion(75_000)));
    assert_eq!(cost.base.cache_write, Some(MicroPerMillion(187_500)));
    let tiers: Vec<_> =
        cost.tiers.iter().map(|t| (t.over_input.0, t.figures.input.0, t.figures.output.unwrap().0)).collect();
    assert_eq!(
        tiers,
        [(128_000, 300_000, 600_000), (200_000, 450_000, 1_200_000)],
        "what is not dearer is as before"
    );
    assert_eq!((mini.input_max, mini.retires.as_deref()), (Some(Tokens(1_047_576)), Some("2028-01-01")));
    assert!(mini.caps.contains(&Capability::ParallelTools) && mini.takes.contains(&Modality::Pdf));
    let qwen = proposed(&found.new, "qwen-plus-9").cost.as_ref().unwrap();
    assert_eq!(qwen.base.reasoning, Some(MicroPerMillion(4_000_000)));
    assert_eq!(qwen.tiers[0].figures.reasoning, Some(MicroPerMillion(12_000_000)));
    let embedding = proposed(&found.new, "text-embedding-9");
    assert_eq!((embedding.kind, embedding.dimensions), (ModelKind::Embedding, Some(1_536)));
    assert_eq!(embedding.cost.as_ref().unwrap().base.output, None);

    assert_eq!(names(&found.changed), ["openai/gpt-4o"]);
    let gpt = changes(&found.changed[0]);
    assert!(gpt.contains(&"input: 2.5 -> 2 Some(-2000)".to_owned()), "{gpt:?}");
    assert!(gpt.contains(&"output: 10 -> 12 Some(2000)".to_owned()), "{gpt:?}");
    let merged = &found.changed[0].model;
    let before = catalog().model("openai", "gpt-4o").unwrap();
    assert_eq!((&merged.caps, &merged.retires), (&before.caps, &before.retires), "what is not said stays");

    let why = |name: &str| imported.not_understood[name].as_str();
    assert_eq!(
        why("together_ai/some/noisy"),
        "`input_cost_per_token` is finer than a millionth per million tokens"
    );
    assert_eq!(why("groq/negative"), "`input_cost_per_token` is negative");
    assert_eq!(why("groq/text"), "`input_cost_per_token` is not a number");
    assert!(why("groq/free").contains("placeholder"), "{}", why("groq/free"));
    assert_eq!(why("dall-e-9"), "its mode is `image_generation`, which is not served here");
    assert_eq!((why("nobody"), why("list")), ("it names no `litellm_provider`", "it is not an object"));
    assert_eq!(imported.other_providers, BTreeMap::from([("bedrock".to_owned(), 2)]));
    assert_eq!(imported.other_prices, BTreeMap::from([("search_context_cost_per_query".to_owned(), 1)]));
    assert!(found.vanished.contains(&("openai".to_owned(), "gpt-4.1".to_owned())));
    assert!(found.vanished.iter().all(|(provider, _)| provider != "anthropic"), "of whom nothing was said");
}

#[test]
fn models_devs_file_is_read_exactly() {
    let (imported, found) = found(ImportFormat::ModelsDev, MODELS_DEV);
    assert_eq!(names(&found.new), ["gemini/gemini-embedding-9", "openai/gpt-9"]);
    let cost = proposed(&found.new, "gpt-9").cost.as_ref().unwrap();
    assert_eq!(cost.base.cached_input, Some(MicroPerMillion(3_625)));
    assert_eq!(cost.base.reasoning, Some(MicroPerMillion(900_000)));
    let tiers: Vec<_> = cost.tiers.iter().map(|t| (t.over_input.0, t.figures.input.0)).collect();
    assert_eq!(tiers, [(200_000, 870_000), (512_000, 1_740_000)]);
    assert_eq!(proposed(&found.new, "gemini-embedding-9").kind, ModelKind::Embedding);
    assert_eq!(found.same, 1, "gpt-4o is as we have it, and what the format has no word for is not missed");

    assert_eq!(names(&found.changed), ["dashscope-cn/qwen-flash"]);
    assert_eq!(changes(&found.changed[0]), ["input: 0.022 -> 0.03 Some(3636)"]);
    let flash = &found.changed[0].model;
    let yuan = flash.cost.as_ref().unwrap();
    assert_eq!((yuan.currency, yuan.source.as_str()), (Currency::Cny, "lobehub"), "the price in yuan stays");
    assert_eq!(flash.also[0].base.input, MicroPerMillion(30_000));

    assert!(imported.not_understood["openai/gpt-9-free"].contains("placeholder"));
    assert!(imported.not_understood["openai/gpt-9-odd"].starts_with("`tiers` is not a list"));
    assert_eq!(imported.not_understood["broken"], "it is not a provider with `models`");
    assert_eq!(imported.other_providers["somewhere"], 3);
    assert_eq!(imported.other_prices, BTreeMap::from([("per_image".to_owned(), 1)]));
}

#[test]
fn what_is_proposed_can_be_laid_over_the_catalog_and_then_nothing_differs() {
    let source = crate::Source { what: "a file".to_owned(), as_of: "2026-12-01".to_owned() };
    let sources = BTreeMap::from([("x@2026-12-01".to_owned(), source)]);
    for (format, text) in [(ImportFormat::Litellm, LITELLM), (ImportFormat::ModelsDev, MODELS_DEV)] {
        let (_, found) = found(format, text);
        let files = overlay_lines(found.new.iter().chain(&found.changed).map(|p| &p.model), &sources);
        let over = catalog().with_overlay(&files).unwrap();
        let again = diff(format, &read(format, text, &over).unwrap(), &over, "y");
        assert_eq!((names(&again.new), names(&again.changed)), (vec![], vec![]));
    }
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    let refused = |text: &str| read(ImportFormat::Litellm, text, catalog()).unwrap_err().to_string();
    assert_eq!(refused("{\n  \"a\": {},\n  oops\n}"), "line 3, column 3: key must be a string");
    assert_eq!(refused("[]"), "line 1, column 0: invalid type: sequence, expected a map");
    assert_eq!(refused(""), "line 1, column 0: EOF while parsing a value");
    assert!(read(ImportFormat::ModelsDev, "{\"a\":", catalog()).is_err());
}

#[test]
fn no_text_makes_it_panic() {
    use proptest::prelude::*;
    proptest!(ProptestConfig::with_cases(64), |(cut in 0..LITELLM.len(), noise in ".{0,12}")| {
        for (format, text) in [(ImportFormat::Litellm, LITELLM), (ImportFormat::ModelsDev, MODELS_DEV)] {
            let mut text = text.to_owned();
            text.insert_str(cut.min(text.len()), &noise);
            let _ = read(format, &text, catalog()).map(|read| diff(format, &read, catalog(), "x"));
        }
    });
}
