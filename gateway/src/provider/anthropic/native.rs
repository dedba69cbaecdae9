//! A client's own Messages, for an upstream that speaks them.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use units::Tokens;

use crate::{
    chat::Form,
    json::{self, ListWriter, Object, ObjectWriter, is_text, items},
};

/// The client's bytes with another model in them, and without thoughts that were not Anthropic's: those of other models,
/// which we have told as thoughts, have no signature, and Anthropic refuses them.
/// `cap` is the maximum of output that there is money for, where that is less than the client's.
pub(in crate::provider) fn native(form: &Form, upstream_model: &str, cap: Option<Tokens>) -> Bytes {
    let mut out = ObjectWriter::new(form.body.len() + 64);
    for member in form.members.iter() {
        let raw = form.raw(member);
        match &*member.name {
            "model" => out.text("model", upstream_model),
            "max_tokens" => match cap {
                Some(cap) => out.count("max_tokens", cap.0),
                None => out.raw("max_tokens", raw),
            },
            "messages" => out.raw("messages", &signed(raw)),
            name => out.raw(name, raw),
        };
    }
    out.finish().into()
}

/// The messages without unsigned thoughts.
fn signed(messages: &[u8]) -> Cow<'_, [u8]> {
    if !has_unsigned(messages) {
        return Cow::Borrowed(messages);
    }
    edited(messages).map_or(Cow::Borrowed(messages), Cow::Owned)
}

/// Whether there may be an empty signature: a quick look, since hardly ever there is one.
fn has_unsigned(messages: &[u8]) -> bool {
    memchr::memmem::find_iter(messages, b"\"signature\"").any(|at| {
        let rest = messages.get(at + b"\"signature\"".len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        value.trim_ascii_start().starts_with(b"\"\"")
    })
}

fn edited(messages: &[u8]) -> Option<Vec<u8>> {
    let raw: &RawValue = serde_json::from_slice(messages).ok()?;
    let mut list = ListWriter::new(messages.len());
    for (_, message) in items(raw, "").ok()? {
        let mut out = ObjectWriter::new(message.get().len());
        for (name, value) in json::members(message.get().as_bytes()).ok()? {
            if name != "content" || is_text(value) {
                out.raw(&name, value.get().as_bytes());
                continue;
            }
            let mut blocks = ListWriter::new(value.get().len());
            for (_, block) in items(value, "").ok()? {
                if !is_unsigned(block) {
                    blocks.raw(block.get().as_bytes());
                }
            }
            out.raw("content", &blocks.finish());
        }
        list.raw(&out.finish());
    }
    Some(list.finish())
}

fn is_unsigned(block: &RawValue) -> bool {
    let Ok(mut block) = Object::read(block, String::new()) else { return false };
    let is = |word: Option<Cow<'_, str>>, expected: &str| word.is_some_and(|word| word == expected);
    is(block.word("type").ok().flatten(), "thinking") && is(block.word("signature").ok().flatten(), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::messages::read;

    fn sent(body: &str) -> String {
        let wanted = read(&Bytes::copy_from_slice(body.as_bytes())).unwrap();
        String::from_utf8(native(&wanted.native, "up", None).to_vec()).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        let body = r#"{"temperature":1e-7,"model":"m","max_tokens":5,"x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"user","content":"\u4f60"}],"stream":null}"#;
        assert_eq!(sent(body), body.replace(r#""model":"m""#, r#""model":"up""#));
    }

    #[test]
    fn thoughts_of_other_models_are_left_out() {
        let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"\"signature\":\"\""},
            {"role":"assistant","content":[{"type":"thinking","thinking":"a","signature": ""},{"type":"thinking","thinking":"b","signature":"EqQB"},{"type":"text","text":"c"}]},
            {"role":"user","content":"d"}]}"#;
        let sent: serde_json::Value = serde_json::from_str(&sent(body)).unwrap();
        let blocks = sent["messages"][1]["content"].as_array().unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0]["thinking"], "b");
        assert_eq!(sent["messages"][0]["content"], "\"signature\":\"\"");
    }
}
