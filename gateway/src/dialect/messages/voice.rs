//! A chat's answer as a message, whole or event by event.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use units::Tokens;

use super::{
    stream::{Blocks, Piece, written},
    whole::whole,
};
use crate::{
    chat::{Break, BreakReason, Chunk, Endpoint, Form},
    dialect::{
        usage::messages_usage,
        voice::{Voice, broken_error, comment, event},
    },
    json::{ObjectWriter, quoted},
    meter::Bill,
};

/// Says chat chunks to a client of Messages.
#[derive(Debug)]
pub(in crate::dialect) struct MessagesVoice {
    model: String,
    /// What the prompt probably comes to: said at the beginning, put right at the end.
    input_estimate: Tokens,
    stops: Vec<String>,
    blocks: Option<Blocks>,
    ended: Ended,
}

/// How an answer ended, as far as it has.
#[derive(Debug, Default)]
pub(super) struct Ended {
    reason: Option<String>,
    stop: Option<String>,
    refused: bool,
}

#[derive(Deserialize)]
pub(super) struct RawAnswer<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<RawChoice<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct RawChoice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<RawMessage<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    /// Where some servers say which stop sequence it was.
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    matched_stop: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct RawMessage<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<RawTool<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct RawTool<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) function: Option<RawFunction<'a>>,
}

#[derive(Deserialize)]
pub(super) struct RawFunction<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl RawAnswer<'_> {
    /// The one answer that a client of Messages asks for.
    pub(super) fn choice(&self) -> Option<&RawChoice<'_>> {
        self.choices.iter().flatten().find(|choice| choice.index.unwrap_or(0) == 0)
    }
}

impl Ended {
    /// Notes what a choice says of its end.
    pub(super) fn note(&mut self, choice: &RawChoice<'_>, stops: &[String]) {
        if let Some(reason) = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()) {
            self.reason = Some(reason.to_owned());
        }
        let named = choice.stop_reason.or(choice.matched_stop).and_then(crate::json::word);
        self.stop = self.stop.take().or(named.map(Cow::into_owned).filter(|stop| stops.contains(stop)));
        let message = choice.delta.as_ref().or(choice.message.as_ref());
        let refusal = message.and_then(|message| message.refusal).map(written);
        self.refused |= refusal.is_some_and(|refusal| !refusal.is_empty());
    }

    /// `stop_reason` and `stop_sequence`, in JSON.
    pub(super) fn said(&self, called: bool) -> (&'static str, Vec<u8>) {
        let stop = self.stop.as_deref().map_or_else(|| b"null".to_vec(), quoted);
        let reason = match self.reason.as_deref() {
            Some("length") => "max_tokens",
            Some("content_filter") => "refusal",
            Some("tool_calls" | "function_call") => "tool_use",
            _ if self.refused => "refusal",
            _ if called => "tool_use",
            _ if self.stop.is_some() => "stop_sequence",
            _ => "end_turn",
        };
        if reason == "stop_sequence" { (reason, stop) } else { (reason, b"null".to_vec()) }
    }
}

/// A message's id, of a chat's.
pub(super) fn message_id(chat: &str) -> String {
    format!("msg_{}", chat.strip_prefix("chatcmpl-").unwrap_or(chat))
}

impl MessagesVoice {
    /// `model` is ours, `asked` what the client sent.
    pub(in crate::dialect) fn new(model: &str, input_estimate: Tokens, asked: &Form) -> Self {
        let stops = asked.member("stop_sequences").map(|stops| serde_json::from_slice(asked.raw(stops)));
        Self {
            model: model.to_owned(),
            input_estimate,
            stops: stops.and_then(Result::ok).unwrap_or_default(),
            blocks: None,
            ended: Ended::default(),
        }
    }

