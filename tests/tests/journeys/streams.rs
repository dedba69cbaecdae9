//! Does a stream say the same as a whole answer, and what does it cost when it ends before its end?
use serde_json::json;
use tests::till::text;
use tests::world::said;
use tests::{Streamed, World, nano};

#[tokio::test]
async fn chinese_survives_being_cut_in_the_middle_of_a_character() {
    let world = World::demo().await;
    for model in ["sim-fast", "sim-smart"] {
        let body = said(model, "用中文说说流式传输 🐼，以及 how it is cut");
        let whole = world.chat(&body).await.expect(200).json();
        let streamed = world.stream(&body).await;
        assert_eq!((streamed.status, streamed.broke.as_deref()), (200, None));
        assert_eq!(streamed.header("content-type"), "text/event-stream; charset=utf-8");
        assert!(streamed.done(), "{}", streamed.text());
        assert_eq!(streamed.content(), text(&whole["choices"][0]["message"], "content"));
        assert!(!streamed.content().contains('\u{fffd}'));
        assert!(streamed.pieces.len() > 3, "it came piece by piece: {:?}", streamed.pieces);
        // Bare JSON lines under `data:`, and nothing else that a strict reader would stumble over.
        for line in streamed.text().lines() {
            assert!(line.is_empty() || line.starts_with("data: ") || line.starts_with(": "), "{line}");
        }
    }
    world.books_balance().await;
}

#[tokio::test]
async fn usage_is_shown_when_asked_for_and_the_cost_always() {
    let world = World::demo().await;
    let mut body = said("sim-fast", "count this");
    let silent = world.stream(&body).await;
    assert_eq!(silent.usage(), None, "{}", silent.text());
    assert!(silent.events().iter().all(|event| event["choices"].as_array().is_some_and(|it| !it.is_empty())));

    body["stream_options"] = json!({"include_usage": true});
    let told = world.stream(&body).await;
    let usage = told.usage().expect("a usage chunk");
    let last = told.events().pop().expect("events");
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &usage), "usage comes last, on its own");
    assert_eq!(usage["cost_currency"], "CNY");

    for streamed in [&silent, &told] {
        let cost = streamed.cost().expect("a cost");
        let receipt = world.receipt(streamed.header("x-request-id")).await;
        assert_eq!(receipt["cost_cny"], cost.as_str(), "{receipt:#}");
    }
    assert_eq!(usage["cost"], told.cost().expect("a cost").as_str());
    assert_eq!(silent.cost(), told.cost(), "asking for usage costs nothing");
    world.books_balance().await;
}

#[tokio::test]
async fn fields_we_do_not_know_reach_the_provider_as_they_were_sent() {
    let world = World::demo().await;
    let mut body = said("sim-fast", "pass it on");
    body["seed"] = json!(9_007_199_254_740_993_u64);
    body["temperature"] = json!(0.7);
    body["x_custom"] = json!({"深": ["a", null, 1.50], "z": true});
    body["metadata"] = json!({"order": "17"});
    let answer = world.chat(&body).await.expect(200);

    let provider = answer.header("x-tollgate-provider");
    let seen = world.sim_get("/requests").await;
    let requests = seen["requests"].as_array().cloned().unwrap_or_default();
    let request = requests.iter().find(|request| request["body"]["x_custom"].is_object());
    let request = request.unwrap_or_else(|| panic!("{provider} has not seen the field: {seen:#}"));
    for member in ["seed", "temperature", "x_custom", "metadata", "messages"] {
        assert_eq!(request["body"][member], body[member], "{member}");
    }
    let sent = request["headers"].to_string();
    assert!(!sent.contains(&world.key), "a customer's key stays with us: {sent}");
}

#[tokio::test]
async fn who_hangs_up_pays_for_what_was_produced_and_nothing_stays_set_aside() {
    let world = World::demo().await;
    let body = said("sim-slow", "a long story");
    let response = world.stream_begun(&body).await.expect("an answer");
    let mut streamed = Streamed::begin(&response);
    streamed.take(response, 4).await; // and the response is dropped: the client is gone
    assert!(!streamed.done());

    let receipt = world.receipt(streamed.header("x-request-id")).await;
    assert_eq!(receipt["ending"], "hung_up", "{receipt:#}");
    let cost = nano(text(&receipt, "cost_cny"));
    assert!(cost > 0, "{receipt:#}");
    world.books_balance().await;
    assert_eq!(world.balance().await, nano("0.50") - cost);
}

