//! API v2: orders, queries, closing and refunds.
use serde_json::{Value, json};

use crate::far::{Far, Inbox};
use crate::old::{Fields, Old, of, read, xml};

const CODES: [&str; 2] = ["return_code", "result_code"];

fn well(answer: &Fields) -> bool {
    CODES.iter().all(|code| answer.get(*code).is_some_and(|value| value == "SUCCESS"))
}

#[tokio::test]
async fn an_order_of_v2_is_made_queried_and_paid_under_either_signature() {
    let far = Far::open().await;
    let inbox = Inbox::of_v2().await;
    for (old, number) in [(Old::md5(&far), "V2-0000000001"), (Old::hmac(&far), "V2-0000000002")] {
        let made = old.create(old.order(number, &inbox.url)).await;
        assert!(well(&made), "{made:?}");
        assert!(made["code_url"].starts_with("weixin://wxpay/bizpayurl?pr="));
        assert_eq!((made["trade_type"].as_str(), made["prepay_id"].len()), ("NATIVE", 36));
        let waiting = old.query(number).await;
        assert_eq!((waiting["trade_state"].as_str(), waiting["total_fee"].as_str()), ("NOTPAY", "8800"));
        assert!(!waiting.contains_key("transaction_id"));
        assert!(far.phone(&json!(made["code_url"])).await.contains("¥88.00"));

        let transaction_id = far.pay(number).await;
        let paid = old.query(number).await;
        assert_eq!((paid["trade_state"].as_str(), paid["total_fee"].as_str()), ("SUCCESS", "8800"));
        assert_eq!((paid["attach"].as_str(), paid["is_subscribe"].as_str()), ("u:42", "N"));
        assert_eq!((&paid["transaction_id"], paid["time_end"].len()), (&transaction_id, 14));
        // The transaction wins over the order's number.
        let by_both = [("transaction_id", transaction_id.as_str()), ("out_trade_no", "V2-none")];
        assert_eq!(old.call("pay/orderquery", &by_both).await["out_trade_no"], number);
        assert_eq!(old.create(old.order(number, &inbox.url)).await["err_code"], "ORDERPAID");
    }
    let unknown = Old::md5(&far).query("V2-0000000003").await;
    assert_eq!((unknown["result_code"].as_str(), unknown["err_code"].as_str()), ("FAIL", "ORDERNOTEXIST"));
}

#[tokio::test]
async fn a_request_of_v2_that_is_not_signed_properly_is_refused_without_a_signature() {
    let far = Far::open().await;
    let old = Old::hmac(&far);
    let mut order = old.order("V2-0000000010", "http://127.0.0.1:9/notify");
    let good = old.sign(&order);
    order.insert("sign".into(), good.clone());
    let other = crate::old::signature(&order, "another key", true);
    for (name, value) in [
        ("sign", ""),
        ("sign", "00"),
        ("sign", other.as_str()),
        ("sign", &good.to_lowercase()),
        ("total_fee", "8801"),
        ("sign_type", "MD5"),
        ("sign_type", "SHA1"),
        ("sign_type", ""),
        ("mch_id", "1900000001"),
    ] {
        let mut spoilt = order.clone();
        spoilt.insert(name.into(), value.into());
        let (status, text) = old.raw("pay/unifiedorder", xml(&spoilt)).await;
        let answer = read(&text);
        assert_eq!((status, answer["return_code"].as_str()), (200, "FAIL"), "{name}={value}");
        assert_eq!(answer.len(), 2, "{text}");
    }
    // Nobody signs with a key that was never set.
    let mut keyless = far.merchant.clone();
    keyless.mchid = "1900999999".into();
    keyless.api_v2_key = String::new();
    assert_eq!(far.post("/_sim/v1/wechat/merchants", json!(keyless)).await.0, 200);
    let mut order = old.order("V2-0000000010", "http://127.0.0.1:9/notify");
    order.insert("mch_id".into(), keyless.mchid);
    order.insert("sign".into(), crate::old::signature(&order, "", true));
    assert_eq!(read(&old.raw("pay/unifiedorder", xml(&order)).await.1)["return_code"], "FAIL");
    assert_eq!(old.query("V2-0000000010").await["err_code"], "ORDERNOTEXIST");
}

