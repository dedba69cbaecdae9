//! A far side that speaks API v3 as far as the tests need it: it keeps orders and refunds, signs what it says, writes
//! down what it is asked and when, and does something else where the test says so.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, Response};
use payments::{
    ledger::Order,
    transport::{Sending, Transport, TransportError},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::sync::watch;
use units::{Clock, Timestamp};

use super::{APPID, MCHID, ManualClock};

pub const SERIAL: &str = "3A5CE0FFA11CE0FFA11CE0FFA11CE0FFA11CE001";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Create,
    Query,
    Close,
    Refund,
    QueryRefund,
    Bill,
}

/// What happens instead of the usual.
#[derive(Debug, Clone)]
pub enum Answer {
    /// As usual.
    Usual,
    /// It is done, but the answer is lost.
    DoneThenLost,
    /// It is done, and the answer comes when the test says so.
    DoneThenHeld,
    /// Nothing arrives.
    Lost,
    /// An error of this status and code; nothing is done.
    Error(u16, &'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub op: Op,
    pub number: String,
    pub at: Timestamp,
    pub body: Value,
}

#[derive(Debug, Clone)]
struct FarOrder {
    total: i64,
    state: &'static str,
    transaction: Option<String>,
    /// What it was made with, and how often.
    made: Option<(Value, u32)>,
}

#[derive(Debug, Default)]
struct State {
    orders: BTreeMap<String, FarOrder>,
    refunds: BTreeMap<String, (Value, &'static str)>,
    script: BTreeMap<Op, VecDeque<Answer>>,
    /// What a new refund's state is.
    refund_state: Option<&'static str>,
    /// Bills: `trade` or `flow` and the day.
    bills: BTreeMap<String, String>,
    /// Days whose bills are still being made.
    making: std::collections::BTreeSet<String>,
    /// Orders that turn out paid when they are closed.
    paid_at_close: bool,
}

pub struct FarSide {
    key: KeyPair,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
    asked: watch::Sender<Vec<Asked>>,
    /// Lets the answers go that are held.
    released: watch::Sender<bool>,
}

impl std::fmt::Debug for FarSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FarSide")
    }
}

