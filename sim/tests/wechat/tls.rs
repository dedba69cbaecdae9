//! What does WeChat Pay want to see over TLS, and from whom?
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use sim::Authority;
use sim::wechat::Credentials;
use tokio::net::TcpListener;

use crate::far::Far;
use crate::old::{Fields, Old, read, xml};

/// A merchant's client, which shows this.
fn client(ca: &str, shows: Option<&Credentials>) -> Client {
    let trusted = Certificate::from_pem(ca.as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([trusted]);
    let builder = match shows {
        None => builder,
        Some(shows) => {
            let pem = format!("{}{}", shows.merchant_certificate_pem, shows.merchant_private_key_pem);
            builder.identity(Identity::from_pem(pem.as_bytes()).unwrap())
        }
    };
    builder.build().unwrap()
}

async fn asked(client: &Client, url: &str, path: &str, fields: &Fields) -> (u16, String) {
    let request = client.post(format!("{url}/wechat/{path}")).header("content-type", "application/xml");
    let answer = request.body(xml(fields)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn over_tls_a_refund_by_v2_wants_the_certificate_of_its_own_merchant() {
    let far = Far::open().await;
    let old = Old::hmac(&far);
    let plain = far.http.get(format!("{}/_sim/v1/tls", far.base)).send().await.unwrap();
    assert_eq!(plain.status(), 404, "TLS is not spoken before there is a listener");
    let authority = Authority::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = far.sim.serve_tls(listener, &authority).unwrap();
    let shown = far.get("/_sim/v1/tls").await;
    assert_eq!(shown, json!({"url": url, "ca_pem": authority.certificate_pem}));

    let (status, another) = far.post("/_sim/v1/wechat/merchants", json!({})).await;
    assert_eq!(status, 200, "{another}");
    let another: Credentials = serde_json::from_value(another).unwrap();
    let ca = &authority.certificate_pem;
    let own = client(ca, Some(&far.merchant));

    // What wants none is had with one and without, by both names of this machine.
    let order = old.order("TLS-0000000001", "http://127.0.0.1:9/notify");
    let signed = |mut fields: Fields| {
        fields.insert("sign".into(), old.sign(&fields));
        fields
    };
    let made = asked(&client(ca, None), &url, "pay/unifiedorder", &signed(order)).await;
    assert_eq!(read(&made.1)["result_code"], "SUCCESS", "{made:?}");
    far.pay("TLS-0000000001").await;
    let query = signed(old.fields(&[("out_trade_no", "TLS-0000000001")]));
    let by_name = url.replace("127.0.0.1", "localhost");
    assert_eq!(read(&asked(&own, &by_name, "pay/orderquery", &query).await.1)["trade_state"], "SUCCESS");

    let refund = signed(old.fields(&[
        ("out_trade_no", "TLS-0000000001"),
        ("out_refund_no", "TLS-R1"),
        ("total_fee", "8800"),
        ("refund_fee", "100"),
    ]));
    let flow = signed(old.fields(&[("bill_date", "20251008"), ("account_type", "Basic")]));
    for (path, fields) in [("secapi/pay/refund", &refund), ("pay/downloadfundflow", &flow)] {
        for (shows, title) in [
            (None, "400 No required SSL certificate was sent"),
            (Some(&another), "400 The SSL certificate error"),
        ] {
            let (status, page) = asked(&client(ca, shows), &url, path, fields).await;
            assert!(status == 400 && page.contains(title), "{path}: {page}");
        }
        far.fault(json!({"scope": "wechat", "fault": "certificate_refused"})).await;
        let (status, page) = asked(&own, &url, path, fields).await;
        assert!(status == 400 && page.contains("400 The SSL certificate error"), "withdrawn: {page}");
    }
    let order = far.get("/_sim/v1/orders/TLS-0000000001").await;
    assert_eq!(order["refunds"], json!([]), "what was refused was not done");
    let (status, answer) = asked(&own, &url, "secapi/pay/refund", &refund).await;
    assert_eq!((status, read(&answer)["result_code"].as_str()), (200, "SUCCESS"), "{answer}");
    let (status, answer) = asked(&own, &url, "pay/downloadfundflow", &flow).await;
    assert_eq!((status, read(&answer)["err_code"].as_str()), (200, "PARAM_ERROR"), "too old a day: {answer}");
    // Without TLS there is nobody to show a certificate to.
    let again = old.raw("secapi/pay/refund", xml(&refund)).await;
    assert_eq!(read(&again.1)["result_code"], "SUCCESS", "{again:?}");
}

#[tokio::test]
async fn who_trusts_another_authority_does_not_get_in_and_the_controls_are_not_behind_tls() {
    let far = Far::open().await;
    let authority = Authority::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = far.sim.serve_tls(listener, &authority).unwrap();
    let foreign = Authority::generate().unwrap();
    assert!(client(&foreign.certificate_pem, None).get(&url).send().await.is_err());
    let trusting = client(&authority.certificate_pem, None);
    for path in ["/_sim/v1/orders", "/_sim", "/phone", "/openai/v1/models"] {
        assert_eq!(trusting.get(format!("{url}{path}")).send().await.unwrap().status(), 404, "{path}");
    }
    // v3 is there too, and refuses what is not signed.
    let path = "/wechat/v3/pay/transactions/out-trade-no/N1?mchid=1";
    let request = trusting.get(format!("{url}{path}")).header("accept", "application/json");
    let answer = request.header("user-agent", "test").send().await.unwrap();
    assert_eq!(answer.status(), 401, "{}", answer.text().await.unwrap());
    // A client that is silent or speaks no TLS keeps nobody else waiting.
    let addr = url.strip_prefix("https://").unwrap();
    let _silent = tokio::net::TcpStream::connect(addr).await.unwrap();
    assert!(far.http.get(format!("http://{addr}/")).send().await.is_err());
    let answer: Value = trusting.get(&url).send().await.unwrap().json().await.unwrap();
    assert!(answer["error"].is_string());
    // An authority whose halves do not belong together is none.
    let mixed = Authority { private_key_pem: foreign.private_key_pem, ..authority };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Far::open().await;
    let refused = other.sim.serve_tls(listener, &mixed).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}
