//! Is what is built in right, and is it found?

use std::collections::BTreeSet;

use super::*;
use crate::{Auth, Capability, Currency, MicroPerMillion, Region, Wire, check_http_url};

#[test]
fn every_provider_has_a_file_and_every_file_a_provider() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    let ids = |extension: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let named = files.filter(|path| path.extension().is_some_and(|found| found == extension));
        named.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let known: BTreeSet<String> = catalog().providers().map(|facts| facts.id.clone()).collect();
    assert_eq!(ids("toml").into_iter().filter(|id| id != "sources").collect::<BTreeSet<_>>(), known);
    let with_models: BTreeSet<String> = catalog().models().map(|model| model.provider.clone()).collect();
    assert_eq!(ids("jsonl"), with_models);
    assert_eq!(known.len(), FILES.len(), "no id stands twice");
}

#[test]
fn addresses_names_and_regions_lead_somewhere() {
    let mut words = BTreeSet::new();
    for facts in catalog().providers() {
        assert!(!facts.name.is_empty());
        for word in facts.aliases.iter().chain([&facts.id]) {
            assert!(words.insert(word.clone()), "{word} is said twice");
        }
        for address in facts.base_url.iter() {
            let url = check_http_url(address).unwrap();
            assert_eq!(url.as_str().trim_end_matches('/'), address);
        }
        for (region, other) in &facts.regions {
            assert!(facts.region.is_some_and(|own| own != *region), "{}", facts.id);
            match other {
                OtherRegion::Address(address) => assert!(check_http_url(address).is_ok()),
                OtherRegion::Kind(kind) => {
                    let other = catalog().provider(kind).unwrap();
                    assert_eq!(other.region, Some(*region), "{kind}");
                }
            }
        }
    }
    for missing in ["azure", "llama-cpp", ANY_KIND] {
        assert_eq!(catalog().provider(missing).unwrap().base_url, None);
    }
}

#[test]
fn what_was_known_of_providers_before_there_was_a_catalog_still_is() {
    let quirks = |kind: &str| &catalog().provider(kind).unwrap().quirks;
    assert_eq!(**quirks(ANY_KIND), crate::Quirks::default());
    assert_eq!(quirks("qwen"), quirks("dashscope"));
    assert!(!quirks("qwen").quota_means_funds && quirks("qwen").renames.is_empty());
    assert!(quirks("openai").developer_role && quirks("openai").keeps_nulls);
    assert!(quirks("deepseek").closing_stops_cost && !quirks("mistral").closing_stops_cost);
    let mistral = quirks("mistral").allowed.as_ref().unwrap();
    assert!(mistral.contains("random_seed") && !mistral.contains("seed") && !mistral.contains("store"));
    assert!(quirks("dashscope").streams_only("qwq-plus") && quirks("dashscope").streams_only("qwen3-32b"));
    assert!(!quirks("dashscope").streams_only("qwen-plus") && !quirks("dashscope").streams_only("qwen3-max"));
    assert!(quirks("deepseek").text_content_only("deepseek-v4-pro"));
    assert!(!quirks("deepseek").text_content_only("deepseek-flash"));
    let anthropic = catalog().provider("anthropic").unwrap();
    assert_eq!((anthropic.wire, &anthropic.auth), (Wire::Anthropic, &Auth::Header("x-api-key".to_owned())));
    assert!(!anthropic.quirks.usage.cached_in_prompt);
}

#[test]
fn quirks_stand_under_the_names_that_the_upstream_knows() {
    for facts in catalog().providers() {
        let quirks = &facts.quirks;
        for (from, to) in &quirks.renames {
            assert_ne!(from, to, "{}", facts.id);
            assert!(!quirks.refused.contains(to), "{} renames to what it refuses", facts.id);
            let accepted = quirks.allowed.as_ref().is_none_or(|allowed| allowed.contains(to));
            assert!(accepted, "{} renames to what it does not accept", facts.id);
        }
        let accepted = quirks.allowed.as_ref().is_none_or(|allowed| allowed.contains(&quirks.output_max));
        assert!(accepted && !quirks.refused.contains(&quirks.output_max), "{}", facts.id);
        assert!(!quirks.reasoning_in.is_empty(), "{}", facts.id);
    }
}

#[test]
fn the_page_about_providers_has_each_of_them_and_no_other() {
    let page = include_str!("../../../docs/providers.md");
    for facts in catalog().providers() {
        let address = match &facts.base_url {
            Some(address) => format!("`{address}`"),
            None => "to be written".to_owned(),
        };
        let models = match catalog().models_of(&facts.id).len() {
            0 => "-".to_owned(),
            models => models.to_string(),
        };
        let row = format!("| `{}` | {} | {address} | `{}` | {models} | ", facts.id, facts.name, facts.auth);
        let row = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row}"));
        for region in facts.regions.keys() {
            assert!(row.contains(&format!("`region = \"{region}\"`")), "{row}");
        }
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), FILES.len());
}

