//! Is a credit code worth what it says, once, and to whom it was given?
use std::time::Duration;

use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

use crate::desk::{answered, ask_as, look, neighbour, operate};

const DAY: Duration = Duration::from_secs(86_400);

fn issue(world: &World, args: &[&str]) -> tests::process::Ran {
    let issue = ["codes", "issue", "-c", &world.config, "--operator", "anna"];
    world.run(&[&issue, args].concat())
}

fn codes(made: &Value) -> Vec<String> {
    let codes = made["codes"].as_array().expect("codes");
    codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect()
}

fn at(later: Duration) -> String {
    let later = jiff::SignedDuration::try_from(later).expect("a span of time");
    (jiff::Timestamp::now() + later).to_string()
}

async fn redeem(world: &World, code: &str) -> tests::Answer {
    world.post("/v1/codes/redeem", &json!({ "code": code })).await
}

#[tokio::test]
async fn a_code_is_worth_its_amount_once_and_says_nothing_to_strangers() {
    let world = World::demo().await;
    let wanted = ["--amount", "10.00", "--count", "3", "--campaign", "spring", "--key", "spring-1"];
    let made = answered(issue(&world, &wanted));
    let [first, second, third] = codes(&made).try_into().expect("three codes");
    assert_eq!(issue(&world, &wanted).code(), 5, "the same key makes no further codes");

    let typed = first.to_lowercase().replace('-', " ");
    let got = redeem(&world, &typed).await.expect(201).json();
    assert_eq!((text(&got, "amount"), text(&got, "campaign")), ("10.00", "spring"), "{got:#}");
    assert_eq!(world.balance().await, nano("10.50"));
    redeem(&world, &first).await.error(409, "invalid_request_error", "code_redeemed");
    redeem(&world, &second).await.error(409, "invalid_request_error", "code_redeemed");
    assert_eq!(world.balance().await, nano("10.50"), "one code of a campaign for an account");

    let (_, stranger) = neighbour(&world).await;
    let as_stranger =
        async |code: &str| ask_as(&world, &stranger, "/v1/codes/redeem", &json!({"code": code})).await;
    let rows = answered(look(&world, &["codes", "list", "--campaign", "spring"]));
    let row = |code: &str| {
        let rows = rows["data"].as_array().expect("rows").iter();
        rows.clone().find(|row| code.ends_with(text(row, "hint"))).expect("the code's row").clone()
    };
    assert_eq!((&row(&first)["used"], &row(&second)["used"]), (&json!(1), &json!(0)), "{rows:#}");
    assert!(!rows.to_string().contains(&third), "a code is shown once");
    answered(operate(&world, &["codes", "void", text(&row(&third), "digest")]));
    let mut words = Vec::new();
    for code in [&*first, &third, "TG-00000-00000-00000-00000", "nonsense"] {
        let refused = as_stranger(code).await.error(404, "invalid_request_error", "not_found");
        words.push((text(&refused, "message").to_owned(), text(&refused, "param").to_owned()));
    }
    words.dedup();
    assert_eq!(words.len(), 1, "used, withdrawn, wrong: nothing is learnt by trying: {words:?}");
    as_stranger(&second).await.expect(201);
    world.books_balance().await;

    for (args, said) in [
        (["--amount", "0", "--count", "1", "--campaign", "x"], "positive"),
        (["--amount", "1.0000000001", "--count", "1", "--campaign", "x"], "amount"),
        (["--amount", "1", "--count", "0", "--campaign", "x"], "count"),
        (["--amount", "1", "--count", "1001", "--campaign", "x"], "count"),
        (["--amount", "1", "--count", "1", "--campaign", "for you"], "campaign"),
    ] {
        let refused = issue(&world, &args);
        assert_eq!(refused.code(), 6, "{args:?}: {refused:?}");
        assert!(refused.stderr().contains(said), "{args:?}: {refused:?}");
    }
    let empty = world.post("/v1/codes/redeem", &json!({})).await.expect(400).json();
    assert_eq!(empty["error"]["param"], "code");
}

#[tokio::test]
async fn codes_and_what_they_gave_end_by_themselves() {
    let world = World::demo().await;
    let tomorrow = at(DAY);
    let wanted = ["--amount", "3.00", "--count", "2", "--campaign", "short", "--expires", &tomorrow];
    let listed = issue(&world, &[&wanted[..], &["--lasts-days", "2", "--format", "csv"]].concat()).ok();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "code,amount,campaign,expires"), "{listed}");
    let code = |line: &str| line.split(',').next().expect("a code").to_owned();
    let got = redeem(&world, &code(lines[1])).await.expect(201).json();
    assert!(got["expires_at"].is_string(), "{got:#}");
    let cost = nano(world.say("sim-fast", "a part is used").await.expect(200).header("x-tollgate-cost-cny"));
    world.advance(DAY + Duration::from_secs(60)).await;
    let (_, other) = neighbour(&world).await;
    let late = ask_as(&world, &other, "/v1/codes/redeem", &json!({"code": code(lines[2])})).await;
    late.error(409, "invalid_request_error", "code_expired");
    assert_eq!(world.balance().await, nano("3.50") - cost);

    world.advance(DAY).await;
    let left = until("the gift is over", || async {
        let credits = world.credits().await;
        (credits["expired"] != "0.00").then_some(credits)
    })
    .await;
    // What ends first is used first: the rest of the gift went, the trial is whole.
    assert_eq!(
        (text(&left, "balance"), nano(text(&left, "expired"))),
        ("0.50", nano("3.00") - cost),
        "{left:#}"
    );
    world.books_balance().await;
}

#[tokio::test]
async fn trying_codes_is_as_fast_as_the_key_may_be() {
    let world = World::demo().await;
    let wanted = json!({"account": world.account, "name": "slow", "requests_per_minute": 2});
    let key = world.admin_post("/admin/v1/keys", &wanted).await.expect(201).json();
    let mut refused = None;
    for _ in 0..4 {
        let answer = ask_as(&world, text(&key, "key"), "/v1/codes/redeem", &json!({"code": "TG-1"})).await;
        match answer.status {
            404 => {}
            429 => refused = Some(answer),
            _ => panic!("{answer:?}"),
        }
    }
    let refused = refused.expect("a refusal");
    refused.error(429, "requests", "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=61).contains(&wait), "{refused:?}");
}
