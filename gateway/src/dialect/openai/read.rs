//! Bytes to what we need to know of a call. Reads few members and leaves the rest alone.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use memchr::memchr2;
use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use super::bound::{InputSize, input_size};
use crate::{chat::Member, json};

/// Deepest nesting that is read; the upstreams' own parsers stop about there.
const DEPTH_MAX: usize = 127;
/// Most answers one call may ask for.
const N_MAX: u64 = 128;
/// Largest `max_tokens` that makes any sense.
const OUTPUT_MAX: u64 = 10_000_000;
/// The members that authorise or price a call: each may stand there once.
const ONCE: [&str; 7] =
    ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"];

/// Why a body is not a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a body may have.
    #[error("The request body is larger than {max} bytes.")]
    TooLarge {
        /// The most it may have.
        max: usize,
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
    /// A member stands there twice, with the price depending on which one counts.
    #[error("`{0}` is given more than once.")]
    Duplicate(&'static str),
    /// A member is missing.
    #[error("Missing required parameter: `{0}`.")]
    Missing(&'static str),
    /// A member has the wrong type.
    #[error("Invalid type for `{param}`: expected {expected}.")]
    WrongType {
        /// Which.
        param: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A member has the right type and a value that cannot be.
    #[error("Invalid value for `{param}`: {expected}.")]
    BadValue {
        /// Which.
        param: &'static str,
        /// What it should be.
        expected: String,
    },
}

/// What a body asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `model`.
    pub model: String,
    /// `stream`.
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub wants_usage: bool,
    /// The larger of `max_tokens` and `max_completion_tokens`.
    pub output_max: Option<Tokens>,
    /// `n`.
    pub n: u32,
    /// How large the prompt is.
    pub input: InputSize,
    /// All members.
    pub members: Arc<[Member]>,
}

/// Reads a body. The content type plays no part: `curl -d` sends JSON as a form.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let members = json::members(body).map_err(|e| DecodeError::Syntax(explain(body, &e)))?;
    inspect(body)?;
    let find = |name: &'static str| -> Result<Option<&RawValue>, DecodeError> {
        let mut found = members.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
        let first = found.next();
        if found.next().is_some() {
            return Err(DecodeError::Duplicate(name));
        }
        Ok(first.filter(|value| value.get() != "null"))
    };
    for name in ONCE {
        find(name)?;
    }

    let model: String = typed("model", "a string", find("model")?)?.ok_or(DecodeError::Missing("model"))?;
    if model.is_empty() {
        return Err(DecodeError::Missing("model"));
    }
    let messages = find("messages")?.ok_or(DecodeError::Missing("messages"))?;
    let inside = messages.get().strip_prefix('[').ok_or(wrong("messages", "an array"))?;
    if inside.trim_start().starts_with(']') {
        let expected = "expected at least one message".to_owned();
        return Err(DecodeError::BadValue { param: "messages", expected });
    }
    let stream = typed("stream", "a boolean", find("stream")?)?.unwrap_or(false);
    let options: Option<RawStreamOptions> =
        typed("stream_options", "an object whose include_usage is a boolean", find("stream_options")?)?;
    let integer = |name, max| -> Result<Option<u64>, DecodeError> {
        let value: Option<i128> = typed(name, "an integer", find(name)?)?;
        let in_range = |n: i128| u64::try_from(n).ok().filter(|n| (1..=max).contains(n));
        value.map(|n| in_range(n).ok_or_else(|| out_of_range(name, max))).transpose()
    };
    let (old, new) = (integer("max_tokens", OUTPUT_MAX)?, integer("max_completion_tokens", OUTPUT_MAX)?);
    let n = integer("n", N_MAX)?.unwrap_or(1);
    let has_tools = find("tools")?.or(find("functions")?).is_some();
    let input = input_size(body.len(), messages, has_tools);
    let place = |(name, value): &(_, &RawValue)| -> Member {
        let name: &std::borrow::Cow<'_, str> = name;
        Member { name: name.as_ref().into(), value: range_in(body, value.get()) }
    };
    Ok(Wanted {
        model,
        stream,
        wants_usage: stream && options.is_some_and(|options| options.include_usage.unwrap_or(false)),
        output_max: old.max(new).map(Tokens),
        n: u32::try_from(n).unwrap_or(u32::MAX),
        input,
        members: members.iter().map(place).collect(),
    })
}

#[derive(Deserialize)]
struct RawStreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

fn typed<'a, T: Deserialize<'a>>(
    param: &'static str,
    expected: &'static str,
    value: Option<&'a RawValue>,
) -> Result<Option<T>, DecodeError> {
    value.map(|value| serde_json::from_str(value.get()).map_err(|_| wrong(param, expected))).transpose()
}

const fn wrong(param: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { param, expected }
}

