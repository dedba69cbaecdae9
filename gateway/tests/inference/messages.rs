//! Anthropic's Messages: its clients on any provider, and any client on Anthropic.

use std::time::Duration;

use bytes::Bytes;
use gateway::chat::Ending;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{KEY, Read, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}"#;

async fn of(kinds: &[&'static str]) -> World {
    World::with(Setup { kinds: kinds.to_vec(), ..Setup::default() }).await
}

fn said(rest: &str) -> String {
    format!(
        r#"{{"model":"chatty","max_tokens":100,"messages":[{{"role":"user","content":"hello there"}}]{rest}}}"#
    )
}

fn asking(world: &World, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request =
        world.request("POST", path).header("x-api-key", KEY).header("anthropic-version", "2023-06-01");
    request.body(Full::new(body.into())).unwrap()
}

async fn message(world: &World, rest: &str) -> Read {
    world.read(asking(world, "/v1/messages", said(rest))).await
}

/// Names and data of all events: each has both, the name is the data's type, and between them there are only comments.
fn told(read: &Read) -> Vec<(String, Value)> {
    assert!(read.text.ends_with("\n\n"), "{:?}", read.text);
    let blocks = read.text.trim_end().split("\n\n").filter(|block| !block.starts_with(": "));
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("no name: {block}"));
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).unwrap();
        assert_eq!(data["type"], json!(name));
        (name, data)
    };
    blocks.map(event).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// An event as Anthropic sends it.
fn piece(json: &str) -> Piece {
    let name: Value = serde_json::from_str(json).unwrap();
    let name = name["type"].as_str().unwrap();
    Piece::Bytes(format!("event: {name}\ndata: {json}\n\n").into())
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up-0","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":1,"service_tier":"standard"}}}"#;
const BEGIN: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const TEXT: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"abcdefgh"}}"#;
const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const LAST: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#;
const OVER: &str = r#"{"type":"message_stop"}"#;

fn anthropic_stream() -> Script {
    let ping = r#"{"type":"ping"}"#;
    stream([START, BEGIN, ping, TEXT, STOP, LAST, OVER].map(piece).to_vec())
}

fn anthropic_whole(text: &str) -> String {
    format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"up-0","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":5}},"x":1.0}}"#
    )
}

