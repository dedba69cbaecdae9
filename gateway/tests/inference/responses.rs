//! `POST /v1/responses`: said on as a chat, or natively.

use bytes::Bytes;
use gateway::chat::Ending;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{KEY, Read, Setup, World},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
const RESPONSE: &str = r#"{"id":"resp_up","object":"response","status":"completed","error":null,"model":"up","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"odd":1e-7,"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}}"#;

async fn of(kinds: &[&'static str]) -> World {
    World::with(Setup { kinds: kinds.to_vec(), ..Setup::default() }).await
}

fn body(rest: &str) -> String {
    format!(r#"{{"model":"chatty","input":"hello there"{rest}}}"#)
}

fn request(world: &World, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    let request = world.request("POST", "/v1/responses").header("authorization", format!("Bearer {KEY}"));
    request.body(Full::new(body.into())).unwrap()
}

async fn ask(world: &World, body: impl Into<Bytes>) -> Read {
    world.post("/v1/responses", body).await
}

/// The events of a stream, each of which is called what its `type` says.
fn said(read: &Read) -> Vec<Value> {
    let blocks = read.text.trim_end().split("\n\n").filter(|block| !block.starts_with(": "));
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("{block:?}"));
        let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), json["type"].as_str());
        json
    };
    blocks.map(event).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

