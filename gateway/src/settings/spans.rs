//! Which line is this? The file as a tree whose keys and values know where they stand.

use std::ops::Range;

use router_config::{KeyPath, PathPart};
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use super::errors::Place;

/// The file, parsed but not yet understood.
pub(super) struct Document<'t> {
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Reads the syntax, and nothing more.
    pub(super) fn parse(text: &'t str) -> Result<Self, Error> {
        Ok(Self { text, tree: DeTable::parse(text)? })
    }

    /// The root table, and where it stands.
    pub(super) fn root(&mut self) -> (Range<usize>, &mut DeTable<'t>) {
        (self.tree.span(), self.tree.get_mut())
    }

    /// What it says, as a value of our own.
    pub(super) fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(toml::Deserializer::from(self.tree.clone()))
    }

    /// Where `path` stands, or the nearest table around it that is written down; `None` for the file as a whole.
    pub(super) fn locate(&self, path: &KeyPath) -> Option<Place> {
        let mut found: Option<Range<usize>> = None;
        let mut parts = path.parts().iter();
        if let Some(PathPart::Key(key)) = parts.next()
            && let Some((key, mut value)) = self.tree.get_ref().get_key_value(key.as_str())
        {
            found = Some(start_of(key.span(), value));
            for part in parts {
                let next = match (part, value.get_ref()) {
                    (PathPart::Key(key), DeValue::Table(table)) => table
                        .get_key_value(key.as_str())
                        .map(|(key, value)| (start_of(key.span(), value), value)),
                    (PathPart::Index(index), DeValue::Array(array)) => {
                        array.get(*index).map(|value| (value.span(), value))
                    }
                    _ => None,
                };
                let Some((span, inner)) = next else { break };
                found = Some(span);
                value = inner;
            }
        }
        place(self.text, Some(found?))
    }
}

/// A table is best shown at its name, anything else at its value.
fn start_of(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    if value.get_ref().is_table() || value.get_ref().is_array() { key } else { value.span() }
}

/// The line and column at which `span` begins.
pub(super) fn place(text: &str, span: Option<Range<usize>>) -> Option<Place> {
    let before = text.get(..span?.start.min(text.len()))?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some(Place {
        line: before.bytes().filter(|&b| b == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    })
}
