//! Is bad input refused in words that name the field, before it costs anything?
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tests::world::sent;
use tests::{Answer, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BAD: &str = "invalid_request_error";

/// A body and how it is refused: status, code, the field at fault.
type Row = (&'static str, u16, &'static str, Option<&'static str>);

const ROWS: &[Row] = &[
    ("", 400, "invalid_json", None),
    ("{", 400, "invalid_json", None),
    ("[]", 400, "invalid_json", None),
    ("\u{feff}{}", 400, "invalid_json", None),
    (r#"{"model":"sim-fast","messages":[{"role":"user","content":"\ud83d"}]}"#, 400, "invalid_json", None),
    ("{}", 400, "missing_required_parameter", Some("model")),
    (r#"{"model":null,"messages":[1]}"#, 400, "missing_required_parameter", Some("model")),
    (r#"{"model":"sim-fast"}"#, 400, "missing_required_parameter", Some("messages")),
    (r#"{"model":5,"messages":[1]}"#, 400, "invalid_type", Some("model")),
    (r#"{"model":"sim-fast","messages":"hi"}"#, 400, "invalid_type", Some("messages")),
    (r#"{"model":"sim-fast","messages":[]}"#, 400, "invalid_value", Some("messages")),
    (
        r#"{"model":"sim-fast","model":"sim-luxury","messages":[1]}"#,
        400,
        "duplicate_parameter",
        Some("model"),
    ),
    (r#"{"model":"sim-fast","messages":[1],"stream":"yes"}"#, 400, "invalid_type", Some("stream")),
    (r#"{"model":"sim-fast","messages":[1],"n":0}"#, 400, "invalid_value", Some("n")),
    (r#"{"model":"sim-fast","messages":[1],"n":129}"#, 400, "invalid_value", Some("n")),
    (r#"{"model":"sim-fast","messages":[1],"n":-1}"#, 400, "invalid_value", Some("n")),
    (r#"{"model":"sim-fast","messages":[1],"n":1.5}"#, 400, "invalid_type", Some("n")),
    (r#"{"model":"sim-fast","messages":[1],"max_tokens":0}"#, 400, "invalid_value", Some("max_tokens")),
    (r#"{"model":"sim-fast","messages":[1],"max_tokens":-5}"#, 400, "invalid_value", Some("max_tokens")),
    (r#"{"model":"sim-fast","messages":[1],"max_tokens":"9"}"#, 400, "invalid_type", Some("max_tokens")),
    (
        r#"{"model":"sim-fast","messages":[1],"max_completion_tokens":99999999999999999999}"#,
        400,
        "invalid_value",
        Some("max_completion_tokens"),
    ),
    (r#"{"model":"sim-fsat","messages":[1]}"#, 404, "model_not_found", Some("model")),
];

#[tokio::test]
async fn a_bad_call_is_refused_by_name_and_costs_nothing() {
    let world = World::demo().await;
    let send = async |body: &str| -> Answer {
        let request =
            world.request(Method::POST, "/v1/chat/completions").header(CONTENT_TYPE, "application/json");
        sent(request.body(body.to_owned())).await
    };
    for (body, status, code, param) in ROWS {
        let error = send(body).await.error(*status, BAD, *code);
        assert_eq!(error["param"].as_str(), *param, "{body}: {error}");
    }
    let error = send(r#"{"model":"sim-fsat","messages":[1]}"#).await.json();
    assert!(error["error"]["message"].as_str().is_some_and(|it| it.contains("sim-fast")), "{error}");

    assert_eq!(world.upstream_requests().await, 0, "nobody upstream was bothered");
    world.books_balance().await;
    assert_eq!(world.credits().await["balance"], "0.50");
}

#[tokio::test]
async fn what_the_provider_refuses_is_the_callers_to_mend_and_costs_nothing() {
    let world = World::demo().await;
    let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "hi"}], "tools": 5});
    let answer = world.chat(&body).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["error"]["type"], BAD, "{answer:?}");
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|it| it.contains("tools")), "{answer:?}");
    world.books_balance().await;
    assert_eq!(world.credits().await["balance"], "0.50");
}

#[tokio::test]
async fn a_key_that_is_missing_or_wrong_is_401_everywhere() {
    let world = World::demo().await;
    let body = tests::world::said("sim-fast", "hi");
    let url = format!("{}/v1/chat/completions", world.public_url);
    sent(world.http.post(&url).json(&body)).await.error(401, BAD, "invalid_api_key");
    for key in ["", "sk-tg-demo-wrong", "sk-tg-live-wrong", &world.key[..world.key.len() - 1]] {
        let answer = sent(world.http.post(&url).bearer_auth(key).json(&body)).await;
        let error = answer.error(401, BAD, "invalid_api_key");
        assert!(!error.to_string().contains(&world.key), "{error}");
    }
    for (method, path) in
        [(Method::GET, "/v1/credits"), (Method::POST, "/v1/topups"), (Method::POST, "/v1/refunds")]
    {
        let request =
            world.http.request(method, format!("{}{path}", world.public_url)).bearer_auth("sk-tg-demo-x");
        sent(request.json(&json!({"amount": "1.00"}))).await.error(401, BAD, "invalid_api_key");
    }
    let books = format!("{}/admin/v1/ledger/trial-balance", world.admin_url);
    for token in ["", "wrong", &world.key] {
        assert_eq!(sent(world.http.get(&books).bearer_auth(token)).await.status, 401, "token {token:?}");
    }
    assert_eq!(world.upstream_requests().await, 0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_announced_or_not() {
    let world = World::demo().await;
    let bytes = 26 * 1024 * 1024;
    // Announced: refused before any of it is sent.
    let host = world.public_url.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {bytes}\r\nexpect: 100-continue\r\n\r\n",
        world.key
    );
    socket.write_all(head.as_bytes()).await.expect("a head that is sent");
    let mut answer = vec![0; 4_096];
    let read = socket.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("request_too_large"), "{answer}");

    // Unannounced: refused when it has become too much, and whoever goes on sending still reads the answer.
    let body = json!({"model": "sim-fast", "messages": [{"role": "user", "content": "x".repeat(bytes)}]})
        .to_string();
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        body.into_bytes().chunks(1 << 20).map(|it| Ok(it.to_vec())).collect();
    let request =
        world.request(Method::POST, "/v1/chat/completions").header(CONTENT_TYPE, "application/json");
    let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer = request.body(unannounced).send().await.expect("an answer, not a broken pipe");
    Answer::read(answer).await.expect("a whole answer").error(413, BAD, "request_too_large");
    assert_eq!(world.upstream_requests().await, 0);
    // The connection's end is not the server's: who comes next is answered.
    let url = format!("{}/v1/chat/completions", world.public_url);
    let next =
        reqwest::Client::builder().no_proxy().build().expect("a client").post(url).bearer_auth(&world.key);
    sent(next.json(&tests::world::said("sim-fast", "still there?"))).await.expect(200);
    world.books_balance().await;
}

#[tokio::test]
async fn a_bad_order_or_refund_is_refused_by_name() {
    let world = World::demo().await;
    for (body, param) in [
        (json!({}), "amount"),
        (json!({"amount": 10.5}), "amount"),
        (json!({"amount": "ten"}), "amount"),
        (json!({"amount": "0"}), "amount"),
        (json!({"amount": "-5.00"}), "amount"),
        (json!({"amount": "10.005"}), "amount"),
        (json!({"amount": "99999999.00"}), "amount"),
        (json!({"amount": "10.00", "kind": "gift"}), "kind"),
        (json!({"amount": "10.00", "kind": "tokens"}), "model"),
        (json!({"amount": "10.00", "kind": "tokens", "model": "sim-fsat"}), "model"),
    ] {
        let answer = world.post("/v1/topups", &body).await;
        assert!(matches!(answer.status, 400 | 404), "{body}: {answer:?}");
        let error = &answer.json()["error"];
        assert_eq!((&error["type"], error["param"].as_str()), (&json!(BAD), Some(param)), "{body}: {error}");
    }
    for (body, what) in [
        (json!({"amount": "1.00"}), "nothing was paid, so nothing can be refunded"),
        (json!({"amount": "-1.00"}), "a negative amount"),
        (json!({"order": "ord_00000000000000000000000000"}), "an unknown order"),
    ] {
        let answer = world.post("/v1/refunds", &body).await;
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string(), "{what}: {answer:?}");
    }
    world.get("/v1/topups/ord_00000000000000000000000000").await.expect(404);
    world.get("/v1/refunds/rfb_00000000000000000000000000").await.expect(404);
    assert_eq!(world.sim_get("/orders").await["orders"], json!([]), "WeChat Pay was not bothered");
    assert_eq!(world.credits().await["balance"], "0.50");
}
