//! What is charged when a provider's figures cannot be believed?
use serde_json::{Value, json};
use tests::till::text;
use tests::world::said;
use tests::{World, nano};

#[tokio::test]
async fn hostile_usage_is_replaced_by_an_estimate_and_says_so() {
    let world = World::demo().await;
    let honest = nano(world.say("sim-fast", "你好").await.expect(200).header("x-tollgate-cost-cny"));
    for usage in [
        json!({"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12}),
        json!({"prompt_tokens": 9_223_372_036_854_775_807_u64, "completion_tokens": 1, "total_tokens": 2}),
        json!({"prompt_tokens": 1_000_000_000_u64, "completion_tokens": 1_000_000_000_u64, "total_tokens": 2_000_000_000_u64}),
        json!({"prompt_tokens": 1.5, "completion_tokens": "many"}),
        json!({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 900}}),
        json!("none of your business"),
        json!([]),
    ] {
        for stream in [false, true] {
            charged_by_estimate(&world, &usage, stream, honest).await;
        }
    }
    let refused = world.metric("tollgate_usage_refused_total", &[]).await;
    assert!(refused >= 10.0, "an operator sees it: {refused}");
}

async fn charged_by_estimate(world: &World, usage: &Value, stream: bool, honest: i64) {
    world.fault(json!({"scope": "*", "model": "sim-fast", "fault": "usage", "usage": usage})).await;
    let before = world.balance().await;
    let body = said("sim-fast", "你好");
    let (request, cost) = if stream {
        let streamed = world.stream(&body).await;
        assert!(streamed.done(), "{usage}: {}", streamed.text());
        (streamed.header("x-request-id").to_owned(), streamed.cost().expect("a cost"))
    } else {
        let answer = world.chat(&body).await.expect(200);
        (answer.header("x-request-id").to_owned(), answer.header("x-tollgate-cost-cny").to_owned())
    };
    let receipt = world.receipt(&request).await;
    assert_eq!(receipt["estimated"], true, "{usage}: {receipt:#}");
    assert_eq!(text(&receipt, "cost_cny"), cost, "{usage}: {receipt:#}");
    let cost = nano(&cost);
    assert!(0 < cost && cost < honest * 20, "{usage}: {cost} beside {honest}");
    assert_eq!(before - world.balance().await, cost, "{usage}");
    world.books_balance().await;
    world.no_faults().await;
}

#[tokio::test]
async fn usage_that_nobody_gave_is_estimated_and_says_so() {
    let world = World::demo().await;
    let zeros = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    for fault in [json!({"fault": "no_usage"}), json!({"fault": "usage", "usage": zeros})] {
        let mut wanted = fault.clone();
        wanted["scope"] = json!("*");
        world.fault(wanted).await;
        let answer = world.say("sim-fast", "for some").await.expect(200);
        let receipt = world.receipt(answer.header("x-request-id")).await;
        assert_eq!(receipt["estimated"], true, "{fault}, beside an answer with text: {receipt:#}");
        assert!(nano(text(&receipt, "cost_cny")) > 0, "{fault}: {receipt:#}");
    }
    let missing = world.metric("tollgate_usage_missing_total", &[]).await;
    assert!(missing > 0.5, "an operator sees it: {missing}");
    world.books_balance().await;
}
