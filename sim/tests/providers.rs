//! The simulated model providers, seen by a client.
#![allow(missing_docs, unreachable_pub, dead_code)]
mod far;

use std::time::Duration;

use far::{Far, Streamed};
use serde_json::{Value, json};

const OPENAI: &str = "/openai/v1";
const DEEPSEEK: &str = "/deepseek/v1";
const QWEN: &str = "/qwen/compatible-mode/v1";
const MISTRAL: &str = "/mistral/v1";
const ALL: [(&str, &str); 4] =
    [("openai", OPENAI), ("deepseek", DEEPSEEK), ("qwen", QWEN), ("mistral", MISTRAL)];

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// The same, streamed with usage, in the provider's own way.
fn streamed(base: &str, mut body: Value) -> Value {
    body["stream"] = true.into();
    if base != MISTRAL {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

#[tokio::test]
async fn every_provider_says_the_same_streamed_and_in_one_piece() {
    let far = Far::open().await;
    for (name, base) in ALL {
        let question = ask("sim-smart", "今天怎么样？ hello");
        let (status, whole) = far.answer(base, question.clone()).await;
        assert_eq!(status, 200, "{whole}");
        assert_eq!(whole["object"], "chat.completion");
        assert_eq!(whole["model"], "sim-smart");
        let message = &whole["choices"][0]["message"];
        let text = message["content"].as_str().unwrap();
        assert!(text.contains("今天怎么样") && text.chars().any(|c| u32::from(c) > 0xffff), "{text}");
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        // 24 bytes of text: 6 tokens, 3 for the message, 3 for the request.
        assert_eq!(whole["usage"]["prompt_tokens"], 12, "{name}");

        let stream = far.stream(base, streamed(base, question)).await;
        assert!(stream.done);
        assert_eq!(stream.content(), text);
        assert_eq!(stream.finish(), "stop");
        assert_eq!(stream.usages(), [&whole["usage"]], "{name}: usage comes once and is the same");
        assert_eq!(stream.reasoning(), message["reasoning_content"].as_str().unwrap_or_default());
        assert_eq!(stream.reasoning().is_empty(), name != "deepseek");
        let trailer = stream.chunks.last().unwrap();
        assert_eq!(trailer["choices"] == json!([]), matches!(name, "openai" | "qwen"), "{name}");
    }
    let usage = far.answer(DEEPSEEK, ask("sim-fast", &"long ".repeat(200))).await.1["usage"].clone();
    let [hit, miss] =
        ["prompt_cache_hit_tokens", "prompt_cache_miss_tokens"].map(|it| usage[it].as_u64().unwrap());
    assert!(hit > 0);
    assert_eq!(hit + miss, usage["prompt_tokens"].as_u64().unwrap());
}

#[tokio::test]
async fn usage_is_told_in_streams_only_to_those_who_ask_except_by_mistral() {
    let far = Far::open().await;
    for (name, base) in ALL {
        let mut body = ask("sim-fast", "hi");
        body["stream"] = true.into();
        let stream = far.stream(base, body).await;
        assert_eq!(stream.usages().len(), usize::from(name == "mistral"), "{name}");
    }
}

#[tokio::test]
async fn characters_are_cut_in_two_on_the_wire() {
    let far = Far::paced(1, 2).await;
    for (name, base) in ALL {
        let (pieces, ended) = far.pieces(base, streamed(base, ask("sim-fast", "你好 😀"))).await;
        ended.unwrap();
        assert!(pieces.iter().any(|piece| std::str::from_utf8(piece).is_err()), "{name}");
        assert!(String::from_utf8(pieces.concat()).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_the_providers_own_words() {
    let far = Far::open().await;
    for (name, base) in ALL {
        let url = format!("{}{base}/chat/completions", far.base);
        let sent =
            far.http.post(url).bearer_auth("sk-wrong-key-9999").json(&ask("sim-fast", "hi")).send().await;
        let response = sent.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key("x-request-id"));
        let body: Value = response.json().await.unwrap();
        match name {
            "openai" | "qwen" => assert_eq!(body["error"]["code"], "invalid_api_key"),
            "deepseek" => assert_eq!(body["error"]["type"], "authentication_error"),
            _ => assert_eq!(body["message"], "Unauthorized"),
        }
        let models =
            far.http.get(format!("{}{base}/models", far.base)).bearer_auth(far::KEY).send().await.unwrap();
        assert_eq!(models.json::<Value>().await.unwrap()["data"][0]["id"], "sim-fast");
    }
}

#[tokio::test]
async fn limits_choices_tools_and_json_are_honoured() {
    let far = Far::open().await;
    for (name, base) in ALL {
        let mut short = ask("sim-smart", "hi");
        short["max_tokens"] = 3.into();
        let (_, whole) = far.answer(base, short.clone()).await;
        assert_eq!(whole["choices"][0]["finish_reason"], "length", "{name}");
        assert_eq!(whole["usage"]["completion_tokens"], 3);

        let mut several = ask("sim-fast", "hi");
        several["n"] = 3.into();
        let (_, whole) = far.answer(base, several).await;
        let expected = if matches!(name, "openai" | "mistral") { 3 } else { 1 };
        assert_eq!(whole["choices"].as_array().unwrap().len(), expected, "{name}");

        let mut weather = ask("sim-fast", "北京天气怎么样");
        weather["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}}]);
        let (_, whole) = far.answer(base, weather.clone()).await;
        let call = &whole["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(call["function"]["name"], "get_weather");
        assert_eq!(call["id"].as_str().unwrap().len() == 9, name == "mistral");
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": "北京", "days": 7}));
        let stream = far.stream(base, streamed(base, weather.clone())).await;
        assert_eq!(serde_json::from_str::<Value>(&stream.arguments()).unwrap(), arguments);
        assert_eq!(stream.finish(), "tool_calls");
        let later_id = &stream.chunks[2]["choices"][0]["delta"]["tool_calls"][0]["id"];
        match name {
            "qwen" => assert_eq!(*later_id, ""),
            "openai" | "deepseek" => assert!(later_id.is_null()),
            _ => {}
        }
        weather["tool_choice"] = "none".into();
        assert_eq!(far.answer(base, weather).await.1["choices"][0]["finish_reason"], "stop");

        let mut json_wanted = ask("sim-fast", "give me json");
        let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}}}});
        json_wanted["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        if name == "deepseek" {
            assert_eq!(far.answer(base, json_wanted.clone()).await.0, 400, "only in words");
            json_wanted["response_format"] = json!({"type": "json_object"});
            json_wanted["messages"][0]["content"] = format!("give me json like this: {schema}").into();
        }
        let (_, whole) = far.answer(base, json_wanted).await;
        let content = whole["choices"][0]["message"]["content"].as_str().unwrap();
        let content: Value = serde_json::from_str(content).unwrap();
        assert!(content["ok"].is_boolean() && content["tags"][0].is_string(), "{name}");
    }
}

#[tokio::test]
async fn mistral_refuses_what_it_does_not_know() {
    let far = Far::open().await;
    for (member, value) in [
        ("stream_options", json!({"include_usage": true})),
        ("max_completion_tokens", json!(5)),
        ("seed", json!(1)),
    ] {
        let mut body = ask("sim-fast", "hi");
        body[member] = value;
        let (status, error) = far.answer(MISTRAL, body).await;
        assert_eq!(status, 422);
        let detail = &error["message"]["detail"][0];
        assert_eq!((&detail["type"], &detail["loc"]), (&json!("extra_forbidden"), &json!(["body", member])));
    }
    let mut named = ask("sim-fast", "hi");
    named["messages"][0]["name"] = "ann".into();
    let (status, error) = far.answer(MISTRAL, named).await;
    assert_eq!(status, 422);
    assert_eq!(error["message"]["detail"][0]["loc"], json!(["body", "messages", 0, "user", "name"]));

    let tool_turn = |id: &str| {
        json!({"model": "sim-fast", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "42"}]})
    };
    let (status, error) = far.answer(MISTRAL, tool_turn("call_0123456789")).await;
    assert_eq!((status, &error["code"]), (400, &json!("3280")));
    assert_eq!(far.answer(MISTRAL, tool_turn("abcDEF123")).await.0, 200);
    let answer = json!({"model": "sim-fast", "messages": [{"role": "assistant", "content": "hi"}]});
    assert_eq!(far.answer(MISTRAL, answer).await.1["code"], "3230");
}

