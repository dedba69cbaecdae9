//! The ways to pay beside a code: a page inside WeChat or a Mini Program, and a phone's browser.
use serde_json::{Value, json};
use sim::SimClock;

use crate::far::{Far, Inbox};
use crate::old::{Old, of};

const OPENID: &str = "oTESTuMuAJO_M2pxb1Q9zNjWeS6o";

async fn make(far: &Far, way: &str, order: &Value) -> (u16, Value) {
    far.call("POST", &format!("/v3/pay/transactions/{way}"), order).await
}

fn jsapi(far: &Far, number: &str, notify_url: &str) -> Value {
    let mut order = far.order(number, notify_url);
    order["payer"] = json!({"openid": OPENID});
    order
}

fn h5(far: &Far, number: &str, notify_url: &str) -> Value {
    let mut order = far.order(number, notify_url);
    order["scene_info"] = json!({"payer_client_ip": "203.0.113.7", "h5_info": {"type": "Wap"}});
    order
}

/// What a page inside WeChat hands over.
fn called_up(far: &Far, app_id: &str, prepay_id: &str) -> Value {
    let stamp = (far.clock.now_micros() / 1_000_000).to_string();
    let package = format!("prepay_id={prepay_id}");
    let sign = far.signature(&format!("{app_id}\n{stamp}\nnonce\n{package}\n"));
    json!({
        "appId": app_id, "timeStamp": stamp, "nonceStr": "nonce", "package": package, "signType": "RSA",
        "paySign": sign,
    })
}

#[tokio::test]
async fn a_page_inside_wechat_calls_up_the_cashier_with_the_merchants_signature() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let (status, made) = make(&far, "jsapi", &jsapi(&far, "J2025100900001", &inbox.url)).await;
    assert_eq!(status, 200, "{made}");
    let prepay_id = made["prepay_id"].as_str().unwrap();
    assert_eq!(prepay_id.len(), 36);
    let good = called_up(&far, &far.merchant.appid, prepay_id);
    for (name, value, why) in [
        ("appId", json!(far.merchant.mini_program_appid), "appId"),
        ("timeStamp", json!("1"), "timeStamp"),
        ("nonceStr", json!("another"), "签名"),
        ("nonceStr", json!(""), "nonceStr"),
        ("package", json!(prepay_id), "package"),
        ("package", json!("prepay_id=wx0"), "prepay_id"),
        ("signType", json!("MD5"), "signType"),
        ("paySign", json!("AAAA"), "签名"),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let (status, error) = far.post("/_sim/v1/wechat/callup", bad).await;
        assert_eq!(status, 400, "{name}");
        assert!(error["error"].as_str().unwrap().contains(why), "{name}: {error}");
    }
    let (status, paid) = far.post("/_sim/v1/wechat/callup", good.clone()).await;
    assert_eq!((status, &paid["out_trade_no"]), (200, &json!("J2025100900001")));
    let notice: Value = serde_json::from_slice(&inbox.next().await.1).unwrap();
    let told = far.open_resource(&notice);
    assert_eq!((&told["trade_type"], &told["payer"]["openid"]), (&json!("JSAPI"), &json!(OPENID)));
    assert_eq!(far.post("/_sim/v1/wechat/callup", good).await.0, 409, "once");
}

#[tokio::test]
async fn a_mini_program_is_the_same_with_an_appid_of_its_own() {
    let far = Far::open().await;
    let mut order = jsapi(&far, "J2025100900002", "http://127.0.0.1:9/notify");
    order["appid"] = json!(far.merchant.mini_program_appid);
    let made = make(&far, "jsapi", &order).await.1;
    let call = called_up(&far, &far.merchant.mini_program_appid, made["prepay_id"].as_str().unwrap());
    let query: Vec<(String, String)> = call
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let url = reqwest::Url::parse_with_params(&format!("{}/phone/jsapi", far.base), &query).unwrap();
    let html = far.http.get(url.clone()).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("¥88.00") && html.contains("JSAPI"), "{html}");
    let action = html.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let paid = far.http.post(format!("{}{action}", far.base)).send().await.unwrap();
    let back = paid.headers()["location"].to_str().unwrap().to_owned();
    let html = far.http.get(format!("{}{back}", far.base)).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("已付款"), "{html}");
    assert_eq!(far.query("J2025100900002").await.1["appid"], json!(far.merchant.mini_program_appid));
    let bad = url.as_str().replace("paySign=", "paySign=A");
    let html = far.http.get(bad).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("支付验证签名失败") && !html.contains("<button"));
}

