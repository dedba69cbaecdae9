//! Can somebody who knows nothing but a base URL and a key get an answer, and see what it cost?
use reqwest::Method;
use serde_json::json;
use tests::till::text;
use tests::world::{said, sent};
use tests::{World, nano};

#[tokio::test]
async fn the_first_call_is_answered_and_its_cost_is_shown_everywhere_alike() {
    let world = World::demo().await;
    assert_eq!(world.credits().await["balance"], "0.50");

    let answer = world.say("sim-fast", "你好").await.expect(200);
    let body = answer.json();
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("sim-fast")));
    assert!(text(&body["choices"][0]["message"], "content").contains("你好"), "{body}");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    let count = |member: &str| usage[member].as_u64().unwrap_or_default();
    assert!(count("prompt_tokens") > 0 && count("completion_tokens") > 0, "{usage}");
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));

    let cost = nano(answer.header("x-tollgate-cost-cny"));
    assert!(cost > 0, "{answer:?}");
    for header in ["x-tollgate-provider", "x-tollgate-price-version", "x-tollgate-overhead-ms"] {
        assert!(!answer.header(header).is_empty(), "{header}: {answer:?}");
    }
    assert_eq!((answer.header("x-tollgate-model"), answer.header("x-tollgate-attempts")), ("sim-fast", "1"));
    assert_eq!(answer.header("content-type"), "application/json");

    assert_eq!(nano(answer.header("x-tollgate-balance-cny")), nano("0.50") - cost);
    let receipt = world.receipt(answer.header("x-request-id")).await;
    assert_eq!(nano(text(&receipt, "cost_cny")), cost, "{receipt:#}");
    assert_eq!(receipt["usage"]["completion_tokens"], usage["completion_tokens"], "{receipt:#}");
    let lines = receipt["lines"].as_array().expect("lines");
    let sum: i64 = lines.iter().map(|line| nano(text(line, "cost_cny"))).sum();
    assert_eq!(sum, cost, "the lines of a receipt add up: {receipt:#}");
    assert_eq!(world.balance().await, nano("0.50") - cost);
    world.books_balance().await;
}

#[tokio::test]
async fn a_tool_call_and_a_forced_schema_come_back_as_they_were_asked_for() {
    let world = World::demo().await;
    let mut body = said("sim-smart", "北京天气怎么样？");
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    body["tools"] =
        json!([{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]);
    let called = world.chat(&body).await.expect(200).json();
    let call = &called["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(
        (&call["type"], &call["function"]["name"]),
        (&json!("function"), &json!("get_weather")),
        "{called}"
    );
    let arguments =
        serde_json::from_str(text(&call["function"], "arguments")).map(|it: serde_json::Value| it);
    assert!(arguments.is_ok_and(|arguments| arguments["city"].is_string()), "{called}");
    assert_eq!(called["choices"][0]["finish_reason"], "tool_calls");

    let mut again = body.clone();
    again["messages"] = json!([body["messages"][0], called["choices"][0]["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "晴，25 度"}]);
    let answered = world.chat(&again).await.expect(200).json();
    assert_eq!(answered["choices"][0]["finish_reason"], "stop", "{answered}");

    // DeepSeek, which serves `sim-fast`, knows no schemas: it is asked for JSON, and that is said.
    let mut loose = said("sim-fast", "a colour as json");
    loose["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "c", "schema": {}}});
    let filled = world.chat(&loose).await.expect(200);
    assert_eq!(filled.header("x-tollgate-adjusted"), "response_format");

    let mut schema = said("sim-luxury", "a colour");
    schema["max_tokens"] = json!(200);
    let wanted = json!({"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}});
    schema["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "c", "schema": wanted}});
    let filled = world.chat(&schema).await.expect(200).json();
    let content = text(&filled["choices"][0]["message"], "content");
    assert_eq!(serde_json::from_str::<serde_json::Value>(content).ok(), Some(json!({"colour": "red"})));
    world.books_balance().await;
}

#[tokio::test]
async fn models_say_what_they_cost_and_every_answer_has_an_id() {
    let world = World::demo().await;
    let list = world.get("/v1/models").await.expect(200);
    let models = list.json()["data"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = models.iter().map(|model| text(model, "id")).collect();
    for id in ["sim-fast", "sim-flaky", "sim-luxury", "sim-slow", "sim-smart", "sim-claude", "sim-embed"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
    for model in &models {
        assert_eq!(model["object"], "model");
        assert!(nano(text(&model["pricing"], "input")) > 0, "{model}");
        let one = world.get(&format!("/v1/models/{}", text(model, "id"))).await.expect(200);
        assert_eq!(one.json(), *model);
    }
    world.get("/v1/models/sim-fest").await.error(404, "invalid_request_error", "model_not_found");

    let open = |path: &str| sent(world.http.get(format!("{}{path}", world.public_url)));
    open("/healthz").await.expect(200);
    open("/readyz").await.expect(200);
    for answer in [list, world.get("/v1/credits").await, world.get("/v1/topups").await] {
        assert!(answer.header("x-request-id").starts_with("req_"), "{answer:?}");
    }
    for path in ["/v1/models", "/v1/credits", "/v1/generation?id=req_x", "/v1/topups", "/v1/refunds"] {
        open(path).await.error(401, "invalid_request_error", "invalid_api_key");
    }
    world.get("/v1/nowhere").await.error(404, "invalid_request_error", "unknown_url");
    world.get("/v1/chat/completions").await.error(405, "invalid_request_error", "method_not_allowed");
    let receipt = world.get("/v1/generation?id=req_00000000000000000000000000").await;
    assert_eq!(receipt.status, 404, "{receipt:?}");

    // A client's own id comes back beside ours, never instead of it.
    let request = world.request(Method::GET, "/v1/credits").header("x-request-id", "mine-17");
    let answer = sent(request).await.expect(200);
    assert!(answer.header("x-request-id").starts_with("req_"), "{answer:?}");
    assert_eq!(answer.header("x-client-request-id"), "mine-17");
}

#[tokio::test]
async fn what_a_dashboard_draws_is_measured() {
    let world = World::demo().await;
    world.say("sim-fast", "hello").await.expect(200);
    let exposition = world.metrics().await;
    let families: Vec<&str> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for (file, json) in dashboards::dashboards() {
        for metric in dashboards::metric_names(json) {
            assert!(
                families.contains(&metric.as_str()),
                "{file} draws {metric}, which is not in {families:?}"
            );
        }
    }
    let calls = world.metric("tollgate_requests_total", &["model=\"sim-fast\"", "outcome=\"ok\""]).await;
    assert!((calls - 1.0).abs() < f64::EPSILON, "{exposition}");
}
