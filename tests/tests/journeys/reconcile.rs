//! Does a day's bill agree with the books, is what does not agree found, and can a person settle it?
use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::{Value, json};
use tests::till::text;
use tests::{World, nano, until};

use crate::desk::{answered, look, operate};

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// The time in Beijing: micros since the epoch there, which is no instant.
async fn in_beijing(world: &World) -> i64 {
    world.sim_get("/clock").await["now_micros"].as_i64().expect("micros") + 8 * HOUR_MICROS
}

/// Noon of the next day in Beijing, far from any midnight; which day that is.
async fn at_noon(world: &World) -> String {
    let now = in_beijing(world).await;
    let noon = (now.div_euclid(DAY_MICROS) + 1) * DAY_MICROS + 12 * HOUR_MICROS;
    world.advance(Duration::from_micros((noon - now).try_into().expect("ahead"))).await;
    let secs = noon / 1_000_000;
    jiff::Timestamp::from_second(secs).expect("a time").strftime("%Y-%m-%d").to_string()
}

/// What was found of a day, by class and number.
fn found(day: &Value) -> BTreeSet<(String, String)> {
    let rows = day["differences"].as_array().expect("differences").iter();
    rows.map(|row| {
        let number = ["out_refund_no", "out_trade_no"].into_iter().find_map(|name| row[name].as_str());
        (text(row, "class").to_owned(), number.expect("a number").to_owned())
    })
    .collect()
}

/// Ten in the morning is over: the day was compared by itself.
async fn compared(world: &World, day: &str) -> Value {
    world.advance(23 * HOUR).await;
    until("the day was compared", || async {
        let days = format!("/admin/v1/reconciliation/days?from={day}&to={day}");
        let days = world.admin_get(&days).await.expect(200).json();
        days["data"].as_array().and_then(|days| days.first()).filter(|day| day["runs"] != 0).cloned()
    })
    .await
}

