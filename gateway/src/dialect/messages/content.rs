//! Blocks of content as parts of a chat message.

use super::trouble::{Trouble, all_said};
use crate::json::{ListWriter, Object, ObjectWriter, inside, is_text, items, quoted};
use serde_json::value::RawValue;

/// Members of any block that may be lost: where a cache may be cut, and what earlier answers referred to.
const HINTS: [&str; 2] = ["cache_control", "citations"];
/// Members of pictures that may be lost.
const IMAGE_HINTS: [&str; 1] = ["transformations"];

/// A part of a chat message.
#[derive(Debug)]
pub(super) enum Part {
    /// The inside of a JSON string.
    Text(String),
    /// A part of another kind, written.
    Other(Vec<u8>),
}

/// A block with its type, the other members not yet taken.
pub(super) struct Block<'a> {
    pub(super) kind: String,
    pub(super) object: Object<'a>,
}

/// The blocks of `content` at `path`.
pub(super) fn blocks<'a>(content: &'a RawValue, path: &str) -> Result<Vec<Block<'a>>, Trouble> {
    let block = |(path, raw): (String, &'a RawValue)| {
        let mut object = Object::read(raw, path)?;
        let missing = object.at("type");
        let kind = object.word("type")?.ok_or(crate::json::Odd::missing(missing))?.into_owned();
        Ok(Block { kind, object })
    };
    items(content, path)?.into_iter().map(block).collect()
}

/// `text` of a block.
pub(super) fn text(mut block: Object<'_>) -> Result<String, Trouble> {
    let text = block.need_text("text")?;
    block.pass_over(&HINTS);
    all_said(block)?;
    Ok(inside(text).unwrap_or_default().to_owned())
}

/// The parts that a block comes to.
pub(super) fn parts(block: Block<'_>) -> Result<Vec<Part>, Trouble> {
    match block.kind.as_str() {
        "text" => Ok(vec![Part::Text(text(block.object)?)]),
        "image" => Ok(vec![image(block.object)?]),
        "document" => document(block.object),
        _ => Err(wordless(&block)),
    }
}

/// A block of a type that has no place in a chat.
pub(super) fn wordless(block: &Block<'_>) -> Trouble {
    let why = format!("`{}` has no word in a chat completion", block.kind);
    Trouble::wordless(block.object.at("type"), &why)
}

fn image(mut block: Object<'_>) -> Result<Part, Trouble> {
    let missing = block.at("source");
    let mut source = block.object("source")?.ok_or(crate::json::Odd::missing(missing))?;
    let url = match source.word("type")?.as_deref() {
        Some("url") => source.need_text("url")?.get().to_owned(),
        Some("base64") => data_url(&mut source)?,
        Some(_) => return Err(Trouble::wordless(source.at("type"), "names a file that only Anthropic has")),
        None => return Err(crate::json::Odd::missing(source.at("type")).into()),
    };
    all_said(source)?;
    block.pass_over(&HINTS);
    block.pass_over(&IMAGE_HINTS);
    all_said(block)?;
    let mut image = ObjectWriter::new(url.len() + 16);
    image.raw("url", url.as_bytes());
    let mut part = ObjectWriter::new(url.len() + 64);
    part.raw("type", b"\"image_url\"").raw("image_url", &image.finish());
    Ok(Part::Other(part.finish()))
}

/// `"data:image/png;base64,…"`, put together of what the client wrote.
fn data_url(source: &mut Object<'_>) -> Result<String, Trouble> {
    let (media, data) = (source.need_text("media_type")?, source.need_text("data")?);
    let (media, data) = (inside(media).unwrap_or_default(), inside(data).unwrap_or_default());
    Ok(format!("\"data:{media};base64,{data}\""))
}

/// A document: what is text becomes text, a PDF inside the call a file.
fn document(mut block: Object<'_>) -> Result<Vec<Part>, Trouble> {
    let missing = block.at("source");
    let mut source = block.object("source")?.ok_or(crate::json::Odd::missing(missing))?;
    if let Some(mut citations) = block.object("citations")? {
        let param = citations.at("enabled");
        if citations.flag("enabled")? == Some(true) {
            return Err(Trouble::wordless(
                param,
                "asks for citations, which a chat completion does not give",
            ));
        }
    }
    let title = block.text("title")?;
    let context = block.text("context")?;
    block.pass_over(&HINTS);
    all_said(block)?;
    let written = |text: Option<&RawValue>| text.and_then(inside).map(|text| Part::Text(text.to_owned()));
    let mut parts: Vec<Part> = Vec::new();
    match source.word("type")?.as_deref() {
        Some("text") => {
            parts.extend(written(title));
            parts.extend(written(context));
            source.pass_over(&["media_type"]); // always text/plain
            parts.extend(written(Some(source.need_text("data")?)));
        }
        Some("content") => {
            parts.extend(written(title));
            parts.extend(written(context));
            let path = source.at("content");
            let content = source.need("content")?;
            if is_text(content) {
                parts.extend(written(Some(content)));
            } else {
                for block in blocks(content, &path)? {
                    match block.kind.as_str() {
                        "text" => parts.push(Part::Text(text(block.object)?)),
                        "image" => parts.push(image(block.object)?),
                        _ => return Err(wordless(&block)),
                    }
                }
            }
        }
        Some("base64") => {
            parts.extend(written(context));
            let url = data_url(&mut source)?;
            let mut file = ObjectWriter::new(url.len() + 64);
            file.raw(
                "filename",
                title.map_or(b"\"document.pdf\"".as_slice(), |title| title.get().as_bytes()),
            );
            file.raw("file_data", url.as_bytes());
            let mut part = ObjectWriter::new(url.len() + 96);
            part.raw("type", b"\"file\"").raw("file", &file.finish());
            parts.push(Part::Other(part.finish()));
        }
        Some("url") => {
            return Err(Trouble::wordless(
                source.at("type"),
                "names a document by its address, which a chat completion cannot",
            ));
        }
        Some(_) => return Err(Trouble::wordless(source.at("type"), "names a file that only Anthropic has")),
        None => return Err(crate::json::Odd::missing(source.at("type")).into()),
    }
    all_said(source)?;
    Ok(parts)
}

/// The parts as a message's `content`: a text alone as a string, which every provider takes.
pub(super) fn content(parts: &[Part]) -> Vec<u8> {
    match parts {
        [] => b"\"\"".to_vec(),
        [Part::Text(text)] => string(text),
        parts => {
            let mut list = ListWriter::new(256);
            for part in parts {
                match part {
                    Part::Text(text) => {
                        let mut part = ObjectWriter::new(text.len() + 32);
                        part.raw("type", b"\"text\"").raw("text", &string(text));
                        list.raw(&part.finish());
                    }
                    Part::Other(part) => {
                        list.raw(part);
                    }
                }
            }
            list.finish()
        }
    }
}

/// The inside of a string with its quotation marks.
pub(super) fn string(inside: &str) -> Vec<u8> {
    [b"\"", inside.as_bytes(), b"\""].concat()
}

/// A value as a string that holds its text.
pub(super) fn as_text(value: &RawValue) -> Vec<u8> {
    quoted(value.get())
}
