//! Whose is this account, and how is it spoken to?

use std::{sync::Arc, time::Duration};

use crate::{
    Catalog, KeyPath, OtherRegion, Problems, Provider, ProviderFacts, Quirks, RawBounds, RawProvider, Region,
    SecretRef, bounds,
    names::{check_http_url, check_name, without_trailing_slash},
    parse_micro,
};

/// No wait is longer than a day.
pub(super) const TIMEOUT_MS_MAX: u64 = 86_400_000;
/// More keys than any pool has.
const KEYS_MAX: usize = 64;
/// Whoever is probed more rarely than once a day is not.
const PROBE_SECONDS_MAX: u64 = 86_400;
/// No stream is slower than nothing at all, nor faster than this.
const BYTES_PER_SECOND_MAX: u64 = 1_000_000;
/// What the gateway writes itself.
const OWN_HEADERS: [&str; 7] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Checks one account.
pub(super) fn check(
    path: &KeyPath,
    raw: &RawProvider,
    catalog: &Catalog,
    problems: &mut Problems,
) -> Option<Provider> {
    let before = problems.len();
    if problems.catch(path.key("id"), check_name(&raw.id)).is_some() && raw.id.contains('/') {
        problems.add(
            path.key("id"),
            "`/` may not stand in a provider's id: targets are written `provider/upstream-model-name`",
        );
    }
    let facts = catalog.provider(&raw.kind);
    if facts.is_none() {
        let known = catalog.providers().map(|facts| facts.id.as_str());
        super::unknown("kind", &path.key("kind"), &raw.kind, known, problems);
    }
    let account = facts.and_then(|facts| account(path, raw, facts, catalog, problems));
    let api_keys = api_keys(path, raw, problems);
    let auth = raw.auth.as_ref().map(|text| problems.catch(path.key("auth"), text.parse()));
    waits(path, raw, problems);
    if raw.stream_bytes_per_second_min > BYTES_PER_SECOND_MAX {
        problems.add(
            path.key("stream_bytes_per_second_min"),
            format!("more than {BYTES_PER_SECOND_MAX} bytes a second: no model writes so fast"),
        );
    }
    let bounds = RawBounds {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        concurrency_max: raw.concurrency_max,
    };
    let bounds = bounds::check(path, bounds, problems);
    let mut quirks = account.as_ref().map(|account| Quirks::clone(&account.facts.quirks)).unwrap_or_default();
    raw.quirks.clone().put_over(&mut quirks);
    peculiarities(&path.key("quirks"), &quirks, problems);
    if raw.probe_seconds > PROBE_SECONDS_MAX {
        problems.add(path.key("probe_seconds"), format!("must be from 0 to {PROBE_SECONDS_MAX} (a day)"));
    }
    let balance_alert_micro = balance_alert(path, raw, &quirks, problems);
    if problems.len() > before {
        return None;
    }
    let Account { facts, region, base_url } = account?;
    Some(Provider {
        id: raw.id.clone(),
        kind: facts.id.clone(),
        region,
        wire: facts.wire,
        auth: auth.flatten().unwrap_or_else(|| facts.auth.clone()),
        quirks: if quirks == *facts.quirks { Arc::clone(&facts.quirks) } else { Arc::new(quirks) },
        base_url,
        api_keys,
        livemode: raw.livemode,
        connect_max: Duration::from_millis(raw.connect_ms_max),
        first_byte_max: Duration::from_millis(raw.first_byte_ms_max),
        idle_max: Duration::from_millis(raw.idle_ms_max),
        total_max: Duration::from_millis(raw.total_ms_max),
        stream_bytes_per_second_min: raw.stream_bytes_per_second_min,
        probe_every: (raw.probe_seconds > 0).then(|| Duration::from_secs(raw.probe_seconds)),
        balance_alert_micro,
        bounds,
    })
}

/// Below which balance somebody is alerted, in millionths.
fn balance_alert(path: &KeyPath, raw: &RawProvider, quirks: &Quirks, problems: &mut Problems) -> Option<i64> {
    let text = raw.balance_alert.as_ref()?;
    let path = path.key("balance_alert");
    if quirks.balance_path.is_none() {
        let what = "this provider is not known to tell the balance of our account";
        problems.add_with_help(path.clone(), what, "leave it out, or write `quirks.balance_path`");
    }
    problems.catch(path, parse_micro(text))
}

/// Where its keys are kept: one under `api_key`, or several under `api_keys`.
fn api_keys(path: &KeyPath, raw: &RawProvider, problems: &mut Problems) -> Vec<SecretRef> {
    let several = path.key("api_keys");
    if raw.api_key.is_some() && !raw.api_keys.is_empty() {
        problems.add_with_help(
            several.clone(),
            "there is an `api_key` too",
            "write it as one of the `api_keys`",
        );
    }
    if raw.api_keys.len() > KEYS_MAX {
        problems.add(several.clone(), format!("more than {KEYS_MAX} keys"));
    }
    let mut keys: Vec<SecretRef> = Vec::new();
    let one = raw.api_key.iter().map(|text| (path.key("api_key"), text));
    for (path, text) in one.chain(raw.api_keys.iter().enumerate().map(|(i, text)| (several.index(i), text))) {
        match problems.catch(path.clone(), text.parse::<SecretRef>()) {
            Some(key) if keys.contains(&key) => problems.add(path, format!("`{key}` stands here twice")),
            Some(key) => keys.push(key),
            None => {}
        }
    }
    keys
}

