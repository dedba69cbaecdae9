//! API v3, seen by a merchant of native orders.
use serde_json::{Value, json};
use sim::SimClock;

use crate::far::{Far, Inbox};

#[tokio::test]
async fn an_order_is_created_paid_and_announced_in_a_message_only_the_merchant_can_read() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let (status, created) = far.create(&far.order("T2025100900000001", &inbox.url)).await;
    assert_eq!(status, 200);
    assert!(created["code_url"].as_str().unwrap().starts_with("weixin://wxpay/bizpayurl?pr="));
    let (_, waiting) = far.query("T2025100900000001").await;
    assert_eq!(waiting["trade_state"], "NOTPAY");
    assert!(waiting.get("transaction_id").is_none());

    let transaction_id = far.pay("T2025100900000001").await;
    assert_eq!(transaction_id.len(), 28);
    let (headers, body) = inbox.next().await;
    assert!(far.genuine(&headers, &body));
    assert_eq!(headers["content-type"], "application/json");
    let notification: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(notification["event_type"], "TRANSACTION.SUCCESS");
    assert!(notification["id"].as_str().unwrap().starts_with("EV-"));
    let transaction = far.open_resource(&notification);
    assert_eq!(transaction["transaction_id"], transaction_id);
    assert_eq!(transaction["amount"]["total"], 8800);
    assert_eq!(transaction["mchid"], far.merchant.mchid);
    assert_eq!(transaction["attach"], "u:42");
    assert_eq!(transaction["trade_state"], "SUCCESS");
    assert_eq!(far.query("T2025100900000001").await.1, transaction);
    let mchid = &far.merchant.mchid;
    let by_id = format!("/v3/pay/transactions/id/{transaction_id}?mchid={mchid}");
    assert_eq!(far.call("GET", &by_id, &Value::Null).await.1, transaction);

    let shown =
        far.until("/_sim/v1/orders/T2025100900000001", |it| it["deliveries"][0]["status"] == 204).await;
    assert_eq!(shown["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(far.post("/_sim/v1/orders/T2025100900000001/pay", json!({})).await.0, 409);
    assert_eq!(far.post("/_sim/v1/orders/T0000000000000000/pay", json!({})).await.0, 404);
    far.sim.stop().await;
}

#[tokio::test]
async fn answers_are_dated_by_the_clock_of_the_far_side() {
    let far = Far::open().await;
    far.advance(86_400).await;
    let now = || far.clock.now_micros() / 1_000_000;
    for path in ["/v3/certificates", "/pay/orderquery"] {
        let before = now();
        let answer = far.call_with("GET", path, "", |_| {}).await;
        let date = answer.headers()["date"].to_str().unwrap();
        let at = jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_second();
        assert!((before..=now()).contains(&at), "{path}: {date}");
    }
    far.sim.stop().await;
}

#[tokio::test]
async fn a_merchant_who_does_not_listen_is_told_again_up_the_ladder() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[500, 503, 404, 500]).await;
    far.create(&far.order("T2025100900000002", &inbox.url)).await;
    far.pay("T2025100900000002").await;
    let mut nonces = Vec::new();
    let mut ids = Vec::new();
    for wait in [0, 15, 15, 30, 180] {
        let so_far = ids.len();
        if wait > 0 {
            let path = "/_sim/v1/orders/T2025100900000002";
            far.until(path, |it| it["deliveries"].as_array().unwrap().len() == so_far).await;
            assert!(inbox.is_empty(), "nothing comes before its time");
            far.advance(wait).await;
        }
        let (headers, body) = inbox.next().await;
        assert!(far.genuine(&headers, &body));
        assert!((0..5).contains(&far.age(&headers)), "signed anew");
        nonces.push(headers["wechatpay-nonce"].clone());
        ids.push(serde_json::from_slice::<Value>(&body).unwrap()["id"].clone());
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 5);
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let path = "/_sim/v1/orders/T2025100900000002";
    let shown = far.until(path, |it| it["deliveries"].as_array().unwrap().len() == 5).await;
    let statuses: Vec<_> = shown["deliveries"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [500, 503, 404, 500, 204]);
}