impl FarSide {
    pub fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/books/vectors/keys/merchant_key.pem");
        let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(&std::fs::read(path).unwrap()).unwrap()
        else {
            panic!("no PKCS#8")
        };
        let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        Arc::new(Self {
            key,
            clock,
            state: Mutex::default(),
            asked: watch::Sender::new(Vec::new()),
            released: watch::Sender::new(false),
        })
    }

    /// The next times `op` is asked, these happen, in turn.
    pub fn next(&self, op: Op, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().script.entry(op).or_default().extend(answers);
    }

    pub fn knows_paid(&self, order: &Order, transaction: &str) {
        self.knows_paid_with(order, transaction, order.amount.get());
    }

    /// Another amount than the order's was paid.
    pub fn knows_paid_with(&self, order: &Order, transaction: &str, total: i64) {
        let known =
            FarOrder { total, state: "SUCCESS", transaction: Some(transaction.to_owned()), made: None };
        self.state.lock().unwrap().orders.insert(order.out_trade_no(), known);
    }

    /// The payer pays, unless the order is closed.
    pub fn pay_if_it_can_be(&self, number: &str) {
        let mut state = self.state.lock().unwrap();
        let order = state.orders.get_mut(number).unwrap();
        if order.state == "NOTPAY" {
            order.state = "SUCCESS";
            order.transaction = Some(format!("T{number}"));
        }
    }

    pub fn was_paid(&self, number: &str) -> bool {
        self.state.lock().unwrap().orders.get(number).is_some_and(|order| order.state == "SUCCESS")
    }

    /// What it was to answer otherwise is off.
    pub fn forget_answers(&self) {
        self.state.lock().unwrap().script.clear();
    }

    /// From now on this order is in this state.
    pub fn says(&self, order: &Order, state: &'static str) {
        let was_paid = matches!(state, "SUCCESS" | "REFUND");
        let transaction = was_paid.then(|| format!("T{}", order.out_trade_no()));
        let known = FarOrder { total: order.amount.get(), state, transaction, made: None };
        self.state.lock().unwrap().orders.insert(order.out_trade_no(), known);
    }

    /// The payer pays an order that was made here.
    pub fn pay(&self, number: &str) {
        let mut state = self.state.lock().unwrap();
        let order = state.orders.get_mut(number).unwrap();
        order.state = "SUCCESS";
        order.transaction = Some(format!("T{number}"));
    }

    /// A refund that somebody made in the console.
    pub fn knows_refund(&self, number: &str, transaction: &str, amount: i64, state: &'static str) {
        let body = json!({"transaction_id": transaction, "amount": {"refund": amount, "total": amount}});
        self.state.lock().unwrap().refunds.insert(number.to_owned(), (body, state));
    }

    /// What lies where a day's bill is fetched; `kind` is `trade` or `flow`.
    pub fn has_bill(&self, kind: &str, day: &str, bill: String) {
        let mut state = self.state.lock().unwrap();
        state.bills.insert(format!("{kind}-{day}"), bill);
        state.making.remove(day);
    }

    pub fn is_making_bills_of(&self, day: &str) {
        self.state.lock().unwrap().making.insert(day.to_owned());
    }

    /// An answer about bills: where they lie, signed, or the file.
    fn bill(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let kind = match request.uri().path() {
            "/v3/bill/tradebill" => "trade",
            "/v3/bill/fundflowbill" => "flow",
            "/v3/billdownload/file" => {
                let bill = self.state.lock().unwrap().bills[query.strip_prefix("token=").unwrap()].clone();
                return Some(Response::new(bill.into()));
            }
            _ => return None,
        };
        let day = query.split('&').find_map(|part| part.strip_prefix("bill_date=")).unwrap();
        let asked =
            Asked { op: Op::Bill, number: format!("{kind}-{day}"), at: self.clock.now(), body: Value::Null };
        self.asked.send_modify(|all| all.push(asked));
        let state = self.state.lock().unwrap();
        let error = |code: &str| self.signed(400, json!({"code": code, "message": "no"}).to_string());
        if state.making.contains(day) {
            return Some(error("STATEMENT_CREATING"));
        }
        let Some(bill) = state.bills.get(&format!("{kind}-{day}")) else {
            return Some(error("NO_STATEMENT_EXIST"));
        };
        let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bill.as_bytes());
        let link = json!({
            "hash_type": "SHA1",
            "hash_value": base16ct::lower::encode_string(sha1.as_ref()),
            "download_url": format!("https://far.invalid/v3/billdownload/file?token={kind}-{day}"),
        });
        Some(self.signed(200, link.to_string()))
    }

    pub fn pay_when_closed(&self) {
        self.state.lock().unwrap().paid_at_close = true;
    }

    /// From now on refunds are answered so; those there are, too.
    pub fn refunds_are(&self, name: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.refund_state = Some(name);
        state.refunds.values_mut().for_each(|(_, state)| *state = name);
    }

    pub fn knows_order(&self, number: &str) -> bool {
        self.state.lock().unwrap().orders.contains_key(number)
    }

    /// A refund that reached it, though no books here say so.
    pub fn has_refund(&self, number: &str, order: &Order, amount: i64, state: &'static str) {
        let transaction = order.transaction_id.clone().unwrap();
        let amount = json!({"refund": amount, "total": order.amount.get(), "currency": "CNY"});
        let body = json!({"transaction_id": transaction, "amount": amount});
        self.state.lock().unwrap().refunds.insert(number.to_owned(), (body, state));
    }

    pub fn refunds_known(&self) -> usize {
        self.state.lock().unwrap().refunds.len()
    }

    /// Lets the answers go that were held so far, and holds none any more.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// What it was asked so far.
    pub fn asked(&self, op: Op) -> Vec<Asked> {
        self.asked.borrow().iter().filter(|asked| asked.op == op).cloned().collect()
    }

    /// Waits until `op` was asked this often.
    pub async fn was_asked(&self, op: Op, times: usize) {
        let enough = |asked: &Vec<Asked>| asked.iter().filter(|asked| asked.op == op).count() >= times;
        self.asked.subscribe().wait_for(enough).await.unwrap();
    }

    /// The answer, and whether it is held.
    fn answer(&self, request: &Request<Bytes>) -> (bool, Result<Response<Bytes>, TransportError>) {
        if let Some(answer) = self.bill(request) {
            return (false, Ok(answer));
        }
        let path = request.uri().path();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let (op, number) = match (request.method(), path) {
            (
                &Method::POST,
                "/v3/pay/transactions/native" | "/v3/pay/transactions/jsapi" | "/v3/pay/transactions/h5",
            ) => (Op::Create, body["out_trade_no"].as_str().unwrap().to_owned()),
            (&Method::POST, "/v3/refund/domestic/refunds") => {
                (Op::Refund, body["out_refund_no"].as_str().unwrap().to_owned())
            }
            (&Method::POST, path) => (Op::Close, last(path.strip_suffix("/close").unwrap())),
            (_, path) if path.contains("refunds") => (Op::QueryRefund, last(path)),
            (_, path) => (Op::Query, last(path)),
        };
        let asked = Asked { op, number: number.clone(), at: self.clock.now(), body: body.clone() };
        let mut state = self.state.lock().unwrap();
        let answer = state.script.get_mut(&op).and_then(VecDeque::pop_front).unwrap_or(Answer::Usual);
        let lost = || TransportError::NoAnswer { reason: "the line broke".to_owned() };
        let held = matches!(answer, Answer::DoneThenHeld);
        let result = match answer {
            Answer::Usual | Answer::DoneThenHeld => Ok(state.act(op, &number, &body)),
            Answer::DoneThenLost => {
                let _ = state.act(op, &number, &body);
                Err(lost())
            }
            Answer::Lost => Err(lost()),
            Answer::Error(status, code) => Ok(Err((status, code))),
        };
        drop(state);
        self.asked.send_modify(|all| all.push(asked));
        let answer = result.map(|result| {
            let (status, text) = match result {
                Ok(Value::Null) => (204, String::new()),
                Ok(value) => (200, value.to_string()),
                Err((status, code)) => (status, json!({"code": code, "message": "no"}).to_string()),
            };
            self.signed(status, text)
        });
        (held, answer)
    }

    fn signed(&self, status: u16, body: String) -> Response<Bytes> {
        let at = self.clock.now().secs();
        let message = format!("{at}\nnonce\n{body}\n");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        Response::builder()
            .status(status)
            .header("Wechatpay-Timestamp", at)
            .header("Wechatpay-Nonce", "nonce")
            .header("Wechatpay-Signature", STANDARD.encode(signature))
            .header("Wechatpay-Serial", SERIAL)
            .body(body.into())
            .unwrap()
    }
}