#[tokio::test]
async fn a_cut_answer_ends_in_an_error_and_never_looks_whole() {
    let world = World::demo().await;
    for fault in ["cut_after", "bad_json"] {
        let mut wanted = json!({"scope": "*", "model": "sim-fast", "fault": fault});
        if fault == "cut_after" {
            wanted["chunks"] = json!(6);
        }
        world.fault(wanted).await;
        let before = world.balance().await;
        let streamed = world.stream(&said("sim-fast", "will be cut")).await;
        assert_eq!(streamed.status, 200);
        assert!(!streamed.done(), "{fault}: {}", streamed.text());
        let error = streamed.error().unwrap_or_else(|| panic!("{fault}: {}", streamed.text()));
        assert_eq!(error["code"], "upstream_interrupted");
        assert!(!streamed.content().is_empty(), "{fault}");

        let receipt = world.receipt(streamed.header("x-request-id")).await;
        assert_eq!(
            (&receipt["ending"], &receipt["estimated"]),
            (&json!("broke_off"), &json!(true)),
            "{receipt:#}"
        );
        world.books_balance().await;
        let cost = streamed.cost().expect("a cost");
        assert_eq!(
            (receipt["cost_cny"].as_str(), before - world.balance().await),
            (Some(&*cost), nano(&cost))
        );
    }
}

#[tokio::test]
async fn lesson_24_an_answer_cut_in_the_middle_is_finished_by_another_and_paid_once() {
    let world = World::demo().await;
    let mut body = said("sim-slow", "a long story");
    body["stream_options"] = json!({"include_usage": true});
    let whole = world.stream(&body).await;
    world.fault(json!({"scope": "qwen", "model": "sim-slow", "fault": "cut_after", "chunks": 12})).await;
    let before = world.balance().await;
    let joined = world.stream(&body).await;
    assert!(joined.done() && joined.error().is_none(), "{}", joined.text());
    assert_eq!(joined.content(), whole.content(), "nothing is missing, and nothing there twice");
    assert!(joined.text().contains(" continued-by=deepseek"), "{}", joined.text());
    let ids = |streamed: &Streamed| -> std::collections::BTreeSet<String> {
        streamed.events().iter().map(|event| text(event, "id").to_owned()).collect()
    };
    assert_eq!(ids(&joined).len(), 1, "it is one answer: {}", joined.text());

    let receipt = world.receipt(joined.header("x-request-id")).await;
    let attempts: Vec<_> = receipt["attempts"].as_array().expect("attempts").iter().collect();
    assert_eq!(
        attempts.iter().map(|it| (text(it, "provider"), text(it, "result"))).collect::<Vec<_>>(),
        [("qwen", "broke_off"), ("deepseek", "ok")]
    );
    assert_eq!((&attempts[0]["continues"], &attempts[1]["continues"]), (&json!(null), &json!(true)));
    assert_eq!(
        (&receipt["ending"], &receipt["estimated"]),
        (&json!("finished"), &json!(true)),
        "{receipt:#}"
    );
    let cost = joined.cost().expect("a cost");
    assert_eq!((receipt["cost_cny"].as_str(), before - world.balance().await), (Some(&*cost), nano(&cost)));
    // The prompt is the client's own, and not the one with the beginning in it.
    let input = |usage: &serde_json::Value| usage["prompt_tokens"].as_u64().expect("a count");
    let (one, both) = (whole.usage().expect("usage"), joined.usage().expect("usage"));
    assert!(input(&both) <= input(&one) * 2, "{one} {both}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_provider_with_odd_manners_reads_like_any_other() {
    let world = World::demo().await;
    let body = said("sim-fast", "奇怪的换行");
    let plain = world.stream(&body).await.content();
    for fault in ["crlf", "bom", "no_usage"] {
        world.fault(json!({"scope": "*", "model": "sim-fast", "fault": fault})).await;
        let streamed = world.stream(&body).await;
        assert!(streamed.done() && streamed.error().is_none(), "{fault}: {}", streamed.text());
        assert_eq!(streamed.content(), plain, "{fault}");
        assert!(nano(&streamed.cost().expect("a cost")) > 0, "{fault}");
        assert!(!streamed.text().contains(['\r', '\u{feff}']), "{fault}");
    }
    world.books_balance().await;
}
