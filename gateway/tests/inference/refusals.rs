//! What a customer is told when nothing is served.

use gateway::{chat::KeyLimits, meter::Refusal};
use http_body_util::Full;
use router_config::Limits;
use serde_json::json;
use units::NanoCny;

use crate::{
    upstream::{answer, whole},
    world::{KEY, Setup, World, body},
};

#[tokio::test]
async fn a_key_is_asked_for_helpfully() {
    let world = World::open().await;
    let with = |name: &'static str, value: &str| {
        let request = world.request("POST", "/v1/chat/completions").header(name, value);
        world.read(request.body(Full::new(body("").into())).unwrap())
    };
    let cases = [
        ("x-nothing", "", "No API key was given"),
        ("authorization", "Bearer", "holds no API key"),
        ("authorization", "Basic dXNlcg==", "holds no API key"),
        ("authorization", "Bearer  sk-test", "white space"),
        ("authorization", "Bearer sk-test\tx", "white space"),
        ("authorization", "Bearer sk-revoked", "revoked"),
        ("authorization", "Bearer sk-nobody", "Incorrect API key"),
    ];
    for (name, value, hint) in cases {
        let read = with(name, value).await;
        assert_eq!((read.status, read.error("type")), (401, json!("invalid_request_error")), "{value}");
        assert_eq!(read.error("code"), "invalid_api_key");
        assert!(read.text.contains(hint), "{value:?}: {}", read.text);
        assert!(read.header("x-request-id").starts_with("req_"));
        assert_eq!(read.json()["request_id"], read.header("x-request-id"));
    }
    for (name, value) in
        [("authorization", "bearer sk-test"), ("api-key", KEY), ("x-api-key", KEY), ("api-key", "sk-new")]
    {
        world.upstream().will(answer(200, whole("hi", "")));
        assert_eq!(with(name, value).await.status, 200, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_call_is_explained() {
    let world = World::open().await;
    let cases = [
        ("".to_owned(), 400, "invalid_json", json!(null)),
        ("{\"model\":".to_owned(), 400, "invalid_json", json!(null)),
        (r#"{"messages":[1]}"#.to_owned(), 400, "missing_required_parameter", json!("model")),
        (r#"{"model":"chatty"}"#.to_owned(), 400, "missing_required_parameter", json!("messages")),
        (r#"{"model":"chatty","messages":[]}"#.to_owned(), 400, "invalid_value", json!("messages")),
        (body(r#","stream":1"#), 400, "invalid_type", json!("stream")),
        (body(r#","n":0"#), 400, "invalid_value", json!("n")),
        (body(r#","max_tokens":1,"max_tokens":2"#), 400, "duplicate_parameter", json!("max_tokens")),
        (body(r#","user":"\ud83d""#), 400, "invalid_json", json!(null)),
        (body(&format!(r#","x":{}{}"#, "[".repeat(200), "]".repeat(200))), 400, "invalid_json", json!(null)),
        (body(&format!(r#","x":"{}""#, "a".repeat(100_000))), 413, "request_too_large", json!(null)),
        (body("").replace("chatty", "chattty"), 404, "model_not_found", json!("model")),
        (body("").replace("chatty", "unpriced/x"), 503, "price_unavailable", json!(null)),
    ];
    for (text, status, code, param) in cases {
        let read = world.chat(text.clone()).await;
        let short: String = text.chars().take(120).collect();
        assert_eq!(
            (read.status, read.error("code"), read.error("param")),
            (status, json!(code), param),
            "{short}"
        );
    }
    assert!(world.chat(body("").replace("chatty", "chattty")).await.text.contains("Did you mean `chatty`?"));
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    assert_eq!(world.upstream().calls(), 0);
    assert!(world.counted(r#"tollgate_requests_total{model="other",outcome="client_error",route="chat"}"#));
}

#[tokio::test]
async fn a_key_that_is_too_fast_is_told_when_to_come_back() {
    let key_limits = KeyLimits { requests_per_minute: Some(2), ..KeyLimits::default() };
    let world = World::with(Setup { key_limits, ..Setup::default() }).await;
    for left in ["1", "0"] {
        world.upstream().will(answer(200, whole("hi", "")));
        assert_eq!(world.chat(body("")).await.header("x-ratelimit-remaining-requests"), left);
    }
    let read = world.chat(body("")).await;
    assert_eq!(
        (read.status, read.error("type"), read.error("code")),
        (429, json!("requests"), json!("rate_limit_exceeded"))
    );
    assert_eq!((read.error("scope"), read.header("x-ratelimit-limit-requests")), (json!("key"), "2"));
    let after: u64 = read.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&after));

    let key_limits = KeyLimits { tokens_per_minute: Some(1_000), ..KeyLimits::default() };
    let world = World::with(Setup { key_limits, ..Setup::default() }).await;
    let usage = r#","usage":{"prompt_tokens":10,"completion_tokens":5}"#;
    world.upstream().will(answer(200, whole("hi", usage))).will(answer(200, whole("hi", usage)));
    // The first takes what it might use and gives back what it did not, so the second passes too.
    for _ in 0..2 {
        assert_eq!(world.chat(body(r#","max_tokens":900"#)).await.status, 200);
    }
    let read = world.chat(body(r#","max_tokens":5000"#)).await;
    assert_eq!((read.status, read.error("type")), (429, json!("tokens")));
    assert_eq!(read.header("x-ratelimit-limit-tokens"), "1000");
    assert!(world.counted(r#"tollgate_rate_limited_total{kind="tokens",scope="key"}"#));
}

#[tokio::test]
async fn no_money_no_call() {
    let world = World::open().await;
    let refuse = |refusal| world.till.books.lock().unwrap().refuse = Some(refusal);
    let yuan = |text: &str| text.parse::<NanoCny>().unwrap();
    refuse(Refusal::InsufficientFunds { available: yuan("0.5"), required: yuan("2.25") });
    let read = world.chat(body("")).await;
    assert_eq!(
        (read.status, read.error("type"), read.error("code")),
        (402, json!("insufficient_quota"), json!("insufficient_quota"))
    );
    assert_eq!(
        (read.error("available"), read.error("required"), read.error("shortfall")),
        (json!("0.50"), json!("2.25"), json!("1.75"))
    );
    assert_eq!(read.error("topup_url"), "https://tollgate.example/topup");
    assert_eq!(read.error("limit_source"), "account_balance");
    assert_eq!(read.header("x-should-retry"), "false");
    assert!(world.counted(r#"tollgate_insufficient_funds_total{limit_source="account_balance"}"#));

    refuse(Refusal::TooMuchInFlight { held: yuan("3") });
    let read = world.chat(body("")).await;
    assert_eq!((read.status, read.header("retry-after")), (429, "1"));
    refuse(Refusal::Unavailable("disk".into()));
    assert_eq!(world.chat(body("")).await.status, 503);
    refuse(Refusal::Busy);
    assert_eq!(world.chat(body("")).await.status, 503);
    refuse(Refusal::AccountInactive);
    assert_eq!(world.chat(body("")).await.status, 403);
    assert_eq!(world.upstream().calls(), 0);
}

#[tokio::test]
async fn a_full_house_turns_people_away() {
    let limits = Limits { calls_in_flight_max: 1, ..Limits::default() };
    let world = World::with(Setup { limits, ..Setup::default() }).await;
    use crate::upstream::{FINISH, Piece, chunk, stream};
    world.upstream().will(stream(vec![
        Piece::Bytes(format!("data: {}\n\n", chunk("a")).into()),
        Piece::Gate,
        Piece::Bytes(format!("data: {FINISH}\n\n").into()),
    ]));
    let first = world.send(world.chat_request(body(r#","stream":true"#))).await;
    let turned_away = world.chat(body("")).await;
    assert_eq!(
        (turned_away.status, turned_away.header("retry-after")),
        (503, "1"),
        "its headers are out, its body is not"
    );
    world.upstream().gate.add_permits(1);
    crate::world::read(first).await;
    world.upstream().will(answer(200, whole("hi", "")));
    assert_eq!(world.chat(body("")).await.status, 200);
}
