//! A chat's answers, said as Responses.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{asked, bill, chunk, events, kinds, lost, made, wanted};
use crate::{
    chat::TextSize,
    dialect::{responses::ResponsesVoice, voice::Voice},
};

const PLAIN: &str = r#"{"model":"m","input":"hi"}"#;

fn delta(delta: &Value) -> String {
    json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] }).to_string()
}

fn finish(reason: &str) -> String {
    json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }).to_string()
}

fn streamed(body: &str, chunks: &[String]) -> Vec<Value> {
    let mut voice = ResponsesVoice::new(asked(body));
    let mut out = BytesMut::new();
    for json in chunks {
        voice.chunk(chunk(json.clone(), None, false), &mut out);
    }
    voice.end(&bill(Some((10, 5)), None), &mut out);
    let events = events(&out);
    for (i, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], i, "{event}");
    }
    events
}

#[test]
fn a_text_comes_in_openais_order_of_events() {
    let chunks = [
        delta(&json!({ "role": "assistant", "content": "" })),
        delta(&json!({ "content": "你" })),
        delta(&json!({ "content": "好" })),
        finish("stop"),
        r#"{"choices":[],"usage":{}}"#.to_owned(),
    ];
    let events = streamed(
        r#"{"model":"m","input":"hi","instructions":"be","temperature":0.50,"store":true,"metadata":{"a":"b"},"text":{"verbosity":"low"}}"#,
        &chunks,
    );
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    let begun = &events[0]["response"];
    assert_eq!((begun["status"].clone(), begun["output"].clone()), (json!("in_progress"), json!([])));
    assert_eq!(begun["usage"], json!(null));
    assert_eq!(
        events[3]["part"],
        json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": "" })
    );
    assert_eq!(events[5]["delta"], "好");
    assert_eq!(events[6]["text"], "你好");
    let response = &events[9]["response"];
    assert_eq!(response["id"], begun["id"]);
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(response["created_at"], 1_763_700_000);
    let item = json!({
        "id": events[2]["item"]["id"], "type": "message", "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "annotations": [], "logprobs": [], "text": "你好" }],
    });
    assert_eq!(response["output"], json!([item]));
    assert_eq!(
        response["usage"],
        json!({
            "input_tokens": 10, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
            "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 15,
            "cost": "0.00002", "cost_currency": "CNY",
        })
    );
    // What was asked is repeated, what was not is as it is at OpenAI, and nothing was stored.
    for (member, value) in [
        ("instructions", json!("be")),
        ("temperature", json!(0.5)),
        ("metadata", json!({ "a": "b" })),
        ("text", json!({ "format": { "type": "text" }, "verbosity": "low" })),
        ("top_p", json!(1.0)),
        ("tools", json!([])),
        ("tool_choice", json!("auto")),
        ("parallel_tool_calls", json!(true)),
        ("truncation", json!("disabled")),
        ("store", json!(false)),
        ("model", json!("m")),
        ("error", json!(null)),
        ("incomplete_details", json!(null)),
        ("previous_response_id", json!(null)),
    ] {
        assert_eq!(response[member], value, "{member}");
    }
}

