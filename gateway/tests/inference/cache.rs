//! Answers that are given again: to whom, for which calls, for how long, and at which price.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use router_config::{RawCondition, Route, RouteCache};
use serde_json::{Value, json};
use units::{Percent, Usage};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{KEY, Read, Setup, World, body},
};

const USAGE: &str = r#","usage":{"prompt_tokens":1000,"completion_tokens":7,"total_tokens":1007,"prompt_tokens_details":{"cached_tokens":300}}"#;
/// Nothing is left to chance.
const EXACT: &str = r#","temperature":0"#;

fn cached(route: Route) -> Vec<Route> {
    let (ttl, price) = (Duration::from_secs(300), Percent::new(15).unwrap());
    vec![Route { cache: Some(RouteCache { ttl, price, any: false }), ..route }]
}

fn any(route: Route) -> Vec<Route> {
    let (ttl, price) = (Duration::from_secs(300), Percent::new(0).unwrap());
    vec![Route { cache: Some(RouteCache { ttl, price, any: true }), ..route }]
}

async fn world() -> World {
    World::with(Setup { routes: cached, ..Setup::default() }).await
}

fn request(world: &World, key: &str, wish: Option<&str>, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request =
        world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {key}"));
    let request = wish.into_iter().fold(request, |request, wish| request.header("x-tollgate-cache", wish));
    request.body(Full::new(body.into())).unwrap()
}

async fn ask(world: &World, wish: &str, rest: &str) -> Read {
    world.read(request(world, KEY, Some(wish).filter(|wish| !wish.is_empty()), body(rest))).await
}

fn said(read: &Read) -> (u16, &str) {
    (read.status, read.header("x-tollgate-cache"))
}

