//! Is the file right? Every rule of the tables, checked together; a name that is wrong in one place is reported once.

mod model; // what is sold?
mod provider; // whose is this account, and how is it spoken to?
mod route; // who serves it, and which calls?

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::route::{Served, Tables};
use crate::{Catalog, KeyPath, Problems, RawTables, RouteTable, Routes, alias, bounds, catalog, nearest};

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
        if self.models.is_empty() {
            problems.add_with_help(
                KeyPath::default(),
                "nothing to serve: there is no model",
                "add a [[providers]], a [[models]] and a [[routes]] table",
            );
        }

        let limits = bounds::limits(&self.limits, &mut problems);
        let providers: BTreeMap<_, _> = (self.providers.iter().enumerate())
            .filter_map(|(i, raw)| {
                provider::check(&KeyPath::new("providers").index(i), raw, catalog, &mut problems)
            })
            .map(|provider| (provider.id.clone(), Arc::new(provider)))
            .collect();
        let cache = self.cache.check(&mut problems);
        let mut table = RouteTable { providers, limits, cache, ..RouteTable::default() };
        let tables = Tables { raw: &self, providers: &table.providers, catalog };
        let served: Vec<Served> = (self.routes.iter().enumerate())
            .filter_map(|(i, raw)| tables.route(&KeyPath::new("routes").index(i), raw, &mut problems))
            .collect();
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
            let routes: Vec<&Served> = served.iter().filter(|route| route.model == raw.id).collect();
            route::agree(&routes, &mut problems);
            let (Some(plain), Some(first)) = (plain, routes.first()) else { continue };
            let Some(model) = model::finish(&path, raw, plain, first, &mut problems) else { continue };
            let model = Arc::new(model);
            table.models.insert(raw.id.clone(), Arc::clone(&model));
            let routes = routes.iter().map(|route| Arc::new(route.finished(Arc::clone(&model)))).collect();
            table.routes.insert(raw.id.clone(), Routes(routes));
        }
        let names: BTreeSet<&str> = self.models.iter().map(|model| model.id.as_str()).collect();
        table.aliases = alias::check(&self.aliases, &names, &mut problems);
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

/// Notes a name that stands in no table, with the one that was probably meant, or all if they are few.
pub(crate) fn unknown<'a>(
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
