//! What can go wrong on the wire?
use serde_json::{Value, json};

use super::far::{Far, Streamed};

const OPENAI: &str = "/openai/v1";

fn ask(streamed: bool) -> Value {
    json!({"model": "sim-fast", "stream": streamed, "messages": [{"role": "user", "content": "你好 😀"}],
        "stream_options": if streamed { json!({"include_usage": true}) } else { Value::Null }})
}

async fn text(far: &Far, fault: Value, streamed: bool) -> String {
    set(far, fault).await;
    far.chat(OPENAI, ask(streamed)).await.text().await.unwrap()
}

async fn set(far: &Far, mut fault: Value) {
    fault["scope"] = "openai".into();
    far.fault(fault).await;
}

/// The events of a stream as the standard reads them: any line end, fields, comments.
fn read(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let data = block.lines().filter_map(|line| line.strip_prefix("data:"));
        let data: Vec<&str> = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        if !data.is_empty() && data != ["{}"] {
            events.push(data.join("\n"));
        }
    }
    events
}

#[tokio::test]
async fn a_stream_may_be_framed_in_any_way_and_says_the_same() {
    let far = Far::open().await;
    let without_times = |text: &str| -> Vec<Value> {
        let chunks = read(text).into_iter().filter(|data| data != "[DONE]");
        chunks.map(|data| serde_json::from_str::<Value>(&data).unwrap()["choices"].clone()).collect()
    };
    let plain = without_times(&far.chat(OPENAI, ask(true)).await.text().await.unwrap());
    assert!(plain.len() > 5);
    for fault in [
        json!({"fault": "crlf"}),
        json!({"fault": "cr"}),
        json!({"fault": "bom"}),
        json!({"fault": "multi_line"}),
        json!({"fault": "comments"}),
        json!({"fault": "odd_fields"}),
        json!({"fault": "drip", "bytes": 7}),
        json!({"fault": "no_done"}),
        json!({"fault": "busy", "signs": 3, "gap_ms": 0}),
    ] {
        assert_eq!(without_times(&text(&far, fault.clone(), true).await), plain, "{fault}");
    }
    let text = text(&far, json!({"fault": "no_blank_line"}), true).await;
    assert!(!text.trim_end().contains("\n\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("data: {")).count(), plain.len());
}

#[tokio::test]
async fn a_body_may_be_compressed_although_nobody_asked() {
    let far = Far::open().await;
    for streamed in [false, true] {
        set(&far, json!({"fault": "gzip"})).await;
        let response = far.chat(OPENAI, ask(streamed)).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let bytes = response.bytes().await.unwrap();
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
        assert!(plain.contains("sim-fast"), "{plain}");
    }
}

#[tokio::test]
async fn a_stream_may_be_empty_or_no_stream_at_all() {
    let far = Far::open().await;
    assert_eq!(text(&far, json!({"fault": "empty_stream"}), true).await, "");
    assert_eq!(text(&far, json!({"fault": "empty_stream", "done": true}), true).await, "data: [DONE]\n\n");
    let whole: Value =
        serde_json::from_str(&text(&far, json!({"fault": "json_for_stream"}), true).await).unwrap();
    assert_eq!(whole["object"], "chat.completion");
    set(&far, json!({"fault": "stream_for_json"})).await;
    let response = far.chat(OPENAI, ask(false)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    set(&far, json!({"fault": "html", "status": 502})).await;
    let response = far.chat(OPENAI, ask(true)).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (502, &"text/html; charset=utf-8".parse().unwrap())
    );
}

#[tokio::test]
async fn a_stream_may_end_well_in_the_middle() {
    let far = Far::open().await;
    let stream = Streamed::read(&text(&far, json!({"fault": "end_after", "chunks": 4}), true).await);
    assert_eq!((stream.chunks.len(), stream.done, stream.finish().as_str()), (4, false, ""));
    let odd = json!({"fault": "finish_reason", "reason": "insufficient_system_resource", "after": 3});
    let stream = Streamed::read(&text(&far, odd, true).await);
    assert_eq!((stream.finish().as_str(), stream.done), ("insufficient_system_resource", true));
    assert_eq!(stream.usages()[0]["completion_tokens"], 3);
    let stream = Streamed::read(&text(&far, json!({"fault": "error_in_200", "after": 2}), true).await);
    assert_eq!((stream.chunks.len(), stream.done), (3, false));
    assert!(stream.chunks[2]["error"]["message"].is_string());
}

#[tokio::test]
async fn a_word_may_be_a_mebibyte_and_a_byte_no_text() {
    let far = Far::open().await;
    let stream = Streamed::read(&text(&far, json!({"fault": "huge_chunk"}), true).await);
    assert!(stream.chunks[1]["choices"][0]["delta"]["content"].as_str().unwrap().len() == 1024 * 1024);
    for streamed in [false, true] {
        set(&far, json!({"fault": "bad_utf8"})).await;
        let bytes = far.chat(OPENAI, ask(streamed)).await.bytes().await.unwrap();
        assert!(std::str::from_utf8(&bytes).is_err());
    }
}

#[tokio::test]
async fn any_member_may_be_missing_or_something_else() {
    let far = Far::open().await;
    let roleless = json!({"fault": "remove", "pointer": "/choices/0/message/role"});
    let whole: Value = serde_json::from_str(&text(&far, roleless, false).await).unwrap();
    assert!(whole["choices"][0]["message"].get("role").is_none());
    let listless = json!({"fault": "set", "pointer": "/choices"});
    let stream = Streamed::read(&text(&far, listless, true).await);
    assert!(stream.chunks.iter().all(|chunk| chunk["choices"].is_null()));
    let stream = Streamed::read(&text(&far, json!({"fault": "usage_in_every_chunk"}), true).await);
    assert!(stream.usages().len() > 5);
}

#[tokio::test]
async fn faults_strike_every_wire() {
    let far = Far::open().await;
    let responses = json!({"model": "sim-fast", "input": "hi", "stream": true});
    let completions = json!({"model": "sim-instruct", "prompt": "hi", "stream": true});
    let messages = json!({"model": "sim-claude", "max_tokens": 99, "stream": true, "messages":
        [{"role": "user", "content": "hi"}]});
    for (scope, path, body) in [
        ("openai", "/openai/v1/responses", responses),
        ("openai", "/openai/v1/completions", completions),
        ("anthropic", "/anthropic/v1/messages", messages),
    ] {
        far.fault(json!({"scope": scope, "fault": "end_after", "chunks": 3})).await;
        let text = far.at(path, &body).await.text().await.unwrap();
        assert_eq!(read(&text).len(), 3, "{path}");
        far.fault(json!({"scope": scope, "fault": "error_in_200", "after": 3})).await;
        let text = far.at(path, &body).await.text().await.unwrap();
        let last: Value = serde_json::from_str(read(&text).last().unwrap()).unwrap();
        assert!(last["error"].is_object() || last["type"] == "error", "{path}: {last}");
        let nonsense = json!({"input_tokens": -1, "prompt_tokens": -1, "output_tokens": 1.5});
        far.fault(json!({"scope": scope, "fault": "usage", "usage": nonsense})).await;
        let mut whole = body.clone();
        whole["stream"] = false.into();
        assert_eq!(far.json_at(path, &whole).await.1["usage"], nonsense, "{path}");
        far.fault(json!({"scope": scope, "fault": "no_usage"})).await;
        assert!(far.json_at(path, &whole).await.1["usage"].is_null(), "{path}");
        far.fault(json!({"scope": scope, "fault": "out_of_funds"})).await;
        assert!(far.at(path, &body).await.status().is_client_error(), "{path}");
        far.fault(json!({"scope": scope, "fault": "bad_json"})).await;
        assert!(far.json_at(path, &whole).await.1.is_string(), "{path}");
    }
    let vectors = json!({"model": "sim-embed", "input": "hi"});
    far.fault(json!({"scope": "openai", "fault": "error_in_200"})).await;
    assert!(far.json_at("/openai/v1/embeddings", &vectors).await.1["error"].is_object());
    far.fault(json!({"scope": "openai", "fault": "remove", "pointer": "/data/0/embedding"})).await;
    assert!(far.json_at("/openai/v1/embeddings", &vectors).await.1["data"][0].get("embedding").is_none());
}
