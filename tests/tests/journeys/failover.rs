//! Does a customer notice when a provider fails?
use serde_json::{Value, json};
use tests::world::said;
use tests::{World, nano};

/// The provider that is asked first for a model.
async fn first_choice(world: &World, model: &str) -> String {
    world.say(model, "who is first?").await.expect(200).header("x-tollgate-provider").to_owned()
}

#[tokio::test]
async fn another_provider_answers_and_the_failed_attempt_is_not_charged() {
    for fault in [
        json!({"fault": "status", "status": 429, "retry_after": 1}),
        json!({"fault": "status", "status": 500}),
        json!({"fault": "status", "status": 401}),
        json!({"fault": "out_of_funds"}),
        json!({"fault": "error_in_200"}),
        json!({"fault": "html"}),
        json!({"fault": "empty"}),
    ] {
        // A fresh world for each: a provider that has failed may be left alone for a while.
        let world = World::demo().await;
        let first = first_choice(&world, "sim-fast").await;
        let before = world.balance().await;
        let mut wanted = fault.clone();
        wanted["scope"] = scope(&first);
        world.fault(wanted).await;

        let answer = world.say("sim-fast", "你好").await.expect(200);
        assert_ne!(answer.header("x-tollgate-provider"), first, "{fault}");
        assert_eq!(answer.header("x-tollgate-attempts"), "2", "{fault}");
        let receipt = world.receipt(answer.header("x-request-id")).await;
        let attempts = receipt["attempts"].as_array().expect("attempts");
        assert_eq!(attempts.len(), 2, "{receipt:#}");
        assert_eq!(
            (&attempts[0]["provider"], &attempts[1]["result"]),
            (&json!(first), &json!("ok")),
            "{receipt:#}"
        );
        assert_ne!(attempts[0]["result"], "ok", "{receipt:#}");
        let cost = nano(answer.header("x-tollgate-cost-cny"));
        assert_eq!(world.balance().await, before - cost, "one answer, one charge: {fault}");
        let failovers = world.metric("tollgate_failovers_total", &[&format!("from=\"{first}\"")]).await;
        assert!(failovers > 0.5, "{fault}");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn a_stream_that_has_not_begun_fails_over_without_a_trace() {
    let world = World::demo().await;
    let first = first_choice(&world, "sim-fast").await;
    world.fault(json!({"scope": scope(&first), "fault": "error_in_200"})).await;
    let streamed = world.stream(&said("sim-fast", "你好")).await;
    assert!(streamed.done() && streamed.error().is_none(), "{}", streamed.text());
    assert_ne!(streamed.header("x-tollgate-provider"), first);
    world.books_balance().await;
}

#[tokio::test]
async fn a_flaky_model_answers_every_time() {
    let world = World::demo().await;
    for turn in 0..8 {
        let answer = world.say("sim-flaky", &format!("turn {turn}")).await;
        assert_eq!(answer.status, 200, "turn {turn}: {answer:?}");
    }
    world.books_balance().await;
}

#[tokio::test]
async fn when_nobody_answers_nothing_is_charged_and_the_error_is_honest() {
    let world = World::demo().await;
    let before = world.balance().await;
    world
        .fault(json!({"scope": "*", "model": "sim-fast", "fault": "status", "status": 500, "times": 0}))
        .await;
    let answer = world.say("sim-fast", "anybody?").await;
    answer.error(502, "server_error", "upstream_unavailable");
    assert_eq!(answer.header("x-should-retry"), "true");
    world.books_balance().await;
    assert_eq!(world.balance().await, before);
}

#[tokio::test]
async fn a_silent_provider_is_left_in_time() {
    // A stream has to begin soon; a whole answer may take as long as all of it takes.
    let patient = "idle_ms_max = 2_000";
    let world = World::serve(|config| {
        config.replace(patient, "idle_ms_max = 2_000\nconnect_ms_max = 2_000\ntotal_ms_max = 3_000")
    })
    .await;
    world.top_up("5.00").await;
    let first = first_choice(&world, "sim-fast").await;
    for stream in [true, false] {
        world.fault(json!({"scope": scope(&first), "fault": "timeout"})).await;
        let body = said("sim-fast", "are you there?");
        let (provider, request) = if stream {
            let streamed = world.stream(&body).await;
            assert!(streamed.done(), "{}", streamed.text());
            (streamed.header("x-tollgate-provider").to_owned(), streamed.header("x-request-id").to_owned())
        } else {
            let answer = world.chat(&body).await.expect(200);
            (answer.header("x-tollgate-provider").to_owned(), answer.header("x-request-id").to_owned())
        };
        assert_ne!(provider, first);
        let receipt = world.receipt(&request).await;
        let attempt = receipt["attempts"]
            .as_array()
            .expect("attempts")
            .iter()
            .find(|it| it["provider"] == first.as_str());
        // Whoever was silent may be left alone for a while, and is then not asked at all.
        assert!(attempt.map_or(!stream, |attempt| attempt["result"] == "timed_out"), "{receipt:#}");
    }

    world.fault(json!({"scope": "*", "model": "sim-fast", "fault": "stall_after", "chunks": 4})).await;
    let streamed = world.stream(&said("sim-fast", "do not stop")).await;
    assert!(!streamed.done());
    assert_eq!(streamed.error().expect("an error event")["code"], "upstream_timeout", "{}", streamed.text());
    world.books_balance().await;
}

/// The far side's name for a provider.
pub(crate) fn scope(provider: &str) -> Value {
    let known = ["openai", "deepseek", "qwen", "mistral"];
    let scope = known.into_iter().find(|scope| provider.contains(scope));
    scope.unwrap_or_else(|| panic!("{provider} is not simulated")).into()
}
