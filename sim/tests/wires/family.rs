//! Who has which habits?
use serde_json::{Value, json};

use super::far::{Far, Streamed};

/// Name and base of everybody who answers chat completions.
const ALL: [(&str, &str); 19] = [
    ("openai", "/openai/v1"),
    ("deepseek", "/deepseek/v1"),
    ("qwen", "/qwen/compatible-mode/v1"),
    ("mistral", "/mistral/v1"),
    ("azure", "/azure/openai/v1"),
    ("gemini", "/gemini/v1beta/openai"),
    ("moonshot", "/moonshot/v1"),
    ("zhipu", "/zhipu/api/paas/v4"),
    ("minimax", "/minimax/v1"),
    ("doubao", "/doubao/api/v3"),
    ("hunyuan", "/hunyuan/v1"),
    ("siliconflow", "/siliconflow/v1"),
    ("groq", "/groq/openai/v1"),
    ("together", "/together/v1"),
    ("fireworks", "/fireworks/inference/v1"),
    ("xai", "/xai/v1"),
    ("openrouter", "/openrouter/api/v1"),
    ("vllm", "/vllm/v1"),
    ("ollama", "/ollama/v1"),
];

fn base(name: &str) -> &'static str {
    ALL.iter().find(|(known, _)| *known == name).unwrap().1
}

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn streamed(name: &str, mut body: Value) -> Value {
    body["stream"] = true.into();
    if name != "mistral" {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

async fn stream(far: &Far, name: &str, body: Value) -> Streamed {
    far.stream(base(name), streamed(name, body)).await
}

#[tokio::test]
async fn everybody_says_the_same_streamed_and_in_one_piece() {
    let far = Far::open().await;
    for (name, base) in ALL {
        let (status, whole) = far.answer(base, ask("sim-smart", "今天怎么样？")).await;
        assert_eq!(status, 200, "{name}: {whole}");
        let stream = stream(&far, name, ask("sim-smart", "今天怎么样？")).await;
        assert_eq!(stream.content(), whole["choices"][0]["message"]["content"].as_str().unwrap(), "{name}");
        assert_eq!(stream.usages().last(), Some(&&whole["usage"]), "{name}");
        assert!(stream.done, "{name}");
        let models = far.http.get(format!("{}{base}/models/sim-fast", far.base)).bearer_auth(super::far::KEY);
        assert_eq!(models.send().await.unwrap().json::<Value>().await.unwrap()["id"], "sim-fast", "{name}");
    }
}

#[tokio::test]
async fn tools_are_called_by_everybody_in_a_way_of_their_own() {
    let far = Far::open().await;
    for (name, _) in ALL {
        let mut body = ask("sim-fast", "Weather in both cities?");
        body["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters":
            {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
        let stream = stream(&far, name, body).await;
        let deltas: Vec<&Value> = stream
            .chunks
            .iter()
            .flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten())
            .collect();
        let ids: std::collections::BTreeSet<&str> =
            deltas.iter().filter_map(|it| it["id"].as_str()).filter(|id| !id.is_empty()).collect();
        assert_eq!(ids.len(), 2, "{name}");
        let whole = deltas.len() == 2;
        assert_eq!(whole, ["gemini", "groq", "mistral", "ollama", "xai"].contains(&name), "{name}");
        assert_eq!(deltas[0].get("index").is_none(), name == "gemini", "{name}");
        let expected = match name {
            "gemini" => "stop",
            "xai" => "",
            _ => "tool_calls",
        };
        assert_eq!(stream.finish(), expected, "{name}");
    }
}

#[tokio::test]
async fn gemini_errs_in_a_list_and_wants_its_signatures_back() {
    let far = Far::open().await;
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]);
    let mut body = ask("sim-gemini", "What is the weather?");
    body["tools"] = tools.clone();
    let (_, whole) = far.answer(base("gemini"), body.clone()).await;
    let said = whole["choices"][0]["message"].clone();
    let mut call = said["tool_calls"][0].clone();
    assert!(call["extra_content"]["google"]["thought_signature"].is_string());
    let turns = |call: &Value| {
        let mut body = body.clone();
        body["messages"].as_array_mut().unwrap().extend([
            json!({"role": "assistant", "content": "", "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}),
        ]);
        body
    };
    assert_eq!(far.answer(base("gemini"), turns(&call)).await.0, 200);
    call.as_object_mut().unwrap().remove("extra_content");
    let (status, error) = far.answer(base("gemini"), turns(&call)).await;
    assert_eq!((status, &error[0]["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert!(error[0]["error"]["message"].as_str().unwrap().contains("thought_signature"), "{error}");
}

#[tokio::test]
async fn azure_wants_a_version_and_filters_before_it_speaks() {
    let far = Far::open().await;
    let path = "/azure/openai/deployments/mine/chat/completions";
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    assert_eq!(far.json_at(path, &body).await.0, 404);
    let response = far.at(&format!("{path}?api-version=2024-10-21"), &body).await;
    assert!(response.headers().contains_key("apim-request-id"));
    let stream = Streamed::read(&response.text().await.unwrap());
    assert_eq!((&stream.chunks[0]["choices"], &stream.chunks[0]["id"]), (&json!([]), &json!("")));
    assert!(stream.chunks[0]["prompt_filter_results"].is_array());
    assert_eq!(stream.chunks[1]["model"], "mine-2026-08-06");
    far.fault(json!({"scope": "azure", "fault": "content_filter"})).await;
    let (status, error) = far.answer(base("azure"), ask("sim-azure", "hi")).await;
    assert_eq!(
        (status, &error["error"]["innererror"]["code"]),
        (400, &json!("ResponsibleAIPolicyViolation"))
    );
    let noted = far.get("/_sim/v1/requests?provider=azure").await;
    assert_eq!(noted["requests"][1]["query"], "api-version=2024-10-21");
}

#[tokio::test]
async fn usage_stands_where_nobody_else_would_put_it() {
    let far = Far::open().await;
    let moonshot = stream(&far, "moonshot", ask("sim-fast", "hi")).await;
    assert!(moonshot.chunks.iter().any(|chunk| chunk["choices"][0]["usage"]["total_tokens"].is_u64()));
    let groq = stream(&far, "groq", ask("sim-fast", "hi")).await;
    assert!(groq.chunks.iter().any(|chunk| chunk["x_groq"]["usage"]["total_tokens"].is_u64()));
    let flow = stream(&far, "siliconflow", ask("sim-fast", "hi")).await;
    assert_eq!(flow.usages().len(), flow.chunks.len());
    let totals: Vec<u64> = flow.usages().iter().map(|it| it["completion_tokens"].as_u64().unwrap()).collect();
    assert!(totals.is_sorted() && totals[0] == 0);
    let (_, xai) = far.answer(base("xai"), ask("sim-smart", "hi")).await;
    let count = |member: &str| xai["usage"][member].as_u64().unwrap();
    let reasoning = xai["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert!(reasoning > 0);
    assert_eq!(count("prompt_tokens") + count("completion_tokens") + reasoning, count("total_tokens"));
    let (_, router) = far.answer(base("openrouter"), ask("sim-fast", "hi")).await;
    assert!(router["usage"]["cost"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn thoughts_have_many_places() {
    let far = Far::open().await;
    for (name, member) in [
        ("deepseek", "reasoning_content"),
        ("moonshot", "reasoning_content"),
        ("groq", "reasoning"),
        ("vllm", "reasoning"),
        ("ollama", "reasoning"),
    ] {
        let (_, whole) = far.answer(base(name), ask("sim-smart", "hi")).await;
        assert!(whole["choices"][0]["message"][member].is_string(), "{name}");
    }
    let minimax = stream(&far, "minimax", ask("sim-smart", "hi")).await;
    assert!(minimax.content().starts_with("<think>\n") && minimax.content().contains("\n</think>\n\n"));
    let repeated = minimax.chunks.iter().find(|chunk| chunk["choices"][0]["message"].is_object()).unwrap();
    assert_eq!(repeated["choices"][0]["message"]["content"], minimax.content());
    let ollama = stream(&far, "ollama", ask("sim-fast", "hi")).await;
    let deltas = ollama.chunks.iter().filter(|chunk| chunk["choices"][0].is_object());
    assert!(deltas.into_iter().all(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant"));
}

#[tokio::test]
async fn every_trouble_has_many_faces() {
    let far = Far::open().await;
    for (name, fault, status, pointer, value) in [
        ("moonshot", "out_of_funds", 429, "/error/type", json!("exceeded_current_quota_error")),
        ("zhipu", "out_of_funds", 429, "/error/code", json!("1113")),
        ("zhipu", "too_long", 400, "/error/code", json!("1261")),
        ("minimax", "out_of_funds", 200, "/base_resp/status_code", json!(1008)),
        ("doubao", "out_of_funds", 403, "/error/code", json!("AccountOverdueError")),
        ("doubao", "content_filter", 400, "/error/code", json!("InputTextRiskDetection")),
        ("siliconflow", "out_of_funds", 403, "/code", json!(30001)),
        ("together", "too_long", 403, "/error/type", json!("invalid_request_error")),
        ("xai", "out_of_funds", 429, "/code", json!("Some resource has been exhausted")),
        ("openrouter", "out_of_funds", 402, "/error/code", json!(402)),
        ("vllm", "too_long", 400, "/code", json!(400)),
        ("gemini", "too_long", 400, "/0/error/code", json!(400)),
        ("qwen", "content_filter", 400, "/error/code", json!("data_inspection_failed")),
        ("mistral", "too_long", 400, "/code", json!("3051")),
        ("openai", "too_long", 400, "/error/code", json!("context_length_exceeded")),
    ] {
        far.fault(json!({"scope": name, "fault": fault})).await;
        let (seen, error) = far.answer(base(name), ask("sim-fast", "hi")).await;
        assert_eq!((seen, error.pointer(pointer)), (status, Some(&value)), "{name} {fault}: {error}");
    }
    far.fault(json!({"scope": "siliconflow", "fault": "status", "status": 429})).await;
    let (_, text) = far.answer(base("siliconflow"), ask("sim-fast", "hi")).await;
    assert!(text.is_string(), "as plain text");
}

#[tokio::test]
async fn some_refuse_what_others_take() {
    let far = Far::open().await;
    for (name, members) in [
        ("moonshot", json!({"temperature": 0.3})),
        ("zhipu", json!({"stop": ["a", "b"]})),
        ("zhipu", json!({"n": 2})),
        ("groq", json!({"logprobs": true})),
        ("groq", json!({"messages": [{"role": "user", "content": "hi", "name": "ann"}]})),
        ("xai", json!({"stop": ["a"]})),
        ("hunyuan", json!({"messages": [{"role": "developer", "content": "hi"}]})),
    ] {
        let mut body = ask("sim-fast", "hi");
        for (member, value) in members.as_object().unwrap() {
            body[member] = value.clone();
        }
        assert_eq!(far.answer(base(name), body).await.0, 400, "{name} {members}");
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_ends_as_each_would_end_it() {
    let far = Far::open().await;
    for (name, done) in [("vllm", true), ("openrouter", false), ("moonshot", false)] {
        far.fault(json!({"scope": name, "fault": "error_in_200", "after": 3})).await;
        let stream = stream(&far, name, ask("sim-fast", "hi")).await;
        assert_eq!((stream.chunks.len(), stream.done), (4, done), "{name}");
        assert!(stream.chunks[3]["error"].is_object(), "{name}");
    }
    let router = stream(&far, "openrouter", ask("sim-fast", "hi")).await;
    assert!(router.text.starts_with(": OPENROUTER PROCESSING\n\n"));
}
