//! Do messages come as Anthropic writes them?
use serde_json::{Value, json};

use super::far::{Far, KEY};

const AT: &str = "/anthropic/v1/messages";

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 1024, "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_message_says_the_same_streamed_and_in_one_piece() {
    let far = Far::open().await;
    let mut question = ask("sim-claude", "今天怎么样？");
    let (status, whole) = far.json_at(AT, &question).await;
    assert_eq!((status, &whole["type"], &whole["stop_reason"]), (200, &json!("message"), &json!("end_turn")));
    let text = whole["content"][0]["text"].as_str().unwrap();
    question["stream"] = true.into();
    let events = far.events_at(AT, &question).await;
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert!(events.iter().all(|(name, data)| data["type"] == *name));
    let deltas: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(deltas, text);
    let [start, end] = [&events[0].1["message"]["usage"], &events[events.len() - 2].1["usage"]];
    assert_eq!(start["input_tokens"], whole["usage"]["input_tokens"]);
    assert_eq!(
        (&start["output_tokens"], &end["output_tokens"]),
        (&json!(1), &whole["usage"]["output_tokens"])
    );
    let mut body = ask("sim-claude", "今天怎么样？");
    body.as_object_mut().unwrap().remove("max_tokens");
    let (_, counted) = far.json_at("/anthropic/v1/messages/count_tokens", &body).await;
    assert_eq!(counted["input_tokens"], whole["usage"]["input_tokens"]);
}

#[tokio::test]
async fn a_tool_is_called_after_a_word_and_its_result_comes_back() {
    let far = Far::open().await;
    let mut question = ask("sim-claude", "Weather in both cities?");
    question["tools"] = json!([{"name": "get_weather", "input_schema":
        {"type": "object", "properties": {"city": {"type": "string"}}}}]);
    let (_, whole) = far.json_at(AT, &question).await;
    assert_eq!(whole["stop_reason"], "tool_use");
    let kinds: Vec<&str> =
        whole["content"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "tool_use", "tool_use"]);
    assert_eq!(whole["content"][1]["input"], json!({"city": "北京"}));
    let mut streamed = question.clone();
    streamed["stream"] = true.into();
    let events = far.events_at(AT, &streamed).await;
    let pieces = events.iter().filter(|(_, data)| data["index"] == 2);
    let input: String = pieces.filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&input).unwrap(), json!({"city": "北京"}));

    let turns = question["messages"].as_array_mut().unwrap();
    let results: Vec<Value> = whole["content"].as_array().unwrap()[1..]
        .iter()
        .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}))
        .collect();
    let said = &whole["content"];
    turns.push(json!({"role": "assistant", "content": said}));
    let mut one_missing = question.clone();
    one_missing["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": [results[0]]}));
    let (status, error) = far.json_at(AT, &one_missing).await;
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("tool_result"), "{error}");
    let mut late = question.clone();
    let mut blocks = vec![json!({"type": "text", "text": "here"})];
    blocks.extend(results.clone());
    late["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": blocks}));
    assert_eq!(far.json_at(AT, &late).await.0, 400, "results come first");
    question["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": results}));
    let (status, whole) = far.json_at(AT, &question).await;
    assert_eq!((status, &whole["stop_reason"]), (200, &json!("end_turn")), "{whole}");
}

#[tokio::test]
async fn what_is_marked_is_written_once_and_read_ever_after() {
    let far = Far::open().await;
    let long = "word ".repeat(2_000);
    let mut question = ask("sim-claude", "hi");
    question["system"] = json!([{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]);
    let first = far.json_at(AT, &question).await.1["usage"].clone();
    let second = far.json_at(AT, &question).await.1["usage"].clone();
    assert_eq!(
        (&first["cache_creation_input_tokens"], &first["cache_read_input_tokens"]),
        (&json!(2_500), &json!(0))
    );
    assert_eq!(
        (&second["cache_creation_input_tokens"], &second["cache_read_input_tokens"]),
        (&json!(0), &json!(2_500))
    );
    assert_eq!(first["cache_creation"]["ephemeral_5m_input_tokens"], 2_500);
    // The rest of the prompt stands beside, not around: 6 for the two turns, 3 for the request, 1 for "hi".
    assert!(first["input_tokens"].as_u64().unwrap() < 20, "{first}");
    assert_eq!(first["input_tokens"], second["input_tokens"]);
}

#[tokio::test]
async fn thoughts_are_signed_and_must_come_back_as_they_were() {
    let far = Far::open().await;
    let mut question = ask("sim-claude", "hi");
    question["thinking"] = json!({"type": "adaptive"});
    let (_, whole) = far.json_at(AT, &question).await;
    let mut thought = whole["content"][0].clone();
    assert_eq!(thought["type"], "thinking");
    let turns = |thought: &Value| {
        let mut question = question.clone();
        let said = json!({"role": "assistant", "content": [thought, {"type": "text", "text": "hello"}]});
        question["messages"].as_array_mut().unwrap().extend([said, json!({"role": "user", "content": "on"})]);
        question
    };
    assert_eq!(far.json_at(AT, &turns(&thought)).await.0, 200);
    thought["thinking"] = "something else".into();
    let (status, error) = far.json_at(AT, &turns(&thought)).await;
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("signature"), "{error}");
}

