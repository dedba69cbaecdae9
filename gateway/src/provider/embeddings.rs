//! Embeddings: what is sent, and what comes back in the encoding that the client asked for.

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use router_config::Quirks;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use units::Tokens;

use super::{
    Event,
    ear::{Ear, Heard},
    fault::Said,
    usage,
};
use crate::{
    chat::{Chunk, Form, TextSize, UsageSeen},
    json::ObjectWriter,
};

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As an array of numbers.
    Float,
    /// As little-endian 32-bit floats in base64: what SDKs ask for on their own.
    Base64,
}

/// Listens to embeddings.
#[derive(Debug)]
pub(super) struct EmbeddingsEar {
    wanted: Encoding,
}

/// What is sent: the client's members, in an encoding that the upstream has.
pub(super) fn body(form: &Form, upstream_model: &str, quirks: &Quirks) -> Bytes {
    let mut out = ObjectWriter::new(form.body.len() + 32);
    for member in form.members.iter() {
        let raw = form.raw(member);
        let unwelcome = quirks.refused.contains(&*member.name) || (raw == b"null" && !quirks.keeps_nulls);
        match &*member.name {
            "model" => out.text("model", upstream_model),
            "encoding_format" if !quirks.embedding_base64 => continue,
            _ if unwelcome => continue,
            name => out.raw(name, raw),
        };
    }
    out.finish().into()
}

#[derive(Deserialize)]
struct RawList<'a> {
    #[serde(borrow, default)]
    data: Option<Vec<RawItem<'a>>>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

impl EmbeddingsEar {
    /// For the encoding that `form` asks for.
    pub(super) fn new(form: &Form) -> Self {
        let format = form.member("encoding_format").map(|member| form.raw(member));
        Self { wanted: if format == Some(b"\"base64\"") { Encoding::Base64 } else { Encoding::Float } }
    }

    /// A vector as the client wants it; `None` if it is none.
    fn encoded(&self, raw: &RawValue) -> Option<Value> {
        match (serde_json::from_str(raw.get()).ok()?, self.wanted) {
            (Value::String(text), Encoding::Base64) => Some(Value::String(text)),
            (Value::String(text), Encoding::Float) => {
                let bytes = STANDARD.decode(text).ok()?;
                let (floats, rest) = bytes.as_chunks::<4>();
                let floats = || floats.iter().map(|bytes| f32::from_le_bytes(*bytes));
                (rest.is_empty() && floats().all(f32::is_finite)).then(|| floats().collect())
            }
            (Value::Array(_), Encoding::Float) => {
                // As it came, digit by digit.
                let floats: Vec<f64> = serde_json::from_str(raw.get()).ok()?;
                (!floats.is_empty()).then(|| serde_json::from_str(raw.get()).ok())?
            }
            (Value::Array(_), Encoding::Base64) => {
                let floats: Vec<f32> = serde_json::from_str(raw.get()).ok()?;
                let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
                (!floats.is_empty()).then(|| Value::String(STANDARD.encode(bytes)))
            }
            _ => None,
        }
    }
}

impl Ear for EmbeddingsEar {
    fn hear(&mut self, _: Event, out: &mut VecDeque<Heard>) {
        out.push_back(Heard::Unreadable); // they never come in pieces
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let Ok(list) = serde_json::from_slice::<RawList<'_>>(&body) else {
            return Heard::Unreadable;
        };
        let has_error = list.error.is_some_and(|error| error.get() != "null");
        let Some(mut items) = list.data.filter(|_| !has_error) else {
            return Heard::Error(Said::read(&body));
        };
        items.sort_by_key(|item| item.index);
        let mut data = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let Some(embedding) = self.encoded(item.embedding) else { return Heard::Unreadable };
            data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
        }
        let seen = list.usage.map_or(UsageSeen::Absent, usage::read_prompt);
        // Nothing is embedded from nothing: zero is a placeholder.
        let seen = match seen {
            UsageSeen::Counted { usage, .. } if usage.input == Tokens(0) => UsageSeen::Absent,
            seen => seen,
        };
        let mut said = json!({ "object": "list", "data": data });
        said["model"] =
            list.model.and_then(|model| serde_json::from_str(model.get()).ok()).unwrap_or_default();
        if let UsageSeen::Counted { usage, .. } = &seen {
            said["usage"] = json!({ "prompt_tokens": usage.input.0, "total_tokens": usage.input.0 });
        }
        let chunk = Chunk {
            json: said.to_string().into(),
            event: None,
            text_size: TextSize::default(),
            finish: true,
            has_choices: !data_is_empty(&said),
            has_usage_member: list.usage.is_some(),
            usage: seen,
        };
        Heard::Chunk { chunk, named: 1, ended: 1 }
    }
}

fn data_is_empty(said: &Value) -> bool {
    said["data"].as_array().is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(wanted: Encoding, body: &'static str) -> Option<(Value, UsageSeen)> {
        match (EmbeddingsEar { wanted }).whole(Bytes::from_static(body.as_bytes())) {
            Heard::Chunk { chunk, .. } => Some((serde_json::from_slice(&chunk.json).unwrap(), chunk.usage)),
            _ => None,
        }
    }

    #[test]
    fn vectors_come_in_the_encoding_that_was_asked_for_and_in_the_order_of_the_inputs() {
        let floats = r#"{"data":[{"index":1,"embedding":[0.5,-1]},{"index":0,"embedding":[0.25]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let (said, usage) = heard(Encoding::Base64, floats).unwrap();
        assert_eq!(said["data"][0]["embedding"], "AACAPg==");
        assert_eq!(said["data"][1]["embedding"], "AAAAPwAAgL8=");
        assert_eq!(said["data"][1]["index"], 1);
        assert!(matches!(usage, UsageSeen::Counted { usage, .. } if usage.input == Tokens(3)));
        let encoded = r#"{"data":[{"index":0,"embedding":"AAAAPwAAgL8="}],"usage":{"prompt_tokens":0}}"#;
        let (said, usage) = heard(Encoding::Float, encoded).unwrap();
        assert_eq!(said["data"][0]["embedding"], json!([0.5, -1.0]));
        assert_eq!(usage, UsageSeen::Absent, "zero for a text is a placeholder");
        assert_eq!(heard(Encoding::Float, floats).unwrap().0["data"][1]["embedding"], json!([0.5, -1]));
    }

    #[test]
    fn what_is_no_vector_is_no_answer() {
        for bad in [
            "<html>",
            r#"{"error":{"message":"no"}}"#,
            r#"{"data":[{"embedding":[]}]}"#,
            r#"{"data":[{"embedding":["a"]}]}"#,
            r#"{"data":[{"embedding":"AAA"}]}"#,
            r#"{"data":[{"embedding":"AACAfw=="}]}"#,
            r#"{"message":"no"}"#,
        ] {
            assert!(heard(Encoding::Float, bad).is_none(), "{bad}");
        }
    }
}
