//! Are these the keys and types that the schema knows? Every stranger is named at once, with what was probably meant.
//!
//! Deserializing alone would stop at the first. Only the part of JSON Schema that our own shapes produce is read.

use std::ops::Range;

use router_config::{KeyPath, Problem, nearest};
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{errors::with_path, spans::Document};

/// Something the schema does not allow.
pub(super) struct Finding {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The rest of the file can still be read without it.
    pub(super) harmless: bool,
}

/// Compares the document with the schema. Unknown keys are taken out, so that what remains can be read.
pub(super) fn check(schema: &Value, document: &mut Document<'_>) -> Vec<Finding> {
    let mut walk = Walk { root: schema, findings: Vec::new() };
    let (span, table) = document.root();
    walk.table(schema, &KeyPath::default(), span, table);
    walk.findings
}

struct Walk<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

impl<'s> Walk<'s> {
    fn value(&mut self, schema: &'s Value, path: &KeyPath, value: &mut Spanned<DeValue<'_>>) {
        let schema = self.resolve(schema, kind(value.get_ref()).1);
        let span = value.span();
        let words = words(schema);
        match value.get_mut() {
            DeValue::String(text) if !words.is_empty() => {
                if !words.contains(&text.as_ref()) {
                    let help = match nearest(text, words.iter().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("one of {} is", listed(words.iter().copied())),
                    };
                    // The word itself is not repeated: it may be a secret in the wrong line.
                    self.refuse(span, path, "not a word that is known here", Some(help));
                }
            }
            DeValue::Table(table) if expects(schema, "object") => self.table(schema, path, span, table),
            DeValue::Array(array) if expects(schema, "array") => {
                if let Some(items) = schema.get("items") {
                    for (i, item) in array.iter_mut().enumerate() {
                        self.value(items, &path.index(i), item);
                    }
                }
            }
            DeValue::Integer(number) if expects(schema, "integer") => {
                let least = schema.get("minimum").and_then(Value::as_i64);
                if let (Some(least), Some(number)) = (least, whole(number))
                    && number < i128::from(least)
                {
                    self.refuse(span, path, format!("must be at least {least}"), None);
                }
            }
            other => {
                let (found, json) = kind(other);
                let expected = expected(schema);
                if !expects(schema, json) && !expected.is_empty() {
                    let help = match (expected, json) {
                        ("a string", "integer" | "number" | "boolean") => {
                            Some("write it in quotes".to_owned())
                        }
                        ("a whole number" | "true or false", "string") => {
                            Some("write it without quotes".to_owned())
                        }
                        ("a list", "string") => Some("write it in brackets: [\"…\"]".to_owned()),
                        ("a list", "object") => Some("write its head in double brackets: [[…]]".to_owned()),
                        ("a table", "array") => Some("write its head in single brackets: […]".to_owned()),
                        _ => None,
                    };
                    self.refuse(span, path, format!("expected {expected}, found {found}"), help);
                }
            }
        }
    }

    fn table(&mut self, schema: &'s Value, path: &KeyPath, span: Range<usize>, table: &mut DeTable<'_>) {
        let schema = self.resolve(schema, "object");
        let known = schema.get("properties").and_then(Value::as_object);
        let names = || known.into_iter().flat_map(Map::keys).map(String::as_str);
        let others = schema.get("additionalProperties");
        let mut suggested = Vec::new();
        let mut strangers = Vec::new();
        for (key, value) in table.iter_mut() {
            match (known.and_then(|known| known.get(key.get_ref().as_ref())), others) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                    self.value(schema, &path.key(key.get_ref()), value);
                }
                (None, Some(Value::Bool(false))) => strangers.push(key.clone()),
                _ => {}
            }
        }
        for stranger in strangers {
            let name = stranger.get_ref().as_ref();
            let free = names().filter(|name| !table.contains_key(*name));
            let meant = nearest(name, free).or_else(|| nearest(name, names()));
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", listed(names())),
            };
            suggested.extend(meant);
            let message = format!("unknown key `{}`", name.escape_debug());
            self.findings.push(Finding { span: stranger.span(), message, help: Some(help), harmless: true });
            table.remove(name);
        }
        for needed in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(needed) = needed.as_str().filter(|needed| !table.contains_key(*needed)) else {
                continue;
            };
            if suggested.contains(&needed) {
                // Said already: it is there, misspelt. Still, the rest cannot be read without it.
                self.findings.iter_mut().for_each(|finding| finding.harmless = false);
            } else {
                self.refuse(span.clone(), path, format!("missing key `{needed}`"), None);
            }
        }
    }

    /// Names the key with its table: line and column alone are hard to find in a file that a program has made.
    fn refuse(
        &mut self,
        span: Range<usize>,
        path: &KeyPath,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let message = with_path(&Problem { path: path.clone(), message: message.into(), help: None });
        self.findings.push(Finding { span, message, help, harmless: false });
    }

    /// The schema behind references and `Option`s; of several choices the one for a value of this kind, or else the first.
    fn resolve(&self, mut schema: &'s Value, kind: &str) -> &'s Value {
        loop {
            let reference = schema.get("$ref").and_then(Value::as_str);
            let target =
                reference.and_then(|r| r.strip_prefix('#')).and_then(|pointer| self.root.pointer(pointer));
            let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
            let choices = schema.get("anyOf").and_then(Value::as_array);
            let mut choices = choices.into_iter().flatten().filter(|choice| !is_null(choice));
            let chosen = match choices.next() {
                Some(first) => {
                    let fits = |choice: &&'s Value| expects(self.resolve(choice, kind), kind);
                    Some(std::iter::once(first).chain(choices).find(fits).unwrap_or(first))
                }
                None => None,
            };
            match target.or(chosen) {
                Some(inner) => schema = inner,
                None => return schema,
            }
        }
    }
}

/// The words an enumeration allows; empty where any text will do.
fn words(schema: &Value) -> Vec<&str> {
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = choices.filter_map(|choice| choice.get("const"));
    plain.chain(described).filter_map(Value::as_str).collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ if !words(schema).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

fn expects(schema: &Value, kind: &str) -> bool {
    types(schema).contains(&kind)
}

fn expected(schema: &Value) -> &'static str {
    match types(schema).first() {
        Some(&"string") => "a string",
        Some(&"integer") => "a whole number",
        Some(&"boolean") => "true or false",
        Some(&"array") => "a list",
        Some(&"object") => "a table",
        _ => "",
    }
}

fn kind(value: &DeValue<'_>) -> (&'static str, &'static str) {
    match value {
        DeValue::String(_) => ("a string", "string"),
        DeValue::Integer(_) => ("a whole number", "integer"),
        DeValue::Float(_) => ("a number with a point", "number"),
        DeValue::Boolean(_) => ("a true or false", "boolean"),
        DeValue::Datetime(_) => ("a date", "date"),
        DeValue::Array(_) => ("a list", "array"),
        DeValue::Table(_) => ("a table", "object"),
    }
}

fn whole(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