impl State {
    fn act(&mut self, op: Op, number: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        match op {
            Op::Create => {
                let total = body["amount"]["total"].as_i64().unwrap();
                let fresh = FarOrder { total, state: "NOTPAY", transaction: None, made: None };
                let order = self.orders.entry(number.to_owned()).or_insert(fresh);
                if order.state == "SUCCESS" {
                    return Err((400, "ORDERPAID"));
                }
                let (said, times) = order.made.get_or_insert_with(|| (body.clone(), 0));
                if said != body {
                    return Err((400, "INVALID_REQUEST"));
                }
                *times += 1;
                Ok(match (body.get("payer"), body.pointer("/scene_info/h5_info")) {
                    (Some(_), _) => json!({"prepay_id": format!("wx{number}-{times}")}),
                    (_, Some(_)) => json!({"h5_url": format!("https://wx.invalid/{number}?{times}")}),
                    _ => json!({"code_url": format!("weixin://{number}/{times}")}),
                })
            }
            Op::Query => {
                let order = self.orders.get(number).ok_or((404, "ORDER_NOT_EXIST"))?;
                Ok(json!({
                    "mchid": MCHID, "appid": APPID, "out_trade_no": number, "trade_state": order.state,
                    "transaction_id": order.transaction, "amount": {"total": order.total, "currency": "CNY"},
                }))
            }
            Op::Close => {
                let paid_at_close = self.paid_at_close;
                let order = self.orders.get_mut(number).ok_or((404, "ORDER_NOT_EXIST"))?;
                if paid_at_close {
                    order.state = "SUCCESS";
                    order.transaction = Some(format!("T{number}"));
                }
                if order.state == "SUCCESS" {
                    return Err((400, "ORDERPAID"));
                }
                order.state = "CLOSED";
                Ok(Value::Null)
            }
            Op::Refund => {
                let fresh = self.refund_state.unwrap_or("PROCESSING");
                let known = self.refunds.entry(number.to_owned()).or_insert_with(|| (body.clone(), fresh));
                assert_eq!(known.0, *body, "one number is sent with one content for ever");
                Ok(refund(number, known))
            }
            Op::Bill => unreachable!("answered elsewhere"),
            Op::QueryRefund => {
                let known = self.refunds.get(number).ok_or((404, "RESOURCE_NOT_EXISTS"))?;
                Ok(refund(number, known))
            }
        }
    }
}

fn refund(number: &str, (body, state): &(Value, &'static str)) -> Value {
    json!({
        "out_refund_no": number, "refund_id": format!("R{number}"), "transaction_id": body["transaction_id"],
        "out_trade_no": body["transaction_id"].as_str().unwrap()[1..], "status": state,
        "amount": {"refund": body["amount"]["refund"], "total": body["amount"]["total"]},
    })
}

impl Transport for FarSide {
    fn send(&self, request: Request<Bytes>) -> Sending {
        let (held, answer) = self.answer(&request);
        let mut released = self.released.subscribe();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if held {
                let _ = released.wait_for(|released| *released).await;
            }
            answer
        })
    }
}
