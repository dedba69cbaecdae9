//! A chat completion's answer as server-sent events, strictly: `data: <one line>` and a blank line, no names, no ids,
//! `[DONE]` only after a whole answer.

use bytes::{BufMut, Bytes, BytesMut};
use units::Usage;

use crate::{
    chat::{Break, Chunk, UsageSeen},
    dialect::{
        usage::{chat_usage, with_usage},
        voice::{Voice, broken_error, comment, event},
    },
    json::{self, ObjectWriter},
    meter::Bill,
};

/// Says chat chunks to a chat client.
#[derive(Debug)]
pub(in crate::dialect) struct ChatVoice {
    wants_usage: bool,
    first: Option<Bytes>,
    usage_chunk: Option<Bytes>,
}

impl ChatVoice {
    /// `wants_usage` says whether the client asked for usage in the stream.
    pub(in crate::dialect) const fn new(wants_usage: bool) -> Self {
        Self { wants_usage, first: None, usage_chunk: None }
    }
}

impl Voice for ChatVoice {
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes {
        let usage = bill.usage.unwrap_or_default();
        with_usage(json, bill, || chat_usage(&usage, bill))
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        self.first.get_or_insert_with(|| chunk.json.clone());
        if let Some(json) = outward(chunk, self.wants_usage, &mut self.usage_chunk) {
            event(None, &json, out);
        }
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        let base = self.usage_chunk.as_ref().or(self.first.as_ref()).filter(|_| self.wants_usage);
        if let (Some(base), Some(usage)) = (base, bill.usage) {
            event(None, &usage_chunk(base, &usage, bill), out);
        }
        comment(bill, out);
        out.put_slice(b"data: [DONE]\n\n");
    }

    /// An honest error, what was charged, and no `[DONE]`: a cut answer must not look like a whole one.
    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        comment(bill, out);
        event(None, broken_error(broke).to_json(&bill.request.to_string()).as_bytes(), out);
    }
}

/// What the client is shown of a chunk: everything but usage, which comes once, at the end, and only if asked for.
fn outward(chunk: Chunk, wants_usage: bool, usage_chunk: &mut Option<Bytes>) -> Option<Bytes> {
    let has_usage = chunk.usage != UsageSeen::Absent;
    if has_usage && !chunk.has_choices {
        *usage_chunk = Some(chunk.json);
        return None;
    }
    if !chunk.has_usage_member || (wants_usage && !has_usage) {
        return Some(chunk.json);
    }
    Some(without_usage(chunk.json))
}

fn without_usage(json: Bytes) -> Bytes {
    if let Some(rest) = json.strip_suffix(b",\"usage\":null}") {
        let mut out = BytesMut::with_capacity(rest.len() + 1);
        out.put_slice(rest);
        out.put_u8(b'}');
        return out.freeze();
    }
    let Ok(members) = json::members(&json) else { return json };
    let mut out = ObjectWriter::new(json.len());
    for (name, value) in members.iter().filter(|(name, _)| name != "usage") {
        out.raw(name, value.get().as_bytes());
    }
    out.finish().into()
}

/// The upstream's own usage chunk where it sent one, or one in its likeness.
fn usage_chunk(base: &[u8], usage: &Usage, bill: &Bill) -> Vec<u8> {
    let members = json::members(base).unwrap_or_default();
    let mut out = ObjectWriter::new(base.len() + 256);
    for (name, value) in &members {
        match name.as_ref() {
            "choices" => out.raw("choices", b"[]"),
            "usage" => continue,
            name => out.raw(name, value.get().as_bytes()),
        };
    }
    if !members.iter().any(|(name, _)| name == "choices") {
        out.raw("choices", b"[]");
    }
    out.raw("usage", &chat_usage(usage, bill));
    out.finish()
}
