//! A Response's own events, passed on.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{bill, chunk, events, kinds, lost};
use crate::{
    dialect::{responses::NativeResponsesVoice, voice::Voice},
    meter::Bill,
};

const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","x":1e-7,"output":[],"usage":null}}"#;
const DELTA: &str = r#"{"type":"response.output_text.delta","sequence_number":1,"delta":"a","odd":1.0}"#;
const COMPLETED: &str = r#"{"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","status":"completed","x":1e-7,"usage":{"input_tokens":10,"output_tokens":5,"cost":"7"}}}"#;
const USAGE: &str = r#"{"input_tokens":10,"output_tokens":5,"cost":"7","odd":{"a":1.0}}"#;

fn begun(out: &mut BytesMut) -> NativeResponsesVoice {
    let mut voice = NativeResponsesVoice::default();
    voice.chunk(chunk(CREATED.to_owned(), Some("response.created"), false), out);
    voice.chunk(chunk(DELTA.to_owned(), Some("response.output_text.delta"), false), out);
    voice
}

#[test]
fn events_pass_as_they_came_and_the_last_waits_for_its_price() {
    let mut out = BytesMut::new();
    let mut voice = begun(&mut out);
    let text = std::str::from_utf8(&out).unwrap();
    assert_eq!(
        text,
        format!(
            "event: response.created\ndata: {CREATED}\n\nevent: response.output_text.delta\ndata: {DELTA}\n\n"
        )
    );
    let before = out.len();
    voice.chunk(chunk(COMPLETED.to_owned(), Some("response.completed"), true), &mut out);
    assert_eq!(out.len(), before);
    voice.end(&bill(Some((10, 5)), Some(USAGE)), &mut out);
    let text = std::str::from_utf8(&out[before..]).unwrap();
    assert_eq!(
        text,
        ": tollgate cost-cny=0.00002 balance-cny=9.50\n\nevent: response.completed\ndata: \
         {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"x\":1e-7,\"usage\":{\"input_tokens\":10,\"output_tokens\":5,\"odd\":{\"a\":1.0},\"cost\":\"0.00002\",\"cost_currency\":\"CNY\"}}}\n\n"
    );
}

#[test]
fn a_whole_answer_passes_as_it_came_unless_something_else_was_charged() {
    let whole = r#"{"id":"resp_1","usage":{"input_tokens":10,"output_tokens":5},"x":1e-7}"#;
    let say = |bill: &_| NativeResponsesVoice::default().whole(whole.into(), bill);
    let own = r#"{"input_tokens":10,"output_tokens":5}"#;
    assert_eq!(say(&bill(Some((10, 5)), Some(own))), whole);
    let reckoned = Bill { estimated: true, ..bill(Some((7, 2)), None) };
    let said: Value = serde_json::from_slice(&say(&reckoned)).unwrap();
    assert_eq!((&said["usage"]["input_tokens"], &said["usage"]["estimated"]), (&json!(7), &json!(true)));
}

#[test]
fn a_cut_answer_ends_as_an_error_with_the_response_as_a_failed_one() {
    let mut out = BytesMut::new();
    begun(&mut out).broken(&lost(), &bill(None, None), &mut out);
    let events = events(&out);
    assert_eq!(kinds(&events), ["created", "output_text.delta", "error", "failed"]);
    assert_eq!(
        (events[2]["sequence_number"].clone(), events[3]["sequence_number"].clone()),
        (json!(2), json!(3))
    );
    assert_eq!(events[2]["error"]["code"], "upstream_interrupted");
    let response = &events[3]["response"];
    assert_eq!((response["id"].clone(), response["status"].clone()), (json!("resp_1"), json!("failed")));
    assert_eq!(
        (response["usage"].clone(), response["error"]["code"].clone()),
        (json!(null), json!("server_error"))
    );
}
