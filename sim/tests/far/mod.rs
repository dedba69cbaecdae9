//! A simulator on a port of its own, a merchant who signs by code of his own, and a place to receive notifications.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sim::wechat::Credentials;
use sim::{ManualOffsetClock, Sim, SimClock, SimSettings};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

pub const KEY: &str = "sk-sim-0123456789";
/// Nothing here takes longer; what does, fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Far {
    pub sim: Sim,
    pub base: String,
    pub http: Client,
    pub merchant: Credentials,
    pub clock: Arc<ManualOffsetClock>,
}

impl Far {
    pub async fn open() -> Self {
        Self::paced(0, 0).await
    }

    pub async fn paced(first_token_ms: u64, gap_ms: u64) -> Self {
        let merchant = Credentials::generate();
        let clock = ManualOffsetClock::new();
        let settings = SimSettings {
            wechat: merchant.clone(),
            clock: clock.clone(),
            seed: 7,
            provider_key: KEY.into(),
            first_token_ms,
            gap_ms,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sim = sim::start(listener, settings).await.unwrap();
        let base = format!("http://{}", sim.addr());
        let policy = reqwest::redirect::Policy::none();
        let http = Client::builder().no_proxy().redirect(policy).timeout(PATIENCE).build().unwrap();
        Self { sim, base, http, merchant, clock }
    }

    // Controls.

    pub async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
    pub async fn fault(&self, fault: Value) {
        let (status, body) = self.post("/_sim/v1/faults", fault).await;
        assert_eq!(status, 200, "{body}");
    }
    pub async fn advance(&self, seconds: i64) {
        assert_eq!(self.post("/_sim/v1/clock", json!({"advance_ms": seconds * 1000})).await.0, 200);
    }
    pub async fn pay(&self, number: &str) -> String {
        let (status, body) = self.post(&format!("/_sim/v1/orders/{number}/pay"), json!({})).await;
        assert_eq!(status, 200, "{body}");
        body["transaction_id"].as_str().unwrap().into()
    }
    /// The phone page after scanning this code.
    pub async fn phone(&self, code: &Value) -> String {
        let address = format!("{}/phone", self.base);
        let url = reqwest::Url::parse_with_params(&address, [("code", code.as_str().unwrap())]).unwrap();
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }
    /// Asks again until `there` is content, within bounds.
    pub async fn until(&self, path: &str, there: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let found = self.get(path).await;
                if there(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the condition comes true")
    }

    // Models.

    pub async fn chat(&self, base: &str, body: Value) -> Response {
        let url = format!("{}{base}/chat/completions", self.base);
        self.http.post(url).bearer_auth(KEY).json(&body).send().await.unwrap()
    }
    pub async fn answer(&self, base: &str, body: Value) -> (u16, Value) {
        let response = self.chat(base, body).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
    /// All pieces of a stream as they arrived, and how it ended.
    pub async fn pieces(&self, base: &str, body: Value) -> (Vec<Bytes>, Result<(), reqwest::Error>) {
        let mut response = self.chat(base, body).await;
        assert_eq!(response.status(), 200);
        let mut pieces = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => return (pieces, Ok(())),
                Err(error) => return (pieces, Err(error)),
            }
        }
    }
    pub async fn stream(&self, base: &str, body: Value) -> Streamed {
        let (pieces, ended) = self.pieces(base, body).await;
        ended.unwrap();
        Streamed::read(&String::from_utf8(pieces.concat()).unwrap())
    }

    /// Any endpoint, with the key wherever one may be looked for.
    pub async fn at(&self, path: &str, body: &Value) -> Response {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(KEY);
        let request = request.header("x-api-key", KEY).header("api-key", KEY);
        request.header("anthropic-version", "2023-06-01").json(body).send().await.unwrap()
    }
    pub async fn json_at(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.at(path, body).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
    /// A stream whose events have names, in order.
    pub async fn events_at(&self, path: &str, body: &Value) -> Vec<(String, Value)> {
        let text = self.at(path, body).await.text().await.unwrap();
        let mut events = Vec::new();
        for event in text.split("\n\n").filter(|event| !event.is_empty()) {
            let (name, data) = event.split_once('\n').unwrap();
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            events.push((name.strip_prefix("event: ").unwrap().to_owned(), data));
        }
        events
    }

    // WeChat Pay.

    /// Signs and sends; `spoil` may change the headers before they leave.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        spoil: impl FnOnce(&mut Vec<(&'static str, String)>),
    ) -> Response {
        let path = format!("/wechat{path}");
        let timestamp = self.clock.now_micros() / 1_000_000;
        let nonce = "593BEC0C930BF1AFEB40B4A08C8FB242";
        let signature = self.signature(&format!("{method}\n{path}\n{timestamp}\n{nonce}\n{body}\n"));
        let authorization = format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",\
             serial_no=\"{}\",signature=\"{}\"",
            self.merchant.mchid, self.merchant.merchant_serial, signature,
        );
        let mut headers = vec![
            ("authorization", authorization),
            ("accept", "application/json".into()),
            ("user-agent", "test/1".into()),
            ("wechatpay-serial", self.merchant.platform_key_id.clone()),
        ];
        if method == "POST" {
            headers.push(("content-type", "application/json".into()));
        }
        spoil(&mut headers);
        let mut request =
            self.http.request(method.parse().unwrap(), format!("{}{path}", self.base)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }
    /// By the merchant's own key.
    pub fn signature(&self, message: &str) -> String {
        let key = KeyPair::from_pkcs8(&der(&self.merchant.merchant_private_key_pem)).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        STANDARD.encode(signature)
    }
    /// A call whose answer, if it went well, is signed by the platform.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.call_with(method, path, &body, |_| {}).await;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await.unwrap();
        assert!(headers.contains_key("request-id"));
        if status < 300 {
            assert!(self.genuine(&headers, &bytes), "the signature of {method} {path}");
        } else {
            assert!(!headers.contains_key("wechatpay-signature"));
        }
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
    pub fn order(&self, number: &str, notify_url: &str) -> Value {
        json!({
            "appid": self.merchant.appid, "mchid": self.merchant.mchid, "description": "余额充值 <b>88</b> 元",
            "out_trade_no": number, "attach": "u:42", "notify_url": notify_url,
            "amount": {"total": 8800, "currency": "CNY"},
        })
    }
    pub async fn create(&self, order: &Value) -> (u16, Value) {
        self.call("POST", "/v3/pay/transactions/native", order).await
    }
    pub async fn query(&self, number: &str) -> (u16, Value) {
        let mchid = &self.merchant.mchid;
        self.call("GET", &format!("/v3/pay/transactions/out-trade-no/{number}?mchid={mchid}"), &Value::Null)
            .await
    }
    pub async fn refund(&self, refund: &Value) -> (u16, Value) {
        self.call("POST", "/v3/refund/domestic/refunds", refund).await
    }
    /// Whether the platform signed this with the key that it names, out of those that are known.
    pub fn genuine_by(&self, headers: &HeaderMap, body: &[u8], keys: &[(String, Vec<u8>)]) -> bool {
        let serial = headers.get("wechatpay-serial").unwrap().to_str().unwrap();
        let known = keys.iter().find(|(known, _)| known == serial);
        known.is_some_and(|(_, spki)| Self::signed(headers, body, spki))
    }
    /// Whether the platform signed this with its public key's other half.
    pub fn genuine(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        headers.get("wechatpay-serial").is_some_and(|it| *it == self.merchant.platform_key_id)
            && Self::signed(headers, body, &der(&self.merchant.platform_public_key_pem))
    }
    fn signed(headers: &HeaderMap, body: &[u8], spki: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut message =
            format!("{}\n{}\n", header("wechatpay-timestamp"), header("wechatpay-nonce")).into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        let Ok(signature) = STANDARD.decode(header("wechatpay-signature")) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki);
        header("wechatpay-signature-type") == "WECHATPAY2-SHA256-RSA2048"
            && key.verify(&message, &signature).is_ok()
    }
    /// The age of a message, seconds.
    pub fn age(&self, headers: &HeaderMap) -> i64 {
        let stamp: i64 = headers["wechatpay-timestamp"].to_str().unwrap().parse().unwrap();
        self.clock.now_micros() / 1_000_000 - stamp
    }
    /// What is inside a notification.
    pub fn open_resource(&self, notification: &Value) -> Value {
        serde_json::from_slice(&self.unsealed(&notification["resource"])).unwrap()
    }
    /// What the platform has encrypted for this merchant.
    pub fn unsealed(&self, resource: &Value) -> Vec<u8> {
        assert_eq!(resource["algorithm"], "AEAD_AES_256_GCM");
        let mut sealed = STANDARD.decode(resource["ciphertext"].as_str().unwrap()).unwrap();
        let key = UnboundKey::new(&AES_256_GCM, self.merchant.api_v3_key.as_bytes()).unwrap();
        let nonce = Nonce::try_assume_unique_for_key(resource["nonce"].as_str().unwrap().as_bytes()).unwrap();
        let aad = Aad::from(resource["associated_data"].as_str().unwrap().as_bytes());
        let plain = LessSafeKey::new(key).open_in_place(nonce, aad, &mut sealed).unwrap();
        plain.to_vec()
    }
}

