//! However a call ends, it ends once.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use gateway::chat::Ending;
use http_body_util::BodyExt;

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, events, stream, usage_chunk, whole},
    world::{Setup, World, body},
};

fn piece(text: &str) -> Piece {
    Piece::Bytes(format!("data: {text}\n\n").into())
}

async fn of(kind: &'static str) -> World {
    World::with(Setup { kinds: vec![kind], ..Setup::default() }).await
}

#[tokio::test]
async fn hanging_up_on_a_provider_that_stops_billing_stops_it() {
    let world = of("deepseek").await;
    world.upstream().will(stream(vec![piece(&chunk("abcdefgh")), Piece::Stall]));
    let mut answer = world.send(world.chat_request(body(r#","stream":true"#))).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let outcome = world.till.all_settled().await;
    world.upstream().until_cancelled().await;
    assert_eq!((outcome.ending, outcome.estimated), (Ending::HungUp, true));
    assert_eq!(outcome.usage.unwrap().output.0, 2);
    assert!(outcome.usage.unwrap().input.0 > 0);
    world.till.assert_each_hold_ended_once("cancelled");
    assert!(world.counted(r#"tollgate_requests_total{model="chatty",outcome="cancelled",route="chat"}"#));
}

#[tokio::test]
async fn hanging_up_on_one_that_bills_on_is_settled_by_its_own_usage() {
    let world = of("qwen").await;
    world.upstream().will(stream(vec![
        piece(&chunk("abcdefgh")),
        Piece::Gate,
        piece(FINISH),
        piece(&usage_chunk(11, 7)),
        piece("[DONE]"),
    ]));
    let mut answer = world.send(world.chat_request(body(r#","stream":true"#))).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    world.upstream().gate.add_permits(1);
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.estimated), (Ending::HungUp, false));
    assert_eq!(outcome.usage.unwrap().total().0, 18);
    assert_eq!(world.upstream().cancelled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn draining_has_an_end() {
    let kinds = vec!["mistral"];
    let world = World::with(Setup { kinds, drain_max: Duration::from_millis(200), ..Setup::default() }).await;
    world.upstream().will(stream(vec![piece(&chunk("abcdefgh")), Piece::Stall]));
    let mut answer = world.send(world.chat_request(body(r#","stream":true"#))).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.usage.unwrap().output.0), (Ending::HungUp, 2));
    world.upstream().until_cancelled().await;
}

#[tokio::test]
async fn hanging_up_before_a_whole_answer_follows_the_same_rule() {
    // Bills on: the answer is awaited, unseen.
    let world = of("qwen").await;
    let usage = r#","usage":{"prompt_tokens":11,"completion_tokens":7}"#;
    let late = whole("hi", usage);
    world.upstream().will(Script::Stream {
        content_type: "application/json",
        pieces: vec![Piece::Gate, Piece::Bytes(late.into())],
    });
    hang_up_while_waiting(&world, "").await;
    world.upstream().gate.add_permits(1);
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.usage.unwrap().total().0), (Ending::HungUp, 18));

    // Stops: it is cancelled, and the prompt is paid.
    let world = of("openai").await;
    world.upstream().will(Script::Silent);
    hang_up_while_waiting(&world, "").await;
    let outcome = world.till.all_settled().await;
    world.upstream().until_cancelled().await;
    assert_eq!(
        (outcome.ending, outcome.estimated, outcome.usage.unwrap().output.0),
        (Ending::HungUp, true, 0)
    );
    world.till.assert_each_hold_ended_once("while waiting");
}

async fn hang_up_while_waiting(world: &World, rest: &str) {
    let sending = world.send(world.chat_request(body(rest)));
    tokio::select! {
        _ = sending => panic!("answered"),
        () = world.upstream().arrived.notified() => {}
    }
}

#[tokio::test]
async fn nobody_else_is_asked_for_a_client_who_is_gone() {
    let kinds = vec!["qwen", "qwen"];
    let world = World::with(Setup { kinds, ..Setup::default() }).await;
    world.upstream().will(Script::Stream {
        content_type: "application/json",
        pieces: vec![Piece::Gate, Piece::Bytes(Bytes::from_static(b"{\"error\":{\"message\":\"boom\"}}"))],
    });
    hang_up_while_waiting(&world, "").await;
    while world.tails.running() == 0 {
        tokio::task::yield_now().await;
    }
    world.upstream().gate.add_permits(1);
    let outcome = world.till.all_settled().await;
    assert_eq!((outcome.ending, outcome.usage), (Ending::Failed, None));
    assert_eq!(world.upstreams[1].calls(), 0);
}

/// Random upstreams, random clients: every hold that was opened is ended, and none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_its_hold_exactly_once() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..120 {
        let context = format!("seed {seed} round {round}");
        let kind = *random.choice(["openai", "qwen"].as_slice()).unwrap();
        let world = World::with(Setup {
            kinds: vec![kind, "mistral"],
            first_byte_max: Duration::from_millis(150),
            idle_max: Duration::from_millis(150),
            drain_max: Duration::from_millis(150),
            ..Setup::default()
        })
        .await;
        let streaming = random.bool();
        for upstream in &world.upstreams {
            upstream.will(any_script(&mut random, streaming));
        }
        let rest = if streaming { r#","stream":true"# } else { "" };
        let sending = world.send(world.chat_request(body(rest)));
        if random.u8(..4) == 0 {
            tokio::select! {
                _ = sending => {}
                () = world.upstream().arrived.notified() => {}
            }
        } else {
            let mut answer = sending.await;
            let mut frames = if random.bool() { usize::MAX } else { random.usize(..4) };
            while frames > 0
                && let Some(Ok(_)) = answer.body_mut().frame().await
            {
                frames -= 1;
            }
        }
        if !world.till.books.lock().unwrap().asks.is_empty() {
            let outcome = world.till.all_settled().await;
            assert!(outcome.usage.is_none_or(|usage| usage.output.0 <= 4_096), "{context}: {outcome:?}");
        }
        world.till.assert_each_hold_ended_once(&context);
    }
}

fn any_script(random: &mut fastrand::Rng, streaming: bool) -> Script {
    let hostile = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":1e99}}"#;
    match random.u8(..10) {
        0 => answer(500, "oops"),
        1 => answer(429, "{}"),
        2 => answer(400, r#"{"error":{"message":"no"}}"#),
        3 => Script::Silent,
        4 => Script::Close,
        5 if !streaming => answer(200, "<html>"),
        _ if !streaming => {
            answer(200, whole("hello", r#","usage":{"prompt_tokens":3,"completion_tokens":2}"#))
        }
        5 => events(&[&chunk("a"), hostile, FINISH, "[DONE]"]),
        6 => stream(vec![piece(&chunk("a")), Piece::Stall]),
        7 => stream(vec![piece(&chunk("a")), piece(&chunk("b")), Piece::Cut]),
        _ => events(&[&chunk("你"), &chunk("好"), FINISH, &usage_chunk(3, 2), "[DONE]"]),
    }
}