/// Whose account it is, on which side, and where.
struct Account {
    facts: Arc<ProviderFacts>,
    region: Option<Region>,
    base_url: String,
}

fn account(
    path: &KeyPath,
    raw: &RawProvider,
    facts: &Arc<ProviderFacts>,
    catalog: &Catalog,
    problems: &mut Problems,
) -> Option<Account> {
    let written =
        raw.base_url.as_ref().map(|text| problems.catch(path.key("base_url"), check_http_url(text)));
    if raw.base_url.as_ref().is_some_and(|text| text.trim_end_matches('/').ends_with("/chat/completions")) {
        problems.add_with_help(
            path.key("base_url"),
            "`/chat/completions` is appended to the base URL",
            "leave it off here",
        );
    }
    let written = match written {
        None => None,
        Some(url) => Some(without_trailing_slash(&url?)),
    };
    let region = raw.region.or_else(|| region_at(facts, written.as_deref()?, catalog)).or(facts.region);
    let (facts, own) = match region {
        _ if region == facts.region => (facts, facts.base_url.clone()),
        Some(region) => match facts.regions.get(&region) {
            Some(OtherRegion::Address(address)) => (facts, Some(address.clone())),
            Some(OtherRegion::Kind(kind)) => {
                let other = catalog.provider(kind)?;
                (other, other.base_url.clone())
            }
            None => {
                let what = format!("`{}` is not known to have a side `{region}`", facts.id);
                problems.add_with_help(path.key("region"), what, "leave it out");
                return None;
            }
        },
        None => (facts, facts.base_url.clone()),
    };
    let Some(base_url) = written.or(own) else {
        let what = format!("a `{}` has no address that is known", facts.id);
        problems.add_with_help(path.clone(), what, "write its `base_url`");
        return None;
    };
    Some(Account { facts: Arc::clone(facts), region, base_url })
}

/// The side whose address this is, if there is one side only.
fn region_at(facts: &ProviderFacts, address: &str, catalog: &Catalog) -> Option<Region> {
    if facts.base_url.as_deref() == Some(address) {
        return facts.region;
    }
    let is_there = |other: &OtherRegion| match other {
        OtherRegion::Address(known) => known == address,
        OtherRegion::Kind(kind) => {
            catalog.provider(kind).is_some_and(|other| other.base_url.as_deref() == Some(address))
        }
    };
    facts.regions.iter().find(|(_, other)| is_there(other)).map(|(region, _)| *region)
}

fn waits(path: &KeyPath, raw: &RawProvider, problems: &mut Problems) {
    let total = raw.total_ms_max;
    for (key, ms) in [
        ("connect_ms_max", raw.connect_ms_max),
        ("first_byte_ms_max", raw.first_byte_ms_max),
        ("idle_ms_max", raw.idle_ms_max),
        ("total_ms_max", total),
    ] {
        if ms == 0 || ms > TIMEOUT_MS_MAX {
            problems.add(path.key(key), format!("must be from 1 to {TIMEOUT_MS_MAX} milliseconds (a day)"));
        } else if ms > total && total > 0 {
            problems.add(
                path.key(key),
                format!("{ms} ms is longer than the whole call, `total_ms_max` = {total}"),
            );
        }
    }
}

/// Whether requests can be made as the quirks say.
fn peculiarities(path: &KeyPath, quirks: &Quirks, problems: &mut Problems) {
    let paths = [
        ("chat_path", Some(&quirks.chat_path)),
        ("completions_path", quirks.completions_path.as_ref()),
        ("embeddings_path", quirks.embeddings_path.as_ref()),
        ("responses_path", quirks.responses_path.as_ref()),
        ("messages_path", quirks.messages_path.as_ref()),
        ("balance_path", quirks.balance_path.as_ref()),
    ];
    let paths = paths.into_iter().filter_map(|(key, text)| Some((path.key(key), text?)));
    let prefills = quirks.prefill.iter().filter_map(|(pattern, prefill)| {
        Some((path.key("prefill").key(pattern).key("path"), prefill.path.as_ref()?))
    });
    for (at, text) in paths.chain(prefills) {
        let filled = text.replace("{model}", "m");
        let plain = filled.bytes().all(|b| b.is_ascii_graphic() && !b"{}#\\\"<>^`|".contains(&b));
        if !text.starts_with('/') || !plain {
            let what = "a path begins with `/` and holds no spaces; only `{model}` is filled in";
            problems.add(at, what);
        }
    }
    for (name, value) in &quirks.headers {
        let at = path.key("headers").key(name);
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if name.is_empty() || !name.bytes().all(token) {
            problems.add(at, "a header's name is small letters, digits and `-`");
        } else if OWN_HEADERS.contains(&name.as_str()) {
            problems.add(at, "this header is written by the gateway");
        } else if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            problems.add(at, "a header's value is printable ASCII");
        }
    }
    let named =
        [("output_max", quirks.output_max.is_empty()), ("reasoning_in", quirks.reasoning_in.is_empty())];
    for (key, _) in named.into_iter().filter(|(_, empty)| *empty) {
        problems.add(path.key(key), "a name is needed here");
    }
}