#[test]
fn reasoning_a_refusal_and_calls_are_items_of_their_own() {
    let call = |call: Value| delta(&json!({ "tool_calls": [call] }));
    let chunks = [
        delta(&json!({ "reasoning_content": "hm" })),
        delta(&json!({ "reasoning": "!" })),
        delta(
            &json!({ "content": "a", "annotations": [{ "type": "url_citation", "url_citation": { "url": "u", "title": "t" } }] }),
        ),
        delta(&json!({ "refusal": "no" })),
        call(
            json!({ "index": 0, "id": "c1", "type": "function", "function": { "name": "f", "arguments": "" } }),
        ),
        call(
            json!({ "index": 1, "id": "c2", "type": "function", "function": { "name": "g", "arguments": "{\"a\"" } }),
        ),
        call(json!({ "index": 0, "function": { "arguments": "{}" } })),
        call(json!({ "index": 1, "function": { "arguments": ":1}" } })),
        finish("tool_calls"),
    ];
    let events = streamed(PLAIN, &chunks);
    let output = events.last().unwrap()["response"]["output"].clone();
    let shape: Vec<_> = output.as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(shape, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!(output[0]["content"], json!([{ "type": "reasoning_text", "text": "hm!" }]));
    assert_eq!(output[0]["summary"], json!([]));
    assert_eq!(
        output[1]["content"][0]["annotations"],
        json!([{ "type": "url_citation", "url": "u", "title": "t" }])
    );
    assert_eq!(output[1]["content"][1], json!({ "type": "refusal", "refusal": "no" }));
    let calls: Vec<_> = [2, 3].map(|i| (output[i]["call_id"].clone(), output[i]["arguments"].clone())).into();
    assert_eq!(calls, [(json!("c1"), json!("{}")), (json!("c2"), json!("{\"a\":1}"))]);
    assert_eq!(
        kinds(&events)[2..20],
        [
            "output_item.added",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.annotation.added",
            "output_text.done",
            "content_part.done",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done"
        ]
    );
    assert_eq!(
        kinds(&events)[20..],
        [
            "output_item.added",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
}

#[test]
fn who_asks_for_a_summary_finds_the_reasoning_there() {
    let body = r#"{"model":"m","input":"hi","reasoning":{"effort":"low","summary":"auto"}}"#;
    let events = streamed(
        body,
        &[delta(&json!({ "reasoning_content": "hm" })), delta(&json!({ "content": "a" })), finish("stop")],
    );
    assert_eq!(
        kinds(&events)[2..8],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done"
        ]
    );
    assert_eq!(events[7]["item"]["summary"], json!([{ "type": "summary_text", "text": "hm" }]));
    assert_eq!(
        events.last().unwrap()["response"]["reasoning"],
        json!({ "effort": "low", "summary": "auto" })
    );
}

#[test]
fn an_answer_that_a_limit_has_cut_is_incomplete() {
    for (reason, details) in [("length", "max_output_tokens"), ("content_filter", "content_filter")] {
        let events = streamed(PLAIN, &[delta(&json!({ "content": "a" })), finish(reason)]);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({ "reason": details }));
        assert_eq!(last["response"]["status"], "incomplete");
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
        assert_eq!(last["response"]["completed_at"], json!(null));
    }
}

#[test]
fn probabilities_pass_and_add_up() {
    let logprob = |token: &str| json!({ "token": token, "logprob": -0.5, "bytes": [97], "top_logprobs": [] });
    let chunk = |token: &str| {
        json!({ "choices": [{ "delta": { "content": token }, "logprobs": { "content": [logprob(token)] } }] })
            .to_string()
    };
    let events = streamed(PLAIN, &[chunk("a"), chunk("b"), finish("stop")]);
    assert_eq!(events[4]["logprobs"], json!([logprob("a")]));
    assert_eq!(events[6]["logprobs"], json!([logprob("a"), logprob("b")]));
}

#[test]
fn sloppy_calls_are_put_right() {
    let call = |call: Value| delta(&json!({ "tool_calls": [call] }));
    // No number, no id, arguments before the name, none at all.
    let events = streamed(
        PLAIN,
        &[
            call(json!({ "id": "a", "function": { "name": "f", "arguments": "{\"x\":" } })),
            call(json!({ "function": { "arguments": "1}" } })),
            call(json!({ "id": "b", "function": { "arguments": "{}" } })),
            call(json!({ "id": "b", "function": { "name": "g" } })),
            call(json!({ "index": 7, "function": { "name": "h" } })),
            finish("stop"),
        ],
    );
    let output = events.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    let said: Vec<_> =
        output.iter().map(|c| (c["name"].as_str().unwrap(), c["arguments"].as_str().unwrap())).collect();
    assert_eq!(said, [("f", "{\"x\":1}"), ("g", "{}"), ("h", "{}")]);
    assert!(output[2]["call_id"].as_str().unwrap().starts_with("call_"));
}

/// Gemini signs its calls, and wants the signature back with them.
#[test]
fn what_else_stands_in_a_call_goes_out_with_it_and_comes_back() {
    let signed = json!({ "google": { "thought_signature": "s==" } });
    let call = |call: Value| delta(&json!({ "tool_calls": [call] }));
    let events = streamed(
        PLAIN,
        &[
            call(
                json!({ "index": 0, "id": "a", "type": "function", "extra_content": signed, "function": { "name": "f", "arguments": "" } }),
            ),
            call(json!({ "index": 0, "function": { "arguments": "{}" } })),
            finish("stop"),
        ],
    );
    let item = &events.last().unwrap()["response"]["output"][0];
    assert_eq!(item["extra_content"], signed);
    let back = json!({ "model": "m", "input": [item, { "type": "function_call_output", "call_id": "a", "output": "x" }] });
    let form = made(wanted(&back.to_string()).chat).unwrap();
    let said: Value = serde_json::from_slice(&form.body).unwrap();
    assert_eq!(said["messages"][0]["tool_calls"][0]["extra_content"], signed);
}

#[test]
fn an_answer_without_a_word_is_a_message_without_one() {
    let events = streamed(PLAIN, &[finish("stop")]);
    assert_eq!(events.last().unwrap()["response"]["output"][0]["content"][0]["text"], "");
    assert_eq!(kinds(&events).len(), 8);
}

#[test]
fn a_cut_answer_ends_as_an_error_and_never_as_a_whole_one() {
    let mut voice = ResponsesVoice::new(asked(PLAIN));
    let mut out = BytesMut::new();
    voice.chunk(chunk(delta(&json!({ "content": "a" })), None, false), &mut out);
    voice.broken(&lost(), &bill(Some((10, 1)), None), &mut out);
    let events = events(&out);
    assert_eq!(
        kinds(&events)[2..],
        ["output_item.added", "content_part.added", "output_text.delta", "error", "failed"]
    );
    let (error, failed) = (&events[5], &events[6]);
    assert_eq!((error["sequence_number"].clone(), failed["sequence_number"].clone()), (json!(5), json!(6)));
    assert_eq!(
        (error["code"].clone(), error["error"]["code"].clone()),
        (json!("upstream_interrupted"), error["code"].clone())
    );
    assert_eq!(error["message"], error["error"]["message"]);
    let response = &failed["response"];
    assert_eq!(
        (response["status"].clone(), response["error"]["code"].clone()),
        (json!("failed"), json!("server_error"))
    );
    assert_eq!(response["output"][0]["status"], "incomplete");
    assert_eq!(response["output"][0]["content"][0]["text"], "a");
    assert_eq!(response["usage"]["cost"], "0.00002");
}

#[test]
fn a_whole_answer_is_the_response_that_its_stream_would_have_ended_with() {
    let message = json!({
        "role": "assistant", "reasoning_content": "hm", "content": "a", "refusal": null,
        "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }],
    });
    let whole = json!({
        "id": "x", "service_tier": "default", "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }],
    });
    let said = ResponsesVoice::new(asked(PLAIN)).whole(whole.to_string().into(), &bill(Some((10, 5)), None));
    let said: Value = serde_json::from_slice(&said).unwrap();
    let shape: Vec<_> = said["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(shape, ["reasoning", "message", "function_call"]);
    assert_eq!(
        (said["status"].clone(), said["service_tier"].clone()),
        (json!("completed"), json!("default"))
    );
    assert_eq!(said["usage"]["output_tokens"], 5);
    assert_eq!(said["object"], "response");
    assert!(said.get("output_text").is_none(), "SDKs reckon it themselves");
}

#[test]
fn an_answer_without_end_is_cut_where_memory_would_be() {
    let mut voice = ResponsesVoice::new(asked(PLAIN));
    let mut out = BytesMut::new();
    for text_bytes in [1, 64 * 1024 * 1024, 1] {
        let mut more = chunk(delta(&json!({ "content": "a" })), None, false);
        more.text_size = TextSize::bytes_of(text_bytes, 0);
        voice.chunk(more, &mut out);
    }
    voice.end(&bill(Some((10, 5)), None), &mut out);
    let events = events(&out);
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(response["output"][0]["content"][0]["text"], "aa");
}
