//! Does the Responses API come in OpenAI's objects and events?
use serde_json::{Value, json};

use super::far::Far;

const AT: &str = "/openai/v1/responses";

fn names(events: &[(String, Value)]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_response_says_the_same_streamed_and_in_one_piece() {
    let far = Far::open().await;
    let mut question = json!({"model": "sim-fast", "input": "今天怎么样？", "instructions": "be kind"});
    let (status, whole) = far.json_at(AT, &question).await;
    assert_eq!((status, &whole["object"], &whole["status"]), (200, &json!("response"), &json!("completed")));
    let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("今天怎么样"), "{text}");
    let usage = &whole["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap())
    );

    question["stream"] = true.into();
    let events = far.events_at(AT, &question).await;
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(names(&events), expected);
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(number)));
    }
    let deltas: String = events.iter().filter_map(|(_, data)| data["delta"].as_str()).collect();
    assert_eq!(deltas, text);
    assert_eq!(events.last().unwrap().1["response"]["usage"], *usage);
}

#[tokio::test]
async fn tools_are_called_and_their_results_must_match() {
    let far = Far::open().await;
    let tools = json!([{"type": "function", "name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}}}, {"type": "web_search"}]);
    let mut question = json!({"model": "sim-fast", "input": "Weather in both cities?", "tools": tools});
    let (_, whole) = far.json_at(AT, &question).await;
    let calls = whole["output"].as_array().unwrap().clone();
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0]["type"], &calls[0]["name"]), (&json!("function_call"), &json!("get_weather")));
    assert_ne!(calls[0]["call_id"], calls[1]["call_id"]);
    question["stream"] = true.into();
    let events = far.events_at(AT, &question).await;
    let arguments: String = events
        .iter()
        .filter(|(name, data)| name == "response.function_call_arguments.delta" && data["output_index"] == 1)
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(arguments, calls[1]["arguments"].as_str().unwrap());

    let mut items = vec![json!({"role": "user", "content": "Weather in both cities?"})];
    items.extend(calls.clone());
    let unanswered = json!({"model": "sim-fast", "input": items, "tools": tools});
    let (status, error) = far.json_at(AT, &unanswered).await;
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("No tool output found"), "{error}");
    for call in &calls {
        items.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}));
    }
    let (status, whole) =
        far.json_at(AT, &json!({"model": "sim-fast", "input": items, "tools": tools})).await;
    assert_eq!((status, &whole["output"][0]["type"]), (200, &json!("message")));
}

#[tokio::test]
async fn thoughts_are_an_item_and_shown_only_in_summary() {
    let far = Far::open().await;
    let mut question = json!({"model": "sim-reason", "input": "hi"});
    let (_, whole) = far.json_at(AT, &question).await;
    assert_eq!(
        (&whole["output"][0]["type"], &whole["output"][0]["summary"]),
        (&json!("reasoning"), &json!([]))
    );
    assert!(whole["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    question["reasoning"] = json!({"effort": "low", "summary": "auto"});
    question["include"] = json!(["reasoning.encrypted_content"]);
    question["stream"] = true.into();
    let events = far.events_at(AT, &question).await;
    assert!(names(&events).contains(&"response.reasoning_summary_text.delta"));
    let last = &events.last().unwrap().1["response"];
    assert!(last["output"][0]["encrypted_content"].is_string());
    assert_eq!(last["output"][1]["type"], "message");
}

#[tokio::test]
async fn a_limit_makes_it_incomplete_and_what_cannot_be_is_refused() {
    let far = Far::open().await;
    let (_, whole) =
        far.json_at(AT, &json!({"model": "sim-smart", "input": "hi", "max_output_tokens": 16})).await;
    assert_eq!(
        (&whole["status"], &whole["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    assert_eq!(whole["usage"]["output_tokens"], 16);
    for (member, value) in [
        ("max_output_tokens", json!(3)),
        ("previous_response_id", json!("resp_1")),
        ("messages", json!([])),
        ("input", json!([{"type": "message", "role": "user", "content": [{"type": "text", "text": "hi"}]}])),
    ] {
        let mut body = json!({"model": "sim-fast", "input": "hi"});
        body[member] = value;
        let (status, error) = far.json_at(AT, &body).await;
        assert_eq!(status, 400, "{member}: {error}");
        assert!(error["error"]["param"].as_str().unwrap().starts_with(member), "{error}");
    }
}
