//! Does a payment become a balance, once, and only as the order says?
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::serve::Site;
use tests::till::text;
use tests::world::{said, sent};
use tests::{Answer, World, nano, until};

#[tokio::test]
async fn a_paid_order_becomes_balance_and_tells_its_story() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00", "kind": "wallet"})).await;
    assert!(text(&order, "id").starts_with("ord_"), "{order:#}");
    assert_eq!(
        (&order["status"], &order["amount"], &order["kind"]),
        (&json!("pending"), &json!("10.00"), &json!("wallet"))
    );
    assert_eq!(order["credited"], Value::Null, "nothing is credited before it is paid");
    let code = text(&order, "code_url");
    assert!(text(&order, "qr_svg").contains("<svg"), "{order:#}");
    let far = world.far_order(&order).await;
    assert_eq!((&far["total"], far["code_url"].as_str()), (&json!(1_000), Some(code)), "{far:#}");
    assert_eq!(world.credits().await["balance"], "0.50");

    world.pay(&order).await.expect(200);
    let paid = world.order_until(&order, "paid").await;
    assert_eq!(paid["credited"]["cny"], "10.00", "{paid:#}");
    assert_eq!(
        (&paid["code_url"], &paid["qr_svg"]),
        (&Value::Null, &Value::Null),
        "a used code is not shown"
    );
    let timeline = paid["timeline"].as_array().expect("a timeline");
    assert!(timeline.len() >= 2, "{paid:#}");
    assert!(
        timeline
            .iter()
            .all(|step| step["at"].is_string() && step["event"].is_string() && step["source"].is_string())
    );
    assert!(timeline.iter().any(|step| step["source"] == "notify"), "{paid:#}");
    assert_eq!(world.credits().await["balance"], "10.50");
    let deliveries = world.deliveries(&order, 1).await;
    assert!(
        deliveries[0]["status"].as_u64().is_some_and(|status| (200..300).contains(&status)),
        "{deliveries:?}"
    );

    let list = world.get("/v1/topups").await.expect(200).json();
    assert_eq!(list["data"][0]["id"], order["id"], "{list:#}");
    assert_eq!(world.pay(&order).await.status, 409, "nobody can pay twice");

    let later = world.topup(&json!({"amount": "3.00"})).await;
    let newest = world.get("/v1/topups?limit=1").await.expect(200).json();
    assert_eq!((&newest["data"][0]["id"], &newest["next_cursor"]), (&later["id"], &later["id"]));
    let behind = format!("/v1/topups?limit=1&cursor={}", text(&newest, "next_cursor"));
    let oldest = world.get(&behind).await.expect(200).json();
    assert_eq!((&oldest["data"][0]["id"], &oldest["next_cursor"]), (&order["id"], &Value::Null));
    for (query, code) in [("limit=3&foo=1", "unknown_parameter"), ("limit=201", "invalid_value")] {
        for list in ["topups", "refunds"] {
            let refused = world.get(&format!("/v1/{list}?{query}")).await;
            refused.error(400, "invalid_request_error", code);
        }
    }
    world.books_balance().await;
}

#[tokio::test]
async fn tokens_are_bought_at_the_price_the_order_shows_and_spent_before_yuan() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00", "kind": "tokens", "model": "sim-fast"})).await;
    assert_eq!((&order["kind"], &order["status"]), (&json!("tokens"), &json!("pending")), "{order:#}");
    world.pay(&order).await.expect(200);
    let paid = world.order_until(&order, "paid").await;
    assert_eq!(paid["credited"]["model"], "sim-fast", "{paid:#}");
    let bought: i64 = text(&paid["credited"], "tokens").parse().expect("a number");
    assert!(bought > 0, "{paid:#}");
    assert_eq!(world.tokens("sim-fast").await, bought);
    assert_eq!(world.credits().await["balance"], "0.50", "tokens are not yuan");

    let answer = world.say("sim-fast", "你好").await.expect(200);
    assert!(world.tokens("sim-fast").await < bought, "the call was paid in tokens");
    assert_eq!(world.credits().await["balance"], "0.50", "and not in yuan");
    let receipt = world.receipt(answer.header("x-request-id")).await;
    assert!(receipt["cost_tokens_milli"].as_i64().is_some_and(|milli| milli > 0), "{receipt:#}");
    world.say("sim-smart", "and this one?").await.expect(200);
    assert!(world.balance().await < nano("0.50"), "tokens of one model do not buy another");
    world.books_balance().await;
}

