//! What is left of a promise when the power goes?
//!
//! The far side survives; the gateway is killed without warning, again and again, in the middle of streams and
//! payments, and started again in the same folder. `TOLLGATE_CRASHES` says how often, `TOLLGATE_SEED` repeats a run.
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tests::till::text;
use tests::world::said;
use tests::{Answer, Streamed, World, asked, nano, until};

const CRASHES: usize = 20;
const STREAMS: usize = 8;

/// What customers were told before the lights went out.
#[derive(Debug, Default)]
struct Told {
    /// Calls that began to be answered, and what they cost where that was said.
    calls: BTreeMap<String, Option<String>>,
    /// Orders that were made known, by id.
    orders: BTreeMap<String, Value>,
    /// Orders that were shown as paid.
    paid: Vec<String>,
}

#[tokio::test]
async fn whatever_was_promised_before_a_crash_is_kept_after_it() {
    let crashes =
        asked("TOLLGATE_CRASHES").map_or(CRASHES, |it| it.parse().expect("TOLLGATE_CRASHES is a number"));
    let seed = asked("TOLLGATE_SEED")
        .map_or_else(|| fastrand::u64(..), |it| it.parse().expect("TOLLGATE_SEED is a number"));
    eprintln!("TOLLGATE_SEED={seed} TOLLGATE_CRASHES={crashes}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut world = World::serve(|config| {
        config.replace(
            "[store]",
            "[limits]\nrequests_per_minute = 1_000_000\ntokens_per_minute = 1_000_000_000\n\n[store]",
        )
    })
    .await;
    world.top_up("100.00").await;
    let mut paid = nano("100.00");
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for crash in 1..=crashes {
        let told = Mutex::new(Told::default());
        let time = Duration::from_millis(dice.u64(20..700));
        {
            let load = join(calls(&world, &told, &mut dice), payments(&world, &told));
            // Ends by being dropped: what was under way is cut off, as it is for the customers.
            let _ = tokio::time::timeout(time, load).await;
            world.process.kill9();
        }
        world.start_again().await;
        let told = told.into_inner().expect("no panic under load");
        paid += kept(&world, &told, &mut known).await.unwrap_or_else(|broken| {
            panic!("crash {crash} of seed {seed}, after {time:?}: {broken}\n{told:#?}")
        });
    }
    assert!(!known.is_empty(), "the load was heavy enough to be told some costs");
    // Receipts of earlier rounds have not changed, and nothing came or went beside them.
    for (request, cost) in &known {
        assert_eq!(text(&world.receipt(request).await, "cost_cny"), cost, "{request}");
    }
    let credits = world.credits().await;
    assert_eq!(nano(text(&credits["data"], "total_credits")), paid, "{credits:#}");
    eprintln!("{} calls with a cost told, {} paid in, {} left", known.len(), paid, credits["balance"]);
}

/// Streams without end, so many at once.
async fn calls(world: &World, told: &Mutex<Told>, dice: &mut fastrand::Rng) {
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < STREAMS {
            running.push(call(world, told, dice.u32(..), dice.u8(..)));
        }
        running.next().await;
    }
}

async fn call(world: &World, told: &Mutex<Told>, turn: u32, kind: u8) {
    let body = said(if kind < 200 { "sim-fast" } else { "sim-smart" }, &format!("第 {turn} 轮"));
    let note = |request: &str, cost: Option<String>| {
        told.lock().expect("no panic").calls.insert(request.to_owned(), cost);
    };
    if kind.is_multiple_of(4) {
        let Ok(response) = world.request(Method::POST, "/v1/chat/completions").json(&body).send().await
        else {
            return;
        };
        let head = Streamed::begin(&response);
        if head.status == 200 {
            // The head of a whole answer says the cost before the body is read.
            let cost = Some(head.header("x-tollgate-cost-cny").to_owned()).filter(|cost| !cost.is_empty());
            note(head.header("x-request-id"), cost);
        }
        return;
    }
    let Ok(mut response) = world.stream_begun(&body).await else { return };
    let mut streamed = Streamed::begin(&response);
    if streamed.status != 200 {
        return;
    }
    // Piece by piece, so that what was told is noted even if the rest never comes.
    loop {
        note(streamed.header("x-request-id"), streamed.cost());
        match response.chunk().await {
            Ok(Some(piece)) => streamed.pieces.push(piece),
            Ok(None) | Err(_) => return,
        }
    }
}

/// One top-up after the other, each looked at until it is credited.
async fn payments(world: &World, told: &Mutex<Told>) {
    loop {
        let body = json!({"amount": "3.00", "kind": "wallet"});
        let Ok(response) = world.request(Method::POST, "/v1/topups").json(&body).send().await else { return };
        let Ok(answer) = Answer::read(response).await else { return };
        if answer.status != 201 {
            return;
        }
        let order = answer.json();
        let id = text(&order, "id").to_owned();
        told.lock().expect("no panic").orders.insert(id.clone(), order.clone());
        world.pay(&order).await;
        loop {
            let Ok(response) = world.request(Method::GET, &format!("/v1/topups/{id}")).send().await else {
                return;
            };
            let Ok(answer) = Answer::read(response).await else { return };
            if answer.status == 200 && answer.json()["status"] == "paid" {
                told.lock().expect("no panic").paid.push(id);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Compares what was told with what stands now; what the orders of this round have brought in.
async fn kept(world: &World, told: &Told, known: &mut BTreeMap<String, String>) -> Result<i64, String> {
    // First of all the credits that were acknowledged: they stand at once, not after a while.
    for id in &told.paid {
        let order = world.get(&format!("/v1/topups/{id}")).await;
        if order.status != 200 || order.json()["status"] != "paid" {
            return Err(format!("{id} was paid before: {order:?}"));
        }
    }
    world.books_balance().await;
    for (request, cost) in &told.calls {
        let answer = world.get(&format!("/v1/generation?id={request}")).await;
        if answer.status != 200 {
            return Err(format!("{request} began to be answered and has no receipt: {answer:?}"));
        }
        let receipt = answer.json()["data"].clone();
        let charged = text(&receipt, "cost_cny").to_owned();
        match cost {
            Some(cost) if *cost != charged => {
                return Err(format!("{request} was told to cost {cost}: {receipt:#}"));
            }
            Some(_) => drop(known.insert(request.clone(), charged)),
            None => {}
        }
    }
    // What was made known and paid is found, be it by asking; what nobody paid waits for its time.
    let mut brought = 0;
    for (id, order) in &told.orders {
        let far = world.far_order(order).await;
        if far["trade_state"] != "SUCCESS" {
            continue;
        }
        let paid = until(&format!("{id}, paid at WeChat Pay, is credited"), || async {
            let order = world.order(order).await;
            (order["status"] == "paid").then_some(order)
        })
        .await;
        brought += nano(text(&paid["credited"], "cny"));
    }
    world.books_balance().await;
    Ok(brought)
}
