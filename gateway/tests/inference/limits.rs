//! Who is let through how often, and what the others are told.

use std::time::Duration;

use gateway::{chat::KeyLimits, meter::Refusal};
use http_body_util::Full;
use router_config::{Bounds, Limits};
use serde_json::json;
use units::NanoCny;

use crate::{
    upstream::{FINISH, Piece, answer, chunk, stream, whole},
    world::{KEY, Read, Setup, World, body, read},
};

const NONE: Bounds = Bounds { requests_per_minute: None, tokens_per_minute: None, concurrency_max: None };

fn of_accounts(account: Bounds) -> Limits {
    Limits { account, ..Limits::default() }
}

/// A call that its provider answers, with usage of 15 tokens.
async fn served(world: &World, key: &str, text: String) -> Read {
    world.upstream().will(answer(200, whole("hi", r#","usage":{"prompt_tokens":10,"completion_tokens":5}"#)));
    with_key(world, key, text).await
}

async fn with_key(world: &World, key: &str, text: String) -> Read {
    let request =
        world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {key}"));
    world.read(request.body(Full::new(text.into())).unwrap()).await
}

#[tokio::test]
async fn lesson_20_an_account_is_bounded_over_all_its_keys() {
    let account = Bounds { requests_per_minute: Some(2), ..NONE };
    let world = World::with(Setup { limits: of_accounts(account), ..Setup::default() }).await;
    assert_eq!(served(&world, KEY, body("")).await.status, 200);
    let second = served(&world, "sk-new", body("")).await;
    assert_eq!(second.status, 200);
    assert_eq!(
        (second.header("x-ratelimit-limit-requests"), second.header("x-ratelimit-remaining-requests")),
        ("2", "0"),
        "the limit that is nearest to its end is shown"
    );
    let refused = with_key(&world, KEY, body("")).await;
    assert_eq!((refused.status, refused.error("scope")), (429, json!("account")));
    assert!(refused.text.contains("this account, all its keys together"), "{}", refused.text);
    assert!(world.counted(r#"tollgate_rate_limited_total{kind="requests",scope="account"}"#));

    world.clock.forward(Duration::from_secs(61));
    assert_eq!(served(&world, KEY, body("")).await.status, 200, "a minute later");
}

#[tokio::test]
async fn lesson_21_a_refusal_says_whose_limit_it_is_which_one_and_when_all_of_it_is_there_again() {
    let model_bounds = Bounds { tokens_per_minute: Some(10_000), ..NONE };
    let world = World::with(Setup { model_bounds, ..Setup::default() }).await;
    // Nothing demands that a call names its `max_tokens`: what it may write is estimated, and put right at its end.
    for _ in 0..3 {
        assert_eq!(served(&world, KEY, body("")).await.status, 200);
    }
    world
        .upstream()
        .will(answer(200, whole("hi", r#","usage":{"prompt_tokens":6000,"completion_tokens":3100}"#)));
    assert_eq!(world.chat(body(r#","max_tokens":5000"#)).await.status, 200);
    world.clock.forward(Duration::from_secs(10));
    let refused = world.chat(body(r#","max_tokens":1000"#)).await;
    assert_eq!(
        (refused.status, refused.error("type"), refused.error("code")),
        (429, json!("tokens"), json!("rate_limit_exceeded"))
    );
    assert_eq!(
        (refused.error("limit_source"), refused.error("scope"), refused.error("limit_kind")),
        (json!("gateway"), json!("model"), json!("tokens_per_minute"))
    );
    assert_eq!((refused.error("limit"), refused.error("remaining")), (json!(10_000), json!(855)));
    assert_eq!(refused.error("resets_at"), "2027-01-15T08:01:00.500Z");
    assert_eq!(refused.header("retry-after"), "51");
    assert_eq!(refused.header("x-ratelimit-reset-tokens"), "51s");
    assert!(
        refused.text.contains("the model `chatty`, all callers together: 10000 tokens per minute"),
        "{}",
        refused.text
    );
    world.clock.forward(Duration::from_millis(50_500));
    assert_eq!(served(&world, KEY, body(r#","max_tokens":1000"#)).await.status, 200, "as told");
}

#[tokio::test]
async fn lesson_20_calls_at_once_are_bounded_until_their_last_byte() {
    for (scope, setup) in [
        (
            "key",
            Setup {
                key_limits: KeyLimits { concurrency_max: Some(1), ..KeyLimits::default() },
                ..Setup::default()
            },
        ),
        (
            "key",
            Setup { limits: Limits { concurrency_max: Some(1), ..Limits::default() }, ..Setup::default() },
        ),
        (
            "account",
            Setup { limits: of_accounts(Bounds { concurrency_max: Some(1), ..NONE }), ..Setup::default() },
        ),
        ("model", Setup { model_bounds: Bounds { concurrency_max: Some(1), ..NONE }, ..Setup::default() }),
    ] {
        let world = World::with(setup).await;
        world.upstream().will(stream(vec![
            Piece::Bytes(format!("data: {}\n\n", chunk("a")).into()),
            Piece::Gate,
            Piece::Bytes(format!("data: {FINISH}\n\ndata: [DONE]\n\n").into()),
        ]));
        let first = world.send(world.chat_request(body(r#","stream":true"#))).await;
        let refused = world.chat(body("")).await;
        assert_eq!((refused.status, refused.error("scope")), (429, json!(scope)));
        assert_eq!(
            (refused.error("code"), refused.error("limit_kind"), refused.error("limit")),
            (json!("concurrency_limit_exceeded"), json!("concurrent_calls"), json!(1))
        );
        assert_eq!(refused.header("retry-after"), "1");
        world.upstream().gate.add_permits(1);
        read(first).await;
        assert_eq!(served(&world, KEY, body("")).await.status, 200, "{scope}");
    }
}

#[tokio::test]
async fn a_model_at_its_limit_gives_way_to_another_that_the_caller_allows() {
    let model_bounds = Bounds { requests_per_minute: Some(1), ..NONE };
    let key_limits = KeyLimits { requests_per_minute: Some(2), ..KeyLimits::default() };
    let world = World::with(Setup { model_bounds, key_limits, ..Setup::default() }).await;
    let either = body(r#","models":["cheap"]"#);
    assert_eq!(served(&world, KEY, either.clone()).await.header("x-tollgate-model"), "chatty");
    let second = served(&world, KEY, either.clone()).await;
    assert_eq!((second.status, second.header("x-tollgate-model")), (200, "cheap"));
    let third = with_key(&world, KEY, either).await;
    assert_eq!((third.status, third.error("scope")), (429, json!("key")), "each was one request of the key");
}

#[tokio::test]
async fn a_call_that_is_refused_for_its_money_keeps_no_tokens_and_no_place() {
    let key_limits =
        KeyLimits { tokens_per_minute: Some(1_000), concurrency_max: Some(1), ..KeyLimits::default() };
    let world = World::with(Setup { key_limits, ..Setup::default() }).await;
    let yuan = |text: &str| text.parse::<NanoCny>().unwrap();
    let short = Refusal::InsufficientFunds { available: yuan("0.5"), required: yuan("2.25") };
    world.till.books.lock().unwrap().refuse = Some(short);
    for _ in 0..3 {
        assert_eq!(world.chat(body(r#","max_tokens":900"#)).await.status, 402);
    }
    world.till.books.lock().unwrap().refuse = None;
    assert_eq!(served(&world, KEY, body(r#","max_tokens":900"#)).await.status, 200);
}

#[tokio::test]
async fn bodies_that_are_no_calls_are_requests_too_and_end_unread() {
    let key_limits = KeyLimits { requests_per_minute: Some(3), ..KeyLimits::default() };
    let world = World::with(Setup { key_limits, ..Setup::default() }).await;
    assert_eq!(world.chat("{").await.status, 400);
    assert_eq!(world.chat(body("").replace("chatty", "nobody")).await.status, 404);
    assert_eq!(served(&world, KEY, body("")).await.status, 200);
    for _ in 0..2 {
        assert_eq!(world.chat("{").await.error("scope"), json!("key"));
    }
    world.clock.forward(Duration::from_secs(61));
    assert_eq!(world.chat("{").await.status, 400, "who was turned away is not kept out for longer");
}

#[tokio::test]
async fn changed_limits_count_for_the_next_call_and_what_was_used_is_not_forgotten() {
    let limits = |requests| Limits { requests_per_minute: requests, ..Limits::default() };
    let world = World::with(Setup { limits: limits(5), ..Setup::default() }).await;
    for _ in 0..3 {
        assert_eq!(served(&world, KEY, body("")).await.status, 200);
    }
    world.limited_to(limits(2));
    assert_eq!(world.chat(body("")).await.status, 429);
    world.limited_to(limits(4));
    assert_eq!(served(&world, KEY, body("")).await.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(world.chat(body("")).await.status, 429);
}
