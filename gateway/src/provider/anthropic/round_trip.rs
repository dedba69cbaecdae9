//! What is said in one wire and said back in it again is what was said.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use units::{NanoCny, RequestId, Timestamp, Tokens, Usage};

use super::{Able, ChunksEar, request};
use crate::{
    chat::{ChatForm, Form, UsageSeen},
    dialect::{self, messages},
    meter::{Bill, Settled},
    provider::{
        Scanner,
        ear::{Ear, Heard},
    },
};

fn as_chat(body: &Value) -> ChatForm {
    let body = Bytes::from(body.to_string());
    messages::read(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body))).chat
}

fn made(form: ChatForm) -> Form {
    match form {
        ChatForm::Made(form) => form,
        other => panic!("{other:?}"),
    }
}

fn as_messages(form: &Form) -> Value {
    let sent = request(form, "m", false, Tokens(100), Able(None)).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("你好\n\"😀\"\\".to_owned()), Just("\u{2028}\u{0}x".to_owned()), "[ -~]{1,12}"]
}

fn image() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[A-Za-z0-9+/]{4,12}".prop_map(|data| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})),
        "[a-z]{1,8}".prop_map(|name| json!({"type": "image", "source": {"type": "url", "url": format!("https://x/{name}")}})),
    ]
}

fn block() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(|text| json!({"type": "text", "text": text})), image()]
}

/// One round: what the user says, what the assistant says, which tools it calls, and what they give back.
type Round = (Vec<Value>, Vec<String>, Vec<Vec<Value>>);

fn round() -> impl Strategy<Value = Round> {
    let blocks = || prop::collection::vec(block(), 1..4);
    (blocks(), prop::collection::vec(text(), 1..3), prop::collection::vec(blocks(), 0..3))
}

/// A conversation, and the same as it comes back: texts of an assistant as one, pictures of results behind them.
fn conversation(rounds: &[Round]) -> (Vec<Value>, Vec<Value>) {
    let (mut said, mut expected) = (Vec::new(), Vec::new());
    let (mut results, mut moved): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut told: Vec<Value> = Vec::new();
    for (n, (user, texts, calls)) in rounds.iter().enumerate() {
        let sent: Vec<Value> = told.drain(..).chain(user.iter().cloned()).collect();
        said.push(json!({"role": "user", "content": sent}));
        let back: Vec<Value> = results.drain(..).chain(moved.drain(..)).chain(user.iter().cloned()).collect();
        expected.push(json!({"role": "user", "content": back}));
        let mut blocks: Vec<Value> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
        let mut joined = vec![json!({"type": "text", "text": texts.concat()})];
        for (k, content) in calls.iter().enumerate() {
            let id = format!("toolu_{n}_{k}");
            let call = json!({"type": "tool_use", "id": id, "name": "f", "input": {"k": k, "x": texts}});
            blocks.push(call.clone());
            joined.push(call);
            told.push(json!({"type": "tool_result", "tool_use_id": id, "content": content}));
            let (pictures, texts): (Vec<Value>, Vec<Value>) =
                content.iter().cloned().partition(|block| block["type"] == "image");
            let texts = if texts.is_empty() {
                vec![json!({"type": "text", "text": "(see the next message)"})]
            } else {
                texts
            };
            results.push(json!({"type": "tool_result", "tool_use_id": id, "content": texts}));
            moved.extend(pictures);
        }
        said.push(json!({"role": "assistant", "content": blocks}));
        expected.push(json!({"role": "assistant", "content": joined}));
    }
    if !told.is_empty() {
        said.push(json!({"role": "user", "content": told}));
        let back: Vec<Value> = results.into_iter().chain(moved).collect();
        expected.push(json!({"role": "user", "content": back}));
    }
    (said, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_comes_back_with_its_texts_tools_and_pictures_in_order(
        rounds in prop::collection::vec(round(), 1..4),
        system in prop::collection::vec(text(), 0..3),
        stops in prop::collection::vec("[a-z]{1,3}", 0..3),
    ) {
        let (said, expected) = conversation(&rounds);
        let system: Vec<Value> = system.iter().map(|text| json!({"type": "text", "text": text})).collect();
        let schema = json!({"type": "object", "properties": {"z": {"type": "number"}, "a": {}}});
        let mut body = json!({
            "model": "m", "max_tokens": 100, "messages": said, "temperature": 0.25, "top_k": 7,
            "metadata": {"user_id": "u"}, "stop_sequences": stops,
            "tools": [{"name": "f", "description": "d", "input_schema": schema, "strict": true}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            "output_config": {"format": {"type": "json_schema", "schema": schema}, "effort": "low"},
        });
        if !system.is_empty() {
            body["system"] = json!(system);
        }
        let back = as_messages(&made(as_chat(&body)));
        prop_assert_eq!(&back["messages"], &json!(expected));
        let mut same = vec!["model", "max_tokens", "tools", "tool_choice", "metadata", "output_config", "system"];
        if !stops.is_empty() {
            same.push("stop_sequences");
        }
        for name in same {
            prop_assert_eq!(&back[name], &body[name], "{}", name);
        }
    }

    #[test]
    fn an_answer_comes_back_with_its_texts_tools_end_and_usage_however_it_is_cut(
        (chunks, expected) in answer(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let events = messages::events(&chunks, &bill());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(events.len())).collect();
        at.extend([0, events.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &events[ends[0]..ends[1]]).collect();
        prop_assert_eq!(&Told::of(&pieces), &expected);
    }
}

#[test]
fn an_answer_comes_back_from_every_cut() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
    };
    let call = |arguments: &str| json!({"index": 0, "id": "call_1", "function": {"name": "f", "arguments": arguments}});
    let chunks = [
        chunk(json!({"reasoning_content": "嗯"}), Value::Null),
        chunk(json!({"content": "你好😀"}), Value::Null),
        chunk(json!({"tool_calls": [call("{}")]}), json!("tool_calls")),
    ];
    let events = messages::events(&chunks, &bill());
    let expected = Told {
        text: "你好😀".to_owned(),
        thought: "嗯".to_owned(),
        tools: vec![("call_1".to_owned(), "f".to_owned(), "{}".to_owned())],
        finish: "tool_calls".to_owned(),
        usage: bill().usage,
        done: true,
    };
    for at in 0..events.len() {
        let (a, b) = events.split_at(at);
        assert_eq!(Told::of(&[a, b]), expected, "cut at {at}");
    }
}

/// What a client has heard.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    text: String,
    thought: String,
    tools: Vec<(String, String, String)>,
    finish: String,
    usage: Option<Usage>,
    done: bool,
}

