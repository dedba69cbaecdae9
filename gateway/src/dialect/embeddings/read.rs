//! An embeddings request: what of it matters.

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use units::Tokens;

use crate::{
    chat::ChatForm,
    dialect::{
        bound::text_size,
        decode::{DecodeError, Fields, Wanted, wrong},
    },
};

/// Most inputs of one call, as at OpenAI.
const INPUTS_MAX: usize = 2_048;
/// The members that authorise, price or shape a call: each may stand there once.
const ONCE: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "stream"];

/// Reads a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let fields = Fields::read(body)?;
    fields.once(&ONCE)?;
    let model = fields.model()?;
    let input = fields.find("input")?.ok_or(DecodeError::Missing("input".into()))?;
    check_input(input)?;
    let format: Option<String> = fields.typed("encoding_format", "a string")?;
    if let Some("float" | "base64") | None = format.as_deref() {
    } else {
        return Err(bad("encoding_format", "expected `float` or `base64`"));
    }
    fields.integer("dimensions", 65_536)?;
    if fields.stream()? {
        return Err(bad("stream", "embeddings come in one piece"));
    }
    Ok(Wanted {
        instead: fields.instead(&model)?,
        model,
        stream: false,
        wants_usage: false,
        // Embeddings have no output that is counted in tokens.
        output_max: Some(Tokens(0)),
        n: 1,
        input: text_size(input.get().len()),
        native: fields.form(),
        chat: ChatForm::Never,
    })
}

fn bad(param: &'static str, expected: &str) -> DecodeError {
    DecodeError::BadValue { param: param.into(), expected: expected.to_owned() }
}

/// A text, some texts, some tokens, or some lists of tokens; none of them empty.
fn check_input(input: &RawValue) -> Result<(), DecodeError> {
    const EXPECTED: &str =
        "a string, an array of strings, an array of tokens or an array of arrays of tokens";
    let text = input.get();
    match text.as_bytes().first() {
        Some(b'"') if text.len() == 2 => Err(bad("input", "expected a text that is not empty")),
        Some(b'"') => Ok(()),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong("input", EXPECTED))?;
            let Some(first) = items.first() else {
                return Err(bad("input", "expected at least one text"));
            };
            let tokens = first.get().as_bytes().first().is_some_and(u8::is_ascii_digit);
            if !tokens && items.len() > INPUTS_MAX {
                return Err(bad("input", &format!("expected at most {INPUTS_MAX} inputs")));
            }
            let good = |item: &&RawValue| match (tokens, item.get().as_bytes().first()) {
                (true, _) => u32::deserialize(&mut serde_json::Deserializer::from_str(item.get())).is_ok(),
                (false, Some(b'"')) => item.get().len() > 2,
                (false, Some(b'[')) => {
                    serde_json::from_str::<Vec<u32>>(item.get()).is_ok_and(|tokens| !tokens.is_empty())
                }
                _ => false,
            };
            match items.iter().position(|item| !good(item)) {
                None => Ok(()),
                Some(at) => {
                    // What it is decides what is said of it.
                    let known = serde_json::from_str::<IgnoredAny>(items[at].get()).is_ok();
                    let empty = known && matches!(items[at].get(), "\"\"" | "[]");
                    let expected = if empty {
                        "expected a text that is not empty"
                    } else {
                        "expected all of one kind: texts, or tokens"
                    };
                    Err(DecodeError::BadValue {
                        param: format!("input[{at}]").into(),
                        expected: expected.to_owned(),
                    })
                }
            }
        }
        _ => Err(wrong("input", EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_input(input: &str) -> Result<Wanted, DecodeError> {
        read(&format!(r#"{{"model":"m","input":{input}}}"#).into())
    }

    #[test]
    fn takes_texts_and_tokens() {
        for input in [r#""hi""#, r#"["a","b"]"#, "[1,2,3]", "[[1,2],[3]]"] {
            let wanted = read_input(input).unwrap();
            assert_eq!((wanted.output_max, wanted.stream), (Some(Tokens(0)), false), "{input}");
        }
    }

    #[test]
    fn says_which_input_is_wrong() {
        let param = |input: &str| match read_input(input) {
            Err(DecodeError::BadValue { param, .. } | DecodeError::WrongType { param, .. }) => {
                param.into_owned()
            }
            other => panic!("{input}: {other:?}"),
        };
        for (input, wrong) in [
            (r#""""#, "input"),
            ("[]", "input"),
            ("7", "input"),
            ("{}", "input"),
            (r#"["a",""]"#, "input[1]"),
            (r#"["a",1]"#, "input[1]"),
            ("[1,-2]", "input[1]"),
            ("[1,2.5]", "input[1]"),
            ("[[1],[]]", "input[1]"),
            ("[[1],[-1]]", "input[1]"),
        ] {
            assert_eq!(param(input), wrong, "{input}");
        }
        assert!(matches!(read(&r#"{"model":"m"}"#.into()), Err(DecodeError::Missing(p)) if p == "input"));
        let many = format!("[{}]", vec!["\"a\""; INPUTS_MAX + 1].join(","));
        assert_eq!(param(&many), "input");
        for rest in [r#""encoding_format":"hex""#, r#""dimensions":0"#, r#""stream":true"#] {
            let body = format!(r#"{{"model":"m","input":"a",{rest}}}"#);
            assert!(matches!(read(&body.into()), Err(DecodeError::BadValue { .. })), "{rest}");
        }
    }
}
