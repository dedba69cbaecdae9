//! One object inside a body, and where it stands there: so that whatever is wrong with it can be named by its path.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    dialect::decode::{DecodeError, wrong_at},
    json,
};

/// Members by name, and the path of the whole: `input[2].content[0]`.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    members: json::Members<'a>,
}

impl<'a> Object<'a> {
    /// Reads what stands at `path`.
    pub(super) fn read(raw: &'a RawValue, path: impl Into<String>) -> Result<Self, DecodeError> {
        let path = path.into();
        match json::members(raw.get().as_bytes()) {
            Ok(members) => Ok(Self { path, members }),
            Err(_) => Err(wrong_at(path, "an object")),
        }
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where a member of it stands.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// A member's value; null is absent. Given twice, it is an error: what we check must be what is sent.
    pub(super) fn find(&self, name: &str) -> Result<Option<&'a RawValue>, DecodeError> {
        let mut found = self.members.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
        let first = found.next();
        if found.next().is_some() {
            return Err(DecodeError::Duplicate(self.at(name).into()));
        }
        Ok(first.filter(|value| value.get() != "null"))
    }

    /// A string, as it stands there.
    pub(super) fn string(&self, name: &str) -> Result<Option<&'a RawValue>, DecodeError> {
        match self.find(name)? {
            Some(value) if !value.get().starts_with('"') => Err(wrong_at(self.at(name), "a string")),
            value => Ok(value),
        }
    }

    /// A string that nobody may leave out, as it stands there.
    pub(super) fn need_string(&self, name: &str) -> Result<&'a RawValue, DecodeError> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    /// A string, read.
    pub(super) fn word(&self, name: &str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        self.string(name)?.map(|raw| text(raw).ok_or_else(|| wrong_at(self.at(name), "a string"))).transpose()
    }

    /// A string that nobody may leave out, read.
    pub(super) fn need_word(&self, name: &str) -> Result<Cow<'a, str>, DecodeError> {
        self.word(name)?.ok_or_else(|| self.missing(name))
    }

    /// The elements of an array.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>, DecodeError> {
        self.find(name)?.map(|raw| list(raw, &self.at(name))).transpose()
    }

    /// The error that this member is not there.
    pub(super) fn missing(&self, name: &str) -> DecodeError {
        DecodeError::Missing(self.at(name).into())
    }

    /// The members that are none of `known` and not null, as they stand there.
    pub(super) fn others<'s>(
        &'s self,
        known: &'s [&'s str],
    ) -> impl Iterator<Item = (&'s str, &'a RawValue)> + 's {
        let known = move |name: &str| known.contains(&name);
        let members = self.members.iter().map(|(name, value)| (name.as_ref(), *value));
        members.filter(move |(name, value)| !known(name) && value.get() != "null")
    }
}

/// The elements of the array at `path`.
pub(super) fn list<'a>(raw: &'a RawValue, path: &str) -> Result<Vec<&'a RawValue>, DecodeError> {
    serde_json::from_str(raw.get()).map_err(|_| wrong_at(path, "an array"))
}

/// What a JSON string says; borrowed where nothing is escaped in it.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|Text(text)| text)
}