/// What a PEM text holds.
pub fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

/// A stream, read the way a client would.
pub struct Streamed {
    pub chunks: Vec<Value>,
    pub done: bool,
    pub text: String,
}

impl Streamed {
    pub fn read(text: &str) -> Self {
        let mut streamed = Self { chunks: Vec::new(), done: false, text: text.into() };
        for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            match line {
                "[DONE]" => streamed.done = true,
                json => streamed.chunks.push(serde_json::from_str(json).unwrap()),
            }
        }
        streamed
    }
    fn joined(&self, member: &str) -> String {
        let deltas = self.chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
        deltas.filter_map(|delta| delta[member].as_str()).collect()
    }
    pub fn content(&self) -> String {
        self.joined("content")
    }
    pub fn reasoning(&self) -> String {
        self.joined("reasoning_content")
    }
    pub fn arguments(&self) -> String {
        let calls = self.chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
        calls.filter_map(|call| call["function"]["arguments"].as_str()).collect()
    }
    pub fn finish(&self) -> String {
        self.chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect()
    }
    pub fn usages(&self) -> Vec<&Value> {
        self.chunks.iter().map(|chunk| &chunk["usage"]).filter(|usage| !usage.is_null()).collect()
    }
}

/// Where notifications arrive.
pub struct Inbox {
    pub url: String,
    answers: Answers,
    received: mpsc::Receiver<(HeaderMap, Bytes)>,
}