fn native(kind: &str, number: u64, rest: &str) -> String {
    format!(r#"{{"type":"{kind}","sequence_number":{number}{rest}}}"#)
}

fn begun() -> [String; 2] {
    [
        native("response.created", 0, r#","response":{"id":"resp_up","status":"in_progress","output":[]}"#),
        native("response.output_text.delta", 1, r#","item_id":"msg_1","delta":"abcdefgh","odd":1.0"#),
    ]
}

fn completed() -> String {
    native("response.completed", 2, &format!(r#","response":{RESPONSE}"#))
}

#[tokio::test]
async fn a_chat_upstream_answers_with_a_response() {
    let world = of(&["deepseek"]).await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read =
        ask(&world, body(r#","instructions":"be","max_output_tokens":100,"top_k":9007199254740993"#)).await;
    assert_eq!((read.status, read.header("content-type")), (200, "application/json"), "{}", read.text);
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.00002");
    let response = read.json();
    assert_eq!(
        (response["object"].clone(), response["status"].clone()),
        (json!("response"), json!("completed"))
    );
    assert_eq!(response["output"][0]["content"][0]["text"], "hi");
    assert_eq!((response["model"].clone(), response["store"].clone()), (json!("chatty"), json!(false)));
    assert_eq!(response["usage"]["input_tokens"], 10);
    assert_eq!(response["usage"]["cost"], "0.00002");
    let seen = world.upstream().last();
    assert_eq!(
        seen.body["messages"],
        json!([{ "role": "system", "content": "be" }, { "role": "user", "content": "hello there" }])
    );
    assert!(seen.raw.contains(r#""top_k":9007199254740993"#), "{}", seen.raw);
    assert_eq!(seen.body["max_tokens"], 100, "under this provider's name");
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
    world.till.assert_each_hold_ended_once("a whole response");
    assert!(world.counted(r#"tollgate_requests_total{model="chatty",outcome="ok",route="responses"}"#));
}

#[tokio::test]
async fn tools_pass_both_ways_in_a_stream() {
    let world = of(&["deepseek"]).await;
    let call = |call: Value| {
        json!({ "id": "c1", "choices": [{ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null }] }).to_string()
    };
    world.upstream().will(events(&[
        &call(json!({ "index": 0, "id": "call_9", "type": "function", "function": { "name": "f", "arguments": "{\"a\"" } })),
        &call(json!({ "index": 0, "function": { "arguments": ":1}" } })),
        &FINISH.replace("stop", "tool_calls"),
        &usage_chunk(10, 5),
        "[DONE]",
    ]));
    let tools = r#""tools":[{"type":"function","name":"f","parameters":{"type":"object","x":1.0}}]"#;
    let read = ask(&world, body(&format!(r#","stream":true,{tools}"#))).await;
    assert_eq!(read.header("content-type"), "text/event-stream; charset=utf-8");
    let events = said(&read);
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
    let response = &events[7]["response"];
    assert_eq!(response["output"][0]["call_id"], "call_9");
    assert_eq!(response["output"][0]["arguments"], "{\"a\":1}");
    assert_eq!(response["usage"]["cost"], "0.00002");
    assert!(!read.text.contains("[DONE]"));
    let seen = world.upstream().last();
    assert!(
        seen.raw.contains(
            r#"{"type":"function","function":{"name":"f","parameters":{"type":"object","x":1.0}}}"#
        )
    );
    assert_eq!(seen.body["stream_options"], json!({ "include_usage": true }));
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
    world.till.assert_each_hold_ended_once("a stream with tools");
}

#[tokio::test]
async fn an_upstream_that_speaks_responses_gets_the_clients_own_words() {
    let world = of(&["openai"]).await;
    world.upstream().will(answer(200, RESPONSE));
    let sent = r#"{"input":[{"role":"user","content":"h\u4f60"}],"model":"chatty","odd":{"b":1.0},"tools":[{"type":"custom","name":"c"}],"store":true}"#;
    let read = ask(&world, sent).await;
    assert_eq!((read.status, read.text.as_str()), (200, RESPONSE), "as it came");
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.00002");
    assert_eq!(world.upstream().last().path, "/v1/responses");
    assert_eq!(read.header("x-tollgate-adjusted"), "store");
    assert_eq!(
        world.upstream().last().raw,
        r#"{"input":[{"role":"user","content":"h\u4f60"}],"model":"up-0","odd":{"b":1.0},"tools":[{"type":"custom","name":"c"}],"store":false,"max_output_tokens":4096}"#
    );
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);

    let [created, delta] = begun();
    world.upstream().will(events(&[&created, &delta, &native("response.new.kind", 2, ""), &completed()]));
    let read = ask(&world, body(r#","stream":true"#)).await;
    assert!(read.text.starts_with(&format!("event: response.created\ndata: {created}\n\n")), "{}", read.text);
    let events = said(&read);
    assert_eq!(kinds(&events), ["created", "output_text.delta", "new.kind", "completed"]);
    assert_eq!(events[3]["response"]["usage"]["cost"], "0.00002");
    assert!(read.text.contains(r#""odd":1e-7"#));
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
    world.till.assert_each_hold_ended_once("native");
}

#[tokio::test]
async fn a_model_that_is_only_served_so_is_asked_natively_or_not_at_all() {
    let responder = body("").replace("chatty", "responder");
    let world = of(&["openai"]).await;
    world.upstream().will(answer(200, RESPONSE));
    assert_eq!(ask(&world, responder.clone()).await.status, 200);
    let world = of(&["deepseek"]).await;
    let read = ask(&world, responder).await;
    assert_eq!((read.status, read.error("code")), (400, json!("wrong_endpoint")));
    assert!(world.till.books.lock().unwrap().asks.is_empty());
}

#[tokio::test]
async fn another_provider_is_asked_when_one_fails_before_the_first_byte() {
    let failed = native(
        "response.failed",
        0,
        r#","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}"#,
    );
    let fails = [
        answer(500, ""),
        answer(200, r#"{"error":{"message":"boom"}}"#),
        events(&[&native("error", 0, r#","code":"server_error","message":"boom""#)]),
        events(&[&failed]),
        Script::Close,
    ];
    for script in fails {
        // The first is asked natively, the second as a chat.
        let world = of(&["openai", "deepseek"]).await;
        world.upstreams[0].will(script.clone());
        world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
        let read = ask(&world, body(r#","stream":true"#)).await;
        assert_eq!(
            (read.status, read.header("x-tollgate-provider")),
            (200, "p1"),
            "{script:?} {}",
            read.text
        );
        assert_eq!(said(&read).last().unwrap()["response"]["output"][0]["content"][0]["text"], "hi");
        assert_eq!(world.till.all_settled().await.attempts.len(), 2);
        world.till.assert_each_hold_ended_once("failover");
    }
    for kind in ["openai", "deepseek"] {
        let world = of(&[kind]).await;
        let long = r#"{"error":{"message":"too long","code":"context_length_exceeded","param":"messages"}}"#;
        world.upstream().will(answer(400, long));
        let read = ask(&world, body("")).await;
        assert_eq!((read.status, read.error("code")), (400, json!("context_length_exceeded")), "{kind}");
        assert_eq!(read.error("param"), "input", "what the client calls it");
    }
    let world = of(&["openai"]).await;
    world.upstream().will(answer(
        200,
        r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"boom"}}"#,
    ));
    let read = ask(&world, body("")).await;
    assert_eq!((read.status, read.error("code")), (502, json!("upstream_unavailable")));
    assert_eq!(world.till.all_settled().await.usage, None, "costs nothing");
}

#[tokio::test]
async fn a_cut_stream_is_an_error_and_never_a_completed_response() {
    let [created, delta] = begun();
    let chat = format!("data: {}\n\n", chunk("abcdefgh"));
    let own = format!("data: {created}\n\ndata: {delta}\n\n");
    let failed = native(
        "response.failed",
        2,
        r#","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}"#,
    );
    let cases = [
        ("deepseek", vec![Piece::Bytes(chat.clone().into()), Piece::Cut]),
        ("deepseek", vec![Piece::Bytes(chat.clone().into())]),
        ("deepseek", vec![Piece::Bytes(format!("{chat}data: [DONE]\n\n").into())]),
        ("openai", vec![Piece::Bytes(own.clone().into()), Piece::Cut]),
        ("openai", vec![Piece::Bytes(own.clone().into())]),
        ("openai", vec![Piece::Bytes(format!("{own}data: {failed}\n\n").into())]),
    ];
    for (kind, pieces) in cases {
        let world = of(&[kind]).await;
        world.upstream().will(stream(pieces.clone()));
        let read = ask(&world, body(r#","stream":true"#)).await;
        let events = said(&read);
        let context = format!("{kind} {pieces:?}");
        let [.., error, failed] = events.as_slice() else { panic!("{context}: {}", read.text) };
        assert_eq!(
            (error["type"].as_str(), error["code"].as_str()),
            (Some("error"), Some("upstream_interrupted")),
            "{context}"
        );
        assert_eq!(error["error"]["code"], error["code"]);
        assert_eq!(failed["type"], "response.failed", "{context}");
        assert!(!kinds(&events).iter().any(|kind| matches!(*kind, "completed" | "incomplete")), "{context}");
        for (i, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], i, "{context}");
        }
        let outcome = world.till.all_settled().await;
        assert_eq!((outcome.ending, outcome.estimated), (Ending::BrokeOff, true));
        assert_eq!(outcome.usage.unwrap().output.0, 2, "what came is charged");
        world.till.assert_each_hold_ended_once("cut");
    }
}

#[tokio::test]
async fn hanging_up_is_settled_once() {
    let [created, delta] = begun();
    let own = format!("data: {created}\n\ndata: {delta}\n\n");
    for (kind, first) in [("openai", own), ("deepseek", format!("data: {}\n\n", chunk("abcdefgh")))] {
        let world = of(&[kind]).await;
        world.upstream().will(stream(vec![Piece::Bytes(first.into()), Piece::Stall]));
        let mut answer = world.send(request(&world, body(r#","stream":true"#))).await;
        let mut text = String::new();
        while !text.contains("abcdefgh") {
            let frame = answer.body_mut().frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        drop(answer);
        let outcome = world.till.all_settled().await;
        world.upstream().until_cancelled().await;
        assert_eq!(
            (outcome.ending, outcome.estimated, outcome.usage.unwrap().output.0),
            (Ending::HungUp, true, 2)
        );
        world.till.assert_each_hold_ended_once("hung up");
    }
}

#[tokio::test]
async fn what_is_no_request_is_explained_and_costs_nothing() {
    let world = of(&["deepseek"]).await;
    let item = |item: &str| format!(r#"{{"model":"chatty","input":[{item}]}}"#);
    let cases = [
        ("{".to_owned(), 400, "invalid_json", json!(null)),
        (r#"{"model":"chatty"}"#.to_owned(), 400, "missing_required_parameter", json!("input")),
        (body(r#","stream":1"#), 400, "invalid_type", json!("stream")),
        (body(r#","top_logprobs":99"#), 400, "invalid_value", json!("top_logprobs")),
        (body(r#","store":true,"store":false"#), 400, "duplicate_parameter", json!("store")),
        (
            body(r#","previous_response_id":"resp_1""#),
            400,
            "unsupported_parameter",
            json!("previous_response_id"),
        ),
        (body(r#","tools":[{"type":"web_search"}]"#), 400, "unsupported_parameter", json!("tools[0].type")),
        (
            body(r#","tools":[{"type":"custom","name":"c"}]"#),
            400,
            "unsupported_parameter",
            json!("tools[0].type"),
        ),
        (body(r#","truncation":"auto""#), 400, "unsupported_parameter", json!("truncation")),
        (body(r#","n":2"#), 400, "unsupported_parameter", json!("n")),
        (
            item(
                r#"{"role":"user","content":"a"},{"role":"user","content":[{"type":"input_text","text":5}]}"#,
            ),
            400,
            "invalid_type",
            json!("input[1].content[0].text"),
        ),
        (item(r#"{"type":"item_reference","id":"x"}"#), 400, "unsupported_parameter", json!("input[0]")),
        (body("").replace("chatty", "embedder"), 400, "wrong_endpoint", json!("model")),
        (body("").replace("chatty", "nobody"), 404, "model_not_found", json!("model")),
    ];
    for (text, status, code, param) in cases {
        let read = ask(&world, text.clone()).await;
        assert_eq!(
            (read.status, read.error("code"), read.error("param")),
            (status, json!(code), param),
            "{text} {}",
            read.text
        );
        assert_eq!(read.error("type"), "invalid_request_error");
    }
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    assert_eq!(world.upstream().calls(), 0);
}

#[tokio::test]
async fn nothing_is_stored_and_whoever_looks_is_told_so() {
    let world = World::open().await;
    for (method, path, code) in [
        ("GET", "/v1/responses/resp_1", "response_not_stored"),
        ("DELETE", "/v1/responses/resp_1", "response_not_stored"),
        ("POST", "/v1/responses/resp_1/cancel", "response_not_stored"),
        ("GET", "/v1/responses/resp_1/input_items", "response_not_stored"),
        ("POST", "/v1/responses/compact", "not_offered"),
        ("POST", "/v1/responses/input_tokens", "not_offered"),
    ] {
        let request = world.request(method, path).header("api-key", KEY);
        let read = world.read(request.body(Full::default()).unwrap()).await;
        assert_eq!((read.status, read.error("code")), (404, json!(code)), "{method} {path}");
        assert_eq!(read.error("type"), "invalid_request_error");
        assert!(read.header("x-request-id").starts_with("req_"));
    }
}

/// There is no error in it, and frameworks that look whether there is one would find something.
#[tokio::test]
async fn an_error_that_says_nothing_is_no_error() {
    let world = of(&["openai"]).await;
    let whole = r#"{"id":"resp_1","object":"response","status":"completed","error":{},"model":"up","output":[],"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}}"#;
    world.upstream().will(answer(200, whole));
    let read = ask(&world, body("")).await;
    assert_eq!((read.status, read.text.as_str()), (200, whole.replace("{}", "null").as_str()));

    let [created, in_progress] = begun();
    let created = created.replacen('{', r#"{"error":{},"#, 1);
    let last = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{whole}}}\n\n"
    );
    let named = |json: &str| format!("event: response.x\ndata: {json}\n\n");
    let pieces = [named(&created), named(&in_progress), last];
    world.upstream().will(stream(pieces.map(|text| Piece::Bytes(text.into())).to_vec()));
    let read = ask(&world, body(r#","stream":true"#)).await;
    let events = said(&read);
    assert!(
        events.iter().all(|event| event.get("error").is_none_or(serde_json::Value::is_null)),
        "{}",
        read.text
    );
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["error"]), (&json!("response.completed"), &json!(null)));
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
}
