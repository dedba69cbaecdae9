//! Does a payment arrive whichever way it is made, by both of WeChat Pay's APIs, and does it find its way back?
use std::{fs, time::Duration};

use md5::{Digest as _, Md5};
use reqwest::Method;
use serde_json::{Value, json};
use tests::till::text;
use tests::world::sent;
use tests::{World, nano, until};

/// A gateway that makes new orders so.
async fn by(api: &str, sign_type: &str) -> World {
    let wechat = "[payments.wechat.main]\n";
    let edited = format!("{wechat}api = \"{api}\"\nsign_type = \"{sign_type}\"\n");
    World::serve(|config| config.replacen(wechat, &edited, 1)).await
}

/// The page or Mini Program shows what it was given to WeChat, which looks at the signature.
async fn shown_to_wechat(world: &World, appid: &str, prepay: &Value) {
    let page = async |nonce: &str| {
        let mut url: reqwest::Url = format!("{}/phone/jsapi", world.sim_url).parse().expect("a URL");
        url.query_pairs_mut().append_pair("appId", appid).append_pair("nonceStr", nonce);
        for member in ["timeStamp", "package", "signType", "paySign"] {
            url.query_pairs_mut().append_pair(member, text(prepay, member));
        }
        world.http.get(url).send().await.expect("a page").text().await.expect("text")
    };
    let shown = page(text(prepay, "nonceStr")).await;
    assert!(shown.contains("/phone/pay/"), "the payment can be made: {shown}");
    let shown = page("another").await;
    assert!(!shown.contains("/phone/pay/"), "a signature over something else is none: {shown}");
}

