//! Bytes to members: what every endpoint asks of a body before it looks at what is particular to it.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use memchr::memchr2;
use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use super::{InputSize, bound::entries};
use crate::{
    chat::{ChatForm, Form, Member},
    json,
};

/// Deepest nesting that is read; the upstreams' own parsers stop about there.
const DEPTH_MAX: usize = 127;
/// Most messages, input items or tools of one call: more than any conversation, few enough to be walked through.
pub(super) const ENTRIES_MAX: usize = 10_000;
/// The member that names models which may serve a call instead.
const MODELS: &str = "models";
/// Most models that it may name.
const MODELS_MAX: usize = 8;
/// Largest maximum of output that makes any sense.
const OUTPUT_MAX: u64 = 10_000_000;

/// Why a body is not a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a body may have.
    #[error("The request body is larger than {max} bytes.")]
    TooLarge {
        /// The most it may have.
        max: usize,
    },
    /// More bytes than a head may have.
    #[error("The headers of the request are larger than {max} bytes.")]
    HeadTooLarge {
        /// The most they may have.
        max: u32,
    },
    /// The body did not arrive whole.
    #[error("The request body could not be read: {0}.")]
    Broken(String),
    /// The body came too slowly.
    #[error("The request body did not arrive within {0} seconds.")]
    TooSlow(u64),
    /// Not JSON, or not an object.
    #[error("The request body is not valid JSON: {0}.")]
    Syntax(String),
    /// Nested too deeply.
    #[error("The request body is nested more than {max} levels deep.")]
    TooDeep {
        /// The deepest there may be.
        max: usize,
    },
    /// Half of a character.
    #[error(
        "The request body holds half of a surrogate pair (a lone \\ud800–\\udfff escape) at byte {at}. This happens \
         when a string is cut in the middle of an emoji; cut between characters instead."
    )]
    LoneSurrogate {
        /// Where.
        at: usize,
    },
    /// It has passed too many gateways like this one.
    #[error("The request has passed {hops} gateways like this one: they seem to send it in a circle.")]
    Circles {
        /// How many.
        hops: u32,
    },
    /// A member stands there twice, with the price depending on which one counts.
    #[error("`{0}` is given more than once.")]
    Duplicate(Cow<'static, str>),
    /// A member is missing.
    #[error("Missing required parameter: `{0}`.")]
    Missing(Cow<'static, str>),
    /// A member has the wrong type.
    #[error("Invalid type for `{param}`: expected {expected}.")]
    WrongType {
        /// Which.
        param: Cow<'static, str>,
        /// What it should be.
        expected: &'static str,
    },
    /// A member has the right type and a value that cannot be.
    #[error("Invalid value for `{param}`: {expected}.")]
    BadValue {
        /// Which.
        param: Cow<'static, str>,
        /// What it should be.
        expected: String,
    },
    /// A member asks for something that is not done here, whoever serves the model.
    #[error("Unsupported parameter: `{param}` {why}.")]
    Unsupported {
        /// Which.
        param: Cow<'static, str>,
        /// Why, to be read after the member's name.
        why: Cow<'static, str>,
    },
}

/// What a body asks for, whichever endpoint it came to.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The model.
    pub model: String,
    /// Models that may serve it instead, in this order.
    pub instead: Vec<String>,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
    /// Whether a chat client asked for usage in the stream (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// The most output that the client allows, for each answer.
    pub output_max: Option<Tokens>,
    /// How many answers.
    pub n: u32,
    /// How large the prompt is.
    pub input: InputSize,
    /// The body as it came.
    pub native: Form,
    /// The same as a chat completion.
    pub chat: ChatForm,
}

