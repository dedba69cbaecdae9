//! API v2: what a merchant is told, and what counts as having told it.
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::json;

use crate::far::{Far, Inbox, TAKEN};
use crate::old::{Fields, Old, read};

fn told(body: &Bytes) -> Fields {
    read(std::str::from_utf8(body).unwrap())
}

/// What is inside the notification of a refund.
fn unsealed(notification: &Fields, key: &str) -> Fields {
    let mut sealed = STANDARD.decode(&notification["req_info"]).unwrap();
    let hex: String = Md5::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = UnboundCipherKey::new(&AES_256, hex.as_bytes()).unwrap();
    let key = PaddedBlockDecryptingKey::ecb_pkcs7(key).unwrap();
    let plain = key.decrypt(&mut sealed, DecryptionContext::None).unwrap();
    let text = std::str::from_utf8(plain).unwrap();
    assert!(text.starts_with("<root>"));
    read(text)
}

#[tokio::test]
async fn a_payment_is_told_under_the_signature_of_its_order() {
    let far = Far::open().await;
    let mut inbox = Inbox::of_v2().await;
    for (old, number) in [(Old::md5(&far), "N2-0000000001"), (Old::hmac(&far), "N2-0000000002")] {
        old.create(old.order(number, &inbox.url)).await;
        let transaction_id = far.pay(number).await;
        let (headers, body) = inbox.next().await;
        assert_eq!(headers["content-type"], "text/xml");
        let notice = told(&body);
        assert_eq!(notice["sign"], old.sign(&notice));
        assert_eq!(
            (&notice["out_trade_no"], &notice["transaction_id"]),
            (&number.to_owned(), &transaction_id)
        );
        assert_eq!((notice["total_fee"].as_str(), notice["result_code"].as_str()), ("8800", "SUCCESS"));
        assert_eq!((&notice["mch_id"], &notice["appid"]), (&far.merchant.mchid, &far.merchant.appid));
        let path = format!("/_sim/v1/orders/{number}");
        let shown = far.until(&path, |it| it["deliveries"][0]["status"] == 200).await;
        assert_eq!(
            (&shown["deliveries"][0]["taken"], &shown["deliveries"][0]["api"]),
            (&json!(true), &json!("v2"))
        );
    }
}

#[tokio::test]
async fn whatever_is_not_the_exact_reply_counts_as_not_told() {
    let far = Far::open().await;
    let mut inbox = Inbox::of_v2().await;
    let old = Old::md5(&far);
    let number = "N2-0000000010";
    old.create(old.order(number, &inbox.url)).await;
    for (status, said) in [
        (204, ""),
        (200, "SUCCESS"),
        (200, "<xml><return_code><![CDATA[FAIL]]></return_code></xml>"),
        (200, " <xml><return_code><![CDATA[SUCCESS]]></return_code></xml>"),
        (500, TAKEN),
    ] {
        inbox.will_say(status, said);
    }
    far.pay(number).await;
    let path = format!("/_sim/v1/orders/{number}");
    let mut nonces = Vec::new();
    for (so_far, wait) in [0, 15, 15, 30, 180, 600].into_iter().enumerate() {
        far.until(&path, |it| it["deliveries"].as_array().unwrap().len() == so_far).await;
        far.advance(wait).await;
        let notice = told(&inbox.next().await.1);
        assert_eq!(notice["sign"], old.sign(&notice));
        nonces.push(notice["nonce_str"].clone());
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 6, "signed anew each time");
    let shown = far.until(&path, |it| it["deliveries"].as_array().unwrap().len() == 6).await;
    let taken: Vec<_> =
        shown["deliveries"].as_array().unwrap().iter().map(|it| it["taken"] == true).collect();
    assert_eq!(taken, [false, false, false, false, false, true]);
}