type Answers = Arc<Mutex<VecDeque<(u16, &'static str)>>>;
type Letterbox = (Answers, mpsc::Sender<(HeaderMap, Bytes)>);

/// How a merchant of v2 says that it took a notification.
pub const TAKEN: &str =
    "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";

impl Inbox {
    /// Answers the first notifications as told, all others with 204.
    pub async fn open(answers: &[u16]) -> Self {
        Self::saying(answers.iter().map(|status| (*status, "")).collect(), (204, "")).await
    }
    /// Answers as a merchant of v2 does.
    pub async fn of_v2() -> Self {
        Self::saying(VecDeque::new(), (200, TAKEN)).await
    }
    async fn saying(answers: VecDeque<(u16, &'static str)>, usual: (u16, &'static str)) -> Self {
        let answers = Arc::new(Mutex::new(answers));
        let (sender, received) = mpsc::channel(100);
        let app = Router::new()
            .route("/notify", post(move |state, headers, body| take(state, headers, body, usual)))
            .with_state((Arc::clone(&answers), sender) as Letterbox);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        Self { url, answers, received }
    }
    pub fn will_answer(&self, status: u16) {
        self.will_say(status, "");
    }
    pub fn will_say(&self, status: u16, body: &'static str) {
        self.answers.lock().unwrap().push_back((status, body));
    }
    pub async fn next(&mut self) -> (HeaderMap, Bytes) {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("a notification comes").unwrap()
    }
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }
}

async fn take(
    State((answers, sender)): State<Letterbox>,
    headers: HeaderMap,
    body: Bytes,
    usual: (u16, &'static str),
) -> (StatusCode, &'static str) {
    let (status, said) = answers.lock().unwrap().pop_front().unwrap_or(usual);
    sender.send((headers, body)).await.unwrap();
    (StatusCode::from_u16(status).unwrap(), said)
}