/// The members of a body, each of which may be asked for by name.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    body: &'a Bytes,
    members: json::Members<'a>,
    /// `models`, as OpenRouter's clients say it: it is for us, and no upstream sees it.
    models: Vec<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Reads a body as one JSON object. The content type plays no part: `curl -d` sends JSON as a form.
    pub(super) fn read(body: &'a Bytes) -> Result<Self, DecodeError> {
        let mut members = json::members(body).map_err(|e| DecodeError::Syntax(explain(body, &e)))?;
        inspect(body)?;
        let models = members.iter().filter(|(name, _)| name == MODELS).map(|(_, value)| *value).collect();
        members.retain(|(name, _)| name != MODELS);
        Ok(Self { body, members, models })
    }

    /// A member's value; null is absent. Given twice, it is an error: which one would count?
    pub(super) fn find(&self, name: &'static str) -> Result<Option<&'a RawValue>, DecodeError> {
        let mut found = self.members.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
        let first = found.next();
        if found.next().is_some() {
            return Err(DecodeError::Duplicate(name.into()));
        }
        Ok(first.filter(|value| value.get() != "null"))
    }

    /// Whether there is a member of this name, be it null, and however often.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// Each of `names` may stand there once.
    pub(super) fn once(&self, names: &[&'static str]) -> Result<(), DecodeError> {
        names.iter().try_for_each(|name| self.find(name).map(|_| ()))
    }

    /// A member of a type; `expected` is what it should be, in words.
    pub(super) fn typed<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        let value = self.find(name)?;
        value.map(|value| serde_json::from_str(value.get()).map_err(|_| wrong(name, expected))).transpose()
    }

    /// Models that may serve the call instead of `model`: those of `models`, each once, in their order.
    pub(super) fn instead(&self, model: &str) -> Result<Vec<String>, DecodeError> {
        let raw = match self.models.as_slice() {
            [] => return Ok(Vec::new()),
            [raw] => raw,
            _ => return Err(DecodeError::Duplicate(MODELS.into())),
        };
        let named: Option<Vec<String>> =
            serde_json::from_str(raw.get()).map_err(|_| wrong(MODELS, "an array of models' names"))?;
        let named = named.unwrap_or_default();
        if named.len() > MODELS_MAX {
            let expected = format!("expected at most {MODELS_MAX} models");
            return Err(DecodeError::BadValue { param: MODELS.into(), expected });
        }
        let mut models: Vec<String> = Vec::with_capacity(named.len());
        for name in named {
            if name != model && !models.contains(&name) {
                models.push(name);
            }
        }
        Ok(models)
    }

    /// `model`, which nobody may leave out.
    pub(super) fn model(&self) -> Result<String, DecodeError> {
        let model: Option<String> = self.typed("model", "a string")?;
        model.filter(|model| !model.is_empty()).ok_or(DecodeError::Missing("model".into()))
    }

    /// `stream`.
    pub(super) fn stream(&self) -> Result<bool, DecodeError> {
        Ok(self.typed("stream", "a boolean")?.unwrap_or(false))
    }

    /// An integer from 1 to `max`.
    pub(super) fn integer(&self, name: &'static str, max: u64) -> Result<Option<u64>, DecodeError> {
        let value: Option<i128> = self.typed(name, "an integer")?;
        let in_range = |n: i128| u64::try_from(n).ok().filter(|n| (1..=max).contains(n));
        let expected = || format!("expected an integer from 1 to {max}");
        let out_of_range = || DecodeError::BadValue { param: name.into(), expected: expected() };
        value.map(|n| in_range(n).ok_or_else(out_of_range)).transpose()
    }

    /// A maximum of output tokens.
    pub(super) fn output_max(&self, name: &'static str) -> Result<Option<Tokens>, DecodeError> {
        Ok(self.integer(name, OUTPUT_MAX)?.map(Tokens))
    }

    /// An array with something in it, which nobody may leave out.
    pub(super) fn list(&self, name: &'static str, of: &str) -> Result<&'a RawValue, DecodeError> {
        let list = self.find(name)?.ok_or(DecodeError::Missing(name.into()))?;
        let inside = list.get().strip_prefix('[').ok_or(wrong(name, "an array"))?;
        if inside.trim_start().starts_with(']') {
            let expected = format!("expected at least one {of}");
            return Err(DecodeError::BadValue { param: name.into(), expected });
        }
        bounded(name, list)?;
        Ok(list)
    }

    /// `tools`: what they are is the upstream's to judge, how many there may be is not.
    pub(super) fn tools(&self) -> Result<Option<&'a RawValue>, DecodeError> {
        let tools = self.find("tools")?;
        tools.map_or(Ok(()), |tools| bounded("tools", tools))?;
        Ok(tools)
    }

    /// All members, in their order.
    pub(super) const fn members(&self) -> &json::Members<'a> {
        &self.members
    }

    /// All of it, ready to be edited.
    pub(super) fn form(&self) -> Form {
        let place = |(name, value): &(Cow<'_, str>, &RawValue)| -> Member {
            Member { name: name.as_ref().into(), value: range_in(self.body, value.get()) }
        };
        Form { body: self.body.clone(), members: self.members.iter().map(place).collect() }
    }
}

/// A body that we have written ourselves, ready to be edited.
pub(super) fn form_of(body: Vec<u8>) -> Result<Form, DecodeError> {
    let body = Bytes::from(body);
    Ok(Fields::read(&body)?.form())
}

/// A list may have so many entries, and what is none has none.
fn bounded(name: &'static str, list: &RawValue) -> Result<(), DecodeError> {
    if list.get().len() > ENTRIES_MAX && entries(list).is_some_and(|entries| entries > ENTRIES_MAX) {
        let expected = format!("expected at most {ENTRIES_MAX} entries");
        return Err(DecodeError::BadValue { param: name.into(), expected });
    }
    Ok(())
}

pub(super) const fn wrong(param: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: Cow::Borrowed(param), expected }
}

/// The same about a member whose place in the body is known only now.
pub(super) fn wrong_at(param: impl Into<String>, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param: Cow::Owned(param.into()), expected }
}

/// A value that cannot be, at a place that is known only now.
pub(super) fn bad_at(param: impl Into<String>, expected: impl Into<String>) -> DecodeError {
    DecodeError::BadValue { param: Cow::Owned(param.into()), expected: expected.into() }
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

fn explain(body: &[u8], error: &dyn fmt::Display) -> String {
    if body.is_empty() {
        "it is empty".into()
    } else if body.starts_with(b"\xef\xbb\xbf") {
        "it begins with a byte order mark".into()
    } else {
        error.to_string()
    }
}

/// One pass over a body known to be JSON: how deep is it, and is every escaped surrogate one of a pair?
fn inspect(body: &[u8]) -> Result<(), DecodeError> {
    let (mut at, mut depth, mut in_string) = (0, 0_usize, false);
    while let Some(&byte) = body.get(at) {
        if !in_string {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(DecodeError::TooDeep { max: DEPTH_MAX });
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            continue;
        }
        let Some(step) = body.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else { break };
        at += step;
        if body.get(at) == Some(&b'"') {
            in_string = false;
            at += 1;
            continue;
        }
        at += match escaped_unit(body, at) {
            Some(0xD800..=0xDBFF) => match escaped_unit(body, at + 6) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => return Err(DecodeError::LoneSurrogate { at }),
            },
            Some(0xDC00..=0xDFFF) => return Err(DecodeError::LoneSurrogate { at }),
            Some(_) => 6,
            None => 2,
        };
    }
    Ok(())
}

/// The UTF-16 unit that `\uXXXX` at `at` stands for.
fn escaped_unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
