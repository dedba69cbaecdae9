//! Who is asked first, and for whom: routes, strategies, aliases.

use std::time::Duration;

use gateway::{
    dispatch::TargetHealth,
    provider::{Allowances, Fault},
};
use http::Request;
use http_body_util::Full;
use router_config::{Alias, Bounds, Condition, RawCondition, Route, Strategy, Target, catalog};
use units::Tokens;

use crate::{
    upstream::{Piece, answer, chunk, stream, whole},
    world::{KEY, Read, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;

fn when(text: &str) -> Condition {
    toml::from_str::<RawCondition>(text).unwrap().checked().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Asks with these headers, of upstreams that all have an answer; who gave it.
async fn asked(world: &World, headers: &[(&str, &str)], body: String) -> Read {
    for upstream in &world.upstreams {
        upstream.scripts.lock().unwrap().clear();
        upstream.will(answer(200, whole("hi", USAGE)));
    }
    let mut request =
        world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request: Request<Full<_>> = request.body(Full::new(body.into())).unwrap();
    world.read(request).await
}

async fn provider(world: &World, headers: &[(&str, &str)]) -> String {
    let read = asked(world, headers, body("")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    read.header("x-tollgate-provider").to_owned()
}

#[tokio::test]
async fn a_call_takes_the_first_route_that_is_for_it() {
    fn routes(route: Route) -> Vec<Route> {
        let of = |place: usize, when: Condition, name: Option<&str>| Route {
            targets: vec![route.targets[place].clone()],
            when,
            name: name.map(str::to_owned),
            ..route.clone()
        };
        vec![
            of(1, when("tasks = [\"dispute\"]"), None),
            of(2, when("tags = [\"beta\"]\nregions = [\"apac\"]"), None),
            of(2, when("modalities = [\"image\"]"), None),
            of(0, Condition::default(), None),
            of(1, Condition::default(), Some("careful")),
        ]
    }
    let kinds = vec!["openai", "openai", "openai"];
    let world = World::with(Setup { kinds, routes, region: Some("apac"), ..Setup::default() }).await;
    for (headers, expected) in [
        (&[][..], "p0"),
        (&[("x-tollgate-task", "dispute")], "p1"),
        (&[("x-tollgate-task", "payment-intent")], "p0"),
        (&[("x-tollgate-tags", "alpha,beta")], "p2"),
        (&[("x-tollgate-tags", "beta"), ("x-tollgate-region", "eu")], "p0"),
        (&[("x-tollgate-route", "careful")], "p1"),
    ] {
        assert_eq!(provider(&world, headers).await, expected, "{headers:?}");
    }
    let picture = r#"{"model":"chatty","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#;
    assert_eq!(asked(&world, &[], picture.to_owned()).await.header("x-tollgate-provider"), "p2");
    let none = asked(&world, &[("x-tollgate-route", "other")], body("")).await;
    assert_eq!(
        (none.status, none.error("code"), none.error("param")),
        (400, "no_route_fits".into(), "model".into())
    );
    assert!(none.text.contains("it has no route called `other`"), "{}", none.text);
    let bad = asked(&world, &[("x-tollgate-task", "two words")], body("")).await;
    assert_eq!(
        (bad.status, bad.error("code"), bad.error("param")),
        (400, "invalid_value".into(), "x-tollgate-task".into())
    );
}

#[tokio::test]
async fn a_model_that_is_only_for_others_says_for_whom_and_holds_nothing() {
    fn routes(mut route: Route) -> Vec<Route> {
        route.when = when("tiers = [\"vip\"]\ninput_tokens_min = 0");
        vec![route]
    }
    let world = World::with(Setup { routes, ..Setup::default() }).await;
    let read = asked(&world, &[], body("")).await;
    assert_eq!((read.status, read.error("code")), (400, "no_route_fits".into()));
    assert!(read.text.contains("its routes are for other `tiers`"), "{}", read.text);
    assert!(world.till.books.lock().unwrap().asks.is_empty());
}

#[tokio::test]
async fn an_alias_is_served_and_charged_as_the_model_it_means_and_says_so() {
    let alias = |name: &str, model: &str, condition: &str| Alias {
        name: name.to_owned(),
        model: model.to_owned(),
        when: when(condition),
    };
    let aliases = vec![
        alias("auto", "embedder", "tasks = [\"payment-intent\"]"),
        alias("auto", "gpt-4o", ""),
        alias("gpt-*", "chatty", ""),
    ];
    let world = World::with(Setup { aliases, ..Setup::default() }).await;
    for name in ["auto", "gpt-4o", "chatty"] {
        let read = asked(&world, &[], body("").replace("chatty", name)).await;
        assert_eq!((read.status, read.header("x-tollgate-model")), (200, "chatty"), "{name}: {}", read.text);
        assert_eq!(world.till.books.lock().unwrap().asks.last().unwrap().model, "chatty");
        assert_eq!(world.upstream().seen.lock().unwrap().last().unwrap().body["model"], "up-0");
    }
    let read =
        asked(&world, &[("x-tollgate-task", "payment-intent")], body("").replace("chatty", "auto")).await;
    assert_eq!(read.error("code"), "wrong_endpoint", "it means another model then: {}", read.text);
    let unknown = asked(&world, &[], body("").replace("chatty", "claude")).await;
    assert_eq!((unknown.status, unknown.error("code")), (404, "model_not_found".into()));
}

#[tokio::test]
async fn the_cheapest_is_what_costs_us_least() {
    fn routes(mut route: Route) -> Vec<Route> {
        route.strategy = Strategy::Cheapest;
        let facts = |provider, model| catalog().model(provider, model).cloned();
        route.targets[0].facts = facts("dashscope-cn", "qwen-max");
        route.targets[1].facts = None;
        route.targets[2].facts = facts("dashscope-cn", "qwen-flash");
        for target in &mut route.targets {
            // In yuan, since no rate of exchange is known here.
            assert!(
                target.facts.is_none()
                    || target.facts.as_ref().unwrap().cost_in(None).unwrap().currency.as_str() == "CNY"
            );
        }
        vec![route]
    }
    let world =
        World::with(Setup { kinds: vec!["openai", "openai", "openai"], routes, ..Setup::default() }).await;
    assert_eq!(provider(&world, &[]).await, "p2");
    for (upstream, rest) in world.upstreams.iter().zip([false, false, true]) {
        upstream.scripts.lock().unwrap().clear();
        upstream.will(if rest { answer(503, "") } else { answer(200, whole("hi", USAGE)) });
    }
    let read = world.chat(body("")).await;
    assert_eq!(
        (read.header("x-tollgate-provider"), read.header("x-tollgate-attempts")),
        ("p0", "2"),
        "unknown is not free"
    );
}

#[tokio::test]
async fn the_least_busy_target_is_asked_until_its_calls_have_ended() {
    fn routes(mut route: Route) -> Vec<Route> {
        route.strategy = Strategy::LeastBusy;
        vec![route]
    }
    let world = World::with(Setup { kinds: vec!["openai", "openai"], routes, ..Setup::default() }).await;
    let open = || {
        stream(vec![
            Piece::Bytes(format!("data: {}\n\n", chunk("a")).into()),
            Piece::Gate,
            Piece::Bytes("data: [DONE]\n\n".into()),
        ])
    };
    let (mut busy, mut streams) = (std::collections::BTreeMap::<String, usize>::new(), Vec::new());
    for _ in 0..4 {
        for upstream in &world.upstreams {
            upstream.will(open());
        }
        let rest = world.send(world.chat_request(body(r#","stream":true"#))).await;
        *busy.entry(rest.headers()["x-tollgate-provider"].to_str().unwrap().to_owned()).or_default() += 1;
        streams.push(rest);
        world.upstreams.iter().for_each(|upstream| upstream.scripts.lock().unwrap().clear());
    }
    assert_eq!(busy.into_values().collect::<Vec<_>>(), [2, 2], "each second one elsewhere");
    world.upstreams.iter().for_each(|upstream| upstream.gate.add_permits(8));
    for rest in streams {
        let _ = crate::world::read(rest).await;
    }
}

#[tokio::test]
async fn weights_are_shares_and_nobody_is_asked_of_weight_zero_while_another_answers() {
    fn routes(mut route: Route) -> Vec<Route> {
        route.strategy = Strategy::Weighted;
        for (target, weight) in route.targets.iter_mut().zip([0, 1, 3]) {
            target.weight = weight;
        }
        vec![route]
    }
    let world =
        World::with(Setup { kinds: vec!["openai", "openai", "openai"], routes, ..Setup::default() }).await;
    let mut times = [0; 3];
    for _ in 0..200 {
        let read = asked(&world, &[], body("")).await;
        times[read.header("x-tollgate-provider")[1..].parse::<usize>().unwrap()] += 1;
    }
    // A quarter of two hundred, which chance leaves between 20 and 85 in all but one of ten million runs.
    assert!(times[0] == 0 && (20..=85).contains(&times[1]), "{times:?}");
}

/// A first byte of a target came after so many milliseconds.
fn paced(health: &TargetHealth, target: &Target, ms: u64) {
    let pass = health.admit(target, Tokens(1), &[], false).unwrap();
    drop(pass.answered(true, None, Duration::from_millis(ms), Allowances::default()));
}

#[tokio::test]
async fn the_fastest_is_whose_first_bytes_came_soonest_lately() {
    fn routes(mut route: Route) -> Vec<Route> {
        route.strategy = Strategy::Fastest;
        vec![route]
    }
    let world = World::with(Setup { kinds: vec!["openai", "openai"], routes, ..Setup::default() }).await;
    let health = std::sync::Arc::clone(&world.health);
    let targets = world.targets.clone();
    for (target, ms) in targets.iter().zip([400, 20]) {
        paced(&health, target, ms);
    }
    for _ in 0..10 {
        assert_eq!(provider(&world, &[]).await, "p1");
    }
    for _ in 0..30 {
        paced(&health, &targets[1], 900);
    }
    assert_eq!(provider(&world, &[]).await, "p0");
    world.clock.forward(Duration::from_secs(400));
    paced(&health, &targets[1], 900);
    assert_eq!(provider(&world, &[]).await, "p0", "nobody knows it any more, so it is tried");
}

#[tokio::test]
async fn an_answer_and_its_receipt_say_why_it_was_served_so() {
    fn routes(route: Route) -> Vec<Route> {
        let mut targets = route.targets.clone();
        targets[1].when = when("regions = [\"eu\"]");
        let named = |name: &str| Some(name.to_owned());
        let careful = Route { name: named("careful"), when: when("tasks = [\"dispute\"]"), ..route.clone() };
        vec![careful, Route { name: named("usual"), strategy: Strategy::LeastBusy, targets, ..route }]
    }
    let kinds = vec!["openai", "openai", "openai"];
    let world = World::with(Setup { kinds, routes, ..Setup::default() }).await;
    // The first fails until it is left alone; the last answers.
    for _ in 0..3 {
        let pass = world.health.admit(&world.targets[0], Tokens(1), &[], false).unwrap();
        pass.failed(&Fault::unknown_provider());
    }
    world.upstreams[2].will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body("")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let short = "strategy=least_busy; route=usual; skipped=p1/up-1 (regions), p0/up-0 (open)";
    assert_eq!(read.header("x-tollgate-decision"), short);
    let outcome = world.till.all_settled().await;
    assert_eq!(outcome.decision.to_string(), short);
    assert_eq!(
        serde_json::to_value(&outcome.decision).unwrap()["passed"],
        serde_json::json!([{"route": "careful", "why": "tasks"}])
    );
}

#[tokio::test]
async fn a_provider_at_the_limit_of_what_we_send_it_is_passed_over_and_nobody_is_told_of_it() {
    let provider_bounds = Bounds { requests_per_minute: Some(2), ..Bounds::default() };
    let kinds = vec!["openai", "openai"];
    let world = World::with(Setup { kinds, provider_bounds, ..Setup::default() }).await;
    let mut served = Vec::new();
    for _ in 0..4 {
        for upstream in &world.upstreams {
            upstream.scripts.lock().unwrap().clear();
            upstream.will(answer(200, whole("hi", USAGE)));
        }
        let read = world.chat(body("")).await;
        assert_eq!((read.status, read.header("x-tollgate-attempts")), (200, "1"), "{}", read.text);
        served.push(read.header("x-tollgate-provider").to_owned());
    }
    assert_eq!(served, ["p0", "p0", "p1", "p1"]);
    // Nobody is left: it is no fault of the client's, who learns when to come back, and nothing is charged.
    let read = world.chat(body("")).await;
    assert_eq!((read.status, read.error("code")), (503, "upstream_unavailable".into()), "{}", read.text);
    assert!(!read.header("retry-after").is_empty());
    // The first was at its limit for the third call and the fourth, and both for the last.
    let counted = r#"tollgate_rate_limited_total{kind="requests",scope="provider"} 4"#;
    assert!(world.metrics.render().contains(counted), "{}", world.metrics.render());
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("limits of providers");
    world.clock.forward(Duration::from_secs(61));
    world.upstreams[0].scripts.lock().unwrap().clear();
    world.upstreams[0].will(answer(200, whole("hi", USAGE)));
    assert_eq!(world.chat(body("")).await.header("x-tollgate-provider"), "p0");
}
