//! A column's value, in the three shapes that both engines have.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};
use units::{Fen, Timestamp};

/// What a column holds. Truth is 0 or 1, a time is microseconds since the epoch, JSON is text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(i64::from(truth))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.0)
    }
}

impl From<[u8; 32]> for Value {
    fn from(hash: [u8; 32]) -> Self {
        Self::Bytes(hash.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// Whatever is written as a word: an id, an asset, a state.
    pub(crate) fn word(word: impl Display) -> Self {
        Self::Text(word.to_string())
    }

    /// The same, where it may be absent.
    pub(crate) fn maybe_word(word: Option<impl Display>) -> Self {
        word.map_or(Self::Null, Self::word)
    }

    /// Plain data as JSON.
    pub(crate) fn json(data: &impl Serialize) -> Self {
        // Serialising cannot fail: plain data, string keys.
        Self::Text(serde_json::to_string(data).unwrap_or_default())
    }

    /// The same, where it may be absent.
    pub(crate) fn maybe_json(data: Option<&impl Serialize>) -> Self {
        data.map_or(Self::Null, Self::json)
    }
}

/// A row that is not what this program writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {what}")]
pub(crate) struct Broken {
    /// Which column, from 0.
    pub(crate) column: usize,
    /// What is wrong with it.
    pub(crate) what: String,
}

/// Reads a row's columns from left to right.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    row: &'a [Value],
    next: usize,
}

impl<'a> Cells<'a> {
    /// Begins at the first column.
    pub(crate) const fn new(row: &'a [Value]) -> Self {
        Self { row, next: 0 }
    }

    fn broken(&self, what: impl Display) -> Broken {
        Broken { column: self.next - 1, what: what.to_string() }
    }

    fn cell(&mut self) -> Result<&'a Value, Broken> {
        self.next += 1;
        self.row.get(self.next - 1).ok_or_else(|| self.broken("is missing"))
    }

    /// A whole number.
    pub(crate) fn int(&mut self) -> Result<i64, Broken> {
        match self.cell()? {
            Value::Int(number) => Ok(*number),
            other => Err(self.broken(format_args!("{other:?} is no number"))),
        }
    }

    /// A whole number that may be absent.
    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, Broken> {
        match self.cell()? {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(*number)),
            other => Err(self.broken(format_args!("{other:?} is no number"))),
        }
    }

    /// Yes or no.
    pub(crate) fn truth(&mut self) -> Result<bool, Broken> {
        Ok(self.int()? != 0)
    }

    /// A time.
    pub(crate) fn time(&mut self) -> Result<Timestamp, Broken> {
        self.int().map(Timestamp)
    }

    /// A time that may be absent.
    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>, Broken> {
        Ok(self.maybe_int()?.map(Timestamp))
    }

    /// Cash.
    pub(crate) fn fen(&mut self) -> Result<Fen, Broken> {
        let number = self.int()?;
        Fen::new(number).map_err(|error| self.broken(error))
    }

    fn maybe_str(&mut self) -> Result<Option<&'a str>, Broken> {
        match self.cell()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(self.broken(format_args!("{other:?} is no text"))),
        }
    }

    fn str(&mut self) -> Result<&'a str, Broken> {
        self.maybe_str()?.ok_or_else(|| self.broken("is empty"))
    }

    /// Text.
    pub(crate) fn text(&mut self) -> Result<String, Broken> {
        self.str().map(str::to_owned)
    }

    /// Text that may be absent.
    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, Broken> {
        Ok(self.maybe_str()?.map(str::to_owned))
    }

    /// Text as whatever it names.
    pub(crate) fn word<T>(&mut self) -> Result<T, Broken>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.str()?;
        text.parse().map_err(|error| self.broken(format_args!("{text:?}: {error}")))
    }

    /// The same, where it may be absent; an empty text is absent too.
    pub(crate) fn maybe_word<T>(&mut self) -> Result<Option<T>, Broken>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.maybe_str()? {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|error| self.broken(format_args!("{text:?}: {error}")))
            }
        }
    }

    /// JSON as whatever it holds.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Broken> {
        let text = self.str()?;
        serde_json::from_str(text).map_err(|error| self.broken(error))
    }

    /// The same, where it may be absent.
    pub(crate) fn maybe_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Broken> {
        let Some(text) = self.maybe_str()? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| self.broken(error))
    }

    /// A SHA-256.
    pub(crate) fn hash(&mut self) -> Result<[u8; 32], Broken> {
        match self.cell()? {
            Value::Bytes(bytes) => bytes.as_slice().try_into().map_err(|_| self.broken("is no SHA-256")),
            other => Err(self.broken(format_args!("{other:?} is no SHA-256"))),
        }
    }
}
