//! Recorded WeChat Pay messages, laid against the channel and the bills: every entry of every file, by its name.
//!
//! The keys next to them are made up for these files and good for nothing else.

mod bills;
mod keys;
mod mutations;
mod transitions;
mod v2;
mod v3;
mod v3_bills;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use payments::{
    channel::{NewOrder, NewRefund, Way},
    transport::{Sending, Transport},
};
use serde_json::Value;
use units::{Clock, Fen, Timestamp, Wake};

const MCHID: &str = "1699999901";
const APPID: &str = "wxfeedc0de12345678";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

// ---- which recordings there are ----

/// Every file of recordings with the number of its entries, so that none goes missing unseen.
const FILES: [(&str, usize); 17] = [
    ("amounts.json", 33),
    ("bill_parse.json", 14),
    ("refund_state_transitions.json", 16),
    ("trade_state_transitions.json", 49),
    ("v2_answers.json", 40),
    ("v2_notify.json", 61),
    ("v2_paysign.json", 4),
    ("v2_refund_req_info.json", 16),
    ("v2_sign.json", 14),
    ("v3_answers.json", 50),
    ("v3_certificates.json", 4),
    ("v3_notify_flow.json", 25),
    ("v3_notify_verify.json", 56),
    ("v3_oaep.json", 2),
    ("v3_paysign.json", 6),
    ("v3_request_sign.json", 11),
    ("v3_resource_decrypt.json", 27),
];
#[test]
fn no_recording_is_out_of_sight() {
    let mut found: Vec<_> = std::fs::read_dir(folder("vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    found.sort();
    assert_eq!(found, FILES.map(|(file, _)| file));
    assert_eq!(FILES.iter().map(|(_, count)| count).sum::<usize>(), 428);
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/books").join(name)
}

fn pem(name: &str) -> String {
    std::fs::read_to_string(folder("vectors/keys").join(name)).unwrap()
}

/// The entries of a file.
fn vectors(file: &str) -> Vec<Value> {
    let (_, count) = FILES.into_iter().find(|(listed, _)| *listed == file).unwrap();
    let suite: Value = serde_json::from_slice(&std::fs::read(folder("vectors").join(file)).unwrap()).unwrap();
    let vectors = suite["vectors"].as_array().unwrap().clone();
    let names: BTreeSet<_> = vectors.iter().map(name).collect();
    assert_eq!((vectors.len(), names.len()), (count, count), "{file}: entries, distinct names");
    vectors
}

fn name(vector: &Value) -> &str {
    text(&vector["name"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

fn header_map(headers: &Value) -> HeaderMap {
    headers
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_bytes(text(value).as_bytes()).unwrap())
        })
        .collect()
}

// ---- what the tests stand on ----

/// The order that the recordings are about.
fn order(notify_url: &str) -> NewOrder {
    NewOrder {
        appid: APPID.to_owned(),
        out_trade_no: "T20251009000000000001".to_owned(),
        description: "大模型余额充值 88 元".to_owned(),
        total: Fen::new(8800).unwrap(),
        notify_url: notify_url.to_owned(),
        expires_at: Timestamp::from_secs(1_760_007_200),
        way: Way::Native,
        client_ip: None,
        device_id: None,
    }
}

/// And the refund of a part of it.
fn refund(notify_url: &str) -> NewRefund {
    NewRefund {
        transaction_id: "4200002815202510090000000001".to_owned(),
        out_refund_no: "R20251009000000000001".to_owned(),
        refund: Fen::new(300).unwrap(),
        total: Fen::new(8800).unwrap(),
        reason: Some("user request".to_owned()),
        notify_url: notify_url.to_owned(),
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep_until(&self, _: Timestamp) -> Wake {
        Box::pin(std::future::ready(()))
    }
}

/// A far side that gives one answer and remembers what it was asked.
#[derive(Debug)]
struct FarSide {
    answer: Response<Bytes>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl FarSide {
    fn new(answer: Response<Bytes>) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    fn recorded(vector: &Value) -> Arc<Self> {
        let inputs = &vector["inputs"];
        let mut answer = Response::new(Bytes::from(text(&inputs["body"]).to_owned()));
        *answer.status_mut() = u16::try_from(inputs["status"].as_u64().unwrap()).unwrap().try_into().unwrap();
        *answer.headers_mut() = header_map(&inputs["headers"]);
        Self::new(answer)
    }

    /// The one request that came.
    fn asked(&self) -> Request<Bytes> {
        let mut asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "sent once, without retry");
        asked.pop().unwrap()
    }
}

impl Transport for FarSide {
    fn send(&self, request: Request<Bytes>) -> Sending {
        self.asked.lock().unwrap().push(request);
        let answer = self.answer.clone();
        Box::pin(async move { Ok(answer) })
    }
}