/// Every price of a model.
fn costs(model: &CatalogModel) -> impl Iterator<Item = &Cost> {
    model.cost.iter().chain(&model.also)
}

/// Every row of figures of a price.
fn rows(cost: &Cost) -> impl Iterator<Item = &Figures> {
    let tiers = cost.tiers.iter().map(|tier| &tier.figures);
    let windows = cost.off_peak.iter().map(|off_peak| &off_peak.figures);
    let services = cost.batch.iter().chain(&cost.flex).chain(&cost.priority);
    [&cost.base].into_iter().chain(tiers).chain(windows).chain(services)
}

#[test]
fn the_catalog_is_as_large_as_it_says() {
    let models: Vec<_> = catalog().models().collect();
    let priced = models.iter().filter(|model| model.cost.is_some());
    let providers: BTreeSet<_> = priced.clone().map(|model| model.provider.as_str()).collect();
    assert_eq!((providers.len(), models.len(), priced.count()), (28, 1_219, 1_202));
}

#[test]
fn every_line_is_in_its_one_form_and_in_its_place() {
    for (id, _, text) in FILES {
        let mut last = String::new();
        for line in text.lines() {
            let model = lines::read(id, line).unwrap_or_else(|wrong| panic!("{id}: {wrong}"));
            assert_eq!(lines::write(&model), line);
            assert!(last < model.id, "{id}: `{}` stands behind `{last}`", model.id);
            last = model.id;
        }
    }
}