#[tokio::test]
async fn xml_that_is_not_flat_and_plain_is_refused_before_anything_is_looked_up() {
    let far = Far::open().await;
    let old = Old::md5(&far);
    let mut query = old.fields(&[("out_trade_no", "V2-0000000020")]);
    query.insert("sign".into(), old.sign(&query));
    let good = xml(&query);
    assert_eq!(read(&old.raw("pay/orderquery", good.clone()).await.1)["err_code"], "ORDERNOTEXIST");
    for bad in [
        String::new(),
        "{}".into(),
        format!("<!DOCTYPE xml [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>{good}"),
        good.replace("</xml>", "<appid>x</appid></xml>"),
        good.replace("<xml>", "<xml><!-- x -->"),
        good.replace("</xml>", ""),
        format!("{good}x"),
    ] {
        let (status, text) = old.raw("pay/orderquery", bad.clone()).await;
        assert_eq!((status, read(&text)["return_code"].as_str()), (200, "FAIL"), "{bad}");
    }
    let url = format!("{}/wechat/pay/orderquery", far.base);
    let got = far.http.get(&url).send().await.unwrap();
    assert_eq!(read(&got.text().await.unwrap())["return_code"], "FAIL", "only POST");
    let json = far
        .http
        .post(&url)
        .header("content-type", "application/json")
        .body(good.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(read(&json.text().await.unwrap())["return_code"], "FAIL", "only XML");
    // As some clients ask: where WeChat Pay's own host has it, and without a word on what it is.
    let plain = far.http.post(format!("{}/pay/orderquery", far.base)).body(good).send().await.unwrap();
    assert_eq!(read(&plain.text().await.unwrap())["err_code"], "ORDERNOTEXIST");
    let nowhere = far.http.post(format!("{}/wechat/pay/nothing", far.base)).send().await.unwrap();
    assert_eq!(nowhere.status(), 404);
}

#[tokio::test]
async fn a_parameter_that_the_documentation_does_not_allow_is_refused_by_its_name() {
    let far = Far::open().await;
    let old = Old::md5(&far);
    let good = old.order("V2-0000000030", "http://127.0.0.1:9/notify");
    let scene = r#"{"h5_info":{"type":"Wap","wap_url":"https://pay.example.test","wap_name":"x"}}"#;
    let h5 = [("trade_type", "MWEB"), ("scene_info", scene)];
    let long = "x".repeat(128);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("device", "x")], "PARAM_ERROR"),
        (&[("body", "")], "LACK_PARAMS"),
        (&[("body", &long)], "PARAM_ERROR"),
        (&[("body", "充值 🎉")], "PARAM_ERROR"),
        (&[("out_trade_no", "short")], "PARAM_ERROR"),
        (&[("total_fee", "0")], "PARAM_ERROR"),
        (&[("total_fee", "088")], "PARAM_ERROR"),
        (&[("total_fee", "88.00")], "PARAM_ERROR"),
        (&[("total_fee", "-1")], "PARAM_ERROR"),
        (&[("fee_type", "USD")], "PARAM_ERROR"),
        (&[("spbill_create_ip", "")], "LACK_PARAMS"),
        (&[("spbill_create_ip", "here")], "PARAM_ERROR"),
        (&[("notify_url", "http://127.0.0.1/notify?order=1")], "PARAM_ERROR"),
        (&[("trade_type", "MICROPAY")], "PARAM_ERROR"),
        (&[("product_id", "")], "LACK_PARAMS"),
        (&[("time_expire", "2025-10-09")], "PARAM_ERROR"),
        (&[("time_start", "20251009165320"), ("time_expire", "20251009165520")], "PARAM_ERROR"),
        (&[("appid", "wx0000000000000000")], "APPID_MCHID_NOT_MATCH"),
        (&[("trade_type", "JSAPI")], "LACK_PARAMS"),
        (&[("trade_type", "JSAPI"), ("openid", "me")], "PARAM_ERROR"),
        (&[("trade_type", "MWEB")], "LACK_PARAMS"),
        (&[("trade_type", "MWEB"), ("scene_info", "{}")], "PARAM_ERROR"),
        (&[h5[0], h5[1], ("spbill_create_ip", "127.0.0.1")], "PARAM_ERROR"),
    ];
    for (changes, code) in cases {
        let mut order = good.clone();
        order.extend(of(changes));
        let answer = old.create(order).await;
        assert_eq!(answer.get("err_code").map(String::as_str), Some(*code), "{changes:?}: {answer:?}");
    }
    assert!(well(&old.create(good.clone()).await));
    let again = old.create(good.clone()).await;
    assert!(well(&again), "the same again is given a fresh code");
    let mut other = good;
    other.insert("total_fee".into(), "8801".into());
    assert_eq!(old.create(other).await["err_code"], "INVALID_REQUEST");

    let mut order = old.order("V2-0000000031", "http://127.0.0.1:9/notify");
    order.remove("product_id");
    order.extend(of(&h5));
    let made = old.create(order).await;
    assert!(made["mweb_url"].contains("prepay_id=") && made["mweb_url"].contains("&package="));
}

