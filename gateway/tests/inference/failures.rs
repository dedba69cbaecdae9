//! When upstreams fail.

use std::time::Duration;

use serde_json::json;

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;

async fn two(first_byte_max: Duration) -> World {
    let kinds = vec!["openai", "deepseek"];
    World::with(Setup { kinds, first_byte_max, idle_max: first_byte_max, ..Setup::default() }).await
}

fn html() -> Script {
    let headers = vec![("content-type", "text/html".to_owned())];
    Script::Answer { status: 200, headers, body: "<html>busy</html>".to_owned() }
}

#[tokio::test]
async fn another_provider_is_asked_when_one_fails() {
    let fails: [(&str, Script); 11] = [
        ("rate_limited", answer(429, r#"{"error":{"message":"slow down"}}"#)),
        ("server_error", answer(500, "")),
        ("server_error", answer(503, "<html>")),
        ("auth_failed", answer(401, r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#)),
        ("out_of_funds", answer(402, r#"{"error":{"message":"Insufficient Balance"}}"#)),
        ("refused", answer(404, r#"{"error":{"message":"no such model"}}"#)),
        ("server_error", answer(200, r#"{"error":{"message":"boom"}}"#)),
        ("rate_limited", answer(200, r#"{"code":"Throttling.RateQuota","message":"slow"}"#)),
        ("malformed", html()),
        ("malformed", answer(200, "")),
        ("unreachable", Script::Close),
    ];
    for (result, script) in fails {
        for streaming in [false, true] {
            let world = two(Duration::from_secs(20)).await;
            world.upstreams[0].will(script.clone());
            let (read, cost) = if streaming {
                world.upstreams[1].will(events(&[&chunk("hi"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
                let read = world.chat(body(r#","stream":true"#)).await;
                assert_eq!(read.spoken(), "hi");
                (read, "cost-cny=0.00002 ")
            } else {
                world.upstreams[1].will(answer(200, whole("hi", USAGE)));
                (world.chat(body("")).await, "")
            };
            let context = format!("{result} {script:?} {streaming}");
            assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"), "{context}");
            assert_eq!(read.header("x-tollgate-attempts"), "2");
            assert!(read.text.contains(cost), "{}", read.text);
            let outcome = world.till.all_settled().await;
            assert_eq!(outcome.attempts.len(), 2);
            assert_eq!(json!(outcome.attempts[0].result), json!(result), "{context}");
            assert_eq!(world.till.books.lock().unwrap().asks.len(), 1, "one hold for both attempts");
            let series =
                format!(r#"tollgate_failovers_total{{from="p0",model="chatty",reason="{result}",to="p1"}}"#);
            assert!(world.counted(&series), "{context}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_begins_badly_never_reaches_the_client() {
    let bad = [
        events(&[r#"{"error":{"message":"overloaded"}}"#]),
        events(&["[DONE]"]),
        events(&[]),
        events(&["<html>"]),
        stream(vec![Piece::Bytes(": waiting\n\n".into()), Piece::Cut]),
        answer(200, whole("not a stream", USAGE)),
    ];
    for script in bad {
        let world = two(Duration::from_secs(20)).await;
        world.upstreams[0].will(script.clone());
        world.upstreams[1].will(events(&[&chunk("hi"), FINISH, "[DONE]"]));
        let read = world.chat(body(r#","stream":true"#)).await;
        assert_eq!((read.status, read.spoken().as_str()), (200, "hi"), "{script:?}");
    }
}

#[tokio::test]
async fn a_silent_upstream_is_left_and_comments_are_no_answer() {
    let world = two(Duration::from_millis(300)).await;
    let waiting = stream(vec![Piece::Bytes(": keep-alive\n\n".into()), Piece::Stall]);
    for script in [Script::Silent, waiting] {
        world.upstreams[0].will(script);
        world.upstreams[1].will(events(&[&chunk("hi"), FINISH, "[DONE]"]));
        let read = world.chat(body(r#","stream":true"#)).await;
        assert_eq!((read.status, read.header("x-tollgate-provider")), (200, "p1"));
    }
    // Two in a row are no accident: now it rests, and the other one is asked first.
    world.upstreams[1].will(events(&[&chunk("hi"), FINISH, "[DONE]"]));
    assert_eq!(world.chat(body(r#","stream":true"#)).await.header("x-tollgate-attempts"), "1");
    assert_eq!(world.upstreams[0].calls(), 2);
}

#[tokio::test]
async fn a_resting_provider_is_asked_last_and_comes_back() {
    let world = two(Duration::from_secs(20)).await;
    let headers = vec![("retry-after", "30".to_owned())];
    world.upstreams[0].will(Script::Answer { status: 429, headers, body: String::new() });
    for _ in 0..2 {
        world.upstreams[1].will(answer(200, whole("hi", USAGE)));
        assert_eq!(world.chat(body("")).await.header("x-tollgate-provider"), "p1");
    }
    assert_eq!(world.upstreams[0].calls(), 1, "it rests");
    world.clock.forward(Duration::from_secs(31));
    world.upstreams[0].will(answer(200, whole("hi", USAGE)));
    assert_eq!(world.chat(body("")).await.header("x-tollgate-provider"), "p0");
}

#[tokio::test]
async fn a_bad_request_is_refused_once_in_the_upstreams_words() {
    let cases = [
        (
            400,
            r#"{"error":{"message":"Invalid 'tools'","type":"invalid_request_error","param":"tools","code":"invalid_value"}}"#,
            400,
            "invalid_value",
        ),
        (422, r#"{"detail":[{"loc":["body","x"],"msg":"Field required"}]}"#, 422, ""),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
            400,
            "context_length_exceeded",
        ),
        (400, r#"{"error":{"message":"Content Exists Risk"}}"#, 400, "content_filter"),
    ];
    for (status, said, outward, code) in cases {
        for streaming in ["", r#","stream":true"#] {
            let world = two(Duration::from_secs(20)).await;
            world.upstreams[0].will(answer(status, said));
            let read = world.chat(body(streaming)).await;
            assert_eq!(read.status, outward, "{said}");
            assert_eq!(read.error("code").as_str().unwrap_or(""), code);
            assert_eq!(read.error("type"), "invalid_request_error");
            assert_eq!(world.upstreams[1].calls(), 0, "nobody else would say otherwise");
            assert_eq!(world.till.all_settled().await.usage, None, "an error costs nothing");
        }
    }
}

#[tokio::test]
async fn when_all_fail_the_client_learns_whether_to_try_again() {
    let limited = || answer(429, "{}");
    let cases = [
        (answer(500, ""), answer(500, ""), 502, "true", ""),
        (limited(), limited(), 503, "true", "5"),
        (answer(401, ""), answer(402, ""), 503, "false", ""),
        (answer(504, ""), answer(504, ""), 504, "false", ""),
    ];
    for (first, second, status, retry, after) in cases {
        let world = two(Duration::from_secs(20)).await;
        world.upstreams[0].will(first);
        world.upstreams[1].will(second);
        let read = world.chat(body("")).await;
        assert_eq!((read.status, read.error("code")), (status, json!("upstream_unavailable")));
        assert_eq!((read.header("x-should-retry"), read.header("retry-after")), (retry, after));
        assert_eq!(world.till.all_settled().await.usage, None);
        assert!(
            world.counted(r#"tollgate_requests_total{model="chatty",outcome="upstream_error",route="chat"}"#)
        );
    }
}

#[tokio::test]
async fn lesson_23_a_cut_stream_ends_in_an_honest_error_and_not_in_done() {
    let bytes = |text: &str| Piece::Bytes(format!("data: {text}\n\n").into());
    let cuts = [
        stream(vec![bytes(&chunk("abcdefgh")), Piece::Cut]),
        stream(vec![bytes(&chunk("abcdefgh"))]),
        stream(vec![bytes(&chunk("abcdefgh")), bytes("[DONE]")]),
        stream(vec![
            bytes(&chunk("abcdefgh")),
            bytes(r#"{"error":{"message":"overloaded"}}"#),
            bytes("[DONE]"),
        ]),
        stream(vec![bytes(&chunk("abcdefgh")), bytes("<garbage>")]),
        stream(vec![bytes(&chunk("abcdefgh")), Piece::Stall]),
    ];
    for script in cuts {
        let world = two(Duration::from_millis(300)).await;
        world.upstreams[0].will(script.clone());
        let read = world.chat(body(r#","stream":true"#)).await;
        let events = read.events();
        assert_eq!(events[0], chunk("abcdefgh"));
        let error: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(error["error"]["message"].is_string(), "{script:?}: {}", read.text);
        assert!(!read.text.contains("[DONE]"));
        assert_eq!(world.upstreams[1].calls(), 0, "too late for another");
        let outcome = world.till.all_settled().await;
        assert_eq!((outcome.usage.unwrap().output.0, outcome.estimated), (2, true));
    }
}

#[tokio::test]
async fn a_usage_that_cannot_be_is_replaced_by_an_estimate() {
    for hostile in [
        r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
        r#"{"prompt_tokens":1,"completion_tokens":100000001}"#,
        r#"{"prompt_tokens":1.5,"completion_tokens":5}"#,
        r#"{"prompt_tokens":1,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2}}"#,
        r#"{"prompt_tokens":0,"completion_tokens":0}"#,
    ] {
        let world = World::open().await;
        world.upstream().will(answer(200, whole("abcdefgh", &format!(r#","usage":{hostile}"#))));
        let read = world.chat(body("")).await;
        assert_eq!(read.status, 200);
        let outcome = world.till.all_settled().await;
        assert_eq!((outcome.usage.unwrap().output.0, outcome.estimated), (2, true), "{hostile}");
        let refused = world.counted(r#"tollgate_usage_refused_total{provider="p0"}"#);
        assert_eq!(refused, !hostile.contains(":0,"), "{hostile}");
    }
}