#[test]
fn every_figure_says_where_it_comes_from_and_as_of_when() {
    for shelf in catalog().shelves.values() {
        assert_eq!(catalog().unknown_sources(shelf.models()).collect::<Vec<_>>(), Vec::<String>::new());
    }
    assert_eq!(catalog().source("models.dev").unwrap().as_of, "2026-07-02");
    for bad in [
        "[a]\nwhat = \"b\"\nas_of = \"lately\"",
        "[a]\nwhat = \"b\"",
        "[a]\nwhat = \"b\"\nas_of = \"2026-13\"",
    ] {
        assert!(source::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn reading_a_cache_is_never_dearer_than_reading_afresh() {
    for model in catalog().models() {
        for row in costs(model).flat_map(rows) {
            let zero = MicroPerMillion(0);
            assert!(row.cached_input_or_input() <= row.input, "{}/{}", model.provider, model.id);
            assert!(row.input >= zero && row.output.is_none_or(|output| output >= zero));
        }
    }
}

#[test]
fn what_is_unknown_is_not_free() {
    let unknown = catalog().model("volcengine", "doubao-embedding").unwrap();
    assert_eq!(unknown.cost, None);
    let free = catalog().model("zai", "glm-4.7-flash").unwrap().cost.as_ref().unwrap();
    assert_eq!(free.base.input, MicroPerMillion(0));
    let embedding = catalog().model("openai", "text-embedding-3-small").unwrap().cost.as_ref().unwrap();
    assert_eq!((embedding.base.input, embedding.base.output), (MicroPerMillion(20_000), None));
    let only_embeddings = |model: &&Arc<CatalogModel>| costs(model).any(|cost| cost.base.output.is_none());
    let without_output = catalog().models().filter(only_embeddings);
    assert!(without_output.into_iter().all(|model| model.kind == crate::ModelKind::Embedding));
}

#[test]
fn what_is_missing_costs_what_it_is_a_kind_of() {
    let price = |micro| MicroPerMillion(micro);
    let figures = |cached_input, cache_write, reasoning| Figures {
        input: price(10),
        output: Some(price(40)),
        cached_input,
        cache_write,
        cache_write_1h: None,
        cache_write_12h: None,
        reasoning,
        audio_input: None,
        audio_output: None,
    };
    let bare = figures(None, None, None);
    assert_eq!((bare.cached_input_or_input(), bare.cache_write_or_input()), (price(10), price(10)));
    assert_eq!(bare.reasoning_or_output(), Some(price(40)));
    let full = figures(Some(price(1)), Some(price(12)), Some(price(60)));
    assert_eq!((full.cached_input_or_input(), full.cache_write_or_input()), (price(1), price(12)));
    assert_eq!(full.reasoning_or_output(), Some(price(60)));
}

#[test]
fn a_model_is_found_by_its_name_and_then_by_its_longest_beginning() {
    let id = |provider: &str, name: &str| catalog().model(provider, name).map(|model| model.id.as_str());
    assert_eq!(id("openai", "gpt-4o"), Some("gpt-4o"));
    assert_eq!(id("openai", "ft:gpt-3.5-turbo-1106:acme::x"), Some("ft:gpt-3.5-turbo-1106"));
    assert_eq!(id("openai", "ft:gpt-3.5-turbo:acme::x"), Some("ft:gpt-3.5-turbo"));
    assert_eq!(id("openai", "gpt-4o-2"), None, "only what is listed as a beginning is one");
    assert_eq!(id("qwen", "qwen-plus"), Some("qwen-plus"), "by another word for the provider");
    assert_eq!(id(ANY_KIND, "gpt-4o"), None);
    assert_eq!(id("nobody", "gpt-4o"), None);
}

#[test]
fn an_account_in_mainland_china_pays_yuan_where_that_price_is_known() {
    let currency = |provider: &str, model: &str, region| {
        let model = catalog().model(provider, model).unwrap();
        model.cost_in(region).map(|cost| cost.currency)
    };
    assert_eq!(currency("deepseek", "deepseek-v4-pro", Some(Region::Cn)), Some(Currency::Cny));
    assert_eq!(currency("deepseek", "deepseek-v4-pro", Some(Region::Intl)), Some(Currency::Usd));
    assert_eq!(currency("dashscope-cn", "qwen-plus", Some(Region::Cn)), Some(Currency::Cny));
    assert_eq!(currency("dashscope-cn", "qwen-plus", None), Some(Currency::Cny), "its price is in yuan");
    assert_eq!(currency("dashscope", "qwen-plus", Some(Region::Intl)), Some(Currency::Usd));
}

#[test]
fn what_the_seed_had_is_there() {
    let pro = catalog().model("deepseek", "deepseek-v4-pro").unwrap();
    let yuan = pro.cost_in(Some(Region::Cn)).unwrap();
    assert_eq!(yuan.base.input, MicroPerMillion(9_000_000));
    let off_peak = yuan.off_peak.as_ref().unwrap();
    assert_eq!(off_peak.figures.output, Some(MicroPerMillion(13_500_000)));
    assert_eq!(off_peak.windows_utc[0].hours, [(0, 60), (240, 360), (600, 0)]);
    let plus = catalog().model("dashscope-cn", "qwen-plus").unwrap().cost.as_ref().unwrap();
    assert_eq!(plus.tiers.len(), 2);
    assert_eq!(plus.tiers[0].over_input.0, 128_000);
    assert_eq!(plus.tiers[1].figures.reasoning, Some(MicroPerMillion(64_000_000)));
    let caps = |cap| catalog().models().filter(|model| model.caps.contains(&cap)).count();
    assert_eq!((caps(Capability::Tools), caps(Capability::NoSamplingParams)), (1_064, 22));
    assert_eq!(catalog().models().filter(|model| model.retires.is_some()).count(), 157);
    assert_eq!(catalog().models().filter(|model| model.prefix).count(), 12);
    let batch = |model: &&Arc<CatalogModel>| costs(model).any(|cost| cost.batch.is_some());
    assert_eq!(catalog().models().filter(batch).count(), 175);
}

#[test]
fn lines_of_an_operators_own_stand_over_those_that_are_built_in() {
    let file = |name: &str, text: &str| OverlayFile { name: name.to_owned(), text: text.to_owned() };
    let line = r#"{"id":"gpt-4o","kind":"chat","in":["text"],"out":["text"],"cost":{"currency":"USD","source":"me","input":"3","output":"9"},"source":"me"}"#;
    let new = line.replace("gpt-4o", "gpt-9");
    let sources = file("sources.toml", "[me]\nwhat = \"our contract\"\nas_of = \"2026-12-01\"\n");
    let over = catalog()
        .with_overlay(&[file("openai.jsonl", &format!("{line}\n\n{new}\n")), sources.clone()])
        .unwrap();
    let input = |name: &str| over.model("openai", name).unwrap().cost.as_ref().unwrap().base.input.0;
    assert_eq!((input("gpt-4o"), input("gpt-9"), input("gpt-4.1")), (3_000_000, 3_000_000, 2_000_000));
    assert_eq!(over.models().count(), 1_220);
    assert_eq!(over.source("me").unwrap().as_of, "2026-12-01");
    assert_eq!(catalog().model("openai", "gpt-9"), None, "what is built in stays as it is");

    let wrong = catalog()
        .with_overlay(&[
            file("openai.jsonl", line),
            file("opanai.jsonl", ""),
            file("mistral.jsonl", &format!("{line}\n{line}\n")),
            file("groq.jsonl", &line.replace("\"3\"", "3.0")),
            file("notes.txt", ""),
        ])
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "openai.jsonl: `gpt-4o` names the source `me`, which is not in sources.toml; \
         opanai.jsonl: no provider is called so; did you mean `openai.jsonl`?; \
         mistral.jsonl:2: `gpt-4o` stands here twice; \
         groq.jsonl:1: invalid type: floating point `3.0`, expected a string at line 1 column 108; \
         notes.txt: a catalog has PROVIDER.jsonl and sources.toml"
    );
    let written = overlay_lines(over.overlay["openai"].values().map(|model| &**model), &over.sources);
    assert_eq!(catalog().with_overlay(&written).unwrap().overlay, over.overlay);
}
