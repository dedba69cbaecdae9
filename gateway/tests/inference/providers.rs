//! Is every provider read as it speaks? Each has its own words in `tests/fixtures/providers/KIND`: an answer in one piece, a
//! stream, a call of a tool, an error, and what a client is to see of it and what it costs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use gateway::chat::Outcome;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    upstream::{Piece, Script, answer, stream},
    world::{Read, Setup, World, body},
};

#[derive(Debug, Deserialize)]
struct Used {
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
}

#[derive(Debug, Deserialize)]
struct Failure {
    /// The provider's.
    status: u16,
    /// How the attempt went, in the books' words.
    result: String,
    client_status: u16,
    client_code: String,
}

#[derive(Debug, Deserialize)]
struct Expected {
    /// What the provider calls the model.
    model: String,
    text: String,
    reasoning: Option<String>,
    tool_call: Value,
    used: Used,
    error: Failure,
}

/// The words of one provider.
struct Fixture {
    kind: &'static str,
    files: BTreeMap<String, String>,
    expected: Expected,
}

impl Fixture {
    fn all() -> Vec<Self> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/providers"));
        let kinds = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: PathBuf| {
            let files: BTreeMap<String, String> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|file| {
                    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                    (name, fs::read_to_string(file).unwrap())
                })
                .collect();
            let expected = serde_json::from_str(&files["expected.json"])
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let kind = path.file_name().unwrap().to_str().unwrap().to_owned();
            Self { kind: Box::leak(kind.into_boxed_str()), files, expected }
        };
        kinds.map(read).collect()
    }

    async fn world(&self) -> World {
        let upstream_model = Box::leak(self.expected.model.clone().into_boxed_str());
        World::with(Setup { kinds: vec![self.kind], upstream_model, ..Setup::default() }).await
    }

    /// The stream in this file, in pieces that respect nothing.
    fn stream(&self, file: &str) -> Script {
        let bytes = self.files[file].as_bytes();
        let pieces = bytes.chunks(61).map(|bytes| Piece::Bytes(bytes.to_vec().into())).collect();
        stream(pieces)
    }

    /// What was charged is what the provider counted.
    fn charges(&self, outcome: &Outcome, context: &str) {
        let (usage, expected) = (outcome.usage.unwrap(), &self.expected.used);
        assert!(!outcome.estimated, "{context}: it was counted");
        assert_eq!(
            [usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning].map(|n| n.0),
            [
                expected.input,
                expected.cached_input,
                expected.cache_write,
                expected.output,
                expected.reasoning
            ],
            "{context}"
        );
    }

    /// And what the client is told of it, as OpenAI says it.
    fn counts(&self, usage: &Value, context: &str) {
        let used = &self.expected.used;
        let prompt = used.input + used.cached_input + used.cache_write;
        assert_eq!(usage["prompt_tokens"], prompt, "{context}: {usage}");
        assert_eq!(usage["completion_tokens"], used.output, "{context}: {usage}");
        assert_eq!(usage["total_tokens"], prompt + used.output, "{context}: {usage}");
    }
}

/// The chunks of a stream, put together as SDKs do it: texts and arguments are added up, everything else is taken once.
#[derive(Debug, Default)]
struct Told {
    role: String,
    content: String,
    reasoning: String,
    calls: Vec<Value>,
    finish: Vec<String>,
    usage: Vec<Value>,
}

impl Told {
    fn of(read: &Read, context: &str) -> Self {
        let mut told = Self::default();
        let events = read.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{context}: {}", read.text);
        for event in &events[..events.len() - 1] {
            let event: Value = serde_json::from_str(event).unwrap();
            assert_eq!(event["object"], "chat.completion.chunk", "{context}: {event}");
            assert!(event["created"].is_u64() && event["id"].is_string(), "{context}: {event}");
            if let Some(usage) = event.get("usage").filter(|usage| !usage.is_null()) {
                told.usage.push(usage.clone());
            }
            for choice in event["choices"].as_array().unwrap_or_else(|| panic!("{context}: {event}")) {
                told.hear(choice, context);
            }
        }
        told
    }

    fn hear(&mut self, choice: &Value, context: &str) {
        let delta = choice["delta"].as_object().unwrap_or_else(|| panic!("{context}: {choice}"));
        let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        self.role.push_str(text("role"));
        self.content.push_str(text("content"));
        self.reasoning.push_str(text("reasoning_content"));
        assert!(delta.get("content").is_none_or(|it| it.is_string() || it.is_null()), "{context}: {choice}");
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().expect("an index")).unwrap();
            if index == self.calls.len() {
                self.calls.push(json!({"id": "", "type": "", "name": "", "arguments": ""}));
            }
            let known = &mut self.calls[index];
            let mut add = |name: &str, piece: Option<&Value>| {
                let piece = piece.map_or("", |piece| piece.as_str().expect("a text"));
                known[name] = json!(format!("{}{piece}", known[name].as_str().unwrap()));
            };
            add("id", call.get("id"));
            add("type", call.get("type"));
            add("name", call["function"].get("name"));
            add("arguments", call["function"].get("arguments"));
        }
        self.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
}

