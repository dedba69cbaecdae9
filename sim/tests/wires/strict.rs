//! What do the first four refuse beyond what nobody would take?
use serde_json::{Value, json};

use super::far::Far;

fn ask(model: &str, members: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_model_that_reasons_takes_no_sampling_at_openai() {
    let far = Far::open().await;
    for (members, param) in
        [(json!({"max_tokens": 5}), "max_tokens"), (json!({"temperature": 0.2}), "temperature")]
    {
        let (status, error) = far.json_at("/openai/v1/chat/completions", &ask("sim-reason", members)).await;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)));
    }
    let asked = ask("sim-reason", json!({"max_completion_tokens": 500, "temperature": 1}));
    let (status, whole) = far.json_at("/openai/v1/chat/completions", &asked).await;
    assert_eq!(status, 200);
    assert!(whole["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    assert!(!whole["choices"][0]["message"].to_string().contains("先想一想"), "thoughts stay secret");
}

#[tokio::test]
async fn openai_wants_every_call_answered_and_json_named() {
    let far = Far::open().await;
    let at = "/openai/v1/chat/completions";
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let user = json!({"role": "user", "content": "hi"});
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "42"});
    for (messages, expected) in [
        (json!([user, call]), 400),
        (json!([user, call, user]), 400),
        (json!([user, result]), 400),
        (json!([user, call, result]), 200),
        (json!([user, call, result, user]), 200),
    ] {
        assert_eq!(
            far.json_at(at, &json!({"model": "sim-fast", "messages": messages})).await.0,
            expected,
            "{messages}"
        );
    }
    for at in [at, "/deepseek/v1/chat/completions", "/qwen/compatible-mode/v1/chat/completions"] {
        let format = json!({"response_format": {"type": "json_object"}});
        assert_eq!(far.json_at(at, &ask("sim-fast", format)).await.0, 400, "{at}");
    }
}

#[tokio::test]
async fn deepseek_wants_its_thoughts_back() {
    let far = Far::open().await;
    let turns = |thought: Value| {
        json!({"model": "sim-reason", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "reasoning_content": thought, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"}]})
    };
    let at = "/deepseek/v1/chat/completions";
    let (status, error) = far.json_at(at, &turns(Value::Null)).await;
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("must be passed back"), "{error}");
    assert_eq!(far.json_at(at, &turns(json!(" "))).await.0, 200);
}

#[tokio::test]
async fn qwen_has_models_that_only_stream() {
    let far = Far::open().await;
    let at = "/qwen/compatible-mode/v1/chat/completions";
    for (model, members, expected) in [
        ("sim-stream-only", json!({}), 400),
        ("sim-stream-only", json!({"stream": true}), 200),
        ("sim-fast", json!({"enable_thinking": true}), 400),
        ("sim-fast", json!({"enable_thinking": true, "stream": true}), 200),
    ] {
        assert_eq!(far.json_at(at, &ask(model, members.clone())).await.0, expected, "{model} {members}");
    }
}

#[tokio::test]
async fn mistral_thinks_in_a_list() {
    let far = Far::open().await;
    let at = "/mistral/v1/chat/completions";
    let (_, whole) = far.json_at(at, &ask("sim-reason", json!({}))).await;
    let content = &whole["choices"][0]["message"]["content"];
    assert_eq!((&content[0]["type"], &content[1]["type"]), (&json!("thinking"), &json!("text")));
    let text = far.at(at, &ask("sim-reason", json!({"stream": true}))).await.text().await.unwrap();
    assert!(text.contains(r#""content":[{"thinking":[{"text""#), "{text}");
}