#[tokio::test]
async fn a_request_that_is_not_signed_properly_is_refused() {
    let far = Far::open().await;
    let order = far.order("T2025100900000003", "http://127.0.0.1:9/notify").to_string();
    let path = "/v3/pay/transactions/native";
    let spoils: [(&str, &str, u16); 9] = [
        ("signature=\"", "signature=\"AAAA", 401),
        ("mchid=\"", "mchid=\"1", 401),
        ("serial_no=\"", "serial_no=\"F", 401),
        ("nonce_str=\"", "nonce_str=\"x", 401),
        ("timestamp=\"", "timestamp=\"1", 401),
        ("WECHATPAY2-SHA256", "WECHATPAY2-SM2", 401),
        ("PUB_KEY_ID_", "PUB_KEY_ID_1", 400),
        ("test/1", "", 400),
        ("application/json", "", 400),
    ];
    for (from, to, expected) in spoils {
        let response = far
            .call_with("POST", path, &order, |headers| {
                for (_, value) in headers.iter_mut() {
                    *value = value.replace(from, to);
                }
            })
            .await;
        assert_eq!(response.status(), expected, "{from} -> {to}");
        assert!(!response.headers().contains_key("wechatpay-signature"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], if expected == 401 { "SIGN_ERROR" } else { "PARAM_ERROR" });
        assert!(body["message"].is_string() && body["detail"].is_object());
    }
    // A clock that is six minutes off.
    let late = far.call_with("POST", path, &order, |_| far.clock.advance(360_000_000)).await;
    assert_eq!(late.status(), 401);
    assert_eq!(far.create(&serde_json::from_str(&order).unwrap()).await.0, 200);
}

#[tokio::test]
async fn a_body_that_the_documentation_does_not_allow_is_refused_by_the_name_of_the_member() {
    let far = Far::open().await;
    let good = far.order("T2025100900000004", "http://127.0.0.1:9/notify");
    for (pointer, value) in [
        ("/device", json!("fingerprint")),
        ("/appid", json!("wx0000000000000000")),
        ("/mchid", json!("1900000001")),
        ("/description", json!("")),
        ("/description", json!("充值 🎉")),
        ("/attach", Value::Null),
        ("/out_trade_no", json!("short")),
        ("/out_trade_no", json!("T2025 100900000004")),
        ("/notify_url", json!("http://127.0.0.1/notify?order=1")),
        ("/notify_url", json!("ftp://127.0.0.1/notify")),
        ("/time_expire", json!("tomorrow")),
        ("/amount/total", json!(0)),
        ("/amount/total", json!(1.5)),
        ("/amount/total", json!("8800")),
        ("/amount/currency", json!("USD")),
        ("/amount/refund", json!(1)),
    ] {
        let mut order = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        order.pointer_mut(parent).unwrap()[name] = value.clone();
        let (status, error) = far.create(&order).await;
        assert_eq!(status, 400, "{pointer} {value}: {error}");
        let expected = if pointer == "/appid" { "APPID_MCHID_NOT_MATCH" } else { "PARAM_ERROR" };
        assert_eq!(error["code"], expected, "{pointer}");
    }
    assert_eq!(far.create(&good).await.0, 200);
}

#[tokio::test]
async fn an_order_number_belongs_to_one_order_for_ever() {
    let far = Far::open().await;
    let inbox = Inbox::open(&[]).await;
    let order = far.order("T2025100900000005", &inbox.url);
    let first = far.create(&order).await.1["code_url"].clone();
    let second = far.create(&order).await.1["code_url"].clone();
    assert_ne!(first, second, "the same request gets a fresh code");
    assert!(far.phone(&first).await.contains("已失效"));

    let mut other = order.clone();
    other["amount"]["total"] = 8801.into();
    let (status, error) = far.create(&other).await;
    assert_eq!((status, &error["code"]), (400, &json!("INVALID_REQUEST")));
    far.pay("T2025100900000005").await;
    assert_eq!(far.create(&order).await.1["code"], "ORDERPAID");
    let close = "/v3/pay/transactions/out-trade-no/T2025100900000005/close";
    let mchid = json!({"mchid": far.merchant.mchid});
    assert_eq!(far.call("POST", close, &mchid).await.1["code"], "ORDERPAID");

    let second = far.order("T2025100900000006", &inbox.url);
    far.create(&second).await;
    let close = "/v3/pay/transactions/out-trade-no/T2025100900000006/close";
    for _ in 0..2 {
        assert_eq!(far.call("POST", close, &mchid).await, (204, Value::Null), "closing twice does no harm");
    }
    assert_eq!(far.create(&second).await.1["code"], "ORDER_CLOSED");
    assert_eq!(far.query("T2025100900000006").await.1["trade_state"], "CLOSED");
    assert_eq!(far.post("/_sim/v1/orders/T2025100900000006/pay", json!({})).await.0, 409);
    let (status, error) = far.query("T2025100900000007").await;
    assert_eq!((status, &error["code"]), (404, &json!("ORDER_NOT_EXIST")));
    assert_eq!(far.call("GET", "/v3/certificates", &Value::Null).await.1["code"], "RESOURCE_NOT_EXISTS");
}