const STREAMING: &str = r#","stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]"#;

#[test]
fn every_provider_with_words_of_its_own_has_them_here() {
    let known: Vec<&str> = Fixture::all().iter().map(|fixture| fixture.kind).collect();
    for kind in [
        "openai",
        "azure",
        "anthropic",
        "gemini",
        "mistral",
        "deepseek",
        "dashscope",
        "dashscope-cn",
        "moonshot",
        "zai",
        "bigmodel",
        "minimax",
        "volcengine",
        "tencent",
        "siliconflow",
        "siliconflow-cn",
        "groq",
        "together",
        "fireworks",
        "xai",
        "openrouter",
        "vllm",
        "ollama",
        "llama-cpp",
        "openai-compatible",
    ] {
        assert!(known.contains(&kind), "{kind} has no fixtures");
    }
}

#[tokio::test]
async fn every_provider_is_read_as_it_counts() {
    for fixture in Fixture::all() {
        let (kind, expected) = (fixture.kind, &fixture.expected);
        let world = fixture.world().await;
        world.upstream().will(answer(200, fixture.files["whole.json"].as_str()));
        let read = world.chat(body("")).await;
        assert_eq!(read.status, 200, "{kind}: {}", read.text);
        let said = read.json();
        assert_eq!(said["object"], "chat.completion", "{kind}");
        let choice = &said["choices"][0];
        assert_eq!(choice["message"]["role"], "assistant", "{kind}");
        assert_eq!(choice["message"]["content"], expected.text, "{kind}: {said}");
        assert_eq!(
            choice["message"]["reasoning_content"].as_str(),
            expected.reasoning.as_deref(),
            "{kind}: {said}"
        );
        assert_eq!(choice["finish_reason"], "stop", "{kind}");
        fixture.counts(&said["usage"], kind);
        fixture.charges(&world.till.all_settled().await, kind);
    }
}

#[tokio::test]
async fn every_providers_stream_is_told_as_openai_tells_it() {
    for fixture in Fixture::all() {
        let (kind, expected) = (fixture.kind, &fixture.expected);
        let world = fixture.world().await;
        world.upstream().will(fixture.stream("stream.sse"));
        let read = world.chat(body(STREAMING)).await;
        assert_eq!(read.status, 200, "{kind}: {}", read.text);
        let told = Told::of(&read, kind);
        assert_eq!(
            (told.role.as_str(), &told.content),
            ("assistant", &expected.text),
            "{kind}: {}",
            read.text
        );
        assert_eq!(told.reasoning, expected.reasoning.clone().unwrap_or_default(), "{kind}: {}", read.text);
        assert_eq!((told.finish.as_slice(), told.usage.len()), (["stop".to_owned()].as_slice(), 1), "{kind}");
        fixture.counts(&told.usage[0], kind);
        fixture.charges(&world.till.all_settled().await, kind);
    }
}

#[tokio::test]
async fn every_providers_call_of_a_tool_is_told_as_openai_tells_it() {
    for fixture in Fixture::all() {
        let (kind, expected) = (fixture.kind, &fixture.expected.tool_call);
        let world = fixture.world().await;
        world.upstream().will(fixture.stream("tools.sse"));
        let read = world.chat(body(STREAMING)).await;
        assert_eq!(read.status, 200, "{kind}: {}", read.text);
        let told = Told::of(&read, kind);
        assert_eq!(told.calls.len(), 1, "{kind}: {}", read.text);
        let call = &told.calls[0];
        assert_eq!(
            (&call["id"], &call["type"], &call["name"]),
            (&expected["id"], &json!("function"), &expected["name"]),
            "{kind}: {}",
            read.text
        );
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, expected["arguments"], "{kind}");
        assert_eq!(told.finish, ["tool_calls"], "{kind}: {}", read.text);
        fixture.charges(&world.till.all_settled().await, kind);
    }
}

#[tokio::test]
async fn every_providers_error_is_understood_and_costs_nothing() {
    for fixture in Fixture::all() {
        let (kind, expected) = (fixture.kind, &fixture.expected.error);
        for rest in ["", STREAMING] {
            let world = fixture.world().await;
            world.upstream().will(answer(expected.status, fixture.files["error.json"].as_str()));
            let read = world.chat(body(rest)).await;
            assert_eq!(
                (read.status, read.error("code")),
                (expected.client_status, json!(expected.client_code)),
                "{kind}: {}",
                read.text
            );
            let outcome = world.till.all_settled().await;
            assert_eq!(outcome.usage, None, "{kind}");
            assert_eq!(json!(outcome.attempts[0].result), json!(expected.result), "{kind}");
        }
    }
}