#[tokio::test]
async fn deepseek_knows_no_developers_and_keeps_lines_warm() {
    let far = Far::open().await;
    let body = json!({"model": "sim-fast", "messages": [{"role": "system", "content": "x"},
        {"role": "developer", "content": "y"}]});
    let (status, error) = far.answer(DEEPSEEK, body).await;
    assert_eq!(status, 400);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("messages[1].role: unknown variant `developer`"), "{message}");
    let text = far.chat(DEEPSEEK, ask("sim-fast", "hi")).await.text().await.unwrap();
    assert!(text.starts_with("\n\n") && serde_json::from_str::<Value>(&text).is_ok());
    let stream = far.stream(DEEPSEEK, streamed(DEEPSEEK, ask("sim-fast", "hi"))).await;
    assert!(stream.text.starts_with(": keep-alive\n\n"));
    let balance = || far.http.get(format!("{}/deepseek/user/balance", far.base)).bearer_auth(far::KEY).send();
    assert_eq!(balance().await.unwrap().json::<Value>().await.unwrap()["is_available"], true);
    far.fault(json!({"scope": "deepseek", "fault": "out_of_funds", "times": 0})).await;
    assert_eq!(balance().await.unwrap().json::<Value>().await.unwrap()["is_available"], false);
}

#[tokio::test]
async fn a_flaky_model_fails_every_second_time() {
    let far = Far::open().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(far.answer(OPENAI, ask("sim-flaky", "hi")).await.0);
    }
    assert_eq!(statuses, [200, 503, 200, 429, 200, 503, 200, 429]);
}

