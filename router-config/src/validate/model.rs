//! What is sold? The file says it, and where it does not, the catalog says it of the first that serves it.

use std::sync::Arc;

use units::Tokens;

use super::Served;
use crate::{
    Bounds, CatalogModel, KeyPath, ListPrice, Model, ModelKind, Problems, Quirks, RawBounds, RawModel,
    RawPrice, bounds, names::check_name, price::parse_price,
};

/// No context is larger than this; the charge for one this large still fits the ledger at any price we take.
const CONTEXT_MAX: u64 = 100_000_000;

/// What a model is, as far as it does not depend on its route.
pub(super) struct Plain {
    price: Option<ListPrice>,
    bounds: Bounds,
}

/// Checks what stands in the model's own table.
pub(super) fn check(path: &KeyPath, raw: &RawModel, problems: &mut Problems) -> Option<Plain> {
    problems.catch(path.key("id"), check_name(&raw.id));
    if let Some(owner) = &raw.owned_by {
        problems.catch(path.key("owned_by"), check_name(owner));
    }
    if raw.context.is_some_and(|context| context == 0 || context > CONTEXT_MAX) {
        problems.add(path.key("context"), format!("must be from 1 to {CONTEXT_MAX} tokens"));
    }
    if raw.output_max == Some(0) {
        problems.add(path.key("output_max"), "must be at least 1 token");
    } else if let (Some(output), Some(context)) = (raw.output_max, raw.context)
        && output > context
    {
        let what = format!("an answer of {output} tokens does not fit the context of {context}");
        problems.add(path.key("output_max"), what);
    }
    let bounds = RawBounds {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        concurrency_max: raw.concurrency_max,
    };
    let bounds = bounds::check(path, bounds, problems);
    match &raw.price {
        None => Some(Plain { price: None, bounds }),
        Some(written) => {
            let price = price(&path.key("price"), written, raw.kind, problems)?;
            Some(Plain { price: Some(price), bounds })
        }
    }
}

/// Tokens of the largest answer: as written, else as the catalog knows; no embedding answers with any.
pub(super) fn output_max(raw: &RawModel, facts: Option<&CatalogModel>) -> Option<u64> {
    let none = || (kind(raw, facts) == ModelKind::Embedding).then_some(0);
    raw.output_max.or_else(|| Some(facts?.output_max?.0)).or_else(none)
}

fn kind(raw: &RawModel, facts: Option<&CatalogModel>) -> ModelKind {
    raw.kind.or_else(|| Some(facts?.kind)).unwrap_or_default()
}

/// The model as its route serves it; `path` is that of its table.
pub(super) fn finish(
    path: &KeyPath,
    raw: &RawModel,
    plain: Plain,
    route: &Served,
    problems: &mut Problems,
) -> Option<Model> {
    let before = problems.len();
    let first = route.targets.first()?;
    let facts = first.facts.as_deref();
    let kind = kind(raw, facts);
    let mut missing = |key: &str, known: Option<u64>| {
        if known.is_none() {
            let target = format!("{}/{}", first.provider.id, first.upstream_model);
            let what = format!("missing key `{key}`: the catalog does not say it of `{target}`");
            problems.add(path.clone(), what);
        }
        known
    };
    let context = missing("context", raw.context.or_else(|| Some(facts?.context()?.0)));
    let output_max = missing("output_max", output_max(raw, facts));
    if let (None, Some(output), Some(context)) = (raw.output_max.and(raw.context), output_max, context)
        && output > context
    {
        let written = if raw.context.is_some() { "context" } else { "output_max" };
        let what = format!("an answer of {output} tokens does not fit the context of {context}");
        problems.add_with_help(path.key(written), what, "write both `context` and `output_max`");
    }
    for (i, target) in route.targets.iter().enumerate() {
        if !answers(&target.provider.quirks, kind) {
            let what = format!("`{}` has no endpoint for a model of the kind `{kind}`", target.provider.id);
            problems.add(route.path.key("targets").index(i), what);
        }
    }
    if problems.len() > before {
        return None;
    }
    Some(Model {
        id: raw.id.clone(),
        owned_by: raw.owned_by.as_deref().unwrap_or(&first.provider.id).to_owned(),
        kind,
        caps: facts.map(|facts| facts.caps.clone()).unwrap_or_default(),
        livemode: route.livemode,
        context: Tokens(context?),
        output_max: Tokens(output_max?),
        price: plain.price,
        bounds: plain.bounds,
    })
}

/// Whether an upstream can be asked for models of this kind.
fn answers(quirks: &Arc<Quirks>, kind: ModelKind) -> bool {
    match kind {
        ModelKind::Chat => true,
        ModelKind::Responses => quirks.responses_path.is_some(),
        ModelKind::Completion => quirks.completions_path.is_some(),
        ModelKind::Embedding => quirks.embeddings_path.is_some(),
    }
}

fn price(
    path: &KeyPath,
    raw: &RawPrice,
    kind: Option<ModelKind>,
    problems: &mut Problems,
) -> Option<ListPrice> {
    let mut read = |key, text: &str| problems.catch(path.key(key), parse_price(text, raw.currency));
    let input = read("input", &raw.input);
    let cached_input = raw.cached_input.as_ref().map(|text| read("cached_input", text));
    let cache_write = raw.cache_write.as_ref().map(|text| read("cache_write", text));
    let output = match &raw.output {
        Some(text) => read("output", text),
        None if kind == Some(ModelKind::Embedding) => read("output", "0"),
        None => {
            problems.add_with_help(
                path.clone(),
                "missing key `output`",
                "only a model of the kind `embedding`, which has to say so here, has no output",
            );
            None
        }
    };
    if let (Some(input), Some(Some(cached))) = (input, cached_input)
        && cached > input
    {
        problems.add(path.key("cached_input"), "cached input may not cost more than fresh input");
        return None;
    }
    let whole = |read: Option<Option<_>>| match read {
        None => Some(None),
        Some(read) => read.map(Some),
    };
    let (cached_input, cache_write) = (whole(cached_input)?, whole(cache_write)?);
    Some(ListPrice { currency: raw.currency, input: input?, cached_input, cache_write, output: output? })
}
