//! What does the file say of prices and rates? It is where a new installation begins, and it goes on to count until an
//! operator publishes a version or pins a rate; from then on the store's word stands.

use std::collections::BTreeMap;

use payments::{
    ledger::{Actor, Body, Command, Reply},
    prices::{CNY, DEFAULT_LIST, Document, RawModel, Sheet, pair_of},
    store::{Store, SubmitError},
};
use router_config::{ListPrice, MicroPerMillion, RouteTable};
use units::{Clock, decimal};

/// Who acts for the file.
const FILE: &str = "config";

/// Makes the file's prices the price list, unless an operator has published one or works on a draft.
///
/// # Errors
/// If the store does not take it.
pub(super) async fn prices(store: &Store, clock: &dyn Clock, table: &RouteTable) -> Result<(), SubmitError> {
    let document = document(table);
    let list = store.price_lists().await?.into_iter().find(|list| list.name == DEFAULT_LIST);
    let last = match &list {
        Some(list) if list.versions > 0 => store.price_version(list.name.clone(), list.versions).await?,
        _ => None,
    };
    let text = document.canonical();
    if let Some(last) = last {
        if last.author != FILE {
            let listed = Sheet::read(&last.document).unwrap_or_default();
            for model in table.models.keys().filter(|model| !listed.models.contains_key(*model)) {
                let version = last.id();
                tracing::warn!(model, version, "not in the price list that an operator published: not sold");
            }
            return Ok(());
        }
        unpriced(table);
        if last.document == text {
            return Ok(());
        }
    } else {
        unpriced(table);
    }
    // A list without a model sells nothing, so it is none.
    if document.models.is_empty() {
        return Ok(());
    }
    let draft = list.as_ref().and_then(|list| list.draft.as_ref());
    if draft.is_some_and(|draft| draft.author != FILE) {
        tracing::warn!("the prices of the file are not taken up: somebody works on a draft of the list");
        return Ok(());
    }
    let save = Body::SavePriceDraft { list: DEFAULT_LIST.to_owned(), document: text };
    let saved = submit(store, clock, "save", save).await?;
    let Reply::PriceList(saved) = saved else { return Ok(()) };
    let Some(draft) = saved.draft else { return Ok(()) };
    let foreign: std::collections::BTreeSet<&str> =
        document.models.values().map(|model| model.currency.as_str()).filter(|code| *code != CNY).collect();
    let publish = Body::PublishPrices {
        list: DEFAULT_LIST.to_owned(),
        source_hash: draft.source_hash,
        valid_from: None,
        pairs: foreign.into_iter().map(pair_of).collect(),
    };
    submit(store, clock, "publish", publish).await?;
    tracing::info!(models = document.models.len(), "the file's prices are published");
    Ok(())
}

/// Says which models wait for a list that an operator publishes.
fn unpriced(table: &RouteTable) {
    for model in table.models.values().filter(|model| model.price.is_none()) {
        tracing::warn!(model = model.id, "without a price in the file, and in no list: not sold");
    }
}

/// Pins what the file pins, and lets go what it no longer does. A pin of an operator stands.
///
/// # Errors
/// If the store does not take it.
pub(super) async fn pins(
    store: &Store,
    clock: &dyn Clock,
    pinned: &BTreeMap<String, i64>,
) -> Result<(), SubmitError> {
    let known = store.fx_pairs().await?;
    let now = clock.now();
    let pin_of = |pair: &str| known.iter().find(|row| row.pair == pair).and_then(|row| row.pinned_at(now));
    for (pair, &rate_micro) in pinned {
        let stands = pin_of(pair).is_some_and(|pin| pin.author != FILE || pin.rate_micro == rate_micro);
        if !stands {
            let pin = Body::PinRate { pair: pair.clone(), rate_micro, until: None };
            submit(store, clock, &format!("pin:{pair}"), pin).await?;
        }
    }
    for row in &known {
        let ours = row.pinned_at(now).is_some_and(|pin| pin.author == FILE);
        if ours && !pinned.contains_key(&row.pair) {
            let unpin = Body::UnpinRate { pair: row.pair.clone() };
            submit(store, clock, &format!("unpin:{}", row.pair), unpin).await?;
        }
    }
    Ok(())
}

async fn submit(store: &Store, clock: &dyn Clock, what: &str, body: Body) -> Result<Reply, SubmitError> {
    let at = clock.now();
    let command = Command {
        key: format!("{FILE}:{what}:{}", at.0),
        actor: Actor::system(FILE),
        reason: Some("as the configuration file says".to_owned()),
        approver: None,
        at,
        body,
    };
    store.submit(command).await
}

/// The file's prices as a price list: of the models that have one there.
pub fn document(table: &RouteTable) -> Document {
    let priced = || table.models.iter().filter_map(|(name, model)| Some((name, model.price.as_ref()?)));
    let is_fine = |price: &ListPrice| {
        let figures = [Some(price.input), price.cached_input, price.cache_write, Some(price.output)];
        price.currency.as_str() == CNY && figures.into_iter().flatten().any(|figure| figure.0 % 10_000 != 0)
    };
    let scale = if priced().any(|(_, price)| is_fine(price)) { 3 } else { 2 };
    let text = |price: MicroPerMillion| decimal::format(price.0, 6, 2);
    let row = |price: &ListPrice| RawModel {
        currency: price.currency.to_string(),
        markup_percent: None,
        input: text(price.input),
        cached_input: price.cached_input.map(text),
        cache_write: price.cache_write.map(text),
        output: text(price.output),
        tiers: Vec::new(),
        off_peak: None,
    };
    Document { scale, models: priced().map(|(name, price)| (name.clone(), row(price))).collect() }
}