#[tokio::test]
async fn an_order_of_v2_is_closed_after_five_minutes_and_not_before() {
    let far = Far::open().await;
    let old = Old::hmac(&far);
    old.create(old.order("V2-0000000040", "http://127.0.0.1:9/notify")).await;
    let close = [("out_trade_no", "V2-0000000040")];
    assert_eq!(old.call("pay/closeorder", &close).await["err_code"], "TRADE_STATE_ERROR");
    far.advance(300).await;
    let closed = old.call("pay/closeorder", &close).await;
    assert!(well(&closed) && closed["result_msg"] == "OK");
    assert_eq!(old.call("pay/closeorder", &close).await["err_code"], "ORDERCLOSED");
    assert_eq!(old.query("V2-0000000040").await["trade_state"], "CLOSED");
    let unknown = old.call("pay/closeorder", &[("out_trade_no", "V2-0000000041")]).await;
    assert_eq!(unknown["err_code"], "ORDERNOTEXIST");
    old.create(old.order("V2-0000000042", "http://127.0.0.1:9/notify")).await;
    far.pay("V2-0000000042").await;
    assert_eq!(
        old.call("pay/closeorder", &[("out_trade_no", "V2-0000000042")]).await["err_code"],
        "ORDERPAID"
    );
}

#[tokio::test]
async fn a_refund_of_v2_is_accepted_listed_and_refused_by_v2s_own_words() {
    let far = Far::open().await;
    let old = Old::md5(&far);
    let number = "V2-0000000050";
    let first =
        [("out_trade_no", number), ("out_refund_no", "R@1"), ("total_fee", "8800"), ("refund_fee", "300")];
    assert_eq!(old.refund(&first).await["err_code"], "ORDERNOTEXIST");
    old.create(old.order(number, "http://127.0.0.1:9/notify")).await;
    assert_eq!(old.refund(&first).await["err_code"], "ERROR", "not paid yet");
    let transaction_id = far.pay(number).await;
    far.post("/_sim/v1/settings", json!({"refund_delay_ms": 3_600_000})).await;
    let accepted = old.refund(&first).await;
    assert!(well(&accepted), "{accepted:?}");
    assert_eq!((&accepted["transaction_id"], accepted["refund_id"].len()), (&transaction_id, 29));
    assert_eq!(old.refund(&first).await["refund_id"], accepted["refund_id"], "the same again is the same");
    let with = |changes: &[(&'static str, &'static str)]| {
        let mut fields = of(&first);
        fields.extend(of(changes));
        fields
    };
    for (changes, code) in [
        (&[("refund_fee", "301")][..], "REFUND_FEE_MISMATCH"),
        (&[("out_refund_no", "R2"), ("total_fee", "8801")], "REFUND_FEE_MISMATCH"),
        (&[("out_refund_no", "R2"), ("refund_fee", "8501")], "ERROR"),
        (&[("out_refund_no", "R2")], "FREQUENCY_LIMITED"),
        (&[("out_refund_no", "R 2")], "PARAM_ERROR"),
        (&[("out_refund_no", "R2"), ("refund_fee", "0")], "PARAM_ERROR"),
        (&[("out_refund_no", "R2"), ("surprise", "1")], "PARAM_ERROR"),
        (&[("out_refund_no", "R2"), ("out_trade_no", "")], "LACK_PARAMS"),
    ] {
        let fields = with(changes);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = old.refund(&fields).await;
        assert_eq!(answer.get("err_code").map(String::as_str), Some(code), "{changes:?} {answer:?}");
    }
    let waiting = old.call("pay/refundquery", &[("out_refund_no", "R@1")]).await;
    assert_eq!((waiting["refund_status_0"].as_str(), waiting["refund_count"].as_str()), ("PROCESSING", "1"));
    far.advance(3_600).await;
    far.until(&format!("/_sim/v1/orders/{number}"), |it| it["refunds"][0]["status"] == "SUCCESS").await;
    let second = [
        ("transaction_id", transaction_id.as_str()),
        ("out_refund_no", "R2"),
        ("total_fee", "8800"),
        ("refund_fee", "500"),
    ];
    assert!(well(&old.refund(&second).await));
    for by in [
        ("transaction_id", transaction_id.as_str()),
        ("out_trade_no", number),
        ("out_refund_no", "R@1"),
        ("refund_id", accepted["refund_id"].as_str()),
    ] {
        let listed = old.call("pay/refundquery", &[by]).await;
        assert_eq!(listed["out_refund_no_0"], "R@1");
        assert_eq!(
            (listed["refund_fee_0"].as_str(), listed["refund_status_0"].as_str()),
            ("300", "SUCCESS"),
            "{listed:?}"
        );
        assert_eq!(listed["refund_success_time_0"].len(), 19);
        assert_eq!(
            listed.get("refund_status_1").map(String::as_str),
            by.0.contains("trade")
                .then_some("PROCESSING")
                .or((by.0 == "transaction_id").then_some("PROCESSING"))
        );
    }
    let unknown = old.call("pay/refundquery", &[("out_refund_no", "R9")]).await;
    assert_eq!(unknown["err_code"], "REFUNDNOTEXIST");
    assert_eq!(old.query(number).await["trade_state"], "REFUND");
}