#[tokio::test]
async fn who_calls_and_how_is_looked_at_first() {
    let far = Far::open().await;
    let send = |header: &'static str, value: &'static str, version: &'static str| {
        let request = far.http.post(format!("{}{AT}", far.base)).header(header, value);
        request.header("anthropic-version", version).json(&ask("sim-claude", "hi")).send()
    };
    let response = send("x-api-key", "sk-ant-wrong", "2023-06-01").await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    let error: Value = response.json().await.unwrap();
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("authentication_error")));
    assert_eq!(send("x-other", KEY, "2023-06-01").await.unwrap().status(), 401);
    assert_eq!(send("x-api-key", KEY, "2020-01-01").await.unwrap().status(), 400);
    assert_eq!(send("x-api-key", KEY, "2026-10-21").await.unwrap().status(), 200);
    let bearer = far.http.post(format!("{}{AT}", far.base)).bearer_auth(KEY).json(&ask("sim-claude", "hi"));
    assert_eq!(bearer.send().await.unwrap().status(), 400, "a version is wanted");
    let (status, error) = far.json_at(AT, &ask("sim-embed", "hi")).await;
    assert_eq!((status, &error["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn what_does_not_belong_is_refused_with_its_place() {
    let far = Far::open().await;
    let hi = json!([{"role": "user", "content": "hi"}]);
    let tool = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let closed = json!({"type": "json_schema", "schema": {"type": "object", "properties": {}}});
    for (model, members, word) in [
        ("sim-claude", json!({"max_tokens": null}), "max_tokens"),
        ("sim-claude", json!({"temperature": 1}), "temperature"),
        ("sim-claude", json!({"top_p": 0.5}), "top_p"),
        ("sim-claude-old", json!({"temperature": 1.5}), "temperature"),
        ("sim-claude-old", json!({"temperature": 1, "top_p": 0.5}), "both"),
        ("sim-claude", json!({"n": 2}), "n: Extra inputs"),
        ("sim-claude", json!({"metadata": {"user": "x"}}), "metadata.user"),
        ("sim-claude", json!({"stop_sequences": [" "]}), "non-whitespace"),
        ("sim-claude", json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), "adaptive"),
        ("sim-claude-old", json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), "max_tokens"),
        ("sim-claude-old", json!({"thinking": {"type": "enabled", "budget_tokens": 10}}), "1024"),
        ("sim-claude-thinking", json!({"tools": tool, "tool_choice": {"type": "any"}}), "forces"),
        ("sim-claude", json!({"tool_choice": {"type": "any"}}), "providing tools"),
        ("sim-claude", json!({"tools": tool, "tool_choice": {"type": "required"}}), "expected tags"),
        ("sim-claude", json!({"tools": [{"name": "f", "input_schema": {}}]}), "input_schema.type"),
        ("sim-claude", json!({"tools": [{"name": "f g", "input_schema": {"type": "object"}}]}), "pattern"),
        ("sim-claude", json!({"output_config": {"format": closed}}), "additionalProperties"),
        ("sim-claude", json!({"messages": []}), "at least one"),
        ("sim-claude", json!({"messages": [{"role": "system", "content": "hi"}]}), "system"),
        ("sim-claude", json!({"messages": [{"role": "assistant", "content": "hi"}]}), "first message"),
        ("sim-claude", json!({"messages": [{"role": "user", "content": ""}]}), "non-empty"),
        (
            "sim-claude",
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
            "non-empty",
        ),
        (
            "sim-claude",
            json!({"messages": [{"role": "user", "content": "hi", "name": "ann"}]}),
            "messages.0.name",
        ),
        ("sim-claude", json!({"messages": [hi[0], {"role": "assistant", "content": "so"}]}), "prefill"),
        (
            "sim-claude",
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}]}),
            "unexpected `tool_use_id`",
        ),
        (
            "sim-claude",
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "image_url",
        ),
    ] {
        let mut body = ask(model, "hi");
        for (name, value) in members.as_object().unwrap() {
            if value.is_null() {
                body.as_object_mut().unwrap().remove(name);
            } else {
                body[name] = value.clone();
            }
        }
        let (status, error) = far.json_at(AT, &body).await;
        assert_eq!((status, &error["error"]["type"]), (400, &json!("invalid_request_error")), "{body}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(word), "{message} should mention {word}");
    }
    let mut body = ask("sim-claude-old", "hi");
    body["temperature"] = json!(0.5);
    body["messages"] = json!([hi[0], hi[0], {"role": "assistant", "content": "so"}]);
    assert_eq!(far.json_at(AT, &body).await.0, 200, "older models take temperatures and prefills");
}

#[tokio::test]
async fn an_answer_can_stop_at_a_word_or_at_its_limit() {
    let far = Far::open().await;
    let mut body = ask("sim-claude", "hi");
    body["stop_sequences"] = json!(["模拟"]);
    let (_, whole) = far.json_at(AT, &body).await;
    assert_eq!((&whole["stop_reason"], &whole["stop_sequence"]), (&json!("stop_sequence"), &json!("模拟")));
    body["max_tokens"] = 2.into();
    assert_eq!(far.json_at(AT, &body).await.1["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn an_overload_may_come_before_or_after_the_first_word() {
    let far = Far::open().await;
    far.fault(json!({"scope": "anthropic", "fault": "status", "status": 529})).await;
    let (status, error) = far.json_at(AT, &ask("sim-claude", "hi")).await;
    assert_eq!((status, &error["error"]["type"]), (529, &json!("overloaded_error")));
    far.fault(json!({"scope": "anthropic", "fault": "error_in_200", "after": 4})).await;
    let mut body = ask("sim-claude", "hi");
    body["stream"] = true.into();
    let events = far.events_at(AT, &body).await;
    assert_eq!(events.len(), 5);
    assert_eq!((events[4].0.as_str(), &events[4].1["error"]["type"]), ("error", &json!("overloaded_error")));
    far.fault(json!({"scope": "anthropic", "fault": "finish_reason", "reason": "content_filter"})).await;
    let (_, whole) = far.json_at(AT, &ask("sim-claude", "hi")).await;
    assert_eq!(
        (&whole["stop_reason"], &whole["stop_details"]["type"]),
        (&json!("refusal"), &json!("refusal"))
    );
}
