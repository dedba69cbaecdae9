//! Whatever is asked and however it is answered: nothing is lost on the way, and nothing said twice.

use std::collections::BTreeMap;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{asked, bill, chunk, events, read};
use crate::{
    chat::ChatForm,
    dialect::{responses::ResponsesVoice, voice::Voice},
};

/// A text that stands nowhere else: its number makes it so.
const MARK: &str = "@MARK@";

/// Gives every mark in `text` a number; how many there were.
fn numbered(text: &str) -> (String, usize) {
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        out.push_str(&format!("mark-{count}-"));
        out.push_str(part);
        count += 1;
    }
    (out, count)
}

/// What JSON looks like when a client writes it: text with what has to be escaped, numbers in odd spellings.
fn odd() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "\\n", "\\u4f60", "好", "\\\"", "\\\\", "\\ud83d\\ude00", " "])
        .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    (odd(), odd()).prop_map(|(before, after)| format!("\"{before}{MARK}{after}\""))
}

fn number() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["1e-7", "1.0", "9007199254740993", "-0", "0.10"])
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => text().prop_map(|text| format!(r#"{{"type":"input_text","text":{text}}}"#)),
        4 => text().prop_map(|text| format!(r#"{{"type":"output_text","annotations":[],"text":{text}}}"#)),
        2 => text().prop_map(|text| format!(r#"{{"type":"refusal","refusal":{text}}}"#)),
        2 => (text(), number()).prop_map(|(url, x)| format!(
            r#"{{"type":"input_image","image_url":{url},"detail":"auto","x":{x}}}"#
        )),
        2 => (text(), text()).prop_map(|(data, name)| format!(
            r#"{{"type":"input_file","file_data":{data},"filename":{name}}}"#
        )),
        1 => text().prop_map(|url| format!(r#"{{"type":"input_file","file_url":{url}}}"#)),
    ]
}

fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        prop::collection::vec(part(), 1..4).prop_map(|parts| format!("[{}]", parts.join(","))),
    ]
}

/// One item, or a few that belong together; `@ID@` is numbered later.
fn items() -> impl Strategy<Value = String> {
    let role = prop::sample::select(vec!["user", "system", "developer", "assistant"]);
    let call = || {
        (text(), text()).prop_map(|(name, arguments)| {
            format!(r#"{{"type":"function_call","id":"fc_1","call_id":"@ID@","name":{name},"arguments":{arguments}}}"#)
        })
    };
    let output = || {
        content().prop_map(|output| {
            format!(r#"{{"type":"function_call_output","call_id":"@ID@","output":{output}}}"#)
        })
    };
    let reasoning = || {
        (prop::bool::ANY, prop::collection::vec(text(), 0..3)).prop_map(|(summary, texts)| {
            let parts = texts
                .iter()
                .map(|text| format!(r#"{{"type":"x","text":{text}}}"#))
                .collect::<Vec<_>>()
                .join(",");
            if summary {
                format!(r#"{{"type":"reasoning","id":"rs_1","summary":[{parts}]}}"#)
            } else {
                format!(r#"{{"type":"reasoning","id":"rs_1","summary":[],"content":[{parts}]}}"#)
            }
        })
    };
    prop_oneof![
        4 => (role, content(), number()).prop_map(|(role, content, x)| format!(r#"{{"role":"{role}","content":{content},"x":{x}}}"#)),
        2 => (call(), output()).prop_map(|(call, output)| format!("{call},{output}")),
        2 => (reasoning(), content()).prop_map(|(reasoning, said)| format!(r#"{reasoning},{{"type":"message","role":"assistant","content":{said}}}"#)),
        1 => (reasoning(), call(), output()).prop_map(|(reasoning, call, output)| format!("{reasoning},{call},{output}")),
        1 => reasoning(),
        1 => text().prop_map(|input| format!(r#"{{"type":"custom_tool_call","call_id":"x","name":"n","input":{input}}}"#)),
    ]
}

fn member() -> impl Strategy<Value = (&'static str, String)> {
    let tool = || {
        (text(), text(), number()).prop_map(|(description, property, x)| {
            format!(r#"{{"type":"function","name":"f","description":{description},"parameters":{{"z":{x},{property}:1}},"strict":true}}"#)
        })
    };
    prop_oneof![
        text().prop_map(|text| ("instructions", text)),
        tool().prop_map(|tool| ("tools", format!("[{tool}]"))),
        (text(), text(), number()).prop_map(|(name, description, x)| {
            ("text", format!(r#"{{"format":{{"type":"json_schema","name":{name},"description":{description},"schema":{{"x":{x}}},"strict":true}},"verbosity":"low"}}"#))
        }),
        text().prop_map(|effort| ("reasoning", format!(r#"{{"effort":{effort},"summary":"auto"}}"#))),
        text().prop_map(|mode| ("reasoning", format!(r#"{{"mode":{mode}}}"#))),
        text().prop_map(|user| ("user", user)),
        Just(("service_tier", "\"default\"".to_owned())),
        text().prop_map(|what| ("include", format!("[{what}]"))),
        text().prop_map(|key| ("prompt_cache_key", key)),
        (text(), number()).prop_map(|(x, y)| ("extra_body", format!(r#"{{"a":{x},"b":[{y}]}}"#))),
        number().prop_map(|number| ("seed", number.to_owned())),
        Just(("max_output_tokens", "77".to_owned())),
        Just(("top_logprobs", "7".to_owned())),
        Just(("temperature", "0.70".to_owned())),
        Just(("truncation", "\"auto\"".to_owned())),
        Just(("truncation", "\"disabled\"".to_owned())),
        Just(("store", "true".to_owned())),
    ]
}

/// A body, how many marks are in it, and its members.
fn body() -> impl Strategy<Value = (String, usize, Vec<(&'static str, String)>)> {
    let input = prop_oneof![
        1 => text(),
        4 => prop::collection::vec(items(), 1..6).prop_map(|items| format!("[{}]", items.join(","))),
    ];
    (input, prop::collection::vec(member(), 0..6)).prop_map(|(input, members)| {
        let members: BTreeMap<_, _> = members.into_iter().collect();
        let members: Vec<(&str, String)> = members.into_iter().collect();
        // A call and what was given back for it have one id.
        let mut ids = input.split("@ID@");
        let mut input = ids.next().unwrap_or_default().to_owned();
        for (half, part) in ids.enumerate() {
            input.push_str(&format!("id-{}-{part}", half / 2));
        }
        let rest: String = members.iter().map(|(name, value)| format!(r#","{name}":{value}"#)).collect();
        let (body, marks) = numbered(&format!(r#"{{"model":"m","input":{input}{rest}}}"#));
        (body, marks, members)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Every text is in the chat form exactly once, every odd number in its spelling; or it is said what cannot be.
    #[test]
    fn nothing_that_was_asked_is_lost_silently((body, marks, members) in body()) {
        let wanted = read(&body.clone().into()).unwrap_or_else(|error| panic!("{error}: {body}"));
        match wanted.chat {
            ChatForm::Inexpressible(what) => prop_assert!(!what.param.is_empty() && !what.why.is_empty()),
            ChatForm::Made(form) => {
                let said = std::str::from_utf8(&form.body).unwrap();
                prop_assert!(serde_json::from_str::<Value>(said).is_ok(), "{said}");
                for mark in (0..marks).map(|mark| format!("mark-{mark}-")) {
                    prop_assert_eq!(said.matches(&mark).count(), 1, "{} of {} in {}", mark, body, said);
                }
                for number in ["1e-7", "1.0", "9007199254740993", "-0", "0.10"] {
                    prop_assert_eq!(said.matches(number).count(), body.matches(number).count(), "{} in {}", body, said);
                }
                for (name, value) in members {
                    let word = match name {
                        "max_output_tokens" => r#""max_completion_tokens":77"#,
                        "top_logprobs" => r#""top_logprobs":7"#,
                        "temperature" => r#""temperature":0.70"#,
                        // What is answered instead: nothing is stored, nothing is cut.
                        "store" => continue,
                        "truncation" => {
                            prop_assert_eq!(value, "\"disabled\"");
                            continue;
                        }
                        _ => continue, // has marks
                    };
                    prop_assert!(said.contains(word), "{} in {}", word, said);
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

/// A piece of an answer.
#[derive(Debug, Clone)]
enum Said {
    Reasoning(String),
    Text(String),
    Refusal(String),
    Call(u64, String),
}

fn said() -> impl Strategy<Value = Said> {
    let words = || "[a-z你好😀\"\\\\\n]{0,6}";
    prop_oneof![
        words().prop_map(Said::Reasoning),
        words().prop_map(Said::Text),
        words().prop_map(Said::Refusal),
        (0_u64..3, words()).prop_map(|(index, arguments)| Said::Call(index, arguments)),
    ]
}

/// One chunk for each piece; a call is named in its first.
fn chunks(said: &[Said]) -> Vec<String> {
    let mut named = Vec::new();
    let delta = |said: &Said| match said {
        Said::Reasoning(text) => json!({ "reasoning_content": text }),
        Said::Text(text) => json!({ "content": text }),
        Said::Refusal(text) => json!({ "refusal": text }),
        Said::Call(index, arguments) if named.contains(index) => {
            json!({ "tool_calls": [{ "index": index, "function": { "arguments": arguments } }] })
        }
        Said::Call(index, arguments) => {
            named.push(*index);
            let function = json!({ "name": format!("f{index}"), "arguments": arguments });
            json!({ "tool_calls": [{ "index": index, "id": format!("c{index}"), "type": "function", "function": function }] })
        }
    };
    let chunk = |delta: Value| json!({ "choices": [{ "index": 0, "delta": delta }] }).to_string();
    said.iter().map(delta).map(chunk).collect()
}

fn stream(chunks: &[String], reason: &str) -> Vec<Value> {
    let mut voice = ResponsesVoice::new(asked(r#"{"model":"m","input":"hi"}"#));
    let mut out = BytesMut::new();
    for json in chunks {
        voice.chunk(chunk(json.clone(), None, false), &mut out);
    }
    let finish = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
    voice.chunk(chunk(finish.to_string(), None, true), &mut out);
    voice.end(&bill(Some((10, 5)), None), &mut out);
    events(&out)
}

/// Where an event's text belongs.
fn place(event: &Value) -> String {
    format!("{} {} {}", event["item_id"], event["output_index"], event["content_index"])
}

proptest! {
    #[test]
    fn deltas_add_up_numbers_have_no_gaps_and_one_event_is_the_last(
        said in prop::collection::vec(said(), 0..12),
        reason in prop::sample::select(vec!["stop", "length", "content_filter", "tool_calls"]),
    ) {
        let events = stream(&chunks(&said), reason);
        let mut deltas: BTreeMap<String, String> = BTreeMap::new();
        let mut done = Vec::new();
        let mut terminals = 0;
        for (i, event) in events.iter().enumerate() {
            prop_assert_eq!(&event["sequence_number"], i);
            let kind = event["type"].as_str().unwrap();
            match kind.rsplit('.').next() {
                Some("delta") => deltas.entry(place(event)).or_default().push_str(event["delta"].as_str().unwrap()),
                Some("done") if kind == "response.output_item.done" => done.push(event.clone()),
                Some("done") => {
                    let whole = ["text", "refusal", "arguments"].iter().find_map(|name| event[name].as_str());
                    if let Some(whole) = whole {
                        prop_assert_eq!(deltas.get(&place(event)).map_or("", String::as_str), whole);
                    }
                }
                Some("completed" | "incomplete" | "failed") => terminals += 1,
                _ => {}
            }
        }
        prop_assert_eq!(terminals, 1);
        let last = events.last().unwrap();
        let complete = matches!(reason, "stop" | "tool_calls");
        prop_assert_eq!(&last["type"], if complete { "response.completed" } else { "response.incomplete" });
        // Every item was ended as it stands in the response, and each text is there.
        done.sort_by_key(|event| event["output_index"].as_u64());
        let items: Vec<_> = done.into_iter().map(|mut event| event["item"].take()).collect();
        prop_assert_eq!(&last["response"]["output"], &Value::from(items));
        let joined = |wanted: &dyn Fn(&Said) -> Option<String>| said.iter().filter_map(wanted).collect::<String>();
        let found = |of: &dyn Fn(&Value) -> String| last["response"]["output"].as_array().unwrap().iter().map(of).collect::<String>();
        let parts = |item: &Value, name: &str| -> String {
            item["content"].as_array().into_iter().flatten().filter_map(|part| part[name].as_str()).collect()
        };
        let text = joined(&|said| match said { Said::Text(text) => Some(text.clone()), _ => None });
        prop_assert_eq!(found(&|item| if item["type"] == "message" { parts(item, "text") } else { String::new() }), text);
        let refusal = joined(&|said| match said { Said::Refusal(text) => Some(text.clone()), _ => None });
        prop_assert_eq!(found(&|item| parts(item, "refusal")), refusal);
        let reasoning = joined(&|said| match said { Said::Reasoning(text) => Some(text.clone()), _ => None });
        prop_assert_eq!(found(&|item| if item["type"] == "reasoning" { parts(item, "text") } else { String::new() }), reasoning);
    }

    #[test]
    fn however_a_text_is_cut_the_response_is_the_same(
        said in prop::collection::vec(said(), 0..8),
        cuts in prop::collection::vec(0_usize..6, 8),
    ) {
        let cut = |(said, at): (&Said, &usize)| -> Vec<Said> {
            let halves = |text: &str| -> (String, String) {
                let at = text.chars().count().min(*at);
                (text.chars().take(at).collect(), text.chars().skip(at).collect())
            };
            match said {
                Said::Reasoning(text) => { let (a, b) = halves(text); vec![Said::Reasoning(a), Said::Reasoning(b)] }
                Said::Text(text) => { let (a, b) = halves(text); vec![Said::Text(a), Said::Text(b)] }
                Said::Refusal(text) => { let (a, b) = halves(text); vec![Said::Refusal(a), Said::Refusal(b)] }
                Said::Call(index, text) => { let (a, b) = halves(text); vec![Said::Call(*index, a), Said::Call(*index, b)] }
            }
        };
        let pieces: Vec<_> = said.iter().zip(&cuts).flat_map(cut).collect();
        let last = |said: &[Said]| {
            let mut response = stream(&chunks(said), "stop").pop().unwrap()["response"].take();
            response["completed_at"].take(); // a clock may tick between the two
            response
        };
        prop_assert_eq!(last(&said), last(&pieces));
    }
}