#[tokio::test]
async fn a_client_of_messages_is_served_by_who_speaks_chat() {
    let world = of(&["deepseek"]).await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = message(&world, r#","system":"be kind","stop_sequences":["x"]"#).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert_eq!(
        read.json(),
        json!({
            "id": "msg_c1", "type": "message", "role": "assistant", "model": "chatty",
            "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
                "output_tokens": 5, "cost": "0.0000164", "cost_currency": "CNY"},
        })
    );
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.0000164");
    assert!(read.header("request-id").starts_with("req_"));
    let seen = world.upstream().last();
    assert_eq!(
        seen.body,
        json!({
            "model": "up-0", "max_tokens": 100, "stop": ["x"],
            "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello there"}],
        })
    );
    assert!(!seen.headers.contains_key("anthropic-version"));
    let outcome = world.till.all_settled().await;
    assert_eq!(outcome.usage.unwrap().total().0, 15);
    world.till.assert_each_hold_ended_once("messages on chat");
    assert!(world.counted(r#"tollgate_requests_total{model="chatty",outcome="ok",route="messages"}"#));
}

#[tokio::test]
async fn who_wants_no_thinking_gets_none_or_is_told() {
    let off = r#","thinking":{"type":"disabled"}"#;
    for (kind, upstream_model, member, said) in [
        ("dashscope", "qwen3.8-max", "enable_thinking", json!(false)),
        ("deepseek", "deepseek-flash", "thinking", json!({"type": "disabled"})),
        ("zai", "glm-5.3", "thinking", json!({"type": "disabled"})),
        ("volcengine", "doubao-seed-2-1-pro-260915", "thinking", json!({"type": "disabled"})),
        ("mistral", "mistral-small-latest", "reasoning_effort", json!("none")),
    ] {
        let world = World::with(Setup { kinds: vec![kind], upstream_model, ..Setup::default() }).await;
        world.upstream().will(answer(200, whole("hi", USAGE)));
        let read = message(&world, off).await;
        assert_eq!((read.status, read.header("x-tollgate-adjusted")), (200, ""), "{kind}: {}", read.text);
        assert_eq!(world.upstream().last().body[member], said, "{kind}");
    }
    let world = of(&["openai"]).await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = message(&world, off).await;
    assert_eq!((read.status, read.header("x-tollgate-adjusted")), (200, "thinking"), "no word is known");
    let sent = world.upstream().last().body;
    assert_eq!((sent.get("thinking"), sent.get("reasoning_effort")), (None, None), "it might be refused");
}

#[tokio::test]
async fn a_chats_stream_is_told_as_messages() {
    let world = of(&["openai"]).await;
    let thought = chunk("").replace(r#""content":"""#, r#""reasoning_content":"hm""#);
    let call = |rest: &str| chunk("").replace(r#""content":"""#, &format!(r#""tool_calls":[{rest}]"#));
    world.upstream().will(events(&[
        &thought,
        &chunk("你好"),
        &call(r#"{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}"#),
        &call(r#"{"index":0,"function":{"arguments":"{\"a\":"}}"#),
        &call(r#"{"index":0,"function":{"arguments":"1}"}}"#),
        &FINISH.replace("stop", "tool_calls"),
        &usage_chunk(10, 5),
        "[DONE]",
    ]));
    let tools = r#","stream":true,"tools":[{"name":"f","input_schema":{"type":"object","a":1.0}}],"tool_choice":{"type":"any"}"#;
    let read = message(&world, tools).await;
    let events = told(&read);
    assert_eq!(
        names(&events),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(events[0].1["message"]["model"], "chatty");
    assert_eq!(events[2].1["delta"], json!({"type": "thinking_delta", "thinking": "hm"}));
    assert_eq!(events[5].1["delta"], json!({"type": "text_delta", "text": "你好"}));
    assert_eq!(
        events[7].1["content_block"],
        json!({"type": "tool_use", "id": "call_1", "name": "f", "input": {}})
    );
    assert_eq!(events[9].1["delta"], json!({"type": "input_json_delta", "partial_json": "1}"}));
    assert_eq!(events[11].1["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
    assert_eq!(events[11].1["usage"]["output_tokens"], 5);
    assert_eq!(events[11].1["usage"]["input_tokens"], 10);
    assert_eq!(events[11].1["usage"]["cost"], "0.00002");
    assert!(read.text.contains(": tollgate cost-cny=0.00002"));
    assert!(world.upstream().last().raw.contains(r#""parameters":{"type":"object","a":1.0}"#));
    assert_eq!(world.upstream().last().body["tool_choice"], "required");
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
    world.till.assert_each_hold_ended_once("stream");
}

#[tokio::test]
async fn a_client_of_messages_and_anthropic_talk_in_their_own_bytes() {
    let world = of(&["anthropic"]).await;
    let text = anthropic_whole("hi");
    world.upstream().will(answer(200, format!("\n{text}")));
    let sent =
        said(r#","temperature":1e-7,"thinking":{"type":"adaptive"},"new":{"b":1.0,"a":9007199254740993}"#);
    let request = world
        .request("POST", "/v1/messages")
        .header("authorization", format!("Bearer {KEY}"))
        .header("anthropic-version", "2024-02-29")
        .header("anthropic-beta", "one-2026,two-2026")
        .header("anthropic-beta", "three-2026")
        .header("cookie", "secret")
        .body(Full::new(sent.clone().into()))
        .unwrap();
    let read = world.read(request).await;
    assert_eq!((read.status, read.text.as_str()), (200, text.as_str()));
    let seen = world.upstream().last();
    assert_eq!(seen.raw, sent.replace("chatty", "up-0"));
    assert_eq!(seen.headers["x-api-key"], "upstream-key");
    assert_eq!(seen.headers["anthropic-version"], "2024-02-29");
    let betas: Vec<_> = seen.headers.get_all("anthropic-beta").iter().collect();
    assert_eq!(betas, ["one-2026,two-2026", "three-2026"]);
    assert!(!seen.headers.contains_key("cookie") && !seen.headers.contains_key("authorization"));
    let usage = world.till.all_settled().await.usage.unwrap();
    assert_eq!((usage.input.0, usage.cached_input.0, usage.output.0), (6, 4, 5));

    // In a stream everything passes but the end, which says what was charged.
    world.upstream().will(anthropic_stream());
    let read = message(&world, r#","stream":true"#).await;
    assert_eq!(world.upstream().last().headers["anthropic-version"], "2023-06-01");
    for json in [START, BEGIN, TEXT, STOP] {
        assert!(read.text.contains(&format!("\ndata: {json}\n\n")), "{}", read.text);
    }
    let events = told(&read);
    assert_eq!(
        names(&events),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[4].1["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!(
        events[4].1["usage"],
        json!({"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 5,
            "service_tier": "standard", "cost": "0.0000164", "cost_currency": "CNY"})
    );
    let usage = world.till.all_settled().await.usage.unwrap();
    assert_eq!((usage.input.0, usage.cached_input.0, usage.output.0), (6, 4, 5));
    world.till.assert_each_hold_ended_once("native");
}

#[tokio::test]
async fn a_chat_client_is_served_by_anthropic() {
    let world = of(&["anthropic"]).await;
    world.upstream().will(answer(200, anthropic_whole("hi")));
    let read = world.chat(body(r#","temperature":0.5,"stop":"x""#)).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let completion = read.json();
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["created"], 1_800_000_000);
    assert_eq!(completion["choices"][0]["message"]["content"], "hi");
    assert_eq!(completion["usage"]["prompt_tokens"], 10);
    assert_eq!(completion["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    let seen = world.upstream().last();
    assert_eq!(
        seen.body,
        json!({
            "model": "up-0", "max_tokens": 4096, "stop_sequences": ["x"], "temperature": 0.5,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}],
        })
    );
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen.headers["x-api-key"], "upstream-key");
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);

    world.upstream().will(anthropic_stream());
    let read = world.chat(body(r#","stream":true,"stream_options":{"include_usage":true}"#)).await;
    assert_eq!(read.spoken(), "abcdefgh");
    let events = read.events();
    assert_eq!(events.last().unwrap(), "[DONE]");
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(10)));
    assert_eq!(usage["usage"]["cost"], "0.0000164");
    let finish: Value = serde_json::from_str(&events[events.len() - 3]).unwrap();
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert!(!world.upstream().last().raw.contains("stream_options"));
    world.till.assert_each_hold_ended_once("chat on anthropic");
}

#[tokio::test]
async fn another_provider_is_asked_in_its_own_words_before_the_first_byte() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let fails = |streaming: bool| {
        let inside = if streaming { stream(vec![piece(overloaded)]) } else { answer(200, overloaded) };
        let begun = if streaming { stream(vec![piece(START), piece(overloaded)]) } else { inside.clone() };
        [begun, answer(529, overloaded), answer(401, "{}"), answer(429, "{}"), inside, answer(200, "<html>")]
    };
    for streaming in [false, true] {
        for fail in fails(streaming) {
            let rest = if streaming { r#","stream":true"# } else { "" };
            let (first, second) =
                (of(&["anthropic", "deepseek"]).await, of(&["deepseek", "anthropic"]).await);
            first.upstream().will(fail.clone());
            second.upstream().will(answer(503, ""));
            if streaming {
                first.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
                second.upstreams[1].will(anthropic_stream());
            } else {
                first.upstreams[1].will(answer(200, whole("hi", USAGE)));
                second.upstreams[1].will(answer(200, anthropic_whole("hi")));
            }
            let told_in_messages = message(&first, rest).await;
            assert_eq!(
                told_in_messages.header("x-tollgate-provider"),
                "p1",
                "{fail:?}: {}",
                told_in_messages.text
            );
            let text = if streaming { r#""text":"hi""# } else { r#"[{"type":"text","text":"hi"}]"# };
            assert!(told_in_messages.text.contains(text), "{}", told_in_messages.text);
            let native = message(&second, rest).await;
            assert_eq!((native.status, native.header("x-tollgate-attempts")), (200, "2"), "{}", native.text);
            for world in [first, second] {
                assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
                world.till.assert_each_hold_ended_once("failover");
            }
        }
    }
}

#[tokio::test]
async fn what_one_wire_cannot_say_another_may() {
    let world = of(&["anthropic", "openai"]).await;
    world.upstreams[1].will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body(r#","logprobs":true"#)).await;
    assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{}", read.text);
    assert_eq!(world.upstreams[0].calls(), 0);

    let alone = of(&["anthropic"]).await;
    let read = alone.chat(body(r#","n":2"#)).await;
    assert_eq!(
        (read.status, read.error("code"), read.error("param")),
        (400, json!("unsupported_parameter"), json!("n"))
    );
    assert_eq!((alone.upstream().calls(), alone.till.all_settled().await.usage), (0, None));

    // The other way round it is known before anybody is asked.
    let chat = of(&["openai"]).await;
    let read = message(&chat, r#","container":"c""#).await;
    assert_eq!(
        (read.status, read.error("code"), read.error("param")),
        (400, json!("unsupported_parameter"), json!("container"))
    );
    assert_eq!(read.error("type"), "invalid_request_error");
}

#[tokio::test]
async fn a_cut_answer_ends_in_an_error_and_not_in_a_stop() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let begun = || [START, BEGIN, TEXT].map(piece).to_vec();
    let with = |last: Vec<Piece>| stream(begun().into_iter().chain(last).collect());
    let cuts = [
        with(vec![Piece::Cut]),
        with(vec![]),
        with(vec![piece(STOP), piece(OVER)]),
        with(vec![piece(error)]),
        with(vec![Piece::Bytes("data: <garbage>\n\n".into())]),
        with(vec![Piece::Stall]),
    ];
    for script in cuts {
        let setup = |kind| Setup {
            kinds: vec![kind],
            first_byte_max: Duration::from_millis(300),
            idle_max: Duration::from_millis(300),
            ..Setup::default()
        };
        let world = World::with(setup("anthropic")).await;
        world.upstream().will(script.clone());
        let read = message(&world, r#","stream":true"#).await;
        let events = told(&read);
        assert_eq!(names(&events)[..3], ["message_start", "content_block_start", "content_block_delta"]);
        let (name, last) = events.last().unwrap();
        assert_eq!(name, "error", "{script:?}: {}", read.text);
        assert!(last["error"]["message"].is_string() && last["request_id"].is_string(), "{last}");
        assert!(!read.text.contains("message_stop") && !read.text.contains("message_delta"));
        let outcome = world.till.all_settled().await;
        let usage = outcome.usage.unwrap();
        assert_eq!((outcome.ending, outcome.estimated), (Ending::BrokeOff, true));
        assert_eq!(
            (usage.input.0, usage.cached_input.0, usage.output.0),
            (6, 4, 2),
            "the prompt as it was told"
        );

        let world = World::with(setup("anthropic")).await;
        world.upstream().will(script.clone());
        let read = world.chat(body(r#","stream":true"#)).await;
        assert_eq!(read.spoken(), "abcdefgh");
        assert!(!read.text.contains("[DONE]") && read.events().last().unwrap().contains(r#"{"error":{"#));
        world.till.all_settled().await;
        world.till.assert_each_hold_ended_once("cut");
    }
    let world = of(&["openai"]).await;
    world
        .upstream()
        .will(stream(vec![Piece::Bytes(format!("data: {}\n\n", chunk("abcdefgh")).into()), Piece::Cut]));
    let read = message(&world, r#","stream":true"#).await;
    assert_eq!(names(&told(&read)), ["message_start", "content_block_start", "content_block_delta", "error"]);
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("cut chat");
}

#[tokio::test]
async fn hanging_up_is_settled_with_the_prompt_as_it_was_told() {
    for path in ["/v1/messages", "/v1/chat/completions"] {
        let world = of(&["anthropic"]).await;
        world.upstream().will(stream(vec![piece(START), piece(BEGIN), piece(TEXT), Piece::Stall]));
        let mut answer = world.send(asking(&world, path, said(r#","stream":true"#))).await;
        let mut heard = String::new();
        while !heard.contains("abcdefgh") {
            let frame = answer.body_mut().frame().await.unwrap().unwrap();
            heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        drop(answer);
        let outcome = world.till.all_settled().await;
        world.upstream().until_cancelled().await;
        assert_eq!((outcome.ending, outcome.estimated), (Ending::HungUp, true));
        let usage = outcome.usage.unwrap();
        assert_eq!((usage.input.0, usage.cached_input.0, usage.output.0), (6, 4, 2));
        world.till.assert_each_hold_ended_once(path);
    }
}

#[tokio::test]
async fn a_spend_cap_is_no_rate_limit() {
    let limited = r#"{"type":"error","error":{"type":"rate_limit_error","message":"no"}}"#;
    let world = of(&["anthropic"]).await;
    world.upstream().will(answer(429, limited));
    let read = message(&world, "").await;
    assert_eq!((read.status, read.header("x-should-retry")), (503, "false"));
    assert!(world.counted(r#"tollgate_upstream_alarms_total{provider="p0",reason="out_of_funds"}"#));
    let world = of(&["anthropic"]).await;
    let headers = vec![("retry-after", "7".to_owned())];
    world.upstream().will(Script::Answer { status: 429, headers, body: limited.to_owned() });
    let read = message(&world, "").await;
    assert_eq!((read.status, read.header("x-should-retry"), read.header("retry-after")), (503, "true", "7"));
    assert_eq!(read.error("type"), "overloaded_error");
}

#[tokio::test]
async fn every_refusal_has_anthropics_shape() {
    let world = of(&["openai"]).await;
    let post = |path: &str, body: &str| asking(&world, path, body.to_owned());
    let without_key = |path: &str| world.request("POST", path).body(Full::new(said("").into())).unwrap();
    let unknown = said("").replace("chatty", "chaty");
    let cases = [
        (without_key("/v1/messages"), 401, "authentication_error", "invalid_api_key", None),
        (without_key("/v1/messages/count_tokens"), 401, "authentication_error", "invalid_api_key", None),
        (post("/v1/messages", "{"), 400, "invalid_request_error", "invalid_json", None),
        (post("/v1/messages", &"x".repeat(200_000)), 413, "request_too_large", "request_too_large", None),
        (post("/v1/messages", &unknown), 404, "not_found_error", "model_not_found", Some("model")),
        (
            post("/v1/messages/count_tokens", &unknown),
            404,
            "not_found_error",
            "model_not_found",
            Some("model"),
        ),
        (post("/v1/messages/batches", "{}"), 404, "not_found_error", "unknown_url", None),
        (
            post("/v1/messages", r#"{"model":"chatty","messages":[{"role":"user","content":"x"}]}"#),
            400,
            "invalid_request_error",
            "missing_required_parameter",
            Some("max_tokens"),
        ),
        (
            post("/v1/messages", &said(r#","system":[{"type":"text","text":7}]"#)),
            400,
            "invalid_request_error",
            "invalid_type",
            Some("system[0].text"),
        ),
        (
            post(
                "/v1/messages/count_tokens",
                r#"{"model":"chatty","messages":[{"role":"robot","content":"x"}]}"#,
            ),
            400,
            "invalid_request_error",
            "invalid_value",
            Some("messages[0].role"),
        ),
        (
            post("/v1/messages", &said(r#","speed":"fast""#)),
            400,
            "invalid_request_error",
            "unsupported_parameter",
            Some("speed"),
        ),
        (
            post("/v1/messages", &said("").replace("chatty", "embedder")),
            400,
            "invalid_request_error",
            "wrong_endpoint",
            Some("model"),
        ),
    ];
    for (request, status, kind, code, param) in cases {
        let read = world.read(request).await;
        let error = read.json();
        assert_eq!((read.status, &error["type"]), (status, &json!("error")), "{error}");
        assert_eq!(
            (&error["error"]["type"], &error["error"]["code"]),
            (&json!(kind), &json!(code)),
            "{error}"
        );
        assert_eq!(error["error"]["param"].as_str(), param, "{error}");
        assert_eq!(error["request_id"].as_str().unwrap(), read.header("request-id"));
    }
    let get = world.request("GET", "/v1/messages").body(Full::default()).unwrap();
    let read = world.read(get).await;
    assert_eq!(
        (read.status, read.header("allow"), read.json()["type"].clone()),
        (405, "POST", json!("error"))
    );
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    assert_eq!(world.upstream().calls(), 0);
}

#[tokio::test]
async fn prompts_are_counted_for_nothing() {
    let world = of(&["anthropic"]).await;
    let count = |body: String| world.read(asking(&world, "/v1/messages/count_tokens", body));
    let words = "word ".repeat(400);
    let read =
        count(format!(r#"{{"model":"chatty","messages":[{{"role":"user","content":"{words}"}}]}}"#)).await;
    assert_eq!((read.status, read.header("content-type")), (200, "application/json"), "{}", read.text);
    let tokens = read.json()["input_tokens"].as_u64().unwrap();
    assert!((400..700).contains(&tokens), "{tokens}");
    assert_eq!(read.json().as_object().unwrap().len(), 1);
    assert_eq!(read.header("x-ratelimit-remaining-requests"), "599");
    let photo = "A".repeat(40_000);
    let image = format!(
        r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{photo}"}}}}"#
    );
    let read =
        count(format!(r#"{{"model":"chatty","messages":[{{"role":"user","content":[{image}]}}]}}"#)).await;
    assert!(read.json()["input_tokens"].as_u64().unwrap() < 1_200, "{}", read.text);
    // What chat providers cannot say can be counted.
    assert_eq!(count(said(r#","container":"c""#)).await.status, 200);
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing is held");
    assert_eq!(world.upstream().calls(), 0);
}