#[tokio::test]
async fn an_order_cannot_be_paid_after_its_time() {
    let far = Far::open().await;
    let mut order = far.order("T2025100900000008", "http://127.0.0.1:9/notify");
    order["time_expire"] = "2020-01-01T00:00:00+08:00".into(); // raised to a minute from now
    far.create(&order).await;
    far.advance(61).await;
    let (status, error) = far.post("/_sim/v1/orders/T2025100900000008/pay", json!({})).await;
    assert_eq!((status, &error["error"]), (409, &json!("the order has expired")));
    assert_eq!(far.query("T2025100900000008").await.1["trade_state"], "NOTPAY", "nobody has closed it");
}

#[tokio::test]
async fn a_refund_is_accepted_first_and_succeeds_later() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    far.create(&far.order("T2025100900000009", &inbox.url)).await;
    let mut refund = json!({
        "out_trade_no": "T2025100900000009", "out_refund_no": "R1@2025", "reason": "不要了",
        "notify_url": inbox.url, "amount": {"refund": 300, "total": 8800, "currency": "CNY"},
    });
    assert_eq!(far.refund(&refund).await.1["code"], "INVALID_REQUEST", "not paid yet");
    let transaction_id = far.pay("T2025100900000009").await;
    inbox.next().await;

    far.post("/_sim/v1/settings", json!({"refund_delay_ms": 3_600_000})).await;
    let (status, accepted) = far.refund(&refund).await;
    assert_eq!((status, &accepted["status"]), (200, &json!("PROCESSING")));
    assert_eq!(accepted["transaction_id"], transaction_id);
    assert_eq!(far.refund(&refund).await.1, accepted, "the same number and request: the same refund");
    let mut other = refund.clone();
    other["amount"]["refund"] = 301.into();
    assert_eq!(far.refund(&other).await.1["code"], "INVALID_REQUEST");

    far.advance(3_600).await;
    let (headers, body) = inbox.next().await;
    assert!(far.genuine(&headers, &body));
    let notification: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(notification["event_type"], "REFUND.SUCCESS");
    let told = far.open_resource(&notification);
    assert_eq!((&told["refund_status"], &told["out_refund_no"]), (&json!("SUCCESS"), &json!("R1@2025")));
    let queried = far.call("GET", "/v3/refund/domestic/refunds/R1%402025", &Value::Null).await.1;
    assert_eq!(queried["status"], "SUCCESS");
    assert!(queried["success_time"].is_string());
    assert_eq!(far.query("T2025100900000009").await.1["trade_state"], "REFUND");

    // Not too much, not too often, not of another sum.
    far.post("/_sim/v1/settings", json!({"refund_delay_ms": 0})).await;
    refund["out_refund_no"] = "R2".into();
    refund["amount"]["refund"] = 8501.into();
    assert_eq!(far.refund(&refund).await.1["code"], "INVALID_REQUEST");
    refund["amount"] = json!({"refund": 8500, "total": 8500, "currency": "CNY"});
    assert_eq!(far.refund(&refund).await.1["code"], "INVALID_REQUEST");
    refund["amount"] = json!({"refund": 500, "total": 8800, "currency": "CNY"});
    assert_eq!(far.refund(&refund).await.0, 200);
    refund["out_refund_no"] = "R3".into();
    let (status, error) = far.refund(&refund).await;
    assert_eq!((status, &error["code"]), (429, &json!("FREQUENCY_LIMITED")));
    far.advance(60).await;
    assert_eq!(far.refund(&refund).await.0, 200);
    let unknown = far.call("GET", "/v3/refund/domestic/refunds/R4", &Value::Null).await;
    assert_eq!((unknown.0, &unknown.1["code"]), (404, &json!("RESOURCE_NOT_EXISTS")));
}

