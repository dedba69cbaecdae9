//! Doors for fuzzers: each takes bytes from anywhere and checks what must hold of them. A broken promise is a panic.
//!
//! What every parser that reads the outside world has to keep: it never panics, however bytes are cut it hears the same,
//! and what it hands on is well formed.

use std::collections::VecDeque;

use bytes::Bytes;
use payments::{
    channel::wechat::v2::xml,
    reconcile::bill::{self, Bill, BillError},
};
use serde_json::value::RawValue;

use crate::{
    cache,
    chat::{ChatForm, Endpoint, UsageSeen},
    dialect,
    provider::{Scanner, fuzzed},
};

/// One door.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, on the command line of a fuzzer.
    pub name: &'static str,
    /// Takes one input.
    pub run: fn(&[u8]),
    /// How many times dearer an input is here than elsewhere: some are shown to every kind of provider.
    pub dearer: u64,
    /// Inputs to begin with.
    pub seeds: &'static [&'static str],
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"n":2,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}}],"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{"name":"x"}},"stop":["a","b"]}"#;
const RESPONSE: &str = r#"{"model":"m","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}],"tools":[{"type":"function","name":"f","parameters":{}}],"text":{"format":{"type":"json_schema","name":"x","schema":{}}},"reasoning":{"effort":"low"},"max_output_tokens":5}"#;
const MESSAGE: &str = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"1"}]}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},"stop_sequences":["x"]}"#;
const CHAT_STREAM: &str = "\u{feff}: hi\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\u{4f60}\",\"reasoning\":\"r\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"completion_tokens_details\":{\"reasoning_tokens\":1}}}\n\ndata: [DONE]\n\n";
const MESSAGES_STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":4}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// Which a reader of structures may take for objects, and no client would.
const MEMBERS_IN_ORDER: &str = "data: [\"a\"]\n\ndata: [\"message_delta\",0]\n\ndata: []\n\n";
const RESPONSES_STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"status\":\"in_progress\",\"output\":[]}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"r\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n";
const USAGE: &str = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":2},"prompt_cache_hit_tokens":4}"#;
const FAULT: &str = r#"{"error":{"message":"Rate limit reached. Please try again in 5.289s","type":"tokens","param":null,"code":"rate_limit_exceeded","details":[{"retryDelay":"34s"}]}}"#;
const KEPT: &str = r#"{"at":1800000000000000,"provider":"p0","chat":true,"adjusted":["tool_choice"],"usage":{"input":700,"cached_input":300,"cache_write":0,"output":7,"reasoning":0},"streams":true,"chunks":[{"json":{"choices":[{"delta":{"content":"\u4f60"}}]},"event":"a.b","text":{"ascii":0,"wide":3,"counted":{}},"finish":false,"choices":true,"has_usage":false,"usage":"Absent"},{"json":{"usage":{"a": 1}},"text":{"ascii":0,"wide":0},"finish":true,"choices":false,"has_usage":true,"usage":{"Counted":{"usage":{"input":1,"cached_input":0,"cache_write":0,"output":1,"reasoning":0,"audio_input":3},"raw":{"a": 1}}}},{"json":{},"text":{"ascii":1,"wide":0},"finish":false,"choices":true,"has_usage":true,"usage":{"Prompt":{"input":1,"cached_input":0,"cache_write":0,"output":1,"reasoning":0}}}]}"#;

