//! How is a JSON object edited without being rebuilt?
//!
//! An object is read as its members in their order, each value raw, so that what is not touched leaves as it came: key
//! order, the spelling of numbers, unknown fields.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

mod object;

pub use object::{Object, Odd, What, inside, is_text, items, word};

/// A member's name; borrowed from the text where nothing is escaped in it.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of one object, in their order, repeated names included.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

/// Reads `text` as one object.
///
/// # Errors
/// If it is anything else, or not UTF-8, or followed by anything but white space.
pub fn members(text: &[u8]) -> serde_json::Result<Members<'_>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let members = reader.deserialize_map(MembersVisitor)?;
    reader.end()?;
    Ok(members)
}

/// Writes one object on one line.
#[derive(Debug)]
pub struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    /// Begins an object, with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        Self(out)
    }

    /// Adds a member with a raw value. Line breaks, which JSON only has between values, become spaces.
    pub fn raw(&mut self, name: &str, value: &[u8]) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        quote(name, &mut self.0);
        self.0.push(b':');
        self.0.extend(value.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        self
    }

    /// Adds a member with a string.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(name, &quoted(value))
    }

    /// Adds a member with a count.
    pub fn count(&mut self, name: &str, value: u64) -> &mut Self {
        self.raw(name, value.to_string().as_bytes())
    }

    /// The object.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// Writes one array on one line.
#[derive(Debug)]
pub struct ListWriter(Vec<u8>);

impl ListWriter {
    /// Begins an array, with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'[');
        Self(out)
    }

    /// Adds an item. Line breaks, which JSON only has between values, become spaces.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.extend(item.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        self
    }

    /// Whether there is no item yet.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The array.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push(b']');
        self.0
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// Appends `text` as a JSON string.
fn quote(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory cannot fail; if it ever did, an empty string keeps the object well formed.
    match serde_json::to_vec(text) {
        Ok(quoted) => out.extend_from_slice(&quoted),
        Err(_) => out.extend_from_slice(b"\"\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_leaves_as_it_came() {
        let text = r#"{"b":1e-7,"a":9007199254740993,"\u006d":"x","b":[1.0]}"#;
        let mut out = ObjectWriter::new(0);
        for (name, value) in members(text.as_bytes()).unwrap() {
            out.raw(&name, value.get().as_bytes());
        }
        assert_eq!(out.finish(), br#"{"b":1e-7,"a":9007199254740993,"m":"x","b":[1.0]}"#);
        for bad in ["", "[]", "{", r#"{"a":1,}"#, "{} x", "\u{feff}{}", "{\"a\":NaN}"] {
            assert!(members(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(members(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
    }
}
