//! A chat's answer in one piece as a message.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    content::string,
    stream::Piece,
    voice::{Ended, RawAnswer, message_id, pieces},
};
use crate::{
    dialect::usage::messages_usage,
    json::{ListWriter, ObjectWriter, quoted},
    meter::Bill,
};

/// The message; nothing if it is no chat completion.
pub(super) fn whole(chat: &[u8], model: &str, stops: &[String], bill: &Bill) -> Option<Bytes> {
    let answer: RawAnswer<'_> = serde_json::from_slice(chat).ok()?;
    let id = answer.id.as_deref().unwrap_or_default();
    let choice = answer.choice()?;
    let mut ended = Ended::default();
    ended.note(choice, stops);
    let mut content = ListWriter::new(chat.len());
    let mut called = false;
    for piece in choice.message.iter().flat_map(pieces) {
        called |= matches!(piece, Piece::Tool { .. });
        content.raw(&block(piece, id));
    }
    let (reason, stop) = ended.said(called);
    let mut out = ObjectWriter::new(chat.len() + 256);
    out.text("id", &message_id(id))
        .raw("type", b"\"message\"")
        .raw("role", b"\"assistant\"")
        .text("model", model)
        .raw("content", &content.finish())
        .text("stop_reason", reason)
        .raw("stop_sequence", &stop)
        .raw("usage", &messages_usage(bill));
    Some(out.finish().into())
}

fn block(piece: Piece, id: &str) -> Vec<u8> {
    let mut out = ObjectWriter::new(256);
    match piece {
        Piece::Thinking(text) => {
            out.raw("type", b"\"thinking\"").raw("thinking", &string(&text)).raw("signature", b"\"\"");
        }
        Piece::Text(text) => {
            out.raw("type", b"\"text\"").raw("text", &string(&text));
        }
        Piece::Tool { key, id: own, name, arguments } => {
            let id = own.unwrap_or_else(|| format!("toolu_{id}_{key}"));
            out.raw("type", b"\"tool_use\"")
                .text("id", &id)
                .text("name", name.as_deref().unwrap_or_default());
            out.raw("input", &input(&arguments));
        }
    }
    out.finish()
}

/// The object that the arguments spell. What spells none is put into one: a client must not fail on what a model wrote.
fn input(arguments: &str) -> Vec<u8> {
    let Ok(text) = serde_json::from_slice::<String>(&string(arguments)) else { return b"{}".to_vec() };
    let text = text.trim();
    if text.is_empty() {
        return b"{}".to_vec();
    }
    if text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() {
        return text.as_bytes().to_vec();
    }
    let mut out = ObjectWriter::new(text.len() + 32);
    out.raw("arguments", &quoted(text));
    out.finish()
}
