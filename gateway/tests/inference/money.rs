//! Routing that knows the price: the caller's maximum, what the balance covers, other models that are allowed.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use router_config::{ChargedAs, Route, WhenShort};
use units::{NanoCny, Tokens};

use crate::{
    upstream::{answer, whole},
    world::{KEY, Read, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;

fn clamps(mut route: Route) -> Vec<Route> {
    route.when_short = WhenShort::Clamp;
    vec![route]
}

async fn asked(world: &World, path: &str, max_cost: Option<&str>, body: String) -> Read {
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let mut request = world.request("POST", path).header("authorization", format!("Bearer {KEY}"));
    if let Some(yuan) = max_cost {
        request = request.header("x-tollgate-max-cost-cny", yuan);
    }
    let request: Request<Full<Bytes>> = request.body(Full::new(body.into())).unwrap();
    world.read(request).await
}

async fn chat(world: &World, max_cost: Option<&str>, rest: &str) -> Read {
    asked(world, "/v1/chat/completions", max_cost, body(rest)).await
}

fn purse(world: &World, nano: i64) {
    world.till.books.lock().unwrap().purse = Some(NanoCny::new(nano));
}

/// The body that the upstream saw last.
fn sent(world: &World) -> serde_json::Value {
    world.upstream().seen.lock().unwrap().last().unwrap().body.clone()
}

#[tokio::test]
async fn a_call_never_costs_more_than_its_caller_allows() {
    let world = World::open().await;
    // 2000 tokens at 2 yuan a million are 0.004 yuan, and the prompt a little.
    assert_eq!(chat(&world, Some("0.005"), r#","max_tokens":2000"#).await.status, 200);
    let read = chat(&world, Some("0.002"), r#","max_tokens":2000"#).await;
    assert_eq!((read.status, read.error("code")), (402, "max_cost_exceeded".into()));
    assert_eq!((read.header("x-should-retry"), read.error("max_cost")), ("false", "0.002".into()));
    let fits = read.error("max_tokens_that_fit").as_u64().unwrap();
    assert_eq!(
        chat(&world, Some("0.002"), &format!(r#","max_tokens":{fits}"#)).await.status,
        200,
        "it does fit"
    );
    assert_eq!(chat(&world, Some("0.002"), &format!(r#","max_tokens":{}"#, fits + 10)).await.status, 402);
    let read = chat(&world, Some("0"), "").await;
    assert!(read.text.contains("The prompt alone costs more."), "{}", read.text);
    let read = chat(&world, Some("-1"), "").await;
    assert_eq!((read.status, read.error("param")), (400, "x-tollgate-max-cost-cny".into()));
    assert_eq!(world.till.books.lock().unwrap().asks.len(), 2, "nothing was set aside for the others");
}

#[tokio::test]
async fn an_answer_is_cut_to_what_the_caller_allows_where_the_route_does_so() {
    let world = World::with(Setup { kinds: vec!["deepseek"], routes: clamps, ..Setup::default() }).await;
    for (path, member) in [
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
        ("/v1/messages", "max_tokens"),
    ] {
        let wish = match path {
            "/v1/responses" => r#"{"model":"chatty","input":"hi","max_output_tokens":2000}"#.to_owned(),
            _ => body(r#","max_tokens":2000"#),
        };
        let read = asked(&world, path, Some("0.002"), wish).await;
        assert_eq!(read.status, 200, "{path}: {}", read.text);
        let cap: u64 = read.header("x-tollgate-max-tokens").parse().unwrap();
        assert!((800..1_000).contains(&cap), "{path}: {cap}");
        let told = &sent(&world);
        let told =
            [member, "max_tokens", "max_completion_tokens"].iter().find_map(|name| told[*name].as_u64());
        assert_eq!(told, Some(cap), "{path}");
        let held = world.till.books.lock().unwrap().asks.last().unwrap().output_bound;
        assert_eq!(held, Tokens(cap));
    }
    let read = chat(&world, Some("0.0001"), r#","max_tokens":2000"#).await;
    assert_eq!(read.error("code"), "max_cost_exceeded", "so short an answer would say nothing");
}

#[tokio::test]
async fn what_the_balance_does_not_cover_is_cut_where_the_route_does_so_and_else_refused_with_a_way_on() {
    let world = World::with(Setup { routes: clamps, ..Setup::default() }).await;
    purse(&world, 2_000_000);
    let read = chat(&world, None, r#","max_tokens":2000,"n":2"#).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let cap: u64 = read.header("x-tollgate-max-tokens").parse().unwrap();
    assert!((400..500).contains(&cap), "two answers of it: {cap}");
    assert_eq!(world.till.books.lock().unwrap().asks[0].output_bound, Tokens(cap * 2));

    let world = World::open().await;
    purse(&world, 2_000_000);
    let read = chat(&world, None, r#","max_tokens":2000"#).await;
    assert_eq!((read.status, read.error("code")), (402, "insufficient_quota".into()));
    let way = read.error("cheapest");
    assert_eq!(way["model"], "chatty");
    let fits = way["max_tokens_that_fit"].as_u64().unwrap();
    assert_eq!(chat(&world, None, &format!(r#","max_tokens":{fits}"#)).await.status, 200);
}

#[tokio::test]
async fn a_cheaper_model_serves_where_the_caller_allows_it_and_is_what_is_charged() {
    let world = World::open().await;
    let both = r#","max_tokens":2000,"models":["chatty","cheap"]"#;
    let read = chat(&world, None, both).await;
    assert_eq!((read.status, read.header("x-tollgate-model")), (200, "chatty"), "while there is money");
    assert_eq!(sent(&world).get("models"), None, "it is for us");

    purse(&world, 1_000_000);
    let read = chat(&world, None, both).await;
    assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{}", read.text);
    assert_eq!(world.till.books.lock().unwrap().asks.last().unwrap().model, "cheap");
    assert_eq!(chat(&world, None, r#","max_tokens":2000"#).await.status, 402, "nothing is swapped unasked");

    purse(&world, 10_000_000);
    let read = chat(&world, Some("0.001"), both).await;
    assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{}", read.text);

    purse(&world, 10);
    let read = chat(&world, None, both).await;
    assert_eq!(
        (read.status, read.error("cheapest")["model"].clone()),
        (402, "cheap".into()),
        "{}",
        read.text
    );
    let read = chat(&world, Some("0"), both).await;
    assert!(read.text.contains("`cheap`"), "the one that comes nearest: {}", read.text);
    for (wrong, code) in [
        ("7", "invalid_type"),
        ("[1]", "invalid_type"),
        (r#"["a","b","c","d","e","f","g","h","i"]"#, "invalid_value"),
    ] {
        let read = chat(&world, None, &format!(r#","models":{wrong}"#)).await;
        assert_eq!(
            (read.status, read.error("code"), read.error("param")),
            (400, code.into(), "models".into()),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn another_model_answers_where_nobody_answers_the_first() {
    let world = World::open().await;
    world.upstream().will(answer(503, ""));
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = world.chat(body(r#","models":["cheap","nonsense"]"#)).await;
    assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{}", read.text);
    assert_eq!(read.header("x-tollgate-attempts"), "2");
    world.till.all_settled().await;
    let books = world.till.books.lock().unwrap();
    assert_eq!(books.asks.iter().map(|ask| ask.model.as_str()).collect::<Vec<_>>(), ["chatty", "cheap"]);
    let id = |place: usize| books.asks[place].request;
    assert_ne!(id(0), id(1), "each has a hold of its own");
    assert_eq!(
        read.header("x-request-id"),
        id(1).to_string(),
        "the answer is called as what was charged for it"
    );
    let charged = |id| books.settled.iter().find(|(settled, ..)| *settled == id).unwrap().1.usage;
    assert_eq!(charged(id(0)), None);
    assert!(charged(id(1)).is_some());
    drop(books);
    world.till.assert_each_hold_ended_once("a fallback");
}

/// A route of `chatty` that has a cheaper model to offer.
fn has_cheaper(mut route: Route) -> Vec<Route> {
    if route.model.id == "chatty" {
        route.downgrade_to = vec!["cheap".to_owned()];
    }
    vec![route]
}

async fn allowing(world: &World, headers: &[(&str, &str)], rest: &str) -> Read {
    let mut request =
        world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.read(request.body(Full::new(body(rest).into())).unwrap()).await
}

#[tokio::test]
async fn a_cheaper_model_of_the_route_serves_only_who_allows_it_and_only_for_want_of_money() {
    let world = World::with(Setup { routes: has_cheaper, ..Setup::default() }).await;
    let allow = [("x-tollgate-downgrade", "allow")];
    // A thousand tokens of output: 0.002 yuan of the one, a tenth of it of the other.
    purse(&world, 1_000_000);
    assert_eq!(allowing(&world, &[], r#","max_tokens":1000"#).await.status, 402);
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let read = allowing(&world, &allow, r#","max_tokens":1000"#).await;
    assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{}", read.text);
    assert_eq!(read.header("x-tollgate-cost-cny"), "0.000002");
    // Where there is money, the model that was asked for is meant, and a failure of it is a failure.
    purse(&world, 1_000_000_000);
    world.upstream().will(answer(500, ""));
    let read = allowing(&world, &allow, r#","max_tokens":1000"#).await;
    assert_eq!((read.status, world.upstream().calls()), (502, 2), "{}", read.text);
    let read = allowing(&world, &[("x-tollgate-downgrade", "perhaps")], "").await;
    assert_eq!((read.status, read.error("param")), (400, "x-tollgate-downgrade".into()));
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("downgrades");
}

#[tokio::test]
async fn another_model_is_charged_by_its_own_price_or_by_that_of_the_one_that_was_asked_for() {
    fn as_requested(mut route: Route) -> Vec<Route> {
        route.charged_as = ChargedAs::Requested;
        vec![route]
    }
    type Routes = fn(Route) -> Vec<Route>;
    let cases: [(Routes, &str, &str); 2] =
        [(|route| vec![route], "0.000002", "cheap"), (as_requested, "0.00002", "chatty")];
    for (routes, cost, charged) in cases {
        let world = World::with(Setup { routes, ..Setup::default() }).await;
        world.upstream().will(answer(500, "")).will(answer(200, whole("hi", USAGE)));
        let read = allowing(&world, &[], r#","models":["cheap"]"#).await;
        assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{}", read.text);
        assert_eq!(read.header("x-tollgate-cost-cny"), cost);
        world.till.all_settled().await;
        assert_eq!(world.till.books.lock().unwrap().asks.last().unwrap().model, charged);
    }
}

#[tokio::test]
async fn another_model_that_is_allowed_is_asked_too_when_the_prompt_is_too_long_or_filtered() {
    for code in ["context_length_exceeded", "content_filter"] {
        let world = World::open().await;
        let refused = format!(r#"{{"error":{{"message":"no","code":"{code}"}}}}"#);
        world.upstream().will(answer(400, refused)).will(answer(200, whole("hi", USAGE)));
        let read = allowing(&world, &[], r#","models":["cheap"]"#).await;
        assert_eq!((read.status, read.header("x-tollgate-model")), (200, "cheap"), "{code}: {}", read.text);
        world.till.all_settled().await;
        world.till.assert_each_hold_ended_once(code);
    }
}
