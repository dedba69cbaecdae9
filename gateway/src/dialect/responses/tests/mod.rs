//! What is asked in Responses, as a chat completion; what a chat answers, as Responses.

mod answering;
mod asking;
mod native;
mod properties;

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use units::{NanoCny, RequestId, Timestamp, Tokens, Usage};

use super::{Asked, read};
use crate::{
    chat::{Break, BreakReason, ChatForm, Chunk, Form, UsageSeen},
    dialect::Wanted,
    meter::{Bill, Settled},
};

const AT: Timestamp = Timestamp(1_763_700_000_000_000);

fn wanted(body: &str) -> Wanted {
    read(&Bytes::copy_from_slice(body.as_bytes())).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Always the same, so that answers can be compared.
fn request() -> RequestId {
    static ONE: LazyLock<RequestId> = LazyLock::new(|| RequestId::new(AT));
    *ONE
}

/// What `body` asked for, of a model called `m`.
fn asked(body: &str) -> Asked {
    Asked::new(request(), std::time::Instant::now(), "m".to_owned(), wanted(body).native)
}

fn bill(usage: Option<(u64, u64)>, raw: Option<&'static str>) -> Bill {
    let usage = usage.map(|(input, output)| Usage {
        input: Tokens(input),
        output: Tokens(output),
        ..Usage::default()
    });
    let yuan = |text: &str| text.parse::<NanoCny>().unwrap();
    let raw = raw.map(|raw| Bytes::from_static(raw.as_bytes()));
    let settled = Settled { cost: yuan("0.00002"), balance: yuan("9.5") };
    Bill { request: request(), usage, estimated: false, raw, settled, continued_by: None }
}

fn lost() -> Break {
    Break { provider: "p".to_owned(), reason: BreakReason::Lost }
}

fn chunk(json: String, event: Option<&str>, finish: bool) -> Chunk {
    Chunk {
        json: json.into(),
        event: event.map(Into::into),
        text_size: Default::default(),
        finish,
        has_choices: true,
        has_usage_member: false,
        usage: UsageSeen::Absent,
    }
}

/// The events of a stream, each of which is called what its `type` says.
fn events(out: &BytesMut) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    assert!(text.ends_with("\n\n"), "{text:?}");
    let blocks = text.trim_end().split("\n\n").filter(|block| !block.starts_with(": "));
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').expect("a name and data");
        let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), json["type"].as_str());
        json
    };
    blocks.map(event).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

fn made(form: ChatForm) -> Result<Form, String> {
    match form {
        ChatForm::Made(form) => Ok(form),
        ChatForm::Inexpressible(what) => Err(what.param),
        other => panic!("{other:?}"),
    }
}
