//! What can be made to go wrong, in both APIs, by call and on the page.
use serde_json::{Value, json};

use crate::far::{Far, Inbox, TAKEN};
use crate::old::{Old, read, xml};

#[tokio::test]
async fn a_fault_may_be_kept_to_one_api_and_one_merchant() {
    let far = Far::open().await;
    let old = Old::md5(&far);
    far.create(&far.order("F2025100900001", "http://127.0.0.1:9/notify")).await;
    let fault = json!({"scope": "wechat", "fault": "status", "status": 500, "op": "query", "api": "v2"});
    far.fault(fault).await;
    assert_eq!(far.query("F2025100900001").await.0, 200);
    assert_eq!(old.query("F2025100900001").await["err_code"], "SYSTEMERROR");
    assert_eq!(old.query("F2025100900001").await["trade_state"], "NOTPAY");
    far.fault(json!({"scope": "wechat", "fault": "status", "status": 500, "mchid": "1900000001"})).await;
    assert_eq!(far.query("F2025100900001").await.0, 200);
    for (asked, word) in [
        (json!({"scope": "wechat", "fault": "timeout", "api": "v4"}), "api"),
        (json!({"scope": "wechat", "fault": "slow", "ms": 1, "op": "melt"}), "melt"),
        (json!({"scope": "openai", "fault": "pay_after_close"}), "no such fault"),
    ] {
        let (status, error) = far.post("/_sim/v1/faults", asked).await;
        assert_eq!(status, 400);
        assert!(error["error"].as_str().unwrap().contains(word), "{error}");
    }
}

#[tokio::test]
async fn v2_says_with_codes_what_v3_says_with_a_status() {
    let far = Far::open().await;
    let old = Old::hmac(&far);
    let wechat = |fault: Value| {
        let mut fault = fault;
        fault["scope"] = "wechat".into();
        fault
    };
    for (fault, code) in [
        (json!({"fault": "status", "status": 429}), "FREQUENCY_LIMITED"),
        (json!({"fault": "status", "status": 500}), "SYSTEMERROR"),
        (json!({"fault": "status", "status": 500, "code": "BIZERR_NEED_RETRY"}), "BIZERR_NEED_RETRY"),
        (json!({"fault": "not_enough"}), "NOTENOUGH"),
        (json!({"fault": "frequency_limited"}), "FREQUENCY_LIMITED"),
    ] {
        far.fault(wechat(fault)).await;
        let refund =
            [("out_trade_no", "F2-00001"), ("out_refund_no", "R"), ("total_fee", "1"), ("refund_fee", "1")];
        assert_eq!(old.refund(&refund).await["err_code"], code);
    }
    // A proxy in between has a page, and the order may have been made all the same.
    far.fault(wechat(json!({"fault": "status", "status": 502, "executed": true}))).await;
    let mut order = old.order("F2-0000000001", "http://127.0.0.1:9/notify");
    order.insert("sign".into(), old.sign(&order));
    let (status, page) = old.raw("pay/unifiedorder", xml(&order)).await;
    assert!(status == 502 && page.starts_with("<html>"));
    assert_eq!(old.query("F2-0000000001").await["trade_state"], "NOTPAY");
    far.fault(wechat(json!({"fault": "bad_signature", "op": "query"}))).await;
    let mut query = old.fields(&[("out_trade_no", "F2-0000000001")]);
    query.insert("sign".into(), old.sign(&query));
    let answer = read(&old.raw("pay/orderquery", xml(&query)).await.1);
    assert_ne!(answer["sign"], old.sign(&answer));
}

#[tokio::test]
async fn a_slow_answer_comes_when_the_clock_says_so() {
    let far = Far::open().await;
    far.create(&far.order("F2025100900010", "http://127.0.0.1:9/notify")).await;
    far.fault(json!({"scope": "wechat", "fault": "slow", "ms": 3_600_000, "op": "query"})).await;
    let asked = far.query("F2025100900010");
    tokio::pin!(asked);
    let taken = far.until("/_sim/v1/faults", |it| it["faults"] == json!([]));
    tokio::select! {
        _ = &mut asked => panic!("an hour has not passed"),
        _ = taken => {}
    }
    far.advance(3_600).await;
    assert_eq!(asked.await.0, 200);
}

