//! What does somebody see whose money does not reach, and what must they do?
use serde_json::json;
use tests::till::text;
use tests::world::said;
use tests::{World, nano};

#[tokio::test]
async fn a_call_that_the_balance_cannot_cover_is_402_until_it_can() {
    let world = World::demo().await;
    let refused = world.say("sim-luxury", "你好").await;
    let error = refused.error(402, "insufficient_quota", "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), "false", "an SDK must not try again by itself");
    let of = |member: &str| nano(text(&error, member));
    assert_eq!(of("available"), nano("0.50"), "{error:#}");
    assert!(of("required") > of("available"), "{error:#}");
    assert_eq!(of("shortfall"), of("required") - of("available"), "{error:#}");
    assert!(text(&error, "topup_url").starts_with("http"), "{error:#}");
    assert_eq!(world.upstream_requests().await, 0, "nobody upstream was bothered");
    let counted =
        world.metric("tollgate_insufficient_funds_total", &["limit_source=\"account_balance\""]).await;
    assert!(counted > 0.5);

    let streamed = world.stream(&said("sim-luxury", "你好")).await;
    assert_eq!(streamed.status, 402, "a stream is refused before it begins");
    world.books_balance().await;

    world.top_up("10.00").await;
    let answer = world.stream(&said("sim-luxury", "你好")).await;
    assert!(answer.done(), "{}", answer.text());
    let cost = nano(&answer.cost().expect("a cost"));
    world.books_balance().await;
    assert_eq!(world.balance().await, nano("10.50") - cost);
}

#[tokio::test]
async fn many_calls_at_once_never_spend_more_than_there_is() {
    let world = World::demo().await;
    // One call costs little, but each sets aside what its max_tokens could cost: not all of these fit into 0.50 yuan.
    let mut body = said("sim-smart", "all at once");
    body["max_tokens"] = json!(4_000);
    let answers = futures_util::future::join_all((0..40).map(|_| world.chat(&body))).await;
    let mut spent = 0;
    for answer in &answers {
        match answer.status {
            200 => spent += nano(answer.header("x-tollgate-cost-cny")),
            402 => {
                answer.error(402, "insufficient_quota", "insufficient_quota");
            }
            429 => {
                answer.error(429, "requests", "too_much_in_flight");
                assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    world.books_balance().await;
    assert_eq!(world.balance().await, nano("0.50") - spent, "what was charged is what was shown");
}