#[tokio::test]
async fn both_apis_see_the_same_orders_of_a_merchant_number() {
    let far = Far::open().await;
    let inbox = Inbox::open(&[]).await;
    let old = Old::md5(&far);
    far.create(&far.order("BOTH-000001", &inbox.url)).await;
    assert_eq!(old.query("BOTH-000001").await["trade_state"], "NOTPAY");
    let taken = old.create(old.order("BOTH-000001", &inbox.url)).await;
    assert_eq!(taken["err_code"], "INVALID_REQUEST", "the number is v3's");
    far.pay("BOTH-000001").await;
    let refund = [
        ("out_trade_no", "BOTH-000001"),
        ("out_refund_no", "BOTH-R1"),
        ("total_fee", "8800"),
        ("refund_fee", "100"),
    ];
    assert!(well(&old.refund(&refund).await), "v2 refunds what v3 has sold");
    let seen = far.call("GET", "/v3/refund/domestic/refunds/BOTH-R1", &Value::Null).await;
    assert_eq!((seen.0, &seen.1["amount"]["refund"]), (200, &json!(100)));
    old.create(old.order("BOTH-000002", &inbox.url)).await;
    assert_eq!(far.query("BOTH-000002").await.1["trade_state"], "NOTPAY");
}

#[tokio::test]
async fn the_sandbox_hands_out_a_key_of_its_own_and_takes_no_other() {
    let far = Far::open().await;
    let old = Old::md5(&far);
    let mut asked = of(&[("nonce_str", "x"), ("mch_id", &far.merchant.mchid)]);
    asked.insert("sign".into(), "0".repeat(32));
    let refused = old.raw("xdc/apiv2getsignkey/sign/getsignkey", xml(&asked)).await.1;
    assert_eq!(read(&refused)["return_code"], "FAIL");
    asked.insert("sign".into(), old.sign(&asked));
    let answer = read(&old.raw("xdc/apiv2getsignkey/sign/getsignkey", xml(&asked)).await.1);
    assert_eq!((answer["return_code"].as_str(), answer["sandbox_signkey"].len()), ("SUCCESS", 32));
    let sandbox =
        Old { key: answer["sandbox_signkey"].clone(), prefix: "xdc/apiv2sandbox/", ..Old::md5(&far) };
    assert!(well(&sandbox.create(sandbox.order("V2-0000000060", "http://127.0.0.1:9/n")).await));
    let real = Old { prefix: "xdc/apiv2sandbox/", ..Old::md5(&far) };
    let mut query = real.fields(&[("out_trade_no", "V2-0000000060")]);
    query.insert("sign".into(), real.sign(&query));
    assert_eq!(read(&real.raw("pay/orderquery", xml(&query)).await.1)["return_code"], "FAIL");
}

#[tokio::test]
async fn calls_that_want_a_certificate_can_be_made_to_insist_on_it() {
    let far = Far::open().await;
    let old = Old::hmac(&far);
    far.post("/_sim/v1/wechat/settings", json!({"require_client_certificate": true})).await;
    for path in ["secapi/pay/refund", "pay/downloadfundflow"] {
        let mut fields = old.fields(&[("out_trade_no", "V2-0000000070")]);
        fields.insert("sign".into(), old.sign(&fields));
        assert_eq!(old.raw(path, xml(&fields)).await.0, 400, "{path}");
    }
    assert_eq!(old.query("V2-0000000070").await["err_code"], "ORDERNOTEXIST", "a query needs none");
}