#[tokio::test]
async fn the_same_key_gets_the_same_order_and_another_body_is_a_conflict() {
    let world = World::demo().await;
    let ask = async |key: &str, amount: &str| -> Answer {
        let request = world.request(Method::POST, "/v1/topups").header("idempotency-key", key);
        sent(request.json(&json!({"amount": amount, "kind": "wallet"}))).await
    };
    let first = ask("one", "10.00").await.expect(201).json();
    let answers = futures_util::future::join_all((0..10).map(|_| ask("one", "10.00"))).await;
    for answer in answers {
        let again = answer.expect(201).json();
        assert_eq!(again["id"], first["id"]);
        assert_eq!(again["code_url"], first["code_url"]);
    }
    assert_eq!(ask("one", "11.00").await.status, 409);
    assert_ne!(ask("two", "10.00").await.expect(201).json()["id"], first["id"]);
    let simultaneous = futures_util::future::join_all((0..10).map(|_| ask("three", "7.00"))).await;
    let ids: Vec<Value> =
        simultaneous.iter().filter(|it| it.status == 201).map(|it| it.json()["id"].clone()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{simultaneous:?}");
    assert!(simultaneous.iter().all(|it| matches!(it.status, 201 | 409)), "{simultaneous:?}");
    let orders = world.sim_get("/orders").await;
    assert_eq!(orders["orders"].as_array().map(Vec::len), Some(3), "{orders:#}");
}

#[tokio::test]
async fn a_device_is_named_and_the_order_is_made() {
    let world = World::demo().await;
    let asked = json!({"amount": "10.00", "device_id": "till-7", "payer_client_ip": "203.0.113.7"});
    let order = world.topup(&asked).await;
    assert_eq!((&order["status"], &order["channel"]), (&json!("pending"), &json!("native")), "{order:#}");
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    // Whoever does not say where the payer is, is taken for one.
    let near = world.topup(&json!({"amount": "10.00", "device_id": "till-7"})).await;
    assert_eq!(near["status"], "pending", "{near:#}");
}

#[tokio::test]
async fn an_operator_may_want_devices_named_and_few_unpaid_orders() {
    let rules = "\n[payments.topup]\ndevice_id = \"required\"\nopen_orders_max = 2\n";
    let mut world = Site::new(|config| config + rules).await.open().await;
    world.customer("alice");
    let order = async |device: Option<&str>| {
        let mut body = json!({"amount": "10.00"});
        body["device_id"] = json!(device);
        world.post("/v1/topups", &body).await
    };
    let refused = order(None).await;
    refused.error(400, "invalid_request_error", "PARAM_ERROR");
    assert_eq!(refused.json()["error"]["param"], "device_id");
    let first = order(Some("0123456789abcdef0123456789abcdef")).await.expect(201).json();
    order(Some("till-7")).await.expect(201);
    let full = order(Some("till-7")).await;
    full.error(409, "invalid_request_error", "too_many_open_orders");
    assert_eq!(full.json()["error"]["max"], 2);
    world.pay(&first).await.expect(200);
    world.order_until(&first, "paid").await;
    order(Some("till-7")).await.expect(201);
    world.books_balance().await;
}

#[tokio::test]
async fn who_pays_again_is_shown_the_same_page_until_it_has_grown_old() {
    let world = World::demo().await;
    let body = json!({"amount": "10.00", "channel": "h5", "payer_client_ip": "203.0.113.7"});
    let order = world.topup(&body).await;
    let again = format!("/v1/topups/{}/pay", text(&order, "id"));
    let shown = world.post(&again, &json!({})).await.expect(200).json();
    assert_eq!(shown["h5_url"], order["h5_url"], "{shown:#}");
    world.advance(Duration::from_secs(200)).await;
    let anew = world.post(&again, &json!({})).await.expect(200).json();
    assert_eq!((&anew["id"], &anew["status"]), (&order["id"], &json!("pending")));
    assert!(anew["h5_url"].is_string() && anew["h5_url"] != order["h5_url"], "{anew:#}");
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    let paid = world.post(&again, &json!({})).await.expect(200).json();
    assert_eq!((&paid["status"], &paid["h5_url"]), (&json!("paid"), &Value::Null));
    world.post("/v1/topups/ord_nothing/pay", &json!({})).await.error(
        404,
        "invalid_request_error",
        "not_found",
    );
    world.books_balance().await;
}

#[tokio::test]
async fn a_way_to_pay_that_cannot_be_is_refused_with_what_is_missing() {
    let world = World::demo().await;
    let long = "x".repeat(129);
    for (member, code, body) in [
        ("channel", "invalid_value", json!({"channel": "app"})),
        ("openid", "missing_required_parameter", json!({"channel": "jsapi"})),
        ("openid", "invalid_value", json!({"channel": "jsapi", "openid": long})),
        ("openid", "invalid_value", json!({"channel": "native", "openid": "oUpF8"})),
        ("openid", "missing_required_parameter", json!({"channel": "mini_program"})),
        ("payer_client_ip", "missing_required_parameter", json!({"channel": "h5"})),
        ("payer_client_ip", "invalid_value", json!({"channel": "h5", "payer_client_ip": "here"})),
        ("return_url", "invalid_value", json!({"return_url": "https://shop.example/paid"})),
        (
            "return_url",
            "invalid_value",
            json!({"channel": "h5", "payer_client_ip": "203.0.113.7", "return_url": "http://shop.example/"}),
        ),
        ("device_id", "invalid_value", json!({"device_id": "x".repeat(33)})),
        ("device_id", "invalid_value", json!({"device_id": ""})),
    ] {
        let mut body = body;
        body["amount"] = json!("10.00");
        let refused = world.post("/v1/topups", &body).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        let error = &refused.json()["error"];
        assert_eq!((&error["param"], &error["code"]), (&json!(member), &json!(code)), "{body}: {error:#}");
    }
    let list = world.get("/v1/topups").await.expect(200).json();
    assert_eq!(list["data"], json!([]), "nothing was written down");
}

#[tokio::test]
async fn a_closed_order_cannot_be_paid() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00", "kind": "wallet"})).await;
    let close = format!("/v1/topups/{}/close", text(&order, "id"));
    let closed = world.post(&close, &json!({})).await.expect(200).json();
    assert_eq!(closed["status"], "closed", "{closed:#}");
    assert_eq!(world.pay(&order).await.status, 409, "the code is dead at WeChat Pay too");
    world.post(&close, &json!({})).await.expect(200);

    let paid = world.top_up("1.00").await;
    let answer = world.post(&format!("/v1/topups/{}/close", text(&paid, "id")), &json!({})).await;
    let still = world.order(&paid).await;
    assert_eq!(still["status"], "paid", "a paid order stays paid: {answer:?}");
    assert_eq!(world.credits().await["balance"], "1.50");
    world.books_balance().await;
}