fn out_of_range(param: &'static str, max: u64) -> DecodeError {
    DecodeError::BadValue { param, expected: format!("expected an integer from 1 to {max}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> DecodeError {
        read(&Bytes::copy_from_slice(body.as_bytes())).expect_err(body)
    }

    fn with(rest: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{rest}}}"#)
    }

    #[test]
    fn reads_what_prices_a_call_and_keeps_the_rest_in_place() {
        let body: Bytes = with(
            r#","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"max_completion_tokens":9,
            "n":2,"seed":9007199254740993,"temperature":null"#,
        )
        .into();
        let wanted = read(&body).unwrap();
        assert_eq!((wanted.model.as_str(), wanted.stream, wanted.wants_usage), ("m", true, true));
        assert_eq!((wanted.output_max, wanted.n), (Some(Tokens(9)), 2));
        let seed = wanted.members.iter().find(|member| &*member.name == "seed").unwrap();
        assert_eq!(body[seed.value.clone()], *b"9007199254740993");
        assert_eq!(wanted.members.len(), 9);
    }

    #[test]
    fn null_is_absent() {
        let wanted = read(&with(r#","stream":null,"n":null,"max_tokens":null,"stream_options":null"#).into());
        let wanted = wanted.unwrap();
        assert_eq!((wanted.stream, wanted.n, wanted.output_max), (false, 1, None));
        assert_eq!(error(r#"{"model":null,"messages":[1]}"#), DecodeError::Missing("model"));
    }

    #[test]
    fn says_what_is_wrong_and_with_which_field() {
        assert!(matches!(error(""), DecodeError::Syntax(m) if m == "it is empty"));
        assert!(matches!(error("{\"model\":\"m\",\n]"), DecodeError::Syntax(m) if m.contains("line 2")));
        assert!(matches!(error("[]"), DecodeError::Syntax(_)));
        assert!(matches!(error("\u{feff}{}"), DecodeError::Syntax(m) if m.contains("byte order mark")));
        assert_eq!(error(r#"{"messages":[1]}"#), DecodeError::Missing("model"));
        assert_eq!(error(r#"{"model":"m"}"#), DecodeError::Missing("messages"));
        assert!(matches!(
            error(r#"{"model":"m","messages":[ ]}"#),
            DecodeError::BadValue { param: "messages", .. }
        ));
        assert_eq!(error(r#"{"model":"m","messages":"hi"}"#), wrong("messages", "an array"));
        assert_eq!(error(r#"{"model":5,"messages":[1]}"#), wrong("model", "a string"));
        assert_eq!(error(&with(r#","stream":"true""#)), wrong("stream", "a boolean"));
        for bad in ["1.5", "\"2\"", "1e3", "true", "[]"] {
            assert_eq!(error(&with(&format!(r#","n":{bad}"#))), wrong("n", "an integer"));
            assert_eq!(error(&with(&format!(r#","max_tokens":{bad}"#))), wrong("max_tokens", "an integer"));
        }
        for bad in ["0", "-1", "10000001", "99999999999999999999"] {
            let e = error(&with(&format!(r#","max_completion_tokens":{bad}"#)));
            assert!(matches!(e, DecodeError::BadValue { param: "max_completion_tokens", .. }), "{e:?}");
        }
        assert!(matches!(error(&with(r#","n":129"#)), DecodeError::BadValue { param: "n", .. }));
    }

    #[test]
    fn a_price_is_said_once() {
        for name in ONCE {
            let value = if name == "model" { "\"x\"" } else { "null" };
            let both = with(&format!(r#","{name}":{value},"{name}":{value}"#));
            assert_eq!(error(&both), DecodeError::Duplicate(name));
        }
        assert_eq!(error(&with(r#","mod\u0065l":"dear""#)), DecodeError::Duplicate("model"));
        assert!(read(&with(r#","top_k":1,"top_k":2"#).into()).is_ok());
    }

    #[test]
    fn half_an_emoji_is_refused_with_a_reason() {
        let content = |text: &str| format!(r#"{{"model":"m","messages":[{{"content":"{text}"}}]}}"#);
        for bad in [r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\udE00", r"\\\ud83d", r"\ud83d\ud83d\ude00"] {
            assert!(matches!(error(&content(bad)), DecodeError::LoneSurrogate { .. }), "{bad}");
        }
        for good in [r"\ud83d\ude00", r"\\ud83d", r"\u4f60", r"\u0000", "😀"] {
            assert!(read(&content(good).into()).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_deep_body_is_refused_and_not_followed() {
        let deep = |n: usize| with(&format!(r#","tools":{}{}"#, "[".repeat(n), "]".repeat(n)));
        assert!(read(&deep(100).into()).is_ok());
        assert_eq!(error(&deep(127)), DecodeError::TooDeep { max: 127 });
        assert!(matches!(error(&deep(1_000_000)), DecodeError::TooDeep { .. } | DecodeError::Syntax(_)));
    }
}