#[tokio::test]
async fn an_order_may_be_paid_after_it_was_closed() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let mchid = json!({"mchid": far.merchant.mchid});
    for (n, late) in [("1", false), ("2", true)] {
        let number = format!("F202510090002{n}");
        far.create(&far.order(&number, &inbox.url)).await;
        if !late {
            far.fault(json!({"scope": "wechat", "fault": "pay_after_close"})).await;
        }
        let close = format!("/v3/pay/transactions/out-trade-no/{number}/close");
        assert_eq!(far.call("POST", &close, &mchid).await.0, 204);
        if late {
            let path = format!("/_sim/v1/orders/{number}/pay");
            assert_eq!(far.post(&path, json!({})).await.0, 409);
            assert_eq!(far.post(&path, json!({"late": true})).await.0, 200);
        }
        let notice: Value = serde_json::from_slice(&inbox.next().await.1).unwrap();
        assert_eq!(far.open_resource(&notice)["out_trade_no"], json!(number));
        assert_eq!(far.query(&number).await.1["trade_state"], "SUCCESS");
    }
}

#[tokio::test]
async fn a_notification_can_be_overtaken_by_the_next() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    for number in ["F2025100900030", "F2025100900031"] {
        far.create(&far.order(number, &inbox.url)).await;
    }
    far.fault(json!({"scope": "wechat", "fault": "reorder_notification"})).await;
    far.pay("F2025100900030").await;
    far.until("/_sim/v1/faults", |it| it["faults"] == json!([])).await;
    far.pay("F2025100900031").await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let notice: Value = serde_json::from_slice(&inbox.next().await.1).unwrap();
        told.push(far.open_resource(&notice)["out_trade_no"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["F2025100900031", "F2025100900030"]);
    // Where nothing else is told, it comes by itself.
    far.create(&far.order("F2025100900032", &inbox.url)).await;
    far.fault(json!({"scope": "wechat", "fault": "reorder_notification"})).await;
    far.pay("F2025100900032").await;
    far.until("/_sim/v1/faults", |it| it["faults"] == json!([])).await;
    far.advance(15).await;
    inbox.next().await;
}

#[tokio::test]
async fn an_address_that_fails_three_handshakes_is_told_nothing_any_more() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await; // takes POST only: a HEAD is a 405
    far.post("/_sim/v1/wechat/settings", json!({"head_handshake": true})).await;
    let number = "F2025100900040";
    far.create(&far.order(number, &inbox.url)).await;
    far.pay(number).await;
    let path = format!("/_sim/v1/orders/{number}");
    for (so_far, wait) in [15, 15, 30, 180].into_iter().enumerate() {
        far.until(&path, |it| it["deliveries"].as_array().unwrap().len() == so_far + 1).await;
        far.advance(wait).await;
    }
    let shown = far.until(&path, |it| it["deliveries"].as_array().unwrap().len() == 5).await;
    let errors: Vec<_> =
        shown["deliveries"].as_array().unwrap().iter().map(|it| it["error"].clone()).collect();
    assert!(errors[..3].iter().all(|it| it == "the HEAD handshake failed"), "{errors:?}");
    assert!(errors[3].as_str().unwrap().contains("blacklisted"));
    assert!(inbox.is_empty());
    let standing = far.get("/_sim/v1/wechat/handshakes").await;
    assert_eq!(standing["handshakes"][0]["blacklisted"], true);
    far.http.delete(format!("{}/_sim/v1/wechat/handshakes", far.base)).send().await.unwrap();
    far.post("/_sim/v1/wechat/settings", json!({"head_handshake": false})).await;
    far.advance(600).await;
    inbox.next().await;
}

#[tokio::test]
async fn the_risk_control_warns_in_an_envelope_like_any_other() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let warning = json!({
        "url": inbox.url, "scope": "account", "id": "acct_1", "level": "slow", "reason": "too many refunds",
    });
    let (status, sent) = far.post("/_sim/v1/wechat/risk", warning.clone()).await;
    assert_eq!((status, &sent["status"]), (200, &json!(204)), "{sent}");
    let (headers, body) = inbox.next().await;
    assert!(far.genuine(&headers, &body));
    let notice: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&notice["event_type"], &notice["id"]), (&json!("RISK.ACCOUNT"), &sent["event_id"]));
    let told = far.open_resource(&notice);
    assert_eq!(
        (&told["scope"], &told["level"], &told["id"]),
        (&json!("account"), &json!("slow"), &json!("acct_1"))
    );
    let mut again = warning.clone();
    again["event_id"] = sent["event_id"].clone();
    far.fault(json!({"scope": "wechat", "fault": "bad_signature", "notice": "risk"})).await;
    assert_eq!(far.post("/_sim/v1/wechat/risk", again).await.1["event_id"], sent["event_id"]);
    let (headers, body) = inbox.next().await;
    assert!(!far.genuine(&headers, &body));
    for (name, value) in [("level", "panic"), ("scope", "planet")] {
        let mut bad = warning.clone();
        bad[name] = value.into();
        assert_eq!(far.post("/_sim/v1/wechat/risk", bad).await.0, 400);
    }
}

