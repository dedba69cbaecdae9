//! Who pays which price, from when on, and what if nobody knows the rate of exchange?
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::process::Ran;
use tests::till::text;
use tests::world::{said, sent};
use tests::{Answer, Streamed, World};

const HOUR: Duration = Duration::from_secs(3_600);

/// `tollgate prices ...` or `tollgate fx ...` beside the running process.
fn operate(world: &World, args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.extend(["-c", &world.config, "-o", "json"]);
    world.run(&all)
}

fn answered(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).expect("JSON")
}

/// Saves the list in force with one model's price of output changed, as the draft of `list`.
fn draft(world: &World, list: &str, model: &str, output: &str) {
    let shown = ["prices", "show", "standard", "--document", "-c", &world.config];
    let mut document: Value = serde_json::from_str(&world.run(&shown).ok()).expect("a document");
    document["models"][model]["output"] = output.into();
    let file = world.dir().join("list.json");
    std::fs::write(&file, document.to_string()).expect("a file in a folder of ours");
    let file = file.to_str().expect("a path in UTF-8");
    let saved = answered(operate(world, &["prices", "draft", list, "--file", file]));
    assert_eq!(text(&saved, "list"), list, "{saved}");
}

fn publish(world: &World, list: &str, at: Option<&str>) -> Value {
    let mut args = vec!["prices", "publish", list, "--reason", "a journey", "--yes"];
    args.extend(at.iter().flat_map(|at| ["--at", at]));
    answered(operate(world, &args))
}

fn output_price(receipt: &Value) -> &str {
    let lines = receipt["lines"].as_array().expect("lines");
    let line = lines.iter().find(|line| line["class"] == "output").expect("a line for output");
    text(line, "price_cny_per_million")
}