    /// Begins the message with the chat's id, if that was not done.
    fn begin(&mut self, id: &str, out: &mut BytesMut) -> &mut Blocks {
        let Self { blocks, model, input_estimate, .. } = self;
        blocks.get_or_insert_with(|| {
            let usage = format!(r#"{{"input_tokens":{},"output_tokens":0}}"#, input_estimate.0);
            let mut message = ObjectWriter::new(256);
            message
                .text("id", &message_id(id))
                .raw("type", b"\"message\"")
                .raw("role", b"\"assistant\"")
                .text("model", model)
                .raw("content", b"[]")
                .raw("stop_reason", b"null")
                .raw("stop_sequence", b"null")
                .raw("usage", usage.as_bytes());
            let mut start = ObjectWriter::new(320);
            start.raw("type", b"\"message_start\"").raw("message", &message.finish());
            event(Some("message_start"), &start.finish(), out);
            Blocks::new(id)
        })
    }
}

/// What a message, or a part of one, says, in the order in which blocks stand.
pub(super) fn pieces(message: &RawMessage<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let text = |raw: Option<&RawValue>| raw.map(written).filter(|text| !text.is_empty());
    let thought = text(message.reasoning_content).or_else(|| text(message.reasoning));
    pieces.extend(thought.map(Piece::Thinking));
    pieces.extend(text(message.content).map(Piece::Text));
    pieces.extend(text(message.refusal).map(Piece::Text));
    for (place, tool) in message.tool_calls.iter().flatten().enumerate() {
        let named = |word: Option<&Cow<'_, str>>| word.filter(|word| !word.is_empty()).map(|w| w.to_string());
        let function = tool.function.as_ref();
        pieces.push(Piece::Tool {
            key: tool.index.unwrap_or(place as u64),
            id: named(tool.id.as_ref()),
            name: named(function.and_then(|function| function.name.as_ref())),
            arguments: text(function.and_then(|function| function.arguments)).unwrap_or_default(),
        });
    }
    pieces
}

impl Voice for MessagesVoice {
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes {
        whole(&json, &self.model, &self.stops, bill).unwrap_or(json)
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        let Ok(answer) = serde_json::from_slice::<RawAnswer<'_>>(&chunk.json) else { return };
        let id = answer.id.as_deref().unwrap_or_default();
        self.begin(id, out);
        let Some(choice) = answer.choice() else { return };
        self.ended.note(choice, &self.stops);
        for piece in choice.delta.iter().flat_map(pieces) {
            self.begin(id, out).say(piece, out);
        }
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        let blocks = self.begin(&bill.request.to_string(), out);
        blocks.finish(out);
        let called = blocks.called;
        let (reason, stop) = self.ended.said(called);
        let mut delta = ObjectWriter::new(64);
        delta.text("stop_reason", reason).raw("stop_sequence", &stop);
        comment(bill, out);
        last(&delta.finish(), bill, out);
    }

    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        broken(broke, bill, out);
    }
}

/// `message_delta` with what was used, and `message_stop`.
fn last(delta: &[u8], bill: &Bill, out: &mut BytesMut) {
    let mut message_delta = ObjectWriter::new(320);
    message_delta.raw("type", b"\"message_delta\"").raw("delta", delta).raw("usage", &messages_usage(bill));
    event(Some("message_delta"), &message_delta.finish(), out);
    event(Some("message_stop"), br#"{"type":"message_stop"}"#, out);
}

/// An honest error, what was charged, and no `message_stop`.
pub(super) fn broken(broke: &Break, bill: &Bill, out: &mut BytesMut) {
    comment(bill, out);
    let status = match &broke.reason {
        BreakReason::Silent(_) | BreakReason::Slow(_) | BreakReason::TooLong(_) => {
            StatusCode::GATEWAY_TIMEOUT
        }
        BreakReason::Lost | BreakReason::Reported { .. } | BreakReason::Unreadable => StatusCode::BAD_GATEWAY,
    };
    broken_error(broke).event(Endpoint::Messages, status, &bill.request.to_string(), 0, out);
}
