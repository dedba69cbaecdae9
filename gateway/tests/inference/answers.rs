//! What a customer gets.

use bytes::Bytes;
use http_body_util::Full;
use router_config::Limits;
use serde_json::json;

use crate::{
    upstream::{FINISH, Piece, answer, chunk, events, stream, usage_chunk, whole},
    world::{KEY, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;

#[tokio::test]
async fn a_whole_answer_passes_byte_by_byte_with_its_price_in_the_headers() {
    let world = World::open().await;
    let text = whole("hi", &format!(r#"{USAGE},"vendor":{{"b":1.0,"a":1e-7}}"#));
    world.upstream().will(answer(200, format!("\n\n{text}\n")));
    let read = world.chat(body(r#","max_tokens":100,"seed":9007199254740993"#)).await;
    assert_eq!((read.status, read.text.as_str()), (200, text.as_str()));
    assert_eq!(read.header("content-type"), "application/json");
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.00002");
    assert_eq!(read.header("x-tollgate-balance-cny"), "9.99998");
    assert_eq!(read.header("x-tollgate-provider"), "p0");
    assert_eq!(read.header("x-tollgate-model"), "chatty");
    assert_eq!(read.header("x-tollgate-attempts"), "1");
    assert_eq!(read.header("x-tollgate-price-version"), "standard:7");
    assert_eq!(read.header("x-tollgate-max-tokens"), "", "the client named its own");
    assert!(read.header("x-request-id").starts_with("req_"));
    assert_eq!(read.header("x-ratelimit-limit-requests"), "600");
    assert_eq!(read.header("x-ratelimit-remaining-requests"), "599");
    assert!(!read.header("x-ratelimit-remaining-tokens").is_empty());
    let seen = world.upstream().last();
    assert_eq!(seen.headers["authorization"], "Bearer upstream-key");
    assert!(seen.raw.contains(r#""model":"up-0""#) && seen.raw.contains(r#""seed":9007199254740993"#));
    let outcome = world.till.all_settled().await;
    assert_eq!(outcome.usage.unwrap().total().0, 15);
    assert!(!outcome.estimated);
    assert!(world.counted(r#"tollgate_requests_total{model="chatty",outcome="ok",route="chat"}"#));
}

#[tokio::test]
async fn who_names_no_maximum_is_told_which_one_was_set() {
    let world = World::open().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body(r#","n":2"#)).await;
    assert_eq!(read.header("x-tollgate-max-tokens"), "4096");
    assert_eq!(world.upstream().last().body["max_completion_tokens"], 4096);
    assert_eq!(world.till.books.lock().unwrap().asks[0].output_bound.0, 8192);
}

/// Chinese text, cut at every byte of the stream, arrives whole and strictly framed.
#[tokio::test]
async fn a_stream_split_anywhere_arrives_the_same() {
    let limits = Limits { requests_per_minute: 100_000, ..Limits::default() };
    let world = World::with(Setup { limits, ..Setup::default() }).await;
    let text = format!(
        "\u{feff}: keep-alive\r\n\r\ndata: {}\r\n\r\ndata:{}\n\nid: 7\ndata: {FINISH}\n\ndata: {}\n\ndata: [DONE]\n\n",
        chunk("你好"),
        chunk("，世界😀"),
        usage_chunk(10, 5)
    );
    let bytes = Bytes::from(text);
    let mut expected = None;
    for at in 0..bytes.len() {
        let pieces = vec![Piece::Bytes(bytes.slice(..at)), Piece::Bytes(bytes.slice(at..))];
        world.upstream().will(stream(pieces.into_iter().filter(not_empty).collect()));
        let read = world.chat(body(r#","stream":true"#)).await;
        assert_eq!(read.status, 200, "{}", read.text);
        assert_eq!(read.spoken(), "你好，世界😀");
        let events = read.events();
        assert_eq!(events.last().unwrap(), "[DONE]");
        let first = expected.get_or_insert_with(|| events.clone());
        assert_eq!(&events, first, "split at {at}");
    }
    let slow: Vec<Piece> = bytes.chunks(1).map(|b| Piece::Bytes(Bytes::copy_from_slice(b))).collect();
    world.upstream().will(stream(slow));
    assert_eq!(Some(world.chat(body(r#","stream":true"#)).await.events()), expected);
}

fn not_empty(piece: &Piece) -> bool {
    !matches!(piece, Piece::Bytes(bytes) if bytes.is_empty())
}

#[tokio::test]
async fn usage_is_hidden_from_who_did_not_ask_and_charged_all_the_same() {
    let world = World::open().await;
    let with_null = chunk("a").replace("}]}", "}],\"usage\":null}");
    let with_usage = FINISH.replace("}]}", r#"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    world.upstream().will(events(&[&with_null, &with_usage, &usage_chunk(10, 5), "[DONE]"]));
    let read = world.chat(body(r#","stream":true"#)).await;
    assert_eq!(read.events(), [chunk("a").as_str(), FINISH, "[DONE]"]);
    assert!(
        read.text.contains(": tollgate cost-cny=0.00002 balance-cny=9.99998\n\ndata: [DONE]"),
        "{}",
        read.text
    );
    assert_eq!(read.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(read.header("cache-control"), "no-cache");
    assert_eq!(read.header("x-accel-buffering"), "no");
    assert_eq!(world.upstream().last().body["stream_options"], json!({"include_usage": true}));
    assert_eq!(world.till.all_settled().await.usage.unwrap().total().0, 15, "the last usage, not the sum");
}

#[tokio::test]
async fn who_asks_for_usage_gets_it_once_with_its_cost() {
    let world = World::open().await;
    let asking = body(r#","stream":true,"stream_options":{"include_usage":true}"#);
    world.upstream().will(events(&[&chunk("a"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
    let read = world.chat(asking.clone()).await;
    let events_seen = read.events();
    let usage = &events_seen[2];
    assert!(usage.contains(r#""x":1.0,"cost":"0.00002","cost_currency":"CNY""#), "{usage}");
    assert_eq!(read.text.matches("\"usage\"").count(), 1);

    // An upstream that never says gets an estimate in its place.
    world.upstream().will(events(&[&chunk("abcdefgh"), FINISH, "[DONE]"]));
    let read = world.chat(asking).await;
    let usage: serde_json::Value = serde_json::from_str(&read.events()[2]).unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 2);
    assert_eq!(usage["usage"]["estimated"], true);
    assert_eq!((usage["id"].as_str(), usage["model"].as_str()), (Some("c1"), Some("up")));
    assert!(world.till.all_settled().await.estimated);
    assert!(world.counted(r#"tollgate_usage_missing_total{provider="p0"}"#));
}

#[tokio::test]
async fn a_missing_done_after_a_finish_is_put_right() {
    let world = World::open().await;
    world.upstream().will(events(&[&chunk("a"), FINISH]));
    let read = world.chat(body(r#","stream":true"#)).await;
    assert_eq!(read.events(), [chunk("a").as_str(), FINISH, "[DONE]"]);
}

#[tokio::test]
async fn no_byte_leaves_before_the_hold_is_on_disk_and_the_bill_before_the_last() {
    let world = World::open().await;
    let permits = world.till.disk.available_permits();
    let taken = world.till.disk.acquire_many(u32::try_from(permits.min(1 << 28)).unwrap()).await;
    drop(taken);
    world.till.disk.forget_permits(permits);
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let asking = world.chat(body(""));
    tokio::pin!(asking);
    tokio::select! {
        () = world.upstream().arrived.notified() => {} // the upstream is asked meanwhile
        _ = &mut asking => panic!("answered without a hold"),
    }
    assert!(world.till.books.lock().unwrap().settled.is_empty());
    world.till.disk.add_permits(1);
    assert_eq!(asking.await.status, 200);
}

#[tokio::test]
async fn a_hold_that_cannot_be_written_cancels_the_call() {
    let world = World::open().await;
    world.till.disk_broken.store(true, std::sync::atomic::Ordering::Relaxed);
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body("")).await;
    assert_eq!((read.status, read.error("code")), (503, json!("ledger_unavailable")));
    assert_eq!(world.till.all_settled().await.usage, None);
    world.till.assert_each_hold_ended_once("lost hold");
}

#[tokio::test]
async fn lesson_18_a_hold_is_the_prompt_and_what_may_be_said_and_not_what_the_model_could() {
    let world = World::open().await;
    for (said, output) in
        [("", 4_096), (r#","max_tokens":64000"#, 64_000), (r#","max_completion_tokens":9"#, 9)]
    {
        world.upstream().will(answer(200, whole("hi", "")));
        assert_eq!(world.chat(body(said)).await.status, 200);
        let books = world.till.books.lock().unwrap();
        let ask = books.asks.last().unwrap();
        assert_eq!(ask.output_bound.0, output, "{said}");
        assert!(ask.input_bound.0 < 200, "a prompt of a few words: {:?}", ask.input_bound);
    }
}

#[tokio::test]
async fn lesson_18_a_long_stream_extends_its_hold_and_is_not_cut() {
    let world = World::open().await;
    let long = chunk(&"x".repeat(1_000));
    let mut texts = vec![long.as_str(); 5];
    texts.extend([FINISH, "[DONE]"]);
    world.upstream().will(events(&texts));
    let read = world.chat(body(r#","stream":true,"max_tokens":300"#)).await;
    assert_eq!(read.spoken().len(), 5_000);
    let books = world.till.books.lock().unwrap();
    assert!(books.extended.iter().any(|usage| usage.output.0 >= 1_200), "{:?}", books.extended);
    assert!(!books.progressed.is_empty());
}

#[tokio::test]
async fn models_show_prices_and_only_to_whom_they_concern() {
    let world = World::open().await;
    let list = world.get("/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert_eq!(
        ids,
        ["chatty", "cheap", "completer", "embedder", "responder", "unpriced/x"],
        "`real` costs real money"
    );
    let chatty = world.get("/v1/models/chatty").await.json();
    assert_eq!(chatty["pricing"]["output"], "2.00");
    assert_eq!(chatty["pricing"]["currency"], "CNY");
    assert_eq!(
        (chatty["context_length"].clone(), chatty["max_output_tokens"].clone()),
        (json!(100_000), json!(8_000))
    );
    assert!(chatty["created"].is_u64());
    assert_eq!(world.get("/v1/models/unpriced%2Fx").await.json()["pricing"], json!(null));
    let unknown = world.get("/v1/models/chaty").await;
    assert_eq!((unknown.status, unknown.error("code")), (404, json!("model_not_found")));
    assert!(unknown.text.contains("`chatty`"));
    let request = world.request("GET", "/v1/models").body(Full::default()).unwrap();
    assert_eq!(world.read(request).await.status, 401);
}

#[tokio::test]
async fn the_front_knows_its_paths() {
    let world = World::open().await;
    assert_eq!(world.get("/healthz").await.text, "ok");
    let ready = world.get("/readyz").await;
    assert_eq!((ready.status, ready.text.as_str()), (503, "still warming up"));
    assert_eq!(world.get("/v1/topups").await.status, 418, "the fallback's");
    let wrong = world.get("/v1/chat/completions").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let request = world
        .request("POST", "/chat/completions")
        .header("authorization", format!("bEARER {KEY}"))
        .header("x-client-request-id", "mine-1")
        .body(Full::new(body("").into()))
        .unwrap();
    let read = world.read(request).await;
    assert_eq!((read.status, read.header("x-client-request-id")), (200, "mine-1"));
}

#[tokio::test]
async fn a_listener_told_to_stop_finishes_what_it_began() {
    let world = World::open().await;
    world.upstream().will(stream(vec![
        Piece::Bytes(format!("data: {}\n\n", chunk("a")).into()),
        Piece::Gate,
        Piece::Bytes(format!("data: {FINISH}\n\ndata: [DONE]\n\n").into()),
    ]));
    let answer = world.send(world.chat_request(body(r#","stream":true"#))).await;
    world.shutdown.cancel();
    world.upstream().gate.add_permits(1);
    assert_eq!(crate::world::read(answer).await.events().last().unwrap(), "[DONE]");
}
