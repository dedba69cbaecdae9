//! How does what others say differ from our catalog?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use units::{Tokens, decimal};

use super::{ImportFormat, Imported, Said};
use crate::{Catalog, CatalogModel, Cost, CostTier, Currency, Figures, MicroPerMillion, ModelKind};

/// What may be proposed.
#[derive(Debug, Clone, Default)]
pub struct ImportDiff {
    /// Models that our catalog does not have.
    pub new: Vec<Proposal>,
    /// Models of which something else is said, with what.
    pub changed: Vec<Proposal>,
    /// Models whose price came from there, and of which nothing is said any more: provider and name.
    pub vanished: Vec<(String, String)>,
    /// How many are as we have them.
    pub same: usize,
}

/// A line that may be taken over.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// As it would be.
    pub model: CatalogModel,
    /// What would change.
    pub changes: Vec<Change>,
}

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `input`, `above 200000: output`, `batch: input`, `output_max`.
    pub what: String,
    /// As we have it.
    pub old: Option<Value>,
    /// As it is said.
    pub new: Option<Value>,
}

/// A value that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// US dollars for a million tokens.
    Price(MicroPerMillion),
    /// Tokens.
    Tokens(Tokens),
    /// A word or a day.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price(price) => f.write_str(&decimal::format(price.0, 6, 0)),
            Self::Tokens(tokens) => write!(f, "{}", tokens.0),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Change {
    /// Hundredths of a per cent from old to new, of a price that was above nothing before; rounded half away from zero.
    pub fn bps(&self) -> Option<i64> {
        match (&self.old, &self.new) {
            (Some(Value::Price(old)), Some(Value::Price(new))) if old.0 > 0 => {
                let (old, new) = (i128::from(old.0), i128::from(new.0));
                let twice = (new - old) * 20_000;
                let half = if twice < 0 { -old } else { old };
                i64::try_from((twice + half) / (2 * old)).ok()
            }
            _ => None,
        }
    }
}

