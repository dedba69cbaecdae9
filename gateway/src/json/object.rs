//! How is an object translated without losing a member? By taking its members one by one: what nobody took is left over.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Members, members};

/// A value that is not what it should be, by its path in the body: `messages[2].content[0].text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Where it stands, or should stand.
    pub path: String,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Twice,
    /// It is of another type than this one.
    Expected(&'static str),
}

impl Odd {
    /// `path` is missing.
    pub fn missing(path: String) -> Self {
        Self { path, what: What::Missing }
    }

    /// `path` should be of the type `expected`, in words.
    pub fn expected(path: String, expected: &'static str) -> Self {
        Self { path, what: What::Expected(expected) }
    }
}

/// The members of an object that were not taken yet.
#[derive(Debug)]
pub struct Object<'a> {
    path: String,
    members: Members<'a>,
}

impl<'a> Object<'a> {
    /// The object at `path`.
    ///
    /// # Errors
    /// [`Odd`], if `raw` is anything else.
    pub fn read(raw: &'a RawValue, path: String) -> Result<Self, Odd> {
        match members(raw.get().as_bytes()) {
            Ok(members) => Ok(Self { path, members }),
            Err(_) => Err(Odd::expected(path, "an object")),
        }
    }

    /// The object that is the whole body.
    pub const fn body(members: Members<'a>) -> Self {
        Self { path: String::new(), members }
    }

    /// Where it stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where its member `name` stands.
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a member; null is absent.
    ///
    /// # Errors
    /// [`Odd`], if it is there twice: which one would count?
    pub fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, Odd> {
        let Some(place) = self.members.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.members.remove(place);
        if self.members.iter().any(|(known, _)| known == name) {
            return Err(Odd { path: self.at(name), what: What::Twice });
        }
        Ok(Some(value).filter(|value| value.get() != "null"))
    }

    /// Takes a member that nobody may leave out.
    ///
    /// # Errors
    /// [`Odd`], if it is not there once.
    pub fn need(&mut self, name: &str) -> Result<&'a RawValue, Odd> {
        self.take(name)?.ok_or_else(|| Odd::missing(self.at(name)))
    }

    /// Takes a member that is a string, as it is written: with its quotation marks and escapes.
    ///
    /// # Errors
    /// [`Odd`], if it is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<&'a RawValue>, Odd> {
        let value = self.take(name)?;
        match value.filter(|value| !is_text(value)) {
            Some(_) => Err(Odd::expected(self.at(name), "a string")),
            None => Ok(value),
        }
    }

    /// Takes a member that is a string and that nobody may leave out.
    ///
    /// # Errors
    /// [`Odd`].
    pub fn need_text(&mut self, name: &str) -> Result<&'a RawValue, Odd> {
        self.text(name)?.ok_or_else(|| Odd::missing(self.at(name)))
    }

    /// Takes a member that is a string, and reads it.
    ///
    /// # Errors
    /// [`Odd`], if it is something else.
    pub fn word(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Odd> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        match word(value) {
            Some(word) => Ok(Some(word)),
            None => Err(Odd::expected(self.at(name), "a string")),
        }
    }

    /// Takes a member that is true or false.
    ///
    /// # Errors
    /// [`Odd`], if it is something else.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Odd> {
        match self.take(name)?.map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Odd::expected(self.at(name), "a boolean")),
        }
    }

    /// Takes a member that is an object.
    ///
    /// # Errors
    /// [`Odd`], if it is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Odd> {
        let path = self.at(name);
        self.take(name)?.map(|value| Self::read(value, path)).transpose()
    }

    /// Takes a member that is an array; gives its items with their paths.
    ///
    /// # Errors
    /// [`Odd`], if it is something else.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<(String, &'a RawValue)>>, Odd> {
        let path = self.at(name);
        self.take(name)?.map(|value| items(value, &path)).transpose()
    }

    /// Takes members that may be lost: they say how to do a thing and not what.
    pub fn pass_over(&mut self, names: &[&str]) {
        self.members.retain(|(known, _)| !names.contains(&known.as_ref()));
    }

    /// What nobody took, nulls left out.
    pub fn left(self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        self.members.into_iter().filter(|(_, value)| value.get() != "null")
    }

    /// The path of a member that nobody took.
    pub fn left_over(self) -> Option<String> {
        let path = self.path.clone();
        let (name, _) = self.left().next()?;
        Some(if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") })
    }
}

/// The items of an array at `path`, with their own paths.
///
/// # Errors
/// [`Odd`], if it is something else.
pub fn items<'a>(raw: &'a RawValue, path: &str) -> Result<Vec<(String, &'a RawValue)>, Odd> {
    let items: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Odd::expected(path.to_owned(), "an array"))?;
    Ok(items.into_iter().enumerate().map(|(i, item)| (format!("{path}[{i}]"), item)).collect())
}

/// Whether a value is a string.
pub fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

/// A value read as a string.
pub fn word(raw: &RawValue) -> Option<Cow<'_, str>> {
    match inside(raw)? {
        plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned),
    }
}

/// What stands between the quotation marks of a string, escapes as they are written; such pieces can be put together.
pub fn inside(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Object::read(serde_json::from_str(text).unwrap(), "a[1]".to_owned()).unwrap()
    }

    #[test]
    fn what_nobody_takes_is_left_over() {
        let mut it = object(r#"{"n":null,"s":"\u4f60","b":true,"x":1,"h":2,"l":[7,{}]}"#);
        assert_eq!(it.word("s").unwrap().unwrap(), "你");
        assert_eq!(it.flag("b"), Ok(Some(true)));
        let list = it.list("l").unwrap().unwrap();
        assert_eq!((list[1].0.as_str(), list[1].1.get()), ("a[1].l[1]", "{}"));
        it.pass_over(&["h"]);
        assert_eq!(it.left_over().unwrap(), "a[1].x");
        assert_eq!(object(r#"{"n":null}"#).left_over(), None);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        let odd = |path: &str, what| Odd { path: path.to_owned(), what };
        assert_eq!(object(r#"{"a":1,"\u0061":2}"#).take("a").unwrap_err(), odd("a[1].a", What::Twice));
        assert_eq!(object("{}").need("a").unwrap_err(), odd("a[1].a", What::Missing));
        assert_eq!(object(r#"{"a":1}"#).text("a").unwrap_err(), odd("a[1].a", What::Expected("a string")));
        assert_eq!(object(r#"{"a":1}"#).flag("a").unwrap_err(), odd("a[1].a", What::Expected("a boolean")));
        assert_eq!(object(r#"{"a":1}"#).list("a").unwrap_err(), odd("a[1].a", What::Expected("an array")));
    }
}