#[tokio::test]
async fn the_switches_are_on_a_page_too() {
    let far = Far::open().await;
    let mut inbox = Inbox::of_v2().await;
    let old = Old::md5(&far);
    let tap = async |name: &str, value: &str| {
        let body = format!("{name}={}", value.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>());
        let answer = far.http.post(format!("{}/_sim/board", far.base)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let page =
        async || far.http.get(format!("{}/_sim", far.base)).send().await.unwrap().text().await.unwrap();
    old.create(old.order("F2-0000000050", &inbox.url)).await;
    let html = page().await;
    assert!(html.contains("F2-0000000050") && html.contains("&lt;b&gt;88") && !html.contains("<b>88"));
    assert_eq!(tap("fault", r#"{"fault":"drop_notification"}"#).await, "/_sim");
    assert!(page().await.contains("drop_notification&quot;,"), "what waits is shown");
    let named = format!("{}/F2-0000000050", far.merchant.mchid);
    assert_eq!(tap("pay", &named).await, "/_sim");
    let path = "/_sim/v1/orders/F2-0000000050";
    far.until(path, |it| it["deliveries"][0]["fault"] == "drop_notification").await;
    assert_eq!(tap("advance", "15000").await, "/_sim");
    inbox.next().await;
    far.until(path, |it| it["deliveries"][1]["reply"] == TAKEN).await;
    assert_eq!(tap("redeliver", &named).await, "/_sim");
    inbox.next().await;
    for (name, value) in
        [("pay", named.as_str()), ("fault", "{"), ("advance", "-1"), ("melt", "x"), ("pay", "x")]
    {
        assert!(tap(name, value).await.starts_with("/_sim?note="), "{name}");
    }
    assert_eq!(tap("head_handshake", "on").await, "/_sim");
    assert_eq!(far.get("/_sim/v1/wechat/settings").await["head_handshake"], true);
    let html = page().await;
    for fault in [
        "drop_notification",
        "delay_notification",
        "duplicate_notification",
        "reorder_notification",
        "bad_signature",
        "signature_probe",
        "wrong_amount",
        "unknown_order",
        "pay_after_close",
        "ABNORMAL",
        "bill_row_missing",
        "bill_row_extra",
        "bill_row_different",
        "429",
        "500",
        "slow",
        "sandbox_key",
        "certificate_refused",
        "name=\"head_handshake",
        "name=\"advance",
    ] {
        assert!(html.contains(fault), "{fault} has a button");
    }
    assert_eq!(tap("fault", r#"{"fault":"certificate_refused","times":0}"#).await, "/_sim");
    let waiting =
        far.get("/_sim/v1/faults").await["faults"].as_array().unwrap().last().unwrap()["id"].to_string();
    assert_eq!(tap("clear", &waiting).await, "/_sim");
    assert!(tap("clear", &waiting).await.starts_with("/_sim?note="), "it is gone");
    assert_eq!(far.get("/_sim/v1/faults").await, json!({"faults": []}));
    assert_eq!(tap("forget_handshakes", "all").await, "/_sim");
    assert_eq!(tap("clear", "all").await, "/_sim");
}

#[tokio::test]
async fn one_fault_can_be_taken_back_and_the_others_stay() {
    let far = Far::open().await;
    for _ in 0..2 {
        far.fault(json!({"scope": "wechat", "fault": "not_enough"})).await;
    }
    let delete = async |id: &str| {
        let url = format!("{}/_sim/v1/faults/{id}", far.base);
        far.http.delete(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!((delete("1").await, delete("1").await, delete("x").await), (200, 404, 400));
    let left = far.get("/_sim/v1/faults").await;
    assert_eq!((left["faults"].as_array().unwrap().len(), &left["faults"][0]["id"]), (1, &json!(2)));
}
