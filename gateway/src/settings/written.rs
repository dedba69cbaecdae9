//! What was written, key by key, to tell what a later reading changes, and which files were looked into for it.
//!
//! Keeps fingerprints and no values, so that nothing here can show a secret: a key whose secret was replaced where it is
//! kept has changed like one that was edited.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use router_config::SecretRef;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::{Secret, SecretError, Secrets};

/// The lists whose tables have names, and whether it matters in which order they stand.
const LISTS: [(&str, bool); 4] =
    [("providers", false), ("models", false), ("routes", true), ("aliases", true)];

/// What a file said when it was read.
#[derive(Debug, Clone, Default)]
pub struct Written {
    digest: String,
    marks: BTreeMap<Key, Mark>,
}

/// SHA-256 of what stands behind a key.
type Mark = [u8; 32];

/// Where something stands: in what, and at which key of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// The list that this is an element of, as it is counted by name; none for a plain table.
    list: Option<&'static str>,
    /// `providers.deepseek` of a list, `server` of a plain table.
    thing: String,
    /// `price.input`; nothing for the thing itself.
    place: String,
}

impl Key {
    fn new(thing: &str, place: &str) -> Self {
        Self { list: None, thing: thing.to_owned(), place: place.to_owned() }
    }
}

/// The files and folders that a reading looked into, those included that were not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookedInto {
    /// The file itself, and those that hold secrets.
    pub files: BTreeSet<PathBuf>,
    /// The own catalog's, every file of which is read.
    pub folder: Option<PathBuf>,
}

/// What differs between two readings. Names and keys, and nothing that stands behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Elements of lists that are new: `routes.sim-fast`.
    pub added: Vec<String>,
    /// Elements of lists that are gone.
    pub removed: Vec<String>,
    /// Keys of what stands in both: `providers.deepseek.base_url`, `limits.requests_per_minute`.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Written {
    /// Reads `text`, which has been found to be right; `secrets` are those it names, `catalog` the files of its folder.
    pub(super) fn new(
        text: &str,
        secrets: &BTreeMap<String, Option<Secret>>,
        catalog: &BTreeMap<String, Mark>,
    ) -> Self {
        let mut marks = Marks { marks: BTreeMap::new(), secrets };
        for (name, value) in &text.parse::<Table>().unwrap_or_default() {
            match (LISTS.into_iter().find(|(list, _)| list == name), value) {
                (Some((list, ordered)), Value::Array(items)) => marks.list(list, ordered, items),
                (_, value) => marks.keys(&Key::new(name, ""), value),
            }
        }
        let mut marks = marks.marks;
        for (file, mark) in catalog {
            marks.insert(Key::new("catalog", file), *mark);
        }
        Self { digest: base16ct::lower::encode_string(&Sha256::digest(text)), marks }
    }

    /// SHA-256 of the file's text in hexadecimal digits, as `sha256sum` prints it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What `newer` says otherwise.
    pub fn changes_to(&self, newer: &Self) -> Changes {
        let things = |written: &Self| -> BTreeSet<String> {
            written.marks.keys().filter(|key| key.list.is_some()).map(|key| key.thing.clone()).collect()
        };
        let (old, new) = (things(self), things(newer));
        let added: Vec<String> = new.difference(&old).cloned().collect();
        let removed: Vec<String> = old.difference(&new).cloned().collect();
        let moved = |thing: &String| added.contains(thing) || removed.contains(thing);
        let differs = |key: &&Key| self.marks.get(key) != newer.marks.get(key) && !moved(&key.thing);
        let all: BTreeSet<&Key> = self.marks.keys().chain(newer.marks.keys()).collect();
        let shown = |key: &Key| match key.place.as_str() {
            "" => key.thing.clone(),
            place => format!("{}.{place}", key.thing),
        };
        // Whatever comes or goes moves the others, which is no news.
        let same_number = |key: &&Key| {
            let of_it = |thing: &String| thing.split_once('.').is_some_and(|(list, _)| list == key.thing);
            key.place != ORDER || !(added.iter().any(of_it) || removed.iter().any(of_it))
        };
        let changed = all.into_iter().filter(differs).filter(same_number).map(shown).collect();
        Changes { added, removed, changed }
    }
}

/// The key of a list under which the order of its tables is kept.
const ORDER: &str = "(order)";

struct Marks<'a> {
    marks: BTreeMap<Key, Mark>,
    secrets: &'a BTreeMap<String, Option<Secret>>,
}