#[tokio::test]
async fn a_link_of_h5_leads_to_its_order_for_five_minutes_and_back_to_the_merchant() {
    let far = Far::open().await;
    let (status, made) = make(&far, "h5", &h5(&far, "H2025100900001", "http://127.0.0.1:9/notify")).await;
    assert_eq!(status, 200, "{made}");
    let link = made["h5_url"].as_str().unwrap();
    assert!(link.starts_with(&far.base));
    let link = format!("{link}&redirect_url=https%3A%2F%2Fshop.example.test%2Fdone%3Forder%3D1");
    let html = far.http.get(&link).send().await.unwrap().text().await.unwrap();
    let action = html.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let paid = far.http.post(format!("{}{action}", far.base)).send().await.unwrap();
    assert_eq!(paid.headers()["location"], "https://shop.example.test/done?order=1");
    assert_eq!(far.query("H2025100900001").await.1["trade_type"], "MWEB");

    let made = make(&far, "h5", &h5(&far, "H2025100900002", "http://127.0.0.1:9/notify")).await.1;
    far.advance(301).await;
    let html = far.http.get(made["h5_url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("支付链接已失效") && !html.contains("<button"));
    let again = make(&far, "h5", &h5(&far, "H2025100900002", "http://127.0.0.1:9/notify")).await.1;
    let html = far.http.get(again["h5_url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("<button"), "the same request has a fresh link");
}

#[tokio::test]
async fn each_way_has_members_that_only_it_wants() {
    let far = Far::open().await;
    let url = "http://127.0.0.1:9/notify";
    let (native, jsapi, h5) = (
        far.order("W2025100900001", url),
        jsapi(&far, "W2025100900001", url),
        h5(&far, "W2025100900001", url),
    );
    for (way, good, pointer, value) in [
        ("native", &native, "/payer", json!({"openid": OPENID})),
        ("native", &native, "/scene_info", json!({"device_id": "x"})),
        ("native", &native, "/scene_info", json!({"payer_client_ip": "here"})),
        ("jsapi", &jsapi, "/payer", json!({})),
        ("jsapi", &jsapi, "/payer/openid", json!("me")),
        ("jsapi", &jsapi, "/payer/name", json!("me")),
        ("h5", &h5, "/scene_info/h5_info/type", json!("WAP")),
        ("h5", &h5, "/scene_info/h5_info", json!({})),
        ("h5", &h5, "/scene_info/payer_client_ip", json!("127.0.0.1")),
        ("h5", &h5, "/scene_info", json!({"h5_info": {"type": "Wap"}})),
    ] {
        let mut bad = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[name] = value.clone();
        let (status, error) = make(&far, way, &bad).await;
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("PARAM_ERROR")),
            "{way} {pointer} {value}: {error}"
        );
    }
    for (way, bad) in [("jsapi", &native), ("h5", &native)] {
        assert_eq!(make(&far, way, bad).await.0, 400, "{way}");
    }
    assert_eq!(make(&far, "jsapi", &jsapi).await.0, 200);
    assert_eq!(make(&far, "native", &native).await.1["code"], "INVALID_REQUEST", "one number, one way");
    let stranger = json!({"payer": "oANOTHER00000000000000000000"});
    assert_eq!(far.post("/_sim/v1/orders/W2025100900001/pay", stranger).await.0, 409);
}

#[tokio::test]
async fn a_page_inside_wechat_is_signed_for_in_v2s_way_too() {
    let far = Far::open().await;
    for (old, number) in [(Old::md5(&far), "J2-0000000001"), (Old::hmac(&far), "J2-0000000002")] {
        let mut order = old.order(number, "http://127.0.0.1:9/notify");
        order.extend(of(&[("trade_type", "JSAPI"), ("openid", OPENID)]));
        let made = old.create(order).await;
        let sign_type = if old.hmac { "HMAC-SHA256" } else { "MD5" };
        let stamp = (far.clock.now_micros() / 1_000_000).to_string();
        let package = format!("prepay_id={}", made["prepay_id"]);
        let mut call = of(&[
            ("appId", &far.merchant.appid),
            ("timeStamp", &stamp),
            ("nonceStr", "nonce"),
            ("package", &package),
            ("signType", sign_type),
        ]);
        call.insert("paySign".into(), Old { hmac: !old.hmac, ..Old::md5(&far) }.sign(&call));
        assert_eq!(far.post("/_sim/v1/wechat/callup", json!(call)).await.0, 400);
        call.remove("paySign");
        call.insert("paySign".into(), old.sign(&call));
        let (status, paid) = far.post("/_sim/v1/wechat/callup", json!(call)).await;
        assert_eq!((status, &paid["out_trade_no"]), (200, &json!(number)), "{paid}");
    }
}
