//! A completion's body, and the same as a chat.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use crate::{
    chat::{ChatForm, Form, Inexpressible},
    dialect::{
        bound::text_size,
        decode::{DecodeError, Fields, Wanted, form_of, wrong},
        unpriced::refuse_tiers,
    },
    json::ObjectWriter,
};

/// Most answers one prompt may ask for, and most prompts of one call.
const N_MAX: u64 = 128;
const PROMPTS_MAX: usize = 128;
/// What OpenAI produces for a call that names no maximum.
const OUTPUT_DEFAULT: Tokens = Tokens(16);
/// The members that authorise or price a call: each may stand there once.
const ONCE: [&str; 7] = ["model", "prompt", "stream", "stream_options", "max_tokens", "n", "best_of"];
/// What has no word in a chat.
const WORDLESS: [&str; 3] = ["suffix", "logprobs", "echo"];
/// What has a meaning in a chat that it does not have here.
const CHATS_OWN: [&str; 4] = ["messages", "max_completion_tokens", "modalities", "audio"];

#[derive(Deserialize)]
struct RawStreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// The prompts of a call.
enum Prompt<'a> {
    One(&'a RawValue),
    /// More than one, or tokens.
    Other(usize),
}

/// Reads a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let fields = Fields::read(body)?;
    fields.once(&ONCE)?;
    let model = fields.model()?;
    refuse_tiers(&fields)?;
    let prompt = prompt(fields.find("prompt")?.ok_or(DecodeError::Missing("prompt".into()))?)?;
    let stream = fields.stream()?;
    let options: Option<RawStreamOptions> =
        fields.typed("stream_options", "an object whose include_usage is a boolean")?;
    let n = fields.integer("n", N_MAX)?.unwrap_or(1);
    // Each of `best_of` is produced, and paid for, though only the best `n` are shown.
    let made = fields.integer("best_of", N_MAX)?.unwrap_or(n).max(n);
    let prompts = match prompt {
        Prompt::One(_) => 1,
        Prompt::Other(prompts) => prompts as u64,
    };
    let output_max = fields.output_max("max_tokens")?.unwrap_or(OUTPUT_DEFAULT);
    Ok(Wanted {
        instead: fields.instead(&model)?,
        model,
        stream,
        wants_usage: stream && options.is_some_and(|options| options.include_usage.unwrap_or(false)),
        output_max: Some(output_max),
        n: u32::try_from(made.saturating_mul(prompts)).unwrap_or(u32::MAX),
        input: text_size(body.len()),
        native: fields.form(),
        chat: as_chat(&fields, &prompt, output_max, made > n)?,
    })
}

fn prompt(raw: &RawValue) -> Result<Prompt<'_>, DecodeError> {
    const EXPECTED: &str =
        "a string, an array of strings, an array of tokens or an array of arrays of tokens";
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => Ok(Prompt::One(raw)),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong("prompt", EXPECTED))?;
            let begins = |item: &&RawValue| item.get().as_bytes().first().copied().unwrap_or(b' ');
            let kind = items.first().map(begins);
            if items.iter().any(|item| {
                Some(begins(item)) != kind
                    && !(begins(item).is_ascii_digit() && kind.is_some_and(|k| k.is_ascii_digit()))
            }) {
                return Err(wrong("prompt", EXPECTED));
            }
            match (kind, items.as_slice()) {
                (None, _) => Err(DecodeError::BadValue {
                    param: "prompt".into(),
                    expected: "expected at least one prompt".to_owned(),
                }),
                (Some(b'"'), [one]) => Ok(Prompt::One(one)),
                (Some(digit), _) if digit.is_ascii_digit() => Ok(Prompt::Other(1)),
                (Some(b'"' | b'['), many) if many.len() > PROMPTS_MAX => Err(DecodeError::BadValue {
                    param: "prompt".into(),
                    expected: format!("expected at most {PROMPTS_MAX} prompts"),
                }),
                (Some(b'"' | b'['), many) => Ok(Prompt::Other(many.len())),
                _ => Err(wrong("prompt", EXPECTED)),
            }
        }
        _ => Err(wrong("prompt", EXPECTED)),
    }
}