async fn every_way_arrives_and_finds_its_way_back(api: &str, sign_type: &str) {
    let world = by(api, sign_type).await;
    let context = format!("{api} {sign_type}");
    let place = "203.0.113.7";
    for asked in [
        json!({"amount": "10.00"}),
        json!({"amount": "10.00", "device_id": "till-7", "payer_client_ip": place}),
        json!({"amount": "10.00", "channel": "jsapi", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}),
        json!({"amount": "10.00", "channel": "mini_program", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6p"}),
        json!({"amount": "10.00", "channel": "h5", "payer_client_ip": place,
            "return_url": "https://shop.example/paid?a=b"}),
    ] {
        let order = world.topup(&asked).await;
        let channel = asked["channel"].as_str().unwrap_or("native");
        assert_eq!(
            (&order["status"], &order["channel"]),
            (&json!("pending"), &json!(channel)),
            "{context}: {order:#}"
        );
        assert_eq!(order["code_url"].is_string(), channel == "native", "{context}: {order:#}");
        assert_eq!(order["h5_url"].is_string(), channel == "h5", "{context}: {order:#}");
        match channel {
            "jsapi" => {
                assert_eq!(order["mini_program"], Value::Null);
                let prepay = &order["prepay"];
                shown_to_wechat(&world, text(prepay, "appId"), prepay).await;
                let again = world.order(&order).await;
                assert_ne!(again["prepay"]["nonceStr"], prepay["nonceStr"], "signed anew each time");
            }
            "mini_program" => {
                let program = &order["mini_program"];
                let path = format!("pages/pay/index?order={}", text(&order, "id"));
                assert_eq!((&program["path"], &order["prepay"]["appId"]), (&json!(path), &Value::Null));
                shown_to_wechat(&world, text(program, "appid"), &order["prepay"]).await;
            }
            "h5" => {
                let url = text(&order, "h5_url");
                assert!(url.ends_with("&redirect_url=https%3A%2F%2Fshop.example%2Fpaid%3Fa%3Db"), "{url}");
            }
            _ => assert_eq!(order["prepay"], Value::Null),
        }
        world.pay(&order).await.expect(200);
        let paid = world.order_until(&order, "paid").await;
        let timeline = paid["timeline"].as_array().expect("a timeline");
        assert!(timeline.iter().any(|step| step["source"] == "notify"), "{context}: {paid:#}");
        let named = |step: &Value| step["detail"].as_str().is_some_and(|it| it.starts_with("Request-ID 08"));
        let taken: Vec<_> = timeline.iter().filter(|step| step["event"] == "pending").collect();
        assert_eq!((taken.len(), named(taken[0])), (1, api == "v3"), "API v2 names none: {paid:#}");
        assert_eq!(
            (&paid["code_url"], &paid["prepay"], &paid["h5_url"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
    assert_eq!(world.balance().await, nano("50.00"), "{context}");

    let refund = world.request(Method::POST, "/v1/refunds").json(&json!({"amount": "25.00"}));
    let refund = sent(refund).await.expect(201).json();
    until("the refund has arrived", || async {
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        let detail = refund["items"][0]["detail"].as_str().unwrap_or_default();
        (refund["status"] == "success").then(|| assert_eq!(detail.starts_with("Request-ID 08"), api == "v3"))
    })
    .await;
    assert_eq!(world.balance().await, nano("25.00"), "{context}");
    world.books_balance().await;
}

#[tokio::test]
async fn every_way_to_pay_by_api_v3_arrives_and_finds_its_way_back() {
    every_way_arrives_and_finds_its_way_back("v3", "HMAC-SHA256").await;
}

#[tokio::test]
async fn every_way_to_pay_by_api_v2_arrives_and_finds_its_way_back() {
    every_way_arrives_and_finds_its_way_back("v2", "HMAC-SHA256").await;
}

#[tokio::test]
async fn every_way_to_pay_by_api_v2_with_md5_arrives_and_finds_its_way_back() {
    every_way_arrives_and_finds_its_way_back("v2", "MD5").await;
}

#[tokio::test]
async fn a_payment_by_api_v2_whose_notices_are_lost_is_found_by_asking() {
    let world = by("v2", "HMAC-SHA256").await;
    world.fault(json!({"scope": "wechat", "fault": "drop_notification", "all": true, "times": 0})).await;
    let order = world.topup(&json!({"amount": "10.00"})).await;
    world.pay(&order).await.expect(200);
    let paid = world.order_until(&order, "paid").await;
    let timeline = paid["timeline"].as_array().expect("a timeline");
    assert!(timeline.iter().any(|step| step["source"] == "query"), "{paid:#}");
    world.books_balance().await;
}

#[tokio::test]
async fn orders_keep_the_api_they_were_made_by() {
    let mut world = by("v2", "MD5").await;
    let old = world.topup(&json!({"amount": "10.00"})).await;
    let config = fs::read_to_string(&world.config).expect("the configuration");
    fs::write(&world.config, config.replace("api = \"v2\"", "api = \"v3\"")).expect("written");
    world.restart().await;
    let new = world.topup(&json!({"amount": "20.00"})).await;
    for order in [&old, &new] {
        world.pay(order).await.expect(200);
        world.order_until(order, "paid").await;
    }
    assert_eq!(world.balance().await, nano("30.00"));
    world.books_balance().await;
}

#[tokio::test]
async fn an_order_by_api_v2_is_not_closed_before_it_may_be_and_a_payment_until_then_counts() {
    let world = by("v2", "HMAC-SHA256").await;
    let order = world.topup(&json!({"amount": "10.00"})).await;
    let close = world.request(Method::POST, &format!("/v1/topups/{}/close", text(&order, "id")));
    let closing = sent(close).await.expect(200).json();
    assert_eq!(
        closing["status"], "pending",
        "WeChat Pay closes none that is younger than five minutes: {closing:#}"
    );
    let timeline = closing["timeline"].as_array().expect("a timeline");
    assert!(timeline.iter().any(|step| step["event"] == "close_requested"), "{closing:#}");
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    assert_eq!(world.balance().await, nano("10.00"));
    world.books_balance().await;
}

#[tokio::test]
async fn an_order_by_api_v2_that_nobody_wants_is_closed_by_itself_once_it_may_be() {
    let world = World::demo_with(&["--wechat-api", "v2"]).await;
    let order = world.topup(&json!({"amount": "10.00"})).await;
    let close = world.request(Method::POST, &format!("/v1/topups/{}/close", text(&order, "id")));
    assert_eq!(sent(close).await.expect(200).json()["status"], "pending");
    world.advance(Duration::from_secs(301)).await;
    world.order_until(&order, "closed").await;
    assert_eq!(world.far_order(&order).await["trade_state"], "CLOSED");
    assert_eq!(world.credits().await["balance"], "0.50");
    world.books_balance().await;
}

/// A notice as a forger writes it who has learnt the key but may sign with MD5 only.
fn signed_with_md5(fields: &[(&str, &str)], key: &str) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let text: String = sorted.iter().map(|(name, value)| format!("{name}={value}&")).collect();
    let sign = Md5::digest(format!("{text}key={key}").as_bytes());
    let sign: String = sign.iter().map(|byte| format!("{byte:02X}")).collect();
    let element = |(name, value): (&str, &str)| format!("<{name}><![CDATA[{value}]]></{name}>");
    let inside: String = sorted.into_iter().chain([("sign", sign.as_str())]).map(element).collect();
    format!("<xml>{inside}</xml>")
}

#[tokio::test]
async fn what_is_signed_otherwise_than_its_order_and_what_is_not_genuine_credits_nothing() {
    let world = by("v2", "HMAC-SHA256").await;
    let order = world.topup(&json!({"amount": "10.00"})).await;
    let credentials: Value =
        serde_json::from_str(&fs::read_to_string(world.dir().join("far/wechat.json")).expect("a file"))
            .expect("JSON");
    let number = text(&order, "out_trade_no");
    let fields = [
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("appid", text(&credentials, "appid")),
        ("mch_id", text(&credentials, "mchid")),
        ("nonce_str", "a"),
        ("openid", "o"),
        ("trade_type", "NATIVE"),
        ("bank_type", "OTHERS"),
        ("total_fee", "1000"),
        ("cash_fee", "1000"),
        ("transaction_id", "4200000000202611280000000001"),
        ("out_trade_no", number),
        ("time_end", "20261128120000"),
    ];
    let key = text(&credentials, "api_v2_key");
    let fail = |reason: &str| {
        format!(
            "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[{reason}]]></return_msg></xml>"
        )
    };
    let good = signed_with_md5(&fields, key);
    for (path, body, reply) in [
        ("main/notify", good.clone(), fail("sign error")),
        ("main/notify", good.replace("1000", "1001"), fail("sign error")),
        ("main/notify", signed_with_md5(&fields, &"x".repeat(32)), fail("sign error")),
        ("main/notify", good.replace("<xml>", "<!DOCTYPE a><xml>"), fail("bad xml")),
        ("main/notify", String::new(), fail("bad xml")),
        ("main/notify", "x".repeat(100_000), fail("bad xml")),
        ("main/notify", fail("x"), fail("return_code FAIL")),
        ("main/refund-notify", good.clone(), fail("bad notice")),
        ("nobody/notify", good.clone(), fail("no such merchant")),
    ] {
        let url = format!("{}/pay/wechat/v2/{path}", world.public_url);
        let answer = world.http.post(url).header("content-type", "text/xml").body(body.clone()).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path} {body}");
        assert_eq!(answer.text().await.expect("text"), reply, "{path} {body}");
    }
    let head = world.http.head(format!("{}/pay/wechat/v2/main/notify", world.public_url)).send().await;
    let head = head.expect("an answer");
    assert_eq!((head.status().as_u16(), head.text().await.expect("text").as_str()), (200, ""));
    assert_eq!(world.order(&order).await["status"], "pending");
    assert_eq!(world.balance().await, 0);
    let metrics = world.metrics().await;
    for result in ["sign_type_mismatch", "bad_signature", "doctype", "return_code_fail", "unknown_merchant"] {
        let series =
            format!("tollgate_payment_notifications_total{{channel=\"wechat\",result=\"{result}\"}} ");
        let line =
            metrics.lines().find(|line| line.starts_with(&series)).unwrap_or_else(|| panic!("{metrics}"));
        assert!(!line.ends_with(" 0"), "{line}");
    }
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    world.books_balance().await;
}
