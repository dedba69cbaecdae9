//! Is what is built in right, and is it found?

use std::collections::BTreeSet;

use super::*;
use crate::{Auth, Wire, check_http_url};

#[test]
fn every_provider_has_a_file_and_every_file_a_provider() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    let ids = |extension: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let named = files.filter(|path| path.extension().is_some_and(|found| found == extension));
        named.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let known: BTreeSet<String> = catalog().providers().map(|facts| facts.id.clone()).collect();
    assert_eq!(ids("toml"), known);
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