/// The call as a chat of one message.
fn as_chat(
    fields: &Fields<'_>,
    prompt: &Prompt<'_>,
    output_max: Tokens,
    picks: bool,
) -> Result<ChatForm, DecodeError> {
    let inexpressible = |param: &str, why: &str| {
        ChatForm::Inexpressible(Inexpressible { param: param.into(), why: why.into() })
    };
    let Prompt::One(prompt) = prompt else {
        return Ok(inexpressible("prompt", "can only be one text here"));
    };
    for name in WORDLESS {
        if fields.find(name)?.is_some_and(|value| value.get() != "false") {
            return Ok(inexpressible(name, "is not possible with a chat model"));
        }
    }
    if let Some(name) = CHATS_OWN.into_iter().find(|name| fields.has(name)) {
        return Ok(inexpressible(name, "belongs to chat completions"));
    }
    if picks {
        return Ok(inexpressible("best_of", "is not possible with a chat model"));
    }
    let native: Form = fields.form();
    let mut out = ObjectWriter::new(native.body.len() + 64);
    for member in native.members.iter() {
        match &*member.name {
            "prompt" => {
                let message = [br#"[{"role":"user","content":"#, prompt.get().as_bytes(), b"}]"].concat();
                out.raw("messages", &message);
            }
            "max_tokens" | "best_of" | "suffix" | "logprobs" | "echo" => {}
            name => {
                out.raw(name, native.raw(member));
            }
        }
    }
    // The name that every upstream takes or has another for: models that reason refuse the older one.
    out.count("max_completion_tokens", output_max.0);
    Ok(ChatForm::Made(form_of(out.finish())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(rest: &str) -> Bytes {
        format!(r#"{{"model":"m",{rest}}}"#).into()
    }

    fn chat(rest: &str) -> Result<String, String> {
        match read(&body(rest)).unwrap().chat {
            ChatForm::Made(form) => Ok(String::from_utf8(form.body.to_vec()).unwrap()),
            ChatForm::Inexpressible(what) => Err(what.param),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_prompt_is_a_chat_of_one_message() {
        assert_eq!(
            chat(r#""prompt":"你\u597d","temperature":1e-7,"echo":false,"x":1"#).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"你\u597d"}],"temperature":1e-7,"x":1,"max_completion_tokens":16}"#
        );
        assert!(
            chat(r#""prompt":["one"],"max_tokens":9"#).unwrap().ends_with(r#""max_completion_tokens":9}"#)
        );
    }

    #[test]
    fn what_a_chat_cannot_say_is_named() {
        for (rest, param) in [
            (r#""prompt":["a","b"]"#, "prompt"),
            (r#""prompt":[1,2]"#, "prompt"),
            (r#""prompt":"a","suffix":"b""#, "suffix"),
            (r#""prompt":"a","echo":true"#, "echo"),
            (r#""prompt":"a","logprobs":0"#, "logprobs"),
            (r#""prompt":"a","best_of":2"#, "best_of"),
            (r#""prompt":"a","messages":3"#, "messages"),
            (r#""prompt":"a","max_completion_tokens":7"#, "max_completion_tokens"),
            (r#""prompt":"a","modalities":["text","audio"]"#, "modalities"),
            (r#""prompt":"a","audio":{"voice":"x"}"#, "audio"),
        ] {
            assert_eq!(chat(rest).unwrap_err(), param, "{rest}");
        }
    }

    #[test]
    fn every_answer_that_is_made_is_covered() {
        let made = |rest: &str| read(&body(rest)).unwrap().n;
        assert_eq!(made(r#""prompt":["a","b"],"n":2,"best_of":3"#), 6);
        assert_eq!(made(r#""prompt":[[1],[2],[3]]"#), 3);
        assert_eq!(made(r#""prompt":[1,2,3]"#), 1);
        for bad in [r#""prompt":[]"#, r#""prompt":7"#, r#""prompt":["a",1]"#, r#""prompt":{}"#, r#""n":1"#] {
            assert!(read(&body(bad)).is_err(), "{bad}");
        }
    }
}