#[tokio::test]
async fn the_same_call_is_answered_again_asks_nobody_and_costs_the_routes_share() {
    let world = world().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let first = ask(&world, "", EXACT).await;
    assert_eq!(said(&first), (200, "miss"));
    // 700 fresh at 1.00, 300 cached at 0.10, 7 out at 2.00 yuan a million.
    assert_eq!(first.header("x-tollgate-cost-cny"), "0.000744");
    let again = ask(&world, "", EXACT).await;
    assert_eq!(said(&again), (200, "hit"), "{}", again.text);
    assert_eq!(again.text, first.text);
    assert_eq!(world.upstream().calls(), 1);
    // At 15 %: rates of 150, 15 and 300 nano-yuan.
    assert_eq!(again.header("x-tollgate-cost-cny"), "0.0001116");
    assert_eq!((again.header("x-tollgate-attempts"), again.header("x-tollgate-provider")), ("0", "p0"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(again.header("x-ratelimit-remaining-requests"), "598", "a request all the same");

    let outcome = world.till.all_settled().await;
    assert!(outcome.attempts.is_empty() && !outcome.estimated, "{outcome:?}");
    let books = world.till.books.lock().unwrap();
    let (asked, used): (Vec<_>, Vec<Usage>) = books
        .asks
        .iter()
        .zip(&books.settled)
        .map(|(ask, (_, outcome, _))| (ask, outcome.usage.unwrap()))
        .unzip();
    assert_eq!(used[0], used[1], "what it took is said as it was");
    assert_eq!(asked[0].quote.price_percent, None);
    assert_eq!(asked[1].quote, asked[0].quote.at_percent(Percent::new(15).unwrap()));
    assert_eq!(
        (asked[1].input_bound.0, asked[1].output_bound.0),
        (1_000, 7),
        "no more is set aside than it costs"
    );
    assert!(books.extended.is_empty());
    drop(books);
    world.till.assert_each_hold_ended_once("cache");
    assert!(world.counted(r#"tollgate_cache_requests_total{model="chatty",result="hit"} 1"#));
    assert!(world.counted(r#"tollgate_cache_requests_total{model="chatty",result="miss"} 1"#));
    assert!(world.counted("tollgate_cache_bytes"));
    assert!(world.counted("tollgate_cache_entries 1"));
}

#[tokio::test]
async fn nobody_is_given_what_another_account_paid_for() {
    let world = world().await;
    world.upstream().will(answer(200, whole("mine", USAGE))).will(answer(200, whole("theirs", USAGE)));
    let mine = ask(&world, "", EXACT).await;
    let theirs = world.read(request(&world, "sk-other", None, body(EXACT))).await;
    assert_eq!((said(&mine), said(&theirs)), ((200, "miss"), (200, "miss")));
    assert!(theirs.text.contains("theirs"));
    assert_eq!(world.upstream().calls(), 2);
    // Another key of the same account is the same payer.
    let ours = world.read(request(&world, "sk-new", None, body(EXACT))).await;
    assert_eq!((said(&ours), &ours.text), ((200, "hit"), &mine.text));
}

#[tokio::test]
async fn what_means_the_same_is_the_same_and_what_may_not_is_not() {
    let world = world().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    let asked =
        r#"{"model":"chatty","messages":[{"role":"user","content":"hello there"}],"temperature":0,"seed":1}"#;
    assert_eq!(said(&world.chat(asked).await), (200, "miss"));
    for same in [
        r#"{"seed":1, "temperature":0, "messages":[{"content":"hello th\u0065re","role":"user"}], "model":"chatty"}"#,
        r#"{"model":"chatty","messages":[{"role":"user","content":"hello there"}],"temperature":0,"seed":1,"user":"u1","metadata":{"a":"b"}}"#,
    ] {
        assert_eq!(said(&world.chat(same).await), (200, "hit"), "{same}");
    }
    for other in [
        asked.replace("\"seed\":1", "\"seed\":2"),
        asked.replace("hello", "hellO"),
        asked.replace("\"user\"", "\"system\""),
        asked.replace("\"seed\":1", "\"seed\":1,\"max_tokens\":5"),
        asked.replace("chatty", "cheap"),
    ] {
        world.upstream().will(answer(200, whole("hi", USAGE)));
        assert_eq!(said(&world.chat(other.clone()).await), (200, "miss"), "{other}");
    }
}

#[tokio::test]
async fn a_stream_is_given_again_as_a_stream_on_its_own_wire() {
    let world = world().await;
    let streamed = || events(&[&chunk("你好"), &chunk("，世界"), FINISH, &usage_chunk(10, 5), "[DONE]"]);
    world.upstream().will(streamed());
    let asked = format!(r#"{EXACT},"stream":true,"stream_options":{{"include_usage":true}}"#);
    let first = ask(&world, "", &asked).await;
    let again = ask(&world, "", &asked).await;
    assert_eq!((said(&first), said(&again)), ((200, "miss"), (200, "hit")));
    assert_eq!(again.spoken(), "你好，世界");
    let (mut told, mut retold) = (first.events(), again.events());
    assert_eq!((told.pop().as_deref(), retold.pop().as_deref()), (Some("[DONE]"), Some("[DONE]")));
    let costs = [told.pop(), retold.pop()].map(|usage| {
        let mut usage: Value = serde_json::from_str(&usage.unwrap()).unwrap();
        assert_eq!(usage["usage"]["total_tokens"], 15);
        std::mem::take(&mut usage["usage"]["cost_cny"])
    });
    assert_eq!(told, retold);
    if costs[0] != Value::Null {
        assert_eq!(costs, [json!("0.00002"), json!("0.000003")]);
    }
    assert_eq!(world.till.books.lock().unwrap().settled[1].2.to_string(), "0.000003");
    assert!(world.till.books.lock().unwrap().extended.is_empty(), "all of it is covered");

    // A whole answer is another one; so is one with the usage left out.
    world.upstream().will(answer(200, whole("hi", USAGE))).will(streamed());
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"));
    assert_eq!(said(&ask(&world, "", &format!(r#"{EXACT},"stream":true"#)).await), (200, "miss"));
    let quiet = ask(&world, "", &format!(r#"{EXACT},"stream":true"#)).await;
    assert_eq!(said(&quiet), (200, "hit"));
    assert!(!quiet.text.contains("prompt_tokens"), "{}", quiet.text);
    assert_eq!(world.upstream().calls(), 3);
}

#[tokio::test]
async fn what_chance_or_tools_may_answer_otherwise_is_kept_only_when_asked_for() {
    let world = world().await;
    let tool = r#","temperature":0,"tools":[{"type":"function","function":{"name":"now"}}]"#;
    let picture = r#","temperature":0,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]"#;
    let with_picture = body("").replace(r#","messages":[{"role":"user","content":"hello there"}]"#, picture);
    let (warm, some, several) = (r#","temperature":0.1"#, "", r#","temperature":0,"n":2"#);
    let bodies = [body(tool), body(warm), body(some), body(several), with_picture];
    for asked in &bodies {
        for _ in 0..2 {
            world.upstream().will(answer(200, whole("hi", USAGE)));
            let read = world.read(request(&world, KEY, None, asked.clone())).await;
            assert_eq!(said(&read), (200, "bypass"), "{asked}");
        }
        world.upstream().will(answer(200, whole("hi", USAGE)));
        let wished = async || world.read(request(&world, KEY, Some("use"), asked.clone())).await;
        assert_eq!((said(&wished().await), said(&wished().await)), ((200, "miss"), (200, "hit")), "{asked}");
    }
    assert_eq!(world.upstream().calls(), 3 * bodies.len());
    // Empty lists of tools are none.
    world.upstream().will(answer(200, whole("hi", USAGE)));
    assert_eq!(
        said(&ask(&world, "", r#","temperature":0.0,"tools":[ ],"functions":null"#).await),
        (200, "miss")
    );
    assert_eq!(ask(&world, "always", EXACT).await.error("param"), "x-tollgate-cache");
}

#[tokio::test]
async fn a_caller_who_wants_it_fresh_gets_it_fresh() {
    let world = world().await;
    for _ in 0..2 {
        world.upstream().will(answer(200, whole("hi", USAGE)));
        assert_eq!(said(&ask(&world, "skip", EXACT).await), (200, "bypass"));
    }
    world.upstream().will(answer(200, whole("hi", USAGE)));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"), "nor was it kept");
}

#[tokio::test]
async fn a_route_may_keep_everything_and_give_it_away() {
    let world = World::with(Setup { routes: any, ..Setup::default() }).await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    assert_eq!(said(&ask(&world, "", "").await), (200, "miss"));
    let again = ask(&world, "", "").await;
    assert_eq!((said(&again), again.header("x-tollgate-cost-cny")), ((200, "hit"), "0.00"));
    world.till.assert_each_hold_ended_once("free, and on the books");
}

#[tokio::test]
async fn a_route_without_a_cache_keeps_nothing_and_says_so_to_who_asks() {
    let world = World::open().await;
    for (wish, says) in [("", ""), ("use", "bypass"), ("skip", "bypass")] {
        world.upstream().will(answer(200, whole("hi", USAGE)));
        assert_eq!(said(&ask(&world, wish, EXACT).await), (200, says), "{wish}");
    }
    assert_eq!(world.upstream().calls(), 3);
}

#[tokio::test]
async fn only_whole_answers_with_a_counted_usage_are_kept() {
    let world = world().await;
    let streaming = format!(r#"{EXACT},"stream":true"#);
    let cut = || {
        let sent = |text: String| Piece::Bytes(format!("data: {text}\n\n").into());
        stream(vec![sent(chunk("half")), Piece::Cut])
    };
    let uncounted = || events(&[&chunk("hi"), FINISH, "[DONE]"]);
    let bad: [(&str, Script); 4] = [
        (&streaming, cut()),
        (&streaming, uncounted()),
        (EXACT, answer(200, whole("hi", ""))),
        (EXACT, answer(400, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#)),
    ];
    for (asked, script) in bad {
        for _ in 0..2 {
            world.upstream().will(script.clone());
            let read = ask(&world, "", asked).await;
            assert_ne!(read.header("x-tollgate-cache"), "hit", "{script:?}");
        }
    }
    assert_eq!(world.upstream().calls(), 8);
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("cache");
}

#[tokio::test]
async fn an_answer_grows_old() {
    let world = world().await;
    world.upstream().will(answer(200, whole("hi", USAGE))).will(answer(200, whole("hi", USAGE)));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"));
    world.clock.forward(Duration::from_secs(299));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "hit"));
    world.clock.forward(Duration::from_secs(1));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "hit"), "the new one");
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    let world = World::with(Setup { routes: cached, cache_bytes: 20_000, ..Setup::default() }).await;
    let long = "x".repeat(2_000);
    for n in 0..30 {
        world.upstream().will(answer(200, whole(&long, USAGE)));
        assert_eq!(said(&ask(&world, "", &format!(r#"{EXACT},"seed":{n}"#)).await), (200, "miss"));
    }
    let bytes = world.metric("tollgate_cache_bytes");
    assert!((1..=20_000).contains(&bytes), "{bytes}");
    // One that is too large is not kept at all.
    let huge = "x".repeat(30_000);
    for _ in 0..2 {
        world.upstream().will(answer(200, whole(&huge, USAGE)));
        assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"));
    }
    let streaming = format!(r#"{EXACT},"stream":true"#);
    for _ in 0..2 {
        world.upstream().will(events(&[&chunk(&huge), &chunk(&huge), FINISH, &usage_chunk(10, 5), "[DONE]"]));
        let read = ask(&world, "", &streaming).await;
        assert_eq!((said(&read), read.spoken().len()), ((200, "miss"), 60_000));
    }
}

#[tokio::test]
async fn who_is_out_of_money_is_not_given_what_is_kept_for_nothing() {
    let world = world().await;
    world.upstream().will(answer(200, whole("hi", USAGE)));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "miss"));
    // Enough for the share of the price, not for the call.
    world.till.books.lock().unwrap().purse = Some(units::NanoCny::new(300_000));
    assert_eq!(said(&ask(&world, "", EXACT).await), (200, "hit"));
    world.till.books.lock().unwrap().purse = Some(units::NanoCny::new(100));
    assert_eq!(ask(&world, "", EXACT).await.status, 402);
    world.till.disk_broken.store(true, std::sync::atomic::Ordering::Relaxed);
    world.till.books.lock().unwrap().purse = None;
    assert_eq!(ask(&world, "", EXACT).await.status, 503, "no hold on the disk, no answer");
    world.till.assert_each_hold_ended_once("cache");
}

#[tokio::test]
async fn every_endpoint_keeps_answers_the_same_way() {
    // It speaks chat only: what it says is translated for each client anew.
    let world = World::with(Setup { kinds: vec!["mistral"], routes: cached, ..Setup::default() }).await;
    let floats = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}],"model":"up","usage":{"prompt_tokens":1000,"total_tokens":1000}}"#;
    world.upstream().will(answer(200, floats));
    let embed = r#"{"model":"embedder","input":["a"]}"#;
    let (first, again) =
        (world.post("/v1/embeddings", embed).await, world.post("/v1/embeddings", embed).await);
    assert_eq!((said(&first), said(&again)), ((200, "miss"), (200, "hit")));
    assert_eq!((again.header("x-tollgate-cost-cny"), &again.text), ("0.00015", &first.text));
    let chat = r#""messages":[{"role":"user","content":"hi"}],"max_tokens":50"#;
    for (path, asked) in [
        ("/v1/messages", format!(r#"{{"model":"chatty",{chat},"temperature":0,"stream":true}}"#)),
        ("/v1/responses", r#"{"model":"chatty","input":"hi","temperature":0,"stream":true}"#.to_owned()),
        ("/v1/completions", r#"{"model":"chatty","prompt":"hi","temperature":0,"stream":true}"#.to_owned()),
    ] {
        world.upstream().will(events(&[&chunk("你好"), FINISH, &usage_chunk(10, 5), "[DONE]"]));
        let before = world.upstream().calls();
        let (first, again) = (world.post(path, asked.clone()).await, world.post(path, asked).await);
        assert_eq!((said(&first), said(&again)), ((200, "miss"), (200, "hit")), "{path}: {}", first.text);
        assert_eq!(world.upstream().calls(), before + 1, "{path}");
        assert!(
            again.text.contains("你好") && again.text.lines().count() == first.text.lines().count(),
            "{path}"
        );
    }
    world.till.all_settled().await;
    world.till.assert_each_hold_ended_once("cache");
}

#[tokio::test]
async fn an_answer_on_the_providers_own_wire_is_given_again_event_by_event() {
    let world = World::with(Setup { kinds: vec!["anthropic"], routes: cached, ..Setup::default() }).await;
    let sent = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"你好"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let named = |json: &&str| {
        let name = serde_json::from_str::<Value>(json).unwrap()["type"].as_str().unwrap().to_owned();
        Piece::Bytes(format!("event: {name}\ndata: {json}\n\n").into())
    };
    world.upstream().will(stream(sent.iter().map(named).collect()));
    let asked = r#"{"model":"chatty","max_tokens":50,"messages":[{"role":"user","content":"hi"}],"temperature":0,"stream":true}"#;
    let (first, again) = (world.post("/v1/messages", asked).await, world.post("/v1/messages", asked).await);
    assert_eq!((said(&first), said(&again)), ((200, "miss"), (200, "hit")), "{}", first.text);
    let events = |read: &Read| -> Vec<String> {
        read.text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
    };
    assert_eq!(events(&again), events(&first));
    assert_eq!(events(&again).last().map(String::as_str), Some("message_stop"));
    assert!(again.text.contains("你好"));
    assert_eq!(world.upstream().calls(), 1);
    let books = world.till.books.lock().unwrap();
    let used: Vec<Usage> = books.settled.iter().map(|(_, outcome, _)| outcome.usage.unwrap()).collect();
    assert_eq!(used[0], used[1]);
}

fn here_and_there(route: Route) -> Vec<Route> {
    let route = cached(route).remove(0);
    let mut targets = route.targets.clone();
    targets[0].when =
        RawCondition { regions: vec!["eu".to_owned()], ..RawCondition::default() }.checked().unwrap();
    vec![Route { targets, ..route }]
}

#[tokio::test]
async fn what_a_target_for_others_answered_is_not_given_to_who_may_not_ask_it() {
    let setup = Setup { kinds: vec!["openai", "openai"], routes: here_and_there, ..Setup::default() };
    let world = World::with(setup).await;
    world.upstreams[0].will(answer(200, whole("in Europe", USAGE)));
    world.upstreams[1].will(answer(200, whole("elsewhere", USAGE)));
    let from = async |region: &str| {
        let request =
            world.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
        let request = request.header("x-tollgate-region", region);
        world.read(request.body(Full::new(body(EXACT).into())).unwrap()).await
    };
    let (eu, cn) = (from("eu").await, from("cn").await);
    assert_eq!((said(&eu), said(&cn)), ((200, "miss"), (200, "miss")));
    assert!(eu.text.contains("in Europe") && cn.text.contains("elsewhere"));
    let again = [from("eu").await, from("cn").await];
    assert_eq!([said(&again[0]), said(&again[1])], [(200, "hit"); 2]);
    assert_eq!([&again[0].text, &again[1].text], [&eu.text, &cn.text]);
}
