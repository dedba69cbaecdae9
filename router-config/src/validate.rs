//! Is the file right? Every rule of the tables, checked together; a name that is wrong in one place is reported once.

mod model; // what is sold?
mod provider; // whose is this account, and how is it spoken to?

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use units::{Livemode, Tokens};

use crate::{
    Catalog, KeyPath, Limits, Model, Problems, Provider, RawLimits, RawRoute, RawTables, Route, RouteTable,
    Target, catalog, names::check_name, nearest,
};

/// More attempts than this only multiply an outage.
const ATTEMPTS_MAX: u32 = 10;
/// Output held for a call that names no limit, unless the route says otherwise.
const HOLD_OUTPUT_TOKENS: u64 = 4_096;

impl RawTables {
    /// Checks everything before refusing anything.
    ///
    /// # Errors
    /// All [`Problems`] of the tables.
    pub fn validate(self) -> Result<RouteTable, Problems> {
        self.validate_with(catalog())
    }

    /// The same, with a catalog of the caller's.
    ///
    /// # Errors
    /// All [`Problems`] of the tables.
    pub fn validate_with(self, catalog: &Catalog) -> Result<RouteTable, Problems> {
        let mut problems = Problems::default();
        unique(&self.providers, "providers", "id", |p| &p.id, &mut problems);
        unique(&self.models, "models", "id", |m| &m.id, &mut problems);
        unique(&self.routes, "routes", "model", |r| &r.model, &mut problems);
        if self.models.is_empty() {
            problems.add_with_help(
                KeyPath::default(),
                "nothing to serve: there is no model",
                "add a [[providers]], a [[models]] and a [[routes]] table",
            );
        }

        let limits = limits(&self.limits, &mut problems);
        let providers: BTreeMap<_, _> = (self.providers.iter().enumerate())
            .filter_map(|(i, raw)| {
                provider::check(&KeyPath::new("providers").index(i), raw, catalog, &mut problems)
            })
            .map(|provider| (provider.id.clone(), Arc::new(provider)))
            .collect();
        let mut table = RouteTable { providers, limits, ..RouteTable::default() };
        let tables = Tables { raw: &self, providers: &table.providers, catalog };
        let mut served = Vec::new();
        for (i, raw) in self.routes.iter().enumerate() {
            served.extend(tables.route(&KeyPath::new("routes").index(i), raw, &mut problems));
        }
        for (i, raw) in self.models.iter().enumerate() {
            let path = KeyPath::new("models").index(i);
            let plain = model::check(&path, raw, &mut problems);
            if !self.routes.iter().any(|route| route.model == raw.id) {
                problems.add_with_help(
                    path.key("id"),
                    format!("no route serves `{}`", raw.id),
                    format!("add a [[routes]] table with model = {:?}", raw.id),
                );
            }
            let route = served.iter().find(|route| route.model == raw.id);
            let (Some(plain), Some(route)) = (plain, route) else { continue };
            let Some(model) = model::finish(&path, raw, plain, route, &mut problems) else { continue };
            let model = Arc::new(model);
            table.models.insert(raw.id.clone(), Arc::clone(&model));
            table.routes.insert(raw.id.clone(), Arc::new(route.finished(model)));
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }
}

/// Notes every name that was taken before.
fn unique<T>(rows: &[T], table: &str, key: &str, name: impl Fn(&T) -> &String, problems: &mut Problems) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        let name = name(row);
        if let Some(earlier) = first.get(name.as_str()) {
            let path = KeyPath::new(table).index(i).key(key);
            problems.add(path, format!("`{name}` is already the `{key}` of {table}[{earlier}]"));
        } else {
            first.insert(name, i);
        }
    }
}

fn limits(raw: &RawLimits, problems: &mut Problems) -> Limits {
    let &RawLimits { requests_per_minute, tokens_per_minute, body_max_bytes, calls_in_flight_max } = raw;
    let limits = Limits { requests_per_minute, tokens_per_minute, body_max_bytes, calls_in_flight_max };
    for (key, zero) in [
        ("requests_per_minute", limits.requests_per_minute == 0),
        ("tokens_per_minute", limits.tokens_per_minute == 0),
        ("body_max_bytes", limits.body_max_bytes == 0),
        ("calls_in_flight_max", limits.calls_in_flight_max == 0),
    ] {
        if zero {
            problems.add_with_help(
                KeyPath::new("limits").key(key),
                "a limit of 0 would turn everyone away",
                "leave the key out for the usual limit",
            );
        }
    }
    limits
}

/// A route whose model has not been built yet.
struct Served {
    path: KeyPath,
    model: String,
    livemode: Livemode,
    targets: Vec<Target>,
    hold_output_tokens: Tokens,
    attempts_max: u32,
}

