//! Whom do we believe when somebody says that an order was paid?
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tests::serve::Site;
use tests::till::text;
use tests::world::sent;
use tests::{Answer, World, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NOTIFICATIONS: &str = "tollgate_payment_notifications_total";

/// Where the product listens for notices; WeChat Pay was told with the order.
async fn notify_url(world: &World, order: &Value) -> String {
    text(&world.far_order(order).await, "notify_url").to_owned()
}

/// Queries would find the payment too; these journeys are about what a notice alone can do.
async fn without_queries(world: &World) {
    let fault = json!({"scope": "wechat", "fault": "status", "op": "query", "status": 500, "times": 0});
    world.fault(fault).await;
}

async fn order_of(world: &World, yuan: &str) -> Value {
    world.topup(&json!({"amount": yuan, "kind": "wallet"})).await
}

#[tokio::test]
async fn fifty_deliveries_of_one_payment_credit_it_once() {
    let world = World::demo().await;
    let order = order_of(&world, "10.00").await;
    world.fault(json!({"scope": "wechat", "fault": "duplicate_notification", "copies": 50})).await;
    world.pay(&order).await.expect(200);
    let deliveries = world.deliveries(&order, 50).await;
    for delivery in &deliveries {
        let status = delivery["status"].as_u64();
        assert!(status.is_some_and(|status| (200..300).contains(&status)), "{delivery}");
    }
    let redelivered = format!("/orders/{}/redeliver", text(&order, "out_trade_no"));
    let again =
        world.sim_post(&redelivered, &json!({"copies": 50, "concurrent": true})).await.expect(200).json();
    let statuses = again["statuses"].as_array().cloned().unwrap_or_default();
    assert!(statuses.iter().all(|it| it.as_u64().is_some_and(|it| (200..300).contains(&it))), "{again}");

    assert_eq!(world.credits().await["balance"], "10.50");
    let paid = world.order(&order).await;
    let steps = paid["timeline"].as_array().expect("a timeline");
    assert_eq!(steps.iter().filter(|step| step["event"] == "credited").count(), 1, "{paid:#}");
    let credits = world.metric("tollgate_payment_credits_total", &[]).await;
    assert!((credits - 1.0).abs() < f64::EPSILON, "{credits}");
    let duplicates = world.metric(NOTIFICATIONS, &["result=\"duplicate\""]).await;
    assert!(duplicates >= 99.0, "{duplicates}");
    world.books_balance().await;
}

/// What a person was called for.
async fn alarms(world: &World, reason: &str) -> u64 {
    let seen = world.metric("tollgate_payment_alarms_total", &[&format!("reason=\"{reason}\"")]).await;
    seen.to_string().parse().expect("a whole number")
}

/// One delivery is spoiled, and counted as `counted`; what the merchant answered to it.
async fn spoiled(world: &World, order: &Value, mut fault: Value, counted: &str) -> u64 {
    without_queries(world).await;
    fault["scope"] = json!("wechat");
    world.fault(fault.clone()).await;
    world.pay(order).await.expect(200);
    let deliveries = world.deliveries(order, 1).await;
    assert_eq!(world.credits().await["balance"], "0.50", "{fault}");
    let seen = world.metric(NOTIFICATIONS, &[&format!("result=\"{counted}\"")]).await;
    assert!(seen > 0.5, "{fault}: {}", world.metrics().await);
    world.books_balance().await;
    deliveries[0]["status"].as_u64().unwrap_or_else(|| panic!("{fault}: {deliveries:?}"))
}

#[tokio::test]
async fn a_notice_that_nobody_vouches_for_credits_nothing_and_the_next_one_does() {
    for (fault, counted) in [
        ("bad_signature", "bad_signature"),
        ("signature_probe", "signature_probe"),
        ("stale_notification", "stale"),
        ("unknown_order", "unknown_order"),
    ] {
        let world = World::demo().await;
        let order = order_of(&world, "10.00").await;
        let status = spoiled(&world, &order, json!({"fault": fault}), counted).await;
        assert!(fault == "unknown_order" || status >= 400, "{fault}: taken, {status}");
        assert_eq!(world.order(&order).await["status"], "pending", "{fault}");

        // Nobody is asked; the next delivery, or the one after it, is a proper one.
        let paid = until("the payment is credited", || async {
            world.advance(Duration::from_secs(10)).await;
            let order = world.order(&order).await;
            (order["status"] == "paid" || fault == "unknown_order").then_some(order)
        })
        .await;
        if fault == "unknown_order" {
            // That notice was acknowledged in the name of another order: only asking finds the payment.
            world.no_faults().await;
            world.advance(Duration::from_secs(30)).await;
            world.order_until(&order, "paid").await;
        } else {
            let steps = paid["timeline"].as_array().expect("a timeline");
            assert!(steps.iter().any(|step| step["source"] == "notify"), "{paid:#}");
        }
        assert_eq!(world.credits().await["balance"], "10.50", "{fault}");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn a_payment_that_does_not_agree_with_its_order_waits_for_a_person() {
    for fault in [
        json!({"fault": "wrong_amount", "total": 1}),
        json!({"fault": "wrong_amount", "total": 100_000}),
        json!({"fault": "wrong_mchid"}),
        json!({"fault": "wrong_currency"}),
    ] {
        let world = World::demo().await;
        let order = order_of(&world, "10.00").await;
        spoiled(&world, &order, fault.clone(), "amount_mismatch").await;
        let shown = world.order(&order).await;
        assert_eq!(shown["status"], "review", "{fault}: {shown:#}");
        // Neither time nor a genuine notice decides it.
        world.no_faults().await;
        world.advance(Duration::from_secs(60)).await;
        let redelivered = format!("/orders/{}/redeliver", text(&order, "out_trade_no"));
        world.sim_post(&redelivered, &json!({"copies": 2})).await.expect(200);
        assert_eq!(world.order(&order).await["status"], "review", "{fault}");
        assert_eq!(world.credits().await["balance"], "0.50", "{fault}");
        // Whoever is called out of bed is called once.
        assert_eq!(alarms(&world, "amount_mismatch").await, 1, "{fault}");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn a_lost_notice_is_found_by_asking() {
    let world = World::demo().await;
    world.fault(json!({"scope": "wechat", "fault": "drop_notification", "all": true})).await;
    let order = order_of(&world, "10.00").await;
    world.pay(&order).await.expect(200);
    // Time passes until the product asks by itself; it may have asked already.
    let paid = until("the payment is found", || async {
        world.advance(Duration::from_secs(5)).await;
        let order = world.order(&order).await;
        (order["status"] == "paid").then_some(order)
    })
    .await;
    let steps = paid["timeline"].as_array().expect("a timeline");
    assert!(steps.iter().any(|step| step["source"] == "query"), "{paid:#}");
    assert_eq!(world.credits().await["balance"], "10.50");
    let found = world.metric("tollgate_payment_credits_total", &["source=\"query\""]).await;
    assert!((found - 1.0).abs() < f64::EPSILON, "{found}");
    world.books_balance().await;
}

/// Somebody who has read the documentation, and has a key pair.
struct Signer(KeyPair);

impl Signer {
    /// A pair of their own.
    fn forger() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
    }

    /// WeChat Pay's own pair.
    fn platform(credentials: &Value) -> Self {
        let pem = text(credentials, "platform_private_key_pem");
        let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>());
        Self(KeyPair::from_pkcs8(&der.expect("base64")).expect("an RSA key"))
    }

    async fn send(&self, world: &World, url: &str, serial: &str, timestamp: &str, body: &str) -> Answer {
        self.send_instead(world, url, serial, timestamp, body, body).await
    }

    /// Signs one body and sends another.
    async fn send_instead(
        &self,
        world: &World,
        url: &str,
        serial: &str,
        timestamp: &str,
        signed: &str,
        body: &str,
    ) -> Answer {
        let nonce = "593BEC0C930BF1AFEB40B4A08C8FB242";
        let message = format!("{timestamp}\n{nonce}\n{signed}\n");
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("a signature");
        let request = world.http.post(url).header("content-type", "application/json");
        let request = request
            .header("wechatpay-serial", serial)
            .header("wechatpay-timestamp", timestamp)
            .header("wechatpay-nonce", nonce)
            .header("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048")
            .header("wechatpay-signature", STANDARD.encode(signature));
        sent(request.body(body.to_owned())).await
    }
}

/// The notice of a payment; its content sealed with `key`.
fn notice(key: &str, content: &Value) -> String {
    let nonce = "abcdefghijkl";
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("a key of 32 bytes"));
    let unique = Nonce::try_assume_unique_for_key(nonce.as_bytes()).expect("twelve bytes");
    let mut sealed = content.to_string().into_bytes();
    key.seal_in_place_append_tag(unique, Aad::from("transaction"), &mut sealed).expect("sealed");
    let resource = json!({"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "nonce": nonce,
        "associated_data": "transaction", "ciphertext": STANDARD.encode(sealed)});
    json!({"id": "EV-2018022511223320873", "create_time": "2026-01-01T00:00:00+08:00",
        "resource_type": "encrypt-resource", "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
        "resource": resource})
    .to_string()
}

/// A payment as WeChat Pay would describe it.
fn payment(credentials: &Value, order: &Value) -> Value {
    json!({
        "appid": credentials["appid"], "mchid": credentials["mchid"], "out_trade_no": order["out_trade_no"],
        "transaction_id": "4200002815202601010000000001", "trade_type": "NATIVE", "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功", "bank_type": "OTHERS", "success_time": "2026-01-01T00:00:00+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 1_000, "payer_total": 1_000, "currency": "CNY", "payer_currency": "CNY"},
    })
}

#[tokio::test]
async fn even_what_wechat_signs_must_be_whole_fresh_and_about_us() {
    let site = Site::new(|config| config).await;
    let credentials = site.credentials();
    let mut world = site.open().await;
    world.customer("alice");
    without_queries(&world).await;
    let order = order_of(&world, "10.00").await;
    let url = notify_url(&world, &order).await;
    let (serial, key) = (text(&credentials, "platform_key_id"), text(&credentials, "api_v3_key"));
    let now = world.sim_get("/clock").await["now_micros"].as_i64().expect("a time") / 1_000_000;
    let platform = Signer::platform(&credentials);
    let genuine = payment(&credentials, &order);
    let body = notice(key, &genuine);

    let send = async |what: &str, timestamp: i64, signed: &str, body: &str| {
        let answer = platform.send_instead(&world, &url, serial, &timestamp.to_string(), signed, body).await;
        assert_eq!(world.order(&order).await["status"], "pending", "{what}: {answer:?}");
        assert_eq!(world.credits().await["balance"], "0.00", "{what}");
        answer.status
    };
    let refused = 400..600;
    assert!(
        refused.contains(&send("a body changed on the way", now, &body, &body.replace("EV-2", "EV-3")).await)
    );
    assert!(refused.contains(&send("from the past", now - 900, &body, &body).await));
    assert!(refused.contains(&send("from the future", now + 900, &body, &body).await));
    let sealed = notice("0123456789abcdef0123456789abcdef", &genuine);
    assert!(refused.contains(&send("sealed with another key", now, &sealed, &sealed).await));
    let mut unpaid = genuine.clone();
    unpaid["trade_state"] = json!("NOTPAY");
    let unpaid = notice(key, &unpaid);
    send("not paid at all", now, &unpaid, &unpaid).await;
    for result in ["bad_signature", "stale", "decrypt_failed"] {
        let seen = world.metric(NOTIFICATIONS, &[&format!("result=\"{result}\"")]).await;
        assert!(seen > 0.5, "{result}: {}", world.metrics().await);
    }

    // The same bytes, left alone, are believed: and once, however often they come.
    for _ in 0..3 {
        let answer = platform.send(&world, &url, serial, &now.to_string(), &body).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    world.order_until(&order, "paid").await;
    assert_eq!(world.credits().await["balance"], "10.00");
    world.books_balance().await;
    // Their nonce is evidence, and was no reason to turn the second one away.
    let seen = world.admin_get("/admin/v1/channels/nonces/593BEC0C930BF1AFEB40B4A08C8FB242").await;
    let seen = seen.expect(200).json();
    assert_eq!((&seen["made_by"], &seen["about"]), (&json!("wechat_pay"), &json!("EV-2018022511223320873")));
    assert!(seen["times"].as_u64().is_some_and(|times| times >= 3), "{seen:#}");
    world.admin_get("/admin/v1/channels/nonces/nobodys").await.error(
        404,
        "invalid_request_error",
        "not_found",
    );

    // Dollars are no yuan.
    let order = order_of(&world, "10.00").await;
    let mut dollars = payment(&credentials, &order);
    dollars["amount"]["currency"] = json!("USD");
    dollars["transaction_id"] = json!("4200002815202601010000000002");
    let dollars = notice(key, &dollars);
    platform.send(&world, &url, serial, &now.to_string(), &dollars).await;
    platform.send(&world, &url, serial, &now.to_string(), &dollars).await;
    assert_eq!(alarms(&world, "amount_mismatch").await, 1);
    assert_ne!(world.order(&order).await["status"], "paid");
    // And one payment does not pay two orders.
    let order = order_of(&world, "10.00").await;
    let again = notice(key, &payment(&credentials, &order));
    platform.send(&world, &url, serial, &now.to_string(), &again).await;
    assert_ne!(world.order(&order).await["status"], "paid");
    assert_eq!(world.credits().await["balance"], "10.00");
    world.books_balance().await;
}

#[tokio::test]
async fn a_forger_gets_nothing_but_a_refusal() {
    let world = World::demo().await;
    without_queries(&world).await;
    let order = order_of(&world, "10.00").await;
    let url = notify_url(&world, &order).await;
    let config = std::fs::read_to_string(&world.config).expect("the configuration");
    let config: toml::Table = config.parse().expect("TOML");
    let merchants = config["payments"]["wechat"].as_table().expect("merchants");
    let merchant = merchants.values().next().expect("a merchant");
    let serial = merchant["platform_public_key_id"].as_str().expect("a key id").to_owned();
    let now = world.sim_get("/clock").await["now_micros"].as_i64().expect("a time") / 1_000_000;
    let now = now.to_string();

    let notice = notice("0123456789abcdef0123456789abcdef", &json!({"out_trade_no": order["out_trade_no"]}));
    let forger = Signer::forger();
    for (what, serial, timestamp, body) in [
        ("a key of one's own", serial.as_str(), now.as_str(), notice.as_str()),
        ("a serial nobody knows", "PUB_KEY_ID_0000000000000000000000000000", &now, &notice),
        ("no serial", "", &now, &notice),
        ("another time", &serial, "0", &notice),
        ("no time", &serial, "soon", &notice),
        ("no notice", &serial, &now, "{}"),
        ("no JSON", &serial, &now, "<xml/>"),
        ("nothing", &serial, &now, ""),
    ] {
        let answer = forger.send(&world, &url, serial, timestamp, body).await;
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
    let bare = sent(world.http.post(&url).body(notice.clone())).await;
    assert!((400..500).contains(&bare.status), "{bare:?}");
    // Nobody has to listen to all of it; WeChat Pay's notices are small.
    // Over a connection of its own: the server hangs up.
    let own = reqwest::Client::builder().no_proxy().build().expect("a client");
    let huge = own.post(&url).body(vec![b' '; 4 << 20]).send().await;
    assert!(huge.as_ref().map_or(true, |answer| answer.status().is_client_error()), "{huge:?}");
    let elsewhere = url.replace("/demo/", "/nobody/");
    assert_ne!(elsewhere, url);
    assert_eq!(sent(world.http.post(&elsewhere).body(notice)).await.status, 404);

    let forged = world.metric(NOTIFICATIONS, &["result=\"bad_signature\""]).await;
    assert!(forged > 0.5, "{}", world.metrics().await);
    let log = world.process.logged();
    assert!(
        log.contains("a notification was refused") && log.contains("the signature does not hold"),
        "{log}"
    );
    assert!(!log.contains('\u{1b}') && !log.contains("BadSignature"), "in words, and without colours: {log}");
    assert_eq!(world.order(&order).await["status"], "pending");
    assert_eq!(world.credits().await["balance"], "0.50");
    world.books_balance().await;
}

#[tokio::test]
async fn a_genuine_notice_about_nothing_of_ours_calls_a_person_once() {
    let site = Site::new(|config| config).await;
    let credentials = site.credentials();
    let mut world = site.open().await;
    world.customer("alice");
    let order = order_of(&world, "10.00").await;
    let url = notify_url(&world, &order).await;
    let (serial, key) = (text(&credentials, "platform_key_id"), text(&credentials, "api_v3_key"));
    let now = world.sim_get("/clock").await["now_micros"].as_i64().expect("a time") / 1_000_000;
    let mut elsewhere = payment(&credentials, &order);
    elsewhere["out_trade_no"] = json!("20260101000000000000000000000001");
    let body = notice(key, &elsewhere);
    let platform = Signer::platform(&credentials);
    for _ in 0..3 {
        let answer = platform.send(&world, &url, serial, &now.to_string(), &body).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    assert_eq!(alarms(&world, "unknown_order").await, 1);
    assert_eq!(world.credits().await["balance"], "0.00");
    world.books_balance().await;
}

#[tokio::test]
async fn whoever_says_that_a_body_comes_and_sends_none_is_answered_all_the_same() {
    let world = World::demo().await;
    let host = world.public_url.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "POST /pay/wechat/v3/demo/notify HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: 500\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.expect("a head that is sent");
    let mut answer = vec![0; 4_096];
    let read = socket.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(world.metric(NOTIFICATIONS, &["result=\"too_slow\""]).await, 1.0);
}

#[tokio::test]
async fn a_flood_of_forgeries_is_not_even_looked_at_and_the_real_one_is_heard_beside_it() {
    let trusting = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let site = Site::new(|config| config.replacen("[server]\n", trusting, 1)).await;
    let credentials = site.credentials();
    let mut world = site.open().await;
    world.customer("alice");
    without_queries(&world).await;
    let order = order_of(&world, "10.00").await;
    let url = notify_url(&world, &order).await;
    let body = notice(text(&credentials, "api_v3_key"), &payment(&credentials, &order));
    let forged = async |from: &str, kind: &str, body: String| {
        let request = world.http.post(&url).header("content-type", kind).header("x-forwarded-for", from);
        sent(request.body(body)).await.status
    };
    assert_eq!(forged("203.0.113.9", "text/html", body.clone()).await, 415);
    assert_eq!(forged("203.0.113.9", "application/json", "x".repeat(70_000)).await, 413);
    let mut statuses = Vec::new();
    for _ in 0..70 {
        statuses.push(forged("203.0.113.7", "application/json", body.clone()).await);
    }
    assert_eq!(statuses[..60], [401; 60]);
    assert!(statuses[60..].iter().filter(|status| **status == 429).count() >= 5, "{statuses:?}");
    assert_eq!(forged("203.0.113.8", "application/json", body.clone()).await, 401, "another is looked at");
    for result in ["source_limited", "wrong_content_type", "oversized", "missing_header"] {
        let seen = world.metric(NOTIFICATIONS, &[&format!("result=\"{result}\"")]).await;
        assert!(seen > 0.5, "{result}: {}", world.metrics().await);
    }
    world.pay(&order).await.expect(200);
    world.order_until(&order, "paid").await;
    assert_eq!(world.credits().await["balance"], "10.00");
    world.books_balance().await;
}

#[tokio::test]
async fn a_look_at_the_callback_is_answered_and_says_nothing() {
    let world = World::demo().await;
    let order = order_of(&world, "1.00").await;
    let url = notify_url(&world, &order).await;
    for url in [url.clone(), url.replace("/notify", "/refund-notify")] {
        let looked = sent(world.http.request(Method::HEAD, &url)).await;
        assert_eq!((looked.status, looked.body.len()), (200, 0), "{looked:?}");
        let looked = sent(world.http.get(&url)).await;
        assert_eq!((looked.status, looked.body.len()), (200, 0), "{looked:?}");
        assert_eq!(sent(world.http.put(&url)).await.status, 405);
    }
}
