//! The endpoints beside chat completions, and what becomes of a call that cannot be put to its model's provider as it is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    upstream::{FINISH, Piece, answer, chunk, events, stream, usage_chunk, whole},
    world::{Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;

async fn of(kind: &'static str) -> World {
    World::with(Setup { kinds: vec![kind], ..Setup::default() }).await
}

#[tokio::test]
async fn embeddings_come_in_the_encoding_that_was_asked_for_and_cost_their_input() {
    let world = World::open().await;
    let floats = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}],"model":"up","usage":{"prompt_tokens":1000,"total_tokens":1000}}"#;
    world.upstream().will(answer(200, floats));
    let asked = r#"{"model":"embedder","input":["a"],"encoding_format":"base64","dimensions":2}"#;
    let read = world.post("/v1/embeddings", asked).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert_eq!(read.json()["data"][0]["embedding"], "AAAAPwAAgL8=");
    assert_eq!(read.json()["usage"]["prompt_tokens"], 1000);
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.001");
    let seen = world.upstream().last();
    assert_eq!(seen.path, "/v1/embeddings");
    assert_eq!(
        seen.body,
        json!({"model": "up-0", "input": ["a"], "encoding_format": "base64", "dimensions": 2})
    );
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.usage.unwrap().input.0, outcome.usage.unwrap().output.0), (1000, 0));
    assert_eq!(world.till.books.lock().unwrap().asks[0].output_bound.0, 0);
    assert!(world.counted(r#"tollgate_requests_total{model="embedder",outcome="ok",route="embeddings"}"#));
}

#[tokio::test]
async fn an_embedding_that_is_none_costs_nothing() {
    let world = World::open().await;
    for bad in [r#"{"data":[]}"#, r#"{"data":[{"embedding":[]}]}"#, "<html>", r#"{"error":{"message":"no"}}"#]
    {
        world.upstream().will(answer(200, bad));
        let read = world.post("/v1/embeddings", r#"{"model":"embedder","input":"a"}"#).await;
        assert_eq!((read.status, read.error("code")), (502, json!("upstream_unavailable")), "{bad}");
        world.clock.forward(Duration::from_secs(60));
    }
    assert!(world.till.all_settled().await.usage.is_none());
}

#[tokio::test]
async fn a_model_is_asked_where_it_is_served_and_nowhere_else() {
    let world = World::open().await;
    let chat = r#""messages":[{"role":"user","content":"hi"}]"#;
    for (path, asked, there) in [
        ("/v1/chat/completions", format!(r#"{{"model":"embedder",{chat}}}"#), "/v1/embeddings"),
        ("/v1/chat/completions", format!(r#"{{"model":"completer",{chat}}}"#), "/v1/completions"),
        ("/v1/chat/completions", format!(r#"{{"model":"responder",{chat}}}"#), "/v1/responses"),
        ("/v1/embeddings", r#"{"model":"chatty","input":"a"}"#.to_owned(), "/v1/chat/completions"),
        ("/v1/completions", r#"{"model":"embedder","prompt":"a"}"#.to_owned(), "/v1/embeddings"),
    ] {
        let read = world.post(path, asked).await;
        assert_eq!(
            (read.status, read.error("code")),
            (400, json!("wrong_endpoint")),
            "{path}: {}",
            read.text
        );
        assert_eq!(read.error("param"), "model");
        assert!(read.error("message").as_str().unwrap().contains(there), "{}", read.text);
    }
    assert_eq!(world.upstream().calls(), 0);
}

#[tokio::test]
async fn a_completion_model_answers_in_its_own_words() {
    let world = World::open().await;
    let said = format!(
        r#"{{"id":"cmpl-1","object":"text_completion","created":1,"model":"up","choices":[{{"text":"hi","index":0,"logprobs":null,"finish_reason":"stop"}}]{USAGE}}}"#
    );
    world.upstream().will(answer(200, said.as_str()));
    let read = world
        .post("/v1/completions", r#"{"model":"completer","prompt":["a","b"],"suffix":"c","echo":true}"#)
        .await;
    assert_eq!((read.status, read.text.as_str()), (200, said.as_str()));
    let seen = world.upstream().last();
    assert_eq!(seen.path, "/v1/completions");
    assert_eq!((&seen.body["suffix"], &seen.body["echo"]), (&json!("c"), &json!(true)));
    assert_eq!(world.till.books.lock().unwrap().asks[0].output_bound.0, 32, "16 for each of two prompts");
    world.till.all_settled().await;
}

#[tokio::test]
async fn gateways_that_ask_each_other_in_a_circle_notice() {
    let world = World::open().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let passed = |hops: &str| {
        let mut request = world.chat_request(body(""));
        request.headers_mut().insert("x-tollgate-hops", hops.parse().unwrap());
        request
    };
    assert_eq!(world.read(passed("3")).await.status, 200);
    assert_eq!(world.upstream().last().headers["x-tollgate-hops"], "4");
    let read = world.read(passed("4")).await;
    assert_eq!((read.status, read.error("code")), (508, json!("loop_detected")));
    assert_eq!((read.header("x-should-retry"), world.upstream().calls()), ("false", 1));
}

#[tokio::test]
async fn a_chat_model_completes_a_prompt() {
    let world = World::open().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = world.post("/v1/completions", r#"{"model":"chatty","prompt":"say hi","max_tokens":9}"#).await;
    let said = read.json();
    assert_eq!(
        (said["object"].clone(), said["choices"][0]["text"].clone()),
        (json!("text_completion"), json!("hi"))
    );
    assert_eq!(
        (said["choices"][0]["finish_reason"].clone(), said["usage"]["total_tokens"].clone()),
        (json!("stop"), json!(15))
    );
    let seen = world.upstream().last();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.body["messages"], json!([{"role": "user", "content": "say hi"}]));

    world.upstream().will(stream(vec![Piece::Bytes(
        format!(
            "data: {}\n\ndata: {}\n\ndata: {FINISH}\n\ndata: {}\n\ndata: [DONE]\n\n",
            chunk("你"),
            chunk("好"),
            usage_chunk(10, 5)
        )
        .into(),
    )]));
    let asked =
        r#"{"model":"chatty","prompt":"say hi","stream":true,"stream_options":{"include_usage":true}}"#;
    let read = world.post("/v1/completions", asked).await;
    let events: Vec<Value> =
        read.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, "你好");
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 5);
    assert!(events.last().unwrap()["usage"]["cost"].is_string());
    assert_eq!(read.events().last().unwrap(), "[DONE]");

    assert_eq!(
        world.upstream().last().body["max_completion_tokens"],
        16,
        "models that reason take no other name"
    );
    assert!(world.upstream().last().body.get("max_tokens").is_none());
    let others = of("deepseek").await;
    others.upstream().will(answer(200, whole("hi", USAGE)));
    others.post("/v1/completions", r#"{"model":"chatty","prompt":"say hi","max_tokens":9}"#).await;
    let sent = others.upstream().last().body;
    assert_eq!((&sent["max_tokens"], sent.get("max_completion_tokens")), (&json!(9), None), "nor these");

    let echo = world.post("/v1/completions", r#"{"model":"chatty","prompt":"a","echo":true}"#).await;
    assert_eq!(
        (echo.status, echo.error("code"), echo.error("param")),
        (400, json!("unsupported_parameter"), json!("echo"))
    );
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("completions");
}

/// A stream that nothing comes of for a while is kept alive, and what goes wrong then is said in it.
#[tokio::test]
async fn lesson_25_a_stream_that_is_late_is_begun_with_comments() {
    let setup = || Setup { keep_alive: Duration::from_millis(20), ..Setup::default() };
    let world = World::with(setup()).await;
    world.upstream().will(stream(vec![
        Piece::Gate,
        Piece::Bytes(
            format!(
                "data: {}\n\ndata: {FINISH}\n\ndata: {}\n\ndata: [DONE]\n\n",
                chunk("hi"),
                usage_chunk(1, 1)
            )
            .into(),
        ),
    ]));
    let answer_begun = world.send(world.chat_request(body(r#","stream":true"#))).await;
    assert_eq!(answer_begun.status(), 200);
    world.upstream().gate.add_permits(1);
    let read = crate::world::read(answer_begun).await;
    assert!(read.text.starts_with(": keep-alive\n\n"), "{}", read.text);
    assert!(read.text.contains("x-tollgate-provider=p0"), "{}", read.text);
    assert_eq!(read.spoken(), "hi");
    assert_eq!(read.events().last().unwrap(), "[DONE]");
    world.till.all_settled().await;

    let world = World::with(setup()).await;
    world.upstream().will(stream(vec![Piece::Gate, Piece::Cut]));
    let answer_begun = world.send(world.chat_request(body(r#","stream":true"#))).await;
    assert_eq!(answer_begun.status(), 200, "it had to be said before anything was known");
    world.upstream().gate.add_permits(1);
    let read = crate::world::read(answer_begun).await;
    let events = read.events();
    let error: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "upstream_unavailable", "{}", read.text);
    assert!(!read.text.contains("[DONE]"));
    assert!(world.till.all_settled().await.usage.is_none(), "and it costs nothing");
}

#[tokio::test]
async fn a_model_that_only_streams_answers_in_one_piece_all_the_same() {
    let kinds = vec!["dashscope"];
    let world = World::with(Setup { kinds, upstream_model: "qwq-plus", ..Setup::default() }).await;
    let tool = |arguments: &str, id: &str| {
        let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","type":"function","#) };
        format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":7,"model":"qwq","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,{id}"function":{{"name":"","arguments":"{arguments}"}}}}]}},"finish_reason":null}}]}}"#
        )
    };
    let named = tool("{", "call_1").replace(r#""name":"""#, r#""name":"f""#);
    let thought = r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"qwq","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"hm"}}]}"#;
    let finish = FINISH.replace("stop", "tool_calls");
    world.upstream().will(stream(vec![Piece::Bytes(
        format!(
            "data: {thought}\n\ndata: {named}\n\ndata: {}\n\ndata: {finish}\n\ndata: {}\n\ndata: [DONE]\n\n",
            tool("}", ""),
            usage_chunk(10, 5)
        )
        .into(),
    )]));
    let read = world.chat(body("")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let said = read.json();
    let choice = &said["choices"][0];
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    assert_eq!(
        choice["message"]["tool_calls"],
        json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
    );
    assert_eq!(
        (&choice["finish_reason"], &said["object"]),
        (&json!("tool_calls"), &json!("chat.completion"))
    );
    assert_eq!(said["usage"]["total_tokens"], 15);
    assert_eq!(world.upstream().last().body["stream"], true);
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15);
}

#[tokio::test]
async fn what_one_provider_cannot_do_another_is_asked_for() {
    let world = World::with(Setup { kinds: vec!["groq", "openai"], ..Setup::default() }).await;
    world.upstreams[1].will(answer(200, whole("two", USAGE)));
    let read = world.chat(body(r#","n":2,"max_tokens":5"#)).await;
    assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{}", read.text);
    let alone = of("groq").await;
    let read = alone.chat(body(r#","n":2,"max_tokens":5"#)).await;
    assert_eq!(
        (read.status, read.error("code"), read.error("param")),
        (400, json!("unsupported_parameter"), json!("n"))
    );
    assert_eq!(alone.upstream().calls(), 0);
    assert!(alone.till.all_settled().await.usage.is_none());
    let adjusted = of("bigmodel").await;
    adjusted.upstream().will(answer(200, whole("{}", USAGE)));
    let read =
        adjusted.chat(body(r#","response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#)).await;
    assert_eq!((read.status, read.header("x-tollgate-adjusted")), (200, "response_format"));
    assert_eq!(adjusted.upstream().last().body["response_format"], json!({"type": "json_object"}));
    adjusted.upstream().will(events(&["x"]));
}