impl Served {
    fn finished(&self, model: Arc<Model>) -> Route {
        Route {
            model,
            targets: self.targets.clone(),
            hold_output_tokens: self.hold_output_tokens,
            attempts_max: self.attempts_max,
        }
    }
}

/// What routes and models look each other up in: names from the file, so that a broken provider is not also unknown.
struct Tables<'a> {
    raw: &'a RawTables,
    providers: &'a BTreeMap<String, Arc<Provider>>,
    catalog: &'a Catalog,
}

impl Tables<'_> {
    fn route(&self, path: &KeyPath, raw: &RawRoute, problems: &mut Problems) -> Option<Served> {
        let before = problems.len();
        let model = self.raw.models.iter().find(|model| model.id == raw.model);
        if model.is_none() {
            let known = self.raw.models.iter().map(|model| model.id.as_str());
            unknown("model", &path.key("model"), &raw.model, known, problems);
        }
        if raw.attempts_max == 0 || raw.attempts_max > ATTEMPTS_MAX {
            problems.add(path.key("attempts_max"), format!("must be from 1 to {ATTEMPTS_MAX}"));
        }
        let targets = self.targets(&path.key("targets"), raw, problems);
        let facts = targets.first().and_then(|target| target.facts.as_deref());
        let output_max = model.and_then(|model| model::output_max(model, facts)).unwrap_or(u64::MAX);
        if let Some(hold) = raw.hold_output_tokens
            && !(1..=output_max).contains(&hold)
        {
            let what = format!("must be from 1 to the model's `output_max`, {output_max}");
            problems.add(path.key("hold_output_tokens"), what);
        }
        if problems.len() > before {
            return None;
        }
        Some(Served {
            path: path.clone(),
            model: raw.model.clone(),
            livemode: targets.first()?.provider.livemode,
            targets,
            hold_output_tokens: Tokens(raw.hold_output_tokens.unwrap_or(HOLD_OUTPUT_TOKENS.min(output_max))),
            attempts_max: raw.attempts_max,
        })
    }

    fn targets(&self, path: &KeyPath, raw: &RawRoute, problems: &mut Problems) -> Vec<Target> {
        if raw.targets.is_empty() {
            problems.add_with_help(
                path.clone(),
                "a route needs at least one target",
                "write targets = [\"provider/upstream-model-name\"]",
            );
        }
        let mut seen = BTreeSet::new();
        let mut first_mode: Option<(&str, Livemode)> = None;
        let mut targets = Vec::new();
        for (i, text) in raw.targets.iter().enumerate() {
            let path = path.index(i);
            if !seen.insert(text) {
                problems.add(path, format!("`{text}` is already a target of this route"));
                continue;
            }
            let Some((provider, upstream_model)) = text.split_once('/') else {
                let what =
                    format!("`{text}` names no model: a target is written `provider/upstream-model-name`");
                problems.add(path, what);
                continue;
            };
            problems.catch(path.clone(), check_name(upstream_model));
            let Some(named) = self.raw.providers.iter().find(|known| known.id == provider) else {
                let known = self.raw.providers.iter().map(|known| known.id.as_str());
                unknown("provider", &path, provider, known, problems);
                continue;
            };
            match first_mode {
                Some((first, mode)) if mode != named.livemode => {
                    let what = format!(
                        "`{provider}` is {}, but `{first}` is {mode}: a route never mixes real and simulated money",
                        named.livemode
                    );
                    problems.add(path, what);
                }
                Some(_) => {}
                None => first_mode = Some((provider, named.livemode)),
            }
            if let Some(provider) = self.providers.get(provider) {
                let facts = self.catalog.model(&provider.kind, upstream_model).cloned();
                let (provider, upstream_model) = (Arc::clone(provider), upstream_model.to_owned());
                targets.push(Target { provider, upstream_model, facts });
            }
        }
        targets
    }
}

/// Notes a name that stands in no table, with the one that was probably meant, or all if they are few.
fn unknown<'a>(
    what: &str,
    path: &KeyPath,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    problems: &mut Problems,
) {
    let message = format!("unknown {what} `{name}`");
    match nearest(name, known.clone()) {
        Some(meant) => problems.add_with_help(path.clone(), message, format!("did you mean `{meant}`?")),
        None => {
            let few: Vec<_> = known.take(6).map(|name| format!("`{name}`")).collect();
            if few.is_empty() || few.len() > 5 {
                problems.add(path.clone(), message);
            } else {
                problems.add_with_help(path.clone(), message, format!("there is {}", few.join(", ")));
            }
        }
    }
}

#[cfg(test)]
mod tests;