#[tokio::test]
async fn a_refund_may_end_badly_or_be_left_to_the_controls() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    far.create(&far.order("T2025100900000010", &inbox.url)).await;
    far.pay("T2025100900000010").await;
    inbox.next().await;
    let mut refund = json!({
        "out_trade_no": "T2025100900000010", "out_refund_no": "R10", "notify_url": inbox.url,
        "amount": {"refund": 8800, "total": 8800, "currency": "CNY"},
    });
    far.fault(json!({"scope": "wechat", "fault": "not_enough"})).await;
    assert_eq!(far.refund(&refund).await.1["code"], "NOT_ENOUGH");
    far.fault(json!({"scope": "wechat", "fault": "frequency_limited"})).await;
    assert_eq!(far.refund(&refund).await.0, 429);

    far.fault(json!({"scope": "wechat", "fault": "refund_result", "status": "PROCESSING"})).await;
    assert_eq!(far.refund(&refund).await.1["status"], "PROCESSING");
    let resolved = far.post("/_sim/v1/refunds/R10/resolve", json!({"status": "CLOSED"})).await;
    assert_eq!(resolved.0, 200);
    let notification: Value = serde_json::from_slice(&inbox.next().await.1).unwrap();
    assert_eq!(notification["event_type"], "REFUND.CLOSED");
    assert_eq!(far.post("/_sim/v1/refunds/R10/resolve", json!({"status": "SUCCESS"})).await.0, 409);
    assert_eq!(far.query("T2025100900000010").await.1["trade_state"], "SUCCESS", "no money went back");

    far.advance(60).await;
    refund["out_refund_no"] = "R11".into();
    far.fault(json!({"scope": "wechat", "fault": "refund_result", "status": "ABNORMAL"})).await;
    assert_eq!(far.refund(&refund).await.0, 200, "what was closed does not count");
    let notification: Value = serde_json::from_slice(&inbox.next().await.1).unwrap();
    assert_eq!(notification["event_type"], "REFUND.ABNORMAL");
    assert_eq!(far.open_resource(&notification)["refund_status"], "ABNORMAL");
}

#[tokio::test]
async fn notifications_can_be_spoilt_in_every_way_and_then_come_properly() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let cases = [
        json!({"fault": "bad_signature"}),
        json!({"fault": "signature_probe"}),
        json!({"fault": "stale_notification"}),
        json!({"fault": "wrong_amount", "total": 1}),
        json!({"fault": "wrong_mchid"}),
        json!({"fault": "unknown_order"}),
    ];
    for (index, mut fault) in cases.into_iter().enumerate() {
        let number = format!("T202510090000002{index}");
        far.create(&far.order(&number, &inbox.url)).await;
        fault["scope"] = "wechat".into();
        far.fault(fault.clone()).await;
        // A probe is repeated even if it was taken for good; all else once it was refused.
        inbox.will_answer(if fault["fault"] == "signature_probe" { 200 } else { 401 });
        far.pay(&number).await;
        let (headers, body) = inbox.next().await;
        let name = fault["fault"].as_str().unwrap();
        assert_eq!(far.genuine(&headers, &body), !name.contains("signature"), "{name}");
        let notification: Value = serde_json::from_slice(&body).unwrap();
        let content = far.open_resource(&notification);
        let signature = headers["wechatpay-signature"].to_str().unwrap();
        assert_eq!(signature.starts_with("WECHATPAY/SIGNTEST/"), name == "signature_probe");
        assert_eq!(far.age(&headers) >= 590, name == "stale_notification");
        assert_eq!(content["amount"]["total"] == 1, name == "wrong_amount");
        assert_eq!(content["mchid"] != *far.merchant.mchid, name == "wrong_mchid");
        assert_eq!(content["out_trade_no"] != *number, name == "unknown_order");

        let path = format!("/_sim/v1/orders/{number}");
        far.until(&path, |it| it["deliveries"][0]["fault"] == name).await;
        far.advance(15).await;
        let (headers, body) = inbox.next().await;
        assert!(far.genuine(&headers, &body), "{name}");
        let content = far.open_resource(&serde_json::from_slice(&body).unwrap());
        assert_eq!((&content["amount"]["total"], &content["out_trade_no"]), (&json!(8800), &json!(number)));
        far.until(&path, |it| it["deliveries"][1]["status"] == 204).await;
    }
}