async fn ask_as(world: &World, key: &str, path: &str, body: Option<Value>) -> Answer {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let request = world.http.request(method, format!("{}{path}", world.public_url)).bearer_auth(key);
    sent(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

#[tokio::test]
async fn a_new_price_counts_for_the_next_call_and_not_for_one_under_way() {
    let world = World::demo().await;
    let mut response = world.stream_begun(&said("sim-slow", "take your time")).await.expect("an answer");
    let mut streamed = Streamed::begin(&response);
    streamed.take_some(&mut response, 2).await;

    draft(&world, "standard", "sim-slow", "12.00");
    let diff = operate(&world, &["prices", "diff"]);
    assert_eq!(diff.code(), 8, "differences were found: {diff:?}");
    let diff: Value = serde_json::from_str(&diff.stdout()).expect("JSON");
    let moved = &diff["prices"][0];
    assert_eq!(
        (text(moved, "old"), text(moved, "new"), text(moved, "percent")),
        ("6.00", "12.00", "+100.00")
    );
    let dry = answered(operate(&world, &["prices", "publish", "--reason", "try", "--dry-run"]));
    assert_eq!(dry["dry_run"], true, "{dry}");
    let unasked = operate(&world, &["prices", "publish", "--reason", "nobody was asked"]);
    assert_eq!(unasked.code(), 2, "{unasked:?}");
    assert_eq!(text(&publish(&world, "standard", None), "version"), "standard:2");

    let next = world.say("sim-slow", "and again").await.expect(200);
    assert_eq!(next.header("x-tollgate-price-version"), "standard:2");
    streamed.take_some(&mut response, usize::MAX).await;
    assert!(streamed.done(), "{}", streamed.text());
    let before = world.receipt(streamed.header("x-request-id")).await;
    assert_eq!((text(&before, "price_version"), output_price(&before)), ("standard:1", "6.00"));
    let after = world.receipt(next.header("x-request-id")).await;
    assert_eq!((text(&after, "price_version"), output_price(&after)), ("standard:2", "12.00"));
    let model = world.get("/v1/models/sim-slow").await.json();
    assert_eq!(text(&model["pricing"], "output"), "12.00");
    assert_eq!(operate(&world, &["prices", "diff"]).code(), 3, "the draft is a version now");
    world.books_balance().await;
}

#[tokio::test]
async fn a_version_with_a_date_counts_from_that_instant_on() {
    let world = World::demo().await;
    draft(&world, "standard", "sim-fast", "80.00");
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let past = ["prices", "publish", "--reason", "too late", "--yes", "--at", "2020-01-01T00:00:00Z"];
    assert_eq!(operate(&world, &past).code(), 6, "what was sold under is history");
    publish(&world, "standard", Some(&tomorrow.to_string()));
    let lists = answered(operate(&world, &["prices", "lists"]));
    assert_eq!(
        (&lists["data"][0]["in_force"], &lists["data"][0]["to_come"][0]["version"]),
        (&json!(1), &json!(2))
    );
    let version = async || {
        let answer = world.say("sim-fast", "hello").await.expect(200);
        answer.header("x-tollgate-price-version").to_owned()
    };
    assert_eq!(version().await, "standard:1");
    world.advance(23 * HOUR).await;
    assert_eq!(version().await, "standard:1");
    world.advance(HOUR).await;
    assert_eq!(version().await, "standard:2", "at once: nobody has to reload anything");
    world.books_balance().await;
}

#[tokio::test]
async fn an_account_pays_by_the_list_it_was_assigned_everywhere() {
    let world = World::demo().await;
    let friend: Value =
        answered(operate(&world, &["accounts", "create", "--name", "friend", "--livemode", "demo"]));
    let account = text(&friend, "id");
    let key: Value = answered(operate(&world, &["keys", "create", "--account", account]));
    let key = text(&key, "key");
    draft(&world, "friends", "sim-fast", "1.00");
    let assign = ["prices", "assign", "--account", account, "--reason", "a friend", "--list", "friends"];
    let early = operate(&world, &assign);
    assert_eq!(early.code(), 5, "a list without a version sells nothing: {early:?}");
    publish(&world, "friends", None);
    answered(operate(&world, &assign));

    let price = async |key: &str| {
        let model = ask_as(&world, key, "/v1/models/sim-fast", None).await.expect(200).json();
        (text(&model["pricing"], "output").to_owned(), text(&model["pricing"], "price_version").to_owned())
    };
    assert_eq!(price(key).await, ("1.00".to_owned(), "friends:1".to_owned()));
    assert_eq!(price(&world.key).await, ("8.00".to_owned(), "standard:1".to_owned()));
    let wanted = json!({"amount": "1.00", "kind": "tokens", "model": "sim-fast"});
    let order = ask_as(&world, key, "/v1/topups", Some(wanted)).await.expect(201).json();
    assert_eq!(text(&order["buys"], "price_version"), "friends:1");
    let wallet = ask_as(&world, key, "/v1/topups", Some(json!({"amount": "1.00"}))).await.expect(201).json();
    world.pay(&wallet).await.expect(200);
    let version = tests::until("the friend's call", || async {
        let answer = ask_as(&world, key, "/v1/chat/completions", Some(said("sim-fast", "hi"))).await;
        (answer.status == 200).then(|| answer.header("x-tollgate-price-version").to_owned())
    })
    .await;
    assert_eq!(version, "friends:1");
    let back = ["prices", "assign", "--account", account, "--reason", "no friend any more", "--default"];
    answered(operate(&world, &back));
    assert_eq!(price(key).await.1, "standard:1");
    world.books_balance().await;
}

#[tokio::test]
async fn without_a_fresh_rate_dollar_models_are_not_sold_until_a_person_pins_one() {
    let world = World::demo().await;
    world.top_up("100.00").await;
    let sold = async || world.say("sim-luxury", "hello").await;
    let fx_of = async |answer: &Answer| {
        let receipt = world.receipt(answer.header("x-request-id")).await;
        text(&receipt, "fx_id").to_owned()
    };
    let fresh = sold().await.expect(200);
    assert_eq!(fx_of(&fresh).await, "USD/CNY:1");

    world.fault(json!({"scope": "fx", "fault": "status", "status": 500, "times": 0})).await;
    world.advance(11 * HOUR).await;
    sold().await.expect(200);
    world.advance(2 * HOUR).await;
    sold().await.error(503, "server_error", "price_unavailable");
    world.say("sim-fast", "yuan prices need no rate").await.expect(200);
    let wanted = json!({"amount": "1.00", "kind": "tokens", "model": "sim-luxury"});
    world.post("/v1/topups", &wanted).await.error(503, "server_error", "price_unavailable");
    let shown = answered(operate(&world, &["fx", "show"]));
    assert_eq!(text(&shown["data"][0], "state"), "stale", "{shown}");

    let slip = operate(&world, &["fx", "pin", "USD/CNY", "0.72", "--reason", "a slip of the pen"]);
    assert_eq!(slip.code(), 5, "more than 3 % off must be meant: {slip:?}");
    let pinned =
        answered(operate(&world, &["fx", "pin", "USD/CNY", "7.20", "--reason", "the sources are down"]));
    let revived = sold().await.expect(200);
    assert_eq!(fx_of(&revived).await, text(&pinned, "id"));
    let receipt = world.receipt(revived.header("x-request-id")).await;
    assert_eq!(output_price(&receipt), "432.00", "60 dollars at 7.20");

    answered(operate(&world, &["fx", "unpin", "USD/CNY", "--reason", "back to the sources"]));
    sold().await.error(503, "server_error", "price_unavailable");
    world.no_faults().await;
    world.advance(Duration::from_secs(60)).await;
    tests::until("the source speaks again", || async { (sold().await.status == 200).then_some(()) }).await;
    let history = answered(operate(&world, &["fx", "history", "USD/CNY"]));
    let authors: Vec<&str> =
        history["data"].as_array().expect("rows").iter().map(|row| text(row, "author")).collect();
    assert_eq!(authors, ["fx", "admin-token", "fx"], "{history}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_bad_price_list_is_refused_with_its_place_and_a_stopped_server_takes_a_good_one() {
    let mut world = World::serve(|config| config).await;
    let file = world.dir().join("list.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file in a folder of ours");
    let path = file.to_str().expect("a path in UTF-8").to_owned();
    for (text, code, expected) in [
        ("[models.sim-fast]\ninput = \"2.005\"\noutput = \"4.00\"\n", 6, "models.sim-fast.input"),
        ("[models.sim-fast]\ninput = \"2.00\"\noutputs = \"4.00\"\n", 6, "outputs"),
        ("[models.sim-fast]\ninput = 2.00\noutput = \"4.00\"\n", 6, "string"),
    ] {
        write(text);
        let ran = operate(&world, &["prices", "draft", "--file", &path]);
        assert_eq!(ran.code(), code, "{ran:?}");
        assert!(ran.stderr().contains(expected), "{ran:?}");
    }
    assert_eq!(operate(&world, &["prices", "show", "nowhere"]).code(), 3);
    assert_eq!(operate(&world, &["prices", "draft", "No Name", "--from-config"]).code(), 6);
    let nobody = world.http.get(format!("{}/admin/v1/price-lists", world.admin_url));
    assert_eq!(sent(nobody).await.status, 401, "prices are the operators' business");

    world.process.stop();
    write("scale = 3\n[models.sim-fast]\ninput = \"0.005\"\noutput = \"0.007\"\nmarkup_percent = \"20\"\n");
    answered(operate(&world, &["prices", "draft", "--file", &path]));
    let rounding = answered(operate(&world, &["prices", "rounding", "--number", "draft"]));
    let off = &rounding["data"][0];
    assert_eq!(
        (text(off, "exact"), text(off, "price"), text(off, "off_percent")),
        ("0.0084", "0.008", "4.76")
    );
    publish(&world, "standard", None);
    world.start_again().await;
    world.top_up("1.00").await;
    let answer = world.say("sim-fast", "cheap").await.expect(200);
    assert_eq!(answer.header("x-tollgate-price-version"), "standard:2");
    world.say("sim-smart", "not listed").await.error(503, "server_error", "price_unavailable");
    world.books_balance().await;
}

#[tokio::test]
async fn the_file_sets_prices_until_an_operator_publishes_some() {
    let mut world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let version = async |world: &World| {
        let answer = world.say("sim-fast", "hello").await.expect(200);
        answer.header("x-tollgate-price-version").to_owned()
    };
    let edit = |world: &World, from: &str, to: &str| {
        let text = std::fs::read_to_string(&world.config).expect("the file");
        assert!(text.contains(from), "{text}");
        std::fs::write(&world.config, text.replace(from, to)).expect("the file");
    };
    assert_eq!(version(&world).await, "standard:1");
    world.restart().await;
    assert_eq!(version(&world).await, "standard:1", "nothing changed");
    edit(&world, "output = \"4.00\"", "output = \"5.00\"");
    world.restart().await;
    assert_eq!(version(&world).await, "standard:2");
    draft(&world, "standard", "sim-fast", "6.00");
    world.restart().await;
    assert_eq!(version(&world).await, "standard:2");
    publish(&world, "standard", None);
    edit(&world, "output = \"5.00\"", "output = \"7.00\"");
    world.restart().await;
    assert_eq!(version(&world).await, "standard:3", "the operator's word stands");
    let model = world.get("/v1/models/sim-fast").await.json();
    assert_eq!(text(&model["pricing"], "output"), "6.00");
    answered(operate(&world, &["prices", "draft", "--from-config"]));
    assert_eq!(operate(&world, &["prices", "diff"]).code(), 8, "the file is where a draft may begin");
    world.books_balance().await;
}
