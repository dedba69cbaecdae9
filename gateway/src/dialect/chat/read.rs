//! A chat completion's body: what we need to know of it. Reads few members and leaves the rest alone.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::ChatForm,
    dialect::{
        bound::input_size,
        decode::{DecodeError, Fields, Wanted},
        unpriced::{refuse_long_caches, refuse_tiers},
    },
};

/// Most answers one call may ask for.
const N_MAX: u64 = 128;
/// The members that authorise or price a call: each may stand there once.
const ONCE: [&str; 7] =
    ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"];

#[derive(Deserialize)]
struct RawStreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Reads a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let fields = Fields::read(body)?;
    fields.once(&ONCE)?;
    let model = fields.model()?;
    let messages = fields.list("messages", "message")?;
    let stream = fields.stream()?;
    let options: Option<RawStreamOptions> =
        fields.typed("stream_options", "an object whose include_usage is a boolean")?;
    let (old, new) = (fields.output_max("max_tokens")?, fields.output_max("max_completion_tokens")?);
    let n = fields.integer("n", N_MAX)?.unwrap_or(1);
    no_sound(&fields, messages)?;
    refuse_tiers(&fields)?;
    refuse_long_caches(&fields, &["messages", "tools"], body)?;
    let has_tools = fields.tools()?.or(fields.find("functions")?).is_some();
    Ok(Wanted {
        instead: fields.instead(&model)?,
        model,
        stream,
        wants_usage: stream && options.is_some_and(|options| options.include_usage.unwrap_or(false)),
        output_max: old.max(new),
        n: u32::try_from(n).unwrap_or(u32::MAX),
        input: input_size(body.len(), messages, has_tools),
        native: fields.form(),
        chat: ChatForm::Same,
    })
}

/// No price list has a rate for sound, and what has no price is not sold.
fn no_sound(fields: &Fields<'_>, messages: &RawValue) -> Result<(), DecodeError> {
    let unpriced = |param: String| DecodeError::Unsupported {
        param: param.into(),
        why: "asks for sound, which no price list has a rate for".into(),
    };
    let modalities: Option<Vec<String>> = fields.typed("modalities", "an array of strings")?;
    if modalities.is_some_and(|wanted| wanted.iter().any(|one| one == "audio")) {
        return Err(unpriced("modalities".to_owned()));
    }
    // Most bodies do not hold the word, and are not looked through.
    let suspicious = |word: &[u8]| memchr::memmem::find(messages.get().as_bytes(), word).is_some();
    if !suspicious(b"input_audio") && !suspicious(b"\\u") {
        return Ok(());
    }
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow, default)]
        content: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
    }
    let list: Vec<Message<'_>> = serde_json::from_str(messages.get()).unwrap_or_default();
    for (m, content) in list.iter().enumerate().filter_map(|(m, message)| Some((m, message.content?))) {
        let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
        if let Some(p) = parts.iter().position(|part| part.kind.as_deref() == Some("input_audio")) {
            return Err(unpriced(format!("messages[{m}].content[{p}]")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use units::Tokens;

    use super::*;
    use crate::dialect::decode::wrong;

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
        let seed = wanted.native.member("seed").unwrap();
        assert_eq!(body[seed.value.clone()], *b"9007199254740993");
        assert_eq!(wanted.native.members.len(), 9);
    }

    #[test]
    fn null_is_absent() {
        let wanted = read(&with(r#","stream":null,"n":null,"max_tokens":null,"stream_options":null"#).into());
        let wanted = wanted.unwrap();
        assert_eq!((wanted.stream, wanted.n, wanted.output_max), (false, 1, None));
        assert_eq!(error(r#"{"model":null,"messages":[1]}"#), DecodeError::Missing("model".into()));
    }

    #[test]
    fn says_what_is_wrong_and_with_which_field() {
        assert!(matches!(error(""), DecodeError::Syntax(m) if m == "it is empty"));
        assert!(matches!(error("{\"model\":\"m\",\n]"), DecodeError::Syntax(m) if m.contains("line 2")));
        assert!(matches!(error("[]"), DecodeError::Syntax(_)));
        assert!(matches!(error("\u{feff}{}"), DecodeError::Syntax(m) if m.contains("byte order mark")));
        assert_eq!(error(r#"{"messages":[1]}"#), DecodeError::Missing("model".into()));
        assert_eq!(error(r#"{"model":"m"}"#), DecodeError::Missing("messages".into()));
        assert!(matches!(
            error(r#"{"model":"m","messages":[ ]}"#),
            DecodeError::BadValue { param, .. } if param == "messages"
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
            assert!(
                matches!(&e, DecodeError::BadValue { param, .. } if param == "max_completion_tokens"),
                "{e:?}"
            );
        }
        assert!(matches!(error(&with(r#","n":129"#)), DecodeError::BadValue { param, .. } if param == "n"));
    }

    #[test]
    fn a_price_is_said_once() {
        for name in ONCE {
            let value = if name == "model" { "\"x\"" } else { "null" };
            let both = with(&format!(r#","{name}":{value},"{name}":{value}"#));
            assert_eq!(error(&both), DecodeError::Duplicate(name.into()));
        }
        assert_eq!(error(&with(r#","mod\u0065l":"dear""#)), DecodeError::Duplicate("model".into()));
        assert!(read(&with(r#","top_k":1,"top_k":2"#).into()).is_ok());
    }

    #[test]
    fn sound_has_no_price_and_is_not_sold() {
        let param = |body: &str| match error(body) {
            DecodeError::Unsupported { param, .. } => param.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(param(&with(r#","modalities":["text","audio"]"#)), "modalities");
        let part = r#"{"model":"m","messages":[{"content":"input_audio"},{"content":[{"type":"text","text":"a"},{"type":"input\u005faudio","input_audio":{}}]}]}"#;
        assert_eq!(param(part), "messages[1].content[1]");
        assert!(read(&with(r#","modalities":["text"]"#).into()).is_ok());
    }

    #[test]
    fn endless_lists_of_messages_are_refused() {
        let many = |n: usize| format!(r#"{{"model":"m","messages":[{}]}}"#, vec!["{}"; n].join(","));
        assert!(read(&many(10_000).into()).is_ok());
        assert!(matches!(error(&many(10_001)), DecodeError::BadValue { param, .. } if param == "messages"));
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