/// Lays what was read against the catalog. `source` is the id under which what is proposed says where it comes from.
pub fn diff(format: ImportFormat, imported: &Imported, catalog: &Catalog, source: &str) -> ImportDiff {
    let mut found = ImportDiff::default();
    for ((provider, id), said) in &imported.models {
        let known = catalog.model(provider, id).filter(|known| known.id == *id);
        match known {
            None => {
                let (model, changes) = added(provider, id, said, source);
                found.new.push(Proposal { model, changes });
            }
            Some(known) => {
                let (model, changes) = merged(format, known, said, source);
                if changes.is_empty() {
                    found.same += 1;
                } else {
                    found.changed.push(Proposal { model, changes });
                }
            }
        }
    }
    let providers: BTreeSet<&str> = imported.named.iter().map(|(provider, _)| provider.as_str()).collect();
    let is_theirs = |source: &str| {
        source.strip_prefix(format.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    let of_theirs = |model: &&Arc<CatalogModel>| {
        let mut costs = model.cost.iter().chain(&model.also);
        providers.contains(model.provider.as_str()) && costs.any(|cost| is_theirs(&cost.source))
    };
    for model in catalog.models().filter(of_theirs) {
        let key = (model.provider.clone(), model.id.clone());
        if !imported.named.contains(&key) {
            found.vanished.push(key);
        }
    }
    found
}

/// A line about a model that we do not have.
fn added(provider: &str, id: &str, said: &Said, source: &str) -> (CatalogModel, Vec<Change>) {
    let cost = said.base.as_ref().map(|base| Cost {
        currency: Currency::Usd,
        source: source.to_owned(),
        base: base.clone(),
        tiers: tiers(&said.tiers),
        off_peak: None,
        batch: said.batch.clone(),
        flex: said.flex.clone(),
        priority: said.priority.clone(),
    });
    let changes = cost.as_ref().map(|cost| compare(None, Some(cost), true)).unwrap_or_default();
    let model = CatalogModel {
        provider: provider.to_owned(),
        id: id.to_owned(),
        prefix: said.prefix,
        kind: said.kind.unwrap_or_default(),
        input_max: said.input_max,
        output_max: said.output_max,
        dimensions: said.dimensions,
        takes: said.takes.clone(),
        gives: said.gives.clone(),
        caps: said.caps.clone(),
        cost,
        also: Vec::new(),
        retires: said.retires.clone(),
        note: None,
        source: source.to_owned(),
    };
    (model, changes)
}

/// The line about a model, with what is said put in the place of what we have. What the format has no word for, and what
/// is not said, stays.
fn merged(
    format: ImportFormat,
    known: &CatalogModel,
    said: &Said,
    source: &str,
) -> (CatalogModel, Vec<Change>) {
    let mut model = known.clone();
    let services = format == ImportFormat::Litellm;
    let mut changes = Vec::new();
    if let Some(base) = &said.base {
        let dollars = known.cost.iter().chain(&known.also).find(|cost| cost.currency == Currency::Usd);
        let cost = Cost {
            currency: Currency::Usd,
            source: source.to_owned(),
            base: with_unsaid(base, dollars.map(|cost| &cost.base), format),
            tiers: tiers(&said.tiers),
            off_peak: dollars.and_then(|cost| cost.off_peak.clone()),
            batch: if services { said.batch.clone() } else { dollars.and_then(|cost| cost.batch.clone()) },
            flex: if services { said.flex.clone() } else { dollars.and_then(|cost| cost.flex.clone()) },
            priority: if services {
                said.priority.clone()
            } else {
                dollars.and_then(|cost| cost.priority.clone())
            },
        };
        changes = compare(dollars, Some(&cost), services);
        if !changes.is_empty() {
            // A conversion stands beside a price in yuan, and stays there.
            match model.also.iter_mut().find(|cost| cost.currency == Currency::Usd) {
                Some(beside) => *beside = cost,
                None if model.cost.as_ref().is_none_or(|cost| cost.currency == Currency::Usd) => {
                    model.cost = Some(cost);
                }
                None => model.also.push(cost),
            }
        }
    }
    let mut limit = |what: &str, ours: &mut Option<Tokens>, theirs: Option<Tokens>| {
        if let Some(theirs) = theirs.filter(|theirs| *ours != Some(*theirs)) {
            let old = ours.map(Value::Tokens);
            changes.push(Change { what: what.to_owned(), old, new: Some(Value::Tokens(theirs)) });
            *ours = Some(theirs);
        }
    };
    limit("input_max", &mut model.input_max, said.input_max);
    limit("output_max", &mut model.output_max, said.output_max);
    let mut word = |what: &str, old: Option<String>, new: String| {
        if old.as_ref() != Some(&new) {
            let old = old.map(Value::Text);
            changes.push(Change { what: what.to_owned(), old, new: Some(Value::Text(new)) });
        }
    };
    if let Some(retires) = &said.retires {
        word("retires", known.retires.clone(), retires.clone());
        model.retires = Some(retires.clone());
    }
    if let Some(kind) = said.kind {
        let named = |kind: ModelKind| kind.as_str().to_owned();
        word("kind", Some(named(known.kind)), named(kind));
        model.kind = kind;
    }
    if !changes.is_empty() {
        model.source = source.to_owned();
    }
    (model, changes)
}

/// What the format has no word for stays as we have it.
fn with_unsaid(said: &Figures, known: Option<&Figures>, format: ImportFormat) -> Figures {
    let Some(known) = known else { return said.clone() };
    let mut figures = said.clone();
    figures.cache_write_12h = figures.cache_write_12h.or(known.cache_write_12h);
    if format == ImportFormat::ModelsDev {
        figures.cache_write_1h = known.cache_write_1h;
    }
    figures
}

fn tiers(said: &BTreeMap<u64, Figures>) -> Vec<CostTier> {
    let tier = |(above, figures): (&u64, &Figures)| CostTier {
        over_input: Tokens(*above),
        figures: figures.clone(),
    };
    said.iter().map(tier).collect()
}

/// Every price that differs.
fn compare(old: Option<&Cost>, new: Option<&Cost>, services: bool) -> Vec<Change> {
    let (old, new) = (prices(old, services), prices(new, services));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (old, new) = (old.get(name).copied(), new.get(name).copied());
        let change = || Change { what: name.clone(), old: old.map(Value::Price), new: new.map(Value::Price) };
        (old != new).then(change)
    };
    names.into_iter().filter_map(change).collect()
}

/// The prices by their names.
fn prices(cost: Option<&Cost>, services: bool) -> BTreeMap<String, MicroPerMillion> {
    let mut prices = BTreeMap::new();
    let mut row = |place: &str, figures: &Figures| {
        let classes = [
            ("input", Some(figures.input)),
            ("output", figures.output),
            ("cached_input", figures.cached_input),
            ("cache_write", figures.cache_write),
            ("cache_write_1h", figures.cache_write_1h),
            ("cache_write_12h", figures.cache_write_12h),
            ("reasoning", figures.reasoning),
            ("audio_input", figures.audio_input),
            ("audio_output", figures.audio_output),
        ];
        let known =
            classes.into_iter().filter_map(|(class, price)| Some((format!("{place}{class}"), price?)));
        prices.extend(known);
    };
    if let Some(cost) = cost {
        row("", &cost.base);
        for tier in &cost.tiers {
            row(&format!("above {}: ", tier.over_input.0), &tier.figures);
        }
        for (service, figures) in [("batch", &cost.batch), ("flex", &cost.flex), ("priority", &cost.priority)]
        {
            if let Some(figures) = figures.as_ref().filter(|_| services) {
                row(&format!("{service}: "), figures);
            }
        }
    }
    prices
}