#[tokio::test]
async fn an_empty_purse_has_four_disguises() {
    let far = Far::open().await;
    far.fault(json!({"scope": "*", "fault": "out_of_funds", "times": 0})).await;
    let mut seen = Vec::new();
    for (_, base) in ALL {
        seen.push(far.answer(base, ask("sim-fast", "hi")).await);
    }
    assert_eq!(seen.iter().map(|it| it.0).collect::<Vec<_>>(), [429, 402, 400, 402]);
    assert_eq!(seen[0].1["error"]["code"], "insufficient_quota");
    assert_eq!(seen[1].1["error"]["message"], "Insufficient Balance");
    assert_eq!(seen[2].1["error"]["code"], "Arrearage");
    assert_eq!(seen[3].1["type"], "billing_error");
    let url = format!("{}/_sim/v1/faults", far.base);
    far.http.delete(url).send().await.unwrap();
    assert_eq!(far.answer(OPENAI, ask("sim-fast", "hi")).await.0, 200);
}

#[tokio::test]
async fn a_status_can_be_asked_for_with_or_without_words() {
    let far = Far::open().await;
    far.fault(json!({"scope": "openai", "fault": "status", "status": 429, "retry_after": 7})).await;
    let response = far.chat(OPENAI, ask("sim-fast", "hi")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "rate_limit_exceeded");
    far.fault(json!({"scope": "qwen", "fault": "status", "status": 503, "model": "sim-smart"})).await;
    assert_eq!(far.answer(QWEN, ask("sim-fast", "hi")).await.0, 200);
    assert_eq!(far.answer(QWEN, ask("sim-smart", "hi")).await.0, 503);
    far.fault(json!({"scope": "mistral", "fault": "status", "status": 418, "body": {"tea": true}})).await;
    assert_eq!(far.answer(MISTRAL, ask("sim-fast", "hi")).await, (418, json!({"tea": true})));
    far.fault(json!({"scope": "openai", "fault": "status", "status": 404})).await;
    assert_eq!(far.answer(OPENAI, ask("gpt-9", "hi")).await.1["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn a_two_hundred_may_hold_anything() {
    let far = Far::open().await;
    let fault = async |scope: &str, fault: &str| far.fault(json!({"scope": scope, "fault": fault})).await;
    fault("qwen", "error_in_200").await;
    let (status, body) = far.answer(QWEN, ask("sim-fast", "hi")).await;
    assert_eq!((status, body["code"].is_string()), (200, true));
    fault("qwen", "error_in_200").await;
    let stream = far.stream(QWEN, streamed(QWEN, ask("sim-fast", "hi"))).await;
    assert!(stream.chunks.len() == 1 && stream.chunks[0]["code"].is_string());
    fault("openai", "error_in_200").await;
    let stream = far.stream(OPENAI, streamed(OPENAI, ask("sim-fast", "hi"))).await;
    assert!(stream.chunks[0]["error"]["message"].is_string());
    fault("openai", "html").await;
    let page = far.chat(OPENAI, ask("sim-fast", "hi")).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    fault("openai", "empty").await;
    assert_eq!(far.chat(OPENAI, ask("sim-fast", "hi")).await.text().await.unwrap(), "");
    fault("openai", "bad_json").await;
    let text = far.chat(OPENAI, ask("sim-fast", "hi")).await.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err());
    fault("openai", "bom").await;
    let bytes = far.chat(OPENAI, ask("sim-fast", "hi")).await.bytes().await.unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbf{"));
}

#[tokio::test]
async fn usage_can_be_missing_or_nonsense() {
    let far = Far::open().await;
    for (name, base) in ALL {
        far.fault(json!({"scope": name, "fault": "no_usage", "times": 2})).await;
        assert!(far.answer(base, ask("sim-fast", "hi")).await.1.get("usage").is_none());
        assert!(far.stream(base, streamed(base, ask("sim-fast", "hi"))).await.usages().is_empty());
        let nonsense = json!({"prompt_tokens": -5, "completion_tokens": 1.5e300});
        far.fault(json!({"scope": name, "fault": "usage", "usage": nonsense, "times": 2})).await;
        assert_eq!(far.answer(base, ask("sim-fast", "hi")).await.1["usage"], nonsense);
        assert_eq!(far.stream(base, streamed(base, ask("sim-fast", "hi"))).await.usages(), [&nonsense]);
    }
}

#[tokio::test]
async fn streams_can_end_early_late_or_oddly() {
    let far = Far::open().await;
    let question = || streamed(OPENAI, ask("sim-fast", "hi"));
    far.fault(json!({"scope": "openai", "fault": "no_done"})).await;
    assert!(!far.stream(OPENAI, question()).await.done);
    far.fault(json!({"scope": "openai", "fault": "crlf"})).await;
    let stream = far.stream(OPENAI, question()).await;
    assert!(stream.done && stream.text.contains("}\r\n\r\ndata: [DONE]\r\n\r\n"));
    far.fault(json!({"scope": "openai", "fault": "cut_after", "chunks": 3})).await;
    let (pieces, ended) = far.pieces(OPENAI, question()).await;
    assert!(ended.is_err());
    let cut = Streamed::read(&String::from_utf8(pieces.concat()).unwrap());
    assert_eq!((cut.chunks.len(), cut.done, cut.finish()), (3, false, String::new()));
    far.fault(json!({"scope": "openai", "fault": "cut_after", "chunks": 3})).await;
    assert!(far.chat(OPENAI, ask("sim-fast", "hi")).await.text().await.is_err());

    far.fault(json!({"scope": "openai", "fault": "stall_after", "chunks": 2})).await;
    let mut response = far.chat(OPENAI, question()).await;
    let mut got = Vec::new();
    let stalled = async {
        while let Some(piece) = response.chunk().await.unwrap() {
            got.extend_from_slice(&piece);
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(300), stalled).await.is_err(), "it stays open");
    assert_eq!(Streamed::read(&String::from_utf8(got).unwrap()).chunks.len(), 2);
    drop(response);
    far.until("/_sim/v1/stats", |it| it["openai"]["streams_aborted"] == 1).await;

    far.fault(json!({"scope": "openai", "fault": "timeout"})).await;
    let waiting = far.chat(OPENAI, ask("sim-fast", "hi"));
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    far.fault(json!({"scope": "openai", "fault": "slow_first_byte", "ms": 3_600_000})).await;
    let waiting = far.chat(OPENAI, ask("sim-fast", "hi"));
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    far.fault(json!({"scope": "openai", "fault": "slow_first_byte", "ms": 3_600_000, "after_headers": true}))
        .await;
    assert_eq!(far.chat(OPENAI, question()).await.status(), 200);
}

#[tokio::test]
async fn a_client_who_hangs_up_stops_the_generation() {
    let far = Far::paced(0, 20).await;
    let mut response = far.chat(OPENAI, streamed(OPENAI, ask("sim-slow", "hi"))).await;
    response.chunk().await.unwrap();
    drop(response);
    let stats = far.until("/_sim/v1/stats", |it| it["openai"]["streams_aborted"] == 1).await;
    assert_eq!(stats["openai"]["streams_completed"], 0);
    assert!(stats["openai"]["tokens_generated"].as_u64().unwrap() < 5);
    far.stream(OPENAI, streamed(OPENAI, ask("sim-fast", "hi"))).await;
    let stats = far.get("/_sim/v1/stats").await;
    assert_eq!((&stats["openai"]["requests"], &stats["openai"]["streams_completed"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn what_was_received_can_be_read_without_its_key() {
    let far = Far::open().await;
    far.answer(QWEN, ask("sim-fast", "remember me")).await;
    let noted = far.get("/_sim/v1/requests?provider=qwen").await;
    let request = &noted["requests"][0];
    assert_eq!(request["body"]["messages"][0]["content"], "remember me");
    assert_eq!(request["headers"]["authorization"], "…6789");
    assert!(!noted.to_string().contains(far::KEY));
    assert_eq!(far.get("/_sim/v1/requests?provider=openai").await["requests"], json!([]));
}

#[tokio::test]
async fn the_controls_explain_what_they_refuse() {
    let far = Far::open().await;
    for (path, body, expected) in [
        ("/_sim/v1/faults", json!({"scope": "openai", "fault": "melts"}), 400),
        ("/_sim/v1/clock", json!({"advance_ms": -1}), 400),
        ("/_sim/v1/clock", json!({"hours": 1}), 400),
        ("/_sim/v1/fx", json!({"CNY": "lots"}), 400),
        ("/_sim/v1/orders/T1/pay", json!([]), 400),
        ("/_sim/v1/orders/T1/redeliver", json!({}), 404),
        ("/_sim/v1/refunds/R1/resolve", json!({"status": "SUCCESS"}), 404),
        ("/_sim/v1/refunds/R1/resolve", json!({"status": "GONE"}), 400),
        ("/nowhere", json!({}), 404),
    ] {
        let (status, answer) = far.post(path, body).await;
        assert_eq!((status, answer["error"].is_string()), (expected, true), "{path} {answer}");
    }
}

#[tokio::test]
async fn clock_and_rates_are_in_the_hands_of_the_controls() {
    let far = Far::open().await;
    let before = far.get("/_sim/v1/clock").await["now_micros"].as_i64().unwrap();
    let after = far.post("/_sim/v1/clock", json!({"advance_ms": 86_400_000})).await.1;
    assert!(after["now_micros"].as_i64().unwrap() - before >= 86_400_000_000);
    assert!(after["now"].as_str().unwrap().ends_with('Z'));
    assert_eq!(far.get("/_sim/v1/fx?base=USD").await["rates"], json!({"CNY": 7.1234, "EUR": 0.92}));
    far.post("/_sim/v1/fx", json!({"CNY": "7.20"})).await;
    let text =
        far.http.get(format!("{}/_sim/v1/fx?base=USD", far.base)).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"CNY\":7.20"), "{text}");
    far.fault(json!({"scope": "fx", "fault": "status", "status": 503})).await;
    let refused = far.http.get(format!("{}/_sim/v1/fx", far.base)).send().await.unwrap();
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn stopping_ends_what_is_under_way() {
    let far = Far::open().await;
    far.fault(json!({"scope": "openai", "fault": "stall_after", "chunks": 1})).await;
    let mut open = far.chat(OPENAI, streamed(OPENAI, ask("sim-fast", "hi"))).await;
    open.chunk().await.unwrap();
    let address = far.sim.addr();
    tokio::time::timeout(Duration::from_secs(2), far.sim.stop()).await.expect("it stops in time");
    let ended = async { while let Ok(Some(_)) = open.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(2), ended).await.expect("the stream ends");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
