//! What is in a message or in what a tool gave back: parts of it, and how a chat completion says them.

use serde_json::value::RawValue;

use super::{
    Cannot,
    object::{Object, list},
};
use crate::{
    dialect::decode::{DecodeError, bad_at, wrong_at},
    json::{ListWriter, ObjectWriter},
};

/// Members of a part that only describe an answer that was given before.
const DESCRIBING: [&str; 4] = ["type", "text", "annotations", "logprobs"];

/// Text, or a list of parts, as `content` of a chat message. One part of plain text is a text.
pub(super) fn as_chat(raw: &RawValue, path: &str, cannot: &mut Cannot) -> Result<Vec<u8>, DecodeError> {
    if raw.get().starts_with('"') {
        return Ok(raw.get().as_bytes().to_vec());
    }
    if !raw.get().starts_with('[') {
        return Err(wrong_at(path, "a string or an array"));
    }
    let parts = list(raw, path)?;
    let mut out = ListWriter::new(raw.get().len() + 64);
    for (i, part) in parts.iter().enumerate() {
        let part = Object::read(part, format!("{path}[{i}]"))?;
        let kind = part.need_word("type")?;
        welcome(&part)?;
        let said = match kind.as_ref() {
            "input_text" | "output_text" => {
                let text = part.need_string("text")?;
                if parts.len() == 1 && part.others(&DESCRIBING).next().is_none() {
                    return Ok(text.get().as_bytes().to_vec());
                }
                let mut said = named("text", "text", text.get().as_bytes());
                rest(&part, &DESCRIBING, &mut said);
                said
            }
            "refusal" => {
                let refusal = part.need_string("refusal")?;
                let mut said = named("refusal", "refusal", refusal.get().as_bytes());
                rest(&part, &["type", "refusal"], &mut said);
                said
            }
            "input_image" => image(&part)?,
            "input_file" => file(&part, cannot)?,
            kind => {
                let expected = format!(
                    "`{kind}` is none of `input_text`, `input_image`, `input_file`, `output_text` and `refusal`"
                );
                return Err(bad_at(part.at("type"), expected));
            }
        };
        out.raw(&said.finish());
    }
    Ok(out.finish())
}

/// Whether all of `content`, as [`as_chat`] gives it, is text.
pub(super) fn is_text(raw: &RawValue) -> bool {
    let Ok(parts) = list(raw, "") else { return true };
    parts.iter().all(|part| {
        let kind = Object::read(part, "").ok().and_then(|part| part.word("type").ok().flatten());
        matches!(kind.as_deref(), Some("input_text" | "output_text"))
    })
}

fn named(kind: &str, member: &str, value: &[u8]) -> ObjectWriter {
    let mut out = ObjectWriter::new(value.len() + 48);
    out.text("type", kind).raw(member, value);
    out
}

/// What we know nothing of goes along.
fn rest(part: &Object<'_>, known: &[&str], out: &mut ObjectWriter) {
    for (name, value) in part.others(known) {
        out.raw(name, value.get().as_bytes());
    }
}

fn image(part: &Object<'_>) -> Result<ObjectWriter, DecodeError> {
    let url = part.need_string("image_url")?;
    let mut image = ObjectWriter::new(url.get().len() + 48);
    image.raw("url", url.get().as_bytes());
    if let Some(detail) = part.string("detail")? {
        image.raw("detail", detail.get().as_bytes());
    }
    let mut said = named("image_url", "image_url", &image.finish());
    rest(part, &["type", "image_url", "detail", "file_id"], &mut said);
    Ok(said)
}

fn file(part: &Object<'_>, cannot: &mut Cannot) -> Result<ObjectWriter, DecodeError> {
    if part.string("file_url")?.is_some() {
        cannot.say(part.at("file_url"), "cannot be fetched for a chat completion: send `file_data`");
    } else if part.string("file_data")?.is_none() {
        return Err(part.missing("file_data"));
    }
    if part.word("detail")?.is_some_and(|detail| detail != "auto") {
        cannot.say(part.at("detail"), "has no word in a chat completion");
    }
    let mut file = ObjectWriter::new(256);
    for name in ["file_data", "filename"] {
        if let Some(value) = part.string(name)? {
            file.raw(name, value.get().as_bytes());
        }
    }
    let mut said = named("file", "file", &file.finish());
    let known = ["type", "file_data", "filename", "file_url", "file_id", "detail"];
    rest(part, &known, &mut said);
    Ok(said)
}

/// Refuses what no part may hold, in what a tool gave back: one part, or a list of them, or a text.
pub(super) fn check(output: &RawValue, path: &str) -> Result<(), DecodeError> {
    match output.get().as_bytes().first() {
        Some(b'{') => welcome(&Object::read(output, path)?),
        Some(b'[') => list(output, path)?.into_iter().enumerate().try_for_each(|(i, part)| {
            if !part.get().starts_with('{') {
                return Ok(());
            }
            welcome(&Object::read(part, format!("{path}[{i}]"))?)
        }),
        _ => Ok(()),
    }
}

/// Files are kept in the operator's account at the provider, whoever uploaded them: their ids are nobody's to name. And
/// no price list has a rate for sound: what has no price is not sold.
fn welcome(part: &Object<'_>) -> Result<(), DecodeError> {
    let unsupported = |param: String, why: &'static str| {
        Err(DecodeError::Unsupported { param: param.into(), why: why.into() })
    };
    if part.find("file_id")?.is_some() {
        return unsupported(part.at("file_id"), "names a file, and none are kept here; send what is in it");
    }
    if part.word("type")?.as_deref() == Some("input_audio") {
        return unsupported(part.path().to_owned(), "asks for sound, which no price list has a rate for");
    }
    Ok(())
}
