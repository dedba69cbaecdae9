//! Which model is meant by a name? Aliases, patterns and `auto`, as data; a chain of them ends at a model.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Circumstances, Condition, KeyPath, Problems, RawCondition, glob, names::check_name};

/// Another name for a model.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAlias {
    /// The name that callers use, such as `auto`; `*` in it stands for any characters. A model of that very name is meant
    /// before any pattern.
    pub name: String,
    /// What is meant: a model, or another alias. The caller pays what it costs, and is told which it was.
    pub model: String,
    /// When it is meant; of several aliases that fit a name, the first whose time it is.
    #[serde(default)]
    pub when: RawCondition,
}

/// A checked [`RawAlias`].
#[derive(Debug, Clone)]
pub struct Alias {
    /// The name, or a pattern.
    pub name: String,
    /// What is meant.
    pub model: String,
    /// When.
    pub when: Condition,
}

impl Alias {
    /// Whether `name` is one of its.
    pub fn is_named(&self, name: &str) -> bool {
        if self.name.contains('*') { glob::matches(&self.name, name) } else { self.name == name }
    }
}

/// Follows `name` through `aliases` to a model that `is_model` knows, as `call` has it; the name it ends at otherwise.
pub(crate) fn resolve<'a>(
    aliases: &'a [Alias],
    name: &'a str,
    call: &Circumstances<'_>,
    is_model: impl Fn(&str) -> bool,
) -> &'a str {
    let mut name = name;
    // There are no circles, so no chain is longer than all of them.
    for _ in aliases {
        if is_model(name) {
            return name;
        }
        let meant = aliases.iter().find(|alias| alias.is_named(name) && alias.when.fits(call).is_ok());
        match meant {
            Some(alias) => name = &alias.model,
            None => return name,
        }
    }
    name
}

/// Checks them against the `models` there are.
pub(crate) fn check(raw: &[RawAlias], models: &BTreeSet<&str>, problems: &mut Problems) -> Vec<Alias> {
    let mut aliases = Vec::with_capacity(raw.len());
    for (i, alias) in raw.iter().enumerate() {
        let path = KeyPath::new("aliases").index(i);
        problems.catch(path.key("name"), check_name(&alias.name.replace('*', "x")));
        if models.contains(alias.name.as_str()) {
            problems.add(
                path.key("name"),
                format!("`{}` is a model: no alias of that name is ever asked", alias.name),
            );
        }
        let when = alias.when.check(&path.key("when"), problems);
        let covers = |earlier: &Alias| earlier.name == alias.name && earlier.when.is_empty();
        if let Some(earlier) = aliases.iter().position(covers) {
            let what = format!("aliases[{earlier}] has this name and no `when`: this one is never reached");
            problems.add(path.key("name"), what);
        }
        aliases.push(Alias { name: alias.name.clone(), model: alias.model.clone(), when });
    }
    for (i, alias) in aliases.iter().enumerate() {
        let path = KeyPath::new("aliases").index(i).key("model");
        if let Some(circle) = circle(&aliases, alias, models) {
            problems.add(path, format!("a circle: {}", circle.join(" -> ")));
        } else if !models.contains(alias.model.as_str())
            && !aliases.iter().any(|other| other.is_named(&alias.model))
        {
            let own = aliases.iter().map(|alias| alias.name.as_str());
            let known = models.iter().copied().chain(own.filter(|name| !models.contains(name)));
            super::validate::unknown("model", &path, &alias.model, known, problems);
        }
    }
    aliases
}

/// The names from `begin` back to one that was met before; whatever the conditions, since some call may fit them all.
fn circle(aliases: &[Alias], begin: &Alias, models: &BTreeSet<&str>) -> Option<Vec<String>> {
    fn follow(aliases: &[Alias], name: &str, models: &BTreeSet<&str>, seen: &mut Vec<String>) -> bool {
        if models.contains(name) {
            return false;
        }
        if seen.iter().any(|met| met == name) {
            seen.push(name.to_owned());
            return true;
        }
        seen.push(name.to_owned());
        for alias in aliases.iter().filter(|alias| alias.is_named(name)) {
            if follow(aliases, &alias.model, models, seen) {
                return true;
            }
        }
        seen.pop();
        false
    }
    let mut seen = Vec::new();
    follow(aliases, &begin.model, models, &mut seen).then_some(seen)
}