#[tokio::test]
async fn a_day_agrees_and_injected_differences_are_found_explained_and_signed_off() {
    let world = World::demo().await;
    let day = at_noon(&world).await;
    let order = world.top_up("88.00").await;
    let refund = json!({"amount": "8.00", "order": text(&order, "id")});
    let refund = world.post("/v1/refunds", &refund).await.expect(201).json();
    until("the refund has arrived", || async {
        world.advance(Duration::from_millis(500)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
    let early = operate(&world, &["reconcile", "wechat", "--date", &day]);
    assert_eq!(early.code(), 75, "the day is not over: {early:?}");

    let row = compared(&world, &day).await;
    assert_eq!((&row["status"], &row["differences"]), (&json!("agrees"), &json!([])), "{row:#}");
    assert_eq!((&row["payments_matched"], &row["refunds_matched"]), (&json!(1), &json!(1)), "{row:#}");
    assert_eq!((text(&row, "paid"), text(&row, "refunded")), ("88.00", "8.00"));
    // 0.60 % of 88 yuan, less that of the 8 that went back.
    assert_eq!((nano(text(&row, "fees")), &row["movements"]), (nano("0.48"), &json!(4)), "{row:#}");
    let by_hand = &answered(operate(&world, &["reconcile", "wechat", "--date", &day]))["data"][0];
    assert_eq!((&by_hand["open"], &by_hand["fees"]), (&json!(0), &row["fees"]), "{by_hand:#}");
    assert!(world.metric("tollgate_reconcile_last_good_timestamp_seconds", &[]).await > 0.0);
    let signed = &answered(operate(&world, &["reconcile", "sign-off", "--date", &day]))["data"][0];
    assert_eq!((&signed["status"], &signed["signed_off"][0]["by"]), (&json!("signed_off"), &json!("anna")));
    assert_eq!(signed["signed_off"][0]["approver"], Value::Null, "nobody had to agree");

    // Another day, and its bills are wrong in four places.
    let day = at_noon(&world).await;
    let orders = [world.top_up("10.00").await, world.top_up("20.00").await, world.top_up("30.00").await];
    world.top_up("40.00").await;
    let number = |place: usize| text(&orders[place], "out_trade_no").to_owned();
    for fault in [
        json!({"fault": "bill_row_missing", "bill": "trade", "out_trade_no": number(0)}),
        json!({"fault": "bill_row_different", "bill": "trade", "total": 2_001, "out_trade_no": number(1)}),
        json!({"fault": "bill_row_missing", "bill": "fund_flow", "out_trade_no": number(2)}),
        json!({"fault": "bill_row_extra", "bill": "trade", "total": 700}),
    ] {
        let mut fault = fault;
        fault["scope"] = "wechat".into();
        world.fault(fault).await;
    }
    let row = compared(&world, &day).await;
    let injected = world.sim_get(&format!("/wechat/bills/{day}")).await;
    let extra = injected["spoilt"]
        .as_array()
        .expect("what is wrong")
        .iter()
        .find_map(|is| (is["fault"] == "bill_row_extra").then(|| text(is, "out_trade_no").to_owned()));
    let wanted = [
        ("missing_in_bill", number(0)),
        ("amount_mismatch", number(1)),
        ("flow_missing", number(2)),
        ("missing_locally", extra.expect("an extra row")),
    ];
    let wanted: BTreeSet<_> = wanted.into_iter().map(|(class, number)| (class.to_owned(), number)).collect();
    assert_eq!(found(&row), wanted, "{row:#}");
    let ran = operate(&world, &["reconcile", "wechat", "--date", &day, "--progress", "json"]);
    assert_eq!(ran.code(), 8, "{ran:?}");
    let again: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(found(&again["data"][0]), wanted);
    assert_eq!(look(&world, &["reconcile", "report", "--date", &day]).code(), 8);
    let report = ["reconcile", "report", "--date", &day, "-c", &world.config, "--format", "table"];
    let table = world.run(&report).stdout();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for start in [
        "data:",
        "date merchant status payments paid refunds refunded fees open",
        "differences:",
        "date merchant id class status out_trade_no out_refund_no bill ours unmatched detail",
    ] {
        assert!(table.lines().any(|line| words(line).starts_with(start)), "{start}: {table}");
    }
    assert!(!table.contains('{'), "{table}");
    let open = world.metric("tollgate_reconcile_open_differences", &["class=\"missing_in_bill\""]).await;
    assert!((open - 1.0).abs() < f64::EPSILON, "{open}");

    let sign = |more: &[&str]| operate(&world, &[&["reconcile", "sign-off", "--date", &day], more].concat());
    let open = sign(&[]);
    assert_eq!(open.code(), 5, "{open:?}");
    for difference in again["data"][0]["differences"].as_array().expect("differences") {
        let resolve = ["reconcile", "resolve", text(difference, "id"), "--class"];
        let unknown = operate(&world, &[&resolve[..], &["a_guess", "--reason", "why"]].concat());
        assert_eq!(unknown.code(), 6, "{unknown:?}");
        let signed = ["bill_wrong", "--reason", "a journey", "--evidence", "T-1"];
        let done = answered(operate(&world, &[&resolve[..], &signed].concat()));
        assert_eq!((&done["status"], &done["resolution"]["evidence"]), (&json!("resolved"), &json!("T-1")));
    }
    let why = ["--reason", "looked at with the bank"];
    assert_eq!(sign(&why).code(), 6, "who explained it does not sign alone");
    let signed = answered(sign(&[&why[..], &["--approver", "ben"]].concat()));
    let who = &signed["data"][0]["signed_off"][0];
    assert_eq!((&who["by"], &who["approver"]), (&json!("anna"), &json!("ben")), "{who:#}");
    let settled = answered(operate(&world, &["reconcile", "wechat", "--date", &day]));
    assert_eq!(settled["data"][0]["status"], "signed_off", "what was explained stays so: {settled:#}");
    let csv =
        world.run(&["reconcile", "report", "--date", &day, "--format", "csv", "-c", &world.config]).ok();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.contains("bill_wrong,anna,a journey,T-1"), "{csv}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_file_is_taken_where_it_is_the_days_bill_and_refused_by_name_where_not() {
    let world = World::demo().await;
    let day = at_noon(&world).await;
    world.top_up("88.00").await;
    world.advance(23 * HOUR).await;
    let file = world.dir().join("bill.csv");
    let brought = |name: &std::path::Path| {
        let name = name.to_str().expect("UTF-8");
        operate(&world, &["reconcile", "wechat", "--date", &day, "--file", name])
    };
    fs::write(&file, "not a bill").expect("written");
    let refused = brought(&file);
    assert_eq!(refused.code(), 6, "{refused:?}");
    assert!(
        refused.stderr().contains("bill.csv") && refused.stderr().contains("not that of a bill"),
        "{refused:?}"
    );
    let absent = brought(&world.dir().join("absent.csv"));
    assert_eq!(absent.code(), 3, "{absent:?}");
    let nobody = operate(&world, &["reconcile", "wechat", "--date", &day, "--merchant", "nobody"]);
    assert_eq!(nobody.code(), 3, "{nobody:?}");
    for odd in ["2025-13-01", "yesterday", "2025-1-1"] {
        let ran = operate(&world, &["reconcile", "wechat", "--date", odd]);
        assert_eq!(ran.code(), 6, "{odd}: {ran:?}");
    }
    let never = look(&world, &["reconcile", "report", "--date", "2020-01-01"]);
    assert_eq!(never.code(), 3, "{never:?}");
    world.books_balance().await;
}
