//! Is anything sold whose price nobody was told?

use serde_json::json;

use crate::{
    upstream::{answer, whole},
    world::{Setup, World},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}"#;

const CALLS: [(&str, &str); 4] = [
    ("/v1/chat/completions", r#"{"model":"chatty","messages":[{"role":"user","content":"hi"}]"#),
    ("/v1/responses", r#"{"model":"chatty","input":"hi""#),
    ("/v1/completions", r#"{"model":"chatty","prompt":"hi""#),
    ("/v1/messages", r#"{"model":"chatty","max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#),
];

async fn of(kind: &'static str) -> World {
    World::with(Setup { kinds: vec![kind], ..Setup::default() }).await
}

#[tokio::test]
async fn a_tier_of_service_with_another_price_is_refused_by_name() {
    for kind in ["openai", "anthropic", "dashscope"] {
        let world = of(kind).await;
        for (path, call) in CALLS {
            for tier in ["flex", "priority", "scale", "fast", "on_demand", "anything"] {
                let read = world.post(path, format!(r#"{call},"service_tier":"{tier}"}}"#)).await;
                assert_eq!(
                    (read.status, read.error("type"), read.error("code"), read.error("param")),
                    (
                        400,
                        json!("invalid_request_error"),
                        json!("unsupported_parameter"),
                        json!("service_tier")
                    ),
                    "{path} {tier} by {kind}: {}",
                    read.text
                );
            }
            let read = world.post(path, format!(r#"{call},"service_tier":7}}"#)).await;
            assert_eq!(
                (read.status, read.error("code"), read.error("param")),
                (400, json!("invalid_type"), json!("service_tier")),
                "{path}"
            );
            let twice =
                world.post(path, format!(r#"{call},"service_tier":"auto","service_tier":"flex"}}"#)).await;
            assert_eq!(
                (twice.status, twice.error("code"), twice.error("param")),
                (400, json!("duplicate_parameter"), json!("service_tier")),
                "{path}: which one would count?"
            );
        }
        assert_eq!(world.upstream().calls(), 0);
        assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    }
}

#[tokio::test]
async fn the_tier_that_has_a_price_is_passed_on() {
    // Legacy completions are a chat here, and so is a Response where Responses are not spoken.
    for (kind, said) in [("dashscope", whole("hi", USAGE)), ("anthropic", MESSAGE.to_owned())] {
        let world = of(kind).await;
        for (path, call) in CALLS {
            for tier in [r#""auto""#, r#""default""#, r#""standard_only""#, "null"] {
                world.upstream().will(answer(200, said.as_str()));
                let read = world.post(path, format!(r#"{call},"service_tier":{tier}}}"#)).await;
                assert_eq!(read.status, 200, "{path} {tier} by {kind}: {}", read.text);
            }
        }
        world.till.all_settled().await;
    }
    let world = of("openai").await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    world.post(CALLS[0].0, format!(r#"{},"service_tier":"default"}}"#, CALLS[0].1)).await;
    assert_eq!(world.upstream().last().body["service_tier"], "default");
}

#[tokio::test]
async fn a_cache_of_an_hour_is_refused_where_it_is_asked_for() {
    const HOUR: &str = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
    let message = |rest: String| format!(r#"{{"model":"chatty","max_tokens":9,{rest}}}"#);
    let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
    for kind in ["anthropic", "dashscope"] {
        let world = of(kind).await;
        for (rest, param) in [
            (format!("{hi},{HOUR}"), "cache_control.ttl"),
            (
                format!(r#"{hi},"system":[{{"type":"text","text":"a",{HOUR}}}]"#),
                "system[0].cache_control.ttl",
            ),
            (
                format!(r#"{hi},"tools":[{{"name":"f","input_schema":{{"type":"object"}},{HOUR}}}]"#),
                "tools[0].cache_control.ttl",
            ),
            (
                format!(r#""messages":[{{"role":"user","content":[{{"type":"text","text":"a",{HOUR}}}]}}]"#),
                "messages[0].content[0].cache_control.ttl",
            ),
            (
                format!(
                    r#""messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"f","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a","content":[{{"type":"text","text":"b",{HOUR}}}]}}]}}]"#
                ),
                "messages[1].content[0].content[0].cache_control.ttl",
            ),
        ] {
            let read = world.post("/v1/messages", message(rest.clone())).await;
            assert_eq!(
                (read.status, read.error("code"), read.error("param")),
                (400, json!("unsupported_parameter"), json!(param)),
                "{rest} by {kind}: {}",
                read.text
            );
        }
        // A chat client may mark its parts, too, and they are passed on.
        let chat = format!(
            r#"{{"model":"chatty","messages":[{{"role":"user","content":[{{"type":"text","text":"a",{HOUR}}}]}}]}}"#
        );
        let read = world.chat(chat).await;
        assert_eq!(
            (read.status, read.error("param")),
            (400, json!("messages[0].content[0].cache_control.ttl"))
        );
        assert_eq!(world.upstream().calls(), 0);
        assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    }
    let world = of("anthropic").await;
    world.upstream().will(answer(200, MESSAGE));
    let five = HOUR.replace("1h", "5m");
    let read = world
        .post("/v1/messages", message(format!(r#""system":[{{"type":"text","text":"a",{five}}}],{hi}"#)))
        .await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert!(world.upstream().last().raw.contains(&five), "five minutes are what the list has a rate for");
}