#[tokio::test]
async fn a_refund_is_told_sealed_and_unsigned() {
    let far = Far::open().await;
    let mut inbox = Inbox::of_v2().await;
    let old = Old::hmac(&far);
    let number = "N2-0000000020";
    old.create(old.order(number, &inbox.url)).await;
    far.pay(number).await;
    inbox.next().await;
    for (n, (result, state)) in
        [(None, "SUCCESS"), (Some("ABNORMAL"), "CHANGE"), (Some("CLOSED"), "REFUNDCLOSE")]
            .into_iter()
            .enumerate()
    {
        if let Some(status) = result {
            far.fault(json!({"scope": "wechat", "fault": "refund_result", "status": status})).await;
        }
        let refund_no = format!("N2-R{n}");
        let refund = [
            ("out_trade_no", number),
            ("out_refund_no", refund_no.as_str()),
            ("total_fee", "8800"),
            ("refund_fee", "300"),
            ("notify_url", inbox.url.as_str()),
        ];
        assert_eq!(old.refund(&refund).await["result_code"], "SUCCESS");
        let notice = told(&inbox.next().await.1);
        assert!(!notice.contains_key("sign"));
        assert_eq!((&notice["mch_id"], notice["return_code"].as_str()), (&far.merchant.mchid, "SUCCESS"));
        let inside = unsealed(&notice, &old.key);
        assert_eq!((inside["refund_status"].as_str(), &inside["out_refund_no"]), (state, &refund_no));
        assert_eq!((inside["refund_fee"].as_str(), inside["total_fee"].as_str()), ("300", "8800"));
        assert_eq!(inside.contains_key("success_time"), state == "SUCCESS");
        far.advance(60).await;
    }
}

#[tokio::test]
async fn notifications_of_v2_can_be_spoilt_in_every_way_and_then_come_properly() {
    let far = Far::open().await;
    let mut inbox = Inbox::of_v2().await;
    let old = Old::hmac(&far);
    for (n, fault) in [
        json!({"fault": "bad_signature"}),
        json!({"fault": "wrong_amount", "total": 1}),
        json!({"fault": "wrong_mchid"}),
        json!({"fault": "wrong_appid"}),
        json!({"fault": "wrong_currency"}),
        json!({"fault": "unknown_order"}),
        json!({"fault": "wrong_sign_type"}),
        json!({"fault": "doctype"}),
    ]
    .into_iter()
    .enumerate()
    {
        let number = format!("N2-000000003{n}");
        old.create(old.order(&number, &inbox.url)).await;
        let name = fault["fault"].as_str().unwrap().to_owned();
        let mut asked = fault;
        asked["scope"] = "wechat".into();
        asked["api"] = "v2".into();
        far.fault(asked).await;
        inbox.will_say(200, "<xml><return_code>FAIL</return_code></xml>");
        far.pay(&number).await;
        let body = inbox.next().await.1;
        if name == "doctype" {
            assert!(body.starts_with(b"<!DOCTYPE xml"));
        } else {
            let notice = told(&body);
            assert_eq!(
                notice["sign"] == old.sign(&notice),
                !["bad_signature", "wrong_sign_type"].contains(&&*name)
            );
            assert_eq!(notice["sign"] == Old::md5(&far).sign(&notice), name == "wrong_sign_type");
            assert_eq!(notice["total_fee"] == "8800", name != "wrong_amount");
            assert_eq!(notice["mch_id"] == far.merchant.mchid, name != "wrong_mchid");
            assert_eq!(notice["appid"] == far.merchant.appid, name != "wrong_appid");
            assert_eq!(notice["fee_type"] == "CNY", name != "wrong_currency");
            assert_eq!(notice["out_trade_no"] == number, name != "unknown_order");
        }
        let path = format!("/_sim/v1/orders/{number}");
        far.until(&path, |it| it["deliveries"][0]["fault"] == name).await;
        far.advance(15).await;
        let notice = told(&inbox.next().await.1);
        assert_eq!((&notice["sign"], &notice["out_trade_no"]), (&old.sign(&notice), &number));
        far.until(&path, |it| it["deliveries"][1]["taken"] == true).await;
    }
}