const TRADE_BILL: &str = "\u{feff}交易时间,公众账号ID,商户号,微信订单号,商户订单号,交易状态,货币种类,应结订单金额,微信退款单号,商户退款单号,退款金额,退款状态,手续费,费率,订单金额,申请退款金额\r\n`2025-10-08 10:00:00,`wx1,`1900006001,`4200000000001,`T1,`SUCCESS,`CNY,`88.00,`0,`0,`0.00,`,`0.53000,`0.60%,`88.00,`0.00\r\n`2025-10-08 11:00:00,`wx1,`1900006001,`4200000000001,`T1,`REFUND,`CNY,`0.00,`5030001,`R1,`10.00,`SUCCESS,`-0.06000,`0.60%,`0.00,`10.00\r\n总交易单数,应结订单总金额,退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n`2,`88.00,`10.00,`0.47000,`88.00,`10.00\r\n";
const FLOW_BILL: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),业务凭证号\n`2025-10-08 10:00:03,`4200000000001,`10001,`交易,`交易,`收入,`88.00,`88.00,`T1\n`2025-10-08 10:00:03,`4200000000001,`10002,`扣除交易手续费,`扣除交易手续费,`支出,`0.53,`87.47,`T1\n资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\n`2,`1,`88.00,`1,`0.53\n";
const V2_MESSAGE: &str = "<xml><return_code><![CDATA[SUCCESS]]></return_code><appid>wx1</appid>\n<total_fee>8800</total_fee><attach>a &lt;b&gt; &#20320;</attach><nonce_str><![CDATA[n]]></nonce_str><sign><![CDATA[ABC]]></sign></xml>";

/// All doors.
pub const TARGETS: [Target; 15] = [
    Target { name: "sse", run: sse, dearer: 1, seeds: &[CHAT_STREAM, MESSAGES_STREAM, RESPONSES_STREAM] },
    Target { name: "chat_request", run: |bytes| request(Endpoint::Chat, bytes), dearer: 1, seeds: &[CHAT] },
    Target {
        name: "responses_request",
        run: |bytes| request(Endpoint::Responses, bytes),
        dearer: 1,
        seeds: &[RESPONSE],
    },
    Target {
        name: "messages_request",
        run: |bytes| request(Endpoint::Messages, bytes),
        dearer: 1,
        seeds: &[MESSAGE],
    },
    Target {
        name: "completions_request",
        run: |bytes| request(Endpoint::Completions, bytes),
        dearer: 1,
        seeds: &[r#"{"model":"m","prompt":["a"],"max_tokens":3,"n":2,"best_of":3,"echo":false}"#],
    },
    Target {
        name: "embeddings_request",
        run: |bytes| request(Endpoint::Embeddings, bytes),
        dearer: 1,
        seeds: &[
            r#"{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":3}"#,
            r#"{"model":"m","input":[[1,2],[3]]}"#,
        ],
    },
    Target {
        name: "chat_answer",
        run: |bytes| answer(fuzzed::Words::Chat, bytes),
        dearer: 20,
        seeds: &[CHAT_STREAM, MEMBERS_IN_ORDER],
    },
    Target {
        name: "messages_answer",
        run: |bytes| answer(fuzzed::Words::Messages, bytes),
        dearer: 1,
        seeds: &[MESSAGES_STREAM, MEMBERS_IN_ORDER],
    },
    Target {
        name: "messages_as_chat",
        run: |bytes| answer(fuzzed::Words::Anthropic, bytes),
        dearer: 1,
        seeds: &[MESSAGES_STREAM, MEMBERS_IN_ORDER],
    },
    Target {
        name: "responses_answer",
        run: |bytes| answer(fuzzed::Words::Responses, bytes),
        dearer: 1,
        seeds: &[RESPONSES_STREAM, MEMBERS_IN_ORDER],
    },
    Target { name: "kept_answer", run: kept_answer, dearer: 1, seeds: &[KEPT] },
    Target { name: "usage", run: usage, dearer: 1, seeds: &[USAGE] },
    Target {
        name: "fault",
        run: fuzzed::fault,
        dearer: 40,
        seeds: &[FAULT, r#"{"code":"Throttling","message":"slow"}"#],
    },
    Target { name: "bill", run: a_bill, dearer: 1, seeds: &[TRADE_BILL, FLOW_BILL, V2_MESSAGE] },
    Target { name: "v2_message", run: v2_message, dearer: 1, seeds: &[V2_MESSAGE] },
];

/// However a stream is cut, the same events come of it.
fn sse(bytes: &[u8]) {
    let heard = |pieces: &[&[u8]]| {
        let mut scanner = Scanner::default();
        for piece in pieces {
            if scanner.push(piece).is_err() {
                return None;
            }
        }
        scanner.finish();
        Some(std::iter::from_fn(|| scanner.next_event()).collect::<Vec<_>>())
    };
    let at_once = heard(&[bytes]);
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(at_once, heard(&singly), "cut at every byte");
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    assert_eq!(at_once, heard(&[first, rest]), "cut in the middle");
}

/// A body that is taken says what prices it, and its chat form is a chat completion that is taken in turn.
fn request(endpoint: Endpoint, bytes: &[u8]) {
    let Ok(wanted) = dialect::read(endpoint, &Bytes::copy_from_slice(bytes)) else { return };
    assert!(!wanted.model.is_empty() && wanted.n >= 1);
    assert!(wanted.input.bound >= wanted.input.estimate || wanted.input.estimate.0 < 10);
    if let ChatForm::Made(form) = &wanted.chat {
        let chat = dialect::read(Endpoint::Chat, &form.body).unwrap_or_else(|wrong| {
            panic!("{wrong}: {}", String::from_utf8_lossy(&form.body));
        });
        assert_eq!(chat.model, wanted.model);
        assert_eq!(chat.stream, wanted.stream);
        assert!(chat.output_max == wanted.output_max, "{:?} {:?}", chat.output_max, wanted.output_max);
    }
}

/// What is heard of an answer is JSON on one line, and its counts can be.
fn answer(words: fuzzed::Words, bytes: &[u8]) {
    let mut scanner = Scanner::default();
    if scanner.push(bytes).is_err() {
        return;
    }
    scanner.finish();
    let events: VecDeque<_> = std::iter::from_fn(|| scanner.next_event()).collect();
    for chunk in fuzzed::stream(words, events).into_iter().chain(fuzzed::whole(words, bytes)) {
        // Raw, since half a surrogate pair is good JSON, and what an upstream says of text is the client's to read.
        let read = serde_json::from_slice::<&RawValue>(&chunk.json);
        let is_object = read.is_ok_and(|value| value.get().starts_with('{'));
        assert!(is_object, "{}", String::from_utf8_lossy(&chunk.json));
        counts_can_be(&chunk.usage);
    }
}

/// What is read as an answer that was kept is written again, and read as the same.
fn kept_answer(bytes: &[u8]) {
    if let Some((entry, again)) = cache::read_and_read_again(bytes) {
        assert_eq!(again, Some(entry));
    }
}

/// No line of a bill gets lost, none is read that is not there, and one that was cut short is none.
fn a_bill(bytes: &[u8]) {
    let Ok(read) = bill::read(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("what is read is text");
    let filled = text.lines().filter(|line| !line.is_empty()).count();
    let empty = text.lines().count() - filled;
    let rows = match &read {
        Bill::Trade(bill) => bill.rows.len() + bill.set_aside.len(),
        Bill::FundFlow(bill) => bill.rows.len() + bill.set_aside.len(),
    };
    // A header and two lines of totals; an empty line among the rows is set aside.
    assert!((filled - 3..=filled - 3 + empty).contains(&rows), "{rows} rows of {filled} lines");
    if !text.contains('\r') {
        assert_eq!(bill::read(text.replace('\n', "\r\n").as_bytes()).as_ref(), Ok(&read));
    }
    let whole = text.trim_end_matches(['\r', '\n']);
    let cut = whole.rfind('\n').map_or("", |end| whole.split_at(end + 1).0);
    assert_eq!(bill::read(cut.as_bytes()), Err(BillError::MissingTotals));
}

/// What is read of a message and can be written is read again as the same.
fn v2_message(bytes: &[u8]) {
    let Ok(fields) = xml::read(bytes, "xml") else { return };
    if let Ok(written) = xml::write(&fields, "xml")
        && written.len() <= xml::BYTES_MAX
    {
        assert_eq!(xml::read(written.as_bytes(), "xml"), Ok(fields));
    }
}

fn usage(bytes: &[u8]) {
    for seen in fuzzed::usages(bytes) {
        counts_can_be(&seen);
    }
}

fn counts_can_be(seen: &UsageSeen) {
    if let UsageSeen::Counted { usage, raw } = seen {
        assert!(usage.reasoning <= usage.output);
        assert!(usage.total().0 <= 500_000_000, "{usage:?}");
        assert!(serde_json::from_slice::<&RawValue>(raw).is_ok_and(|value| value.get().starts_with('{')));
    }
}
