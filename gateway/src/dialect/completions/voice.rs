//! A chat's answer as a completion's: the text, and nothing else that a chat may hold.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    chat::{Break, Chunk},
    dialect::{
        usage::chat_usage,
        voice::{Voice, broken_error, comment, event},
    },
    json::{self, ObjectWriter},
    meter::Bill,
};

/// Says chat chunks to a client of completions.
#[derive(Debug)]
pub(in crate::dialect) struct CompletionsVoice {
    wants_usage: bool,
    head: Option<Head>,
}

/// What every chunk repeats.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    created: Value,
    model: Value,
}

#[derive(Deserialize)]
struct RawAnswer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<RawChoice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawChoice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    message: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

impl RawAnswer<'_> {
    fn head(&self) -> Head {
        let id = self.id.as_deref().unwrap_or_default();
        let id = id.strip_prefix("chatcmpl-").unwrap_or(id);
        Head {
            id: format!("cmpl-{id}"),
            created: self.created.unwrap_or(0).into(),
            model: self.model.as_deref().into(),
        }
    }
}

impl Head {
    fn text_completion(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id, "object": "text_completion", "created": self.created, "model": self.model, "choices": choices,
        })
    }
}

fn choices(answer: &RawAnswer<'_>) -> Vec<Value> {
    let said = |choice: &RawChoice<'_>| {
        let message = choice.delta.as_ref().or(choice.message.as_ref());
        let text = message.and_then(|message| message.content.as_deref()).unwrap_or_default();
        let reason = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty());
        json!({ "text": text, "index": choice.index.unwrap_or(0), "logprobs": null, "finish_reason": reason })
    };
    answer.choices.iter().flatten().map(said).collect()
}

impl CompletionsVoice {
    /// `wants_usage` says whether the client asked for usage in the stream.
    pub(in crate::dialect) const fn new(wants_usage: bool) -> Self {
        Self { wants_usage, head: None }
    }
}

impl Voice for CompletionsVoice {
    fn whole(&mut self, json: Bytes, _: &Bill) -> Bytes {
        let Ok(answer) = serde_json::from_slice::<RawAnswer<'_>>(&json) else { return json };
        let mut said = answer.head().text_completion(choices(&answer));
        if let Some(usage) = answer.usage {
            said["usage"] = serde_json::from_str(usage.get()).unwrap_or_default();
        }
        said.to_string().into()
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        let Ok(answer) = serde_json::from_slice::<RawAnswer<'_>>(&chunk.json) else { return };
        let choices = choices(&answer);
        let head = self.head.get_or_insert_with(|| answer.head());
        let speaks = |choice: &Value| choice["text"] != "" || !choice["finish_reason"].is_null();
        if choices.iter().any(speaks) {
            event(None, head.text_completion(choices).to_string().as_bytes(), out);
        }
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        if let (true, Some(head), Some(usage)) = (self.wants_usage, &self.head, bill.usage) {
            let said = head.text_completion(Vec::new()).to_string();
            let mut whole = ObjectWriter::new(said.len() + 256);
            for (name, value) in json::members(said.as_bytes()).unwrap_or_default() {
                whole.raw(&name, value.get().as_bytes());
            }
            whole.raw("usage", &chat_usage(&usage, bill));
            event(None, &whole.finish(), out);
        }
        comment(bill, out);
        out.put_slice(b"data: [DONE]\n\n");
    }

    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        comment(bill, out);
        event(None, broken_error(broke).to_json(&bill.request.to_string()).as_bytes(), out);
    }
}