impl Told {
    fn of(pieces: &[&[u8]]) -> Self {
        let (mut scanner, mut ear) = (Scanner::default(), ChunksEar::new(1));
        let mut heard = VecDeque::new();
        for piece in pieces {
            scanner.push(piece).unwrap();
            while let Some(event) = scanner.next_event() {
                ear.hear(event, &mut heard);
            }
        }
        let mut told = Self::default();
        for heard in heard {
            match heard {
                Heard::Chunk { chunk, .. } => {
                    if let UsageSeen::Counted { usage, .. } = chunk.usage {
                        told.usage = Some(usage);
                    }
                    told.chunk(&serde_json::from_slice(&chunk.json).unwrap());
                }
                Heard::Done => told.done = true,
                other => panic!("{other:?}"),
            }
        }
        told
    }

    fn chunk(&mut self, chunk: &Value) {
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let str = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.text.push_str(&str(&delta["content"]));
        self.thought.push_str(&str(&delta["reasoning_content"]));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == self.tools.len() {
                self.tools.push((str(&call["id"]), str(&call["function"]["name"]), String::new()));
            }
            self.tools[index].2.push_str(&str(&call["function"]["arguments"]));
        }
        self.finish.push_str(&str(&choice["finish_reason"]));
    }
}

fn bill() -> Bill {
    let count = |n| Tokens(n);
    let usage = Usage {
        input: count(11),
        cached_input: count(5),
        cache_write: count(3),
        output: count(7),
        reasoning: count(2),
        ..Usage::default()
    };
    Bill {
        request: RequestId::new(Timestamp::from_secs(1)),
        usage: Some(usage),
        estimated: false,
        raw: None,
        settled: Settled { cost: NanoCny::ZERO, balance: NanoCny::ZERO },
        continued_by: None,
    }
}