#[tokio::test]
async fn an_order_nobody_pays_is_closed_when_its_time_is_over() {
    let world = World::demo().await;
    let order = world.topup(&json!({"amount": "10.00", "kind": "wallet"})).await;
    world.advance(Duration::from_secs(3 * 3_600)).await;
    world.order_until(&order, "closed").await;
    assert_eq!(world.pay(&order).await.status, 409);
    assert_eq!(world.credits().await["balance"], "0.50");
}

#[tokio::test]
async fn an_order_is_the_business_of_its_account_alone() {
    let mut world = World::demo().await;
    let order = world.top_up("10.00").await;
    let account = world.admin_post("/admin/v1/accounts", &json!({"name": "other", "livemode": "demo"})).await;
    let account = account.json();
    let id = account["id"]
        .as_str()
        .or(account["account"].as_str())
        .unwrap_or_else(|| panic!("{account:#}"))
        .to_owned();
    let key = world.admin_post("/admin/v1/keys", &json!({"account": id, "name": "other"})).await.json();
    let answer = world.say("sim-fast", "mine").await.expect(200);
    world.key = text(&key, "key").to_owned();
    world.account = id;

    assert_eq!(world.credits().await["balance"], "0.00");
    let hidden = format!("/v1/topups/{}", text(&order, "id"));
    world.get(&hidden).await.expect(404);
    world.post(&format!("{hidden}/close"), &json!({})).await.expect(404);
    world.get(&format!("/v1/generation?id={}", answer.header("x-request-id"))).await.expect(404);
    let refund = world.post("/v1/refunds", &json!({"order": order["id"], "amount": "1.00"})).await;
    assert!((400..500).contains(&refund.status), "{refund:?}");
    world.chat(&said("sim-fast", "no money")).await.error(402, "insufficient_quota", "insufficient_quota");
}

#[tokio::test]
async fn an_order_that_wechat_may_have_taken_is_never_lost() {
    let world = World::demo().await;
    // WeChat Pay takes the order, and its answer is an error; the client asks again with the same key.
    let fault =
        json!({"scope": "wechat", "fault": "status", "op": "create", "status": 500, "executed": true});
    world.fault(fault).await;
    let order = until("the order has a code", || async {
        let request = world.request(Method::POST, "/v1/topups").header("idempotency-key", "again");
        let answer = sent(request.json(&json!({"amount": "10.00", "kind": "wallet"}))).await;
        (answer.status == 201 && answer.json()["code_url"].is_string()).then(|| answer.json())
    })
    .await;
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    assert_eq!(world.credits().await["balance"], "10.50");
    world.books_balance().await;
}