#[tokio::test]
async fn notifications_can_be_lost_late_or_doubled() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    far.create(&far.order("T2025100900000030", &inbox.url)).await;
    far.fault(json!({"scope": "wechat", "fault": "drop_notification"})).await;
    far.pay("T2025100900000030").await;
    let path = "/_sim/v1/orders/T2025100900000030";
    far.until(path, |it| it["deliveries"][0]["fault"] == "drop_notification").await;
    assert!(inbox.is_empty());
    assert_eq!(far.query("T2025100900000030").await.1["trade_state"], "SUCCESS", "but a query finds it");
    far.advance(15).await;
    inbox.next().await;

    far.create(&far.order("T2025100900000031", &inbox.url)).await;
    far.fault(json!({"scope": "wechat", "fault": "delay_notification", "ms": 60_000})).await;
    far.pay("T2025100900000031").await;
    far.until("/_sim/v1/faults", |it| it["faults"] == json!([])).await;
    assert!(inbox.is_empty());
    far.advance(60).await;
    inbox.next().await;

    far.create(&far.order("T2025100900000032", &inbox.url)).await;
    far.fault(json!({"scope": "wechat", "fault": "duplicate_notification", "copies": 5})).await;
    far.pay("T2025100900000032").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(serde_json::from_slice::<Value>(&inbox.next().await.1).unwrap()["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);

    let again = json!({"copies": 3, "concurrent": true});
    let (status, body) = far.post("/_sim/v1/orders/T2025100900000032/redeliver", again).await;
    assert_eq!((status, &body["statuses"]), (200, &json!([204, 204, 204])));
}

#[tokio::test]
async fn the_api_can_fail_before_or_after_it_did_what_was_asked() {
    let far = Far::open().await;
    let order = far.order("T2025100900000040", "http://127.0.0.1:9/notify");
    far.fault(
        json!({"scope": "wechat", "fault": "status", "status": 500, "code": "SYSTEM_ERROR", "op": "create"}),
    )
    .await;
    assert_eq!(far.query("T2025100900000040").await.0, 404, "meets only what it was meant for");
    let (status, error) = far.create(&order).await;
    assert_eq!((status, &error["code"]), (500, &json!("SYSTEM_ERROR")));
    assert_eq!(far.query("T2025100900000040").await.0, 404);
    far.fault(json!({"scope": "wechat", "fault": "status", "status": 502, "op": "create", "executed": true}))
        .await;
    assert_eq!(far.create(&order).await.0, 502);
    assert_eq!(far.query("T2025100900000040").await.0, 200);
    far.fault(json!({"scope": "wechat", "fault": "bad_signature", "op": "query"})).await;
    let mchid = &far.merchant.mchid;
    let path = format!("/v3/pay/transactions/out-trade-no/T2025100900000040?mchid={mchid}");
    let response = far.call_with("GET", &path, "", |_| {}).await;
    let headers = response.headers().clone();
    assert!(!far.genuine(&headers, &response.bytes().await.unwrap()));
    far.fault(json!({"scope": "wechat", "fault": "timeout", "op": "query"})).await;
    let waiting = far.call_with("GET", &path, "", |_| {});
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), waiting).await.is_err());
}

#[tokio::test]
async fn a_person_pays_on_the_phone_page() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let order = far.order("T2025|1009*50", &inbox.url);
    let code = far.create(&order).await.1["code_url"].clone();
    let html = far.phone(&code).await;
    assert!(html.contains("¥88.00") && html.contains("&lt;b&gt;88&lt;/b&gt;") && !html.contains("<b>88"));
    let action = html.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    let paid = far.http.post(format!("{}{action}", far.base)).send().await.unwrap();
    assert_eq!(paid.status(), 303);
    let back = paid.headers()["location"].to_str().unwrap().to_owned();
    inbox.next().await;
    let html = far.http.get(format!("{}{back}", far.base)).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("✓ 已付款 Paid") && !html.contains("<button>"));
    let again = far.http.post(format!("{}{action}", far.base)).send().await.unwrap();
    assert!(again.headers()["location"].to_str().unwrap().ends_with("note=paid"));
}
