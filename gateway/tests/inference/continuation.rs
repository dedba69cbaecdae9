//! Answers that break off and are continued by another provider.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use gateway::chat::{AttemptResult, Ending};
use http_body_util::BodyExt;
use router_config::Route;
use serde_json::{Value, json};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk},
    world::{Read, Setup, World, body},
};

const STREAM: &str = r#","stream":true,"stream_options":{"include_usage":true}"#;

fn continued(route: Route) -> Vec<Route> {
    vec![Route { continue_streams: true, ..route }]
}

async fn of(kinds: &[&'static str]) -> World {
    World::with(Setup { kinds: kinds.to_vec(), routes: continued, attempts_max: 3, ..Setup::default() }).await
}

fn data(json: &str) -> Piece {
    Piece::Bytes(format!("data: {json}\n\n").into())
}

/// Says these words and is cut.
fn cut_after(texts: &[&str]) -> Script {
    let mut pieces: Vec<Piece> = texts.iter().map(|text| data(&chunk(text))).collect();
    pieces.push(Piece::Cut);
    stream(pieces)
}

/// Says these words under a name of its own, and ends.
fn rest(texts: &[&str], usage: (u64, u64)) -> Script {
    let role = r#"{"id":"c2","object":"chat.completion.chunk","created":2,"model":"other","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    let mut said = vec![role.to_owned()];
    said.extend(texts.iter().map(|text| chunk(text).replace("c1", "c2").replace(r#""up""#, r#""other""#)));
    said.push(FINISH.replace("c1", "c2"));
    said.push(usage_chunk(usage.0, usage.1).replace("c1", "c2"));
    said.push("[DONE]".to_owned());
    events(&said.iter().map(String::as_str).collect::<Vec<_>>())
}

fn chunks(read: &Read) -> Vec<Value> {
    let events = read.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{}", read.text);
    events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[tokio::test]
async fn a_text_that_breaks_off_is_continued_elsewhere_and_paid_once() {
    for (kind, path, told) in [
        ("deepseek", "/beta/chat/completions", json!({"prefix": true})),
        ("moonshot", "/v1/chat/completions", json!({"partial": true})),
        ("vllm", "/v1/chat/completions", json!({})),
    ] {
        let world = of(&["openai", kind]).await;
        world.upstreams[0].will(cut_after(&["Once upon", " a \"time\"\n"]));
        world.upstreams[1].will(rest(&["there was", " an end."], (21, 4)));
        let read = world.chat(body(&format!(r#"{STREAM},"max_tokens":100,"temperature":0.5"#))).await;
        assert_eq!(read.status, 200, "{kind}: {}", read.text);
        assert_eq!(read.spoken(), "Once upon a \"time\"\nthere was an end.", "{kind}");
        let said = chunks(&read);
        assert!(
            said.iter().all(|chunk| chunk["id"] == "c1" && chunk["model"] == "up"),
            "one answer: {}",
            read.text
        );
        assert_eq!(read.text.matches(r#""role""#).count(), 0, "the second role is not said");
        assert!(read.text.contains(" continued-by=p1\n"), "{}", read.text);

        // What it was told: everything as before, and what was said.
        let seen = world.upstreams[1].last();
        assert_eq!(seen.path, path, "{kind}");
        let mut last = json!({"role": "assistant", "content": "Once upon a \"time\"\n"});
        last.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        let asked = json!({"role": "user", "content": "hello there"});
        assert_eq!(seen.body["messages"], json!([asked, last]), "{kind}");
        assert_eq!(seen.body["temperature"], if kind == "moonshot" { json!(null) } else { json!(0.5) });
        let most = seen.body.get("max_completion_tokens").or_else(|| seen.body.get("max_tokens")).unwrap();
        assert_eq!(*most, json!(95), "what is left of the hundred");
        if kind == "vllm" {
            assert_eq!(seen.body["continue_final_message"], json!(true));
            assert_eq!(seen.body["add_generation_prompt"], json!(false));
        }

        // One hold, one end; the client's prompt once, and what both have said.
        let outcome = world.till.all_settled().await;
        assert_eq!(world.till.books.lock().unwrap().asks.len(), 1);
        let usage = outcome.usage.unwrap();
        assert!(world.till.books.lock().unwrap().asks[0].input_estimate.0 > 16);
        assert_eq!(
            (usage.input.0, usage.output.0),
            (21 - 5, 5 + 4),
            "{kind}: the prompt without what was said"
        );
        assert!(outcome.estimated, "nobody counted the first part");
        let told = said.last().unwrap();
        assert_eq!(told["usage"]["completion_tokens"], json!(9), "{told}");
        assert_eq!(told["usage"]["prompt_tokens"], json!(16));
        let attempts: Vec<_> =
            outcome.attempts.iter().map(|it| (it.provider.as_str(), it.result, it.continues)).collect();
        assert_eq!(attempts, [("p0", AttemptResult::BrokeOff, false), ("p1", AttemptResult::Ok, true)]);
        assert_eq!(outcome.ending, Ending::Finished);
        assert!(world.counted(r#"tollgate_stream_continuations_total{from="p0",model="chatty",to="p1"}"#));
    }
}

#[tokio::test]
async fn what_a_provider_says_again_is_not_said_twice() {
    let so_far = "Hello wide, ";
    for said in [
        vec!["Hello wide, world"],
        vec!["Hel", "lo wide", ", wor", "ld"],
        vec!["Hello wide,", " ", "world"],
        vec!["Hello wide,", "world"],
        vec!["world"],
    ] {
        let world = of(&["openai", "mistral"]).await;
        world.upstreams[0].will(cut_after(&[so_far]));
        world.upstreams[1].will(rest(&said, (20, 7)));
        let read = world.chat(body(STREAM)).await;
        assert_eq!(read.spoken(), "Hello wide, world", "{said:?}");
        let usage = world.till.all_settled().await.usage.unwrap();
        assert_eq!(usage.output.0, 3 + 2, "what is said again is not paid again: {said:?}");
    }
    // What begins like a repetition and is none is said.
    let world = of(&["openai", "mistral"]).await;
    world.upstreams[0].will(cut_after(&["ha ha hi"]));
    world.upstreams[1].will(rest(&["ha ha ho"], (20, 7)));
    assert_eq!(world.chat(body(STREAM)).await.spoken(), "ha ha hiha ha ho");
    let world = of(&["openai", "mistral"]).await;
    world.upstreams[0].will(cut_after(&["ha ha"]));
    world.upstreams[1].will(rest(&["ha"], (20, 7)));
    assert_eq!(world.chat(body(STREAM)).await.spoken(), "ha haha");
}

#[tokio::test]
async fn an_answer_goes_on_as_often_as_its_route_may_ask() {
    let world = of(&["deepseek", "deepseek"]).await;
    let bad = answer(500, "{}");
    world.upstreams[0].will(cut_after(&["one "])).will(rest(&["three"], (9, 1)));
    world.upstreams[1].will(cut_after(&["two "]));
    let read = world.chat(body(STREAM)).await;
    assert_eq!(read.spoken(), "one two three");
    let outcome = world.till.all_settled().await;
    let attempts: Vec<_> = outcome.attempts.iter().map(|it| (it.provider.as_str(), it.result)).collect();
    assert_eq!(
        attempts,
        [("p0", AttemptResult::BrokeOff), ("p1", AttemptResult::BrokeOff), ("p0", AttemptResult::Ok)]
    );
    assert_eq!(outcome.usage.unwrap().output.0, 1 + 1 + 1);

    // Three attempts are all there are: the client is told, and pays what came.
    let world = of(&["deepseek", "deepseek"]).await;
    world.upstreams[0].will(cut_after(&["one "])).will(bad.clone());
    world.upstreams[1].will(bad);
    let read = world.chat(body(STREAM)).await;
    assert!(!read.text.contains("[DONE]"), "{}", read.text);
    assert!(read.text.contains("upstream_interrupted") && read.text.contains("p0:"), "{}", read.text);
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.attempts.len()), (Ending::BrokeOff, 3));
    assert_eq!(outcome.usage.unwrap().output.0, 1);
    assert!(world.counted(r#"tollgate_stream_continuations_total{from="p0",model="chatty",to="none"}"#));
}

#[tokio::test]
async fn only_a_plain_text_is_continued_and_only_where_its_route_says_so() {
    let tool = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":null}]}"#;
    let thought = chunk("hm").replace(r#""content""#, r#""reasoning_content""#);
    let filtered = r#"{"error":{"message":"Content Exists Risk","code":"content_filter"}}"#;
    let plain = || cut_after(&["a"]);
    let then = |first: &str, rest: Piece| stream(vec![data(&chunk("a")), data(first), rest]);
    for (asked, script) in [
        (r#","tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#, plain()),
        (r#","response_format":{"type":"json_object"}"#, plain()),
        (r#","logprobs":true"#, plain()),
        (r#","n":2"#, plain()),
        ("", then(tool, Piece::Cut)),
        ("", then(&thought, Piece::Cut)),
        ("", then(filtered, Piece::Stall)),
    ] {
        let world = of(&["openai", "vllm"]).await;
        world.upstreams[0].will(script.clone());
        let read = world.chat(body(&format!("{STREAM}{asked}"))).await;
        assert_eq!(read.status, 200, "{}", read.text);
        assert!(!read.text.contains("[DONE]"), "{asked} {script:?}");
        assert_eq!(world.upstreams[1].calls(), 0, "{asked} {script:?}");
        assert_eq!(world.till.all_settled().await.ending, Ending::BrokeOff);
    }
    // The caller has begun the answer itself.
    let world = of(&["openai", "vllm"]).await;
    world.upstreams[0].will(plain());
    let own = r#"{"model":"chatty","stream":true,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"I"}]}"#;
    assert!(!world.chat(own).await.text.contains("[DONE]"));
    // Its route does not.
    let world = World::with(Setup { kinds: vec!["openai", "vllm"], ..Setup::default() }).await;
    world.upstreams[0].will(plain());
    assert!(!world.chat(body(STREAM)).await.text.contains("[DONE]"));
    // Nobody can be given the beginning of an answer.
    let world = of(&["openai", "groq"]).await;
    world.upstreams[0].will(plain());
    assert!(!world.chat(body(STREAM)).await.text.contains("[DONE]"));
    assert_eq!(world.upstreams[1].calls(), 0);
}

#[tokio::test]
async fn whoever_hangs_up_while_another_is_asked_pays_what_came() {
    let world = of(&["openai", "vllm"]).await;
    world.upstreams[0].will(cut_after(&["Once upon"]));
    world.upstreams[1].will(Script::Silent);
    let answer = world.send(world.chat_request(body(STREAM))).await;
    let mut frames = answer.into_body().into_data_stream();
    let first: Bytes = frames.next().await.unwrap().unwrap();
    assert!(first.windows(9).any(|window| window == b"Once upon"));
    let reading = async { while frames.next().await.is_some() {} };
    tokio::select! {
        () = reading => panic!("nobody goes on"),
        () = world.upstreams[1].arrived.notified() => {}
    }
    drop(frames);
    world.upstreams[1].until_cancelled().await;
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.usage.unwrap().output.0), (Ending::HungUp, 3));
    world.till.assert_each_hold_ended_once("hung up");
}

#[tokio::test]
async fn clients_of_other_endpoints_hear_one_answer_too() {
    let world = of(&["openai", "deepseek"]).await;
    world.upstreams[0].will(cut_after(&["Once upon "]));
    world.upstreams[1].will(rest(&["a time."], (21, 4)));
    let messages =
        r#"{"model":"chatty","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let read = world.post("/v1/messages", messages).await;
    let text = |read: &Read, kind: &str| -> String {
        let data = read.text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let said = |event: Value| {
            let text = event["delta"]["text"].as_str().or_else(|| event["delta"].as_str());
            (event["type"] == kind).then(|| text.unwrap_or_default().to_owned())
        };
        events.filter_map(said).collect()
    };
    assert_eq!(text(&read, "content_block_delta"), "Once upon a time.", "{}", read.text);
    assert_eq!(read.text.matches("message_start").count(), 2, "an event and its data: one message");
    assert!(read.text.contains("message_stop"));
}

#[tokio::test]
async fn a_silence_in_the_middle_is_a_reason_to_go_on_elsewhere() {
    let idle_max = Duration::from_millis(300);
    let setup = Setup { kinds: vec!["openai", "vllm"], routes: continued, idle_max, ..Setup::default() };
    let world = World::with(setup).await;
    world.upstreams[0].will(stream(vec![data(&chunk("Once ")), Piece::Stall]));
    world.upstreams[1].will(rest(&["upon"], (9, 1)));
    let read = world.chat(body(STREAM)).await;
    assert_eq!(read.spoken(), "Once upon");
    assert!(world.counted(r#"tollgate_stream_stalls_total{provider="p0"}"#));
}
