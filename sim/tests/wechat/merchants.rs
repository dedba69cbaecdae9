//! Several merchants, each with books and keys of its own.
use serde_json::{Value, json};
use sim::wechat::Credentials;

use crate::far::{Far, Inbox};
use crate::old::Old;

#[tokio::test]
async fn merchants_do_not_see_each_others_orders_and_do_not_share_numbers() {
    let mut far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let first = far.merchant.clone();
    let (status, second) = far.post("/_sim/v1/wechat/merchants", json!({})).await;
    assert_eq!(status, 200);
    let second: Credentials = serde_json::from_value(second).unwrap();
    assert_eq!(far.post("/_sim/v1/wechat/merchants", json!(second)).await.0, 409, "the number is taken");
    assert_eq!(far.post("/_sim/v1/wechat/merchants", json!({"mchid": "1"})).await.0, 400);
    assert_eq!(far.get("/_sim/v1/wechat/merchants").await["merchants"].as_array().unwrap().len(), 2);

    let number = "M2025100900001";
    far.create(&far.order(number, &inbox.url)).await;
    far.merchant = second.clone();
    assert_eq!(far.query(number).await.0, 404);
    let old = Old::md5(&far);
    assert_eq!(old.query(number).await["err_code"], "ORDERNOTEXIST");
    assert_eq!(far.create(&far.order(number, &inbox.url)).await.0, 200, "the same number is free here");

    let pay = async |far: &Far, mchid: &str| {
        let path = format!("/_sim/v1/orders/{number}/pay?mchid={mchid}");
        far.post(&path, json!({})).await.1["transaction_id"].clone()
    };
    let ours = pay(&far, &second.mchid).await;
    let (headers, body) = inbox.next().await;
    assert!(far.genuine(&headers, &body), "each with its own keys");
    let notice: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(far.open_resource(&notice)["mchid"], json!(second.mchid));
    let theirs = pay(&far, &first.mchid).await;
    assert_ne!(ours, theirs);
    let by_id = format!("/v3/pay/transactions/id/{}?mchid={}", theirs.as_str().unwrap(), second.mchid);
    assert_eq!(far.call("GET", &by_id, &Value::Null).await.0, 404);
    assert_eq!(far.get("/_sim/v1/orders").await["orders"].as_array().unwrap().len(), 2);
    // A merchant cannot sign for another.
    far.merchant.mchid = first.mchid;
    far.merchant.platform_key_id = first.platform_key_id;
    assert_eq!(far.query(number).await.0, 401);
}

#[tokio::test]
async fn a_simulator_that_is_started_again_repeats_no_number() {
    let numbers = async || {
        let far = Far::open().await;
        let mut numbers = Vec::new();
        for n in 0..3 {
            let number = format!("A20251009000{n}");
            far.create(&far.order(&number, "http://127.0.0.1:9/notify")).await;
            numbers.push(far.pay(&number).await);
            let refund = json!({
                "out_trade_no": number, "out_refund_no": format!("R{n}"),
                "amount": {"refund": 1, "total": 8800, "currency": "CNY"},
            });
            numbers.push(far.refund(&refund).await.1["refund_id"].as_str().unwrap().to_owned());
        }
        far.sim.stop().await;
        numbers
    };
    let mut all = numbers().await;
    all.extend(numbers().await);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12);
}
