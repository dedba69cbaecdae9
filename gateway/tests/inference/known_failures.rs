//! Do the faults that other gateways are known for happen here? One test a fault, where no other file had it;
//! `docs/known-failures.md` says which test stands for which.

use std::time::Duration;

use bytes::Bytes;
use gateway::chat::Ending;
use http_body_util::BodyExt;
use router_config::Limits;
use serde_json::{Value, json};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{Read, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
const ROLE: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const OVERLOADED: &str = r#"{"error":{"message":"overloaded","type":"server_error","code":"503"}}"#;

async fn of(kinds: &[&'static str]) -> World {
    World::with(Setup { kinds: kinds.to_vec(), ..Setup::default() }).await
}

fn data(json: &str) -> Piece {
    Piece::Bytes(format!("data: {json}\n\n").into())
}

fn named(json: &str) -> Piece {
    let event: Value = serde_json::from_str(json).unwrap();
    Piece::Bytes(format!("event: {}\ndata: {json}\n\n", event["type"].as_str().unwrap()).into())
}

#[tokio::test]
async fn the_words_of_an_error_are_not_sold() {
    let words = "the model is too busy to answer you now ".repeat(1_000);
    let error = format!(r#"{{"error":{{"message":"{words}","type":"server_error"}}}}"#);
    let world = of(&["openai"]).await;
    world.upstream().will(events(&[&chunk("abcdefgh"), &error]));
    let read = world.chat(body(r#","stream":true"#)).await;
    assert_eq!(read.spoken(), "abcdefgh");
    let outcome = world.till.all_settled().await;
    assert_eq!(outcome.ending, Ending::BrokeOff);
    assert_eq!(outcome.usage.unwrap().output.0, 2, "eight letters came, the rest was an excuse");

    for excuse in [answer(500, error.as_str()), answer(200, error.as_str()), events(&[&error])] {
        let world = of(&["openai"]).await;
        world.upstream().will(excuse);
        let streaming = if matches!(world.upstream().scripts.lock().unwrap()[0], Script::Stream { .. }) {
            r#","stream":true"#
        } else {
            ""
        };
        assert_eq!(world.chat(body(streaming)).await.status, 502);
        assert_eq!(world.till.all_settled().await.usage, None, "an excuse costs nothing");
    }
}

#[tokio::test]
async fn nought_is_a_count_and_not_a_gap() {
    for (text, usage, expected) in [
        ("", r#"{"prompt_tokens":10,"completion_tokens":0,"total_tokens":10}"#, (10, 0, false)),
        ("", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, (0, 0, false)),
        ("abcdefgh", r#"{"prompt_tokens":10,"completion_tokens":0,"total_tokens":10}"#, (10, 0, false)),
    ] {
        let world = of(&["openai"]).await;
        world.upstream().will(answer(200, whole(text, &format!(r#","usage":{usage}"#))));
        let read = world.chat(body("")).await;
        let outcome = world.till.all_settled().await;
        let used = outcome.usage.unwrap();
        assert_eq!((used.prompt().0, used.output.0, outcome.estimated), expected, "{usage}");
        assert!(!read.header("x-tollgate-cost-cny").is_empty());
    }
}

#[tokio::test]
async fn the_price_is_that_of_the_model_that_was_asked_for_whoever_answers() {
    let world = of(&["openai", "deepseek"]).await;
    world.upstreams[0].will(answer(500, ""));
    let dear = whole("hi", USAGE).replace(r#""model":"up""#, r#""model":"a-dearer-model""#);
    world.upstreams[1].will(answer(200, dear));
    let read = world.chat(body("")).await;
    assert_eq!((read.header("x-tollgate-provider"), read.header("x-tollgate-cost-cny")), ("p1", "0.00002"));
    assert_eq!(read.header("x-tollgate-price-version"), "standard:7");
}

/// Whichever byte of a stream is the last: either nothing of it was shown and another provider has answered, or the client
/// is told that something is missing. `[DONE]` is only ever said of a whole answer.
#[tokio::test]
async fn a_stream_cut_at_any_byte_is_another_providers_chance_or_an_honest_error() {
    let limits =
        Limits { requests_per_minute: 100_000, tokens_per_minute: 1_000_000_000, ..Limits::default() };
    let kinds = vec!["openai", "deepseek"];
    let world = World::with(Setup { kinds, limits, ..Setup::default() }).await;
    let parts = [ROLE, &chunk("你好"), &chunk("世界"), FINISH, &usage_chunk(10, 5), "[DONE]"];
    let text: String = parts.map(|part| format!("data: {part}\n\n")).concat();
    let bytes = Bytes::from(text.clone());
    let first_word = text.find("你好").unwrap();
    let finished = text.find(FINISH).unwrap() + FINISH.len();
    let mut seen = [0_u32; 3];
    for at in 0..bytes.len() {
        for clean in [false, true] {
            let mut pieces = vec![Piece::Bytes(bytes.slice(..at))];
            pieces.retain(|piece| !matches!(piece, Piece::Bytes(bytes) if bytes.is_empty()));
            if !clean {
                pieces.push(Piece::Cut);
            }
            world.upstreams[0].will(stream(pieces));
            world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
            let read = world.chat(body(r#","stream":true"#)).await;
            let context = format!("cut at {at}, clean: {clean}: {}", read.text);
            assert_eq!(read.status, 200, "{context}");
            let said = read.events();
            let is_done = said.last().unwrap() == "[DONE]";
            if read.header("x-tollgate-provider") == "p1" {
                assert!(at < first_word + 100, "{context}");
                assert_eq!((read.spoken().as_str(), is_done), ("hi", true), "{context}");
                seen[0] += 1;
            } else if is_done {
                assert!(at >= finished, "{context}");
                assert_eq!(read.spoken(), "你好世界", "{context}");
                seen[1] += 1;
            } else {
                assert!(at > first_word, "nothing had been shown: {context}");
                let error: Value = serde_json::from_str(said.last().unwrap()).unwrap();
                assert!(error["error"]["message"].is_string(), "{context}");
                assert!(!read.text.contains("[DONE]"), "{context}");
                seen[2] += 1;
            }
            world.upstreams[1].scripts.lock().unwrap().clear();
            world.clock.forward(Duration::from_secs(600));
        }
    }
    assert!(seen.iter().all(|n| *n >= 20), "each of the three happens: {seen:?}");
    world.till.assert_each_hold_ended_once("cut anywhere");
}

#[tokio::test]
async fn what_comes_before_the_first_word_is_not_an_answer() {
    const FILTERS: &str = r#"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#;
    for kind in ["openai", "azure", "dashscope", "vllm"] {
        for after in [data(OVERLOADED), data("[DONE]"), data("<html>"), Piece::Cut] {
            let world = of(&[kind, "deepseek"]).await;
            world.upstreams[0].will(stream(vec![data(FILTERS), data(ROLE), data(ROLE), after.clone()]));
            world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
            let read = world.chat(body(r#","stream":true"#)).await;
            let context = format!("{kind} {after:?}: {}", read.text);
            assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{context}");
            assert_eq!((read.spoken().as_str(), read.events().len()), ("hi", 3), "{context}");
            assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15, "{context}");
        }
    }
    // The same of Responses and of Messages, where more comes before.
    let response = r#"{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"up","output":[]}"#;
    let begun = [
        format!(r#"{{"type":"response.created","sequence_number":0,"response":{response}}}"#),
        format!(r#"{{"type":"response.in_progress","sequence_number":1,"response":{response}}}"#),
        r#"{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","content":[]}}"#.to_owned(),
        r#"{"type":"response.failed","sequence_number":3,"response":{"status":"failed","error":{"code":"server_error","message":"overloaded"}}}"#.to_owned(),
    ];
    let world = of(&["openai", "dashscope"]).await;
    world.upstreams[0].will(stream(begun.iter().map(|event| named(event)).collect()));
    world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
    let read = world.post("/v1/responses", r#"{"model":"chatty","input":"hi","stream":true}"#).await;
    assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{}", read.text);

    let begun = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    ];
    for (path, asked) in [
        ("/v1/messages", body(r#","max_tokens":9,"stream":true"#)),
        ("/v1/chat/completions", body(r#","stream":true"#)),
    ] {
        let world = of(&["anthropic", "dashscope"]).await;
        world.upstreams[0].will(stream(begun.map(named).to_vec()));
        world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
        let read = world.post(path, asked).await;
        assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{path}: {}", read.text);
    }
}

/// A role that came in time is a sign of life: a model that thinks in secret is not left for its silence.
#[tokio::test]
async fn who_has_begun_may_think_as_long_as_pieces_may_be_apart() {
    let first_byte_max = Duration::from_millis(50);
    let world = World::with(Setup { first_byte_max, ..Setup::default() }).await;
    world.upstream().will(stream(vec![
        data(ROLE),
        Piece::Gate,
        data(&chunk("hi")),
        data(FINISH),
        data(&usage_chunk(10, 5)),
        data("[DONE]"),
    ]));
    // Its head comes when the time for a first event is over.
    let begun = world.send(world.chat_request(body(r#","stream":true"#))).await;
    assert_eq!(begun.status(), 200);
    world.upstream().gate.add_permits(1);
    let read = crate::world::read(begun).await;
    assert_eq!((read.spoken().as_str(), read.events().last().unwrap().as_str()), ("hi", "[DONE]"));
}

#[tokio::test]
async fn a_silence_in_the_middle_is_kept_alive_too() {
    let keep_alive = Duration::from_millis(20);
    let world = World::with(Setup { keep_alive, ..Setup::default() }).await;
    world.upstream().will(stream(vec![data(&chunk("hi")), Piece::Gate, data(FINISH), data("[DONE]")]));
    let mut begun = world.send(world.chat_request(body(r#","stream":true"#))).await;
    let mut seen = String::new();
    while !seen.contains("\"hi\"") || !seen.contains(": keep-alive\n\n") {
        let frame = begun.body_mut().frame().await.expect("more of it").unwrap();
        seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    world.upstream().gate.add_permits(1);
    assert_eq!(crate::world::read(begun).await.events().last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn one_failure_puts_nobody_out_of_use() {
    let alone = of(&["openai"]).await;
    for _ in 0..3 {
        alone.upstream().will(answer(500, "")).will(answer(200, whole("hi", USAGE)));
        assert_eq!(alone.chat(body("")).await.status, 502);
        assert_eq!(alone.chat(body("")).await.status, 200, "there is nobody else, and it is well again");
    }
    let world = of(&["openai", "deepseek"]).await;
    world.upstreams[0].will(answer(500, ""));
    world.upstreams[1].will(answer(200, whole("hi", USAGE)));
    assert_eq!(world.chat(body("")).await.header("x-tollgate-provider"), "p1");
    world.clock.forward(Duration::from_secs(6));
    world.upstreams[0].will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body("")).await;
    let asked = |read: &Read| (read.header("x-tollgate-provider").to_owned(), world.upstreams[1].calls());
    assert_eq!(asked(&read), ("p0".to_owned(), 1), "asked first again, on its own");
    // What the caller has done wrong is no failure of the provider's.
    let wrong = r#"{"error":{"message":"no","type":"invalid_request_error","param":"x","code":null}}"#;
    world.upstreams[0].will(answer(400, wrong)).will(answer(200, whole("hi", USAGE)));
    assert_eq!(world.chat(body("")).await.status, 400);
    assert_eq!(asked(&world.chat(body("")).await), ("p0".to_owned(), 1));
}

#[tokio::test]
async fn lesson_27_an_account_of_ours_that_is_empty_is_never_told_as_the_customers() {
    for (status, said) in [
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
        ),
        (403, r#"{"code":30001,"message":"account balance is insufficient"}"#),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        ),
        (401, r#"{"error":{"message":"Incorrect API key provided: upstream-key","code":"invalid_api_key"}}"#),
    ] {
        let world = of(&["openai"]).await;
        world.upstream().will(answer(status, said));
        let read = world.chat(body("")).await;
        assert_eq!((read.status, read.error("code")), (503, json!("upstream_unavailable")), "{said}");
        assert_ne!(read.error("type"), "insufficient_quota", "{said}");
        for word in ["alance", "quota", "upstream-key", "API key"] {
            assert!(!read.text.contains(word), "{}", read.text);
        }
        let world = of(&["openai", "deepseek"]).await;
        world.upstreams[0].will(answer(status, said));
        world.upstreams[1].will(answer(200, whole("hi", USAGE)));
        assert_eq!(world.chat(body("")).await.header("x-tollgate-provider"), "p1", "{said}");
    }
}

const CALLED: &str = r#"{"role":"assistant","content":"","REASONING"tool_calls":[{"id":"call_abcdefghijklmnop","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_abcdefghijklmnop","name":"f","content":"7"}"#;

fn tool_loop(reasoning: &str, rest: &str) -> String {
    let called = CALLED.replace("\"REASONING\"", &format!("{reasoning}\""));
    format!(
        r#"{{"model":"chatty","messages":[{{"role":"user","name":"ann","content":"hi"}},{called}]{rest}}}"#
    )
}

#[tokio::test]
async fn thoughts_go_back_to_who_wants_them_and_to_nobody_else() {
    for (kind, wants) in
        [("deepseek", true), ("moonshot", true), ("openai", false), ("mistral", false), ("groq", false)]
    {
        let world = of(&[kind]).await;
        for (reasoning, kept) in [
            (r#""reasoning_content":"hm","#, json!("hm")),
            (r#""reasoning":"hm","#, json!("hm")),
            // Clients of OpenAI's lose them; an empty text is refused by some.
            ("", json!(" ")),
        ] {
            world.upstream().will(answer(200, whole("hi", USAGE)));
            let read = world.chat(tool_loop(reasoning, "")).await;
            assert_eq!(read.status, 200, "{kind}: {}", read.text);
            let message = &world.upstream().last().body["messages"][1];
            let expected = if wants { Some(&kept) } else { None };
            assert_eq!(message.get("reasoning_content"), expected, "{kind} {reasoning}");
            assert_eq!(message.get("reasoning"), None, "{kind} {reasoning}");
        }
    }
    let world = of(&["deepseek"]).await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    world.chat(tool_loop("", r#","thinking":{"type":"disabled"}"#)).await;
    let sent = world.upstream().last().body;
    assert_eq!(sent["messages"][1].get("reasoning_content"), None, "nothing was thought");
}

#[tokio::test]
async fn mistral_is_sent_nothing_that_it_refuses() {
    let world = of(&["mistral"]).await;
    let tool = r#"{"id":"c1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"","tool_calls":[{"id":"aB3dE6gH9","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
    world.upstream().will(answer(200, tool));
    let rest = r#","max_completion_tokens":9,"seed":7,"store":true,"user":"u","logprobs":true,"service_tier":"auto","stream_options":null,"safety_identifier":"s","top_k":5,"metadata":{"a":"b"},"parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"required""#;
    let read = world.chat(tool_loop("", rest)).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let sent = world.upstream().last().body;
    let names: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    for name in &names {
        let known = ["model", "messages", "max_tokens", "random_seed", "metadata", "tools", "tool_choice"];
        assert!(known.contains(name) || *name == "parallel_tool_calls", "{name} would be refused: {names:?}");
    }
    assert_eq!(
        (&sent["max_tokens"], &sent["random_seed"], &sent["tool_choice"]),
        (&json!(9), &json!(7), &json!("any"))
    );
    let messages = &sent["messages"];
    let id = messages[1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert_eq!(messages[2]["tool_call_id"], id, "a call and its result still belong together");
    assert_eq!((messages[0].get("name"), &messages[1]["content"]), (None, &json!(null)));
    // Its own id comes back as it is, and what it calls with as a text.
    let called = &read.json()["choices"][0]["message"]["tool_calls"][0];
    assert_eq!((&called["id"], &called["type"]), (&json!("aB3dE6gH9"), &json!("function")));
    assert_eq!(called["function"]["arguments"], r#"{"a":1}"#);
}

/// The document names tests that exist: each name in it is a function in one of the folders it speaks of.
#[test]
fn every_test_that_the_document_names_exists() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let folders = [
        "gateway/tests/inference",
        "gateway/tests/inference/simulation",
        "tests/tests/journeys",
        "payments/tests/books",
        "payments/src/prices",
        "gateway/src/limits",
    ];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(format!("{root}/{folder}")).unwrap());
    let paths =
        files.map(|entry| entry.unwrap().path()).filter(|path| path.extension() == Some("rs".as_ref()));
    let code: String = paths.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let document = include_str!("../../../docs/known-failures.md");
    let quoted = document.split('`').skip(1).step_by(2);
    let names = quoted
        .map(|name| name.rsplit("::").next().unwrap())
        .filter(|name| name.len() > 24 && !name.contains('/'));
    let mut count = 0;
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "no test is called {name}");
        count += 1;
    }
    assert!(count > 40, "{count} names were found");
}