/// Chunks of a chat: thoughts, text, calls told one after the other or at once, an end; and what they come to.
fn answer() -> impl Strategy<Value = (Vec<String>, Told)> {
    let call = prop_oneof![
        Just(String::new()),
        text().prop_map(|text| json!({"q": text, "n": 1.5, "deep": [{"}": "{"}]}).to_string())
    ];
    let calls = prop::collection::vec(call, 0..4);
    let parts = || prop::collection::vec(text(), 0..3);
    let finish = prop_oneof![Just("stop"), Just("length"), Just("content_filter")];
    (parts(), parts(), calls, 1_usize..5, any::<bool>(), finish).prop_map(
        |(thoughts, texts, calls, step, at_once, finish)| {
            let finish = if calls.is_empty() { finish } else { "tool_calls" };
            let chunk = |delta: Value, finish: Value| {
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
                .to_string()
            };
            let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
            chunks.extend(thoughts.iter().map(|text| chunk(json!({"reasoning_content": text}), Value::Null)));
            chunks.extend(texts.iter().map(|text| chunk(json!({"content": text}), Value::Null)));
            // By call, its first delta and then its arguments in steps.
            let mut deltas: Vec<VecDeque<Value>> = Vec::new();
            for (index, arguments) in calls.iter().enumerate() {
                let function = json!({"name": format!("f{index}"), "arguments": ""});
                let first = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function});
                let letters: Vec<char> = arguments.chars().collect();
                let parts = letters.chunks(step).map(|part| {
                    json!({"index": index, "function": {"arguments": part.iter().collect::<String>()}})
                });
                deltas.push(std::iter::once(first).chain(parts).collect());
            }
            while deltas.iter().any(|deltas| !deltas.is_empty()) {
                for deltas in &mut deltas {
                    let now = if at_once { 1 } else { usize::MAX };
                    for _ in 0..now {
                        let Some(delta) = deltas.pop_front() else { break };
                        chunks.push(chunk(json!({"tool_calls": [delta]}), Value::Null));
                    }
                }
            }
            chunks.push(chunk(json!({}), json!(finish)));
            let tools = calls.iter().enumerate().map(|(index, arguments)| {
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                (format!("call_{index}"), format!("f{index}"), arguments.to_owned())
            });
            let told = Told {
                text: texts.concat(),
                thought: thoughts.concat(),
                tools: tools.collect(),
                finish: finish.to_owned(),
                usage: bill().usage,
                done: true,
            };
            (chunks, told)
        },
    )
}

/// Everywhere an object of the wire stands in `value`, one more member; what is the client's own is left alone.
fn with_one_more(value: &Value, own: &[&str]) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            let mut more: Map<String, Value> = members.clone();
            more.insert("zzz".to_owned(), json!(1));
            all.push(Value::Object(more));
            for (name, inner) in members.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
                for inner in with_one_more(inner, own) {
                    let mut changed = members.clone();
                    changed.insert(name.clone(), inner);
                    all.push(Value::Object(changed));
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for item in with_one_more(item, own) {
                    let mut changed = items.clone();
                    changed[place] = item;
                    all.push(Value::Array(changed));
                }
            }
        }
        _ => {}
    }
    all
}

/// A member that nobody knows, at any place, lands in the form or is named: it is never lost.
#[test]
fn nothing_that_messages_say_is_lost_silently() {
    let body = json!({
        "model": "m", "max_tokens": 9,
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "t"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
                {"type": "image", "source": {"type": "url", "url": "u"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "t"}]}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "metadata": {"user_id": "u"},
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
    });
    let all = with_one_more(&body, &["input", "input_schema", "schema"]);
    assert!(all.len() > 25, "{}", all.len());
    for changed in all {
        match as_chat(&changed) {
            ChatForm::Made(form) => assert!(form.member("zzz").is_some(), "{changed}"),
            ChatForm::Inexpressible(what) => assert!(what.param.ends_with(".zzz"), "{what}: {changed}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_that_a_chat_says_is_lost_silently() {
    let body = json!({
        "model": "m", "max_tokens": 9,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [{"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "u"}},
                {"type": "file", "file": {"filename": "f", "file_data": "data:application/pdf;base64,QQ=="}}]},
            {"role": "assistant", "content": "x", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    });
    let all = with_one_more(&body, &["parameters", "schema"]);
    assert!(all.len() > 18, "{}", all.len());
    for changed in all {
        let bytes = Bytes::from(changed.to_string());
        let form = dialect::chat::read(&bytes).unwrap().native;
        let unsaid = request(&form, "m", false, Tokens(9), Able(None)).expect_err(&changed.to_string());
        assert!(unsaid.param.ends_with("zzz"), "{unsaid}: {changed}");
    }
}