impl Marks<'_> {
    fn list(&mut self, list: &'static str, ordered: bool, items: &[Value]) {
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            let word = |key: &str| item.get(key).and_then(Value::as_str);
            let name = match list {
                "routes" => {
                    let model = word("model").unwrap_or_default();
                    word("name").map_or_else(|| model.to_owned(), |name| format!("{model}/{name}"))
                }
                "aliases" => word("name").unwrap_or_default().to_owned(),
                _ => word("id").unwrap_or_default().to_owned(),
            };
            let same = names.iter().filter(|other| **other == name).count();
            let thing =
                if same == 0 { format!("{list}.{name}") } else { format!("{list}.{name}#{}", same + 1) };
            names.push(name);
            self.keys(&Key { list: Some(list), ..Key::new(&thing, "") }, item);
        }
        if ordered {
            let order = names.join("\n");
            self.marks.insert(Key::new(list, ORDER), Sha256::digest(order).into());
        }
    }

    fn keys(&mut self, at: &Key, value: &Value) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let place =
                        if at.place.is_empty() { name.clone() } else { format!("{}.{name}", at.place) };
                    self.keys(&Key { place, ..at.clone() }, value);
                }
            }
            value => {
                let mut hash = Sha256::new();
                hash.update(value.to_string());
                self.secrets_in(value, &mut hash);
                self.marks.insert(at.clone(), hash.finalize().into());
            }
        }
    }

    /// What is kept where the value says.
    fn secrets_in(&self, value: &Value, hash: &mut Sha256) {
        match value {
            Value::String(text) => {
                if let Some(Some(secret)) = self.secrets.get(text) {
                    hash.update(secret.expose());
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.secrets_in(value, hash)),
            Value::Table(table) => table.values().for_each(|value| self.secrets_in(value, hash)),
            _ => {}
        }
    }
}

/// Looks secrets up for a reading, and remembers which.
pub(super) struct Remembering<'a> {
    secrets: &'a dyn Secrets,
    seen: RefCell<BTreeMap<String, Option<Secret>>>,
}

impl<'a> Remembering<'a> {
    pub(super) const fn new(secrets: &'a dyn Secrets) -> Self {
        Self { secrets, seen: RefCell::new(BTreeMap::new()) }
    }

    /// By how they are written, those included that could not be read.
    pub(super) fn seen(self) -> BTreeMap<String, Option<Secret>> {
        self.seen.into_inner()
    }
}

impl Secrets for Remembering<'_> {
    fn read(&self, from: &SecretRef) -> Result<Secret, SecretError> {
        let read = self.secrets.read(from);
        self.seen.borrow_mut().insert(from.to_string(), read.as_ref().ok().cloned());
        read
    }
}

/// The files among the places of secrets.
pub(super) fn files_of(secrets: &BTreeMap<String, Option<Secret>>) -> impl Iterator<Item = PathBuf> {
    secrets.keys().filter_map(|place| place.strip_prefix("file:")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, key: &str) -> Written {
        let secrets = BTreeMap::from([("file:key".to_owned(), Some(Secret::new(key.to_owned())))]);
        Written::new(text, &secrets, &BTreeMap::new())
    }

    const FILE: &str = r#"
        [limits]
        requests_per_minute = 5
        [[providers]]
        id = "a"
        api_key = "file:key"
        [[routes]]
        model = "m"
        name = "x"
        targets = ["a/m"]
        [[routes]]
        model = "m"
        targets = ["a/n"]
    "#;

    fn changes(newer: &str) -> Changes {
        written(FILE, "k").changes_to(&written(newer, "k"))
    }

    #[test]
    fn what_is_laid_out_otherwise_or_commented_has_not_changed() {
        let newer = FILE.replace("requests_per_minute = 5", "# why\nrequests_per_minute   =  5");
        assert!(changes(&newer).is_empty(), "{:?}", changes(&newer));
        assert_ne!(written(FILE, "k").digest(), written(&newer, "k").digest());
    }

    #[test]
    fn what_comes_goes_and_changes_is_named_by_its_key() {
        let newer = FILE
            .replace("requests_per_minute = 5", "tokens_per_minute = 5")
            .replace("targets = [\"a/n\"]", "targets = [\"a/n\"]\nstrategy = \"weighted\"")
            .replace("name = \"x\"", "name = \"y\"");
        assert_eq!(
            changes(&newer),
            Changes {
                added: vec!["routes.m/y".into()],
                removed: vec!["routes.m/x".into()],
                changed: vec![
                    "limits.requests_per_minute".into(),
                    "limits.tokens_per_minute".into(),
                    "routes.m.strategy".into()
                ],
            }
        );
    }

    #[test]
    fn a_key_that_was_replaced_where_it_is_kept_has_changed_and_is_nowhere_to_be_read() {
        let (old, new) = (written(FILE, "sk-before"), written(FILE, "sk-after"));
        assert_eq!(old.changes_to(&new).changed, ["providers.a.api_key"]);
        assert_eq!(old.digest(), new.digest(), "the file is the same");
        assert!(!format!("{old:?}").contains("sk-before"));
    }

    #[test]
    fn routes_in_another_order_have_changed() {
        let first = "[[routes]]\n        model = \"m\"\n        name = \"x\"\n        targets = [\"a/m\"]\n";
        assert!(FILE.contains(first));
        let newer = FILE.replace(first, "") + first;
        assert_eq!(changes(&newer).changed, ["routes.(order)"]);
    }
}
